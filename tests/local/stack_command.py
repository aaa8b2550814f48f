"""`corral stack` as a person types it, against the lab's API."""

import json
from contextlib import suppress
from dataclasses import asdict
from datetime import timedelta

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner

from corral.aws import client
from corral.bundle import store
from corral.cli.common import Chosen
from corral.cli.stack import stack
from corral.cloudformation import change_sets as engine
from corral.cloudformation import events, expiry, stacks
from corral.cloudformation.request import Wishes, has_servers
from corral.releases import names
from corral.releases import store as releases
from corral.settings import load
from corral.settings.sections import Aws, Ssh


def corral_stack(settings, *words, **more):
    """Run `corral stack …` in the environment of the settings; errors as they are raised."""
    chosen = Chosen()
    chosen.__dict__["settings"] = settings
    return CliRunner().invoke(stack, words, obj=chosen, catch_exceptions=False, **more)


def lives_in(cloud, settings):
    """The settings, with the lab's API at the address of the test's own, and no SSH key to be imported."""
    aws = Aws(endpoint_url=cloud.endpoint, access_key_id="lab", secret_access_key="worth-nothing")
    return settings.model_copy(update={"aws": aws, "ssh": Ssh()})


def but(settings, section, **more):
    """The settings with other values in a table of theirs."""
    return settings.model_copy(update={section: getattr(settings, section).model_copy(update=more)})


def name_a_bundle(settings, content=None, release=True):
    """Say which bundle the environment's nodes run, and which release, in a bucket that is there."""
    named = store.Pointer(
        "0" * 64, store.bundle_key("0" * 64), "", False, None, "a test", "2026-01-01T00:00:00"
    )
    client(settings, "s3").put_object(
        Bucket=settings.releases_bucket,
        Key=store.pointer_key(settings.environment),
        Body=content or json.dumps(asdict(named)),
    )
    if release:
        chosen = releases.Pointer("20260101-0000000000", "0" * 64, None, "a test", "2026-01-01T00:00:00")
        client(settings, "s3").put_object(
            Bucket=settings.releases_bucket,
            Key=names.pointer_key(settings.environment),
            Body=json.dumps(asdict(chosen)),
        )


def give_servers(settings):
    """Let an environment that was applied have servers, if it has none yet: by a bundle, applied again."""
    if not has_servers(stacks.find(settings)):
        name_a_bundle(settings)
        corral_stack(settings, "apply", "-y")


def ids(settings):
    """Physical ids of what the environment's stack holds."""
    return {each.logical: each.physical for each in stacks.resources(settings, stacks.find(settings))}


def change_sets(settings):
    return client(settings, "cloudformation").list_change_sets(StackName=settings.stack_name)["Summaries"]


def members(settings, role):
    name = settings.role_name(role)
    groups = client(settings, "autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])
    return sorted(each["InstanceId"] for each in groups["AutoScalingGroups"][0]["Instances"])


def records(settings, zone):
    found = client(settings, "route53").list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    return {each["Name"].rstrip(".") for each in found if each["Type"] == "A"}


def write_record(settings, zone, name):
    """Do what a host does at its boot."""
    record = {"Name": name, "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "10.43.16.4"}]}
    change = {"Action": "UPSERT", "ResourceRecordSet": record}
    client(settings, "route53").change_resource_record_sets(
        HostedZoneId=zone, ChangeBatch={"Changes": [change]}
    )


def small(settings, *broken):
    """A template of little: it expires, and tells its site. What is `broken` is a subnet of no network."""
    resources = {
        "One": {
            "Type": "AWS::SSM::Parameter",
            "Properties": {"Name": f"/small/{settings.environment}", "Type": "String", "Value": "1"},
        }
    }
    for name in broken:
        subnet = {"VpcId": "vpc-0", "CidrBlock": "10.0.0.0/24"}
        resources[name] = {"Type": "AWS::EC2::Subnet", "Properties": subnet, "DependsOn": "One"}
    template = {
        "Parameters": {"Expires": {"Type": "String", "Default": "never"}},
        "Resources": resources,
        "Outputs": {
            "Expires": {"Value": {"Ref": "Expires"}},
            "Site": {"Value": f"https://{settings.domain}/"},
        },
    }
    return json.dumps(template)


def make_small(settings, days):
    """Make a stack of little, which expires so many days from today."""
    wishes = Wishes(expires=(expiry.today() + timedelta(days=days)).isoformat())
    list(engine.carry_out(settings, engine.propose(settings, small(settings), wishes)))


def answer_hooks(settings, until):
    """Do what hosts do: say that they are ready, or done, until `until` is set."""
    groups = client(settings, "autoscaling")
    while not until.wait(0.1):
        # What was there a moment ago may be answered, or gone; then the next look tells.
        with suppress(ClientError):
            for group in groups.describe_auto_scaling_groups()["AutoScalingGroups"]:
                _answer(groups, group)


def _answer(groups, group):
    hooks = {"Pending:Wait": "launch", "Terminating:Wait": "terminate"}
    for member in group["Instances"]:
        if hook := hooks.get(member["LifecycleState"]):
            groups.complete_lifecycle_action(
                LifecycleHookName=hook,
                AutoScalingGroupName=group["AutoScalingGroupName"],
                InstanceId=member["InstanceId"],
                LifecycleActionResult="CONTINUE",
            )


@pytest.fixture
def of(cloud, monkeypatch):
    """Settings of an environment by its reference, living in the lab's API; with short pauses between looks.

    Each look costs the API's process and this one more than a hundredth of a second, which the work lacks.
    """
    monkeypatch.setattr(events, "PAUSE", 0.25)
    return lambda reference: lives_in(cloud, load(reference))
