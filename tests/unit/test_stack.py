"""The template, without AWS: compared whole, and all its open ports."""

import re
import subprocess
from pathlib import Path

import pytest

from corral.errors import CorralError
from corral.settings import ROOT, known, load
from corral.stack import limits, render
from tests.unit.stacks import rendered, resources

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("name", known())
def test_the_whole_template_is_as_expected(name):
    golden = GOLDEN / f"{name}.json"
    remedy = (
        f"if that is meant: corral stack render -e {name} > {golden.relative_to(ROOT)}, and read the diff"
    )
    assert render(load(name)) == golden.read_text(), remedy


@pytest.mark.parametrize(
    ("limit", "most", "sentence"),
    [
        ("MOST_BYTES", 10_000, r"the template has \d\d,\d{3} bytes; CloudFormation takes 10,000\."),
        ("MOST_RESOURCES", 50, r"it has \d+ resources; a stack takes 50\."),
        ("MOST_USER_DATA", 100, r"the user-data of ElkLaunch has \d,\d{3} bytes; EC2 takes 100\."),
    ],
)
def test_a_template_that_aws_would_not_take_is_refused_with_the_way_out(monkeypatch, limit, most, sentence):
    monkeypatch.setattr(limits, limit, most)
    with pytest.raises(CorralError, match=sentence) as caught:
        render(load("lab-branch/feature-x"))
    assert caught.value.problem.startswith("AWS would not take the stack of lab-branch/feature-x:")
    assert caught.value.remedy.startswith("Make it smaller")


def test_a_template_of_just_the_most_that_aws_takes_is_taken(monkeypatch):
    script = "x" * 16_384
    launch = {"Properties": {"LaunchTemplateData": {"UserData": {"Fn::Base64": script}}}}
    limits.check(load("live"), {"Resources": {str(number): launch for number in range(50)}})
    mapped = {"Mappings": {"A": {"b": {"c": script + "x"}}}, "Resources": {"Launch": launch}}
    limits.check(load("live"), mapped)
    for too_much in (script + "x", {"Fn::FindInMap": ["A", "b", "c"]}):
        launch["Properties"]["LaunchTemplateData"]["UserData"] = {"Fn::Base64": too_much}
        with pytest.raises(CorralError, match="16,385 bytes; EC2 takes 16,384"):
            limits.check(load("live"), mapped)


def test_the_template_knows_no_secret_and_not_where_the_api_is():
    lab = load("lab")
    text = render(lab)
    assert lab.aws.secret_access_key not in text
    assert "169.254.77.2" not in text
    elsewhere = lab.model_copy(update={"aws": load("live").aws})
    assert render(elsewhere) == text
    assert not re.search(r"AKIA|-----BEGIN|SecretString|password\"?\s*:", text)


def peer(rule, by_id):
    """Who is at the other end of a rule: a network, or the group of a role."""
    group = rule.get("SourceSecurityGroupId") or rule.get("DestinationSecurityGroupId")
    return rule.get("CidrIp") or by_id[group["Ref"]]


def rules(name):
    """Every rule of every security group: (role, direction, first port, last port, peer)."""
    groups = resources(name, "AWS::EC2::SecurityGroup")
    by_id = {title: title.removesuffix("SecurityGroup").lower() for title in groups}
    found = set()
    for title, group in groups.items():
        for way in ("Ingress", "Egress"):
            for rule in group["Properties"][f"SecurityGroup{way}"]:
                assert rule["IpProtocol"] == "tcp"
                found.add((by_id[title], way, rule["FromPort"], rule["ToPort"], peer(rule, by_id)))
    for rule in (each["Properties"] for each in resources(name, "AWS::EC2::SecurityGroupIngress").values()):
        assert rule["IpProtocol"] == "tcp"
        role = by_id[rule["GroupId"]["Ref"]]
        found.add((role, "Ingress", rule["FromPort"], rule["ToPort"], peer(rule, by_id)))
    assert not resources(name, "AWS::EC2::SecurityGroupEgress")
    return found


WORLD = "0.0.0.0/0"
TO_WORLD = {
    (role, "Egress", port, port, WORLD) for role in ("app", "db", "elk", "release") for port in (80, 443)
}
BETWEEN = [
    # sender, receiver, port
    ("balancer", "app", 80),
    ("balancer", "app", 81),
    ("app", "db", 5432),
    ("app", "elk", 5044),
    ("db", "elk", 5044),
    ("release", "elk", 5044),
    ("release", "app", 22),
    ("release", "db", 22),
    ("release", "elk", 22),
    ("release", "elk", 443),
    ("release", "elk", 9200),
]
RULES = (
    {("balancer", "Ingress", 80, 80, WORLD), ("balancer", "Ingress", 443, 443, WORLD)}
    | TO_WORLD
    | {(sender, "Egress", port, port, receiver) for sender, receiver, port in BETWEEN}
    | {(receiver, "Ingress", port, port, sender) for sender, receiver, port in BETWEEN}
)


@pytest.mark.parametrize("name", known())
def test_all_open_ports_are_these(name):
    network = load(name).network
    direct = {
        (role, "Ingress", 22, 22, cidr)
        for role in ("app", "db", "elk", "release")
        for cidr in network.direct_ssh_cidrs
    }
    operators = {("release", "Ingress", 22, 22, cidr) for cidr in network.operator_cidrs}
    clients = {
        ("elk", "Ingress", port, port, cidr) for port in (443, 9200) for cidr in load(name).elk.client_cidrs
    }
    assert rules(name) == RULES | operators | direct | clients


@pytest.mark.parametrize("name", ["live", "test", "branch"])
def test_ssh_comes_from_the_release_server_alone_and_there_from_operators(name):
    ssh = {
        (role, peer)
        for role, way, first, last, peer in rules(name)
        if way == "Ingress" and first <= 22 <= last
    }
    inner = {("app", "release"), ("db", "release"), ("elk", "release")}
    assert ssh == inner | {("release", cidr) for cidr in load(name).network.operator_cidrs}


def test_user_data_is_the_same_for_every_role_and_environment_and_fits():
    script = (ROOT / "files/user-data.sh").read_text()
    # EC2 takes 16 KB before base64.
    assert len(script.encode()) < 16 * 1024
    for name in known():
        launches = resources(name, "AWS::EC2::LaunchTemplate").values()
        assert len(launches) == 4
        for launch in launches:
            said = launch["Properties"]["LaunchTemplateData"]["UserData"]
            assert said == {"Fn::Base64": {"Fn::FindInMap": ["FirstBoot", "UserData", "Script"]}}
        assert rendered(name)["Mappings"] == {"FirstBoot": {"UserData": {"Script": script}}}


def test_user_data_is_sound_shell():
    subprocess.run(["shellcheck", "--shell=sh", ROOT / "files/user-data.sh"], check=True)
