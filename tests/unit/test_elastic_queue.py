"""Logstash's queue on disk: whatever happens, what was put in comes out, in order, until it is done with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.elastic.logstash.dead_letters import DeadLetters
from lab.elastic.logstash.queues import PersistentQueue

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(1, 5)),
        st.tuples(st.just("get"), st.integers(1, 5)),
        st.sampled_from([("acknowledge", 0), ("kill", 0), ("close", 0)]),
    ),
    max_size=60,
)


def opened(folder, most=10**9, page=100):
    return PersistentQueue(folder, most, page, acks=1, writes=0)


@given(STEPS)
def test_after_any_steps_and_kills_nothing_is_missing(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("queue")
    queue = opened(folder)
    put, got, done = 0, 0, 0
    for step, count in steps:
        if step == "put":
            assert queue.put([{"n": put + each} for each in range(count)], 0)
            put += count
        elif step == "get":
            events = queue.get(count, 0)
            assert [each["n"] for each in events] == list(range(got, min(put, got + count)))
            got += len(events)
        elif step == "acknowledge":
            queue.acknowledge()
            done = got
        else:
            if step == "close":
                queue.close()
            queue = opened(folder)
            got = done
    assert queue.sizes()[0] == put - got
    assert [each["n"] for each in queue.get(10**6, 0)] == list(range(got, put))


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_half_a_record_at_the_end_is_nothing(tmp_path, cut):
    queue = opened(tmp_path)
    queue.put([{"n": 1}, {"n": 2}], 0)
    page = tmp_path / "page.0"
    page.write_bytes(page.read_bytes()[:-cut])
    again = opened(tmp_path)
    again.put([{"n": 3}], 0)
    assert [each["n"] for each in again.get(9, 0)] == ([1, 3] if cut < 16 else [3])


def test_a_full_queue_takes_no_more_until_it_is_read_and_keeps_no_old_pages(tmp_path):
    queue = opened(tmp_path, most=200, page=50)
    while queue.put([{"n": 1}], 0):
        pass
    queue.get(100, 0)
    assert not queue.put([{"n": 1}], 0)
    queue.acknowledge()
    assert queue.put([{"n": 1}], 0)
    assert len(list(tmp_path.glob("page.*"))) <= 2


def test_dead_letters_have_a_limit(tmp_path):
    event = {"message": "x" * 100}
    newer = DeadLetters(tmp_path / "newer", 1000, "drop_newer", None)
    for _ in range(10):
        newer.write(event, "elasticsearch", "status: 400")
    assert newer.size() <= 1000 and newer.dropped > 0
    older = DeadLetters(tmp_path / "older", 1000, "drop_older", None)
    for number in range(10):
        older.write({**event, "n": number}, "elasticsearch", "status: 400")
    assert older.size() <= 1000 and older.dropped == 0
    assert '"n": 9' in "".join(path.read_text() for path in (tmp_path / "older").glob("*.log"))
