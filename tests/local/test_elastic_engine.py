"""The lab's Elasticsearch, as it is packed, and what stands before and behind it: a line is found."""

import json
import urllib.error
import urllib.request
from base64 import b64encode

import pytest

from tests.local.elastic import Filebeat, Program, line, stamp, until
from tests.local.elastic_engine import node_of_the_package
from tests.local.elastic_pipeline import SHIPPED, Logstash
from tests.local.ports import free_port


@pytest.fixture(scope="module")
def store():
    with node_of_the_package() as node:
        yield node


def test_a_line_is_written_by_the_app_and_found_by_the_reader(tmp_path, store):
    authority = store.authority
    logstash = Logstash(tmp_path / "elk", authority, store.url)
    filebeat = Filebeat(tmp_path / "app", logstash.ports["beats"], authority, **SHIPPED)
    (filebeat.logs / "app.log").write_text(
        "".join(map(line, range(301))) + "no json\n" + line(301, **{"test.refused": "none"})
    )

    def answered():
        return store.ask("POST", "/logs-app-lab/_search", {"size": 1}, "reader"), program.log()

    def found():
        query = {
            "size": 0,
            "track_total_hits": True,
            "aggs": {"n": {"cardinality": {"field": "line.number.number"}}},
        }
        status, answer = store.ask("POST", "/logs-app-lab/_search", query, "reader")
        return status == 200 and answer["hits"]["total"]["value"] == 302 and answer

    with filebeat.program(), logstash.program() as program:
        assert until(found, answered)["aggregations"]["n"]["value"] == 301
        # What the mapping refuses is a dead letter.
        (letter,) = until(logstash.letters, program.log)
        assert letter["event"]["message"] == "line 301"
        # Killed before it noted how far it was, it sends all again: each is known by its id.
        program.kill()
        program.start()
        until(lambda: logstash.listens() and logstash.stats()["queue"]["events_count"] == 0, program.log)
        assert until(found, answered)
    query = {"query": {"query_string": {"query": "line.number:7"}}}
    (hit,) = store.ask("POST", "/logs-app-lab/_search", query, "reader")[1]["hits"]["hits"]
    assert hit["_index"].startswith(".ds-logs-app-lab-")
    assert (hit["_source"]["message"], hit["_source"]["@timestamp"]) == ("line 7", stamp(7))
    assert store.ask("POST", "/logs-app-lab/_search", query, "writer")[0] == 403
    assert store.ask("POST", "/logs-app-lab/_doc", {"@timestamp": stamp(0)}, "reader")[0] == 403
    assert store.ask("GET", "/_cluster/health", None, "reader", "wrong")[0] == 401


SEARCH = {
    "type": "search",
    "id": "by-request",
    "attributes": {"title": "By request"},
    "references": [{"type": "index-pattern", "id": "logs", "name": "index"}],
}
VIEW = {"type": "index-pattern", "id": "logs", "attributes": {"title": "logs-*"}, "references": []}


class Browser:
    """Asks a Kibana on a port, as an account."""

    def __init__(self, port, user="reader"):
        self.port = port
        self.headers = {"Authorization": f"Basic {b64encode(f'{user}:secret'.encode()).decode()}"}

    def ask(self, path, body=None, **headers):
        url = f"http://127.0.0.1:{self.port}{path}"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(url, body, self.headers | named)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def send_file(self, objects, name="objects.ndjson", query="", xsrf="true"):
        lines = "".join(json.dumps(each) + "\n" for each in objects)
        head = f'Content-Disposition: form-data; name="file"; filename="{name}"'
        form = f"--x\r\n{head}\r\n\r\n{lines}\r\n--x--\r\n"
        kind = "multipart/form-data; boundary=x"
        status, body = self.ask(
            f"/api/saved_objects/_import{query}", form.encode(), Content_Type=kind, kbn_xsrf=xsrf
        )
        return status, json.loads(body)


def test_kibana_keeps_objects_and_searches_with_the_account_of_who_asks(tmp_path, store):
    port = free_port()
    settings = {
        "server.port": port,
        "server.host": "127.0.0.1",
        "path.data": str(tmp_path / "data"),
        "elasticsearch.hosts": [f"https://127.0.0.1:{store.port}"],
        "elasticsearch.serviceAccountToken": store.kibana_token,
        "elasticsearch.ssl.certificateAuthorities": [str(store.authority.ca)],
    }
    (tmp_path / "kibana.yml").write_text(json.dumps(settings))
    document = {"@timestamp": stamp(5), "message": "<b>found</b>", "host": {"name": "app-9"}, "number": 5}
    assert store.ask("POST", "/logs-kibana-lab/_doc?refresh=true", document)[0] == 201
    with Program("lab.elastic.kibana", "-c", tmp_path / "kibana.yml", log=tmp_path / "out") as program:
        anyone, reader = Browser(port), Browser(port)
        anyone.headers = {}
        until(lambda: "now available" in program.log(), program.log)
        assert anyone.ask("/api/status") == (200, '{"status": {"overall": {"level": "available"}}}')
        assert json.loads(reader.ask("/api/status")[1])["version"] == {"number": "8.19.21"}
        assert anyone.ask("/")[0] == Browser(port, "nobody").ask("/")[0] == 401

        status, page = reader.ask("/app/discover?q=message%3Afound")
        assert status == 200 and "1 lines" in page and "&lt;b&gt;found&lt;/b&gt;" in page
        assert "<p class=error>403: " in Browser(port, "writer").ask("/")[1]
        assert "<p class=error>400: " in reader.ask("/?q=%28")[1]

        assert reader.send_file([VIEW], xsrf="")[1]["message"] == "Request must contain a kbn-xsrf header."
        assert reader.send_file([VIEW], "objects.json")[1]["message"] == "Invalid file extension objects.json"
        alone = reader.send_file([SEARCH])[1]
        assert (alone["success"], alone["errors"][0]["error"]) == (
            False,
            {"type": "missing_references", "references": [{"type": "index-pattern", "id": "logs"}]},
        )
        assert reader.send_file([VIEW, SEARCH])[1]["successCount"] == 2
        again = reader.send_file([VIEW, SEARCH])[1]
        assert [each["error"]["type"] for each in again["errors"]] == ["conflict", "conflict"]
        assert reader.send_file([VIEW, SEARCH], query="?overwrite=true")[1]["success"]
        program.kill()
        program.start()
        until(lambda: program.log().count("now available") == 2, program.log)
        wanted = json.dumps({"type": ["search", "index-pattern"]}).encode()
        exported = reader.ask("/api/saved_objects/_export", wanted, kbn_xsrf="true")[1].splitlines()
        assert [json.loads(each) for each in exported[:2]] == [VIEW, SEARCH]
        assert json.loads(reader.ask("/api/saved_objects/search/by-request")[1]) == SEARCH
        assert reader.ask("/api/saved_objects/search/none")[0] == 404
