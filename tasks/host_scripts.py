"""host_scripts: the small programs that units and other tasks call on a host, in /usr/local/lib/corral."""

from tasks.lib.archives import UPLOADS
from tasks.lib.files import Directory, File, config_files

PACKAGES = ["curl", "jq", "zstd"]
DIRECTORY = "/usr/local/lib/corral"
SCRIPTS = ("aws", "secret", "install-archive")


def install() -> None:
    """Before anything that fetches an archive or a secret."""
    config_files(
        name="Install the host's scripts",
        files=[
            Directory(UPLOADS, mode="700"),
            *(File(f"{DIRECTORY}/{name}", source=f"files/host/{name}", mode="755") for name in SCRIPTS),
        ],
        check=" && ".join(f"sh -n {DIRECTORY}/{name}" for name in SCRIPTS),
    )
