"""The template, without AWS: compared whole, judged by cfn-lint, its policies asked what they allow."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from moto.iam.access_control import IAMPolicy, PermissionResult

from corral.errors import CorralError
from corral.settings import ROOT, known, load
from corral.stack import render, roles, template

GOLDEN = Path(__file__).parent / "golden"


def resources(name, kind=None):
    everything = json.loads(render(load(name)))["Resources"]
    return {title: each for title, each in everything.items() if kind in (None, each["Type"])}


@pytest.mark.parametrize("name", known())
def test_the_whole_template_is_as_expected(name):
    golden = GOLDEN / f"{name}.json"
    remedy = (
        f"if that is meant: corral stack render -e {name} > {golden.relative_to(ROOT)}, and read the diff"
    )
    assert render(load(name)) == golden.read_text(), remedy


def test_cfn_lint_finds_nothing():
    files = [str(GOLDEN / f"{name}.json") for name in known()]
    lint = subprocess.run([Path(sys.executable).parent / "cfn-lint", *files], capture_output=True, text=True)
    assert (lint.returncode, lint.stdout) == (0, ""), lint.stdout


@pytest.mark.parametrize("name", known())
def test_the_template_fits_into_a_request(name):
    assert len(template.compact(render(load(name))).encode()) <= 51_200


def test_a_template_that_is_too_big_is_refused_with_the_way_out(monkeypatch):
    monkeypatch.setattr(template, "MOST_BYTES", 10_000)
    with pytest.raises(CorralError, match=r"CloudFormation takes 10000\."):
        render(load("lab"))


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
RULES = {
    ("balancer", "Ingress", 80, 80, WORLD),
    ("balancer", "Ingress", 443, 443, WORLD),
    ("balancer", "Egress", 80, 80, "app"),
    ("balancer", "Egress", 81, 81, "app"),
    ("app", "Ingress", 80, 80, "balancer"),
    ("app", "Ingress", 81, 81, "balancer"),
    ("app", "Egress", 5432, 5432, "db"),
    ("app", "Egress", 80, 80, WORLD),
    ("app", "Egress", 443, 443, WORLD),
    ("db", "Ingress", 5432, 5432, "app"),
    ("db", "Egress", 80, 80, WORLD),
    ("db", "Egress", 443, 443, WORLD),
}


@pytest.mark.parametrize("name", known())
def test_all_open_ports_are_these(name):
    operators = {
        (role, "Ingress", 22, 22, cidr)
        for role in ("app", "db")
        for cidr in load(name).network.operator_cidrs
    }
    assert rules(name) == RULES | operators


def test_nobody_comes_into_the_live_environment_by_ssh():
    assert not [rule for rule in rules("live") if rule[2] <= 22 <= rule[3]]


# Whom each role may do what to: in the live environment, account 111122223333.
BUCKET = "arn:aws:s3:::chat-live-releases-111122223333"
PARAMETER = "arn:aws:ssm:eu-west-1:111122223333:parameter/corral"
ZONE = "arn:aws:route53:::hostedzone"
MATRIX = [
    # action, resource, app may, db may
    ("s3:GetObject", f"{BUCKET}/releases/app/1.2.3/app.tar.zst", True, False),
    ("s3:GetObject", f"{BUCKET}/runtimes/node-24-linux-x64.tar.zst", True, False),
    ("s3:GetObject", f"{BUCKET}/environments/live/app/current.json", True, False),
    ("s3:GetObject", f"{BUCKET}/environments/test/app/current.json", False, False),
    ("s3:GetObject", f"{BUCKET}/backups/today", False, False),
    ("s3:GetObject", "arn:aws:s3:::chat-test-releases-111122223333/releases/app/1/app.tar.zst", False, False),
    ("s3:PutObject", f"{BUCKET}/releases/app/1.2.3/app.tar.zst", False, False),
    ("s3:PutObject", f"{BUCKET}/environments/live/app/current.json", False, False),
    ("s3:DeleteObject", f"{BUCKET}/releases/app/1.2.3/app.tar.zst", False, False),
    ("s3:ListBucket", BUCKET, False, False),
    ("ssm:GetParameter", f"{PARAMETER}/live/app/database-password", True, True),
    ("ssm:GetParameter", f"{PARAMETER}/live/app/session-key", True, False),
    ("ssm:GetParameter", f"{PARAMETER}/live/db/backup-key", False, True),
    ("ssm:GetParameter", f"{PARAMETER}/test/app/database-password", False, False),
    ("ssm:PutParameter", f"{PARAMETER}/live/app/database-password", False, False),
    ("ssm:GetParametersByPath", f"{PARAMETER}/live/app/", False, False),
    ("route53:ChangeResourceRecordSets", f"{ZONE}/ZPRIVATE", False, True),
    ("route53:ChangeResourceRecordSets", f"{ZONE}/Z0123456789ABCDEFGHIJ", False, False),
    ("route53:ListResourceRecordSets", f"{ZONE}/ZPRIVATE", False, False),
    ("ec2:DescribeInstances", "*", False, False),
    ("ec2:TerminateInstances", "*", False, False),
    ("autoscaling:SetDesiredCapacity", "*", False, False),
    ("iam:PassRole", "arn:aws:iam::111122223333:role/chat-live-db", False, False),
    ("sts:AssumeRole", "arn:aws:iam::111122223333:role/chat-live-db", False, False),
]


def allows(statements, action, resource):
    """What moto says of the policy: it judges actions and resources as IAM does, conditions not."""
    text = json.dumps({"Version": "2012-10-17", "Statement": statements})
    text = text.replace(
        '{"Fn::Sub": ["arn:aws:route53:::hostedzone/${Zone}", {"Zone": "ZPRIVATE"}]}', f'"{ZONE}/ZPRIVATE"'
    )
    assert "Fn::" not in text
    return IAMPolicy(text).is_action_permitted(action, resource) == PermissionResult.PERMITTED


@pytest.mark.parametrize(
    ("action", "resource", "app_may", "db_may"), MATRIX, ids=[f"{m[0]} {m[1][-30:]}" for m in MATRIX]
)
def test_a_role_may_do_what_it_needs_and_nothing_else(action, resource, app_may, db_may):
    live = load("live")
    db = json.loads(json.dumps(roles.db(live, "ZPRIVATE"), default=lambda helper: helper.to_dict()))
    assert allows(roles.app(live), action, resource) is app_may
    assert allows(db, action, resource) is db_may


def test_the_database_server_may_change_its_own_name_only():
    (statement,) = (each for each in roles.db(load("live"), "Z") if each["Sid"] == "NameItself")
    assert statement["Condition"] == {
        "ForAllValues:StringEquals": {
            "route53:ChangeResourceRecordSetsNormalizedRecordNames": ["db.live.internal"],
            "route53:ChangeResourceRecordSetsRecordTypes": ["A"],
            "route53:ChangeResourceRecordSetsActions": ["UPSERT"],
        }
    }


@pytest.mark.parametrize("name", known())
def test_secrets_are_decrypted_by_way_of_parameter_store_only(name):
    for role in (roles.app(load(name)), roles.db(load(name), "Z")):
        (statement,) = (each for each in role if each["Action"] == "kms:Decrypt")
        assert statement["Condition"]["StringEquals"] == {"kms:ViaService": "ssm.eu-west-1.amazonaws.com"}


@pytest.mark.parametrize("name", known())
def test_buckets_stay_when_the_stack_goes(name):
    buckets = resources(name, "AWS::S3::Bucket")
    assert buckets
    for bucket in buckets.values():
        assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")


def test_user_data_is_the_same_for_every_role_and_environment_and_fits():
    script = (ROOT / "files/user-data.sh").read_text()
    # EC2 takes 16 KB before base64.
    assert len(script.encode()) < 16 * 1024
    for name in known():
        launches = resources(name, "AWS::EC2::LaunchTemplate").values()
        assert len(launches) == 2
        for launch in launches:
            assert launch["Properties"]["LaunchTemplateData"]["UserData"] == {"Fn::Base64": script}


@pytest.mark.parametrize("name", known())
def test_the_volume_of_the_database_server_outlives_it(name):
    launches = resources(name, "AWS::EC2::LaunchTemplate")
    goes = {
        role: launch["Properties"]["LaunchTemplateData"]["BlockDeviceMappings"][0]["Ebs"][
            "DeleteOnTermination"
        ]
        for role, launch in launches.items()
    }
    assert goes == {"AppLaunch": True, "DbLaunch": False}


def test_user_data_is_sound_shell():
    subprocess.run(["shellcheck", "--shell=sh", ROOT / "files/user-data.sh"], check=True)
