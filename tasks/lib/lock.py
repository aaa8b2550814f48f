"""One converge of a host at a time: a push takes the lock of the host's own timer while it is connected."""

import os

from pyinfra import host
from pyinfra.api import FactBase

from tasks.lib.shell import RUN_DIRECTORY, command_line

LOCK = f"{RUN_DIRECTORY}/converge.lock"
# How long a push waits for a converge that the host does by itself.
WAIT_SECONDS = 300
# Set by who holds the lock already: files/node/tick and files/node/converge.
HELD = "CORRAL_LOCKED"


class Lock(FactBase):
    """Takes the lock; a fact, since it changes nothing. Fails when another converge goes on for too long."""

    @staticmethod
    def default() -> bool:
        """Not held."""
        return False

    def command(self) -> str:
        """One command."""
        return command_line("lock.sh", LOCK, str(WAIT_SECONDS))

    def process(self, output: list[str]) -> bool:
        """A line "held"."""
        return output == ["held"]


def take_lock() -> None:
    """Let nobody else converge this host meanwhile. One that converges itself holds the lock already."""
    if not os.environ.get(HELD):
        host.get_fact(Lock)
