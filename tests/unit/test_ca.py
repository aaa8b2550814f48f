"""The lab's certificate authority: a TLS client that trusts it must believe the certificates it makes."""

import socket
import ssl
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from lab import ca


def handshake(chain: Path, trusted: Path, name: str) -> None:
    """A real TLS handshake over a pair of sockets; raises when the client does not believe the server."""
    server_side, client_side = socket.socketpair()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(chain)

    def serve() -> None:
        try:
            server.wrap_socket(server_side, server_side=True).close()
        except (ssl.SSLError, OSError):
            server_side.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        client = ssl.create_default_context(cafile=str(trusted))
        client.wrap_socket(client_side, server_hostname=name).close()
    finally:
        client_side.close()
        thread.join()


def test_a_client_that_trusts_the_authority_believes_every_name(tmp_path):
    trusted = ca.ensure(tmp_path)
    chain = ca.certificate(tmp_path, "api", ["*.amazonaws.com", "chat.localhost", "169.254.77.2"])
    for name in ("ssm.amazonaws.com", "chat.localhost", "169.254.77.2"):
        handshake(chain, trusted, name)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(chain, trusted, "elsewhere.example")


def test_what_is_good_is_kept_and_what_is_not_is_made_anew(tmp_path):
    authority = ca.ensure(tmp_path)
    first = authority.read_bytes()
    assert ca.ensure(tmp_path).read_bytes() == first

    leaf = ca.certificate(tmp_path, "site", ["a.localhost", "b.localhost"])
    same = leaf.read_bytes()
    assert ca.certificate(tmp_path, "site", ["b.localhost", "a.localhost"]).read_bytes() == same
    assert ca.certificate(tmp_path, "site", ["a.localhost"]).read_bytes() != same

    # A new authority beside an old certificate: a client that trusts the new one must be served.
    old = leaf.read_bytes()
    authority.unlink()
    handshake(ca.certificate(tmp_path, "site", ["a.localhost"]), tmp_path / "ca.pem", "a.localhost")
    assert leaf.read_bytes() != old


def test_a_certificate_that_expires_soon_or_is_half_written_is_made_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(ca, "LEAF_DAYS", ca.LEAST_DAYS - 1)
    leaf = ca.certificate(tmp_path, "site", ["a.localhost"])
    monkeypatch.undo()
    short = leaf.read_bytes()
    assert ca.certificate(tmp_path, "site", ["a.localhost"]).read_bytes() != short
    leaf.write_bytes(leaf.read_bytes()[:200])
    handshake(ca.certificate(tmp_path, "site", ["a.localhost"]), tmp_path / "ca.pem", "a.localhost")


def test_keys_are_private_and_lifetimes_are_those_browsers_take(tmp_path):
    leaf = ca.certificate(tmp_path, "site", ["a.localhost"])
    for secret in (tmp_path / "ca.key", leaf):
        assert secret.stat().st_mode & 0o777 == 0o600
    certificate, authority = x509.load_pem_x509_certificates(leaf.read_bytes())
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert timedelta(days=90) < life < timedelta(days=398)
    assert authority.not_valid_after_utc - authority.not_valid_before_utc >= timedelta(days=3650)
