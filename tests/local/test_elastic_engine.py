"""The lab's Elasticsearch, as it is packed: a line comes all the way into a data stream, and is found."""

import subprocess

import pytest

from lab.elastic import engine, packages, repository
from tests.local.elastic import Authority, Filebeat, line, stamp, until
from tests.local.elastic_engine import Elasticsearch, engine_archive
from tests.local.elastic_pipeline import Logstash

TEMPLATE = {
    "index_patterns": ["logs-*-*"],
    "priority": 500,
    "data_stream": {},
    "template": {
        "settings": {"index": {"number_of_replicas": 0, "refresh_interval": "200ms"}},
        "mappings": {"properties": {"number": {"type": "long"}, "@timestamp": {"type": "date"}}},
    },
}


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The package's files."""
    folder = tmp_path_factory.mktemp("engine")
    # Elasticsearch runs as nobody, who must come through.
    for each in (folder, folder.parent, folder.parent.parent):
        each.chmod(each.stat().st_mode | 0o011)
    engine_archive(folder / "archives")
    archive = engine.fetch(folder / "archives")
    built = packages.build("elasticsearch", folder, lambda _, root: engine.lay_out(archive, root))
    assert built.fields["Package"] == "elasticsearch" and repository.packages_index([built], folder)
    subprocess.run(["dpkg-deb", "-x", built.file, folder / "host"], check=True)
    built.file.unlink()
    return folder / "host"


def test_a_line_is_written_by_the_app_and_found_by_the_reader(tmp_path, unpacked):
    for each in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        each.chmod(each.stat().st_mode | 0o011)
    authority = Authority(tmp_path / "pki")
    logstash = Logstash(tmp_path / "elk", authority)
    logstash.store.stop()
    filebeat = Filebeat(tmp_path / "app", logstash.ports["beats"], authority, parsers=[])
    (tmp_path / "store").mkdir()
    with Elasticsearch(unpacked, tmp_path / "store", authority) as store:
        assert store.ask("PUT", "/_index_template/logs", TEMPLATE) == (200, {"acknowledged": True})
        pipeline = logstash.folder / "etc/conf.d/main.conf"
        there = f'"https://127.0.0.1:{store.port}"]\n    ssl_certificate_authorities => ["{authority.ca}"'
        text = pipeline.read_text().replace(f'"http://127.0.0.1:{logstash.ports["store"]}"', there)
        pipeline.write_text(text)
        (filebeat.logs / "app.log").write_text(
            "".join(map(line, range(301))) + "no json\n" + line(301).replace(": 301}", ': "none"}')
        )

        def answered():
            return store.ask("POST", "/logs-app-lab/_search", {"size": 1}, "reader"), program.log()

        def found():
            query = {"size": 0, "track_total_hits": True, "aggs": {"n": {"cardinality": {"field": "number"}}}}
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
        query = {"query": {"query_string": {"query": "number:7"}}}
        (hit,) = store.ask("POST", "/logs-app-lab/_search", query, "reader")[1]["hits"]["hits"]
        assert hit["_index"].startswith(".ds-logs-app-lab-")
        assert (hit["_source"]["message"], hit["_source"]["@timestamp"]) == ("line 7", stamp(7))
        assert store.ask("POST", "/logs-app-lab/_search", query, "writer")[0] == 403
        assert store.ask("POST", "/logs-app-lab/_doc", {"@timestamp": stamp(0)}, "reader")[0] == 403
        assert store.ask("GET", "/_cluster/health", None, "reader", "wrong")[0] == 401
