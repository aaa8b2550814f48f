"""logging: what the tasks of this host's role write in their LOGS is rotated, and shipped by Filebeat.

A rotated file is the spool: it stays for as many days as the settings say, and Filebeat reads it to its end,
whenever the log server is there again. All else comes from the journal (docs/logs.md).
"""

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

from pyinfra import host

from tasks import certificates
from tasks.host_scripts import DIRECTORY
from tasks.lib.files import Absent, Directory, File, config_files
from tasks.lib.groups import in_group
from tasks.lib.logs import Log
from tasks.lib.packages import upgrade
from tasks.lib.services import Unit, service, stays

PACKAGES = ["logrotate"]
FLEET_PACKAGES = ["filebeat"]
CERTIFIED = ["filebeat.service"]

FOLDER = "/var/log/corral"
INPUTS = "/etc/filebeat/inputs.d"
# One line a minute, so that a host that has nothing to say is not taken for a silent one.
PULSE = Log("corral.host", f"{FOLDER}/host.json")
LOGS = [PULSE]

PULSES, TIMER = "corral-pulse.service", "corral-pulse.timer"
# Files of packages and of older bundles that would rotate the same logs.
OTHERS = ("nginx", "corral-nginx", "corral-app")
# By its first bytes a file is known whatever its name becomes, and is not taken for the one whose inode it
# has got. Fewer than these Filebeat does not take (filestream, fswatch.go).
FINGERPRINT = 64
WITHOUT_TLS = "-E output.logstash.ssl.enabled=false"


def install() -> None:
    """After the log server's programs (deploy.py). Another version is restarted with the rest, in the end."""
    if in_group():
        upgrade(
            name="Bring Filebeat to its version",
            package="filebeat",
            version=host.data.elastic["version"],
            restarts=["filebeat.service"],
        )


def configure() -> None:
    """How each log is rotated, and where Filebeat reads and sends it."""
    logs = [log for log in host.data.logs if in_group() or log != PULSE]
    pulse = [
        File(f"{DIRECTORY}/pulse", source="files/logging/pulse", mode="755"),
        *(File(f"/etc/systemd/system/{unit}", source=f"files/logging/{unit}") for unit in (PULSES, TIMER)),
    ]
    config_files(
        name="Rotate logs, and note how this host is",
        files=[
            Directory(FOLDER, group="adm", mode="750"),
            File(
                "/etc/logrotate.d/corral",
                source="templates/logging/logrotate.j2",
                data={"stanzas": list(stanzas(logs, host.data.project))},
            ),
            *(
                File(
                    f"/etc/systemd/system/logrotate.{kind}.d/corral.conf", source=f"files/logging/{kind}.conf"
                )
                for kind in ("service", "timer")
            ),
            *(Absent(f"/etc/logrotate.d/{name}") for name in OTHERS),
            *(pulse if in_group() else []),
        ],
        check="logrotate --debug /etc/logrotate.d/corral",
        restarts=["logrotate.timer", *([TIMER] if in_group() else [])],
    )
    if not in_group():
        return
    config_files(
        name="Configure Filebeat and what it reads",
        files=[
            File(
                "/etc/filebeat/filebeat.yml",
                source="templates/logging/filebeat.yml.j2",
                mode="600",
                data={
                    "authority": certificates.AUTHORITY,
                    "certificate": certificates.CERTIFICATE,
                    "key": certificates.KEY,
                },
            ),
            # A log that no task has any more is read no longer.
            Directory(INPUTS, purge=True),
            *(
                File(f"{INPUTS}/{given['id']}.yml", content=text(given), mode="600")
                for given in inputs(logs, host.data.project)
            ),
            File(
                "/etc/systemd/system/filebeat.service.d/corral.conf",
                source="templates/logging/filebeat.conf.j2",
                data={"certificate": certificates.CERTIFICATE},
            ),
        ],
        # Its certificate comes after the first converge: until then it is checked without.
        check=f"filebeat test config $(test -e {certificates.CERTIFICATE} || echo {WITHOUT_TLS})",
        restarts=["filebeat.service"],
    )


def activate() -> None:
    """Filebeat skips itself until this host has a certificate, which starts it (tasks/certificates.py)."""
    # `filebeat test config` reads no files of inputs: one that it can't take ends it at its start.
    filebeat = Unit("filebeat.service", health=stays("filebeat.service"), health_seconds=10)
    ships = [filebeat, Unit(TIMER)] if in_group() else []
    service(name="Rotate logs, and ship them", units=[Unit("logrotate.timer"), *ships])


def stanzas(logs: Sequence[Log], project: str) -> Iterator[dict[str, Any]]:
    """What logrotate is told: logs that the same command reopens, together."""
    names = ("owner", "group", "mode", "user", "reopen")
    for alike, files in groupby(logs, attrgetter(*names)):
        paths = [each.path.format(project=project) for each in files]
        yield dict(zip(names, alike, strict=True)) | {"paths": paths}


def inputs(logs: Sequence[Log], project: str) -> Iterator[dict[str, Any]]:
    """Filebeat's inputs: a log with its rotated files (templates/logging/logrotate.j2), each; the journal."""
    for log in logs:
        path = log.path.format(project=project)
        yield (
            _input(log.dataset, "filestream")
            | ({"tags": ["text"]} if log.text else {})
            | {
                "paths": [path, f"{path}-*"],
                "file_identity.fingerprint": None,
                "prospector.scanner.fingerprint.enabled": True,
                "prospector.scanner.fingerprint.length": FINGERPRINT,
                # How soon a new file is seen, and a new line.
                "prospector.scanner.check_interval": "5s",
                "backoff.init": "1s",
                "backoff.max": "2s",
            }
        )
    yield _input("system.journal", "journald")


def _input(dataset: str, kind: str) -> dict[str, Any]:
    """`dataset` names the input for good: by another id Filebeat would read everything again."""
    fields = {"data_stream": {"dataset": dataset}}
    return {"type": kind, "id": dataset, "fields_under_root": True, "fields": fields}


def text(given: dict[str, Any]) -> str:
    """A file of inputs; JSON is YAML."""
    head = "# Managed by corral (tasks/logging.py): changes made here are undone by the next converge.\n"
    return f"{head}{json.dumps([given], indent=2)}\n"
