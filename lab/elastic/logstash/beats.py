"""The beats input: takes Lumberjack, and acknowledges what is in the queue.

Source: github.com/logstash-plugins/logstash-input-beats, lib/logstash/inputs/beats.rb and
beats/message_listener.rb.
"""

import contextlib
import socket
import socketserver
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab.elastic import lumberjack
from lab.elastic.logstash.event import Event
from lab.elastic.logstash.language import LanguageError
from lab.elastic.logstash.queues import Queue

_PROTOCOLS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
_ENRICH = ("source_metadata", "codec_metadata", "ssl_peer_metadata")
# While the queue is full the sender hears that we live; Filebeat gives up after 30 s without a word.
_ALIVE = 5.0


class Beats(socketserver.ThreadingTCPServer):
    """The listener of one input."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, options: dict[str, Any], queue: Queue, log: Callable[[str], None]):
        self.options, self.queue, self.log = options, queue, log
        self.tls = tls_context(options)
        super().__init__((options.get("host", "0.0.0.0"), int(options["port"])), _Connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that ends badly ends; the others go on."""


class _Connection(socketserver.BaseRequestHandler):
    server: Beats

    def handle(self) -> None:
        """Window after window, until the peer closes or says what is no Lumberjack."""
        connection: socket.socket = self.request
        try:
            if self.server.tls:
                connection.settimeout(self.server.options.get("ssl_handshake_timeout", 10000) / 1000)
                connection = self.server.tls.wrap_socket(connection, server_side=True)
            connection.settimeout(self.server.options.get("client_inactivity_timeout", 60))
            self._serve(connection)
        except (OSError, EOFError, lumberjack.ProtocolError) as error:
            self.server.log(f"[remote: {self.client_address[0]}] Handling exception: {error!r}")
        finally:
            with contextlib.suppress(OSError):
                connection.close()

    def _serve(self, connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        while window := lumberjack.read_window(stream):
            events = [self._event(event).data for event in window.events]
            while not self.server.queue.put(events, _ALIVE):
                connection.sendall(lumberjack.acknowledgement(window.version, 0))
            connection.sendall(lumberjack.acknowledgement(window.version, window.last))

    def _event(self, data: dict[str, Any]) -> Event:
        event = Event(data)
        if not isinstance(data.get("@metadata", {}), dict):
            data["@metadata"] = {}
        enrich = _enrichments(self.server.options)
        if "source_metadata" in enrich:
            event.set("[@metadata][input][beats][host][ip]", self.client_address[0])
        if "codec_metadata" in enrich:
            raw = not isinstance(data.get("message"), str)
            event.tag("beats_input_raw_event" if raw else "beats_input_codec_plain_applied")
            # The plain codec, with ECS, keeps the text as it came.
            if not raw and not event.has("[event][original]"):
                event.set("[event][original]", data["message"])
        event.tag(*self.server.options.get("tags", []))
        for name, value in self.server.options.get("add_field", {}).items():
            event.set(name, value)
        return event


def _enrichments(options: dict[str, Any]) -> list[str]:
    given = options.get("enrich", ["source_metadata", "codec_metadata"])
    return list(_ENRICH) if given == ["all"] else [] if given == ["none"] else given


def check(options: dict[str, Any]) -> None:
    """Raise LanguageError for options that do not go together, in the plugin's words."""
    if wrong := [each for each in options.get("enrich", []) if each not in (*_ENRICH, "none", "all")]:
        raise LanguageError(
            f"Invalid setting for beats input plugin: enrich: Expected one of {_ENRICH}, got {wrong}"
        )
    if not options.get("ssl_enabled"):
        return
    for name in ("ssl_key", "ssl_certificate"):
        if not options.get(name):
            raise LanguageError(f"{name} => is a required setting when ssl_enabled => true is configured")
        if not Path(options[name]).is_file():
            raise LanguageError(f"File does not exist or cannot be opened {options[name]}")
    authorities, asked = options.get("ssl_certificate_authorities"), options.get("ssl_client_authentication")
    if asked in ("optional", "required") and not authorities:
        raise LanguageError(
            "ssl_certificate_authorities => is a required setting when "
            f"`ssl_client_authentication => '{asked}'` is configured"
        )
    if authorities and asked == "none":
        raise LanguageError(
            "Configuring ssl_certificate_authorities requires ssl_client_authentication => "
            "to be configured with 'optional' or 'required'"
        )
    if b"BEGIN PRIVATE KEY" not in Path(options["ssl_key"]).read_bytes():
        raise LanguageError(f"ssl_key: {options['ssl_key']} is no PKCS8 key in PEM")
    tls_context(options)


def tls_context(options: dict[str, Any]) -> ssl.SSLContext | None:
    """TLS of a server by the input's options; None without. It checks the client's chain, not its name."""
    if not options.get("ssl_enabled"):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(options["ssl_certificate"], options["ssl_key"])
        for path in options.get("ssl_certificate_authorities", []):
            context.load_verify_locations(path)
        versions = [_PROTOCOLS[each] for each in options.get("ssl_supported_protocols", _PROTOCOLS)]
    except (OSError, KeyError) as error:
        raise LanguageError(f"SSL configuration invalid: {error}") from error
    context.minimum_version, context.maximum_version = min(versions), max(versions)
    if options.get("ssl_certificate_authorities"):
        asked = options.get("ssl_client_authentication", "required")
        context.verify_mode = ssl.CERT_OPTIONAL if asked == "optional" else ssl.CERT_REQUIRED
    return context
