"""One release takes over from another, in a real PM2 on the real Node that hosts get."""

import contextlib
import http.client
import json
import os
import platform
import signal
import subprocess
import tarfile
import threading
import time
from pathlib import Path

import pytest
import zstandard

from corral import runtimes
from tests.local.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "files" / "app" / "app-processes"

# As the example application does: it answers /readyz with its release, says when it is ready, and drains.
SERVER = """
import { createServer } from "node:http";
import { Server } from "node:net";
let leaving = false;
const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
  if (leaving) response.setHeader("Connection", "close");
  const { RELEASE: release, GREETING: greeting, HOME: home = "none" } = process.env;
  response.end(JSON.stringify({ release, process: process.pid, greeting, home }));
});
process.on("SIGINT", () => {
  leaving = true;
  // Not before its time: the cluster may be handing it a connection; only a living process can give it back.
  const closed = new Promise((resolve) => Server.prototype.close.call(server, resolve));
  setTimeout(async () => {
    setInterval(() => server.closeIdleConnections(), 20);
    await closed;
    process.exit(0);
  }, Number(process.env.DRAIN_MS));
});
process.on("SIGUSR2", () => console.log("reopened by", process.pid));
server.listen(process.env.PORT, process.env.HOST, () => process.send("ready"));
"""
CRASHES = 'console.error("no such table: rooms"); process.exit(1);'
DIES = SERVER + "setTimeout(() => process.exit(1), 1000);"
ILL = "if (process.uptime() > 1) response.statusCode = 503;"
FALLS_ILL = SERVER.replace("response.end(", f"{ILL} response.end(")
# Ready only as long as a file is there, which stands for the database.
LACKS = "if (!existsSync(process.env.NEEDS)) response.statusCode = 503;"
NEEDY = 'import { existsSync } from "node:fs";' + SERVER.replace("response.end(", f"{LACKS} response.end(")
NOT_READY = SERVER.replace("response.end(", "response.statusCode = 503; response.end(")


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """Node and PM2 as archives/install-archive would leave them; built once, if nobody did before."""
    arch = {"x86_64": "x64", "aarch64": "arm64"}[platform.machine()]
    home = tmp_path_factory.mktemp("runtimes")
    built = runtimes.archives(ROOT / "files/process_manager", ROOT / ".corral/runtimes", arch)
    for runtime, archive in built.items():
        stream = zstandard.ZstdDecompressor().stream_reader(archive.open("rb"))
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            tar.extractall(home / runtime.name, filter="tar")
    return home


