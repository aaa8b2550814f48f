"""Nodes look after themselves: a tick repairs what drifted and reports it, whatever befell the one before."""

import json
import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lab.fleet import run, wait_for

pytestmark = pytest.mark.usefixtures("left_alone")

STATE = "/var/lib/corral/node"
FINGERPRINT = "/opt/corral/current/files/node/fingerprint"
SAID = "journalctl --no-pager -n 60 -u corral-converge >&2"
LOCK = "/run/corral/converge.lock"
UNIT = "corral-converge.service"
# A push holds the lock up to a second longer than its connection; a tick would leave the host to it. And
# systemd starts no unit more than five times in ten seconds, unless it is told that this is well.
TICK = (
    f"{{ flock -w 60 {LOCK} true; systemctl reset-failed {UNIT} 2>/dev/null; "
    f"systemctl start {UNIT} || {{ {SAID}; false; }}; }}"
)
# Each kind of thing that tasks manage, and how somebody may spoil one of it.
DRIFT = {
    "a file's content": "echo '# by hand' >>/etc/nginx/nginx.conf",
    "a file's mode": "chmod 666 /etc/corral/app.env",
    "a file's owner": "chown app /etc/logrotate.d/corral",
    "a file that is gone": "rm /etc/nftables.conf",
    "a file that should not be": "ln -s ../sites-available/default /etc/nginx/sites-enabled/default",
    "a file in a folder of ours alone": "touch /etc/filebeat/inputs.d/by-hand.yml",
    "a folder's mode": "chmod 777 /srv/app",
    "a link": "ln -sfn /usr/share/zoneinfo/Asia/Tokyo /etc/localtime",
    "a package": "dpkg --force-depends --remove zstd",
    "a unit that is stopped": "systemctl stop nginx",
    "a unit that is disabled": "systemctl disable --quiet corral-lifecycle.service",
    "the firewall's rules": "nft flush ruleset",
    "a program's archive": "rm /opt/corral/runtimes/pm2",
    "the release": "ln -sfn /nowhere /srv/app/current",
    "what serves": "rm /run/corral/app/serving",
    "a user": "usermod --shell /bin/bash app",
    "a script": "echo >>/usr/local/lib/corral/aws",
}


@pytest.fixture
def node(fleet):
    """An app server, as its own converge left it: a push, or what a test did to it, is for its next tick."""
    member = fleet.members("app")[0]
    fleet.shell(member, TICK)
    return member


def report(fleet, member):
    """What the fleet hears of a node: its report, as S3 has it."""
    listed = fleet.client("s3").list_objects_v2(
        Bucket=fleet.settings.releases_bucket, Prefix=f"reports/{fleet.settings.environment}/"
    )
    (key,) = [item["Key"] for item in listed["Contents"] if member.instance_id in item["Key"]]
    body = fleet.client("s3").get_object(Bucket=fleet.settings.releases_bucket, Key=key)["Body"]
    return json.loads(body.read())


def fingerprint(fleet, member):
    return fleet.shell(member, FINGERPRINT).stdout


def state(fleet, member):
    """All that a converge asks of the host, and when units last ran left out."""
    return fleet.shell(member, f"sh {STATE}/questions 2>&1 | grep -v Timestamp").stdout


def remembered(fleet, member):
    return fleet.shell(member, f"cat {STATE}/fingerprint", check=False).stdout


def test_every_node_reported_that_it_is_healthy(fleet):
    for member in fleet.members():
        said = report(fleet, member)
        assert said["result"] == "healthy", said
        assert (said["instance"], said["role"]) == (member.instance_id, member.role)
        assert {said["units"]["nftables.service"], said["units"]["ssh.service"]} == {"active"}
        assert any(key.startswith("ssh-ed25519 ") for key in said["host_keys"])


def test_a_tick_that_finds_nothing_starts_no_python_and_changes_nothing(fleet, node):
    assert fingerprint(fleet, node) == remembered(fleet, node)
    before = report(fleet, node)
    trap = "mv /usr/bin/python3 /usr/bin/python3.away"
    fleet.shell(node, f"{trap}; {TICK}; code=$?; mv /usr/bin/python3.away /usr/bin/python3; exit $code")
    assert report(fleet, node) == before


