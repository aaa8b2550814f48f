"""postgres: Debian's PostgreSQL for the app servers alone, with the application's database and its role."""

from pyinfra import host

from tasks.host_scripts import DIRECTORY
from tasks.lib.files import File, config_files
from tasks.lib.ports import Port
from tasks.lib.services import Unit, service

PACKAGES = ["postgresql-17"]
PORTS = [Port(5432, sources=("app_cidrs",))]

CLUSTER = "/etc/postgresql/17/main"
SERVER = "postgresql@17-main.service"
ROLE = "corral-database.service"


def configure() -> None:
    """Debian's configuration stays as it is, but for who may come in; ours is beside it in conf.d."""
    config_files(
        name="Configure Postgres",
        files=[
            File(f"{CLUSTER}/conf.d/corral.conf", source="templates/postgres/corral.conf.j2"),
            File(
                f"{CLUSTER}/pg_hba.conf",
                source="templates/postgres/pg_hba.conf.j2",
                owner="postgres",
                group="postgres",
                mode="640",
            ),
            # The private address may come late; without it the server would listen for nobody.
            File(f"/etc/systemd/system/{SERVER}.d/corral.conf", source="templates/postgres/server.conf"),
        ],
        # Reads all of the configuration to print one value of it; the server that runs sees nothing of this.
        check="runuser -u postgres -- /usr/lib/postgresql/17/bin/postgres -C listen_addresses"
        f" -D /var/lib/postgresql/17/main -c config_file={CLUSTER}/postgresql.conf",
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
