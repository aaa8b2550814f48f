"""Debian packages in one transaction, with one question when all are there; one package in its version."""

from collections.abc import Iterator, Sequence

from pyinfra import host
from pyinfra.api import FactBase, StringCommand, operation

from tasks.lib.services import markers, predict
from tasks.lib.shell import RUN_DIRECTORY, command_line, run_script


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


class InstalledVersion(FactBase):
    """The version of `package`'s software, without what packagers put before and after it; "" without it."""

    @staticmethod
    def default() -> str:
        """It is not installed."""
        return ""

    def command(self, package: str) -> str:
        """One command."""
        return command_line("package_version_state.sh", package)

    def process(self, output: list[str]) -> str:
        """A line such as "8.19.21"."""
        return "".join(output)


@operation()
def upgrade(package: str, version: str, restarts: Sequence[str] = ()) -> Iterator[StringCommand]:
    """Let an installed `package` be of the software's `version`, which apt's preferences choose.

    `restarts`: units that need it then (tasks/lib/services.py). Nothing is installed that was not there, and
    nothing goes back to an older version: apt refuses that.
    """
    now = host.get_fact(InstalledVersion, package=package)
    if now and now != version:
        marks = markers(restarts, [])
        predict(marks)
        yield run_script("package_upgrade.sh", RUN_DIRECTORY, package, version, *marks)
