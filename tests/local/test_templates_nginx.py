"""nginx's templates, in a real nginx before a real upstream: what the load balancer and browsers see."""

import getpass
import json
import re
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tasks.lib.templates import render
from tests.local.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
DATA = {
    "environment": "lab",
    "project": "chat",
    "domain": "chat.localhost",
    "balancer_cidrs": ["127.0.0.2/32", "10.42.1.0/24"],
}


class Upstream(BaseHTTPRequestHandler):
    """Tells what nginx asked for; speaks as the application does."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.headers["Upgrade"] == "websocket" and self.path.startswith("/ws"):
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            self.end_headers()
            self.wfile.write(b"frames")
            self.close_connection = True
            return
        body = json.dumps({"path": self.path, "headers": dict(self.headers), "port": self.client_address[1]})
        self.send_response(503 if self.path == "/api/broken" else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Request-Id", "the upstream's own")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", "the upstream's own")
        self.end_headers()
        self.wfile.write(body.encode())

    do_POST = do_GET


class Nginx:
    """The rendered configuration with its paths and ports replaced, served by nginx."""

    def __init__(self, home, upstream_port=3000, ports=(80, 81)):
        self.home, self.ports = home, dict(zip((80, 81), ports, strict=True))
        self.etc = home / "etc/nginx"
        for folder in (
            "etc/nginx/snippets",
            "etc/nginx/sites-enabled",
            "log",
            "srv/current/dist",
            "srv/assets",
        ):
            (home / folder).mkdir(parents=True)
        (home / "etc/nginx/mime.types").write_text(Path("/etc/nginx/mime.types").read_text())
        self.place("nginx.conf", render("templates/nginx/nginx.conf.j2", DATA), "daemon off;")
        site = render("templates/nginx/site.conf.j2", DATA)
        self.place("sites-enabled/chat.conf", site.replace("127.0.0.1:3000", f"127.0.0.1:{upstream_port}"))
        for name in ("headers.conf", "proxy.conf"):
            self.place(f"snippets/{name}", (ROOT / "templates/nginx" / name).read_text())
        self.config = self.etc / "nginx.conf"

    def place(self, name, text, more=""):
        for old, new in (
            ("/etc/nginx/", f"{self.etc}/"),
            ("/var/log/nginx/", f"{self.home}/log/"),
            ("/run/nginx.pid", f"{self.home}/nginx.pid"),
            ("/srv/app", f"{self.home}/srv"),
            ("user www-data;", f"user {getpass.getuser()};"),
            ("worker_rlimit_nofile 65536", "worker_rlimit_nofile 256"),
            ("worker_connections 16384", "worker_connections 128"),
        ):
            text = text.replace(old, new)
        text = re.sub(r"listen (80|81)\b", lambda port: f"listen {self.ports[int(port[1])]}", text)
        (self.etc / name).write_text(f"{more}\n{text}")

    def start(self):
        self.process = subprocess.Popen(
            ["nginx", "-e", f"{self.home}/log/early", "-p", str(self.home), "-c", str(self.config)],
            stderr=subprocess.DEVNULL,
        )
        for _ in range(200):
            try:
                return socket.create_connection(("127.0.0.1", self.ports[80])).close()
            except ConnectionRefusedError:
                time.sleep(0.02)
        raise AssertionError((self.home / "log/early").read_text())

    def ask(self, path, port=80, host="chat.localhost", method="GET", source="127.0.0.2", **headers):
        """(status, headers in small letters, body); status None when nginx closes without an answer."""
        with socket.create_connection(("127.0.0.1", self.ports[port]), 5, (source, 0)) as wire:
            lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close"]
            lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
            wire.sendall("\r\n".join([*lines, "", ""]).encode())
            answer = b"".join(iter(lambda: wire.recv(65536), b"")).decode()
        if not answer:
            return None, {}, ""
        head, _, body = answer.partition("\r\n\r\n")
        status, *lines = head.split("\r\n")
        found = {}
        for line in lines:
            name, _, value = line.partition(": ")
            assert name.lower() not in found, f"{name} twice"
            found[name.lower()] = value
        return int(status.split()[1]), found, body

    def logged(self):
        """The log's lines, as objects."""
        time.sleep(0.05)
        return [json.loads(line) for line in (self.home / "log/access.json").read_text().splitlines()]


