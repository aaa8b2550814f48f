"""Which release a host takes itself to be for, what holds it there, and whether it stays ready."""

import json
import os
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from corral.releases.choice import wanted
from corral.releases.store import Pointer
from corral.rollout import push
from tests.local.fake_aws import FakeAws
from tests.shared.roles import ROOT

BUCKET, INSTANCE = "chat-lab-releases-123456789012", "i-0123456789abcdef0"
OLD, NEW, HELD = "a" * 64, "b" * 64, "c" * 64
AT = "2026-11-26T12:00:00+00:00"
POINTER = {"version": "2.0", "sha256": NEW, "previous": "1.0", "by": "me", "at": AT}


class Host:
    """A folder that is a host, as far as the script knows."""

    def __init__(self, root, aws):
        self.root, self.aws = root, aws
        self.write("usr/local/lib/corral/aws", (ROOT / "files/host/aws").read_text())
        self.write("etc/corral/node.env", f"CORRAL_INSTANCE={INSTANCE}\n")
        aws.objects[f"{BUCKET}/releases/app/1.0/app.tar.zst.sha256"] = f"{OLD}  app.tar.zst\n".encode()

    def write(self, name, text):
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)

    def hold(self, text):
        self.write("var/lib/corral/release-hold", f"{text}\n")

    def asks(self, version="", instance=INSTANCE, **pointer):
        """The words that the script prints when the environment's pointer is so."""
        self.write("etc/corral/node.env", f"CORRAL_INSTANCE={instance}\n")
        self.aws.objects[f"{BUCKET}/environments/lab/app/current.json"] = json.dumps(
            POINTER | pointer
        ).encode()
        done = self.runs("release_state.sh", BUCKET, "lab", version, "")
        assert done.returncode == 0, done.stderr
        return dict(line.split(" ", 1) for line in done.stdout.splitlines())

    def runs(self, name, *words, port=3000):
        """Run a script as if this folder were the host."""
        script = (ROOT / "tasks/lib/scripts" / name).read_text().replace(":3000/", f":{port}/")
        for place in ("/usr/local", "/etc/corral", "/var/lib", "/srv/app", "/run/corral"):
            script = script.replace(place, f"{self.root}{place}")
        return subprocess.run(
            ["sh", "-c", script, "sh", *words],
            capture_output=True,
            text=True,
            timeout=30,
            env={
                "PATH": os.environ["PATH"],
                "AWS_ENDPOINT_URL": self.aws.url,
                "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.aws.url,
                "AWS_REGION": "eu-west-1",
            },
        )


@pytest.fixture
def host(tmp_path):
    aws = FakeAws()
    yield Host(tmp_path, aws)
    aws.shutdown()


def taken(said):
    return said.get("wanted"), said.get("sha256")


def test_it_goes_by_the_pointer(host):
    assert taken(host.asks()) == ("2.0", NEW)
    assert taken(host.asks(version="1.0")) == ("1.0", OLD)


def test_that_the_pointer_moved_is_seen_though_it_names_the_same(host):
    assert host.asks()["named"] == AT
    assert "named" not in host.asks(version="1.0")


@pytest.mark.parametrize("wrong", [{"sha256": None}, {"sha256": 7}, {"sha256": {}}])
def test_what_is_no_pointer_is_a_problem(host, wrong):
    assert "is not a pointer" in host.asks(**wrong)["problem"]


def test_a_rollout_holds_it_until_the_pointer_moves_or_the_time_is_over(host):
    later = int(time.time()) + 60
    host.hold(f"3.0 {HELD} {later} {AT}")
    assert taken(host.asks()) == ("3.0", HELD)
    assert host.asks()["hold"] == f"3.0 {HELD} {later} {AT}"
    assert taken(host.asks(at="2026-11-26T12:00:01+00:00")) == ("2.0", NEW)
    host.hold(f"3.0 {HELD} {int(time.time()) - 1} {AT}")
    assert taken(host.asks()) == ("2.0", NEW)
    host.hold("")
    assert taken(host.asks()) == ("2.0", NEW)


def test_by_percent_each_host_takes_what_the_driver_counts_it_for(host):
    seen = set()
    for number in range(12):
        instance = f"i-{number:017x}"
        for percent in (0, 30, 70, 99):
            pointer = Pointer(**POINTER, percent=percent)
            version, sha256 = taken(host.asks(instance=instance, percent=percent))
            assert version == wanted(pointer, instance)
            assert sha256 == {"1.0": OLD, "2.0": NEW}[version]
            seen.add((percent, version))
    assert {(0, "1.0"), (30, "1.0"), (30, "2.0"), (70, "2.0")} <= seen
    assert (0, "2.0") not in seen