class App:
    """A host's application: its folders, PM2's daemon, and app-processes to tell it what to run."""

    def __init__(self, home, installed):
        self.home, self.node = home, installed / "node/bin/node"
        for folder in ("srv/releases", "run", "log", "pm2"):
            (home / folder).mkdir(parents=True)
        self.port = free_port()
        self.env = {
            "PATH": os.environ["PATH"],
            "PM2_HOME": str(home / "pm2"),
            "CORRAL_RUNTIMES": str(installed),
            "CORRAL_APP_HOME": str(home / "srv"),
            "CORRAL_APP_RUN": str(home / "run"),
            "CORRAL_APP_SETTINGS": str(home / "app.env"),
            "HOME": "/nobody/shall/see/this",
        }
        self.settings(GREETING="hello=world")
        daemon = installed / "pm2/node_modules/pm2/lib/Daemon.js"
        with (home / "daemon.log").open("wb") as log:
            self.daemon = subprocess.Popen(
                [self.node, daemon],
                stdout=log,
                stderr=log,
                env={"PM2_HOME": self.env["PM2_HOME"]},
                process_group=0,
            )

    def settings(self, **more):
        values = {"PROCESSES": 2, "HOST": "127.0.0.1", "PORT": self.port, "DRAIN_MS": 300}
        values |= {"LOG_FILE": f"{self.home}/log/app.log", **more}
        lines = "".join(f"{key}={value}\n" for key, value in values.items())
        (self.home / "app.env").write_text(f"# a comment\n{lines}")

    def release(self, version, source=SERVER):
        """Put a release in its place."""
        directory = self.home / "srv/releases" / version
        (directory / "server").mkdir(parents=True)
        (directory / "server/main.js").write_text(source)
        (directory / "package.json").write_text('{"type": "module"}')
        return directory

    def __call__(self, *words, check=True):
        done = subprocess.run(
            [self.node, SCRIPT, *words], env=self.env, capture_output=True, text=True, timeout=90
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    def switch(self, directory):
        """What tasks/lib/scripts/release_apply.sh does."""
        name = self("beside", directory, "0").stdout.strip()
        link = self.home / "srv/current"
        link.unlink(missing_ok=True)
        link.symlink_to(f"releases/{directory.name}")
        self("only", name)

    def answers(self, count=12):
        """What the port says to so many new connections, one after the other."""
        return [self.answer() for _ in range(count)]

    def answer(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", "/")
        response = connection.getresponse()
        answer = json.loads(response.read())
        connection.close()
        return answer

    def releases(self):
        return {answer["release"] for answer in self.answers()}

    @property
    def serving(self):
        return (self.home / "run/serving").read_text().split()[0]


@pytest.fixture
def app(tmp_path, installed):
    app = App(tmp_path, installed)
    yield app
    # Nobody asks any more, so nothing of it is let down gently.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(app.daemon.pid, signal.SIGKILL)
    app.daemon.wait(30)


@contextlib.contextmanager
def asking(app):
    """Four who ask all the time: which releases they see, and what fails."""
    stop, seen, failed = threading.Event(), [], []

    def ask_on():
        while not stop.wait(0.01):
            try:
                seen.append(app.answer()["release"])
            except (OSError, http.client.HTTPException, ValueError) as error:
                failed.append(error)

    threads = [threading.Thread(target=ask_on) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield seen, failed
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_without_a_release_the_unit_starts_and_serves_nothing(app):
    assert "no release is here yet" in app("boot").stdout
    assert not (app.home / "run/serving").exists()


def test_a_release_takes_over_without_one_failed_request(app):
    one, two = app.release("1.0"), app.release("2.0")
    app.switch(one)
    assert app.releases() == {"1.0"}
    assert len({answer["process"] for answer in app.answers()}) == 2

    with asking(app) as (seen, failed):
        app.switch(two)
        app.switch(one)
        app.switch(two)
    assert failed == []
    assert set(seen) == {"1.0", "2.0"}
    assert app.releases() == {"2.0"}
    assert app.serving == "2.0"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (CRASHES, " of 2 processes did not stay up"),
        (NOT_READY, "not ready 1.5 s after its start; last answer of /readyz: 503"),
    ],
    ids=["crashes", "is never ready"],
)
def test_a_release_that_does_not_come_to_serve_is_refused_and_the_old_one_stays(app, source, reason):
    app.switch(app.release("1.0"))
    app.env["CORRAL_APP_READY_MS"] = "1500"
    refused = app("beside", app.release("2.0", source), "0", check=False)
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert "release 2.0 is refused: " in refused.stderr
    assert reason in refused.stderr
    assert "What ran before still serves." in refused.stderr
    assert ("no such table: rooms" in refused.stderr) == (source == CRASHES)
    assert app.releases() == {"1.0"}
    assert app.serving == "1.0"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (CRASHES, "1 of 1 processes did not stay up"),
        (DIES, "it became ready, and then did not stay up"),
        (FALLS_ILL, "it became ready, and then was not any more; last answer of /readyz: 503"),
    ],
    ids=["crashes", "dies", "falls ill"],
)
def test_a_release_is_tried_first_where_no_user_meets_it(app, source, reason):
    app.switch(app.release("1.0"))
    with asking(app) as (seen, failed):
        refused = app("beside", app.release("2.0", source), "3", check=False)
    assert refused.returncode == 1
    assert f"release 2.0 is refused: {reason}" in refused.stderr
    assert (failed, set(seen)) == ([], {"1.0"})
    name = app("beside", app.release("3.0"), "0.5").stdout.strip()
    app("only", name)
    assert app.releases() == {"3.0"}


