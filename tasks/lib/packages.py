"""Debian packages in one transaction, and nothing but one question when all are there."""

from collections.abc import Iterator, Sequence

from pyinfra import host
from pyinfra.api import FactBase, StringCommand, operation

from tasks.lib.shell import command_line, run_script


class InstalledPackages(FactBase):
    """The names of those of `packages` that are installed."""

    @staticmethod
    def default() -> set[str]:
        """None is."""
        return set()

    def command(self, packages: tuple[str, ...]) -> str:
        """One command for all of them."""
        return command_line("packages_state.sh", *packages)

    def process(self, output: list[str]) -> set[str]:
        """Lines such as "installed nginx-light"."""
        return {name for status, _, name in (line.partition(" ") for line in output) if status == "installed"}


@operation()
def packages(wanted: Sequence[str]) -> Iterator[StringCommand]:
    """Let Debian's packages `wanted` be installed, in whatever version. What others recommend stays out.

    The lists of packages are fetched only when something is missing. A configuration file that is there
    already is kept.
    """
    missing = sorted(set(wanted) - host.get_fact(InstalledPackages, packages=tuple(sorted(set(wanted)))))
    if missing:
        yield run_script("packages_install.sh", *missing)
