"""HAProxy's socket: its servers as they are now, and how to add, drain and remove one while it runs.

HAProxy 2.6, management guide, "Unix Socket commands".
"""

import csv
import socket
from dataclasses import dataclass
from pathlib import Path

from corral.errors import CorralError
from lab.balancer.config import Server, open_words, server_words
from lab.balancer.model import TargetGroup


@dataclass(frozen=True)
class Row:
    """A server as `show stat` shows it. `check`: such as L7OK, L7STS, L4TOUT; INI before the first check."""

    backend: str
    name: str
    status: str
    check: str
    code: str
    sessions: int
    weight: int
    address: str


def is_group(backend: str) -> bool:
    """Whether a backend is a target group's: the others have a colon, which no group's name may have."""
    return ":" not in backend


class Runtime:
    """The socket of a running HAProxy. Every method raises OSError when it does not run."""

    def __init__(self, path: Path):
        self._path = path

    def ask(self, command: str) -> str:
        """Send one command, such as "show info"; its answer."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(5)
            sock.connect(str(self._path))
            sock.sendall(command.encode() + b"\n")
            parts = []
            while part := sock.recv(65536):
                parts.append(part)
        return b"".join(parts).decode().strip()

    def rows(self) -> list[Row]:
        """All servers of all target groups."""
        lines = self.ask("show stat").lstrip("# ").splitlines()
        found = []
        for each in csv.DictReader(lines):
            if each["svname"] in {"FRONTEND", "BACKEND"} or not is_group(each["pxname"]):
                continue
            found.append(
                Row(
                    backend=each["pxname"],
                    name=each["svname"],
                    status=each["status"],
                    check=each["check_status"].removeprefix("* "),
                    code=each["check_code"],
                    sessions=int(each["scur"] or 0),
                    weight=int(each["weight"] or 0),
                    address=each["addr"],
                )
            )
        return found

    def backends(self) -> set[str]:
        """Names of the backends that it knows."""
        return {line for line in self.ask("show backend").splitlines() if not line.startswith("#")}

    def add(self, backend: str, group: TargetGroup, server: Server) -> None:
        """Add a target. It gets no request before its health checks let it in."""
        name = f"{backend}/{server.name}"
        self._do(f"add server {name} {server_words(group, server)}", "New server registered.")
        self._do(f"add server {name}-open {open_words(group, server)}", "New server registered.")
        self._do(f"enable health {name}")
        # It would be up when it leaves its maintenance, so first it leaves it for nothing but checks.
        self._do(f"set server {name} state drain")
        self._do(f"set server {name} health down")
        self.ready(backend, server.name)

    def ready(self, backend: str, server: str) -> None:
        """Let a target be used, as its health allows."""
        self._do(f"set server {backend}/{server} state ready")
        self._do(f"set server {backend}/{server}-open state ready")

    def up(self, backend: str, server: str) -> None:
        """Let a target be healthy now."""
        self._do(f"set server {backend}/{server} health up")

    def drain(self, backend: str, server: str) -> None:
        """Send a target no new request; what is open goes on."""
        self._do(f"set server {backend}/{server} state drain")
        self._do(f"set server {backend}/{server}-open state drain")

    def remove(self, backend: str, server: str) -> bool:
        """Remove a target and end what is open; whether it is gone, else to be tried again."""
        gone = True
        for name in (f"{backend}/{server}", f"{backend}/{server}-open"):
            self._do(f"set server {name} state maint")
            self.ask(f"shutdown sessions server {name}")
            # Its idle connections to the target may take a moment to close.
            gone = self.ask(f"del server {name}") in {"Server deleted.", "No such server."} and gone
        return gone

    def _do(self, command: str, wanted: str = "") -> None:
        answer = self.ask(command)
        if answer != wanted:
            raise CorralError(f"HAProxy answers `{command}` with: {answer}", see="docs/lab.md")
