"""app: the application's settings, its logs, and the release that serves."""

from pyinfra import host

from tasks import nginx
from tasks.host_scripts import DIRECTORY
from tasks.lib.files import Directory, File, config_files
from tasks.lib.logs import Log
from tasks.lib.releases import release, watch_release
from tasks.process_manager import DRAIN_MS

# What is written past the application's own log is in the other one.
LOGS = [
    Log(
        f"app.{name}",
        f"/var/log/{{project}}-app/{file}.log",
        owner="app",
        group="app",
        user="app app",
        reopen=f"{DIRECTORY}/app-processes reopen-logs",
        text=name == "console",
    )
    for name, file in (("log", "app"), ("console", "console"))
]


def configure() -> None:
    """Changed settings come to serve like a new release does: beside the old ones first."""
    config_files(
        name="Configure the application",
        files=[
            Directory("/srv/app"),
            File(
                "/etc/corral/app.env",
                source="templates/app/app.env.j2",
                data={"drain_ms": DRAIN_MS},
            ),
        ],
    )


def serve() -> None:
    """After all units run, PM2 among them (tasks/process_manager.py)."""
    version = str(host.data.get("release") or "")
    release(
        name="Serve the release",
        bucket=host.data.releases_bucket,
        environment=host.data.environment,
        version=version,
        directory=host.data.get("release_directory") or "",
        trial_seconds=host.data.trial_seconds,
        hold=host.data.get("release_hold") or "",
    )
    # Only a rollout asks for this (corral/rollout/push.py).
    if times := int(host.data.get("release_checks") or 0):
        watch_release(
            name="See whether the release stays ready", version=version, times=times, doors=nginx.ASKED
        )
