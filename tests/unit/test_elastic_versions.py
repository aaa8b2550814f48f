"""Elastic's packages: whose signature is trusted, which version is taken, and when one is replaced."""

import subprocess

from tests.shared.roles import ROOT, Declared, group_data

FINGERPRINT = "46095ACC8548582C1A2699A9D27D666CD88E42B4"


def test_the_vendors_key_is_one_that_debian_13_trusts(tmp_path):
    """apt there takes no self-signature by SHA-1 since February 2026; 8 is SHA-256 (RFC 9580, 9.5)."""
    home = tmp_path / "gpg"
    home.mkdir(mode=0o700)
    gpg = ["gpg", "--homedir", home, "--batch", "--quiet"]
    key = ROOT / "files/elastic/elastic.asc"
    subprocess.run([*gpg, "--import", key], check=True)
    told = subprocess.run([*gpg, "--with-colons", "--check-sigs"], capture_output=True, text=True, check=True)
    records = [line.split(":") for line in told.stdout.splitlines()]
    assert next(each[9] for each in records if each[0] == "fpr") == FINGERPRINT
    signatures = [each for each in records if each[0] == "sig"]
    # Good ones, by the key itself; the sixteenth field is the digest.
    assert {(each[1], each[12], each[15]) for each in signatures} == {("!", FINGERPRINT, "8")}
    assert len(signatures) == 2
    subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=True)


def test_the_source_of_a_host_and_its_one_version():
    there = Declared("app", elastic=group_data("app", "live")["elastic"])
    sources = there.text("/etc/apt/sources.list.d/elastic.sources")
    assert "\nURIs: https://artifacts.elastic.co/packages/8.x/apt\n" in sources
    assert sources.endswith("\nSigned-By: /etc/apt/keyrings/elastic.asc\n")
    assert there.text("/etc/apt/keyrings/elastic.asc") == (ROOT / "files/elastic/elastic.asc").read_text()
    preferences = there.text("/etc/apt/preferences.d/elastic")
    assert "\nPin: version 8.19.21\n" in preferences and "\nPin: version 1:8.19.21-*\n" in preferences
    # By who made it: a mirror may have Debian too.
    assert "\nPackage: *\nPin: release o=elastic\nPin-Priority: -1\n" in preferences


def test_a_key_of_the_image_is_trusted_where_it_is():
    mirror = {"repository": "http://mirror.example:8080/elastic", "signing_key": "/usr/k.asc"}
    there = Declared("app", elastic={"version": "8.19.21", **mirror})
    assert "\nSigned-By: /usr/k.asc\n" in there.text("/etc/apt/sources.list.d/elastic.sources")
    paths = {path for entries in there.files.values() for path in entries}
    assert "/etc/apt/keyrings/elastic.asc" not in paths
