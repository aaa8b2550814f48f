"""converge: the timer by which a host that has a bundle brings itself to its declared state."""

from tasks.lib.files import File, config_files
from tasks.lib.logs import Log
from tasks.lib.services import Unit, service

SERVICE = "corral-converge.service"
TIMER = "corral-converge.timer"
# How each converge of a host by itself went (corral/node/log.py).
LOGS = [Log("corral.converge", "/var/log/corral/converge.json")]


def configure() -> None:
    """Without a bundle (a machine of Vagrant's), the unit skips itself."""
    config_files(
        name="Configure the timer that converges this host",
        files=[
            File(f"/etc/systemd/system/{unit}", source=f"templates/converge/{unit}.j2")
            for unit in (SERVICE, TIMER)
        ],
        check=f"systemd-analyze verify /etc/systemd/system/{TIMER}",
        restarts=[TIMER],
    )


def activate() -> None:
    """The service runs when the timer says so."""
    service(name="Run the timer that converges this host", units=[Unit(TIMER)])