def test_a_release_that_is_marked_as_bad_is_refused(host):
    host.aws.objects[f"{BUCKET}/releases/app/2.0/bad.json"] = b"{}"
    said = "corral: release 2.0 is marked as bad, so this host does not take it."
    assert host.asks()["problem"].startswith(said)
    host.aws.objects[f"{BUCKET}/releases/app/2.0/app.tar.zst.sha256"] = f"{NEW}  app.tar.zst\n".encode()
    assert host.asks(version="2.0")["problem"].startswith(said)
    assert taken(host.asks(version="1.0")) == ("1.0", OLD)
    (host.root / "srv/app").mkdir(parents=True)
    (host.root / "srv/app/current").symlink_to("releases/2.0")
    assert taken(host.asks()) == ("2.0", NEW), "who has it runs it until the environment names another"
    assert host.asks()["current"] == "2.0"
    host.hold(f"3.0 {HELD} {int(time.time()) + 60} {AT}")
    host.aws.objects[f"{BUCKET}/releases/app/3.0/bad.json"] = b"{}"
    assert "3.0 is marked as bad" in host.asks()["problem"]


def test_a_hold_is_written_and_taken_away(host):
    host.runs("release_hold.sh", f"3.0 {HELD} {int(time.time()) + 60} {AT}")
    assert taken(host.asks()) == ("3.0", HELD)
    for _ in range(2):
        assert host.runs("release_hold.sh", "").returncode == 0
        assert taken(host.asks()) == ("2.0", NEW)


class Application(ThreadingHTTPServer):
    """Answers /readyz with one answer after the other, the last again and again."""

    def __init__(self, *answers):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                status, body = answers[min(self.server.asked, len(answers) - 1)]
                self.server.asked += 1
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = 0
        threading.Thread(target=self.serve_forever, args=[0.01], daemon=True).start()


READY = (200, '{"status":"ok","release":"2.0"}')


@pytest.mark.parametrize(
    ("second", "shown"),
    [
        (READY, ""),
        (
            (503, '{"status":"unavailable","reason":"database","release":"2.0"}'),
            '503 {"status":"unavailable"',
        ),
        ((200, '{"status":"ok","release":"1.0"}'), '200 {"status":"ok","release":"1.0"}'),
        ((502, "<html>Bad Gateway</html>"), "502 <html>Bad Gateway</html>"),
    ],
)
def test_a_release_must_say_so_often_that_it_is_ready(host, second, shown):
    host.write("etc/corral/app.env", f"PORT=3000\nLOG_FILE={host.root}/app.log\n")
    host.write("app.log", "".join(f"line {number}\n" for number in range(60)))
    application = Application(READY, second)
    try:
        done = host.runs("release_watch.sh", "2.0", "2", port=application.server_port)
    finally:
        application.shutdown()
    assert application.asked == 2
    if not shown:
        assert (done.returncode, done.stderr) == (0, "")
        return
    assert done.returncode == 1
    first, answer, title, *lines = done.stderr.splitlines()
    assert first.startswith("corral: the check that release 2.0 is ready failed, the 2. of 2 times that")
    assert push.refused([first])
    assert answer.startswith(f"Its last answer: {shown}")
    assert title == f"The last lines of {host.root}/app.log:"
    assert lines == [f"line {number}" for number in range(10, 60)]


@pytest.mark.parametrize("good", [True, False])
def test_then_it_is_asked_as_the_load_balancer_does(host, good):
    host.write("etc/corral/app.env", f"PORT=3000\nLOG_FILE={host.root}/app.log\n")
    host.write("console.log", "TypeError: no such door\n")
    application = Application(READY, (200 if good else 500, "{}"))
    door = f"http://127.0.0.1:{application.server_port}/healthz"
    try:
        done = host.runs("release_watch.sh", "2.0", "1", door, port=application.server_port)
    finally:
        application.shutdown()
    assert application.asked == 2
    assert done.returncode == (0 if good else 1)
    if not good:
        first, answer, title, line = done.stderr.splitlines()
        failed = "corral: the check that release 2.0 is ready failed"
        assert first == f"{failed}, when {door} was asked, as the load balancer does."
        assert push.refused([first])
        assert answer == "Its last answer: curl: (22) The requested URL returned error: 500"
        assert title == f"The last lines of {host.root}/console.log:"
        assert line == "TypeError: no such door"


def test_where_nothing_answers_that_is_said(host):
    host.write("etc/corral/app.env", f"LOG_FILE={host.root}/app.log\n")
    done = host.runs("release_watch.sh", "2.0", "2", port=1)
    assert done.returncode == 1
    assert "failed, the 1. of 2 times" in done.stderr
    assert "Failed to connect to 127.0.0.1" in done.stderr or "Couldn't connect" in done.stderr
