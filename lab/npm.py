"""npm's packages for the release server: this machine's own registry, passed on, at an address of the lab's.

python -m lab.npm REGISTRY CERTIFICATE
"""

import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from corral.errors import CorralError
from lab import ca
from lab.paths import CA, MACHINE, REPOSITORY

PORT = 443
ADDRESS = f"https://{MACHINE}"
TIMEOUT_SECONDS = 60
# What npm and the registry tell each other of an answer; the rest is between each of them and this process.
_ASKED = ("Accept", "If-None-Match", "User-Agent")
_TOLD = ("Content-Type", "ETag", "Cache-Control")


def command() -> list[str]:
    """The command that serves what npm of this machine is configured for; makes its certificate."""
    certificate = ca.certificate(CA, "npm", [MACHINE])
    return [sys.executable, "-m", "lab.npm", _registry(), str(certificate)]


def _registry() -> str:
    npm = str(Path(sys.prefix) / "bin" / "npm")
    # In the application's directory, whose .npmrc counts as well.
    words = [npm, "config", "get", "registry"]
    done = subprocess.run(words, cwd=REPOSITORY / "app", capture_output=True, text=True, check=False)
    if done.returncode:
        problem = f"npm does not say which registry this machine uses: {done.stderr.strip()}"
        raise CorralError(problem, "See `npm config ls`.", "docs/lab.md")
    return str(done.stdout).strip().rstrip("/")


def passed_on(body: bytes, kind: str, registry: str, address: str) -> bytes:
    """An answer of `registry` as one of `address`: what describes packages says where they are (pure).

    `kind`: its Content-Type. Both addresses without a slash at the end.
    """
    return body.replace(f"{registry}/".encode(), f"{address}/".encode()) if "json" in kind else body


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    registry = ""

    def do_GET(self) -> None:
        """Ask the registry, and pass on what it says. Nothing but reading is passed on."""
        headers = {name: self.headers[name] for name in _ASKED if name in self.headers}
        request = urllib.request.Request(f"{self.registry}{self.path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
                self._answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            self._answer(error.code, error.headers, error.read())
        except OSError as error:
            self._answer(502, Message(), f"The lab's machine can't reach its registry: {error}\n".encode())

    def _answer(self, status: int, told: Message, body: bytes) -> None:
        body = passed_on(body, told.get("Content-Type", ""), self.registry, ADDRESS)
        self.send_response(status)
        for name in _TOLD:
            if name in told:
                self.send_header(name, told[name])
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if status != 304:
            self.wfile.write(body)


def serve(registry: str, certificate: Path) -> None:
    """Serve until a signal ends the process."""
    _Handler.registry = registry
    server = ThreadingHTTPServer((MACHINE, PORT), _Handler)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    # The handshake is each connection's own thread's work.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]))
