"""Where bench/logs.py can break things: hosts of the lab, or the lab's stand-ins alone on this machine."""

import contextlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from _lab import LAB, ROOT, members

from corral import settings
from corral.logs import connect
from corral.logs.store import Store
from tasks.lib.logs import Log
from tasks.logging import inputs

CORRAL = ROOT / ".venv/bin/corral"


class Place(Protocol):
    """A log with its forwarder, and what they lead to."""

    path: str
    store: Store

    def write(self, program: str, *arguments: object) -> "subprocess.Popen[bytes]":
        """Run a program in Python on the host that has the log."""

    def rotate(self) -> None:
        """Rename the log, as it is done every day."""

    def kill_forwarder(self) -> None:
        """kill -9; whoever looks after it starts it again."""

    def kill_logstash(self) -> None:
        """The same."""

    def stop_logstash(self) -> None:
        """Let it be away."""

    def start_logstash(self) -> None:
        """Let it be there again."""

    def stop_store(self) -> None:
        """Let Elasticsearch be away."""

    def start_store(self) -> None:
        """Let it be there again."""

    def forwarder_mib(self) -> float:
        """The most memory that the forwarder has had since it was started (VmHWM)."""


class Hosts:
    """An app server and the log server of the lab."""

    path = "/var/log/corral/converge.json"

    def __init__(self) -> None:
        self.app, self.elk = (members(role)[0].instance_id for role in ("app", "elk"))
        self.store = connect.store(LAB)

    def write(self, program: str, *arguments: object) -> "subprocess.Popen[bytes]":
        """As Place says."""
        return subprocess.Popen(self._words(self.app, "python3", "-c", program, *map(str, arguments)))

    def rotate(self) -> None:
        """As Place says."""
        self._run(self.app, "logrotate", "-f", "/etc/logrotate.d/corral")

    def kill_forwarder(self) -> None:
        """As Place says."""
        self._run(self.app, "systemctl", "kill", "-s", "KILL", "filebeat")

    def kill_logstash(self) -> None:
        """As Place says."""
        self._run(self.elk, "systemctl", "kill", "-s", "KILL", "logstash")

    def stop_logstash(self) -> None:
        """As Place says."""
        self._run(self.elk, "systemctl", "stop", "logstash")

    def start_logstash(self) -> None:
        """As Place says."""
        self._run(self.elk, "systemctl", "start", "logstash")

    def stop_store(self) -> None:
        """As Place says."""
        self._run(self.elk, "systemctl", "stop", "elasticsearch")

    def start_store(self) -> None:
        """As Place says."""
        self._run(self.elk, "systemctl", "start", "elasticsearch")

    def forwarder_mib(self) -> float:
        """As Place says."""
        status = 'cat "/proc/$(systemctl show -p MainPID --value filebeat)/status"'
        return _peak(self._run(self.app, "sh", "-c", status))

    def _run(self, instance: str, *words: str) -> str:
        return subprocess.run(
            self._words(instance, *words), check=True, capture_output=True, text=True
        ).stdout

    def _words(self, instance: str, *words: str) -> list[str]:
        return [str(CORRAL), "lab", "shell", instance, "--", *words]


class Alone:
    """The lab's Filebeat and Logstash with what the roles tell them, and the real Elasticsearch."""

    def __init__(self, folder: Path, node: Any) -> None:
        # What the tests start them by.
        from tests.local.elastic import Filebeat
        from tests.local.elastic_pipeline import Logstash

        self._node = node
        logstash = Logstash(folder / "elk", node.authority, node.url)
        filebeat = Filebeat(folder / "app", logstash.ports["beats"], node.authority)
        self.path = str(filebeat.logs / "bench.json")
        filebeat.input, *_ = inputs([Log("bench.log", self.path)], "")
        filebeat.main |= {"queue.mem.flush.timeout": "1s"}
        filebeat.main["output.logstash"] |= {"backoff.init": "1s", "backoff.max": "10s"}
        filebeat.write()
        self._logstash, self._filebeat = logstash.program(), filebeat.program()
        there = settings.load("test")
        client = connect.elasticsearch(there, "127.0.0.1", node.port, str(node.authority.ca), "secret")
        self.store = Store(client, "this machine")

    def __enter__(self) -> "Alone":
        self._logstash.start()
        self._filebeat.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._filebeat.kill()
        self._logstash.kill()

    def write(self, program: str, *arguments: object) -> "subprocess.Popen[bytes]":
        """As Place says."""
        return subprocess.Popen([sys.executable, "-c", program, *map(str, arguments)])

    def rotate(self) -> None:
        """As Place says."""
        Path(self.path).rename(time.strftime(f"{self.path}-%Y%m%d-%H%M%S"))

    def kill_forwarder(self) -> None:
        """As Place says."""
        _kill(self._filebeat)

    def kill_logstash(self) -> None:
        """As Place says."""
        _kill(self._logstash)

    def stop_logstash(self) -> None:
        """As Place says."""
        self._logstash.process.terminate()
        self._logstash.process.wait()

    def start_logstash(self) -> None:
        """As Place says."""
        self._logstash.start()

    def stop_store(self) -> None:
        """As Place says."""
        self._node.stop()

    def start_store(self) -> None:
        """As Place says."""
        self._node.start()

    def forwarder_mib(self) -> float:
        """As Place says."""
        return _peak(Path(f"/proc/{self._filebeat.process.pid}/status").read_text())


@contextlib.contextmanager
def place(alone: bool) -> Iterator[Place]:
    """The lab's hosts, or what runs without them."""
    if not alone:
        yield Hosts()
        return
    sys.path.insert(0, str(ROOT))
    from tests.local.elastic_engine import node_of_the_package

    with (
        node_of_the_package() as node,
        tempfile.TemporaryDirectory(prefix="corral-bench-") as folder,
        Alone(Path(folder), node) as here,
    ):
        yield here


def _kill(program: Any) -> None:
    program.kill()
    # As the units say (RestartSec).
    time.sleep(5)
    program.start()


def _peak(status: str) -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0
