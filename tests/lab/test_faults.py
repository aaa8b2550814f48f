"""A machine without room is refused before anything is touched; a half-made base image is made anew."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from lab.paths import CACHE, IMAGES
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
    assert one_sentence(done) == "corral: Only 1.0 GiB of memory are free; 1.5 are needed."
    assert traces(cidr) == []


def test_too_little_disk_is_refused(cidr):
    done = elsewhere("mount -t tmpfs -o size=1g none $1; exec corral lab up", CACHE)
    assert one_sentence(done) == f"corral: Only 1.0 GiB are free in {CACHE}; 3 are needed."
    assert traces(cidr) == []


STATES = "${Status} ${Package}\\n"
# In $1, an empty directory, instead of the cache $2: of that, packages and the CA are there, and no image.
HALF_AN_IMAGE = """
chmod 755 "$1"
mkdir "$1/apt" "$1/images"
mount --bind "$2/apt" "$1/apt"
cp -a "$2/ca" "$1/ca"
mount --rbind "$1" "$2"
corral lab up & up=$!
until ls "$2"/images/*.partial/usr/bin/bash >/dev/null 2>&1; do
    kill -0 $up
    sleep 0.2
done
kill -9 $up
ls "$2/images"
corral lab up
ls "$2/images"
echo packages:
dpkg-query --admindir="$(echo "$2"/images/*/var/lib/dpkg)" --show --showformat="$3"
echo others:
corral lab down
"""


def test_a_base_image_that_was_cut_off_is_built_anew(cidr, tmp_path):
    done = elsewhere(HALF_AN_IMAGE, tmp_path, CACHE, STATES)
    assert done.returncode == 0, done.stdout + done.stderr
    half, whole = re.findall(r"^[0-9a-f]{16}(?:\.partial)?$", done.stdout, re.MULTILINE)
    (ours,) = IMAGES.iterdir()
    assert (half, whole) == (f"{whole}.partial", ours.name)
    # All hosts of these tests have booted from the other one, which has the same in it.
    installed = done.stdout.partition("packages:\n")[2].partition("others:\n")[0]
    query = ["dpkg-query", f"--admindir={ours}/var/lib/dpkg", "--show", f"--showformat={STATES}"]
    assert installed == subprocess.run(query, capture_output=True, text=True, check=True).stdout
    assert len(installed.splitlines()) > 100
    assert traces(cidr) == []
