"""The lab's AWS API as a real server on a free port of this machine, for the tests that need it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Cloud:
    """The server, and clients of it."""

    def __init__(self, port: int, state: Path):
        self.port = port
        self.endpoint = f"http://127.0.0.1:{port}"
        self.state = state

    def client(self, service: str, **credentials: str) -> Any:
        keys = {"aws_access_key_id": "lab", "aws_secret_access_key": "worth-nothing"} | credentials
        return boto3.client(service, region_name="eu-west-1", endpoint_url=self.endpoint, **keys)


def wait_for(look: Callable[[], Any], seconds: float = 10.0) -> Any:
    """What `look` gives as soon as it gives something true."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, f"waited {seconds} s in vain"
        time.sleep(0.1)
    return found


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A lab cloud of the module's own."""
    state, port = tmp_path_factory.mktemp("state"), free_port()
    with (state / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "lab.cloud", "--port", str(port)],
            cwd=ROOT,
            env=os.environ | {"CORRAL_LAB_STATE": str(state)},
            stdout=log,
            stderr=log,
        )
    wait_for(lambda: "listens" in (state / "log").read_text() or process.poll() is not None, 30)
    assert process.poll() is None, (state / "log").read_text()
    yield Cloud(port, state)
    process.terminate()
    process.wait()
