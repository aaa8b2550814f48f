"""The lab's certificate authority: makes the certificates of the load balancer and of the AWS API's names."""

import ipaddress
import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from corral.errors import CorralError

CA_DAYS = 3650
# Browsers take a certificate of at most 398 days (CA/Browser Forum, Baseline Requirements 6.3.2).
LEAF_DAYS = 397
# With less than this left a certificate is made anew.
LEAST_DAYS = 30

Certificate = x509.Certificate
Key = ec.EllipticCurvePrivateKey


def ensure(directory: Path) -> Path:
    """Make the authority in `directory` unless a good one is there; path of its certificate (PEM).

    The key is readable by its owner only. An authority that is about to expire is replaced.
    """
    path = directory / "ca.pem"
    if not _lasts(path):
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "corral lab CA")])
        certificate = (
            _builder(name, name, key.public_key(), CA_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        directory.mkdir(parents=True, exist_ok=True)
        _write(directory / "ca.key", _pem(key), 0o600)
        _write(path, _pem(certificate), 0o644)
    return path


def certificate(directory: Path, name: str, sans: Iterable[str]) -> Path:
    """A certificate for `sans` (DNS names, wildcards, addresses): path of one PEM of key, certificate and CA.

    `directory`: the authority's. `name`: the file's stem. The file is kept while its names, its dates and
    its authority are right.
    """
    wanted = sorted(set(sans))
    ca_path = ensure(directory)
    ca = x509.load_pem_x509_certificate(ca_path.read_bytes())
    path = directory / f"{name}.pem"
    if _lasts(path) and _fits(path, wanted, ca):
        return path
    ca_key = serialization.load_pem_private_key((directory / "ca.key").read_bytes(), password=None)
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
        raise CorralError(f"{directory / 'ca.key'} is not a key of the lab's.", "Delete that directory.")
    key = ec.generate_private_key(ec.SECP256R1())
    # A common name has at most 64 characters (RFC 5280, ub-common-name); who checks looks at the SANs anyway.
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, wanted[0][:64])])
    leaf = (
        _builder(subject, ca.subject, key.public_key(), LEAF_DAYS)
        .add_extension(x509.SubjectAlternativeName([_general_name(each) for each in wanted]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    _write(path, _pem(key) + _pem(leaf) + _pem(ca), 0o600)
    return path


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    # An hour back: clocks of this machine and of a browser's may differ a little.
    start = datetime.now(UTC) - timedelta(hours=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _usage(**allowed: bool) -> x509.KeyUsage:
    every = (
        "digital_signature content_commitment key_encipherment data_encipherment "
        "key_agreement key_cert_sign crl_sign encipher_only decipher_only"
    )
    return x509.KeyUsage(**{use: allowed.get(use, False) for use in every.split()})


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _lasts(path: Path) -> bool:
    """Whether the file holds a certificate that is good for a while yet."""
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())[0]
    except (FileNotFoundError, ValueError):  # None yet, or one that was written half: both are made anew.
        return False
    return found.not_valid_after_utc > datetime.now(UTC) + timedelta(days=LEAST_DAYS)


def _fits(path: Path, names: list[str], ca: Certificate) -> bool:
    leaf = x509.load_pem_x509_certificates(path.read_bytes())[0]
    has = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    try:
        leaf.verify_directly_issued_by(ca)
    except (InvalidSignature, TypeError, ValueError):  # Another authority's, by a signature, key or name.
        return False
    return {str(each.value) for each in has} == set(names)


def _pem(item: Key | Certificate) -> bytes:
    if isinstance(item, x509.Certificate):
        return item.public_bytes(serialization.Encoding.PEM)
    return item.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write beside, with its mode from the first byte on, and move into place."""
    beside = path.with_suffix(".new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    beside.replace(path)
