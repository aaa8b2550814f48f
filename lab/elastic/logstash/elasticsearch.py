"""The Elasticsearch output: bulk requests into data streams, until each event is in, or will never be.

Source: github.com/logstash-plugins/logstash-output-elasticsearch,
lib/logstash/plugin_mixins/elasticsearch/common.rb (what is tried again, what goes to the dead letters),
lib/logstash/outputs/elasticsearch/data_stream_support.rb (where an event goes).
"""

import base64
import gzip
import http.client
import json
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from lab.elastic.logstash.elasticsearch_options import check, tls_context
from lab.elastic.logstash.event import Event
from lab.elastic.logstash.language import LanguageError

_TARGET = 20 * 2**20  # TARGET_BULK_BYTES in http_client.rb
_DONE, _CONFLICT, _NEVER = (200, 201), 409, (400, 404)


class Stopping(Exception):
    """The pipeline ends; what was not sent stays in the queue."""


@dataclass(frozen=True)
class _Action:
    event: Event
    line: bytes


class Elasticsearch:
    """`never`: is given what is refused for good, and why. `stop`: set when the pipeline is to end."""

    def __init__(
        self,
        options: dict[str, Any],
        never: Callable[[Event, str], None],
        log: Callable[[str], None],
        stop: threading.Event,
    ):
        self._options, self._never, self._log, self._stop = options, never, log, stop
        check(options)
        self._hosts = [
            urlsplit(host if "//" in host else f"http://{host}")
            for host in options.get("hosts", ["127.0.0.1"])
        ]
        secure = options.get("ssl_enabled")
        if secure is False and any(host.scheme == "https" for host in self._hosts):
            raise LanguageError("Explicit SSL configuration conflicts with the scheme of hosts")
        self._secure = bool(secure) or all(host.scheme == "https" for host in self._hosts)
        self._tls = tls_context(options) if self._secure else None
        self._connection: http.client.HTTPConnection | None = None

    def send(self, events: list[Event]) -> None:
        """Return when none of them is left to send; raises Stopping."""
        waiting = [self._action(event) for event in events]
        interval = self._options.get("retry_initial_interval", 2.0)
        while waiting:
            failed = []
            for part in _parts(waiting):
                failed += self._bulk(part)
            if len(failed) < len(waiting):
                interval = self._options.get("retry_initial_interval", 2.0)
            if waiting := failed:
                if self._stop.wait(interval):
                    raise Stopping
                interval = min(interval * 2, self._options.get("retry_max_interval", 64.0))

    def _action(self, event: Event) -> _Action:
        data = {name: value for name, value in event.data.items() if name != "@metadata"}
        stream = dict(data["data_stream"]) if isinstance(data.get("data_stream"), dict) else {}
        own = {name: self._options.get(f"data_stream_{name}", default) for name, default in _STREAM.items()}
        if not self._options.get("data_stream_auto_routing", True):
            stream |= own
        stream = own | {name: value for name, value in stream.items() if value}
        if self._options.get("data_stream_sync_fields", True):
            data["data_stream"] = stream
        target = {"_index": "-".join(str(stream[name]) for name in _STREAM)}
        if template := self._options.get("document_id"):
            target["_id"] = event.text(template)
        return _Action(event, _line({"create": target}) + _line(data))

    def _bulk(self, actions: list[_Action]) -> list[_Action]:
        """Send one request; what is to be sent again."""
        try:
            status, body = self._request(b"".join(each.line for each in actions))
            answer = json.loads(body) if status == 200 else {}
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._log(f"Elasticsearch appears to be unreachable or down, will retry: {error!r}")
            self._disconnect()
            return actions
        if status == 413 and len(actions) == 1:
            self._never(actions[0].event, "Could not index event to Elasticsearch. status: 413")
            return []
        if status != 200:
            self._log(f"Encountered a retryable error, will retry: {status} {body[:500]!r}")
            return actions
        if not answer["errors"]:
            return []
        items = [item["create"] for item in answer["items"]]
        return [action for action, item in zip(actions, items, strict=True) if self._again(action, item)]

    def _again(self, action: _Action, item: dict[str, Any]) -> bool:
        """Whether an event is to be sent again after this answer."""
        status, error = item["status"], item.get("error", {})
        if status in _DONE:
            return False
        if error.get("type") not in self._options.get("silence_errors_in_log", []):
            self._log(f"Failed action: status {status}, {item['_index']}: {error}")
        if status in _NEVER:
            self._never(
                action.event, f"Could not index event to Elasticsearch. status: {status}, response: {item}"
            )
        return status != _CONFLICT and status not in _NEVER

    def _request(self, body: bytes) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/x-ndjson", "Connection": "keep-alive"}
        if level := int(self._options.get("compression_level", 1)):
            body = gzip.compress(body, level)
            headers["Content-Encoding"] = "gzip"
        if "user" in self._options:
            pair = f"{self._options['user']}:{self._options.get('password', '')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        elif "api_key" in self._options:
            headers["Authorization"] = (
                f"ApiKey {base64.b64encode(self._options['api_key'].encode()).decode()}"
            )
        connection = self._connected()
        connection.request("POST", "/_bulk", body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()

    def _connected(self) -> http.client.HTTPConnection:
        if not self._connection:
            host = random.choice(self._hosts)
            where = (host.hostname or "127.0.0.1", host.port or 9200)
            timeout = self._options.get("timeout", 60.0)
            self._connection = (
                http.client.HTTPSConnection(*where, timeout=timeout, context=self._tls)
                if self._secure
                else http.client.HTTPConnection(*where, timeout=timeout)
            )
        return self._connection

    def _disconnect(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None


_STREAM = {"type": "logs", "dataset": "generic", "namespace": "default"}


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace") + b"\n"


def _parts(actions: list[_Action]) -> list[list[_Action]]:
    """Requests of at most 20 MB each, or of one larger event."""
    parts: list[list[_Action]] = []
    size = 0
    for each in actions:
        if not parts or size + len(each.line) > _TARGET:
            parts.append([])
            size = 0
        parts[-1].append(each)
        size += len(each.line)
    return parts
