"""The filestream input: finds files by patterns, follows them through renames, reads whole lines.

Sources, of github.com/elastic/beats: filebeat/input/filestream/fswatch.go (the scan),
identifier_fingerprint.go and identifier_inode_deviceid.go (which file is which), config.go (defaults),
filestream.go (backoff).
"""

import glob
import hashlib
import os
import re
import stat
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab.elastic.filebeat.events import Event, parse_line
from lab.elastic.filebeat.harvest import Harvest, Line
from lab.elastic.filebeat.registry import Registry

Log = Callable[[str], None]


class Filestream:
    """One input; `read` gives what there is by now."""

    def __init__(self, given: dict[str, Any], registry: Registry, log: Log):
        self.given = given
        self._registry = registry
        self._log = log
        self._open: dict[str, Harvest] = {}
        self._prefix = f"filestream::{given['id']}::{given['file_identity']}::"
        self._next_scan = 0.0
        self._gone: set[str] = set()
        self._excluded = [re.compile(each) for each in given["prospector.scanner.exclude_files"]]

    def read(self, limit: int) -> list[Event]:
        """At most `limit` new events, in the order of each file's lines."""
        now = time.monotonic()
        if now >= self._next_scan:
            self._scan()
            self._next_scan = now + self.given["prospector.scanner.check_interval"]
        events: list[Event] = []
        for harvest in list(self._open.values()):
            if len(events) < limit and now >= harvest.due:
                self._follow(harvest, events, limit, now)
        return events

    def _follow(self, harvest: Harvest, events: list[Event], limit: int, now: float) -> None:
        """Read one file on; at its end look again after backoff.init, then ever later, up to backoff.max."""
        before = harvest.offset
        for line in harvest.lines(limit - len(events), self.given["message_max_bytes"]):
            events.append(self._event(harvest, line))
        if harvest.offset > before:
            harvest.active, harvest.wait = now, 0.0
        if len(events) < limit:
            harvest.wait = min(harvest.wait * 2, self.given["backoff.max"]) or self.given["backoff.init"]
            harvest.due = now + harvest.wait
            if now - harvest.active > self.given["close.on_state_change.inactive"]:
                self._close(harvest, "inactive")

    def _event(self, harvest: Harvest, line: Line) -> Event:
        state = os.fstat(harvest.file)
        file = {"path": harvest.path, "inode": str(state.st_ino), "device_id": str(state.st_dev)}
        if harvest.fingerprint:
            file["fingerprint"] = harvest.fingerprint
        log: dict[str, Any] = {"offset": line.start, "file": file}
        if line.cut:
            log["flags"] = ["truncated"]
        event = Event(
            time=datetime.now(UTC),
            fields={"log": log, "input": {"type": "filestream"}},
            key=harvest.key,
            state=self._state(harvest, harvest.offset),
            meta={},
        )
        if self.given["parsers"]:
            parse_line(event, line.text, self.given["parsers"][0])
        else:
            event.fields["message"] = line.text
        return event

    def _state(self, harvest: Harvest, offset: int) -> dict[str, Any]:
        meta = {"source": harvest.path, "identifier_name": self.given["file_identity"]}
        return {"cursor": {"offset": offset}, "meta": meta, "updated": time.time()}

    def _scan(self) -> None:
        found: dict[str, str] = {}
        for path in self._matches():
            try:
                key, state = self._identify(path)
            except OSError as error:
                self._log(f"cannot create a file descriptor for an ingest target {path!r}: {error.strerror}")
                continue
            if not key:
                continue
            if key in found:
                self._log(f"{path!r} points to an already known ingest target {found[key]!r}. Skipping")
                continue
            found[key] = path
            if harvest := self._open.get(key):
                self._seen_again(harvest, path, state.st_size)
            elif state.st_size != self._offset(key):
                self._start(key, path)
        for harvest in list(self._open.values()):
            # Filebeat lets go of a removed file at once, read or not (close.on_state_change.removed).
            removed = harvest.key not in found and not os.fstat(harvest.file).st_nlink
            if removed and self.given["close.on_state_change.removed"]:
                self._close(harvest, "removed")

        self._forget(found)

    def _forget(self, found: dict[str, str]) -> None:
        """Drop the states of files that were nowhere in two scans: one alone may fall into a rename."""
        gone = {key for key in self._registry.states if key.startswith(self._prefix)}
        gone -= {*found, *self._open}
        for key in gone & self._gone if self.given["clean_removed"] else ():
            self._registry.remove(key)
        self._gone = gone

    def _seen_again(self, harvest: Harvest, path: str, size: int) -> None:
        if path != harvest.path:
            harvest.path = path
            if self.given["close.on_state_change.renamed"]:
                return self._close(harvest, "renamed")
        if size < harvest.offset:
            self._log(f"File was truncated. Reading file from offset 0. Path={path}")
            self._close(harvest, "truncated")
            self._start(harvest.key, path)

    def _matches(self) -> list[str]:
        patterns = self.given["paths"]
        # Path has no glob for absolute patterns.
        paths = sorted({path for each in patterns for path in glob.glob(each, recursive=True)})  # noqa: PTH207
        return [path for path in paths if not any(pattern.search(path) for pattern in self._excluded)]

    def _identify(self, path: str) -> tuple[str, os.stat_result]:
        """The registry's key of a file, and its state; no key for one that is not read (yet)."""
        state = os.lstat(path)
        if stat.S_ISLNK(state.st_mode) and self.given["prospector.scanner.symlinks"]:
            state = Path(path).stat()
        older = self.given["ignore_older"]
        if (
            not stat.S_ISREG(state.st_mode)
            or not state.st_size
            or (older and time.time() - state.st_mtime > older)
        ):
            return "", state
        if not self.given["prospector.scanner.fingerprint.enabled"]:
            return f"{self._prefix}{state.st_ino}-{state.st_dev}", state
        printed = self._fingerprint(path, state.st_size)
        if self.given["file_identity"] == "native":
            return (f"{self._prefix}{state.st_ino}-{state.st_dev}" if printed else ""), state
        return (f"{self._prefix}{printed}" if printed else ""), state

    def _fingerprint(self, path: str, size: int) -> str:
        start, length = (
            self.given[f"prospector.scanner.fingerprint.{each}"] for each in ("offset", "length")
        )
        if size < start + length:
            return ""
        with Path(path).open("rb") as file:
            file.seek(start)
            return hashlib.sha256(file.read(length)).hexdigest()

    def _offset(self, key: str) -> int:
        return int(self._registry.states.get(key, {}).get("cursor", {}).get("offset", 0))

    def _start(self, key: str, path: str) -> None:
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            return self._log(f"Harvester could not be started on {path}: {error.strerror}")
        size = os.fstat(file).st_size
        if (
            self._identify(path)[0] != key
        ):  # Another file came to this name in between: the next scan sees it.
            return os.close(file)
        offset = self._offset(key) if self._offset(key) <= size else 0
        os.lseek(file, offset, os.SEEK_SET)
        printed = (
            self._fingerprint(path, size) if self.given["prospector.scanner.fingerprint.enabled"] else ""
        )
        self._open[key] = Harvest(key, path, file, offset, printed)

    def _close(self, harvest: Harvest, why: str) -> None:
        self._log(f"Closing {harvest.path}: {why}")
        os.close(harvest.file)
        del self._open[harvest.key]
