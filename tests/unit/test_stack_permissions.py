"""What each role may do on AWS: its policies, as the template has them, asked about many things at once."""

import json

import pytest

from corral.settings import known, load
from corral.stack import policies
from lab.cloud.policies import allowed, denied
from tests.unit.stacks import properties

ROLES = ("app", "db", "elk", "release")
# What references come to.
MADE = {
    "PrivateZone": "ZPRIVATE",
    "DbVolume": "vol-0db",
    "ElkVolume": "vol-0e1c",
    "ReleaseVolume": "vol-0ae1",
    "ReleasesBucket.Arn": "arn:aws:s3:::chat-live-releases-111122223333",
}
WHERE = "eu-west-1:111122223333"
BUCKET = "arn:aws:s3:::chat-live-releases-111122223333"
TEST_BUCKET = "arn:aws:s3:::chat-test-releases-111122223333"
CERTIFICATES = f"{BUCKET}/certificates/live"
BACKUPS = "arn:aws:s3:::chat-live-backups-111122223333"
PARAMETER = f"arn:aws:ssm:{WHERE}:parameter/corral"
ZONE = "arn:aws:route53:::hostedzone"
VOLUME = f"arn:aws:ec2:{WHERE}:volume"
INSTANCE = f"arn:aws:ec2:{WHERE}:instance/i-0123456789abcdef0"
KEY = f"arn:aws:kms:{WHERE}:key/0f0e"
STACK = f"arn:aws:cloudformation:{WHERE}:stack"
# How S3 is asked to write: a whole object, only if none is there; a whole one; a part of one.
ONCE = {"s3:objectcreationoperation": ["true"], "s3:if-none-match": ["*"]}
AGAIN = {"s3:objectcreationoperation": ["true"]}
PART = {"s3:objectcreationoperation": ["false"]}
OWN = {"aws:userid": ["AROAMINE:i-0123456789abcdef0"]}
BY_SSM = {"kms:viaservice": ["ssm.eu-west-1.amazonaws.com"], "kms:resourcealiases": ["alias/aws/ssm"]}


def group(role, environment="live"):
    return f"arn:aws:autoscaling:{WHERE}:autoScalingGroup:1-2:autoScalingGroupName/chat-{environment}-{role}"


def record(name, kind="A", action="UPSERT"):
    prefix = "route53:changeresourcerecordsets"
    return {
        f"{prefix}normalizedrecordnames": [name],
        f"{prefix}recordtypes": [kind],
        f"{prefix}actions": [action],
    }


def host(role, environment="live", project="chat"):
    tags = {"project": project, "environment": environment, "role": role}
    return {f"aws:resourcetag/corral:{key}": [value] for key, value in tags.items()}


