"""A locale as one operation, with one question."""

from collections.abc import Iterator

from pyinfra import host
from pyinfra.api import FactBase, StringCommand, operation

from tasks.lib.shell import command_line, run_script


class Generated(FactBase):
    """Whether the locale `wanted` is there."""

    @staticmethod
    def default() -> bool:
        """It is not."""
        return False

    def command(self, wanted: str) -> str:
        """One command."""
        return command_line("locale_state.sh", wanted)

    def process(self, output: list[str]) -> bool:
        """A line "generated", or none."""
        return output == ["generated"]


@operation()
def locale(wanted: str) -> Iterator[StringCommand]:
    """Let the locale `wanted` be there, such as "de_DE.UTF-8"."""
    if not host.get_fact(Generated, wanted=wanted):
        yield run_script("locale_apply.sh", wanted)
