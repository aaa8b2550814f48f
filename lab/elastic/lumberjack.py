"""Lumberjack, the protocol between Filebeat and Logstash: frames of both ends, versions 1 and 2.

A frame is a version ("1", "2"), a kind and its content; numbers are 32 bits, big-endian. Source: Elastic's
go-lumber v0.1.0 (protocol/, client/v2, server/v1, server/v2). A sender announces how many events come
("W"), sends them ("D": pairs of version 1; "J": JSON), packed or not ("C": zlib), and waits until the last
one's number is acknowledged ("A").
"""

import io
import json
import struct
import zlib
from dataclasses import dataclass
from typing import Any, BinaryIO

# No event is longer: Filebeat cuts a line at 10 MiB (message_max_bytes); a length beyond is no Lumberjack.
LONGEST = 64 * 2**20
MOST = 2**20


class ProtocolError(Exception):
    """The peer sends what is not Lumberjack."""


@dataclass(frozen=True)
class Window:
    """What a sender wants acknowledged together. `version`: the protocol's; `last`: the last number."""

    version: int
    events: list[dict[str, Any]]
    last: int


def window(events: list[bytes], compression: int) -> bytes:
    """Frames of version 2 for events (JSON objects), from number 1; `compression`: zlib's level, 0: none."""
    data = b"".join(
        struct.pack(">2sII", b"2J", number, len(event)) + event for number, event in enumerate(events, 1)
    )
    if compression:
        packed = zlib.compress(data, compression)
        data = struct.pack(">2sI", b"2C", len(packed)) + packed
    return struct.pack(">2sI", b"2W", len(events)) + data


def acknowledgement(version: int, number: int) -> bytes:
    """The frame that acknowledges all events up to `number`; 0 says no more than that the receiver lives."""
    return struct.pack(">2sI", b"%dA" % version, number)


def read_acknowledgement(stream: BinaryIO) -> int:
    """The number of the last event that the peer has; raises ProtocolError, EOFError, OSError."""
    kind: bytes = _exactly(stream, 2)
    number = _number(stream)
    if kind not in (b"2A", b"1A"):
        raise ProtocolError(f"expected an acknowledgement, got {kind!r}")
    return number


def read_window(stream: BinaryIO) -> Window | None:
    """The next window, whole; None when the peer has closed. Raises ProtocolError, EOFError, OSError."""
    first = stream.read(1)
    if not first:
        return None
    header = first + _exactly(stream, 1)
    if header not in (b"1W", b"2W"):
        raise ProtocolError(f"Invalid version or type of beats protocol: {header!r}")
    count = _number(stream, MOST)
    found: list[tuple[int, dict[str, Any]]] = []
    while len(found) < count:
        _read_frame(stream, found)
    return Window(int(first), [event for _, event in found], found[-1][0] if found else 0)


def _read_frame(stream: BinaryIO, found: list[tuple[int, dict[str, Any]]]) -> None:
    header = _exactly(stream, 2)
    if header[:1] not in (b"1", b"2"):
        raise ProtocolError(f"Invalid version of beats protocol: {header[:1]!r}")
    kind = header[1:]
    if kind == b"C":
        inner = io.BytesIO(_unpacked(_exactly(stream, _number(stream, LONGEST))))
        while inner.tell() < len(inner.getbuffer()):
            _read_frame(inner, found)
    elif kind == b"J":
        number = _number(stream)
        found.append((number, _event(_exactly(stream, _number(stream, LONGEST)))))
    elif kind == b"D":
        number, pairs = _number(stream), _number(stream, MOST)
        texts = [
            _exactly(stream, _number(stream, LONGEST)).decode(errors="replace") for _ in range(2 * pairs)
        ]
        found.append((number, dict(zip(texts[::2], texts[1::2], strict=True))))
    else:
        raise ProtocolError(f"Invalid frame type, received: {kind!r}")


def _unpacked(packed: bytes) -> bytes:
    try:
        return zlib.decompress(packed)
    except zlib.error as error:
        raise ProtocolError(f"a compressed frame is not zlib: {error}") from error


def _event(text: bytes) -> dict[str, Any]:
    try:
        event = json.loads(text.decode(errors="replace"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"an event is not JSON: {error}") from error
    if not isinstance(event, dict):
        raise ProtocolError("an event is no JSON object")
    return event


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _number(stream: BinaryIO, most: int = 2**32) -> int:
    number = int.from_bytes(_exactly(stream, 4), "big")
    if number > most:
        raise ProtocolError(f"a length of {number} is too much")
    return number


def _exactly(stream: BinaryIO, length: int) -> bytes:
    data = stream.read(length)
    if len(data) < length:
        raise EOFError("the peer closed the connection in the middle of a frame")
    return data
