"""release: the release server: a repository to push to, builds within limits, and corral itself."""

from pyinfra import host

from tasks import data_volume, postgres
from tasks.lib.archives import archives, pinned
from tasks.lib.files import Directory, File, Link, config_files
from tasks.lib.users import system_user
from tasks.process_manager import RUNTIMES

# The application's tests start a Postgres of their own.
PACKAGES = ["git", "postgresql-17"]
USER = "release"
# Builds run what others wrote.
WITHOUT_ROLE = [USER]

DATA = f"{data_volume.PATH}/release"
PLACES = {
    "home": f"{DATA}/home",
    "releases": f"{DATA}/releases",
    "logs": f"{DATA}/logs",
    "repository": f"{DATA}/repository.git",
}
BIN = "/usr/local/bin"
UNIT = "corral-build@.service"
ENVIRONMENT = "/etc/corral/release.env"


def prepare() -> None:
    """The package alone, without a server that runs all the time."""
    postgres.prepare()


def install() -> None:
    """The same Node as on the app servers."""
    system_user(name="Make the user that builds releases", user=USER, home=PLACES["home"])
    archives(
        name="Install Node, npm and the packages of corral",
        archives=pinned("node", "npm", "packages"),
        source=f"s3://{host.data.releases_bucket}/runtimes",
        directory=RUNTIMES,
    )


def configure() -> None:
    """No unit runs until somebody asks for a build."""
    theirs = {"owner": USER, "group": USER}
    pushes = {"owner": host.data.ssh_user, "group": host.data.ssh_user}
    repository = PLACES["repository"]
    config_files(
        name="Make the places of builds, and the repository to push to",
        files=[
            Directory(DATA),
            Directory(PLACES["home"], **theirs),
            Directory(PLACES["releases"], **theirs),
            Directory(PLACES["logs"]),
            # What `git init --bare` makes, as far as git asks for it (gitrepository-layout(5)).
            Directory(repository, **pushes),
            Directory(f"{repository}/objects", **pushes),
            Directory(f"{repository}/refs", **pushes),
            File(f"{repository}/HEAD", content="ref: refs/heads/main\n", **pushes),
            File(f"{repository}/config", source="templates/release/repository.conf", **pushes),
            File("/etc/gitconfig", source="templates/release/gitconfig.j2", data=PLACES),
        ],
        check=f"git --git-dir={repository} rev-parse --is-bare-repository >/dev/null",
    )
    config_files(
        name="Install corral and what builds releases",
        files=[
            Link(f"{BIN}/node", target=f"{RUNTIMES}/node/bin/node"),
            Link(f"{BIN}/npm", target=f"{RUNTIMES}/npm/bin/npm-cli.js"),
            File(ENVIRONMENT, source="templates/release/release.env.j2", data=PLACES),
            *(
                File(f"{BIN}/{name}", source=f"files/release/{name}", mode="755")
                for name in ("corral", "corral-build")
            ),
            File(f"/etc/systemd/system/{UNIT}", source=f"templates/release/{UNIT}.j2", data=PLACES),
        ],
        check=f"sh -n {BIN}/corral && sh -n {BIN}/corral-build && {BIN}/npm --version >/dev/null"
        f" && systemd-analyze verify /etc/systemd/system/{UNIT}",
    )
