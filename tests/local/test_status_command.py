"""`corral status` against the lab's API: the table, its exit code, JSON, the page; and who may be missing."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from corral import aws, fleet
from corral.members import survey
from corral.status.look import look
from lab.files import write_atomically
from tests.local.lab_cloud import cloud  # noqa: F401
from tests.shared import simulated

CORRAL = Path(sys.executable).parent / "corral"
APPS = 3


@pytest.fixture(scope="module")
def there(cloud):
    """Environment test with three app servers and a database, none of which has reported."""
    settings = simulated.environment(cloud.endpoint, "test")
    simulated.populate(settings, APPS)
    return settings


@pytest.fixture
def well(there, cloud):
    """The same, when everybody has reported and the load balancer is content; who its members are."""
    members = simulated.everyone_reports(there)
    simulated.point(there)
    balance(there, cloud, members)
    return members


def balance(settings, cloud, members, **of_first):
    """Let the load balancer find all healthy; the first app server as `of_first`."""
    groups, _ = survey(settings)
    health = {one.instance_id: {"state": "healthy"} for one in members if one.role == "app"}
    health[min(health)] = {"state": "healthy"} | of_first
    seen = {arn: health for group in groups for arn in group.targets}
    write_atomically(cloud.state / "target-health.json", json.dumps(seen))


@pytest.fixture
def corral(cloud):
    keys = {"AWS_ACCESS_KEY_ID": "lab", "AWS_SECRET_ACCESS_KEY": "worth-nothing", "CORRAL_ENV": "test"}

    def run(*words, **other):
        return subprocess.run(
            [CORRAL, *words],
            env=os.environ | keys | {"AWS_ENDPOINT_URL": cloud.endpoint} | other,
            capture_output=True,
            text=True,
        )

    return run


def test_a_healthy_environment(well, corral):
    run = corral("status")
    assert run.returncode == 0, run.stdout + run.stderr
    lines = [line.split() for line in run.stdout.splitlines()]
    assert ["app", "3", "of", "3", "3", simulated.RELEASE, "bbbbbbbbbb"] in lines
    assert ["db", "1", "of", "1", "1", "-", "bbbbbbbbbb"] in lines
    rows = [line for line in lines if line[:1] == ["✓"]]
    assert [(row[1], row[2], row[3], row[4]) for row in rows] == [
        (one.role, one.address, one.instance_id, one.zone) for one in well
    ]
    assert run.stdout.endswith("Environment test is healthy: 4 hosts in service, all well.\n")


def test_a_host_that_fails_comes_first_with_the_reason(there, well, corral, cloud):
    apps = [one for one in well if one.role == "app"]
    ill, other, _ = sorted(apps, key=lambda one: one.instance_id)
    balance(there, cloud, well, state="unhealthy", reason="Target.Timeout", description="Request timed out")
    failed = {"operation": "Configure [nginx]", "output": ["nginx: [emerg] \x1b[31munknown directive"]}
    body = simulated.report(there, other, result="failed", failed=failed)
    simulated.send(there, other.instance_id, body)
    simulated.send(there, ill.instance_id, b"{}")

    run = corral("status", "--json")
    assert run.returncode == 1
    said = json.loads(run.stdout)
    assert not said["healthy"]
    problems = {host["instance"]: host["problems"] for host in said["hosts"]}
    assert problems[ill.instance_id][0].startswith(
        "Can't be judged: its report is not as docs/reports.md says"
    )
    balancer = "has it as unhealthy: Target.Timeout: Request timed out."
    assert (
        problems[ill.instance_id][1] == f"The load balancer (chat-test-site, chat-test-redirect) {balancer}"
    )
    assert (
        "at “Configure [nginx]”: nginx: [emerg] \ufffd[31munknown directive" in problems[other.instance_id][0]
    )
    assert [host["healthy"] for host in said["hosts"]] == [False, False, True, True]

    run = corral("status")
    assert run.returncode == 1
    assert "\x1b" not in run.stdout
    assert run.stdout.startswith("✗ app ")
    assert "at “Configure [nginx]”: nginx: [emerg] \ufffd[31munknown directive" in run.stdout
    assert run.stdout.endswith("Environment test has 3 problems: 2 of 4 hosts in service are well.\n")


def test_a_host_whose_logs_have_stopped_is_told_of(there, well, corral):
    now = datetime.now(UTC)
    silent, *others = well
    newest = {one.instance_id: now.isoformat() for one in others}
    newest[silent.instance_id] = (now - timedelta(minutes=7)).isoformat()
    place = {"Bucket": there.releases_bucket, "Key": "logs/test/seen.json"}
    s3 = aws.client(there, "s3")
    s3.put_object(**place, Body=json.dumps({"at": now.isoformat(), "hosts": newest}))
    try:
        run = corral("status")
        assert run.returncode == 1
        assert f"({silent.instance_id}): No logs for 7 min.\n" in run.stdout
        assert run.stdout.endswith("Environment test has 1 problem: 3 of 4 hosts in service are well.\n")
    finally:
        s3.delete_object(**place)


def test_the_page_is_written(well, corral, tmp_path):
    run = corral("status", "--html", str(tmp_path / "page.html"))
    assert (run.returncode, run.stdout) == (0, f"Wrote {tmp_path / 'page.html'}. Open it in a browser.\n")
    assert "Healthy" in (tmp_path / "page.html").read_text()
    run = corral("status", "--html", str(tmp_path / "none" / "page.html"))
    assert run.returncode == 1
    assert "page.html can't be written: No such file or directory." in run.stderr


def test_members_that_come_and_go_are_seen_and_are_no_hosts(there, well, corral):
    scaling = aws.client(there, "autoscaling")
    away = next(one for one in well if one.role == "app")
    group = {"AutoScalingGroupName": away.group, "InstanceIds": [away.instance_id]}
    scaling.enter_standby(**group, ShouldDecrementDesiredCapacity=True)
    try:
        assert away.instance_id not in {host.instance_id for host in fleet.hosts(there)}
        assert {one.instance_id: one.state for one in look(there).members}[away.instance_id] == "Standby"
        run = corral("status")
        assert run.returncode == 0
        assert "Takes no part: its group has it as Standby." in run.stdout
    finally:
        scaling.exit_standby(**group)


def test_a_pointer_that_makes_no_sense_is_a_problem_and_no_end(there, well, corral):
    key = "environments/test/app/current.json"
    s3 = aws.client(there, "s3")
    for body, said in (
        (b"?", f"s3://{there.releases_bucket}/{key} is not a pointer"),
        (None, "none was chosen"),
    ):
        if body:
            s3.put_object(Bucket=there.releases_bucket, Key=key, Body=body)
        else:
            s3.delete_object(Bucket=there.releases_bucket, Key=key)
        run = corral("status")
        assert run.returncode == 1
        assert f"✗ The environment names no release: {said}" in run.stdout


def test_no_stack_and_no_answer_are_sentences(well, corral):
    run = corral("status", "-e", "live")
    assert (run.returncode, run.stdout) == (1, "")
    assert "its stack chat-live does not exist" in run.stderr
    run = corral("status", AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert run.returncode == 1
    assert run.stderr.splitlines()[-3].startswith("corral: The AWS API can't be reached")
