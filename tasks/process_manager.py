"""process_manager: Node and PM2 from pinned archives, and the unit whose daemon runs the application."""

from pyinfra import host

from tasks.host_scripts import DIRECTORY
from tasks.lib.archives import archives, pinned
from tasks.lib.files import File, config_files
from tasks.lib.services import Unit, service
from tasks.lib.users import system_user

RUNTIMES = "/opt/corral/runtimes"
UNIT = "corral-app.service"
DRAINS = [UNIT]

# How long a process that leaves keeps open what nginx may still use. nginx gives up unused connections to it
# after 2 s (templates/nginx/site.conf.j2), so that it is never the process that closes one under a request.
DRAIN_MS = 2500


def install() -> None:
    """Before the unit that needs them."""
    system_user(name="Make the user that runs the application", user="app", home="/srv/app")
    archives(
        name="Install Node and PM2",
        archives=pinned("node", "pm2"),
        # A machine without a bucket gets them from the one that converges it.
        source=host.data.get("runtimes_directory") or f"s3://{host.data.releases_bucket}/runtimes",
        directory=RUNTIMES,
        restarts=[UNIT],
    )


def configure() -> None:
    """What starts and stops releases, and the unit that calls it."""
    config_files(
        name="Install what starts and stops releases",
        files=[
            File(f"{DIRECTORY}/{script}", source=f"files/app/{script}", mode="755")
            for script in ("app-processes", "release-command")
        ],
        check=f"{RUNTIMES}/node/bin/node --check {DIRECTORY}/app-processes",
    )
    config_files(
        name="Configure the application's unit",
        files=[
            File(
                f"/etc/systemd/system/{UNIT}",
                source="templates/process_manager/corral-app.service.j2",
                data={
                    "runtimes": RUNTIMES,
                    "database_password_command": host.data.get("database_password_command")
                    or f"{DIRECTORY}/aws ssm-get {host.data.database_password_parameter}",
                },
            ),
        ],
        check=f"systemd-analyze verify /etc/systemd/system/{UNIT}",
        restarts=[UNIT],
    )


def activate() -> None:
    """Without a release yet, the daemon runs and waits for one."""
    service(name="Run PM2", units=[Unit(UNIT)])
