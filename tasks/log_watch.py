"""log_watch: the log server says in S3 whose logs it has, and up to when, for `corral status` to read."""

from pyinfra import host

from tasks import certificates
from tasks.elasticsearch import ACCOUNTS
from tasks.host_scripts import DIRECTORY
from tasks.lib.files import File, config_files
from tasks.lib.services import Unit, service

UNIT = "corral-log-watch.service"


def configure() -> None:
    """It asks with the account that may read, and nothing else."""
    config_files(
        name="Configure what tells silent hosts",
        files=[
            File(f"{DIRECTORY}/log-watch", source="files/log_watch/log-watch", mode="755"),
            File(
                f"/etc/systemd/system/{UNIT}",
                source=f"templates/log_watch/{UNIT}.j2",
                data={
                    "accounts": ACCOUNTS,
                    "authority": certificates.AUTHORITY,
                    "password_command": f"{DIRECTORY}/aws ssm-get {host.data.reader_password_parameter}",
                },
            ),
        ],
        check=f"sh -n {DIRECTORY}/log-watch && systemd-analyze verify /etc/systemd/system/{UNIT}",
        restarts=[UNIT],
    )


def activate() -> None:
    """Until Elasticsearch answers it tries again."""
    service(name="Tell silent hosts", units=[Unit(UNIT)])
