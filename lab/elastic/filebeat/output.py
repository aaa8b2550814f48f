"""The Logstash output: sends batches and waits for their acknowledgement, for ever.

Source of the retries: "Configure the Logstash output" of Filebeat's reference: Filebeat ignores
max_retries, and retries until all events are published.
"""

import contextlib
import random
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from lab.elastic import lumberjack
from lab.elastic.settings import SettingsError

_PORT = 5044
_VERSIONS = {
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}


class Output:
    """A connection to one of the hosts, made when it is needed. `given`: all settings."""

    def __init__(self, given: dict[str, Any], log: Callable[[str], None]):
        self._given = {
            name.removeprefix("output.logstash."): value
            for name, value in given.items()
            if name.startswith("output.logstash.")
        }
        self._log = log
        self._tls = tls_context(self._given)
        self._socket: socket.socket | None = None
        self._stream: BinaryIO | None = None

    def publish(self, events: list[bytes], acknowledged: Callable[[int], None]) -> None:
        """Send until all are acknowledged. `acknowledged`: is told how many more are, as the answers come."""
        done, wait = 0, self._given["backoff.init"]
        while done < len(events):
            try:
                for count in self._send(events[done:], *self._connected()):
                    acknowledged(count)
                    done += count
                    wait = self._given["backoff.init"]
            except (OSError, EOFError, lumberjack.ProtocolError) as error:
                self._disconnect()
                self._log(f"Failed to publish events: {error}; trying again in {wait:g} s")
                time.sleep(wait)
                wait = min(wait * 2, self._given["backoff.max"])

    def test(self) -> Iterator[str]:
        """What `filebeat test output` says, step by step; raises OSError."""
        for address in self._given["hosts"]:
            yield f"logstash: {address}..."
            connection = self._dial(address)
            with connection:
                yield "  connection...\n    dial up... OK"
                if isinstance(connection, ssl.SSLSocket):
                    yield f"  TLS...\n    handshake... OK\n    TLS version: {connection.version()}"
                else:
                    yield "  TLS... WARN secure connection disabled"
                yield "  talk to server... OK"

    def _send(self, events: list[bytes], connection: socket.socket, stream: BinaryIO) -> Iterator[int]:
        """One window after the other; how many were acknowledged, each time that the peer says so."""
        size = self._given["bulk_max_size"] or len(events)
        for start in range(0, len(events), size):
            batch = events[start : start + size]
            connection.sendall(lumberjack.window(batch, self._given["compression_level"]))
            had = 0
            while had < len(batch):
                number = lumberjack.read_acknowledgement(stream)
                if number > len(batch):
                    raise lumberjack.ProtocolError(f"invalid sequence number received: {number}")
                if number > had:
                    yield number - had
                    had = number

    def _connected(self) -> tuple[socket.socket, BinaryIO]:
        if not (self._socket and self._stream):
            address = random.choice(self._given["hosts"])
            self._socket = self._dial(address)
            self._stream = self._socket.makefile("rb")
            self._log(f"Connection to backoff(async(tcp://{address})) established")
        return self._socket, self._stream

    def _dial(self, address: str) -> socket.socket:
        host, _, port = address.rpartition(":") if ":" in address else (address, "", _PORT)
        raw = socket.create_connection((host, int(port)), timeout=self._given["timeout"])
        try:
            return self._tls.wrap_socket(raw, server_hostname=host) if self._tls else raw
        except BaseException:
            raw.close()
            raise

    def _disconnect(self) -> None:
        for each in (self._stream, self._socket):
            if each:
                # What was not sent is sent again by the next connection.
                with contextlib.suppress(OSError):
                    each.close()
        self._stream = self._socket = None


def tls_context(given: dict[str, Any]) -> ssl.SSLContext | None:
    """TLS of a client by the settings ssl.*; None when there are none, or enabled is false."""
    authorities, certificate = given["ssl.certificate_authorities"], given["ssl.certificate"]
    enabled = given["ssl.enabled"]
    if enabled is False or (enabled is None and not authorities and not certificate):
        return None
    mode = given["ssl.verification_mode"]
    if mode not in ("full", "certificate", "none"):
        raise SettingsError(f"the lab's stand-in verifies full, certificate or none, not {mode!r}")
    try:
        context = ssl.create_default_context()
        if authorities:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            for path in authorities:
                context.load_verify_locations(path)
        if certificate:
            context.load_cert_chain(certificate, given["ssl.key"])
        context.check_hostname = mode == "full"
        if mode == "none":
            context.verify_mode = ssl.CERT_NONE
        versions = [_VERSIONS[each] for each in given["ssl.supported_protocols"]]
    except KeyError as error:
        raise SettingsError(
            f"invalid tls version '{error.args[0]}' accessing 'output.logstash.ssl'"
        ) from error
    except OSError as error:
        raise SettingsError(f"output.logstash.ssl: a certificate or key can't be read: {error}") from error
    context.minimum_version, context.maximum_version = min(versions), max(versions)
    return context
