"""What a host logs, on its way: the files that its tasks place, read by Filebeat and by logrotate."""

import json
import os
import re
import subprocess
import sys
from functools import cache

import pytest

from tests.local.elastic import Authority, Program, Receiver, line, until
from tests.local.elastic import run as run_module
from tests.local.ports import free_port
from tests.shared.roles import ROLES, ROOT, Declared

declared = cache(Declared)
# As tests/local/test_filebeat_journald.py has it: prints a file of entries, and what comes.
JOURNALCTL = """#!/bin/sh
for word; do case $word in --after-cursor=*) after=${word#*i=}; after=${after%%;*} ;; esac; done
tail -n "+$((${after:-0} + 1))" -f FOLDER/journal
"""


class Host:
    """A host of a role below a folder: its files with other paths, and Filebeat."""

    def __init__(self, role, folder, port, authority):
        self.folder, self.role = folder, role
        certificate, key = authority.pair("i-0123456789abcdef0")
        self._places = {
            "/etc/": f"{folder}/etc/",
            "/var/log/": f"{folder}/var/log/",
            "elk.lab.internal:5044": f"127.0.0.1:{port}",
            "/var/lib/corral/certificates/host.pem": str(certificate),
            "/var/lib/corral/certificates/host.key": str(key),
            "/etc/corral/ca.pem": str(authority.ca),
            '"5s"': '"200ms"',
            '"1s"': '"100ms"',
            '"2s"': '"100ms"',
        }
        for paths in declared(role).files.values():
            for path, entry in paths.items():
                if path.startswith(("/etc/filebeat/", "/etc/logrotate.d/")) and entry.kind == "file":
                    self._place(path, entry.body.decode())
        for entry in ("nginx", "chat-app", "corral", "postgresql"):
            (folder / "var/log" / entry).mkdir(parents=True)
        self._journal()
        paths = {"config": folder / "etc/filebeat", "data": folder / "data", "logs": folder / "own"}
        self.arguments = ["-c", "filebeat.yml", *(f"--path.{name}={path}" for name, path in paths.items())]
        self._environment = {
            "CORRAL_FILEBEAT_INPUTS": str(folder / "etc/filebeat/inputs.d"),
            "CORRAL_FILEBEAT_REGISTRY": str(folder / "data/registry/filebeat"),
        }

    def _place(self, path, text):
        for old, new in sorted(self._places.items(), key=lambda each: -len(each[0])):
            text = text.replace(old, new)
        target = self.folder / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(0o600)

    def _journal(self):
        script = self.folder / "bin/journalctl"
        script.parent.mkdir()
        script.write_text(JOURNALCTL.replace("FOLDER", str(self.folder)))
        script.chmod(0o755)
        (self.folder / "journal").touch()

    def say(self, number, seconds):
        """An entry of the journal; it is its line's number that the cursor has."""
        with (self.folder / "journal").open("a") as file:
            moment = int(seconds * 1e6)
            file.write(
                f'{{"__CURSOR": "s=1;i={number};t={moment:x};x=1", "__REALTIME_TIMESTAMP": "{moment}",'
                f' "MESSAGE": "said {number}", "PRIORITY": "6"}}\n'
            )

    def log(self, name):
        return self.folder / "var/log" / name

    def filebeat(self):
        path = f"{self.folder}/bin:{os.environ['PATH']}"
        output = self.folder / "filebeat.out"
        return Program("lab.elastic.filebeat", *self.arguments, "-e", log=output, PATH=path)

    def test_config(self):
        return run_module("lab.elastic.filebeat", "test", "config", *self.arguments)

    def rotate(self, how="--force"):
        """Rotate, as at the end of a day; what logrotate said. Whoever runs the tests owns all files."""
        text = (self.folder / "etc/logrotate.d/corral").read_text()
        text = re.sub(r"create \d+ \w+ \w+", "create", re.sub(r" +su .*\n", "", text))
        mine = self.folder / "logrotate.conf"
        mine.write_text(re.sub(r"(postrotate\n).*\n", r"\1true\n", text))
        command = ["logrotate", how, "--state", self.folder / "logrotate.state", mine]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stderr

    def shipped(self, seconds):
        return subprocess.run(
            [sys.executable, ROOT / "files/logging/shipped", str(seconds)],
            env={**os.environ, **self._environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "pki")


def places(receiver):
    """What came, by what tells a line from every other."""
    found = {}
    for event in receiver.events:
        log = event.get("log", {})
        # Files of several logs may begin alike.
        place = event["data_stream"]["dataset"], log.get("file", {}).get("fingerprint"), log.get("offset")
        found[place] = event
    return found


@pytest.mark.parametrize("role", ROLES)
def test_filebeat_and_logrotate_take_the_files_of_each_role(role, tmp_path, port, authority):
    host = Host(role, tmp_path / "host", port, authority)
    assert host.test_config() == (0, "Config OK\n")
    with host.filebeat() as program:
        until(lambda: "start running" in program.log(), program.log)
    given = len(
        [path for path in declared(role).files["Configure Filebeat and what it reads"] if "inputs.d/" in path]
    )
    assert f"start running, {given} inputs" in program.log()
    assert "error" not in host.rotate("--debug").replace("error.log", "")


def test_each_line_comes_once_with_its_host_and_dataset_however_often_files_rotate(tmp_path, port, authority):
    host = Host("app", tmp_path / "host", port, authority)
    receiver = Receiver(port, authority)
    written = []
    with host.filebeat() as program:
        for day in range(3):
            for name in ("nginx/access.json", "chat-app/app.log", "chat-app/console.log"):
                lines = [line(number, file=name) for number in range(day * 100, day * 100 + 100)]
                host.log(name).write_text("".join(lines))
                written += [(each.strip(), name) for each in lines]
            if day == 1:
                program.kill()
            host.rotate()
            assert host.log("nginx/access.json").read_text() == ""
            if day == 1:
                program.start()
            # What was under way when it was killed comes twice.
            until(lambda day=day: len(places(receiver)) == (day + 1) * 300, program.log)
        host.say(1, 1_790_000_000)
        until(lambda: len(places(receiver)) == 901, program.log)
    receiver.stop()
    rotated = sorted(path.name for path in host.log("nginx").iterdir())
    assert len(rotated) == 4 and all(re.fullmatch(r"access\.json(-\d{8}-\d{6})?", name) for name in rotated)
    datasets = {"nginx/access.json": "nginx.access", "chat-app/app.log": "app.log"}
    got = [event for event in places(receiver).values() if event["input"]["type"] == "filestream"]
    assert sorted((event["message"], event["data_stream"]["dataset"]) for event in got) == sorted(
        (text, datasets.get(name, "app.console")) for text, name in written
    )
    (said,) = [event for event in receiver.events if event["input"]["type"] == "journald"]
    assert (said["message"], said["data_stream"]) == ("said 1", {"dataset": "system.journal"})
    for event in receiver.events:
        assert event["host"]["name"] == "i-0123456789abcdef0"
        assert event["corral"] == {"role": "app"}
        assert event["service"] == {"environment": "lab"}


def test_a_host_that_goes_waits_for_its_last_lines_and_not_for_ever(tmp_path, port, authority):
    host = Host("app", tmp_path / "host", port, authority)
    receiver = Receiver(port, authority)
    receiver.answers = False
    log, far = host.log("chat-app/app.log"), 4_000_000_000
    log.write_text(line(1) + line(2))
    host.log("nginx/error.log").write_text("too short\n")
    host.say(1, 1_790_000_000)
    # All three in one batch: after the first, nothing more is sent before it is answered.
    path = host.folder / "etc/filebeat/filebeat.yml"
    text = path.read_text()
    assert "flush.timeout: 1s" in text
    path.write_text(text.replace("flush.timeout: 1s", "flush.timeout: 10s"))
    with host.filebeat() as program:
        until(lambda: len(receiver.events) == 3, program.log)
        left = host.shipped(1)
        size = log.stat().st_size
        assert left.returncode == 1
        assert left.stderr == f"corral: not shipped within 1 s: {size} bytes of {log}, the journal\n"
        program.kill()
        receiver.answers = True
        program.start()
        # What has no end yet nobody waits for; what is older in the journal is not all of it.
        with log.open("a") as file:
            file.write("half a line")
        until(lambda: len(receiver.events) >= 6, program.log)
        old = host.shipped(2)
        assert (old.returncode, old.stderr) == (1, "corral: not shipped within 2 s: the journal\n")
        host.say(2, far)
        all_of_it = host.shipped(20)
        assert (all_of_it.returncode, all_of_it.stderr) == (0, "")
        # What it noted is somewhere else after a new start.
        program.kill()
        program.start()
        registry = host.folder / "data/registry/filebeat/log.json"
        until(lambda: registry.read_text() == "", registry.read_text)
        assert host.shipped(20).returncode == 0
        # Of a file that was rotated in between, the rest counts as well.
        receiver.answers = False
        with log.open("a") as file:
            file.write(" and its end\n")
        log.rename(f"{log}-20261126-000000")
        rest = host.shipped(1)
        assert f"24 bytes of {log}-20261126-000000" in rest.stderr
    receiver.stop()


SCRIPTS = ("logging/pulse", "certificates/certificate", "authority/sign", "log_watch/log-watch")


@pytest.mark.parametrize("name", SCRIPTS)
def test_shellcheck_finds_nothing(name):
    done = subprocess.run(["shellcheck", ROOT / "files" / name], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert os.access(ROOT / "files" / name, os.X_OK)


def test_a_pulse_is_a_line_of_json(tmp_path):
    for _ in range(2):
        subprocess.run([ROOT / "files/logging/pulse", tmp_path / "host.json"], check=True)
    first, second = map(json.loads, (tmp_path / "host.json").read_text().splitlines())
    assert first["@timestamp"] <= second["@timestamp"] and first["@timestamp"].endswith("Z")
    assert 0 < first["system.memory.actual.used.pct"] < 1
    assert 0 < first["system.filesystem.used.pct"] <= 1
    assert isinstance(first["system.load.1"], float) and isinstance(first["host.uptime"], int)
