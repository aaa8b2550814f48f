"""A machine without room is refused before anything is touched."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from lab.paths import CACHE
from tests.lab.fleet import BIN, ROOT, run
from tests.lab.test_teardown import traces


@pytest.fixture
def cidr(fleet):
    """The network of a lab that is down."""
    run("corral", "lab", "down")
    return fleet.settings.network.cidr


def elsewhere(script, *words):
    """Run a shell script whose mounts nobody else sees; `words` are its $1, $2…"""
    apart = ["unshare", "--mount", "--propagation", "private", "timeout", "600", "sh", "-euc", script, "sh"]
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "CORRAL_ENV": "lab"}
    return subprocess.run(
        [*apart, *map(str, words)], cwd=ROOT, env=environment, capture_output=True, text=True
    )


def one_sentence(done):
    """What a refused command said, without the way out and where to read more."""
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    return done.stderr.splitlines()[0]


def test_too_little_memory_is_refused(cidr, tmp_path):
    known = Path("/proc/meminfo").read_text()
    (tmp_path / "meminfo").write_text(re.sub(r"(MemAvailable: +)\d+", r"\g<1>1048576", known))
    done = elsewhere("mount --bind $1 /proc/meminfo; exec corral lab up", tmp_path / "meminfo")
    assert one_sentence(done) == "corral: Only 1.0 GiB of memory are free; 3.0 are needed."
    assert traces(cidr) == []


def test_too_little_disk_is_refused(cidr):
    done = elsewhere("mount -t tmpfs -o size=1g none $1; exec corral lab up", CACHE)
    assert one_sentence(done) == f"corral: Only 1.0 GiB are free in {CACHE}; 4 are needed."
    assert traces(cidr) == []
