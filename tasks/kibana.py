"""kibana: shows the logs in a browser, behind nginx, which ends TLS and asks who is there."""

from tasks import certificates, data_volume, nginx
from tasks.elastic import bring_to_version
from tasks.elasticsearch import ACCOUNTS, SECRETS, waits_for
from tasks.host_scripts import DIRECTORY
from tasks.lib.files import Absent, Directory, File, config_files
from tasks.lib.logs import Log
from tasks.lib.memory import share
from tasks.lib.ports import Port
from tasks.lib.services import Unit, if_active, service

PACKAGES = ["kibana", "nginx"]
PORTS = [Port(443, sources=("release_cidrs", "client_cidrs"))]

# Neither needs the host's role, which may read the authority's key.
WITHOUT_ROLE = ["kibana", "www-data"]

UNIT = "kibana.service"
OBJECTS = "corral-kibana-objects.service"
DOOR = "nginx.service"
CERTIFIED = [UNIT, DOOR]
LOGS = [
    Log("kibana.access", "/var/log/nginx/access.json", owner="www-data", reopen=nginx.REOPEN),
    Log("kibana.error", "/var/log/nginx/error.log", owner="www-data", reopen=nginx.REOPEN, text=True),
]
KNOWN = "/etc/corral/kibana"
# Whether it is well depends on Elasticsearch, for which no converge waits: it is asked whether it answers.
HEALTH = "curl -sS -o /dev/null http://127.0.0.1:5601/api/status"
SECONDS = 300


def install() -> None:
    """After Elasticsearch (deploy.py): a Kibana that is ahead of it does not start."""
    bring_to_version("kibana", UNIT, HEALTH, SECONDS)


def configure() -> None:
    """All of the configuration is ours, of Kibana and of nginx."""
    data = {"data": f"{data_volume.PATH}/kibana"}
    config_files(
        name="Configure Kibana",
        files=[
            File(
                "/etc/kibana/kibana.yml",
                source="templates/kibana/kibana.yml.j2",
                group="kibana",
                mode="660",
                data=data | {"authority": certificates.AUTHORITY},
            ),
            File(
                f"/etc/systemd/system/{UNIT}.d/corral.conf",
                source="templates/kibana/service.conf.j2",
                data=waits_for() | data | {"secrets": SECRETS, "mib": share(8, least=512, most=2048)},
            ),
        ],
        restarts=[UNIT],
    )
    config_files(
        name="Configure what Kibana shows",
        files=[
            Directory(KNOWN),
            File(f"{KNOWN}/objects.ndjson", source="files/kibana/objects.ndjson"),
            File(f"{DIRECTORY}/kibana-objects", source="files/kibana/objects", mode="755"),
            File(
                f"/etc/systemd/system/{OBJECTS}",
                source=f"templates/kibana/{OBJECTS}.j2",
                data={
                    "certificate": certificates.CERTIFICATE,
                    "secrets": SECRETS,
                    "kibana": UNIT,
                    "objects": f"{KNOWN}/objects.ndjson",
                },
            ),
        ],
        check=f"systemd-analyze verify /etc/systemd/system/{OBJECTS}",
        restarts=[OBJECTS],
    )
    config_files(
        name="Configure the way to Kibana",
        files=[
            File(
                "/etc/nginx/nginx.conf",
                source="templates/kibana/nginx.conf.j2",
                data={"certificate": certificates.CERTIFICATE, "key": certificates.KEY},
            ),
            File(
                f"/etc/systemd/system/{DOOR}.d/corral.conf",
                source="templates/kibana/nginx-service.conf.j2",
                data={"certificate": certificates.CERTIFICATE, "accounts": ACCOUNTS},
            ),
            Absent("/etc/nginx/sites-enabled/default"),
        ],
        # Without its certificate it can't be checked, and does not run.
        check=f"! test -e {certificates.CERTIFICATE} || nginx -t -q",
        restarts=[DOOR],
    )


def activate() -> None:
    """What it shows comes to it when it is well; nobody waits for that."""
    service(
        name="Run Kibana, and nginx before it",
        units=[
            Unit(UNIT, health=if_active(UNIT, HEALTH), health_seconds=SECONDS),
            Unit(OBJECTS),
            Unit(DOOR),
        ],
    )
