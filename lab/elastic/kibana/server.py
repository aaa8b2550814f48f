"""Kibana over HTTP: /api/status for all; the rest for who has an account in Elasticsearch (HTTP basic).

Sources: "Kibana APIs" of the 8.19 reference; of github.com/elastic/kibana:
src/core/packages/http/server-internal (kbn-xsrf).
"""

import json
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from lab.elastic.kibana import page
from lab.elastic.kibana.configuration import VERSION
from lab.elastic.kibana.saved_objects import Invalid, SavedObjects, lines, parse
from lab.elastic.kibana.store import Store

_SHOWN = 200
_LARGEST = 26_214_400  # savedObjects.maxImportPayloadBytes


# Status, type and body.
Answer = tuple[int, str, str]


class Kibana(ThreadingHTTPServer):
    """`name`: server.name."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], name: str, store: Store, objects: SavedObjects):
        self.name, self.store, self.objects = name, store, objects
        super().__init__(address, _Handler)


class _Failed(Exception):
    """An answer that is an error: status, its name, and a sentence."""


class _Handler(BaseHTTPRequestHandler):
    server: Kibana
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Status, objects, and the page."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """Import and export."""
        self._answer(self._post)

    def _answer(self, act: Any) -> None:
        self._body = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), _LARGEST))
        try:
            self._send(*act())
        except _Failed as failed:
            status, error, message = failed.args
            body = {"statusCode": status, "error": error, "message": message}
            self._send(status, "application/json", json.dumps(body))
        except (OSError, Invalid) as error:
            status, name = (
                (400, "Bad Request") if isinstance(error, Invalid) else (503, "Service Unavailable")
            )
            body = {"statusCode": status, "error": name, "message": str(error)}
            self._send(status, "application/json", json.dumps(body))

    def _fail(self, status: int, error: str, message: str) -> None:
        self._send(*_json({"statusCode": status, "error": error, "message": message}, status))

    def _get(self) -> Answer:
        url = urlsplit(self.path)
        asked = parse_qs(url.query)
        if url.path == "/api/status":
            return self._status()
        self._authenticated()
        match url.path.strip("/").split("/"):
            case ["api", "saved_objects", "_find"]:
                found = self.server.objects.find(asked.get("type", []))
                whole = {"page": 1, "per_page": len(found), "total": len(found), "saved_objects": found}
                return _json(whole)
            case ["api", "saved_objects", kind, name]:
                if not (one := self.server.objects.get(kind, name)):
                    raise _Failed(404, "Not Found", f"Saved object [{kind}/{name}] not found")
                return _json(one)
            case [""] | ["app", *_]:
                return 200, "text/html; charset=utf-8", self._page(asked.get("q", [""])[0])
        raise _Failed(404, "Not Found", "Not Found")

    def _post(self) -> Answer:
        url = urlsplit(self.path)
        if not self.headers.get("kbn-xsrf"):
            raise _Failed(400, "Bad Request", "Request must contain a kbn-xsrf header.")
        self._authenticated()
        if url.path == "/api/saved_objects/_import":
            overwrite = parse_qs(url.query).get("overwrite") == ["true"]
            return _json(self.server.objects.import_all(parse(self._file()), overwrite))
        if url.path == "/api/saved_objects/_export":
            wanted = json.loads(self._body or b"{}")
            types = wanted.get("type", [])
            found = self.server.objects.find([types] if isinstance(types, str) else types)
            found += [
                one
                for each in wanted.get("objects", [])
                if (one := self.server.objects.get(each["type"], each["id"]))
            ]
            summary = {"exportedCount": len(found), "missingRefCount": 0, "missingReferences": []}
            return 200, "application/ndjson", lines([*found, summary])
        raise _Failed(404, "Not Found", "Not Found")

    def _status(self) -> Answer:
        """Who has no account hears no more than whether all is well (status.allowAnonymous)."""
        serves = self.server.store.serves()
        body: dict[str, Any] = {"status": {"overall": {"level": "available" if serves else "critical"}}}
        if self.headers.get("Authorization"):
            self._authenticated()
            body |= {"name": self.server.name, "version": {"number": VERSION}}
        return _json(body, 200 if serves else 503)

    def _authenticated(self) -> None:
        """Whoever Elasticsearch knows; raises _Failed for others."""
        given = self.headers.get("Authorization", "")
        status = self.server.store.ask("/_cluster/health", None, given)[0] if given else 401
        if status == 401:
            raise _Failed(401, "Unauthorized", "Unauthorized")

    def _page(self, query: str) -> str:
        asked = {"query_string": {"query": query}} if query else {"match_all": {}}
        body = {"size": _SHOWN, "sort": [{"@timestamp": "desc"}], "query": asked, "track_total_hits": True}
        status, answer = self.server.store.ask("/logs-*/_search", body, self.headers["Authorization"])
        if status != 200:
            return page.render(query, None, 0, f"{status}: {json.dumps(answer)[:500]}")
        return page.render(query, answer["hits"]["hits"], answer["hits"]["total"]["value"])

    def _file(self) -> str:
        """The one file of a form (multipart/form-data)."""
        kind = self.headers.get("Content-Type", "")
        if not kind.startswith("multipart/form-data"):
            raise _Failed(415, "Unsupported Media Type", "Unsupported Media Type")
        form = BytesParser().parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + self._body)
        for part in form.walk():
            if part.get_param("name", header="content-disposition") == "file":
                if not str(part.get_filename()).endswith(".ndjson"):
                    raise _Failed(400, "Bad Request", f"Invalid file extension {part.get_filename()}")
                content = part.get_payload(decode=True)
                return content.decode() if isinstance(content, bytes) else ""
        raise _Failed(
            400, "Bad Request", "[request body.file]: expected value of type [Stream] but got [undefined]"
        )

    def _send(self, status: int, kind: str, body: str) -> None:
        data = body.encode()
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="Kibana", charset="UTF-8"')
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("kbn-name", self.server.name)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of each request."""


def _json(body: Any, status: int = 200) -> Answer:
    return status, "application/json", json.dumps(body)
