"""Postgres's data as one operation: adopted where a volume brings them, made where there are none.

    cluster(name="Adopt the database, or make one", version="17", directory="/srv/data/postgresql/17/main")

The directory may have served on another host before: everything that is in it stays, and is given to this
host's user postgres. The operation refuses to leave a cluster behind that is elsewhere on this host.
"""

from collections.abc import Iterator
from typing import Any

from pyinfra import host
from pyinfra.api import FactBase, StringCommand, operation

from tasks.lib.shell import command_line, run_script


class Cluster(FactBase):
    """Are the data in place: of this version, owned by postgres, and what the host is configured for?"""

    @staticmethod
    def default() -> bool:
        """Nothing is there."""
        return False

    def command(self, version: str, directory: str) -> str:
        """One command."""
        return command_line("cluster_state.sh", version, directory)

    def process(self, output: list[str]) -> bool:
        """See scripts/cluster_state.sh."""
        return output == ["in place"]


@operation()
def _cluster(version: str, directory: str, mount: str) -> Iterator[StringCommand]:
    """Adopt it or make it, if it is not in place."""
    if not host.get_fact(Cluster, version=version, directory=directory):
        yield run_script("cluster_apply.sh", version, directory, mount)


def cluster(name: str, version: str, directory: str, mount: str = "", **global_arguments: Any) -> Any:
    """Let the data of Postgres's cluster `version`/main be in `directory`.

    `mount`: a volume must be mounted there, or the operation fails. Needs the server's package, and the
    server stopped when its data belong to another user than postgres. Returns pyinfra's OperationMeta.
    """
    return _cluster(name=name, version=version, directory=directory, mount=mount, **global_arguments)
