"""postgres: Debian's PostgreSQL for the app servers alone, with the application's database and its role."""

from pyinfra import host

from tasks import data_volume
from tasks.host_scripts import DIRECTORY
from tasks.lib.clusters import cluster
from tasks.lib.files import File, config_files
from tasks.lib.logs import Log
from tasks.lib.ports import Port
from tasks.lib.services import Unit, service

PACKAGES = ["postgresql-17"]
PORTS = [Port(5432, sources=("app_cidrs",))]

CONFIGURATION = "/etc/postgresql/17/main"
DATA = f"{data_volume.PATH}/postgresql/17/main"
SERVER = "postgresql@17-main.service"
ROLE = "corral-database.service"
LOGS = [
    Log(
        "postgresql.log",
        "/var/log/postgresql/postgresql.json",
        owner="postgres",
        group="postgres",
        user="root root",
        # Who is not there opens it when he comes.
        reopen=f"[ ! -e {DATA}/postmaster.pid ] ||"
        f" runuser -u postgres -- /usr/lib/postgresql/17/bin/pg_ctl logrotate -s -D {DATA}",
    )
]


def prepare() -> None:
    """Debian's package would make a cluster of its own, and start it."""
    config_files(
        name="Let Postgres's package make no database",
        files=[
            File(
                "/etc/postgresql-common/createcluster.d/corral.conf",
                source="templates/postgres/createcluster.conf",
            )
        ],
    )


def install() -> None:
    """After the volume of data is mounted."""
    cluster(
        name="Adopt the database, or make one",
        version="17",
        directory=DATA,
        mount=data_volume.PATH if data_volume.has_volume() else "",
    )


def configure() -> None:
    """All of the configuration is ours, as the data may come from another host."""
    ours = {"data_directory": DATA, "configuration": CONFIGURATION}
    readable = {"owner": "postgres", "group": "postgres", "mode": "640"}
    config_files(
        name="Configure Postgres",
        files=[
            File(
                f"{CONFIGURATION}/postgresql.conf", source="templates/postgres/postgresql.conf.j2", data=ours
            ),
            File(f"{CONFIGURATION}/pg_hba.conf", source="templates/postgres/pg_hba.conf.j2", **readable),
            File(f"{CONFIGURATION}/pg_ident.conf", source="templates/postgres/pg_ident.conf", **readable),
            File(
                f"/etc/systemd/system/{SERVER}.d/corral.conf",
                source="templates/postgres/server.conf.j2",
                data={
                    "data_volume": data_volume.has_volume(),
                    "volume_unit": data_volume.UNIT,
                    "mount": data_volume.PATH,
                },
            ),
        ],
        # Reads all of the configuration to print one value of it; the server that runs sees nothing of this.
        check="runuser -u postgres -- /usr/lib/postgresql/17/bin/postgres -C listen_addresses"
        f" -D {DATA} -c config_file={CONFIGURATION}/postgresql.conf",
        restarts=[SERVER],
    )
    config_files(
        name="Install what makes the application's role and database",
        files=[
            File(f"{DIRECTORY}/database-role", source="files/postgres/database-role", mode="755"),
            File(
                f"/etc/systemd/system/{ROLE}",
                source="templates/postgres/corral-database.service.j2",
                data={
                    "server": SERVER,
                    "database_password_command": host.data.get("database_password_command")
                    or f"{DIRECTORY}/aws ssm-get {host.data.database_password_parameter}",
                },
            ),
        ],
        check=f"systemd-analyze verify /etc/systemd/system/{ROLE}",
        restarts=[ROLE],
    )


def activate() -> None:
    """The role's unit follows each start of the server; a changed password takes one restart of it."""
    listens = f"pg_isready -q -h {host.data.private_address}"
    service(
        name="Run Postgres",
        units=[Unit("postgresql.service"), Unit(SERVER, health=listens), Unit(ROLE)],
    )
