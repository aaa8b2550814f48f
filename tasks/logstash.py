"""logstash: takes lines from every host's Filebeat, keeps them on disk, brings them to Elasticsearch."""

from pyinfra import host

from tasks import certificates, data_volume
from tasks.elastic import bring_to_version
from tasks.elasticsearch import KNOWN, SECRETS, waits_for
from tasks.lib.files import File, config_files
from tasks.lib.memory import share
from tasks.lib.ports import Port
from tasks.lib.services import Unit, if_active, service

PACKAGES = ["logstash"]
PORT = 5044
PORTS = [Port(PORT, sources=("app_cidrs",))]

# It need not have the host's role, which may read the authority's key.
WITHOUT_ROLE = ["logstash"]

UNIT = "logstash.service"
CERTIFIED = [UNIT]
CONFIGURATION = "/etc/logstash"
CERTIFICATES = f"{CONFIGURATION}/certificates"
HEALTH = "curl -fsS -o /dev/null http://127.0.0.1:9600/"
SECONDS = 180

# As the unit runs it, with a folder of data of its own, and little memory, as the unit has its own at this
# moment; without the certificate it has none to check.
CHECK = f"""! test -e {CERTIFICATES}/host.pem || {{
    data=$(mktemp -d) && chown logstash "$data" &&
    runuser -u logstash -- env WRITER_PASSWORD=none LS_JAVA_OPTS="-Xms256m -Xmx256m" \
        /usr/share/logstash/bin/logstash \
        --path.settings {CONFIGURATION} --path.data "$data" --config.test_and_exit >"$data/said" 2>&1 ||
        {{ cat "$data/said"; rm -rf "$data"; false; }} && rm -rf "$data"
}}"""


def install() -> None:
    """After Elasticsearch and Kibana (deploy.py), as Elastic has it; before the Filebeats that send to it."""
    bring_to_version("logstash", UNIT, HEALTH, SECONDS)


def configure() -> None:
    """One pipeline, whose file is all that parses lines (docs/logs.md)."""
    config_files(
        name="Configure Logstash",
        files=[
            File(
                f"{CONFIGURATION}/logstash.yml",
                source="templates/logstash/logstash.yml.j2",
                data={"data": f"{data_volume.PATH}/logstash"},
            ),
            File(f"{CONFIGURATION}/pipelines.yml", source="templates/logstash/pipelines.yml"),
            File(
                f"{CONFIGURATION}/conf.d/logs.conf",
                source="templates/logstash/logs.conf.j2",
                data={
                    "address": "0.0.0.0",
                    "port": PORT,
                    "certificate": f"{CERTIFICATES}/host.pem",
                    "key": f"{CERTIFICATES}/host.key",
                    "authority": certificates.AUTHORITY,
                    "elasticsearch": "https://localhost:9200",
                    "namespace": host.data.environment,
                },
            ),
            File(
                f"/etc/systemd/system/{UNIT}.d/corral.conf",
                source="templates/logstash/service.conf.j2",
                data=waits_for()
                | {
                    "data": f"{data_volume.PATH}/logstash",
                    "certificates": CERTIFICATES,
                    "known": KNOWN,
                    "secrets": SECRETS,
                    "mib": share(8, least=256, most=2048),
                },
            ),
        ],
        check=CHECK,
        restarts=[UNIT],
    )


def activate() -> None:
    """It waits for a certificate, and for Elasticsearch to know how logs are stored."""
    service(
        name="Run Logstash",
        units=[Unit(UNIT, health=if_active(UNIT, HEALTH), health_seconds=SECONDS)],
    )
