"""Names of releases and of what is kept about them: one place for every S3 key."""

import re

from corral.errors import CorralError

ARCHIVE = "app.tar.zst"
CHECKSUM = "app.tar.zst.sha256"
MANIFEST = "manifest.json"
BAD = "bad.json"

RELEASES = "releases/app/"


def check_version(version: str) -> str:
    """`version`, when it can name directories, keys and processes everywhere; else raises CorralError."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", version):
        raise CorralError(
            f"{version!r} can not name a release.",
            "Use letters, digits, dot, dash and underscore; at most 64, the first a letter or a digit.",
            "docs/releases.md",
        )
    return version


def release_key(version: str, file: str) -> str:
    """Key of one file of a release, such as "releases/app/20261124-3ee5b9d110/app.tar.zst"."""
    return f"{RELEASES}{check_version(version)}/{file}"


def pointer_key(environment: str) -> str:
    """Key of the pointer that says which release an environment runs."""
    return f"environments/{environment}/app/current.json"


def lock_key(environment: str) -> str:
    """Key of the lock that one rollout of an environment holds."""
    return f"environments/{environment}/app/lock.json"


def rollouts_prefix(environment: str) -> str:
    """Where the records of an environment's rollouts are."""
    return f"environments/{environment}/app/rollouts/"


def runtime_file(name: str, version: str, arch: str) -> str:
    """File name of a runtime's archive, such as "node-24.21.0-linux-x64.tar.zst"."""
    return f"{name}-{version}-linux-{arch}.tar.zst"


def runtime_key(name: str, version: str, arch: str) -> str:
    """Key of a runtime's archive."""
    return f"runtimes/{runtime_file(name, version, arch)}"
