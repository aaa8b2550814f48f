"""A Logstash for tests, with the pipeline that the role would write, and a store behind it."""

import json
import socket
import urllib.request

from tests.local.elastic import Program
from tests.local.elastic_store import Store
from tests.local.ports import free_port

PIPELINE = """
# What the role would write.
input {
  beats {
    port => %(beats)s
    host => "127.0.0.1"
    ssl_enabled => true
    ssl_certificate => "%(certificate)s"
    ssl_key => "%(key)s"
    ssl_certificate_authorities => ["%(ca)s"]
    ssl_client_authentication => "required"
    enrich => none
  }
}
filter {
  if [log][file][fingerprint] {
    mutate {
      add_field => { "[@metadata][_id]" => "%%{[host][name]}-%%{[log][file][fingerprint]}-%%{[log][offset]}" }
    }
  } else {
    fingerprint {
      source => ["[host][name]", "@timestamp", "message"]
      concatenate_sources => true
      method => "SHA256"
      target => "[@metadata][_id]"
    }
  }
  json { source => "message" target => "line" tag_on_failure => ["not_json"] }
  if "not_json" not in [tags] {
    date { match => ["[line][@timestamp]", "ISO8601"] remove_field => ["[line][@timestamp]"] }
    mutate { rename => { "[line][message]" => "message" "[line][number]" => "number" } }
  }
}
output {
  elasticsearch {
    hosts => ["http://127.0.0.1:%(store)s"]
    user => "writer"
    password => "${PASSWORD}"
    data_stream => "true"
    data_stream_dataset => "app"
    data_stream_namespace => "lab"
    document_id => "%%{[@metadata][_id]}"
    retry_initial_interval => 0.1
    retry_max_interval => 0.3
    silence_errors_in_log => ["version_conflict_engine_exception"]
  }
}
"""


class Logstash:
    """A Logstash of one's own below `folder`, with a queue on disk and dead letters; its store."""

    def __init__(self, folder, authority, **settings):
        self.folder = folder
        (folder / "etc/conf.d").mkdir(parents=True)
        self.ports = {"beats": free_port(), "store": free_port(), "api": free_port()}
        certificate, key = authority.pair("logstash")
        names = self.ports | {"certificate": certificate, "key": key, "ca": authority.ca}
        (folder / "etc/conf.d/main.conf").write_text(PIPELINE % names)
        (folder / "etc/pipelines.yml").write_text(
            json.dumps([{"pipeline.id": "main", "path.config": f"{folder}/etc/conf.d/*.conf"}])
        )
        given = {
            "path.data": str(folder / "data"),
            "queue.type": "persisted",
            "queue.checkpoint.writes": 1,
            "dead_letter_queue.enable": True,
            "api.http.port": self.ports["api"],
        }
        (folder / "etc/logstash.yml").write_text(json.dumps(given | settings))
        self.store = Store(self.ports["store"])

    def program(self):
        arguments = ["--path.settings", self.folder / "etc"]
        return Program(
            "lab.elastic.logstash", *arguments, log=self.folder / "logstash.out", PASSWORD="secret"
        )

    def numbers(self):
        return [document.get("number") for document in list(self.store.documents.values())]

    def letters(self):
        folder = self.folder / "data/dead_letter_queue/main"
        return [json.loads(each) for path in folder.glob("*.log") for each in path.read_text().splitlines()]

    def stats(self):
        url = f"http://127.0.0.1:{self.ports['api']}/_node/stats/pipelines"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["pipelines"]["main"]

    def has(self, count):
        return len(self.store.documents) >= count

    def listens(self):
        with socket.socket() as attempt:
            return attempt.connect_ex(("127.0.0.1", self.ports["beats"])) == 0
