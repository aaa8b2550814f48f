"""The registry: up to where each file is acknowledged, safe against a kill -9 at any moment.

Filebeat's own form (libbeat/statestore/backend/memlog): `log.json` takes one operation after the other, of
two lines each; when it grows, everything goes to a new `<id>.json` that `active.dat` names, and the log
begins anew.
"""

import json
import os
from pathlib import Path
from typing import Any

_LONGEST_LOG = 10 * 2**20  # memlog: checkpoint when the log is larger than 10 MiB


class Registry:
    """`states`: by key, {"cursor": …, "meta": …}."""

    def __init__(self, directory: Path, mode: int = 0o600):
        self._directory = directory
        self._mode = mode
        directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        self._write("meta.json", json.dumps({"version": "1"}))
        self.states, self._id = _checkpoint(directory)
        for operation, entry in _operations(directory / "log.json", self._id):
            self._id = operation["id"]
            if operation["op"] == "set":
                self.states[entry["k"]] = entry["v"]
            else:
                self.states.pop(entry["k"], None)
        self._compact()

    def set(self, states: dict[str, dict[str, Any]]) -> None:
        """Note the states of some keys; they are in the file when this returns."""
        for key, state in states.items():
            self.states[key] = state
            self._append("set", {"k": key, "v": state})
        self._flush()

    def remove(self, key: str) -> None:
        """Forget a key."""
        if self.states.pop(key, None) is not None:
            self._append("remove", {"k": key})
            self._flush()

    def _append(self, operation: str, entry: dict[str, Any]) -> None:
        self._id += 1
        self._log.write(f"{json.dumps({'op': operation, 'id': self._id})}\n{json.dumps(entry)}\n")

    def _flush(self) -> None:
        self._log.flush()
        if self._log.tell() > _LONGEST_LOG:
            self._log.close()
            self._compact()

    def _compact(self) -> None:
        """All states into a checkpoint; also what removes half an operation from the log's end."""
        old = {path.name for path in self._directory.glob("[0-9]*.json")}
        name = f"{self._id}.json"
        self._write(name, json.dumps([{"_key": key, **state} for key, state in self.states.items()]))
        self._write("active.dat", str(self._directory / name))
        self._write("log.json", "")
        self._log = (self._directory / "log.json").open("a")
        for each in old - {name}:
            (self._directory / each).unlink()

    def _write(self, name: str, content: str) -> None:
        beside = self._directory / f"{name}.new"
        with beside.open("w") as file:
            os.fchmod(file.fileno(), self._mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._directory / name)


def _checkpoint(directory: Path) -> tuple[dict[str, dict[str, Any]], int]:
    active = directory / "active.dat"
    if not active.exists():
        return {}, 0
    path = directory / Path(active.read_text().strip()).name
    return {entry.pop("_key"): entry for entry in json.loads(path.read_text())}, int(path.stem)


def _operations(path: Path, after: int) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The log's whole operations; those that a checkpoint has already are left out."""
    found = []
    lines = path.read_text().splitlines() if path.exists() else []
    for first, second in zip(lines[::2], lines[1::2], strict=False):
        try:
            operation, entry = json.loads(first), json.loads(second)
        except ValueError:  # The last one was being written when the process was killed.
            break
        if operation["id"] > after:
            found.append((operation, entry))
    return found
