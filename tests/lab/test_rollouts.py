"""Rollouts on real hosts: a release comes to all while people use the site, or to none. One host hangs."""

import json
import os
import re
import signal
import subprocess
import time

import pytest

from corral.releases import bad, choice, store
from corral.releases.bucket import Bucket
from corral.rollout import lock
from tests.lab.fleet import BIN, ROOT, run, wait_for
from tests.lab.releasing import crowd, ready, release, runs
from tests.lab.test_logging import found
from tests.lab.test_nodes import TICK, report
from tests.shared.variants import CRASHES, DIES, Variants

pytestmark = pytest.mark.usefixtures("left_alone", "hung")

HOLD = "/var/lib/corral/release-hold"
DATABASE = "postgresql@17-main.service"
# One that differs in nothing that a visitor sees.
OTHER = {"dist/robots.txt": "User-agent: *\n"}


@pytest.fixture(scope="module")
def hung(fleet):
    """The release server. Its Filebeat hangs while these tests run, for the five minutes that it takes."""
    (member,) = fleet.members("release")
    wait_for("it was heard", lambda: fleet.status()[member.instance_id]["logs"], seconds=150)
    fleet.shell(member, "systemctl kill --signal=STOP filebeat")
    yield member
    fleet.shell(member, "systemctl kill --signal=CONT filebeat")


@pytest.fixture(scope="module")
def bucket(fleet):
    return Bucket(fleet.client("s3"), fleet.settings.releases_bucket, fleet.settings.environment)


@pytest.fixture(scope="module")
def base(bucket):
    """The release that the fleet runs before these tests, and after them."""
    return store.pointer(bucket).version


@pytest.fixture(scope="module")
def publish(bucket, base, tmp_path_factory):
    """Publishes a variant of it, as the release of a whole build: `corral release publish`."""
    variants = Variants(bucket, base, tmp_path_factory.mktemp("variants"))
    names = iter(range(1, 100))
    stamp = os.urandom(3).hex()  # a lab that is used again has those of before

    def publish(changes, **commands):
        version = f"roll-{stamp}-{next(names)}"
        release("publish", variants.make(version, changes, **commands))
        return version

    return publish


def test_a_release_comes_to_all_while_nobody_notices(fleet, bucket, base, publish):
    version = publish(
        OTHER, before_rollout='echo "$RELEASE moves tables"', after_rollout='echo "$RELEASE was greeted"'
    )
    with crowd(fleet) as seen:
        said = json.loads(release("deploy", version, "--json").stdout)
    assert (said["result"], said["previous"], said["servers"]) == ("complete", base, 2)
    assert runs(fleet) == [version] * 2
    assert store.pointer(bucket).version == version
    load, chat = seen["load"], seen["chatters"]
    assert load["failed"] == 0, load
    assert {base, version} <= set(load["releases"])
    assert (chat["lost"], chat["twice"], chat["unsent"]) == (0, 0, 0), chat
    assert chat["outages"] > 0, "they were on processes that went"
    key = max(item["Key"] for item in bucket.objects("environments/lab/app/rollouts/"))
    log = bucket.read(key)[0].decode()
    for words in ("moves tables", "was greeted"):
        assert log.count(f"] {version} {words}") == 1, "once, on one host"


