"""authority: signs the certificates of the environment's hosts, with a key that is never on a disk."""

from pyinfra import host

from tasks.host_scripts import DIRECTORY
from tasks.lib.files import File, config_files
from tasks.lib.services import Unit, service

PACKAGES = ["openssl"]
UNIT = "corral-authority.service"


def configure() -> None:
    """The unit fetches the key when it starts."""
    config_files(
        name="Configure what signs certificates",
        files=[
            File(f"{DIRECTORY}/sign", source="files/authority/sign", mode="755"),
            File(
                f"/etc/systemd/system/{UNIT}",
                source=f"templates/authority/{UNIT}.j2",
                data={"key_command": f"{DIRECTORY}/aws ssm-get {host.data.authority_key_parameter}"},
            ),
        ],
        check=f"sh -n {DIRECTORY}/sign && systemd-analyze verify /etc/systemd/system/{UNIT}",
        restarts=[UNIT],
    )


def activate() -> None:
    """This host's own certificate comes by it as well."""
    service(name="Sign certificates", units=[Unit(UNIT)])
