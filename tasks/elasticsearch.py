"""elasticsearch: keeps everybody's logs, with accounts in files, and what it knows of logs."""

from pyinfra import host

from tasks import certificates, data_volume
from tasks.elastic import bring_to_version
from tasks.host_scripts import DIRECTORY
from tasks.lib.files import Directory, File, config_files
from tasks.lib.memory import share
from tasks.lib.ports import Port
from tasks.lib.services import Unit, if_active, service

PACKAGES = ["elasticsearch", "python3-bcrypt"]
PORTS = [Port(9200, sources=("release_cidrs", "client_cidrs"))]

SERVER = "elasticsearch.service"
CERTIFIED = [SERVER]
ACCOUNTS = "corral-elk-accounts.service"
OBJECTS = "corral-elk-objects.service"
SECRETS = "/run/corral/secrets/elk"

CONFIGURATION = "/etc/elasticsearch"
DATA = f"{data_volume.PATH}/elasticsearch"
OBJECTS_FOLDER = "/etc/corral/elasticsearch"
# Is there, on the volume, once this Elasticsearch knows how logs are stored.
KNOWN = f"{DATA}/knows-logs"
# Without an account it says 401: it serves.
HEALTH = f"curl -sS --cacert {certificates.AUTHORITY} -o /dev/null https://localhost:9200/"
SECONDS = 180


def install() -> None:
    """Before Kibana and Logstash (deploy.py), whose versions may not be ahead of it."""
    bring_to_version("elasticsearch", SERVER, HEALTH, SECONDS)


def waits_for() -> dict[str, object]:
    """What the units of Elasticsearch, Logstash and Kibana wait for: volume, certificate, accounts."""
    return {
        "data_volume": data_volume.has_volume(),
        "volume_unit": data_volume.UNIT,
        "mount": data_volume.PATH,
        "certificate": certificates.CERTIFICATE,
        "accounts": ACCOUNTS,
    }


def configure() -> None:
    """All of the configuration is ours, but the keystore, in which nothing of ours is."""
    data = {"data": DATA}
    readable = {"group": "elasticsearch", "mode": "660"}
    config_files(
        name="Configure Elasticsearch",
        files=[
            File(
                f"{CONFIGURATION}/elasticsearch.yml",
                source="templates/elasticsearch/elasticsearch.yml.j2",
                data=data,
                **readable,
            ),
            File(
                f"{CONFIGURATION}/jvm.options.d/heap.options",
                source="templates/elasticsearch/heap.options.j2",
                # The rest is for the other programs, and for the kernel, which keeps files in it.
                data={"mib": host.data.heap_mib or share(4, least=512, most=30720)},
                **readable,
            ),
            *(
                File(f"{CONFIGURATION}/{name}", source=f"files/elasticsearch/{name}", **readable)
                for name in ("roles.yml", "users_roles")
            ),
            *(
                File(f"{DIRECTORY}/{name}", source=f"files/elasticsearch/{name}", mode="755")
                for name in ("give-folder", "give-certificate")
            ),
            File(
                f"/etc/systemd/system/{SERVER}.d/corral.conf",
                source="templates/elasticsearch/service.conf.j2",
                data=data | waits_for(),
            ),
        ],
        check=f"sh -n {DIRECTORY}/give-folder && sh -n {DIRECTORY}/give-certificate",
        restarts=[SERVER],
    )
    config_files(
        name="Configure the accounts of Elasticsearch",
        files=[
            File(f"{DIRECTORY}/elk-accounts", source="files/elasticsearch/accounts", mode="755"),
            File(
                f"/etc/systemd/system/{ACCOUNTS}",
                source=f"templates/elasticsearch/{ACCOUNTS}.j2",
                data={"directory": SECRETS},
            ),
        ],
        check=f"systemd-analyze verify /etc/systemd/system/{ACCOUNTS}",
        restarts=[ACCOUNTS],
    )
    config_files(
        name="Configure what Elasticsearch knows of logs",
        files=[
            Directory(OBJECTS_FOLDER),
            File(f"{OBJECTS_FOLDER}/logs-fields.json", source="files/elasticsearch/logs-fields.json"),
            File(f"{OBJECTS_FOLDER}/objects.json", source="templates/elasticsearch/objects.json.j2"),
            File(f"{DIRECTORY}/elk-objects", source="files/elasticsearch/objects", mode="755"),
            File(
                f"/etc/systemd/system/{OBJECTS}",
                source=f"templates/elasticsearch/{OBJECTS}.j2",
                data={
                    "server": SERVER,
                    "secrets": SECRETS,
                    "folder": OBJECTS_FOLDER,
                    "certificate": certificates.CERTIFICATE,
                    "known": KNOWN,
                    "data": DATA,
                    "authority": certificates.AUTHORITY,
                },
            ),
        ],
        check=f"python3 -m json.tool {OBJECTS_FOLDER}/objects.json /dev/null"
        f" && systemd-analyze verify /etc/systemd/system/{OBJECTS}",
        restarts=[OBJECTS],
    )


def activate() -> None:
    """Without a certificate it waits for one, and what asks it waits for it."""
    service(
        name="Run Elasticsearch",
        units=[
            # Its files are of secrets, which no converge knows: what it wrote is to stay so.
            Unit(ACCOUNTS, intact=f"sha256sum --status -c {SECRETS}/sums"),
            Unit(SERVER, health=if_active(SERVER, HEALTH), health_seconds=SECONDS),
            Unit(OBJECTS),
        ],
    )
