"""Files and units of all tasks are looked at once; after a change, again: pyinfra here, by a real shell."""

import os
import subprocess
import sys

import pytest

from tests.shared.roles import ROOT

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="what is staged is under /run, which is root's")
DEPLOY = """
from pyinfra import host
from pyinfra.api import StringCommand, operation
from tasks.lib import looks
from tasks.lib.files import Absent, Directory, File, config_files
from tasks.lib.looks import gathering
from tasks.lib.services import Unit, service

PLACE = host.data.place
if host.data.slow:
    looks.FRESH_SECONDS = -1
OURS = {"owner": host.data.owner, "group": host.data.owner}

@operation()
def spoil():
    yield StringCommand(f"echo another >{PLACE}/third; touch {PLACE}/fourth")

def first():
    own = Directory(f"{PLACE}/own", purge=True, **OURS)
    config_files(name="First", files=[Directory(f"{PLACE}/one", **OURS), own])
    config_files(name="Second", files=[File(f"{PLACE}/one/second", content=str(host.data.second), **OURS)])

def last():
    config_files(name="Third", files=[File(f"{PLACE}/third", content="3", **OURS)])
    config_files(name="Fourth", files=[Absent(f"{PLACE}/fourth")])

def run():
    service(name="Run one", units=[Unit("one.service")])
    two = Unit("two.service", intact=f"test ! -e {PLACE}/lost")
    service(name="Run two", units=[two, Unit("three.timer")])

with gathering():
    first()
    last()
    run()
first()
if host.data.spoil:
    spoil(name="Spoil")
last()
config_files(name="Nobody's", files=[Absent(f"{PLACE}/nobodys")])
run()
"""
# Every unit is well; each question is written down.
SYSTEMCTL = """#!/bin/sh
echo "$*" >>"$0.said"
[ "$1" = show ] || exit 0
case " $* " in *" --value "*) exec echo active ;; esac
for unit; do
    case $unit in -*|show) continue ;; esac
    printf "Names=%s\\nActiveState=active\\nUnitFileState=enabled\\nNeedDaemonReload=no\\n\\n" "$unit"
done
"""


@pytest.fixture
def converge(tmp_path):
    """Runs pyinfra, and gives how often it looked at files, and the names of what changed something.

    `converge.units()`: the units of each question to systemd about several, of the run before.
    """
    owner = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    (tmp_path / "place").mkdir()
    (tmp_path / "deploy.py").write_text(DEPLOY)
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(SYSTEMCTL)
    systemctl.chmod(0o755)
    said = tmp_path / "systemctl.said"

    def units():
        questions = [line.partition(" -- ")[2].split() for line in said.read_text().splitlines()]
        return [question for question in questions if len(question) > 1]

    def run(*options, second="one", spoil="", slow=""):
        said.write_text("")
        data = {"place": tmp_path / "place", "owner": owner, "second": second, "spoil": spoil, "slow": slow}
        given = [word for name, value in data.items() for word in ("--data", f"{name}={value}")]
        command = [sys.executable, "-m", "pyinfra", *given, "@local", str(tmp_path / "deploy.py"), "-vv"]
        done = subprocess.run(
            [*command, *options],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "NO_COLOR": "1",
                "PATH": f"{tmp_path}:{os.environ['PATH']}",
            },
        )
        assert done.returncode == 0, done.stderr
        ran = done.stderr.split("Starting operation: ")[1:]
        changed = {one.split("\n")[0].strip() for one in ran if "] Success" in one}
        return done.stderr.count("What stands at the given paths?"), changed

    run.units = units
    return run


def test_what_is_as_declared_is_found_so_by_one_look(converge):
    converge("-y")
    assert converge("-y") == (2, set()), "one, and one for what was not said before"
    assert converge.units() == [["one.service", "two.service", "three.timer"]]
    assert converge("--dry") == (2, set())
    assert len(converge.units()) == 1


def test_after_a_change_it_is_looked_at_again(converge):
    assert converge("-y")[1] == {"First", "Second", "Third"}
    looks, changed = converge("-y", second="two")
    assert (looks, changed) == (4, {"Second"}), "before it, and for each of the two after it"
    assert len(converge.units()) == 2, "for each of the two after it"


def test_a_unit_that_is_not_intact_is_seen_by_the_one_look(converge, tmp_path):
    converge("-y")
    (tmp_path / "place/lost").touch()
    assert converge("-y")[1] == {"Run two"}


def test_what_was_seen_long_ago_is_looked_at_again(converge):
    converge("-y")
    assert converge("-y", slow="yes") == (5, set())
    assert len(converge.units()) == 2


def test_what_another_operation_spoiled_is_mended(converge, tmp_path):
    converge("-y")
    assert converge("-y", spoil="yes")[1] == {"Spoil", "Third", "Fourth"}
    assert (tmp_path / "place/third").read_text() == "3"
    assert not (tmp_path / "place/fourth").exists()
