"""What `corral logs` asks for, and how it shows a line and a request's way, without an Elasticsearch."""

from datetime import UTC, datetime, timedelta

import click
import pytest

from corral.errors import CorralError
from corral.logs import show, trace
from corral.logs.event import Event
from corral.logs.follow import follow
from corral.logs.query import LEVELS, Wanted, at_least, between, moment, not_before, query, rank

NOW = datetime(2026, 11, 26, 8, 30, tzinfo=UTC)


def event(**more):
    return Event("1", {"@timestamp": "2026-11-26T08:30:00.123Z", "message": "said"} | more)


@pytest.mark.parametrize(
    ("text", "ago"),
    [("90s", 90), ("15m", 900), ("2h", 7200), ("1d", 86400), ("1w", 604800)],
)
def test_a_moment_is_so_long_ago(text, ago):
    assert moment(text, NOW) == NOW - timedelta(seconds=ago)


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("2026-11-26", datetime(2026, 11, 26, tzinfo=UTC)),
        ("2026-11-26T08:30", NOW),
        ("2026-11-26T09:30+01:00", NOW),
        ("2026-11-26T08:30:00.000Z", NOW),
    ],
)
def test_a_moment_is_in_utc_unless_it_says_otherwise(text, when):
    assert moment(text, NOW) == when


@pytest.mark.parametrize("text", ["", "soon", "15", "15 m", "-5m", "99999999999d", "2026-13-01"])
def test_what_is_no_moment_is_refused(text):
    with pytest.raises(CorralError, match="is no moment"):
        moment(text, NOW)


def test_the_whole_query():
    wanted = Wanted(
        text=r"a/b \/c/ level:x",
        hosts=["i-1", "i-2*"],
        roles=["app"],
        level="error",
        request="r-1",
        since=NOW,
        until=NOW + timedelta(minutes=1),
    )
    worse = ["error", "err", "fatal", "critical", "crit", "alert", "emerg", "panic"]
    either = [{"wildcard": {"host.name": {"value": name}}} for name in ("i-1", "i-2*")]
    assert query(wanted) == {
        "bool": {
            "filter": [
                {
                    "range": {
                        "@timestamp": {"gte": "2026-11-26T08:30:00+00:00", "lt": "2026-11-26T08:31:00+00:00"}
                    }
                },
                {"bool": {"should": either}},
                {"bool": {"should": [{"wildcard": {"corral.role": {"value": "app"}}}]}},
                {"terms": {"log.level": worse}},
                {"term": {"http.request.id": "r-1"}},
                {"query_string": {"query": r"a\/b \/c\/ level:x", "default_operator": "AND"}},
            ]
        }
    }
    assert query(Wanted()) == {"bool": {"filter": []}}


def test_only_indexes_with_something_new_are_asked():
    asked = query(Wanted())
    part = [{"term": {"_index": "b"}}, {"range": {"_seq_no": {"gt": 4, "lte": 6}}}]
    new = [{"term": {"_index": "c"}}, {"range": {"_seq_no": {"gt": -1, "lte": 0}}}]
    parts = [{"bool": {"filter": each}} for each in (part, new)]
    assert between(asked, {"a": 5, "b": 4}, {"a": 5, "b": 6, "c": 0}) == {
        "bool": {"filter": [asked, {"bool": {"should": parts, "minimum_should_match": 1}}]}
    }


def test_of_known_indexes_only_the_newest_lines_are_counted():
    (known, others) = not_before({"a": 3})["bool"]["should"]
    assert known["bool"]["filter"] == [{"term": {"_index": "a"}}, {"range": {"_seq_no": {"gte": 3}}}]
    assert others == {"bool": {"must_not": {"terms": {"_index": ["a"]}}}}
    assert not_before({}) == {"match_all": {}}


def test_levels_of_everybody_are_one_of_ours():
    assert [rank(word) for word in ("notice", "warning", "err", "panic", "odd", "")] == [
        "info",
        "warn",
        "error",
        "fatal",
        None,
        None,
    ]
    assert set(at_least("trace")) > set(LEVELS)