# What is asked, in which circumstances, and which roles may do it in the live environment.
MATRIX = [
    # Releases, runtimes and pointers.
    ("s3:GetObject", f"{BUCKET}/releases/app/1.2.3/app.tar.zst", {}, {"app", "release"}),
    ("s3:GetObject", f"{BUCKET}/releases/app/1.2.3/manifest.json", {}, {"app", "release"}),
    ("s3:GetObject", f"{BUCKET}/releases/billing/1/billing.tar.zst", {}, {"release"}),
    ("s3:GetObject", f"{BUCKET}/runtimes/node-24-linux-x64.tar.zst", {}, {"app", "release"}),
    ("s3:GetObject", f"{BUCKET}/environments/live/app/current.json", {}, {"app", "release"}),
    ("s3:GetObject", f"{BUCKET}/environments/test/app/current.json", {}, set()),
    ("s3:GetObject", f"{TEST_BUCKET}/releases/app/1.2.3/app.tar.zst", {}, set()),
    ("s3:PutObject", f"{BUCKET}/releases/app/1.2.4/app.tar.zst", ONCE, {"release"}),
    ("s3:PutObject", f"{BUCKET}/releases/app/1.2.4/app.tar.zst", AGAIN, set()),
    ("s3:PutObject", f"{BUCKET}/releases/app/1.2.4/app.tar.zst", AGAIN | {"s3:if-match": ["e"]}, set()),
    ("s3:PutObject", f"{BUCKET}/releases/app/1.2.4/app.tar.zst", PART, {"release"}),
    ("s3:PutObject", f"{BUCKET}/releases/billing/1/manifest.json", ONCE, {"release"}),
    ("s3:PutObject", f"{BUCKET}/runtimes/node-24-linux-x64.tar.zst", ONCE, {"release"}),
    ("s3:PutObject", f"{BUCKET}/runtimes/node-24-linux-x64.tar.zst", AGAIN, set()),
    ("s3:PutObject", f"{TEST_BUCKET}/releases/app/1.2.4/app.tar.zst", ONCE, set()),
    ("s3:PutObject", f"{BUCKET}/environments/live/app/current.json", AGAIN, {"release"}),
    ("s3:PutObject", f"{BUCKET}/environments/live/app/lock.json", {}, {"release"}),
    ("s3:PutObject", f"{BUCKET}/environments/test/app/current.json", {}, set()),
    # Rollouts: their record, and the mark of a release that no server may take.
    ("s3:PutObject", f"{BUCKET}/environments/live/app/rollouts/2026-11-26-1.json", ONCE, {"release"}),
    ("s3:PutObject", f"{BUCKET}/releases/app/1.2.4/bad.json", ONCE, {"release"}),
    ("s3:PutObject", f"{BUCKET}/releases/app/1.2.4/bad.json", AGAIN, set()),
    ("s3:GetObject", f"{BUCKET}/releases/app/1.2.4/bad.json", {}, {"app", "release"}),
    ("s3:ListBucket", BUCKET, {"s3:prefix": ["environments/live/app/rollouts/"]}, {"release"}),
    ("s3:ListBucket", BUCKET, {"s3:prefix": ["reports/live/"]}, {"release"}),
    ("s3:PutObject", f"{BUCKET}/elsewhere", {}, set()),
    ("s3:DeleteObject", f"{BUCKET}/releases/app/1.2.3/app.tar.zst", {}, set()),
    ("s3:DeleteObjectVersion", f"{BUCKET}/releases/app/1.2.3/app.tar.zst", {}, set()),
    ("s3:ListBucket", BUCKET, {"s3:prefix": ["releases/app/"]}, {"release"}),
    ("s3:ListBucket", BUCKET, {"s3:prefix": [""]}, {"release"}),
    ("s3:ListBucket", BUCKET, {}, {"release"}),
    ("s3:ListBucket", TEST_BUCKET, {"s3:prefix": ["releases/app/"]}, set()),
    ("s3:PutBucketPolicy", BUCKET, {}, set()),
    ("s3:PutLifecycleConfiguration", BUCKET, {}, set()),
    # Backups: nobody has a way to them yet, the release server least of all.
    ("s3:GetObject", f"{BACKUPS}/db/today.dump", {}, set()),
    ("s3:GetObject", f"{BUCKET}/backups/db/today.dump", {}, set()),
    ("s3:ListBucket", BACKUPS, {"s3:prefix": ["db/"]}, set()),
    # Bundles and reports.
    ("s3:GetObject", f"{BUCKET}/bundles/0123abcd.tar.zst", {}, set(ROLES)),
    ("s3:GetObject", f"{BUCKET}/environments/live/bundle.json", {}, set(ROLES)),
    ("s3:GetObject", f"{BUCKET}/environments/test/bundle.json", {}, set()),
    ("s3:PutObject", f"{BUCKET}/bundles/0123abcd.tar.zst", ONCE, {"release"}),
    ("s3:PutObject", f"{BUCKET}/bundles/0123abcd.tar.zst", AGAIN, set()),
    ("s3:PutObject", f"{BUCKET}/environments/live/bundle.json", AGAIN, {"release"}),
    ("s3:PutObject", f"{BUCKET}/reports/live/AROAMINE:i-0123456789abcdef0.json", OWN | AGAIN, set(ROLES)),
    ("s3:PutObject", f"{BUCKET}/reports/live/AROAMINE:i-0fedcba9876543210.json", OWN, set()),
    ("s3:PutObject", f"{BUCKET}/reports/test/AROAMINE:i-0123456789abcdef0.json", OWN, set()),
    ("s3:GetObject", f"{BUCKET}/reports/live/AROAMINE:i-0123456789abcdef0.json", OWN, {"release"}),
    # Certificates: a host asks for its own, and gets its own; the log server signs, and nobody else.
    ("s3:PutObject", f"{CERTIFICATES}/requests/AROAMINE:i-0123456789abcdef0.csr", OWN, set(ROLES)),
    ("s3:PutObject", f"{CERTIFICATES}/requests/AROAMINE:i-0fedcba9876543210.csr", OWN, set()),
    ("s3:GetObject", f"{CERTIFICATES}/issued/AROAMINE:i-0123456789abcdef0.pem", OWN, set(ROLES)),
    ("s3:GetObject", f"{CERTIFICATES}/issued/AROAMINE:i-0fedcba9876543210.pem", OWN, set()),
    ("s3:GetObject", f"{CERTIFICATES}/requests/AROAMINE:i-0fedcba9876543210.csr", OWN, {"elk"}),
    ("s3:PutObject", f"{CERTIFICATES}/issued/AROAMINE:i-0fedcba9876543210.pem", OWN, {"elk"}),
    ("s3:GetObject", f"{BUCKET}/environments/live/ca.pem", {}, set(ROLES)),
    ("s3:PutObject", f"{BUCKET}/environments/live/ca.pem", AGAIN, {"elk", "release"}),
    ("s3:ListBucket", BUCKET, {"s3:prefix": ["certificates/live/"]}, {"elk", "release"}),
    ("s3:ListBucket", BUCKET, {"s3:prefix": ["certificates/test/"]}, {"release"}),
    # Who was heard of lately.
    ("s3:PutObject", f"{BUCKET}/logs/live/seen.json", AGAIN, {"elk"}),
    # Elasticsearch's snapshots.
    ("s3:PutObject", f"{BUCKET}/snapshots/live/indices/0", PART, {"elk"}),
    ("s3:DeleteObject", f"{BUCKET}/snapshots/live/index-1", {}, {"elk"}),
    ("s3:DeleteObject", f"{BUCKET}/snapshots/test/index-1", {}, set()),
    ("s3:DeleteObject", f"{BUCKET}/releases/app/1/manifest.json", {}, set()),
    ("s3:ListBucket", BUCKET, {"s3:prefix": ["snapshots/live/"]}, {"elk", "release"}),
    ("s3:PutObject", f"{BUCKET}/logs/test/seen.json", AGAIN, set()),
    ("s3:GetObject", f"{BUCKET}/logs/live/seen.json", {}, {"release"}),
    # Secrets.
    ("ssm:GetParameter", f"{PARAMETER}/live/elk/ca-key", {}, {"elk"}),
    ("ssm:GetParameter", f"{PARAMETER}/live/elk/reader-password", {}, {"elk", "release"}),
    ("ssm:GetParameter", f"{PARAMETER}/live/app/database-password", {}, {"app", "db"}),
    ("ssm:GetParameter", f"{PARAMETER}/live/app/session-key", {}, {"app"}),
    ("ssm:GetParameter", f"{PARAMETER}/live/db/backup-key", {}, {"db"}),
    ("ssm:GetParameter", f"{PARAMETER}/live/elk/elastic-password", {}, {"elk"}),
    ("ssm:GetParameter", f"{PARAMETER}/live/release/deploy-key", {}, {"release"}),
    ("ssm:GetParameter", f"{PARAMETER}/live/image", {}, set()),
    ("ssm:GetParameter", f"{PARAMETER}/test/app/database-password", {}, set()),
    ("ssm:PutParameter", f"{PARAMETER}/live/app/database-password", {}, set()),
    ("ssm:GetParametersByPath", f"{PARAMETER}/live/app/", {}, set()),
    ("kms:Decrypt", KEY, BY_SSM, set(ROLES)),
    ("kms:Decrypt", KEY, BY_SSM | {"kms:viaservice": ["s3.eu-west-1.amazonaws.com"]}, set()),
    ("kms:Decrypt", KEY, BY_SSM | {"kms:resourcealiases": ["alias/payroll"]}, set()),
    ("kms:Decrypt", KEY, {}, set()),
    # Names.
    ("route53:ChangeResourceRecordSets", f"{ZONE}/ZPRIVATE", record("db.live.internal"), {"db"}),
    ("route53:ChangeResourceRecordSets", f"{ZONE}/ZPRIVATE", record("elk.live.internal"), {"elk"}),
    ("route53:ChangeResourceRecordSets", f"{ZONE}/ZPRIVATE", record("release.live.internal"), {"release"}),
    ("route53:ChangeResourceRecordSets", f"{ZONE}/ZPRIVATE", record("other.live.internal"), set()),
    ("route53:ChangeResourceRecordSets", f"{ZONE}/ZPRIVATE", record("db.live.internal", "CNAME"), set()),
    (
        "route53:ChangeResourceRecordSets",
        f"{ZONE}/ZPRIVATE",
        record("db.live.internal", action="DELETE"),
        set(),
    ),
    ("route53:ChangeResourceRecordSets", f"{ZONE}/Z0123456789ABCDEFGHIJ", record("db.live.internal"), set()),
    ("route53:ListResourceRecordSets", f"{ZONE}/ZPRIVATE", {}, set()),
    ("route53:DeleteHostedZone", f"{ZONE}/ZPRIVATE", {}, set()),
    # Volumes: AttachVolume asks about both ends.
    ("ec2:AttachVolume", f"{VOLUME}/vol-0db", host("db"), {"db"}),
    ("ec2:AttachVolume", f"{VOLUME}/vol-0e1c", host("elk"), {"elk"}),
    ("ec2:AttachVolume", f"{VOLUME}/vol-0ae1", host("release"), {"release"}),
    ("ec2:AttachVolume", f"{VOLUME}/vol-0other", host("db"), set()),
    ("ec2:AttachVolume", INSTANCE, host("db"), {"db"}),
    ("ec2:AttachVolume", INSTANCE, host("db", environment="test"), set()),
    ("ec2:AttachVolume", INSTANCE, host("db", project="other"), set()),
    ("ec2:AttachVolume", INSTANCE, host("app"), set()),
    ("ec2:DetachVolume", f"{VOLUME}/vol-0db", host("db"), set()),
    ("ec2:DeleteVolume", f"{VOLUME}/vol-0db", host("db"), set()),
    ("ec2:CreateSnapshot", f"{VOLUME}/vol-0db", host("db"), set()),
    # Lifecycle hooks, of one's own group only.
    *[("autoscaling:CompleteLifecycleAction", group(role), {}, {role}) for role in ROLES],
    ("autoscaling:CompleteLifecycleAction", group("app", "test"), {}, set()),
    ("autoscaling:RecordLifecycleActionHeartbeat", group("app"), {}, {"app"}),
    ("autoscaling:SetDesiredCapacity", group("app"), {}, set()),
    ("autoscaling:TerminateInstanceInAutoScalingGroup", group("app"), {}, set()),
    ("autoscaling:UpdateAutoScalingGroup", group("app"), {}, set()),
    # The fleet.
    ("cloudformation:DescribeStackResources", f"{STACK}/chat-live/0f0e", {}, {"release"}),
    ("cloudformation:DescribeStackResources", f"{STACK}/chat-test/0f0e", {}, set()),
    ("cloudformation:UpdateStack", f"{STACK}/chat-live/0f0e", {}, set()),
    ("cloudformation:DeleteStack", f"{STACK}/chat-live/0f0e", {}, set()),
    ("autoscaling:DescribeAutoScalingGroups", "*", {}, {"release"}),
    ("ec2:DescribeInstances", "*", {}, {"release"}),
    ("elasticloadbalancing:DescribeTargetHealth", "*", {}, {"release"}),
    ("elasticloadbalancing:DeregisterTargets", "*", {}, set()),
    ("ec2:TerminateInstances", INSTANCE, host("app"), set()),
    ("ec2:RunInstances", "*", {}, set()),
    # Nobody gets more than he has.
    ("iam:PassRole", "arn:aws:iam::111122223333:role/chat-live-db", {}, set()),
    ("iam:PutRolePolicy", "arn:aws:iam::111122223333:role/chat-live-app", {}, set()),
    ("iam:AttachRolePolicy", "arn:aws:iam::111122223333:role/chat-live-app", {}, set()),
    ("iam:CreateUser", "arn:aws:iam::111122223333:user/x", {}, set()),
    ("iam:CreatePolicyVersion", "arn:aws:iam::111122223333:policy/boundary", {}, set()),
    ("iam:DeleteRolePermissionsBoundary", "arn:aws:iam::111122223333:role/chat-live-app", {}, set()),
    ("sts:AssumeRole", "arn:aws:iam::111122223333:role/chat-live-db", {}, set()),
]


