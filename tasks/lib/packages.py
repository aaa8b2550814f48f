"""Debian packages in one transaction, and nothing but one question when all are there."""

from collections.abc import Iterator, Sequence

from pyinfra import host
from pyinfra.api import FactBase, StringCommand, operation

from tasks.lib.shell import run_script


class InstalledPackages(FactBase):
    """The names of those of `packages` that are installed."""

    @staticmethod
    def default() -> set[str]:
        """None is."""
        return set()

    def command(self, packages: tuple[str, ...]) -> StringCommand:
        """dpkg-query ends with 1 for a name that it never heard of, after it listed the others."""
        return StringCommand(
            "dpkg-query -W -f '${db:Status-Status} ${Package}\\n' --", *packages, "2>/dev/null || test $? = 1"
        )

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
