"""The queue between input and filters: on disk, where no kill -9 loses what was acknowledged, or in memory.

Source of what is kept when: "Persistent queues (PQ)" of Logstash's reference. The files' names are
Logstash's (page.N, checkpoint.head), their content is the stand-in's own: a page is records, each of
length, CRC-32 and JSON.
"""

import json
import os
import struct
import threading
import zlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

_HEADER = struct.Struct(">II")


class Queue(Protocol):
    """Many put, one gets."""

    def put(self, events: list[dict[str, Any]], seconds: float) -> bool:
        """Add events; False when there is no room within `seconds`, and none was added."""

    def get(self, most: int, seconds: float) -> list[dict[str, Any]]:
        """The next events, at most so many; none when none came within `seconds`."""

    def acknowledge(self) -> None:
        """All that `get` gave is done with, and need not be kept."""

    def close(self) -> None:
        """Nothing more comes."""

    def sizes(self) -> tuple[int, int]:
        """How many events wait, and in how many bytes."""


class MemoryQueue:
    """queue.type: memory. What waits is lost when the process ends."""

    def __init__(self, most: int):
        self._most = most
        self._events: deque[dict[str, Any]] = deque()
        self._changed = threading.Condition()

    def put(self, events: list[dict[str, Any]], seconds: float) -> bool:
        """As Queue says."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._events) < self._most, seconds):
                return False
            self._events.extend(events)
            self._changed.notify_all()
            return True

    def get(self, most: int, seconds: float) -> list[dict[str, Any]]:
        """As Queue says."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._events) > 0, seconds)
            found = [self._events.popleft() for _ in range(min(most, len(self._events)))]
            self._changed.notify_all()
            return found

    def acknowledge(self) -> None:
        """As Queue says."""

    def close(self) -> None:
        """As Queue says."""

    def sizes(self) -> tuple[int, int]:
        """As Queue says."""
        return len(self._events), 0


class PersistentQueue:
    """queue.type: persisted. `acks`, `writes`: after how many events to write the checkpoint, to sync."""

    def __init__(self, directory: Path, most: int, page: int, acks: int, writes: int):
        self._directory = directory
        self._most, self._page, self._acks, self._writes = most, page, acks, writes
        self._changed = threading.Condition()
        directory.mkdir(parents=True, exist_ok=True)
        self._acked = self._checkpoint()
        pages = [number for number in self._numbers() if number >= self._acked[0]]
        head = pages[-1] if pages else self._acked[0]
        self._head = self._path(head).open("ab")
        # What was being written when the process was killed was not acknowledged, and comes again.
        whole = sum(_HEADER.size + len(record) for record in _records(self._path(head)))
        self._head.truncate(whole)
        self._number, self._size = head, whole
        self._read = self._acked
        self._open = self._path(self._read[0]).open("rb")
        self._open.seek(self._read[1])
        self._waiting = sum(
            1 for number in range(self._read[0], head + 1) for _ in _records(self._path(number))
        )
        self._waiting -= sum(1 for _ in _records(self._path(self._read[0]), until=self._read[1]))
        self._unsynced = self._unnoted = 0

    def put(self, events: list[dict[str, Any]], seconds: float) -> bool:
        """As Queue says; they are in the page when this returns."""
        records = [json.dumps(event, separators=(",", ":")).encode() for event in events]
        data = b"".join(_HEADER.pack(len(each), zlib.crc32(each)) + each for each in records)
        with self._changed:
            if not self._changed.wait_for(lambda: self._bytes() < self._most, seconds):
                return False
            if self._size >= self._page:
                self._turn()
            self._head.write(data)
            self._head.flush()
            self._size += len(data)
            self._unsynced += len(records)
            if self._writes and self._unsynced >= self._writes:
                os.fsync(self._head.fileno())
                self._unsynced = 0
            self._waiting += len(records)
            self._changed.notify_all()
            return True

    def get(self, most: int, seconds: float) -> list[dict[str, Any]]:
        """As Queue says."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting > 0, seconds)
            return [self._next() for _ in range(min(most, self._waiting))]

    def acknowledge(self) -> None:
        """As Queue says; pages that are done with are removed."""
        with self._changed:
            if self._acked == self._read:
                return
            self._acked = self._read
            if self._unnoted >= self._acks > 0 or any(each < self._acked[0] for each in self._numbers()):
                self._note()
            self._changed.notify_all()

    def close(self) -> None:
        """As Queue says."""
        with self._changed:
            self._note()
            os.fsync(self._head.fileno())

    def sizes(self) -> tuple[int, int]:
        """As Queue says."""
        with self._changed:
            return self._waiting, self._bytes()

    def _next(self) -> dict[str, Any]:
        while not (header := self._open.read(_HEADER.size)):
            self._open.close()
            self._read = (self._read[0] + 1, 0)
            self._open = self._path(self._read[0]).open("rb")
        length, _ = _HEADER.unpack(header)
        event: dict[str, Any] = json.loads(self._open.read(length))
        self._read = (self._read[0], self._read[1] + _HEADER.size + length)
        self._waiting -= 1
        self._unnoted += 1
        return event

    def _turn(self) -> None:
        os.fsync(self._head.fileno())
        self._head.close()
        self._number, self._size = self._number + 1, 0
        self._head = self._path(self._number).open("ab")

    def _bytes(self) -> int:
        pages = sum(self._path(number).stat().st_size for number in self._numbers())
        return pages - self._acked[1]

    def _note(self) -> None:
        """Write up to where everything is done with, and then remove the pages before."""
        beside = self._directory / "checkpoint.head.tmp"
        with beside.open("w") as file:
            json.dump({"page": self._acked[0], "offset": self._acked[1]}, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._directory / "checkpoint.head")
        self._unnoted = 0
        for number in self._numbers():
            if number < self._acked[0]:
                self._path(number).unlink()

    def _checkpoint(self) -> tuple[int, int]:
        path = self._directory / "checkpoint.head"
        if not path.exists():
            return 0, 0
        found = json.loads(path.read_text())
        return int(found["page"]), int(found["offset"])

    def _numbers(self) -> list[int]:
        return sorted(int(path.suffix[1:]) for path in self._directory.glob("page.*"))

    def _path(self, number: int) -> Path:
        return self._directory / f"page.{number}"


def _records(path: Path, until: int | None = None) -> Iterator[bytes]:
    """The whole records of a page, up to an offset."""
    data = path.read_bytes() if path.exists() else b""
    position = 0
    while (until is None or position < until) and position + _HEADER.size <= len(data):
        length, checksum = _HEADER.unpack_from(data, position)
        record = data[position + _HEADER.size : position + _HEADER.size + length]
        if len(record) < length or zlib.crc32(record) != checksum:
            return
        yield record
        position += _HEADER.size + length
