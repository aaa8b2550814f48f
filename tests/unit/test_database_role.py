"""database-role: the verifier that PostgreSQL keeps of a password, and is given in its place."""

import base64
import hashlib
import hmac
import runpy
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "files" / "postgres" / "database-role"


@pytest.fixture(scope="module")
def role():
    # An import would leave its byte code among the files that go to hosts.
    return SimpleNamespace(**runpy.run_path(str(SCRIPT)))


def test_the_verifier_is_that_of_the_rfc(role):
    """RFC 7677, section 3: the exchange of user "user" with password "pencil"."""
    salt = "W22ZaJ0SNY7soEsUEjb6gQ=="
    kind, numbers, keys = role.verifier("pencil", base64.b64decode(salt), 4096).split("$")
    stored, server = (base64.b64decode(key) for key in keys.split(":"))
    assert (kind, numbers) == ("SCRAM-SHA-256", f"4096:{salt}")

    nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    message = f"n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s={salt},i=4096,c=biws,r={nonce}".encode()
    assert hmac.digest(server, message, "sha256") == base64.b64decode(
        "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    )
    proof = base64.b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    client = bytes(a ^ b for a, b in zip(proof, hmac.digest(stored, message, "sha256"), strict=True))
    assert hashlib.sha256(client).digest() == stored


def test_a_password_that_is_set_already_is_recognised(role):
    kept = role.verifier("pencil", b"sixteen bytes of")
    assert role.accepts(kept, "pencil")
    assert not role.accepts(kept, "pencils")


@pytest.mark.parametrize("kept", ["", "md5aaaaaaaa", "SCRAM-SHA-256$x", "SCRAM-SHA-256$4096:=$a:b", "a$b$c"])
def test_anything_else_is_replaced(role, kept):
    assert not role.accepts(kept, "pencil")


@pytest.mark.parametrize("password", ["", "pässword", "two\nlines", "tab\there"])
def test_a_password_that_can_not_be_told_alike_everywhere_is_refused(tmp_path, password):
    (tmp_path / "password").write_text(password)
    done = subprocess.run(
        [SCRIPT, "chat", "chat", tmp_path / "password"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "printable ASCII" in done.stderr
    assert "Traceback" not in done.stderr
    assert not password or password not in done.stderr


def test_wrong_words_get_the_usage():
    done = subprocess.run([SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "usage: database-role" in done.stderr