def made(value):
    """A value of the template with its references as they come to be."""
    if isinstance(value, list):
        return [made(each) for each in value]
    if not isinstance(value, dict):
        return value
    if "Ref" in value:
        return MADE[value["Ref"]]
    if "Fn::GetAtt" in value:
        return MADE[".".join(value["Fn::GetAtt"])]
    if "Fn::Sub" in value:
        text, names = value["Fn::Sub"]
        for name, each in names.items():
            text = text.replace(f"${{{name}}}", made(each))
        return text
    return {key: made(each) for key, each in value.items()}


def documents(name):
    """The policies of each role of an environment, as IAM gets them."""
    return {
        title.removesuffix("Role").lower(): [made(policy["PolicyDocument"]) for policy in role["Policies"]]
        for title, role in properties(name, "AWS::IAM::Role").items()
    }


def statements(name):
    return [
        (role, statement)
        for role, policies_of_role in documents(name).items()
        for document in policies_of_role
        for statement in document["Statement"]
    ]


def test_the_matrix_is_wide_enough():
    assert len(MATRIX) >= 40
    assert len({(action, resource, json.dumps(asked)) for action, resource, asked, _ in MATRIX}) == len(
        MATRIX
    )


@pytest.mark.parametrize(
    ("action", "resource", "asked", "may"),
    MATRIX,
    ids=[f"{m[0]} {m[1][-40:]} {n}" for n, m in enumerate(MATRIX)],
)
def test_a_role_may_do_what_it_needs_and_nothing_else(action, resource, asked, may):
    found = {role for role, held in documents("live").items() if allowed(held, action, resource, asked)}
    bucket = made(properties("live", "AWS::S3::BucketPolicy")["ReleasesBucketPolicy"]["PolicyDocument"])
    assert (set() if denied([bucket], action, resource, asked) else found) == may


