"""private_name: a host gives itself its name in the private zone, whenever it starts."""

from pyinfra import host

from tasks.lib.files import File, config_files
from tasks.lib.services import Unit, service

UNIT = "corral-private-name.service"


def _named() -> bool:
    """Machines outside of a VPC have no private zone."""
    return bool(host.data.get("private_zone_id"))


def configure() -> None:
    """The unit that says it to Route 53, with the host's own role."""
    if _named():
        config_files(
            name="Configure the private name's unit",
            files=[
                File(
                    f"/etc/systemd/system/{UNIT}",
                    source="templates/private_name/corral-private-name.service.j2",
                )
            ],
            check=f"systemd-analyze verify /etc/systemd/system/{UNIT}",
            restarts=[UNIT],
        )


def activate() -> None:
    """Once it ran since boot, the name is there."""
    if _named():
        service(name="Register the private name", units=[Unit(UNIT)])
