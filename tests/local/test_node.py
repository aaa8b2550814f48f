"""A node as it sees itself: what boot wrote down, and the same data that push would give it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from corral.aws import client
from corral.errors import CorralError
from corral.node.identity import Node, this_node
from corral.settings import ROOT, SINGLETONS, load
from tests.connection import CONNECTION

ROLES = ("app", *SINGLETONS)
NODE = """\
CORRAL_ROLE=db
CORRAL_ENVIRONMENT=feature-x
CORRAL_SETTINGS=branch/feature-x
CORRAL_BUCKET=chat-feature-x-releases-111122223333
CORRAL_GROUP=chat-feature-x-db
CORRAL_REGION=eu-west-1
CORRAL_ZONE=eu-west-1a
CORRAL_INSTANCE=i-0123456789abcdef0
CORRAL_ADDRESS=10.30.16.4
CORRAL_PRIVATE_ZONE_ID=Z0123456789
CORRAL_DATA_VOLUME=vol-0123456789abcdef0
"""


def data(inventory, **environment):
    """The data of every host of an inventory, as pyinfra itself sees it, by the host's name."""
    done = subprocess.run(
        [Path(sys.executable).parent / "pyinfra", f"inventory/{inventory}.py", "debug-inventory", "--json"],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return {host["name"]: host["data"] for host in json.loads(done.stdout)}


@pytest.fixture
def fleet(settings):
    """A group of one server for each role, launched with the tags that the stack gives its groups."""
    client(settings, "s3").create_bucket(
        Bucket=load("test").releases_bucket,  # as both inventories name it
        CreateBucketConfiguration={"LocationConstraint": settings.region},
    )
    launch = {
        "ImageId": "ami-12345678",
        "InstanceType": "t3.small",
    }
    template = client(settings, "ec2").create_launch_template(
        LaunchTemplateName="any", LaunchTemplateData=launch
    )["LaunchTemplate"]["LaunchTemplateId"]
    for role in ROLES:
        tags = {
            "corral:project": settings.project,
            "corral:environment": settings.environment,
            "corral:role": role,
            "corral:settings": settings.reference,
            "corral:releases-bucket": settings.releases_bucket,
            "corral:private-zone-id": "Z0123456789",
            **({} if role == "app" else {"corral:data-volume": f"vol-{role}"}),
        }
        client(settings, "autoscaling").create_auto_scaling_group(
            AutoScalingGroupName=settings.role_name(role),
            LaunchTemplate={"LaunchTemplateId": template},
            AvailabilityZones=[settings.zones[0]],
            MinSize=1,
            MaxSize=1,
            Tags=[{"Key": key, "Value": value, "PropagateAtLaunch": True} for key, value in tags.items()],
        )
    return settings


def node_env(instance):
    """What files/user-data.sh writes on an instance: its tags and its metadata."""
    tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
    said = {
        "CORRAL_ROLE": tags["corral:role"],
        "CORRAL_ENVIRONMENT": tags["corral:environment"],
        "CORRAL_SETTINGS": tags["corral:settings"],
        "CORRAL_BUCKET": tags["corral:releases-bucket"],
        "CORRAL_GROUP": tags["aws:autoscaling:groupName"],
        "CORRAL_REGION": "eu-west-1",
        "CORRAL_ZONE": instance["Placement"]["AvailabilityZone"],
        "CORRAL_INSTANCE": instance["InstanceId"],
        "CORRAL_ADDRESS": instance["PrivateIpAddress"],
        "CORRAL_PRIVATE_ZONE_ID": tags["corral:private-zone-id"],
        "CORRAL_DATA_VOLUME": tags.get("corral:data-volume", ""),
    }
    return "".join(f"{name}={value}\n" for name, value in said.items())


def test_a_node_has_the_data_that_push_gives_it(fleet, aws_api, tmp_path):
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_ENDPOINT_URL": aws_api}
    pushed = data("aws", CORRAL_ENV="test", **keys)
    reservations = client(fleet, "ec2").describe_instances()["Reservations"]
    for instance in (instance for each in reservations for instance in each["Instances"]):
        (tmp_path / "node.env").write_text(node_env(instance))
        # Whoever runs it may have chosen another environment, as an operator at a host's shell might.
        pulled = data("node", CORRAL_ENV="live", CORRAL_NODE=str(tmp_path / "node.env"))
        theirs = pushed.pop(instance["PrivateIpAddress"])
        assert pulled == {"@local": {name: theirs[name] for name in theirs.keys() - CONNECTION}}
        assert pulled["@local"]["environment"] == "test"
    assert pushed == {}


def test_a_node_knows_who_it_is(tmp_path):
    (tmp_path / "node.env").write_text(NODE)
    assert this_node(tmp_path / "node.env") == Node(
        role="db",
        environment="feature-x",
        settings="branch/feature-x",
        instance="i-0123456789abcdef0",
        address="10.30.16.4",
        zone="eu-west-1a",
        group="chat-feature-x-db",
        bucket="chat-feature-x-releases-111122223333",
        private_zone_id="Z0123456789",
        data_volume="vol-0123456789abcdef0",
    )


def test_a_node_of_a_branch_has_the_branchs_settings(tmp_path):
    (tmp_path / "node.env").write_text(NODE)
    node = data("node", CORRAL_NODE=str(tmp_path / "node.env"))["@local"]
    assert (node["environment"], node["role"]) == ("feature-x", "db")
    assert node["domain"] == "feature-x.branch.chat.example.com"
    assert node["private_name"] == "db.feature-x.internal"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "node.env cannot be read (No such file or directory)"),
        (NODE.replace("CORRAL_ZONE", "X").replace("CORRAL_GROUP", "Y"), "not say CORRAL_ZONE, CORRAL_GROUP."),
        (NODE.replace("branch/feature-x", "gone"), "There is no environments/gone.toml"),
    ],
)
def test_a_machine_that_is_no_node_is_told_so(tmp_path, text, said):
    file = tmp_path / "node.env"
    if text:
        file.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "pyinfra", "-y", "inventory/node.py", "deploy.py"],
        cwd=ROOT,
        env={**os.environ, "CORRAL_NODE": str(file)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


SAID = dict(line.split("=") for line in NODE.splitlines())


@pytest.mark.parametrize("name", sorted(SAID.keys() - {"CORRAL_REGION"}))
@pytest.mark.parametrize("damage", ["", "{name}="])
def test_what_is_missing_is_an_error_that_says_what_to_do(tmp_path, name, damage):
    (tmp_path / "node.env").write_text(NODE.replace(f"{name}={SAID[name]}", damage.format(name=name)))
    if damage and name == "CORRAL_DATA_VOLUME":  # an app server has none
        assert this_node(tmp_path / "node.env").data_volume == ""
        return
    with pytest.raises(CorralError, match=rf"does not say {name}\.") as caught:
        this_node(tmp_path / "node.env")
    assert "terminate the host" in caught.value.remedy
