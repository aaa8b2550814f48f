"""npm's registry as the lab passes it on: packages are where it says, and nothing else changes."""

import json

from lab.npm import passed_on

REGISTRY, ADDRESS = "https://registry.example.com/npm", "https://169.254.77.1"
TARBALL = "chat/-/chat-1.0.0.tgz"


def test_packages_are_where_the_lab_says():
    about = {"homepage": "https://example.com/npm", "dist": {"tarball": f"{REGISTRY}/{TARBALL}"}}
    told = passed_on(json.dumps(about).encode(), "application/vnd.npm.install-v1+json", REGISTRY, ADDRESS)
    assert json.loads(told) == {**about, "dist": {"tarball": f"{ADDRESS}/{TARBALL}"}}


def test_a_package_itself_is_passed_on_as_it_is():
    packed = f"\x1f\x8b{REGISTRY}/".encode("latin-1")
    assert passed_on(packed, "application/octet-stream", REGISTRY, ADDRESS) == packed
