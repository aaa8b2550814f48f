"""Lines that nobody expects, on the way into the real Elasticsearch: each is kept, and harms no other."""

import json

import pytest

from tests.local.elastic import Filebeat, line, stamp, until
from tests.local.elastic_engine import node_of_the_package
from tests.local.elastic_pipeline import SHIPPED, Logstash


def odd(message, **more):
    return {"@timestamp": stamp(1), "message": message, "log.level": "info"} | more


def nested(depth):
    return {"in": nested(depth - 1)} if depth else 1


# Lines that are no object of JSON.
PLAIN = ["plain words", '["an array", 1]', "5", '{"message": "half an object', '{"message": "odd"} tail', ""]
# What finds each, and the line.
ODD = {
    "message:large": odd("large", big="x" * 1_000_000),
    "message:spoken": odd("spoken " + "word " * 200_000),
    "line.conflict:string": odd("conflict", conflict="string"),
    "line.conflict.inner:object": odd("conflict", conflict={"inner": "object"}),
    "line.conflict:5": odd("conflict", conflict=5),
    "line.conflict:true": odd("conflict", conflict=True),
    "line.conflict.three:3": odd("conflict", conflict=[1, "two", {"three": 3}, None, [4.5]]),
    "message:deep": odd("deep", deep=nested(90)),
    "message:names": odd(
        "names", **{"": 1, ".": 2, "a..b": 3, "a[b]": 4, "_id": 5, "@metadata": {"_id": "x"}}
    ),
    "message:forged": odd("forged", host={"name": "other"}, **{"host.name": "other", "data_stream": "none"}),
    "message.is:object": odd({"is": "object"}),
    "message:timeless": odd("timeless", **{"@timestamp": "yesterday"}),
    "message:untimed": odd("untimed", **{"@timestamp": {"a": 1}}),
    "message:worded": odd("worded", **{"http.response.status_code": "none"}),
    "http.response.status_code:204": odd("nested", http={"response": {"status_code": 204}}),
    "log.level:warning": odd("shouted", **{"log.level": "WARNING"}),
    "line.count.number:>41": odd("counted", count=42),
    "message:many AND line.name1:1": odd("many", **{f"name{number}": number for number in range(2000)}),
    # More names than are kept in the index: this one is in the line, and finds nothing.
    "message:after": odd("after", later="too many"),
}


@pytest.fixture(scope="module")
def store():
    with node_of_the_package() as node:
        yield node


def hits(store, query="_exists_:log.offset"):
    asked = {"size": 1000, "query": {"query_string": {"query": query}}, "sort": ["log.offset"]}
    status, answer = store.ask("POST", "/logs-app-lab/_search", asked, "reader")
    return [hit["_source"] for hit in answer["hits"]["hits"]] if status == 200 else []


def written(lines):
    """Each between two good ones, as bytes."""
    return b"".join(line(number).encode() + each + b"\n" for number, each in enumerate(lines))


def test_whatever_a_line_is_it_is_kept_and_the_others_with_it(tmp_path, store):
    logstash = Logstash(tmp_path / "elk", store.authority, store.url)
    filebeat = Filebeat(tmp_path / "app", logstash.ports["beats"], store.authority, **SHIPPED)
    broken = json.dumps(odd("broken", bytes="?")).encode().replace(b"?", b"\xff\xfe")
    twins = b'{"message": "first"}{"message": "second"}'
    lines = [*(json.dumps(each).encode() for each in ODD.values()), *(each.encode() for each in PLAIN)]
    lines += [broken, twins]
    (filebeat.logs / "app.log").write_bytes(written(lines))
    # Filebeat passes over an empty line.
    total = 2 * len(lines) - 1
    with filebeat.program(), logstash.program() as pipeline:
        until(lambda: len(hits(store)) == total, lambda: f"{len(hits(store))} of {total}: {pipeline.log()}")
    assert logstash.letters() == []

    assert [each["line"]["number"] for each in hits(store, "line.number:*")] == list(range(len(lines)))
    for query, given in ODD.items():
        (found,) = hits(store, query)
        assert kept(given, found), query
        assert (found["host"], found["data_stream"]["dataset"]) == ({"name": "app-1"}, "app")
    assert not hits(store, "line.later:*")
    timeless = {each["message"] for each in hits(store, "tags:bad_time")}
    assert timeless == {"timeless", "untimed"}
    assert hits(store, "message:shouted")[0]["log"]["level"] == "warning"
    # What Filebeat makes of bytes that are no UTF-8.
    assert hits(store, "message:broken")[0]["line"]["bytes"] == "\ufffd\ufffd"
    plain = [each["message"] for each in hits(store, "tags:not_json")]
    assert plain == [*filter(None, PLAIN), twins.decode()]


def kept(given, found):
    """Whether all of the line is there: a name of the standard at the top, another below `line`."""
    for name, value in given.items():
        if name == "@timestamp" and value == stamp(1):
            there = found[name] == value
        elif name in ("message", "log.level", "http.response.status_code"):
            there = str(at(found, name)).lower() == str(value).lower()
        elif name == "http":
            there = at(found, "http.response.status_code") == 204
        else:
            there = found["line"][name] == value
        if not there:
            return False
    return True


def at(found, name):
    for part in name.split("."):
        found = found[part]
    return found
