"""SSH as pyinfra should speak it: without Nagle's algorithm, and only with hosts whose keys are known."""

import base64
import hashlib
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paramiko


def transport_without_delay(sock: Any, **options: Any) -> paramiko.Transport:
    """A transport whose small packets leave at once."""
    _without_delay(sock)
    return paramiko.Transport(sock, **options)


@dataclass(frozen=True)
class Trust:
    """Makes the transport to one host, which ends unless the host shows a key of its known_hosts `file`.

    paramiko alone would refuse it too; this says why, and what to do. `name`: of the host, for sentences.
    `problem`: why there is no file, and what to do about it.
    """

    name: str
    file: Path | None
    problem: str = ""

    def __call__(self, sock: Any, **options: Any) -> paramiko.Transport:
        """The transport. Raises SSHException, whose sentence pyinfra shows."""
        if self.file is None:
            sock.close()
            raise paramiko.SSHException(f"{self.name} is not trusted: {self.problem}")
        _without_delay(sock)
        return _Transport(sock, self.name, self.file, **options)

    def to_json(self) -> str:
        """How `pyinfra … debug-inventory --json` shows it."""
        return str(self.file or self.problem)


class _Transport(paramiko.Transport):
    def __init__(self, sock: Any, name: str, file: Path, **options: Any):
        super().__init__(sock, **options)
        self._corral = name, file

    def start_client(self, event: Any = None, timeout: float | None = None) -> None:
        """Agree on keys; end when the host's own is none that it reported, before anything is said to it."""
        super().start_client(event, timeout)
        name, file = self._corral
        shown = self.get_remote_server_key()
        words = [line.split()[1:3] for line in file.read_text().splitlines()]
        if [shown.get_name(), shown.get_base64()] not in words:
            self.close()
            raise paramiko.SSHException(
                f"{name} is not trusted: what answers there shows the {shown.get_name()} key"
                f" {_fingerprint(shown)}, which this host has not reported. It is another machine, or"
                " somebody is between: terminate the host. If its keys were made anew on purpose, remove"
                f" {file} and try again when it has reported."
            )


def _without_delay(sock: Any) -> None:
    """Let small packets leave at once.

    paramiko leaves Nagle's algorithm on, which costs some 44 ms for each command (measured: 47 ms, then
    5.7 ms). `sock` may be a proxy's pipe, which has no such option.
    """
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _fingerprint(key: paramiko.PKey) -> str:
    """As ssh-keygen -l shows it."""
    digest = hashlib.sha256(base64.b64decode(key.get_base64())).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"
