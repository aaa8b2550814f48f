"""lifecycle: a host that its group ends stops serving in good order first, and says when it is done.

It is done when its last log lines have arrived; those of the log server are in its queue, on its volume.
"""

from tasks.host_scripts import DIRECTORY
from tasks.lib.files import File, config_files
from tasks.lib.groups import in_group
from tasks.lib.services import Unit, service

UNIT = "corral-lifecycle.service"


def configure() -> None:
    """What is stopped is what the tasks of this host's role declare in their DRAINS."""
    if in_group():
        config_files(
            name="Configure what lets the host go",
            files=[
                File(f"{DIRECTORY}/lifecycle", source="files/host/lifecycle", mode="755"),
                File(f"{DIRECTORY}/shipped", source="files/logging/shipped", mode="755"),
                File(
                    f"/etc/systemd/system/{UNIT}",
                    source="templates/lifecycle/corral-lifecycle.service.j2",
                ),
            ],
            check=f"sh -n {DIRECTORY}/lifecycle && systemd-analyze verify /etc/systemd/system/{UNIT}",
            restarts=[UNIT],
        )


def activate() -> None:
    """It waits as long as the host lives."""
    if in_group():
        service(name="Wait for the group's word to leave", units=[Unit(UNIT)])
