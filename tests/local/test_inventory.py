"""The inventory as an operator meets it: pyinfra itself, its exit code, its one sentence."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from corral.aws import client
from corral.errors import CorralError
from corral.inventory import matches, refuse_misses
from corral.settings import ROOT, SINGLETONS, load
from corral.stack import render

PYINFRA = Path(sys.executable).parent / "pyinfra"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


def pyinfra(api, *words, **environment):
    variables = {**os.environ, "CORRAL_ENV": "test", "AWS_ENDPOINT_URL": api, **KEYS, **environment}
    return subprocess.run(
        [PYINFRA, "inventory/aws.py", *words],
        cwd=ROOT,
        env={name: value for name, value in variables.items() if value},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


def refused(run):
    """The sentence that pyinfra ended with."""
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert run.stdout == ""
    return run.stderr.partition("corral: ")[2]


@pytest.fixture
def fleet(settings):
    """The groups of environment test, with two app servers and one of each other role in service."""
    ec2, autoscaling = client(settings, "ec2"), client(settings, "autoscaling")
    # pyinfra reads the file's settings, whose account is another.
    where = {"LocationConstraint": settings.region}
    client(settings, "s3").create_bucket(Bucket=load("test").releases_bucket, CreateBucketConfiguration=where)
    vpc = ec2.create_vpc(CidrBlock=settings.network.cidr)["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=cidr, AvailabilityZone=zone)["Subnet"]["SubnetId"]
        for cidr, zone in zip(settings.private_cidrs, settings.zones, strict=True)
    ]
    image = {"ImageId": "ami-12345678", "InstanceType": "t3.small"}
    ec2.create_launch_template(LaunchTemplateName="any", LaunchTemplateData=image)
    for resource in json.loads(render(settings))["Resources"].values():
        if resource["Type"] == "AWS::AutoScaling::AutoScalingGroup":
            said = resource["Properties"]
            autoscaling.create_auto_scaling_group(
                AutoScalingGroupName=said["AutoScalingGroupName"],
                LaunchTemplate={"LaunchTemplateName": "any"},
                VPCZoneIdentifier=",".join(subnets),
                **{size: int(said[size]["Fn::If"][1]) for size in ("MinSize", "MaxSize", "DesiredCapacity")},
                Tags=[{**tag, "Value": _text(tag["Value"])} for tag in said["Tags"]],
            )
    return settings


def _text(value):
    """A tag's value; for another resource's id, one such."""
    return value if isinstance(value, str) else "vol-0123456789abcdef0"


def test_the_hosts_in_service_by_role_with_their_data(fleet, aws_api):
    groups = client(fleet, "autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    ids = {group["AutoScalingGroupName"]: [i["InstanceId"] for i in group["Instances"]] for group in groups}
    # One is put aside: it runs, and is not in service.
    client(fleet, "autoscaling").enter_standby(
        AutoScalingGroupName="chat-test-app",
        InstanceIds=ids["chat-test-app"][:1],
        ShouldDecrementDesiredCapacity=True,
    )

    run = pyinfra(aws_api, "debug-inventory", "--json")
    assert run.returncode == 0
    hosts = {host["name"]: host for host in json.loads(run.stdout)}
    roles = sorted(host["data"]["role"] for host in hosts.values())
    assert roles == ["app", "db", "elk", "release"]
    for address, host in hosts.items():
        data = host["data"]
        assert data["private_address"] == address
        assert data["role"] in host["groups"]
        assert data["group"] == f"chat-test-{data['role']}"
        assert data["instance_id"] in ids[data["group"]][-1:]
        assert data["zone"] in fleet.zones
        assert data["private_zone_id"]
        assert data["data_volume"].startswith("vol-") == (data["role"] != "app")
        # None has reported its SSH keys.
        assert data["ssh_known_hosts_file"] == os.devnull
        assert data["ssh_strict_host_key_checking"] == "yes"
        trust = data["ssh_paramiko_connect_kwargs"]["transport_factory"]
        assert trust.startswith("it has not reported its SSH keys yet.")
        assert data["environment"] == "test"
        assert data["release_cidrs"] == ([] if data["role"] == "release" else ["10.20.16.0/20"])
        assert data["_sudo"] is True


def test_limit_and_exclude_that_name_nobody_are_refused(fleet, aws_api):
    assert "--limit apps: no host and no role of that name" in refused(
        pyinfra(aws_api, "--limit", "apps", "debug-inventory")
    )
    assert "--limit all: no host" in refused(pyinfra(aws_api, "debug-inventory", "--limit=all"))
    assert "leave no host" in refused(pyinfra(aws_api, "debug-inventory", "--exclude", "10.*"))
    assert pyinfra(aws_api, "debug-inventory", "--limit", "app").returncode == 0


def test_no_such_stack(aws_api):
    assert "its stack chat-test does not exist" in refused(pyinfra(aws_api, "debug-inventory"))


def test_an_empty_fleet(fleet, aws_api):
    groups = client(fleet, "autoscaling")
    for role in ("app", *SINGLETONS):
        groups.update_auto_scaling_group(
            AutoScalingGroupName=f"chat-test-{role}", MinSize=0, DesiredCapacity=0
        )
    sentence = refused(pyinfra(aws_api, "debug-inventory"))
    assert "no host in service: chat-test-app wants 0 and has none; chat-test-db wants 0" in sentence
    assert "gets servers with its bundle: corral stack apply -e test says how." in sentence


def test_no_credentials(aws_api):
    run = pyinfra(aws_api, "debug-inventory", AWS_ACCESS_KEY_ID="")
    assert refused(run).startswith("There are no AWS credentials")


def test_a_profile_that_is_not_there(aws_api):
    sentence = refused(pyinfra(aws_api, "debug-inventory", AWS_PROFILE="nobody"))
    assert sentence.startswith("The config profile (nobody) could not be found.")


def test_no_permission(fleet, aws_api):
    import requests

    # From here on moto asks IAM, as AWS always does; the first number is how many calls it still lets pass.
    requests.post(
        f"{aws_api}/moto-api/reset-auth", data="2", headers={"Content-Type": "text/plain"}, timeout=10
    )
    try:
        iam = client(fleet, "iam")
        iam.create_user(UserName="nobody")
        key = iam.create_access_key(UserName="nobody")["AccessKey"]
        run = pyinfra(
            aws_api,
            "debug-inventory",
            AWS_ACCESS_KEY_ID=key["AccessKeyId"],
            AWS_SECRET_ACCESS_KEY=key["SecretAccessKey"],
        )
        assert refused(run).startswith("No permission for DescribeAutoScalingGroups: ")
    finally:
        requests.post(
            f"{aws_api}/moto-api/reset-auth", data="inf", headers={"Content-Type": "text/plain"}, timeout=10
        )


def test_nothing_answers():
    assert refused(pyinfra("http://127.0.0.1:9", "debug-inventory")).startswith(
        "The AWS API can't be reached"
    )


def test_a_wrong_environment(aws_api):
    assert refused(pyinfra(aws_api, "debug-inventory", CORRAL_ENV="nope")).startswith(
        "There is no environments/nope.toml"
    )


GROUPS = {"app": ["10.0.0.1", "10.0.0.2"], "db": ["10.0.1.1"]}


@pytest.mark.parametrize(
    ("pattern", "hosts"),
    [
        ("app", {"10.0.0.1", "10.0.0.2"}),
        ("10.0.0.*", {"10.0.0.1", "10.0.0.2"}),
        ("10.0.1.1", {"10.0.1.1"}),
        ("10.0.1", set()),
        ("all", set()),
    ],
)
def test_a_limit_means_what_pyinfra_takes_it_for(pattern, hosts):
    assert matches(pattern, GROUPS) == hosts


def test_outside_of_pyinfra_nothing_is_limited():
    refuse_misses(GROUPS)


def test_a_role_without_hosts_is_no_choice():
    import click

    with click.Context(click.Command("pyinfra")) as context, pytest.raises(CorralError) as caught:
        context.params = {"limit": ("db",), "exclude": ()}
        refuse_misses({"app": ["10.0.0.1"], "db": []})
    assert "Choose among the roles app and the addresses 10.0.0.1" in caught.value.remedy