@pytest.fixture(scope="module")
def nginx(tmp_path_factory):
    upstream = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=upstream.serve_forever, args=[0.01], daemon=True).start()
    home = tmp_path_factory.mktemp("nginx")
    server = Nginx(home, upstream.server_port, (free_port(), free_port()))
    (home / "srv/current/dist/index.html").write_text("the page")
    (home / "srv/current/dist/robots.txt").write_text("robots")
    (home / "srv/assets/index-B1LMrYQy.js").write_text("script")
    server.start()
    yield server
    server.process.terminate()
    server.process.wait(10)
    upstream.shutdown()


def test_nginx_accepts_it(nginx):
    done = subprocess.run(
        ["nginx", "-t", "-e", f"{nginx.home}/log/early", "-p", str(nginx.home), "-c", str(nginx.config)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert "[warn]" not in done.stderr


def test_gixy_finds_nothing(tmp_path):
    """Skipped is one check, whose advice (no try_files) does not go with a single-page application."""
    done = subprocess.run(
        [ROOT / ".venv/bin/gixy", "--skips", "try_files_is_evil_too", "-f", "json", Nginx(tmp_path).config],
        capture_output=True,
        text=True,
    )
    assert json.loads(done.stdout) == [], done.stdout + done.stderr


HEADERS = {
    "strict-transport-security": "max-age=31536000",
    "x-content-type-options": "nosniff",
    "referrer-policy": "strict-origin-when-cross-origin",
    "cross-origin-opener-policy": "same-origin",
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'; object-src 'none'",
}


@pytest.mark.parametrize(
    ("path", "status", "cache"),
    [
        ("/", 200, "no-cache"),
        ("/rooms/general", 200, "no-cache"),
        ("/robots.txt", 200, "no-cache"),
        ("/assets/index-B1LMrYQy.js", 200, "public, max-age=31536000, immutable"),
        ("/assets/index-gone.js", 404, None),
        ("/assets/", 404, None),
        ("/.env", 404, None),
        ("/.git/config", 404, None),
        ("/api/rooms", 200, "no-store"),
        ("/api/rooms?x=1", 200, "no-store"),
        ("/readyz", 200, "no-store"),
    ],
)
def test_every_answer_has_the_headers_of_its_kind(nginx, path, status, cache):
    got, headers, body = nginx.ask(path)
    assert got == status
    assert headers.get("cache-control") == cache
    assert {name: headers.get(name) for name in HEADERS} == HEADERS
    assert re.fullmatch(r"[0-9a-f]{32}", headers["x-request-id"])
    assert headers["server"] == "nginx"
    assert ("the page" in body) == (cache == "no-cache" and path != "/robots.txt")


def test_only_the_listed_paths_go_to_node(nginx):
    def to_node(path):
        return '"path"' in nginx.ask(path)[2]

    assert [to_node(path) for path in ("/api/x", "/healthz", "/readyz", "/ws")] == [True] * 4
    assert [to_node(path) for path in ("/", "/apix", "/wsx", "/readyz/x")] == [False] * 4


def test_static_files_are_only_read(nginx):
    assert nginx.ask("/robots.txt", method="POST", Content_Length="0")[0] == 405


@pytest.mark.parametrize("given", ["abcd1234", "A-Z_.09-request", "x" * 128])
def test_a_well_formed_request_id_is_kept(nginx, given):
    _, headers, body = nginx.ask("/api/x", X_Request_Id=given)
    assert headers["x-request-id"] == given
    assert json.loads(body)["headers"]["X-Request-Id"] == given
    assert nginx.logged()[-1]["http.request.id"] == given


@pytest.mark.parametrize("given", ["short", "x" * 129, "has space", 'quote"quote', "a;b=c;d=e", ""])
def test_a_malformed_request_id_is_replaced(nginx, given):
    _, headers, body = nginx.ask("/api/x", X_Request_Id=given)
    assert re.fullmatch(r"[0-9a-f]{32}", headers["x-request-id"])
    assert json.loads(body)["headers"]["X-Request-Id"] == headers["x-request-id"]


def test_the_clients_address_is_what_the_load_balancer_says_and_nobody_else(nginx):
    def seen(source, forwarded):
        body = nginx.ask("/api/x", source=source, X_Forwarded_For=forwarded, X_Forwarded_Proto="https")[2]
        headers = json.loads(body)["headers"]
        assert headers["X-Forwarded-Proto"] == "https"
        assert nginx.logged()[-1]["client.ip"] == headers["X-Forwarded-For"]
        return headers["X-Forwarded-For"]

    assert seen("127.0.0.2", "6.6.6.6, 203.0.113.9") == "203.0.113.9"
    assert seen("127.0.0.3", "203.0.113.9") == "127.0.0.3"


def test_a_websocket_goes_through(nginx):
    with socket.create_connection(("127.0.0.1", nginx.ports[80]), 5) as wire:
        wire.sendall(
            b"GET /ws?since=1 HTTP/1.1\r\nHost: chat.localhost\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        answer = b"".join(iter(lambda: wire.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert answer.endswith(b"frames")


def test_no_other_protocol_is_switched_to(nginx):
    headers = json.loads(nginx.ask("/api/x", Upgrade="h2c")[2])["headers"]
    assert not {"Upgrade", "Connection"} & headers.keys()


def test_connections_to_node_are_kept(nginx):
    ports = [json.loads(nginx.ask("/api/x")[2])["port"] for _ in range(6)]
    assert len(set(ports)) < 6


def test_the_log_has_no_query_and_the_time_to_the_millisecond(nginx):
    nginx.ask("/api/x?token=secret", User_Agent='quote " and \\ and \x7f')
    line = nginx.logged()[-1]
    assert line["url.path"] == "/api/x"
    assert "secret" not in json.dumps(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", line["@timestamp"])
    assert (line["http.response.status_code"], line["log.level"]) == (200, "info")
    assert nginx.ask("/api/broken")[0] == 503
    assert nginx.logged()[-1]["log.level"] == "error"
    assert isinstance(line["event.duration"], int)


def test_a_page_that_its_router_knows_is_logged_as_it_was_asked_for(nginx):
    nginx.ask("/rooms/general?x=1")
    assert nginx.logged()[-1]["url.path"] == "/rooms/general"


@pytest.mark.parametrize("host", ["evil.example", "chat.localhost.evil.example", "10.42.16.4"])
@pytest.mark.parametrize(
    ("port", "path"), [(80, "/"), (80, "/api/rooms"), (81, "/"), (81, "/healthz"), (80, "/readyz")]
)
def test_another_name_is_dropped_without_an_answer(nginx, host, port, path):
    assert nginx.ask(path, port=port, host=host)[0] is None


def test_the_load_balancers_checks_are_answered_by_address(nginx):
    assert nginx.ask("/healthz", host="10.42.16.4:80")[0] == 200
    assert nginx.ask("/corral/health", port=81, host="10.42.16.4:81")[::2] == (200, "ok\n")


def test_nobody_else_gets_the_check_under_another_name(nginx):
    assert nginx.ask("/healthz", host="evil.example", X_Forwarded_For="203.0.113.9")[0] is None
    assert nginx.ask("/healthz", host="evil.example", source="127.0.0.3")[0] is None


@pytest.mark.parametrize("path", ["/", "/rooms/general?x=1&y=%20", "/api/rooms", "//evil.example/"])
def test_port_81_sends_to_https(nginx, path):
    status, headers, _ = nginx.ask(path, port=81, host="chat.localhost")
    assert status == 301
    assert headers["location"] == f"https://chat.localhost{path}"


def test_checks_are_not_logged(nginx):
    before = len(nginx.logged())
    nginx.ask("/healthz", host="10.42.16.4")
    nginx.ask("/readyz")
    nginx.ask("/corral/health", port=81, host="x")
    assert len(nginx.logged()) == before
