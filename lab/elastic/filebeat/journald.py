"""The journald input: follows the host's journal through journalctl, from the cursor that the registry has.

Sources, of github.com/elastic/beats: filebeat/input/journald/pkg/journalctl/ (it runs journalctl too),
pkg/journalfield/default.go (names of fields), conv.go.
"""

import json
import queue
import subprocess
import threading
import time
from datetime import UTC, datetime
from typing import Any

from lab.elastic import settings
from lab.elastic.filebeat.events import Event
from lab.elastic.filebeat.filestream import Log
from lab.elastic.filebeat.registry import Registry

_FIELDS = {
    "MESSAGE": "message",
    "PRIORITY": "log.syslog.priority",
    "SYSLOG_FACILITY": "log.syslog.facility.code",
    "SYSLOG_IDENTIFIER": "log.syslog.appname",
    "_BOOT_ID": "journald.host.boot_id",
    "_COMM": "journald.process.name",
    "_GID": "journald.gid",
    "_HOSTNAME": "host.hostname",
    "_MACHINE_ID": "host.id",
    "_PID": "journald.pid",
    "_SYSTEMD_UNIT": "systemd.unit",
    "_TRANSPORT": "systemd.transport",
    "_UID": "journald.uid",
}
_NUMBERS = {"PRIORITY", "SYSLOG_FACILITY", "_GID", "_PID", "_UID"}
_AGAIN = 5.0  # seconds until journalctl is started again


class Journald:
    """One input; `read` gives what there is by now."""

    def __init__(self, given: dict[str, Any], registry: Registry, log: Log):
        self.given = given
        self._log = log
        self._key = f"journald::LOCAL_SYSTEM_JOURNAL::{given['id']}"
        self._cursor = registry.states.get(self._key, {}).get("cursor", {}).get("position")
        # Few wait here: what is not read yet is in the journal.
        self._lines: queue.Queue[bytes] = queue.Queue(1000)
        threading.Thread(target=self._follow, daemon=True).start()

    def read(self, limit: int) -> list[Event]:
        """At most `limit` new events, in the journal's order."""
        events: list[Event] = []
        while len(events) < limit and not self._lines.empty():
            try:
                events.append(self._event(json.loads(self._lines.get())))
            except (ValueError, KeyError) as error:
                self._log(f"could not parse an entry of the journal: {error}")
        return events

    def _follow(self) -> None:
        while True:
            with subprocess.Popen(self._command(), stdout=subprocess.PIPE) as process:
                for line in process.stdout or []:
                    self._lines.put(line)
                    self._cursor = _cursor(line) or self._cursor
            self._log(f"journalctl exited with code {process.returncode}, restarting it in {_AGAIN:g} s")
            time.sleep(_AGAIN)

    def _command(self) -> list[str]:
        where = {"head": ["--no-tail"], "tail": ["--lines=0"]}[self.given["seek"]]
        after = [f"--after-cursor={self._cursor}"] if self._cursor else where
        chosen = [f"--unit={each}" for each in self.given["units"]]
        chosen += [f"--identifier={each}" for each in self.given["syslog_identifiers"]]
        return ["journalctl", "--utc", "--output=json", "--all", "--no-pager", "--follow", *after, *chosen]

    def _event(self, entry: dict[str, Any]) -> Event:
        moment = datetime.fromtimestamp(int(entry["__REALTIME_TIMESTAMP"]) / 1e6, UTC)
        fields = {
            _FIELDS[name]: int(value) if name in _NUMBERS else _text(value)
            for name, value in entry.items()
            if name in _FIELDS
        }
        fields |= {"event.kind": "event", "input.type": "journald"}
        cursor = {"position": entry["__CURSOR"], "version": 1}
        state = {"cursor": cursor, "meta": None, "updated": time.time()}
        return Event(moment, settings.expand(fields), self._key, state, {})


def _text(value: Any) -> str:
    """journalctl writes what isn't UTF-8 as a list of bytes, and a repeated field as a list of its values."""
    if isinstance(value, list) and all(isinstance(each, int) for each in value):
        return bytes(value).decode(errors="replace")
    return str(value)


def _cursor(line: bytes) -> str | None:
    try:
        cursor: str | None = json.loads(line).get("__CURSOR")
        return cursor
    except ValueError:
        return None
