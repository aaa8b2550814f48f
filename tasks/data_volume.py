"""data_volume: /srv/data, where a role's data is: on a volume that outlives the host, if it has one."""

from pyinfra import host

from tasks.host_scripts import DIRECTORY
from tasks.lib.files import Directory, File, config_files
from tasks.lib.services import Unit, service

PACKAGES = ["e2fsprogs"]
PATH = "/srv/data"
UNIT = "corral-data.service"


def has_volume() -> bool:
    """Is there a volume? Machines outside of AWS keep their data on their own disk."""
    return bool(host.data.get("data_volume"))


def install() -> None:
    """Mount it before any other task puts something there."""
    if not has_volume():
        config_files(name="Make the folder of data", files=[Directory(PATH)])
        return
    volume = host.data.data_volume
    config_files(
        name="Configure the volume of data",
        files=[
            File(f"{DIRECTORY}/data-volume", source="files/host/data-volume", mode="755"),
            File(f"/etc/systemd/system/{UNIT}", source="templates/data_volume/corral-data.service.j2"),
        ],
        check=f"sh -n {DIRECTORY}/data-volume && systemd-analyze verify /etc/systemd/system/{UNIT}",
        # Not a restart: what requires the volume would be stopped with it.
        reloads=[UNIT],
    )
    service(
        name="Mount the volume of data",
        units=[Unit(UNIT, intact=f"{DIRECTORY}/data-volume intact {volume}")],
    )
