"""Any server may be terminated at any moment: the next one configures itself, or says why it can't."""

import json

import pytest

from lab.hosts import present
from lab.observe import memory
from tests.lab.fleet import run, wait_for
from tests.lab.test_nodes import TICK, report
from tests.lab.visitors import Visitors

SERVES = 240  # seconds at most, on a machine that does other things too; bench/boot.py measures it


def serving(fleet):
    """Ids of the app servers that the load balancer finds healthy."""
    return {instance for instance, state in fleet.health().items() if state == "healthy"}


def grown(fleet, count, gone=()):
    """Wait until so many app servers serve, and none of those that are gone."""

    def there():
        members = {member.instance_id for member in fleet.members("app")}
        return (
            members
            if len(members) == count and serving(fleet) == members and not members & set(gone)
            else None
        )

    return wait_for(f"{count} app servers serve", there, SERVES)


def pending(fleet):
    """Ids of the app servers that are being launched."""
    name = fleet.settings.role_name("app")
    (group,) = fleet.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])[
        "AutoScalingGroups"
    ]
    states = {member["InstanceId"]: member["LifecycleState"] for member in group["Instances"]}
    return {instance for instance, state in states.items() if state.startswith("Pending")}


@pytest.fixture
def two(fleet):
    """The ids of the two app servers; two again afterwards."""
    fleet.scale(2)
    yield grown(fleet, 2)
    fleet.scale(2)
    grown(fleet, 2)


def test_a_server_terminated_under_load_is_replaced_by_one_that_configures_itself(fleet, two):
    visitors = [Visitors(fleet) for _ in range(4)]
    for visitor in visitors:
        visitor.start()
    gone = sorted(two)[0]
    fleet.client("ec2").terminate_instances(InstanceIds=[gone])
    (new,) = grown(fleet, 2, {gone}) - two
    for visitor in visitors:
        visitor.done.set()
    for visitor in visitors:
        visitor.join()
    # Each asks one thing at a time: what was in flight on the one that went may fail, once each.
    assert all(len(visitor.failed) <= 1 for visitor in visitors), [visitor.failed for visitor in visitors]
    assert all(sum(visitor.seen.values()) > 50 for visitor in visitors)
    (member,) = [member for member in fleet.members("app") if member.instance_id == new]
    said = report(fleet, member)
    assert (said["result"], said["why"]) == ("healthy", "boot")
    assert fleet.converge().changed == {}, "push finds nothing to do where a node configured itself"


def test_six_servers_come_in_one_go_and_fit_on_a_small_machine(fleet, two):
    fleet.scale(6)
    grown(fleet, 6)
    assert fleet.converge().changed == {}
    hosts = [present()[member.instance_id] for member in fleet.members()]
    assert len(hosts) == 9
    assert sum(memory(host) for host in hosts) < 4 * 2**30


def test_a_node_arrives_though_s3_gives_errors_and_garbage_at_first(fleet, two):
    refused, no_pointer = "corral: no bundle: curl: (22)", "corral: no bundle: the pointer names none"
    try:
        run("corral", "lab", "fault", "errors", "--seconds", "300")
        fleet.scale(3)
        (new,) = wait_for("an instance is launched", lambda: pending(fleet), 60)
        wait_for("it is refused", lambda: refused in console(new), 60)
        run("corral", "lab", "fault", "garbage", "--seconds", "300")
        wait_for("it can not read that", lambda: no_pointer in console(new), 60)
        assert new not in fleet.health(), "the load balancer does not know it yet"
    finally:
        run("corral", "lab", "fault", "garbage", "--seconds", "0")
    assert new in grown(fleet, 3)
    (member,) = [member for member in fleet.members("app") if member.instance_id == new]
    run("corral", "lab", "fault", "errors", "--seconds", "600")
    try:
        # It has never had a tick: what it goes by, it has kept since its boot.
        fleet.shell(member, f"systemctl stop nginx; {TICK}; systemctl is-active nginx")
    finally:
        run("corral", "lab", "fault", "errors", "--seconds", "0")


def test_a_damaged_bundle_is_abandoned_and_nothing_of_it_runs(fleet, two, request):
    s3, bucket = fleet.client("s3"), fleet.settings.releases_bucket
    pointer = f"environments/{fleet.settings.environment}/bundle.json"
    before = s3.get_object(Bucket=bucket, Key=pointer)["Body"].read()
    named = json.loads(before)
    other = {**named, "digest": "0" * 64, "key": f"bundles/{'0' * 64}.tar.gz"}
    whole = s3.get_object(Bucket=bucket, Key=named["key"])["Body"].read()
    s3.put_object(Bucket=bucket, Key=other["key"], Body=whole[:-1] + b"x", IfNoneMatch="*")
    s3.put_object(Bucket=bucket, Key=pointer, Body=json.dumps(other, indent=1))
    try:
        fleet.scale(3)
        (new,) = wait_for("an instance is launched", lambda: pending(fleet), 60)
        # It tries for two minutes; meanwhile comes the environment that the tests of branches want.
        request.getfixturevalue("branch")
        wait_for("it is abandoned", lambda: pending(fleet) - {new}, 300)
        assert new not in serving(fleet)
        said = next(one for one in reports(fleet) if one["instance"] == new)
        assert said["failed"] == {
            "operation": "Fetch a bundle",
            "output": [f"{'0' * 64} has another SHA-256"],
        }
    finally:
        s3.put_object(Bucket=bucket, Key=pointer, Body=before)
        s3.delete_object(Bucket=bucket, Key=other["key"])
    assert new not in grown(fleet, 3), "what came after it found the whole bundle"


def console(instance):
    """What a host has said on its console."""
    return run("corral", "lab", "logs", instance, "--lines", "400", check=False).stdout


def reports(fleet):
    s3, bucket = fleet.client("s3"), fleet.settings.releases_bucket
    for item in s3.list_objects_v2(Bucket=bucket, Prefix="reports/lab/")["Contents"]:
        yield json.loads(s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read())