@pytest.mark.parametrize("seconds", ["3", "0"], ids=["tried", "beside"])
def test_where_what_runs_is_not_ready_either_the_release_is_not_to_blame(app, seconds):
    needed = app.home / "needed"
    needed.touch()
    app.settings(NEEDS=needed)
    app.switch(app.release("1.0", NEEDY))
    needed.unlink()
    app.env["CORRAL_APP_READY_MS"] = "1500"
    stopped = app("beside", app.release("2.0", NEEDY), seconds, check=False)
    assert stopped.returncode == 1
    assert "release 2.0 did not come to serve: not ready 1.5 s after its start" in stopped.stderr
    assert 'look around them first: 503 {"release":"1.0"' in stopped.stderr
    assert "is refused" not in stopped.stderr
    needed.touch()
    assert app.releases() == {"1.0"}
    app.switch(app.home / "srv/releases/2.0")
    assert app.releases() == {"2.0"}


def test_the_first_release_that_fails_leaves_nothing_running(app):
    refused = app("beside", app.release("1.0", CRASHES), "0", check=False)
    assert "Nothing ran before, so nothing serves." in refused.stderr
    app.switch(app.release("2.0"))
    assert app.releases() == {"2.0"}


def test_what_was_refused_while_it_was_starting_does_not_come_back(app):
    slow = "await new Promise((resolve) => setTimeout(resolve, 700)); process.exit(1);"
    refused = app("beside", app.release("1.0", slow), "0", check=False)
    assert "did not stay up" in refused.stderr
    time.sleep(2)  # PM2 would start it again within this time
    children = f"/proc/{app.daemon.pid}/task/{app.daemon.pid}/children"
    assert Path(children).read_text() == ""


def test_what_a_killed_switch_left_is_removed_by_the_next(app):
    one, two = app.release("1.0"), app.release("2.0")
    app.switch(one)
    app("beside", two, "0")
    assert app.releases() == {"1.0", "2.0"}
    assert app.serving == "1.0"
    app.switch(two)
    assert app.releases() == {"2.0"}
    assert len({answer["process"] for answer in app.answers()}) == 2


def test_a_boot_runs_the_current_release_with_the_settings_and_nothing_of_who_started_it(app):
    app.switch(app.release("1.0"))
    app("stop")
    assert not (app.home / "run/serving").exists()
    with pytest.raises(OSError):
        app.answer()
    app("boot")
    answer = app.answer()
    assert answer["greeting"] == "hello=world"
    assert answer["home"] == "none"
    assert app.serving == "1.0"


def test_changed_settings_are_taken_over_like_a_release(app):
    one = app.release("1.0")
    app.switch(one)
    before = (app.home / "run/serving").read_text()
    app.settings(GREETING="good morning")
    app.switch(one)
    assert {answer["greeting"] for answer in app.answers()} == {"good morning"}
    assert (app.home / "run/serving").read_text() != before


def test_a_current_release_that_crashes_at_boot_is_tried_again(app):
    directory = app.release("1.0")
    app.switch(directory)
    app("stop")
    (directory / "server/main.js").write_text(CRASHES)
    assert "PM2 keeps trying" in app("boot").stderr
    (directory / "server/main.js").write_text(SERVER)
    for _ in range(600):
        try:
            assert app.answer()["release"] == "1.0"
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("it never came up")


def test_all_are_told_to_open_their_logs_anew(app):
    app.switch(app.release("1.0"))
    processes = {answer["process"] for answer in app.answers()}
    log = app.home / "log/console.log"
    log.rename(app.home / "log/console.log.1")
    app("reopen-logs")
    for _ in range(600):
        said = log.read_text().splitlines() if log.exists() else []
        told = {int(line.split()[-1]) for line in said if "reopened by" in line}
        if told == processes:
            return
        time.sleep(0.1)
    raise AssertionError(f"told were {told} of {processes}")


def test_without_the_daemon_it_says_so_and_starts_none(app):
    app.daemon.terminate()
    app.daemon.wait(30)
    refused = app("stop", check=False)
    assert refused.returncode == 1
    assert refused.stderr == "corral: PM2's daemon does not run. See: systemctl status corral-app\n"
    assert not (app.home / "pm2/pm2.pid").exists()


@pytest.mark.parametrize("words", [[], ["dance"], ["beside", "/srv/app"], ["boot", "now"]])
def test_wrong_words_get_the_usage(app, words):
    refused = app(*words, check=False)
    assert refused.returncode == 2
    assert "usage: app-processes" in refused.stderr