def test_servers_fetch_it_by_percent_at_their_own_ticks(fleet, bucket, base, publish):
    # After the test before, another release runs; this brings back the one that was there at the beginning.
    before = store.pointer(bucket).version
    members = fleet.members("app")
    for one in members:
        fleet.shell(one, "systemctl stop corral-converge.timer")
    first, second = sorted(members, key=lambda one: choice.place(base, one.instance_id))

    def everybody_ticks():
        for one in members:
            fleet.shell(one, TICK)
        return store.pointer(bucket).percent == 100

    driver = subprocess.Popen(
        [BIN / "corral", "release", "deploy", base, "--progressive", "-e", "lab"], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        wait_for("a first server's turn", lambda: store.pointer(bucket).percent < 100, 60)
        percent = store.pointer(bucket).percent
        for one in (second, first):
            fleet.shell(one, TICK)
        assert runs(fleet) == [
            base if choice.place(base, one.instance_id) < percent else before for one in members
        ]
        assert base in runs(fleet)
        # How many waves there are, and who is in which, is a matter of their ids.
        wait_for("everybody's turn", everybody_ticks, 180)
        everybody_ticks()
        said, _ = driver.communicate(timeout=120)
    finally:
        driver.kill()
        for one in members:
            fleet.shell(one, "systemctl start corral-converge.timer")
    assert driver.returncode == 0, said
    assert f"All 2 app servers run {base}." in said
    assert runs(fleet) == [base] * 2


def test_one_that_crashes_is_refused_by_the_first_server_and_never_taken_again(fleet, bucket, base, publish):
    version = publish({"server/main.js": CRASHES})
    first, second = fleet.members("app")
    refused = release("deploy", version, check=False)
    assert refused.returncode == 1
    for words in (
        f"The rollout of {version} stopped at {first.private_address}: “Serve the release” failed.",
        "did not stay up. What ran before still serves.",
        "the moon is in the wrong phase",
        f"All servers run {base}. Release {version} is marked as bad.",
        "deploy it under a new version",
    ):
        assert words in refused.stderr
    assert "Traceback" not in refused.stderr
    assert runs(fleet) == [base] * 2
    fleet.shell(second, f"test ! -e /srv/app/releases/{version}")
    assert bad.read(bucket, version).why.startswith("“Serve the release” failed at")

    for verb in ("deploy", "rollback", "point"):
        again = release(verb, version, check=False)
        assert (again.returncode, "is marked as bad, by" in again.stderr) == (1, True)

    # Nor by a server that is told to take it behind corral's back.
    s3, name, key = fleet.client("s3"), fleet.settings.releases_bucket, "environments/lab/app/current.json"
    before = s3.get_object(Bucket=name, Key=key)["Body"].read()
    sha256 = store.check_complete(bucket, version).sha256
    s3.put_object(
        Bucket=name, Key=key, Body=json.dumps(json.loads(before) | {"version": version, "sha256": sha256})
    )
    try:
        fleet.shell(second, TICK, check=False)
        said = fleet.shell(second, "cat /var/lib/corral/node/report.json").stdout
    finally:
        s3.put_object(Bucket=name, Key=key, Body=before)
        fleet.shell(second, TICK)
    assert f"corral: release {version} is marked as bad" in said
    assert runs(fleet) == [base] * 2


def test_one_that_dies_after_it_was_ready_is_refused_before_a_visitor_met_it(fleet, bucket, base, publish):
    version = publish({"server/main.js": f"+{DIES}"})
    with crowd(fleet) as seen:
        refused = release("deploy", version, check=False)
    assert refused.returncode == 1
    assert "it became ready, and then did not stay up" in refused.stderr
    assert "out of cheese" in refused.stderr
    assert seen["load"]["failed"] == 0, seen
    assert set(seen["load"]["releases"]) == {base}
    assert (seen["chatters"]["lost"], seen["chatters"]["outages"]) == (0, 0)
    assert bad.read(bucket, version)


def test_one_that_the_load_balancer_would_find_ill_goes_back_and_stays_on_no_disk(fleet, base, publish):
    """It says that it is ready, and has nothing at the door where the load balancer asks."""
    web = (ROOT / "app/server/web.js").read_text()
    version = publish({"server/web.js": web.replace('web.get("/healthz"', 'web.get("/gone"')})
    done = release("deploy", version, check=False)
    assert done.returncode == 1
    assert "/healthz was asked, as the load balancer does" in done.stderr
    assert f"Release {version} is marked as bad" in done.stderr
    assert set(runs(fleet)) == {base}
    for one in fleet.members("app"):
        assert version not in fleet.shell(one, "ls /srv/app/releases").stdout


def test_a_command_that_fails_before_stops_all(fleet, bucket, base, publish):
    version = publish(OTHER, before_rollout="echo no such column >&2; exit 3")
    refused = release("deploy", version, check=False)
    assert refused.returncode == 1
    assert f"The command before_rollout of {version} failed on" in refused.stderr
    assert "no such column" in refused.stderr
    assert "No server was changed." in refused.stderr
    assert runs(fleet) == [base] * 2
    assert bad.read(bucket, version) is None


def test_where_the_disk_is_full_the_old_one_serves_and_the_new_one_is_not_to_blame(
    fleet, bucket, base, publish
):
    version = publish(OTHER)
    second = fleet.members("app")[1]
    # A disk of its own for releases, with the one that serves on it, and no room for another.
    full = [
        "mkdir /run/full",
        "mount -t tmpfs -o size=16m,mode=755 full /run/full",
        f"cp -a /srv/app/releases/{base} /run/full/",
        "mount --bind /run/full /srv/app/releases",
        "{ dd if=/dev/zero of=/run/full/.fill bs=64k 2>/dev/null || true; }",
    ]
    fleet.shell(second, " && ".join(full))
    try:
        assert fleet.shell(second, "df --output=avail /srv/app/releases | tail -1").stdout.split() == ["0"]
        refused = release("deploy", version, check=False)
    finally:
        fleet.shell(second, "umount /srv/app/releases; umount /run/full; rmdir /run/full")
    assert refused.returncode == 1
    assert f"stopped at {second.private_address}: “Serve the release” failed" in refused.stderr
    assert re.search("No space left on device|Is the disk full", refused.stderr), refused.stderr
    assert f"All servers run {base}." in refused.stderr
    assert "the release itself is not to blame" in refused.stderr
    assert runs(fleet) == [base] * 2
    assert bad.read(bucket, version) is None


def test_while_the_database_is_away_a_release_is_not_to_blame(fleet, bucket, base, publish):
    version = publish(OTHER)
    (database,) = fleet.members("db")
    fleet.shell(database, f"systemctl stop {DATABASE}")
    try:
        refused = release("deploy", version, check=False)
    finally:
        fleet.shell(database, f"systemctl start {DATABASE}")
    assert refused.returncode == 1
    assert f"release {version} did not come to serve: " in refused.stderr
    assert "What ran before was not ready either" in refused.stderr
    assert "the database cannot be reached" in refused.stderr
    assert "the release itself is not to blame" in refused.stderr
    assert bad.read(bucket, version) is None
    wait_for("they hear from the database again", lambda: ready(fleet), 60)
    assert runs(fleet) == [base] * 2


def test_who_is_replaced_meanwhile_is_missed_by_nobody_and_its_heir_runs_the_release(fleet, base, publish):
    version = publish(OTHER)
    first, second = fleet.members("app")
    command = [BIN / "corral", "release", "deploy", version, "-e", "lab"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as driver:
        held = f"grep -q '^{version} ' {HOLD}"
        wait_for("the first server has it", lambda: fleet.shell(first, held, check=False).returncode == 0, 90)
        fleet.client("autoscaling").terminate_instance_in_auto_scaling_group(
            InstanceId=second.instance_id, ShouldDecrementDesiredCapacity=False
        )
        _, said = driver.communicate(timeout=300)
    assert driver.returncode == 0, said

    def heirs():
        found = fleet.members("app")
        return len(found) == 2 and second not in found

    wait_for("there are two again", heirs, 120)
    assert runs(fleet) == [version] * 2
    run("corral", "lab", "wait", "--healthy")
    release("deploy", base)


def test_a_driver_that_is_killed_leaves_a_fleet_that_serves(fleet, bucket, base, publish):
    version = publish(OTHER)
    first, _ = fleet.members("app")
    with crowd(fleet) as seen:
        driver = subprocess.Popen(
            [BIN / "corral", "release", "deploy", version, "-e", "lab"],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        held = f"grep -q '^{version} ' {HOLD}"
        wait_for("the first server has it", lambda: fleet.shell(first, held, check=False).returncode == 0, 90)
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
        assert runs(fleet) == [version, base]

        # Its own converge leaves a server where the rollout put it, as long as the pointer does not move.
        fleet.shell(first, TICK)
        assert runs(fleet) == [version, base]
        refused = release("deploy", version, check=False)
        assert "holds the lock since" in refused.stderr
        assert f"rollout of {version}" in refused.stderr
        assert "The lock is broken." in release("unlock", "-y").stdout
        store.touch(bucket, "a test")
        fleet.shell(first, TICK)
        assert runs(fleet) == [base, base]
        fleet.shell(first, f"test ! -e {HOLD}")

        release("deploy", version)
        assert runs(fleet) == [version] * 2
        release("rollback")
    assert runs(fleet) == [base] * 2
    assert seen["load"]["failed"] == 0, seen
    assert (seen["chatters"]["lost"], seen["chatters"]["twice"]) == (0, 0), seen
    assert lock.read(bucket)[0].owner == ""


def test_whose_forwarder_hangs_its_ticks_do_not_see_but_status_tells_after_five_minutes(fleet, hung):
    fleet.shell(hung, TICK)
    before = report(fleet, hung)
    fleet.shell(hung, TICK)
    assert report(fleet, hung) == before, "there is nothing that a tick can find"

    def silent():
        return [text for text in fleet.status()[hung.instance_id]["problems"] if "No logs" in text]

    stopped = time.monotonic()
    (text,) = wait_for("status says so", silent, seconds=420)
    assert text.startswith("No logs for ")
    back = f"it is back after {stopped}"
    fleet.shell(hung, f"logger {back}; systemctl kill --signal=CONT filebeat")
    wait_for("what it wrote meanwhile is found", lambda: found(fleet, hung, back), seconds=60)
    wait_for("all is well", lambda: not fleet.status()[hung.instance_id]["problems"], seconds=150)
