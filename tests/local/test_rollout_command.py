"""`corral release deploy|rollback|void|history|unlock` against the lab's API: all but hosts' own part."""

import hashlib
import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from corral import aws
from corral.cli import corral as command
from corral.errors import CorralError
from corral.members import survey
from corral.releases import bad, store
from corral.releases.bucket import Bucket
from corral.releases.manifest import Manifest
from corral.rollout import lock, stack, world
from lab.files import write_atomically
from tests.local.lab_cloud import cloud  # noqa: F401
from tests.shared import simulated

FULL, EMPTY = "test", "live"


@pytest.fixture(scope="module")
def environments(cloud, tmp_path_factory):
    """Environment test with three app servers, live with none; each has releases v1 to v3, and runs v1."""
    found = {}
    for name, servers in ((FULL, 3), (EMPTY, 0)):
        settings = simulated.environment(cloud.endpoint, name)
        simulated.populate(settings, servers)
        bucket = Bucket(aws.client(settings, "s3"), settings.releases_bucket, name)
        for version in ("v1", "v2", "v3"):
            store.publish(bucket, made(tmp_path_factory.mktemp(name), version))
        store.point(bucket, "v1", "ada@desk")
        found[name] = settings, bucket
    return found


def made(folder, version):
    """A release as `corral release build` leaves it; what is in the archive nobody looks at."""
    (folder / "app.tar.zst").write_text(version)
    sha256 = hashlib.sha256(version.encode()).hexdigest()
    (folder / "app.tar.zst.sha256").write_text(f"{sha256}  app.tar.zst\n")
    manifest = Manifest(version, "c" * 40, "d" * 64, "24.19.0", "2026-11-26", 1, len(version), sha256)
    (folder / "manifest.json").write_text(manifest.text())
    return folder