def test_following_shows_what_had_its_number_a_second_ago():
    heads = iter([{"a": 3}, {"a": 3}, {"a": 5}, {"a": 5, "b": 0}])
    asked = []

    def lines(after, to):
        asked.append((after, to))
        return [event()]

    found = follow(lambda _: next(heads), lambda known: [event(first=known)], lines, sleep=lambda _: None)
    assert next(found).source["first"] == {"a": 3}
    assert [next(found), next(found)] == [event(), event()]
    assert asked == [({"a": 3}, {"a": 5}), ({"a": 5}, {"a": 5, "b": 0})]


def test_no_line_can_command_the_terminal_or_take_two_lines():
    nasty = "a\x1b[2J\nb\r\x9bm\u2028\u202ec\x00"
    assert show.plain(nasty) == r"a\x1b[2J\nb\r\x9bm\u2028\u202ec\x00"
    shown = click.unstyle(
        show.line(event(message=nasty, host={"name": nasty}, http={"request": {"id": nasty}}))
    )
    assert shown.isprintable()


# What a terminal is told (ECMA-48, SGR).
COLOURS = {
    "bold red": "\x1b[31m\x1b[1m",
    "red": "\x1b[31m",
    "yellow": "\x1b[33m",
    "cyan": "\x1b[36m",
    "dim": "\x1b[2m",
    "none": "",
}
END = "\x1b[0m"


@pytest.mark.parametrize(
    ("level", "colour"),
    [
        ("fatal", "bold red"),
        ("crit", "bold red"),
        ("error", "red"),
        ("err", "red"),
        ("ERROR", "red"),
        ("warn", "yellow"),
        ("WARNING", "yellow"),
        ("info", "none"),
        ("notice", "none"),
        ("debug", "dim"),
        ("trace", "dim"),
        ("odd", "none"),
    ],
)
def test_a_lines_level_and_message_have_the_colour_of_the_level(level, colour):
    shown = show.line(
        event(
            log={"level": level},
            corral={"role": "app"},
            host={"name": "i-1"},
            data_stream={"dataset": "nginx.access"},
        )
    )
    parts = [
        ("dim", "2026-11-26 08:30:00.123"),
        (colour, f"{level:5}"),
        ("cyan", "app     i-1                 nginx.access   "),
        (colour, "said"),
    ]
    assert shown == " ".join(f"{COLOURS[name]}{text}{END}" for name, text in parts)


def test_a_line_without_anything_is_shown():
    bare = Event("1", {"@timestamp": "2026-11-26T08:30:00Z"})
    assert click.unstyle(show.line(bare)).split() == ["2026-11-26", "08:30:00.000", "-", "null"]
    odd = event(message={"a": [1]}, host="x", log={"level": ["warn"]}, event={"duration": "long"})
    assert '{"a": [1]}' in show.line(odd)


@pytest.mark.parametrize(
    "absurd",
    [10**400, -(10**400), 2**63, 1e300, True, "7"],
    ids=["huge", "tiny", "a bit", "float", "bool", "text"],
)
def test_a_number_that_nobody_counts_with_is_none(absurd):
    odd = event(event={"duration": absurd}, database={"duration": absurd})
    assert show.what(odd) == "said"
    assert [each.event for each in trace.steps([odd])] == [odd]


def test_a_long_message_is_cut():
    assert len(show.what(event(message="x" * 1_000_000))) == show.LONGEST


def test_a_way_is_in_the_order_in_which_things_began():
    def step(milliseconds, **more):
        return event(**{"@timestamp": f"2026-11-26T08:30:00.{milliseconds:03d}Z"}, **more)

    status = {"response": {"status_code": 200}}
    nginx = step(100, event={"duration": 90_000_000}, service={"name": "nginx"}, http=status)
    app = step(99, event={"duration": 80_000_000}, http=status, database={"duration": 1_500_000})
    inner = step(50, event={"duration": 1_000_000})
    way = trace.steps([inner, app, nginx])
    assert [each.event for each in way] == [nginx, app, inner]
    assert [trace.offset(each, way[0]) for each in way] == [0, 9, 39]
    assert list(trace.spent(way)) == [("nginx", 90, 1), ("application", 80, 1), ("database", 1.5, 0)]
    assert list(trace.spent(trace.steps([inner]))) == []