@pytest.mark.parametrize("name", known())
def test_each_role_has_one_inline_policy_and_nothing_of_amazons(name):
    roles = properties(name, "AWS::IAM::Role")
    assert set(roles) == {"AppRole", "DbRole", "ElkRole", "ReleaseRole"}
    for role in roles.values():
        assert len(role["Policies"]) == 1
        assert "ManagedPolicyArns" not in role
        (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Principal"] == {"Service": "ec2.amazonaws.com"}
        # CloudFormation's and IAM's bound for all inline policies of a role, without white space.
        text = json.dumps([policy["PolicyDocument"] for policy in role["Policies"]], separators=(",", ":"))
        assert len(text) < 10_240


@pytest.mark.parametrize("name", known())
def test_no_action_has_a_star_and_no_resource_is_one_but_where_aws_has_no_finer(name):
    for role, statement in statements(name):
        assert statement["Effect"] == "Allow"
        assert not [action for action in statement["Action"] if "*" in action], role
        if "*" in statement["Resource"]:
            assert statement["Resource"] == ["*"]
            assert set(statement["Action"]) <= set(policies.WITHOUT_RESOURCE), role


@pytest.mark.parametrize("name", known())
def test_no_role_may_change_iam_or_take_another_role(name):
    services = {
        action.partition(":")[0] for _, statement in statements(name) for action in statement["Action"]
    }
    assert not services & {"iam", "sts", "organizations"}
    assert services == {
        "s3",
        "ssm",
        "kms",
        "autoscaling",
        "ec2",
        "route53",
        "cloudformation",
        "elasticloadbalancing",
    }


def test_a_permissions_boundary_is_on_every_role_where_it_is_set():
    boundary = "arn:aws:iam::111122223333:policy/boundary"
    assert not [
        role for role in properties("live", "AWS::IAM::Role").values() if "PermissionsBoundary" in role
    ]
    bounded = rendered_with(permissions_boundary=boundary)
    roles = [each["Properties"] for each in bounded.values() if each["Type"] == "AWS::IAM::Role"]
    assert [role["PermissionsBoundary"] for role in roles] == [boundary] * 4


def rendered_with(**changes):
    from corral.stack import render

    return json.loads(render(load("live").model_copy(update=changes)))["Resources"]


def test_two_environments_have_nothing_in_common():
    """No resource of a policy of one names what belongs to the other, in the same account."""
    for mine, other in (("live", "test"), ("test", "live")):
        text = json.dumps([statement for _, statement in statements(mine)])
        assert load(mine).account == load(other).account
        assert f"-{other}" not in text
        assert f"/{other}/" not in text
        assert f"{other}.internal" not in text


# What live's own things are called in environment test.
TESTS = {
    "chat-live": "chat-test",
    "/live/": "/test/",
    "live.internal": "test.internal",
    "ZPRIVATE": "ZTEST",
    "volume/vol-0": "volume/vol-1",
}
# What is the account's own, whatever the environment: lists of everything, and the key of Parameter Store.
SHARED = {*policies.WITHOUT_RESOURCE, "kms:Decrypt"}


def of_test(text):
    for lives, tests in TESTS.items():
        text = text.replace(lives, tests)
    return "test" if text == "live" else text


@pytest.mark.parametrize(
    ("action", "resource", "asked"),
    [row[:3] for row in MATRIX if row[3] and row[0] not in SHARED],
    ids=[f"{row[0]} {n}" for n, row in enumerate(MATRIX) if row[3] and row[0] not in SHARED],
)
def test_whatever_a_role_may_do_it_may_do_to_no_other_environment(action, resource, asked):
    there = {key: [of_test(value) for value in values] for key, values in asked.items()}
    assert (of_test(resource), there) != (resource, asked), "it is another environment's"
    assert not [
        role for role, held in documents("live").items() if allowed(held, action, of_test(resource), there)
    ]
