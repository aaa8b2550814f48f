"""Which release a server is to run by its environment's pointer (pure; release_state.sh says the same)."""

from hashlib import sha256
from typing import Protocol


class Named(Protocol):
    """What a pointer says: `percent` of all servers run `version`, and the others the previous one."""

    @property
    def version(self) -> str:
        """The release that is named."""

    @property
    def previous(self) -> str | None:
        """The one before."""

    @property
    def percent(self) -> int:
        """Of all servers."""


def wanted(pointer: Named, instance_id: str) -> str:
    """The version that the server takes: the named one, or the previous one where it is not its turn yet."""
    if pointer.previous is None or place(pointer.version, instance_id) < pointer.percent:
        return pointer.version
    return pointer.previous


def place(version: str, instance_id: str) -> int:
    """Where a server stands when a version comes to the fleet by percent: 0 to 99, evenly spread.

    By the version, too, so that not the same servers are first each time.
    """
    return int(sha256(f"{version} {instance_id}".encode()).hexdigest()[:8], 16) % 100
