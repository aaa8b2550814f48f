"""The frames of Lumberjack, by the protocol's text and both ways."""

import io
import json
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.elastic import lumberjack
from lab.elastic.lumberjack import ProtocolError, Window


@given(st.lists(st.dictionaries(st.text(), st.text() | st.integers()), min_size=1), st.integers(0, 9))
def test_what_is_sent_is_read(events, compression):
    sent = lumberjack.window([json.dumps(event).encode() for event in events], compression)
    assert lumberjack.read_window(io.BytesIO(sent)) == Window(2, events, len(events))


def test_the_frames_are_those_of_the_protocol():
    assert lumberjack.window([b"{}"], 0) == b"2W\0\0\0\1" + b"2J\0\0\0\1\0\0\0\2{}"
    assert lumberjack.acknowledgement(2, 5) == b"2A\0\0\0\5"
    assert lumberjack.acknowledgement(1, 5) == b"1A\0\0\0\5"
    assert lumberjack.read_acknowledgement(io.BytesIO(b"2A\0\0\1\0")) == 256


def test_version_1_has_pairs_of_texts():
    frame = b"1D" + struct.pack(">II", 7, 1) + b"\0\0\0\4line" + b"\0\0\0\2hi"
    packed = zlib.compress(frame)
    stream = io.BytesIO(b"1W\0\0\0\1" + b"1C" + struct.pack(">I", len(packed)) + packed)
    assert lumberjack.read_window(stream) == Window(1, [{"line": "hi"}], 7)


def test_a_peer_that_closes_between_windows_is_done():
    assert lumberjack.read_window(io.BytesIO()) is None


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n",
        b"2A\0\0\0\1",
        b"2W\xff\xff\xff\xff",
        b"2W\0\0\0\1" + b"2X",
        b"2W\0\0\0\1" + b"9J",
        b"2W\0\0\0\1" + b"2J\0\0\0\1\xff\xff\xff\xff",
        b"2W\0\0\0\1" + b"2J\0\0\0\1\0\0\0\2[]",
        b"2W\0\0\0\1" + b"2J\0\0\0\1\0\0\0\2{{",
        b"2W\0\0\0\1" + b"2C\0\0\0\2xx",
    ],
)
def test_what_is_no_lumberjack_is_refused(garbage):
    with pytest.raises(ProtocolError):
        lumberjack.read_window(io.BytesIO(garbage))


def test_a_frame_that_breaks_off_is_no_window():
    whole = lumberjack.window([b'{"a": 1}'], 3)
    for length in range(1, len(whole)):
        with pytest.raises((EOFError, ProtocolError)):
            lumberjack.read_window(io.BytesIO(whole[:length]))