@pytest.fixture
def run(cloud, environments, monkeypatch):
    """Runs the command: all that it said on stdout, or the error that it ended with."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", cloud.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "lab")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "worth-nothing")

    def run(*words, code=0):
        done = CliRunner().invoke(command, ["release", *words])
        if isinstance(done.exception, CorralError):
            return done.exception
        assert done.exit_code == code, done.output
        return done.stdout

    return run


@pytest.fixture
def full(environments, cloud):
    """Environment test, whose load balancer finds all well, but for the first server as a test says."""
    settings, bucket = environments[FULL]

    def balance(**of_first):
        groups, members = survey(settings)
        ids = sorted(one.instance_id for one in members if one.role == "app")
        health = {one: {"state": "healthy"} for one in ids}
        health[ids[0]] |= of_first
        seen = {arn: health for group in groups for arn in group.targets}
        write_atomically(cloud.state / "target-health.json", json.dumps(seen))
        return next(one.address for one in members if one.instance_id == ids[0])

    balance()
    return settings, bucket, balance


@pytest.fixture
def empty(environments):
    return environments[EMPTY]


def test_a_dry_run_says_who_would_be_changed_when(run, full):
    settings, _, _ = full
    addresses = [host.private_address for host in world.servers(settings)]
    assert run("deploy", "v2", "-e", FULL, "--dry-run").splitlines() == [
        "From v1 to v2: 3 app servers.",
        *(f"  {number}. {address}" for number, address in enumerate(addresses, 1)),
    ]
    assert json.loads(run("deploy", "v2", "-e", FULL, "--dry-run", "--json")) == {
        "version": "v2",
        "previous": "v1",
        "batches": [[address] for address in addresses],
        "problems": [],
    }


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (
            {"state": "unhealthy", "reason": "Target.Timeout"},
            "is unhealthy in chat-test-site (Target.Timeout)",
        ),
        ({"state": "draining"}, "is draining in chat-test-site"),
    ],
)
def test_a_fleet_that_is_not_well_is_left_alone(run, full, state, said):
    _, bucket, balance = full
    address = balance(**state)
    assert f"Against it: {address} {said}" in run("deploy", "v2", "-e", FULL, "--dry-run", code=1)
    refused = run("deploy", "v2", "-e", FULL)
    assert refused.problem.startswith("The fleet is not well, and a rollout would not know what it breaks:\n")
    assert f"  {address} {said}" in refused.problem
    assert "--unwell" in refused.remedy
    lock.refuse_if_held(bucket)
    assert store.pointer(bucket).version == "v1"


def test_servers_that_are_still_coming_speak_against_it_and_those_that_left_do_not(full):
    settings, _, _ = full
    hosts = world.servers(settings)
    away = hosts[0].instance_id
    scaling, group = aws.client(settings, "autoscaling"), settings.role_name("app")
    scaling.suspend_processes(AutoScalingGroupName=group, ScalingProcesses=["Launch"])
    scaling.enter_standby(
        AutoScalingGroupName=group, InstanceIds=[away], ShouldDecrementDesiredCapacity=False
    )
    try:
        (problem,) = [said for said in world.preflight(settings, world.servers(settings)) if "of 3" in said]
        assert problem.startswith("2 of 3 app servers are in service; ")
        assert f"{away} is Standby" in problem
        assert not [said for said in world.complaints(settings, hosts) if hosts[0].private_address in said]
    finally:
        scaling.exit_standby(AutoScalingGroupName=group, InstanceIds=[away])
        scaling.resume_processes(AutoScalingGroupName=group)


def test_one_that_the_load_balancer_does_not_know_is_not_well(full, monkeypatch):
    settings, _, _ = full
    host = world.servers(settings)[0]
    monkeypatch.setattr(world.members, "targets", lambda settings, groups: {})
    assert world.complaints(settings, [host]) == [
        f"{host.private_address} is not registered in chat-test-redirect",
        f"{host.private_address} is not registered in chat-test-site",
    ]


def test_with_nobody_in_service_the_pointer_moves_and_there_is_a_way_back(run, empty):
    _, bucket = empty
    assert run("history", "-e", EMPTY) == "There has been no rollout of live yet.\n"
    said = json.loads(run("deploy", "v2", "-e", EMPTY, "--json"))
    assert (said["version"], said["previous"], said["result"], said["servers"]) == ("v2", "v1", "complete", 0)
    assert store.pointer(bucket).version == "v2"
    lock.refuse_if_held(bucket)
    assert run("rollback", "-e", EMPTY) == "All 0 app servers run v1.\n"
    assert store.pointer(bucket).version == "v1"
    rollouts = json.loads(run("history", "-e", EMPTY, "--json"))
    assert {(one["previous"], one["version"]) for one in rollouts} == {("v1", "v2"), ("v2", "v1")}
    assert [line.split()[3] for line in run("history", "-e", EMPTY).splitlines()[1:]] == ["complete"] * 2
    logs = [item["Key"] for item in bucket.objects("environments/live/app/rollouts/") if "log" in item["Key"]]
    assert len(logs) == 2


def test_a_release_that_is_void_comes_to_no_server_any_more(run, empty):
    _, bucket = empty
    assert "v1 is what live runs" in run("void", "v1", "--why", "it leaks", "-e", EMPTY).problem
    assert "is not in" in run("void", "v9", "--why", "it leaks", "-e", EMPTY).problem
    assert run("void", "v3", "--why", "it leaks", "-e", EMPTY, "--dry-run").startswith("Release v3 would be")
    assert run("void", "v3", "--why", "it leaks", "-e", EMPTY) == "Release v3 is marked as bad.\n"
    for verb in ("deploy", "rollback", "point"):
        assert run(verb, "v3", "-e", EMPTY).problem.endswith(": it leaks")
    assert bad.read(bucket, "v3").why == "it leaks"
    assert "it leaks" in json.loads(run("show", "v3", "-e", EMPTY, "--json"))["bad"]
    assert "bad" in run("list", "-e", EMPTY)
    assert store.pointer(bucket).version == "v1"


def test_who_holds_the_lock_is_said_until_somebody_breaks_it_on_purpose(run, empty):
    _, bucket = empty
    assert run("unlock", "-e", EMPTY) == "Nobody holds the lock of live.\n"
    lock.Holder(bucket, "ada@desk", 30).take("v2")
    for words in (["deploy", "v2"], ["rollback", "v2"], ["void", "v2", "--why", "x"], ["point", "v2"]):
        refused = run(*words, "-e", EMPTY)
        assert refused.problem.startswith("ada@desk holds the lock since ")
        assert "corral release unlock -e live" in refused.remedy
    assert run("unlock", "-e", EMPTY).problem == "There is nobody to ask whether to break it."
    assert run("unlock", "--dry-run", "-e", EMPTY).splitlines()[0].endswith("v2. It would be broken.")
    assert any(
        "ada@desk" in line for line in run("deploy", "v2", "--dry-run", "-e", EMPTY, code=1).splitlines()
    )
    said = run("unlock", "-y", "-e", EMPTY)
    assert "ada@desk holds the lock since" in said
    assert said.splitlines()[1:] == [
        "The lock is broken. What it was doing is left as it stands.",
        "To go on:   corral release deploy v2 -e live",
        "To go back: corral release rollback v1 -e live",
    ]
    lock.refuse_if_held(bucket)


def test_what_there_is_no_way_to_is_a_sentence(run, environments, empty):
    _, bucket = empty
    current = store.pointer(bucket)
    assert "Deploy it without --progressive" in run("deploy", "v1", "--progressive", "-e", EMPTY).remedy
    lock.refuse_if_held(bucket)
    key = "environments/live/app/current.json"
    bucket.put(key, json.dumps({**current.__dict__, "previous": None}).encode())
    assert "ran no release before" in run("rollback", "-e", EMPTY).problem


def test_of_a_progressive_rollout_that_died_the_next_one_makes_an_end_first(run, empty):
    _, bucket = empty
    store.point(bucket, "v2", "me", 10)
    run("deploy", "v1", "-e", EMPTY)
    pointer = store.pointer(bucket)
    assert (pointer.version, pointer.percent) == ("v1", 100)


def test_the_fleet_is_the_one_of_the_stack(full):
    settings, _, _ = full
    found = stack.group(settings)
    assert (found.name, found.status) == ("chat-test-app", "CREATE_COMPLETE")
    assert stack.against(found, {"chat-test-app"}) == []
    assert stack.against(replace(found, status="UPDATE_IN_PROGRESS"), {"chat-test-app", "stray"}) == [
        "stray has the tags of app servers, and is not the stack's group, which is chat-test-app.",
        "The stack chat-test is not at rest: its AppGroup is UPDATE_IN_PROGRESS.",
    ]
    with pytest.raises(CorralError, match=r"There is no stack \S+nobodys with a group of app servers"):
        world.servers(simulated.environment(settings.aws.endpoint_url, "branch/nobodys"))


def test_outcomes_are_for_programs_too(run, full, tmp_path):
    _, bucket, _ = full
    v4 = made(tmp_path, "v4")
    tried = json.loads(run("publish", str(v4), "-e", FULL, "--dry-run", "--json"))
    assert (tried["version"], tried["added"]) == ("v4", True)
    assert "v4" not in {one.version for one in store.published(bucket)}
    assert json.loads(run("publish", str(v4), "-e", FULL, "--json"))["added"] is True
    assert json.loads(run("publish", str(v4), "-e", FULL, "--json"))["added"] is False
    assert json.loads(run("void", "v4", "--why", "it leaks", "-e", FULL, "--json"))["bad"] is True
    lock.Holder(bucket, "ada@desk", 30).take("v2")
    broken = json.loads(run("unlock", "-y", "--json", "-e", FULL))
    assert (broken["lock"]["owner"], broken["broken"]) == ("ada@desk", True)
    assert broken["go_on"] == "corral release deploy v2 -e test"
    assert json.loads(run("unlock", "-y", "--json", "-e", FULL))["lock"] is None


def test_a_dry_run_by_percent_shows_the_waves(run, full):
    settings, _, _ = full
    said = json.loads(run("deploy", "v2", "-e", FULL, "--progressive", "--dry-run", "--json"))
    assert len(said["batches"]) >= 1
    assert sorted(said["batches"][-1]) == sorted(host.private_address for host in world.servers(settings))
