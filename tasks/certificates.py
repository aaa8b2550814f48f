"""certificates: who this host is to others of its environment, signed by the environment's own authority.

A converge waits for nobody: the certificate comes when the log server has signed it (tasks/authority.py), and
units that need one have a condition on it.
"""

from tasks.host_scripts import DIRECTORY
from tasks.lib.files import Directory, File, config_files
from tasks.lib.groups import in_group
from tasks.lib.services import Unit, service

PACKAGES = ["openssl"]

FOLDER = "/var/lib/corral/certificates"
KEY = f"{FOLDER}/host.key"
CERTIFICATE = f"{FOLDER}/host.pem"
AUTHORITY = "/etc/corral/ca.pem"

SERVICE = "corral-certificate.service"
TIMER = "corral-certificate.timer"


def configure() -> None:
    """What takes up a new certificate is what the tasks of this host's role declare as CERTIFIED."""
    if in_group():
        config_files(
            name="Configure what gets this host its certificate",
            files=[
                Directory(FOLDER),
                File(f"{DIRECTORY}/certificate", source="files/certificates/certificate", mode="755"),
                *(
                    File(
                        f"/etc/systemd/system/{unit}",
                        source=f"templates/certificates/{unit}.j2",
                        data={"folder": FOLDER},
                    )
                    for unit in (SERVICE, TIMER)
                ),
            ],
            check=f"sh -n {DIRECTORY}/certificate && systemd-analyze verify /etc/systemd/system/{TIMER}",
            restarts=[TIMER],
        )


def activate() -> None:
    """The timer begins at once."""
    if in_group():
        service(name="Keep this host's certificate good", units=[Unit(TIMER)])
