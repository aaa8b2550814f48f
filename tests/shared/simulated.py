"""A simulated fleet in an AWS API of one's own: groups with any number of members, and reports of each."""

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from corral import aws
from corral.members import Member, survey
from corral.settings import Settings, load
from corral.settings.sections import Aws

RELEASE, BUNDLE, COMMIT = "20261124-3ee5b9d110", "b" * 64, "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c"
# The simulated API launches so many in less time than a client waits for an answer.
A_STEP = 200
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBi1kqUnJHqNl8TfrEWJz3TS2fCZ5dCFtGsPpMb4Mxzq"
UNITS = ("corral-app.service", "corral-converge.timer", "nftables.service", "nginx.service", "ssh.service")


def environment(endpoint: str, name: str = "lab") -> Settings:
    """The settings of environment `name`, with its API at another address."""
    there = Aws(endpoint_url=endpoint, access_key_id="lab", secret_access_key="worth-nothing")
    return load(name).model_copy(update={"aws": there})


def populate(settings: Settings, app: int = 2) -> None:
    """Make an environment: bucket, and a stack of `app` app servers with their target groups, and a db."""
    ec2, balancers = (aws.client(settings, service) for service in ("ec2", "elbv2"))
    network = ec2.create_vpc(CidrBlock=settings.network.cidr)["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=network, CidrBlock=cidr, AvailabilityZone=zone)["Subnet"]["SubnetId"]
        for cidr, zone in zip(settings.private_cidrs, settings.zones, strict=True)
    ]
    image = aws.client(settings, "ssm").get_parameter(Name=settings.image.parameter)["Parameter"]["Value"]
    ec2.create_launch_template(
        LaunchTemplateName=settings.stack_name,
        LaunchTemplateData={"ImageId": image, "InstanceType": settings.app.instance_type},
    )
    targets = [
        balancers.create_target_group(
            Name=f"{settings.stack_name}-{name}", Protocol="HTTP", Port=port, VpcId=network
        )["TargetGroups"][0]["TargetGroupArn"]
        for name, port in (("site", 80), ("redirect", 81))
    ]
    where = {"LocationConstraint": settings.region}
    s3 = aws.client(settings, "s3")
    s3.create_bucket(Bucket=settings.releases_bucket, CreateBucketConfiguration=where)
    everywhere = {"VPCZoneIdentifier": subnets, "TargetGroupARNs": targets}
    _stack(settings, {"db": (1, {"VPCZoneIdentifier": subnets[:1]}), "app": (app, everywhere)})


def point(
    settings: Settings, release: str = RELEASE, bundle: str = BUNDLE, at: datetime | None = None
) -> None:
    """Let the environment name a release and a bundle."""
    named = {"app/current.json": {"version": release}, "bundle.json": {"digest": bundle}}
    for key, what in named.items():
        body = json.dumps(what | {"at": (at or datetime.now(UTC)).isoformat()})
        aws.client(settings, "s3").put_object(
            Bucket=settings.releases_bucket, Key=f"environments/{settings.environment}/{key}", Body=body
        )


def report(settings: Settings, member: Member, **other: Any) -> dict[str, Any]:
    """What a healthy member reports. `other`: keys that are to be otherwise."""
    now = datetime.now(UTC)
    past = [
        {
            "started": (now - timedelta(hours=1 + number)).isoformat(timespec="seconds"),
            "seconds": 4.0 + number % 7,
            "result": "healthy",
            "why": "tick",
            "changed": number % 3,
            "drift": number % 2,
        }
        for number in range(24)
    ]
    return {
        "schema": 1,
        "instance": member.instance_id,
        "role": member.role,
        "environment": settings.environment,
        "zone": member.zone,
        "address": member.address,
        "why": "tick",
        "started": now.isoformat(timespec="seconds"),
        "seconds": 5.2,
        "result": "healthy",
        "bundle": BUNDLE,
        "commit": COMMIT,
        "release": RELEASE if member.role == "app" else None,
        "changed": [],
        "drift": [],
        "failed": None,
        "ill": [],
        "units": dict.fromkeys(UNITS, "active"),
        "load": [0.31, 0.28, 0.2],
        "host_keys": [HOST_KEY],
        "history": past,
    } | other


def send(settings: Settings, instance_id: str, body: bytes | dict[str, Any]) -> None:
    """Put a report where this instance alone may write it."""
    content = body if isinstance(body, bytes) else json.dumps(body, indent=1).encode()
    key = f"reports/{settings.environment}/AROAEXAMPLEEXAMPLE000:{instance_id}.json"
    aws.client(settings, "s3").put_object(Bucket=settings.releases_bucket, Key=key, Body=content)


def everyone_reports(settings: Settings) -> list[Member]:
    """Let every member report that it is healthy; who they are."""
    _, members = survey(settings)
    _each(lambda member: send(settings, member.instance_id, report(settings, member)), members)
    return members


def _each(function: Any, items: Iterable[Any]) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(function, items))


def _stack(settings: Settings, groups: dict[str, tuple[int, dict[str, Any]]]) -> None:
    """A stack of auto-scaling groups: by role, how many members, and where."""
    resources = {
        f"{role.capitalize()}Group": {
            "Type": "AWS::AutoScaling::AutoScalingGroup",
            "Properties": _group(settings, role, count) | where,
        }
        for role, (count, where) in groups.items()
    }
    cloud = aws.client(settings, "cloudformation")
    cloud.create_stack(StackName=settings.stack_name, TemplateBody=json.dumps({"Resources": resources}))
    cloud.get_waiter("stack_create_complete").wait(
        StackName=settings.stack_name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    scaling = aws.client(settings, "autoscaling")
    for role, (count, _) in groups.items():
        for size in (*range(A_STEP, count, A_STEP), count):
            scaling.set_desired_capacity(AutoScalingGroupName=settings.role_name(role), DesiredCapacity=size)


def _group(settings: Settings, role: str, count: int) -> dict[str, Any]:
    own = {
        "corral:project": settings.project,
        "corral:environment": settings.environment,
        "corral:role": role,
    }
    return {
        "AutoScalingGroupName": settings.role_name(role),
        "LaunchTemplate": {"LaunchTemplateName": settings.stack_name, "Version": "1"},
        "MinSize": "0",
        "MaxSize": str(count * 2 + 2),
        "DesiredCapacity": "0",
        "Tags": [{"Key": key, "Value": value, "PropagateAtLaunch": True} for key, value in own.items()],
    }
