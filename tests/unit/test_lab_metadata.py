"""EC2's metadata as a host of the lab sees it: the tree, and the service over real HTTP."""

import http.client
import json
import threading
from datetime import UTC, datetime
from http.server import ThreadingHTTPServer

import pytest
from botocore.exceptions import ClientError

from lab import metadata
from lab.metadata_tree import Facts, find, tree

INSTANCE = {
    "InstanceId": "i-0abc",
    "ImageId": "ami-1",
    "InstanceType": "t3.small",
    "PrivateIpAddress": "127.0.0.1",
    "PrivateDnsName": "ip-127-0-0-1.eu-west-1.compute.internal",
    "Placement": {"AvailabilityZone": "eu-west-1a"},
    "SecurityGroups": [{"GroupId": "sg-1", "GroupName": "app"}, {"GroupId": "sg-2", "GroupName": "all"}],
    "NetworkInterfaces": [{"NetworkInterfaceId": "eni-1"}],
    "SubnetId": "subnet-1",
    "VpcId": "vpc-1",
    "KeyName": "corral-lab",
    "LaunchTime": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    "MetadataOptions": {"HttpTokens": "required", "InstanceMetadataTags": "enabled"},
    "Tags": [{"Key": "corral:role", "Value": "app"}, {"Key": "Name", "Value": "chat lab app"}],
}
FACTS = Facts(
    INSTANCE,
    "123456789012",
    "eu-west-1",
    user_data="#!/bin/sh\necho é\n",
    public_key="ssh-ed25519 AAAA operator",
    profile={
        "Arn": "arn:aws:iam::123456789012:instance-profile/chat-lab-app",
        "InstanceProfileId": "AIPA1",
        "RoleName": "chat-lab-app",
        "RoleArn": "arn:aws:iam::123456789012:role/chat-lab-app",
    },
    subnet_cidr="10.42.16.0/20",
    vpc_cidr="10.42.0.0/16",
)


def walk(path=""):
    """Every path that the listings lead to, as cloud-init walks them."""
    for name in find(tree(FACTS), path).splitlines():
        here = path + name.partition("=")[0]
        if name.endswith("/") or "=" in name:
            yield from walk(here.rstrip("/") + "/")
        else:
            yield here


def test_every_listed_leaf_resolves():
    leaves = list(walk("meta-data/")) + list(walk("dynamic/"))
    assert len(leaves) > 30
    assert [leaf for leaf in leaves if find(tree(FACTS), leaf) is None] == []


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("meta-data/instance-id", "i-0abc"),
        ("meta-data/instance-id/", "i-0abc"),
        ("meta-data/security-groups", "app\nall"),
        ("meta-data/placement/availability-zone/", "eu-west-1a"),
        ("meta-data/mac", "02:00:7f:00:00:01"),
        ("meta-data/network/interfaces/macs/", "02:00:7f:00:00:01/"),
        ("meta-data/network/interfaces/macs/02:00:7f:00:00:01/subnet-ipv4-cidr-block", "10.42.16.0/20"),
        ("meta-data/public-keys/", "0=corral-lab"),
        ("meta-data/public-keys/0/", "openssh-key"),
        ("meta-data/public-keys/0/openssh-key", "ssh-ed25519 AAAA operator"),
        ("meta-data/tags/instance/", "corral:role\nName"),
        ("meta-data/tags/instance/corral:role", "app"),
        ("meta-data/tags/instance/corral%3Arole", "app"),
        ("meta-data/iam/security-credentials/", "chat-lab-app"),
        ("user-data", "#!/bin/sh\necho é\n"),
        ("dynamic/instance-identity", "document"),
        ("meta-data/nothing", None),
        ("meta-data/instance-id/deeper", None),
    ],
)
def test_paths(path, answer):
    assert find(tree(FACTS), path) == answer


def test_the_identity_document_is_of_plain_values():
    document = json.loads(find(tree(FACTS), "dynamic/instance-identity/document"))
    assert document["privateIp"] == "127.0.0.1"
    assert document["accountId"] == "123456789012"


@pytest.mark.parametrize(
    ("state", "target"),
    [
        ("Pending", "InService"),
        ("Pending:Wait", "InService"),
        ("InService", "InService"),
        ("Terminating", "Terminated"),
        ("Terminating:Wait", "Terminated"),
        ("Standby", "Standby"),
        ("Detaching", "Detached"),
    ],
)
def test_a_member_of_a_group_learns_where_it_is_going(state, target):
    member = Facts({**INSTANCE, "LifecycleState": state}, "1", "eu-west-1")
    assert find(tree(member), "meta-data/autoscaling/") == "target-lifecycle-state"
    assert find(tree(member), "meta-data/autoscaling/target-lifecycle-state") == target


def test_what_an_instance_has_not_is_not_there():
    bare = Facts({**INSTANCE, "MetadataOptions": {}}, "1", "eu-west-1")
    for path in ("tags/", "iam/", "public-keys/", "autoscaling/"):
        assert find(tree(bare), f"meta-data/{path}") is None
    assert find(tree(bare), "user-data") is None


