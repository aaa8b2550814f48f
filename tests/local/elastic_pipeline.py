"""A Logstash for tests, with the pipeline that the role would write, and a store behind it."""

import json
import socket
import ssl
import urllib.request

from tasks.lib.templates import render
from tests.local.elastic import Program, until
from tests.local.elastic_store import Store, number_of
from tests.local.ports import free_port

# What a host's Filebeat says of each line of an app server's program.
SHIPPED = {
    "parsers": [],
    "fields_under_root": True,
    "fields": {"data_stream.dataset": "app", "corral.role": "app", "service.environment": "lab"},
}


def pipeline(**names):
    """The text of the role's pipeline; it tries again sooner than on a host."""
    data = {"address": "127.0.0.1", "namespace": "lab", "timezone": "Europe/Berlin", **names}
    text = render("templates/logstash/logs.conf.j2", data)
    slow = "retry_initial_interval => 1\n    retry_max_interval => 10\n"
    assert slow in text
    return text.replace(slow, "retry_initial_interval => 0.1\n    retry_max_interval => 0.3\n")


def client(authority, port):
    """A connection by mutual TLS, as Filebeat's."""
    context = ssl.create_default_context(cafile=authority.ca)
    context.load_cert_chain(*authority.pair("app-1"))
    raw = socket.create_connection(("127.0.0.1", port), timeout=30)
    return context.wrap_socket(raw, server_hostname="127.0.0.1")


def listens(port):
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0


class Logstash:
    """A Logstash of one's own below `folder`, with a queue on disk and dead letters; its store.

    `elasticsearch`: the address of another store.
    """

    def __init__(self, folder, authority, elasticsearch=None, **settings):
        self.folder = folder
        (folder / "etc/conf.d").mkdir(parents=True)
        self.ports = {"beats": free_port(), "store": free_port(), "api": free_port()}
        certificate, key = authority.pair("logstash")
        text = pipeline(
            port=self.ports["beats"],
            certificate=certificate,
            key=key,
            authority=authority.ca,
            elasticsearch=elasticsearch or f"http://127.0.0.1:{self.ports['store']}",
        )
        (folder / "etc/conf.d/main.conf").write_text(text)
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
            "lab.elastic.logstash", *arguments, log=self.folder / "logstash.out", WRITER_PASSWORD="secret"
        )

    def numbers(self):
        return [number_of(document) for document in list(self.store.documents.values())]

    def letters(self):
        folder = self.folder / "data/dead_letter_queue/main"
        return [json.loads(each) for path in folder.glob("*.log") for each in path.read_text().splitlines()]

    def stats(self):
        """What it says of its pipeline: its API answers a moment after its input does."""
        until(lambda: listens(self.ports["api"]), "no API of Logstash")
        url = f"http://127.0.0.1:{self.ports['api']}/_node/stats/pipelines"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["pipelines"]["main"]

    def has(self, count):
        return len(self.store.documents) >= count

    def listens(self):
        return listens(self.ports["beats"])
