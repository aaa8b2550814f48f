"""Logstash's API, as far as one asks it whether all is well: GET / and GET /_node/stats/pipelines.

Source: "Logstash monitoring APIs" of the 8.19 reference.
"""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from lab.elastic.logstash.configuration import VERSION
from lab.elastic.logstash.pipeline import Pipeline


def serve(host: str, port: int, pipeline: Pipeline) -> None:
    """Answer in a thread of this process."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer one question."""
            node = {"host": socket.gethostname(), "version": VERSION, "http_address": f"{host}:{port}"}
            node |= {"status": "green"}
            answers: dict[str, Any] = {"/": node}
            if self.path.startswith("/_node/stats"):
                answers[self.path] = node | {"pipelines": {"main": pipeline.status()}}
            found = answers.get(self.path)
            body = json.dumps(
                found or {"path": self.path, "status": 404, "error": {"message": "Not Found"}}
            ).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing of each question."""

    server = ThreadingHTTPServer((host, port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
