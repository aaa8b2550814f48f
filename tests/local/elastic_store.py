"""A store that answers /_bulk as a real Elasticsearch 8.19.21 did, and can be taken away at once.

It keeps documents by stream and id, and refuses a second one of an id (409) and a moment that is none (400).
"""

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lab.elastic.logstash.event import parse_iso


def number_of(document):
    """What a line of the tests counts by; None for another line."""
    return document.get("line", {}).get("number")


class Store:
    """`documents`: by (stream, id). `refused`: how many second ones came. `busy`: it answers 429."""

    def __init__(self, port):
        self.documents = {}
        self.refused = 0
        self.busy = False
        self.seen = []
        self._port = port
        self.start()

    def start(self):
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers["Content-Encoding"] == "gzip":
                    body = gzip.decompress(body)
                store.seen.append((self.path, self.headers["Content-Type"], self.headers["Authorization"]))
                status, answer = (429, {}) if store.busy else (200, store.bulk(body))
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self._server = Server(("127.0.0.1", self._port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    def bulk(self, body):
        lines = [json.loads(each) for each in body.splitlines()]
        items = [self._create(*pair) for pair in zip(lines[::2], lines[1::2], strict=True)]
        return {"errors": any("error" in item["create"] for item in items), "items": items}

    def _create(self, action, document):
        (where,) = action.values()
        key = (where["_index"], where["_id"])
        item = {"_index": where["_index"], "_id": where["_id"]}
        if key in self.documents:
            self.refused += 1
            error = {"type": "version_conflict_engine_exception", "reason": "document already exists"}
            return {"create": item | {"status": 409, "error": error}}
        if not parse_iso(document["@timestamp"]) or number_of(document) == "none":
            error = {"type": "document_parsing_exception", "reason": "failed to parse field [number]"}
            return {"create": item | {"status": 400, "error": error}}
        self.documents[key] = document
        return {"create": item | {"status": 201}}
