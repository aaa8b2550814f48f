"""app: the application's settings, its logs, and the release that serves."""

from pyinfra import host

from tasks.host_scripts import DIRECTORY
from tasks.lib.files import Directory, File, config_files
from tasks.lib.releases import release
from tasks.process_manager import DRAIN_MS

PACKAGES = ["logrotate"]


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
    config_files(
        name="Rotate the application's logs",
        files=[
            File("/etc/logrotate.d/corral-app", source="templates/app/logrotate.j2", data={"bin": DIRECTORY})
        ],
        check="logrotate --debug /etc/logrotate.d/corral-app",
    )


def activate() -> None:
    """After PM2 runs (tasks/process_manager.py)."""
    release(
        name="Serve the release",
        bucket=host.data.releases_bucket,
        environment=host.data.environment,
        version=str(host.data.get("release") or ""),
        directory=host.data.get("release_directory") or "",
    )