def test_each_kind_of_drift_is_another_fingerprint_and_one_tick_repairs_it_all(fleet, node):
    whole = state(fleet, node)
    steps = [FINGERPRINT, *(f"{{ {command}; }} >/dev/null; {FINGERPRINT}" for command in DRIFT.values())]
    before, *after = fleet.shell(node, "\n".join(steps)).stdout.splitlines()
    for kind, now in zip(DRIFT, after, strict=True):
        assert now != before, f"{kind} is not caught"
        before = now
    fleet.shell(node, TICK)
    said = report(fleet, node)
    assert (said["result"], said["why"]) == ("healthy", "tick"), said
    assert said["drift"] == said["changed"]
    assert {"Run nginx", "Install packages", "Serve the release"} <= set(said["drift"])
    assert fingerprint(fleet, node) == remembered(fleet, node)
    assert state(fleet, node) == whole
    assert fleet.converge("--limit", node.private_address).changed == {}


def test_push_and_a_nodes_own_converge_wait_for_each_other(fleet, node):
    start = f"systemctl start --no-block {UNIT}"
    fleet.shell(node, f"flock -w 60 {LOCK} true; rm {STATE}/fingerprint; {start}")
    assert fleet.converge("--limit", node.private_address).changed == {}
    assert fingerprint(fleet, node) == remembered(fleet, node), "push came after the node was done"
    before = report(fleet, node)
    hold = f"flock -w 60 {LOCK} true; setsid flock {LOCK} sleep 5 >/dev/null 2>&1 </dev/null &"
    held = f"while flock -n {LOCK} true; do sleep 0.02; done"
    fleet.shell(node, f"{hold} {held}; rm {STATE}/fingerprint; systemctl start {UNIT}")
    assert report(fleet, node) == before, "the tick left the host to who holds the lock"
    assert remembered(fleet, node) == ""
    fleet.shell(node, TICK)
    assert fingerprint(fleet, node) == remembered(fleet, node)


def test_a_converge_killed_anywhere_is_made_good_by_the_next_tick(fleet):
    """At ten moments: half of them on each of the app servers, which are done at once."""
    one, other = fleet.members("app")
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(kill_converges, fleet, *each) for each in ((one, 5), (other, 6))]:
            done.result()
    assert fleet.converge("--dry", "--limit", "app").predicted == {}


def kill_converges(fleet, node, seed):
    """Five times."""
    moments = random.Random(seed)
    fleet.shell(node, TICK)
    whole = state(fleet, node)
    # Of these each leaves a trail of its own: files and their services, packages, a release.
    kinds = ("a file's content", "a package", "a file that is gone", "a unit that is stopped", "the release")
    damage = "; ".join(DRIFT[kind] for kind in kinds)
    began = time.monotonic()
    fleet.shell(node, f"{damage}; {TICK}")
    undisturbed = time.monotonic() - began
    assert state(fleet, node) == whole
    for _ in range(5):
        pause = moments.uniform(0.1, undisturbed)
        start = f"systemctl start --no-block {UNIT}"
        kill = f"systemctl kill --signal=KILL {UNIT}"
        fleet.shell(node, f"{damage}; {start}; sleep {pause:.2f}; {kill}; true")
        fleet.shell(node, TICK)
        assert report(fleet, node)["result"] == "healthy"
        assert state(fleet, node) == whole, f"killed after {pause:.2f} s"


def test_where_s3_is_away_the_converge_still_runs_and_its_report_comes_later(fleet, node):
    before = report(fleet, node)
    run("corral", "lab", "fault", "errors", "--seconds", "600")
    try:
        fleet.shell(node, f"{DRIFT['a unit that is stopped']}; {TICK}")
        assert fleet.shell(node, "systemctl is-active nginx").stdout == "active\n"
        assert report(fleet, node) == before
        fleet.shell(node, f"test -e {STATE}/unsent")
    finally:
        run("corral", "lab", "fault", "errors", "--seconds", "0")
    fleet.shell(node, TICK)
    said = report(fleet, node)
    assert said["drift"] == ["Run nginx"]
    fleet.shell(node, f"test ! -e {STATE}/unsent")


def test_a_node_that_can_not_do_its_work_says_so_and_is_well_again(fleet, node):
    (db,) = fleet.members("db")
    fleet.shell(db, "systemctl stop postgresql@17-main")
    try:
        fleet.shell(node, f"rm {STATE}/fingerprint; {TICK}", check=False)
        said = report(fleet, node)
        assert said["result"] == "ill"
        assert [check["check"] for check in said["ill"]] == ["the application is ready"]
    finally:
        fleet.shell(db, TICK)
    assert "Run Postgres" in report(fleet, db)["drift"]
    wait_for(
        "the application is ready",
        lambda: fleet.shell(node, "curl -fsS http://127.0.0.1:3000/readyz", check=False).returncode == 0,
        30,
    )
    fleet.shell(node, TICK)
    assert report(fleet, node)["result"] == "healthy"
