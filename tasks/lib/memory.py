"""How much memory a host has, for what must be told how much to take."""

from pyinfra import host
from pyinfra.api import FactBase

from tasks.lib.shell import command_line


class Memory(FactBase):
    """The host's memory in MiB."""

    @staticmethod
    def default() -> int:
        """That of a small one."""
        return 2048

    def command(self) -> str:
        """One command."""
        return command_line("memory_state.sh")

    def process(self, output: list[str]) -> int:
        """A line with kB, as /proc/meminfo has it; what the kernel keeps for itself varies by a few MiB."""
        return round(int(output[0]) / 1024 / 64) * 64


def share(parts: int, least: int, most: int) -> int:
    """One of `parts` of this host's memory, in MiB, from `least` to `most`."""
    memory: int = host.get_fact(Memory)
    return max(least, min(most, memory // parts))