@pytest.fixture
def service(tmp_path, monkeypatch):
    """The real server, for one instance at 127.0.0.1: a function (method, path, headers) -> (code, text)."""
    written = tmp_path / "instances.json"
    written.write_text(metadata.dump({"127.0.0.1": FACTS}))
    monkeypatch.setattr(metadata, "INSTANCES", written)
    monkeypatch.setattr(metadata.Imds, "knowledge", metadata.Knowledge())
    with ThreadingHTTPServer(("127.0.0.1", 0), metadata.Imds) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()

        def ask(method, path, **headers):
            connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=5)
            named = {key.replace("_", "-"): value for key, value in headers.items()}
            connection.request(method, path, headers=named)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

        ask.written = written
        yield ask
        server.shutdown()


def token(ask, seconds="60"):
    return ask("PUT", "/latest/api/token", X_aws_ec2_metadata_token_ttl_seconds=seconds)


def test_a_token_is_needed_and_opens_every_version(service):
    assert service("GET", "/latest/meta-data/instance-id") == (401, "")
    assert service("GET", "/latest/meta-data/instance-id", X_aws_ec2_metadata_token="wrong")[0] == 401
    code, given = token(service)
    assert code == 200
    for version in ("latest", "2021-03-23", "1.0"):
        found = service("GET", f"/{version}/meta-data/instance-id", X_aws_ec2_metadata_token=given)
        assert found == (200, "i-0abc")
    assert service("GET", "/latest/nothing", X_aws_ec2_metadata_token=given)[0] == 404
    assert service("GET", "/elsewhere/meta-data/", X_aws_ec2_metadata_token=given)[0] == 404


@pytest.mark.parametrize("seconds", ["", "0", "21601", "soon", "-1"])
def test_a_token_for_no_time_is_refused(service, seconds):
    assert token(service, seconds)[0] == 400


def test_a_token_ends(service, monkeypatch):
    _, given = token(service, "1")
    later = metadata.time.monotonic() + 2
    monkeypatch.setattr(metadata.time, "monotonic", lambda: later)
    assert service("GET", "/latest/meta-data/", X_aws_ec2_metadata_token=given)[0] == 401


def test_a_token_is_not_given_through_a_proxy(service):
    code, _ = service(
        "PUT",
        "/latest/api/token",
        X_Forwarded_For="10.0.0.1",
        X_aws_ec2_metadata_token_ttl_seconds="60",
    )
    assert code == 403


def test_another_instances_token_does_not_open(service):
    metadata.Imds.knowledge.tokens["stolen"] = ("10.42.0.9", metadata.time.monotonic() + 60)
    assert service("GET", "/latest/meta-data/", X_aws_ec2_metadata_token="stolen")[0] == 401


def test_a_stranger_gets_nothing(service):
    service.written.write_text(metadata.dump({"10.42.0.9": FACTS}))
    _, given = token(service)
    assert service("GET", "/latest/meta-data/instance-id", X_aws_ec2_metadata_token=given)[0] == 404


def test_without_required_tokens_the_old_way_works(service):
    old = Facts({**INSTANCE, "MetadataOptions": {"HttpTokens": "optional"}}, "1", "eu-west-1")
    service.written.write_text(metadata.dump({"127.0.0.1": old}))
    assert service("GET", "/latest/meta-data/instance-id") == (200, "i-0abc")


class Sts:
    """Stands for the API at the edge: the calls that the service makes of it, counted."""

    def __init__(self):
        self.calls = []
        self.trusted = True

    def assume_role(self, **call):
        self.calls.append(call)
        if not self.trusted:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "AssumeRole")
        given = {"AccessKeyId": "ASIA1", "SecretAccessKey": "secret", "SessionToken": "token"}
        return {"Credentials": {**given, "Expiration": datetime(2026, 1, 2, 4, tzinfo=UTC)}}


@pytest.fixture
def sts(monkeypatch):
    fake = Sts()
    monkeypatch.setattr(metadata.boto3, "client", lambda *_, **__: fake)
    return fake


ROLE = "/latest/meta-data/iam/security-credentials/chat-lab-app"


def test_role_credentials_are_those_of_this_instance_and_kept(service, sts):
    _, given = token(service)
    for path in (ROLE, ROLE + "/"):
        code, text = service("GET", path, X_aws_ec2_metadata_token=given)
        assert code == 200
        shown = json.loads(text)
        assert {key: shown[key] for key in shown if key != "LastUpdated"} == {
            "Code": "Success",
            "Type": "AWS-HMAC",
            "AccessKeyId": "ASIA1",
            "SecretAccessKey": "secret",
            "Token": "token",
            "Expiration": "2026-01-02T04:00:00Z",
        }
    assert [(call["RoleArn"], call["RoleSessionName"]) for call in sts.calls] == [
        ("arn:aws:iam::123456789012:role/chat-lab-app", "i-0abc")
    ]


def test_a_role_that_does_not_trust_ec2_gives_none_and_is_asked_again(service, sts):
    sts.trusted = False
    _, given = token(service)
    _, text = service("GET", ROLE, X_aws_ec2_metadata_token=given)
    assert json.loads(text)["Code"] == "AssumeRoleUnauthorizedAccess"
    sts.trusted = True
    _, text = service("GET", ROLE, X_aws_ec2_metadata_token=given)
    assert json.loads(text)["Code"] == "Success"
