"""Kibana's questions to Elasticsearch: with its own account, or with that of who asks.

Source: github.com/elastic/kibana, src/core/packages/elasticsearch/client-server-internal (client_config.ts).
"""

import json
import ssl
import urllib.error
import urllib.request
from base64 import b64encode
from typing import Any

from lab.elastic.settings import SettingsError


class Store:
    """By the settings elasticsearch.*."""

    def __init__(self, settings: dict[str, Any]):
        self._host = settings["elasticsearch.hosts"][0].rstrip("/")
        self._context = _tls(settings) if self._host.startswith("https:") else None
        token, user = settings["elasticsearch.serviceAccountToken"], settings["elasticsearch.username"]
        self._own = f"Bearer {token}" if token else ""
        if user:
            pair = f"{user}:{settings['elasticsearch.password'] or ''}"
            self._own = f"Basic {b64encode(pair.encode()).decode()}"

    def ask(
        self, path: str, body: Any = None, authorization: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Status and answer; raises OSError without one. `authorization`: the asker's, else Kibana's own."""
        headers = {"Content-Type": "application/json"}
        if given := self._own if authorization is None else authorization:
            headers["Authorization"] = given
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._host + path, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=30, context=self._context) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")

    def serves(self) -> bool:
        """Whether Elasticsearch knows Kibana's own account."""
        try:
            return self.ask("/_cluster/health")[0] in (200, 403)
        except (OSError, ValueError):
            return False


def _tls(settings: dict[str, Any]) -> ssl.SSLContext:
    authorities, mode = (
        settings[f"elasticsearch.ssl.{each}"] for each in ("certificateAuthorities", "verificationMode")
    )
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if authorities else ssl.create_default_context()
        for path in authorities:
            context.load_verify_locations(path)
    except OSError as error:
        raise SettingsError(f"elasticsearch.ssl.certificateAuthorities: {error}") from error
    context.check_hostname = mode == "full"
    if mode == "none":
        context.verify_mode = ssl.CERT_NONE
    return context
