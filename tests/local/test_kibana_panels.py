"""What Kibana would show: each of its saved objects as the search it stands for, on a real Elasticsearch.

How Kibana asks: of github.com/elastic/kibana, x-pack/platform/plugins/shared/lens/public/datasources/
form_based/operations/definitions, and src/platform/plugins/shared/data/common/search/aggs.
"""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from corral.logs.query import LEVELS, at_least
from tests.local.elastic import ROOT
from tests.local.elastic_engine import node_of_the_package

OBJECTS = [json.loads(line) for line in (ROOT / "files/kibana/objects.ndjson").read_text().splitlines()]
NOW = datetime.now(UTC).replace(microsecond=0)
# Kibana's "auto" makes half hours of the dashboard's day; these are two of them.
FIRST = NOW.replace(minute=NOW.minute // 30 * 30, second=0) - timedelta(hours=2)
SECOND = FIRST + timedelta(minutes=30)
MILLISECOND = 1_000_000
REQUEST = "3c1f9a52-7a71-4f60-8d0e-1f1f2f3f4f5f"
# Kibana's word for it in an answer; it shows "(missing value)".
WITHOUT = "__missing__"


def iso(moment):
    return f"{moment:%Y-%m-%dT%H:%M:%S}.000Z"


def line(dataset, host, moment, message="said", service=None, level="info", **more):
    """As the pipeline leaves it: see STANDARD in test_log_lines.py."""
    named = {"name": service} if service else {}
    return {
        "@timestamp": iso(moment),
        "message": message,
        "host": {"name": host},
        "log": {"level": level},
        "service": {"environment": "test", **named},
        "data_stream": {"type": "logs", "dataset": dataset, "namespace": "test"},
        **more,
    }


def http(status, milliseconds, request="other"):
    return {
        "http": {"request": {"id": request}, "response": {"status_code": status}},
        "event": {"duration": milliseconds * MILLISECOND},
    }


def nginx(host, moment, status, milliseconds, request="other"):
    level = "error" if status >= 500 else "info"
    more = http(status, milliseconds, request)
    return line("nginx.access", host, moment, f"GET / {status}", "nginx", level, **more)


def after(moment, seconds):
    return moment + timedelta(seconds=seconds)


REQUESTS = [
    *(nginx("i-0app1", after(FIRST, n), 404 if n % 3 == 0 else 200, 10 * n) for n in range(1, 10)),
    nginx("i-0app2", after(SECOND, 1), 500, 700),
    # A websocket: it was open for an hour.
    nginx("i-0app2", after(SECOND, 2), 101, 3_600_000),
    # These took long too, and are none of nginx's requests.
    line("app.log", "i-0app1", after(FIRST, 20), "request answered", "chat", **http(200, 90_000)),
    line("corral.converge", "i-0app1", after(FIRST, 21), service="corral", event={"duration": 10**11}),
    line("kibana.access", "i-0elk", after(FIRST, 22), service="kibana", **http(302, 1)),
]
JOURNAL = {"input": {"type": "journald"}, "systemd": {"unit": "cron.service"}}
ERRORS = [
    *(
        line("app.log", "i-0app1", after(FIRST, 30 + n), name, "chat", name)
        for n, name in enumerate(name for level, others in LEVELS.items() for name in (level, *others))
    ),
    line("app.log", "i-0app2", after(SECOND, 60), "later", "chat", "err"),
    line("nginx.error", "i-0app1", after(FIRST, 61), service="nginx", level="fatal", tags=["text"]),
    line("system.journal", "i-0db", after(FIRST, 62), service="cron", level="error", **JOURNAL),
    # Of a log that names no service.
    line("redis.log", "i-0db", after(SECOND, 63), level="error"),
    line("app.console", "i-0app1", after(FIRST, 64), log={}, tags=["text"]),
]
OF_REQUEST = {"http": {"request": {"id": REQUEST}}}
ONE_REQUEST = [
    nginx("i-0app1", after(FIRST, 73), 200, 50, REQUEST),
    line("app.log", "i-0app1", after(FIRST, 71), "room made", "chat", **OF_REQUEST),
    line("app.log", "i-0app1", after(FIRST, 72), "request answered", "chat", **http(200, 40, REQUEST)),
    nginx("i-0app1", after(FIRST, 74), 200, 50, f"{REQUEST[:-1]}e"),
    line("postgresql.log", "i-0db", after(FIRST, 71.5), "duration: 3 ms", "postgres", **OF_REQUEST),
]
FLEET = [
    line(dataset, f"i-{n:03}", after(NOW, n - ago), service="chat")
    for n in range(170)
    for dataset, ago in (("app.log", 600), ("system.journal", 900))
]
HOSTS = [
    *(line("app.log", "i-0gone", NOW - timedelta(hours=ago)) for ago in (20, 23, -1)),
    line("app.log", "i-0before", NOW - timedelta(hours=25)),
    # Its application has nothing to say, and its journal has said the very last.
    line("app.log", "i-0well", FIRST - timedelta(hours=3)),
    line("system.journal", "i-0well", after(NOW, -60), service="cron"),
    *FLEET,
]
LINES = [*REQUESTS, *ERRORS, *ONE_REQUEST, *HOSTS]


@pytest.fixture(scope="module")
def node():
    with node_of_the_package() as node:
        body = ""
        for each in LINES:
            stream = "logs-{dataset}-{namespace}".format_map(each["data_stream"])
            body += json.dumps({"create": {"_index": stream}}) + "\n" + json.dumps(each) + "\n"
        status, answer = node.send("POST", "/_bulk?refresh=true", body.encode())
        assert status == 200 and not answer["errors"], answer
        yield node


def saved(kind, name):
    (found,) = (each for each in OBJECTS if (each["type"], each["id"]) == (kind, name))
    return found


def referred(one, name):
    (found,) = (each for each in one["references"] if each["name"] == name)
    return saved(found["type"], found["id"])


def lucene(kql):
    """Kibana's query language, as far as it is spoken here, as Elasticsearch's own."""
    text = re.sub(r"\b(and|or|not)\b", lambda word: word[0].upper(), kql)
    return text.replace(" : ", ":") or "*:*"


def search(node, view, query, **body):
    """What the account that looks into Kibana finds, in the dashboard's time."""
    assert query["language"] == "kuery"
    seen = saved("dashboard", "corral")["attributes"]
    time = {view["attributes"]["timeFieldName"]: {"gte": seen["timeFrom"], "lte": seen["timeTo"]}}
    asked = [{"query_string": {"query": lucene(query["query"])}}, {"range": time}]
    body = {"query": {"bool": {"filter": asked}}, **body}
    status, answer = node.ask("POST", f"/{view['attributes']['title']}/_search", body, "reader")
    assert status == 200 and not answer["_shards"]["failed"], answer
    return answer


def aggregation(columns, name):
    column = columns[name]
    field, given = {"field": column["sourceField"]}, column["params"]
    match column["operationType"]:
        case "max":
            return {"max": field}
        case "percentile":
            return {"percentiles": field | {"percents": [given["percentile"]]}}
        case "date_histogram":
            assert given["interval"] == "auto"
            # Without the rows of nothing that Kibana puts in between.
            return {"date_histogram": field | {"fixed_interval": "30m", "min_doc_count": 1}}
        case "terms":
            by = given["orderBy"]["columnId"]
            by = "_count" if columns[by]["operationType"] == "count" else by
            terms = field | {"size": given["size"], "order": {by: given["orderDirection"]}}
            if given.get("accuracyMode"):
                terms["shard_size"] = max(1000, given["size"] * 1.5 + 10)
            if given["otherBucket"] and given["missingBucket"]:
                terms["missing"] = WITHOUT
            return {"terms": terms}
    raise AssertionError(f"{name}: {column['operationType']} is not translated")


def panel(node, name):
    """The table behind a panel: rows of the columns' values, in Kibana's order."""
    one = saved("lens", name)
    state = one["attributes"]["state"]
    ((key, layer),) = state["datasourceStates"]["formBased"]["layers"].items()
    columns = layer["columns"]
    buckets = [name for name in layer["columnOrder"] if columns[name]["isBucketed"]]
    numbers = [name for name in layer["columnOrder"] if name not in buckets]
    assert layer["columnOrder"] == [*buckets, *numbers] and not state["filters"]
    sums = {each: aggregation(columns, each) for each in numbers if columns[each]["operationType"] != "count"}
    inner = {}
    for each in reversed(buckets):
        inner = {each: aggregation(columns, each) | {"aggs": sums | inner}}

    def value(found, name):
        if columns[name]["operationType"] == "count":
            return found["doc_count"]
        if columns[name]["operationType"] == "percentile":
            (percentile,) = found[name]["values"].values()
            return percentile
        return found[name]["value_as_string"]

    def rows(found, names):
        if not names:
            yield tuple(value(found, each) for each in numbers)
            return
        for bucket in found[names[0]]["buckets"]:
            shown = bucket.get("key_as_string", bucket["key"])
            yield from ((shown, *row) for row in rows(bucket, names[1:]))

    view = referred(one, f"indexpattern-datasource-layer-{key}")
    answer = search(node, view, state["query"], size=0, aggs=inner)
    return list(rows(answer["aggregations"], buckets))


def test_errors_are_counted_by_service_whatever_the_level_s_name_and_the_log_s(node):
    assert panel(node, "corral-errors") == [
        ("chat", iso(FIRST), len(at_least("error"))),
        ("chat", iso(SECOND), 1),
        ("nginx", iso(FIRST), 1),
        ("nginx", iso(SECOND), 1),
        (WITHOUT, iso(SECOND), 1),
        ("cron", iso(FIRST), 1),
    ]


def test_latency_is_that_of_nginx_s_requests_in_milliseconds_without_websockets(node):
    first, second = panel(node, "corral-latency")
    shown = referred(saved("lens", "corral-latency"), "indexpattern-datasource-layer-layer")
    how = json.loads(shown["attributes"]["fieldFormatMap"])["event.duration"]
    assert how["id"] == "duration"
    assert (how["params"]["inputFormat"], how["params"]["outputFormat"]) == ("nanoseconds", "asMilliseconds")
    # 10 to 90, and twice 50.
    assert first[0] == iso(FIRST) and first[1] / MILLISECOND == 50
    assert 80 < first[2] / MILLISECOND < first[3] / MILLISECOND <= 90
    assert second == (iso(SECOND), *[700 * MILLISECOND] * 3)


def test_requests_are_those_that_nginx_answered_by_their_status(node):
    assert panel(node, "corral-requests") == [
        (200, iso(FIRST), 6 + 2),
        (404, iso(FIRST), 3),
        (101, iso(SECOND), 1),
        (500, iso(SECOND), 1),
    ]


def test_of_the_hosts_those_come_first_that_are_silent_for_longest(node):
    within = (iso(NOW - timedelta(days=1)), iso(NOW))
    heard = {}
    for each in LINES:
        if within[0] <= each["@timestamp"] <= within[1]:
            heard.setdefault(each["host"]["name"], []).append(each["@timestamp"])
    wanted = sorted(((name, max(times), len(times)) for name, times in heard.items()), key=lambda row: row[1])
    assert panel(node, "corral-quiet") == wanted[:100]
    quiet = [name for name, *_ in wanted[:100]]
    assert quiet[:5] == ["i-0gone", "i-0elk", "i-0app1", "i-0app2", "i-0db"]
    assert not {"i-0before", "i-0well"} & {*quiet}
    table = saved("lens", "corral-quiet")["attributes"]["state"]["visualization"]
    assert table["sorting"] == {"columnId": "last", "direction": "asc"}


def test_the_search_finds_exactly_one_request_s_lines_in_order(node):
    one = saved("search", "corral-request")["attributes"]
    source = json.loads(one["kibanaSavedObjectMeta"]["searchSourceJSON"])
    view = referred(saved("search", "corral-request"), source["indexRefName"])
    # As its description says.
    assert source["query"]["query"].count("*") == 1
    query = source["query"] | {"query": source["query"]["query"].replace("*", REQUEST)}
    found = search(node, view, query, sort=[dict(one["sort"])])["hits"]["hits"]
    assert [hit["_source"]["message"] for hit in found] == [
        "room made",
        "duration: 3 ms",
        "request answered",
        "GET / 200",
    ]


def test_each_data_view_finds_its_lines_and_their_time(node):
    views = [each for each in OBJECTS if each["type"] == "index-pattern"]
    datasets = {each["data_stream"]["dataset"] for each in LINES}
    wanted = {
        "logs-*": datasets,
        "logs-nginx.access-*": {"nginx.access"},
        "logs-app.*": {"app.log", "app.console"},
    }
    assert {each["attributes"]["title"] for each in views} == set(wanted)
    assert len({each["attributes"]["name"] for each in views}) == len(views)
    # A duration is one in each.
    assert len({each["attributes"]["fieldFormatMap"] for each in views}) == 1
    by_dataset = {"datasets": {"terms": {"field": "data_stream.dataset", "size": 20}}}
    for view in views:
        everything = {"language": "kuery", "query": ""}
        found = search(node, view, everything, size=0, aggs=by_dataset)["aggregations"]["datasets"]["buckets"]
        title, time = view["attributes"]["title"], view["attributes"]["timeFieldName"]
        assert {each["key"] for each in found} == wanted[title]
        status, answer = node.ask("GET", f"/{title}/_field_caps?fields={time}", user="reader")
        assert status == 200 and answer["fields"][time]["date"]["aggregatable"]


def test_the_dashboard_shows_each_panel_with_all_of_its_columns():
    board = saved("dashboard", "corral")
    panels = json.loads(board["attributes"]["panelsJSON"])
    shown = [referred(board, f"{each['panelIndex']}:{each['panelRefName']}") for each in panels]
    assert {each["id"] for each in shown} == {each["id"] for each in OBJECTS if each["type"] == "lens"}
    for each in shown:
        state = each["attributes"]["state"]
        ((key, layer),) = state["datasourceStates"]["formBased"]["layers"].items()
        (drawn,) = state["visualization"].get("layers", [state["visualization"]])
        names = [*drawn.get("accessors", []), *(column["columnId"] for column in drawn.get("columns", []))]
        names += [drawn[axis] for axis in ("xAccessor", "splitAccessor") if axis in drawn]
        assert (drawn["layerId"], sorted(names)) == (key, sorted(layer["columns"]))
