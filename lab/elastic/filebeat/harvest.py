"""A file that is being read: its whole lines, from where it was read to.

Sources, of github.com/elastic/beats: filebeat/input/filestream/input.go (an empty line is no event);
libbeat/reader/readfile: line.go, strip_newline.go (where a line ends), limit.go (a long one is cut).
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

_CHUNK = 64 * 1024


@dataclass(frozen=True)
class Line:
    """`start`: its offset in the file. `cut`: whether it was longer than it may be."""

    text: str
    start: int
    cut: bool


@dataclass
class Harvest:
    """An open file. `offset`: of the first byte in `rest`, which was read and is not a whole line yet.

    `wait`, `due`: for how long it rests at its end, and until when. `active`: when it last had a line.
    """

    key: str
    path: str
    file: int
    offset: int
    fingerprint: str
    rest: bytes = b""
    skipping: int = 0  # bytes of a line beyond the longest, left out
    wait: float = 0.0
    due: float = 0.0
    active: float = field(default_factory=time.monotonic)

    def lines(self, limit: int, longest: int) -> Iterator[Line]:
        """At most `limit` of the lines that are there, without empty ones, each at most `longest` bytes."""
        while limit > 0:
            end = self.rest.find(b"\n")
            if end < 0:
                chunk = os.read(self.file, _CHUNK)
                if not chunk:
                    return
                self.rest += chunk
                if len(self.rest) > longest + _CHUNK and b"\n" not in chunk:
                    self.skipping += len(self.rest) - longest
                    self.rest = self.rest[:longest]
                continue
            line, self.rest = self.rest[:end], self.rest[end + 1 :]
            start = self.offset
            self.offset += end + 1 + self.skipping
            cut, self.skipping = bool(self.skipping) or len(line) > longest, 0
            if line := line[:longest].removesuffix(b"\r"):
                limit -= 1
                yield Line(line.decode(errors="replace"), start, cut)
