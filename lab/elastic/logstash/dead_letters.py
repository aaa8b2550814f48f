"""The dead-letter queue: events that Elasticsearch will never take, kept with the reason, as JSON lines.

Source: "Dead letter queues (DLQ)" of Logstash's reference. The real one's segments are binary; the names
and limits are the same.
"""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_SEGMENT = 10 * 2**20  # DeadLetterQueueWriter: segments of 10 MiB


class DeadLetters:
    """`most`: bytes of all segments; `policy`: drop_newer or drop_older; `age`: seconds or None."""

    def __init__(self, directory: Path, most: int, policy: str, age: float | None):
        self._directory, self._most, self._policy, self._age = directory, most, policy, age
        directory.mkdir(parents=True, exist_ok=True)
        self.dropped = 0

    def write(self, event: dict[str, Any], plugin: str, reason: str) -> None:
        """Keep an event, unless there is no room for it."""
        entry = {
            "timestamp": datetime.now(UTC).isoformat(),
            "plugin": plugin,
            "reason": reason,
            "event": event,
        }
        line = json.dumps(entry, ensure_ascii=False) + "\n"
        self._make_room(len(line.encode()))
        if self.size() + len(line.encode()) > self._most:
            self.dropped += 1
            return
        with self._segment().open("a") as file:
            file.write(line)

    def size(self) -> int:
        """Bytes of all segments."""
        return sum(path.stat().st_size for path in self._segments())

    def _make_room(self, more: int) -> None:
        for path in self._segments():
            old = self._age is not None and path.stat().st_mtime < time.time() - self._age
            if old or (self._policy == "drop_older" and self.size() + more > self._most):
                path.unlink()

    def _segment(self) -> Path:
        """The one that is written to: the last, or a new one when that is full."""
        segments = self._segments()
        if segments and segments[-1].stat().st_size < _SEGMENT:
            return segments[-1]
        return self._directory / f"{int(segments[-1].stem) + 1 if segments else 1}.log"

    def _segments(self) -> list[Path]:
        return sorted(self._directory.glob("*.log"), key=lambda path: int(path.stem))
