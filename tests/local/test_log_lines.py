"""Lines that nobody expects, on the way into the real Elasticsearch: each is kept, and harms no other."""

import json
import re

import pytest

from lab.elastic import lumberjack
from tests.local.elastic import Authority, Filebeat, line, stamp, until
from tests.local.elastic_engine import FIELDS, node_of_the_package
from tests.local.elastic_pipeline import SHIPPED, Logstash, client, pipeline


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
    # When there are more names than the index keeps, a line with another one is stored like all others.
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
    timeless = {each["message"] for each in hits(store, "tags:bad_time")}
    assert timeless == {"timeless", "untimed"}
    assert hits(store, "message:shouted")[0]["log"]["level"] == "warning"
    # What Filebeat makes of bytes that are no UTF-8.
    assert hits(store, "message:broken")[0]["line"]["bytes"] == "\ufffd\ufffd"
    plain = [each["message"] for each in hits(store, "tags:not_json")]
    assert plain == [*filter(None, PLAIN), twins.decode()]


# What programs write, and what becomes of it beside what every event has.
NGINX = (
    '{"@timestamp":"2026-11-26T08:30:00.123+00:00","ecs.version":"1.12.0","service.name":"nginx",'
    '"service.environment":"lab","log.level":"info","message":"GET / 200","http.request.id":"r-1",'
    '"http.response.status_code":200,"event.duration":12000000,"nginx.upstream_status":"200"}'
)
# In the zone of elastic_pipeline.py.
NGINX_ERROR = "2026/11/26 08:15:00 [crit] 12#12: *1 said, and [error] is the request's"
POSTGRES = {
    "timestamp": "2026-11-26 08:30:00.123 UTC",
    "pid": 7,
    "error_severity": "WARNING",
    "state_code": "57014",
    "message": "said",
    "statement": "SELECT 1",
    "backend_type": "client backend",
}
SLOW = {"error_severity": "LOG", "backend_type": "client backend"}
TOOK = "duration: 3.1 ms  execute <unnamed>: "
JOURNAL = {"input": {"type": "journald"}, "systemd": {"unit": "x.service"}}
STANDARD = {
    "nginx": (
        {"message": NGINX},
        {
            "message": "GET / 200",
            "log": {"level": "info"},
            "service": {"environment": "lab", "name": "nginx"},
            "event": {"duration": 12000000},
            "http": {"request": {"id": "r-1"}, "response": {"status_code": 200}},
            "line": {"nginx.upstream_status": "200"},
        },
    ),
    "nginx.error": (
        {"message": NGINX_ERROR, "tags": ["text"]},
        {
            "@timestamp": "2026-11-26T07:15:00.000Z",
            "message": NGINX_ERROR,
            "tags": ["text"],
            "log": {"level": "fatal"},
            "service": {"environment": "lab", "name": "nginx"},
        },
    ),
    "postgres": (
        {"message": json.dumps(POSTGRES)},
        {
            "message": "said",
            "log": {"level": "warn"},
            "service": {"environment": "lab", "name": "postgres"},
            "process": {"pid": 7},
            "error": {"code": "57014"},
            "database": {"statement": "SELECT 1"},
            "line": {"backend_type": "client backend"},
        },
    ),
    "postgres.statement": (
        {"message": json.dumps(POSTGRES | {"statement": "/* request r-1 */ SELECT '/* request r-2 */ '"})},
        {
            "message": "said",
            "log": {"level": "warn"},
            "service": {"environment": "lab", "name": "postgres"},
            "http": {"request": {"id": "r-1"}},
            "process": {"pid": 7},
            "error": {"code": "57014"},
            "database": {"statement": "/* request r-1 */ SELECT '/* request r-2 */ '"},
            "line": {"backend_type": "client backend"},
        },
    ),
    "postgres.slow": (
        {"message": json.dumps({**SLOW, "message": f"{TOOK}/* request r-1 */ SELECT 1"})},
        {
            "message": f"{TOOK}/* request r-1 */ SELECT 1",
            "log": {"level": "info"},
            "service": {"environment": "lab", "name": "postgres"},
            "http": {"request": {"id": "r-1"}},
            "line": {"backend_type": "client backend"},
        },
    ),
    "postgres.said": (
        {
            "message": json.dumps(
                {**SLOW, "message": f"{TOOK}SELECT ': /* request of mine */ ', ': /* request r-9 */ '"}
            )
        },
        {
            "message": f"{TOOK}SELECT ': /* request of mine */ ', ': /* request r-9 */ '",
            "log": {"level": "info"},
            "service": {"environment": "lab", "name": "postgres"},
            "line": {"backend_type": "client backend"},
        },
    ),
    "journal": (
        JOURNAL | {"message": "{no json", "log": {"syslog": {"priority": 3, "appname": "cron"}}},
        {
            "message": "{no json",
            "log": {"level": "error", "syslog": {"priority": 3, "appname": "cron"}},
            "service": {"environment": "lab", "name": "cron"},
            "systemd": {"unit": "x.service"},
        },
    ),
    "app.console": (
        {"message": "2026-11-26T08:15:00.123+01:00: Error: said: so", "tags": ["text"]},
        {
            "@timestamp": "2026-11-26T07:15:00.123Z",
            "message": "Error: said: so",
            "tags": ["text"],
            "log": {},
            "service": {"environment": "lab"},
        },
    ),
    "text.untimed": (
        {"message": "2026-11-26Today: said", "tags": ["text"]},
        {
            "message": "2026-11-26Today: said",
            "tags": ["text"],
            "log": {},
            "service": {"environment": "lab"},
        },
    ),
    "text": (
        {"message": "2026/11/26 [error] said", "tags": ["text"]},
        {
            "message": "2026/11/26 [error] said",
            "tags": ["text"],
            "log": {},
            "service": {"environment": "lab"},
        },
    ),
}


def test_each_program_s_own_names_become_those_of_the_standard(tmp_path):
    authority = Authority(tmp_path / "pki")
    logstash = Logstash(tmp_path / "elk", authority)
    common = {"@timestamp": "2026-11-26T08:30:00.123Z", "host": {"name": "i-1"}}
    sent = {
        "log": {},
        "service": {"environment": "lab"},
        "agent": {"id": "a"},
        "input": {"type": "filestream"},
    }
    events = [
        common | sent | given | {"data_stream": {"dataset": name}} for name, (given, _) in STANDARD.items()
    ]
    with logstash.program() as program:
        until(logstash.listens, program.log)
        with client(authority, logstash.ports["beats"]) as connection:
            connection.sendall(lumberjack.window([json.dumps(event).encode() for event in events], 0))
            assert lumberjack.read_acknowledgement(connection.makefile("rb")) == len(events)
        until(lambda: logstash.has(len(events)), program.log)
    logstash.store.stop()
    stream = {"type": "logs", "namespace": "lab"}
    assert {key[0]: found for key, found in logstash.store.documents.items()} == {
        f"logs-{name}-lab": common | wanted | {"data_stream": stream | {"dataset": name}}
        for name, (_, wanted) in STANDARD.items()
    }


def test_the_index_has_every_name_of_the_standard():
    text = pipeline(port=1, certificate="", key="", authority="", elasticsearch="")
    names = set(re.findall(r'"\[line\]\[([a-z_.]+)\]" => "\[', text))
    renamed = {"error_severity", "pid", "state_code", "statement"}
    there = FIELDS["template"]["mappings"]["properties"]
    assert {name for name in names if name not in there} == renamed
    # One below another could not stand beside it.
    assert not [name for name in there if any(other.startswith(f"{name}.") for other in there)]


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
