"""An environment of a branch beside `lab`, as docs/branches.md has it: served, shut off, and gone in time."""

import shlex
from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from corral.cloudformation import expiry, stacks
from lab.hosts import present
from tests.lab.fleet import guarded, routed, run, wait_for
from tests.lab.visitors import Visitors


def status(fleet):
    """What the site of an environment answers to somebody who asks for its rooms."""
    ask = ["curl", "-sk", "-o", "/dev/null", "--max-time", "10", "-w", "%{http_code}"]
    there = f"{fleet.settings.domain}:{fleet.ports()[443]}"
    return run(*ask, "--resolve", f"{there}:127.0.0.1", f"https://{there}/api/rooms", check=False).stdout


def test_both_are_served_each_by_its_own_servers(fleet, branch):
    assert status(fleet) == status(branch) == "200"
    hosts = [{each.instance_id for each in one.members()} for one in (fleet, branch)]
    assert [len(some) for some in hosts] == [5, 4]
    assert not hosts[0] & hosts[1]
    assert set(branch.health()) == {each.instance_id for each in branch.members("app")}
    assert branch.converge().changed == {}


def things(fleet):
    """What an environment's hosts ask AWS for, in the words of the script by which they do."""
    settings = fleet.settings
    bucket, environment = settings.releases_bucket, settings.environment
    (zone,) = fleet.client("route53").list_hosted_zones_by_name(DNSName=settings.private_zone, MaxItems="1")[
        "HostedZones"
    ]
    (database,), app = fleet.members("db"), fleet.members("app")[0]
    named = f"{zone['Id'].rpartition('/')[2]} {settings.host_name('db')}"
    return {
        "pointer": f"s3-get {bucket} environments/{environment}/app/current.json -",
        "password": f"ssm-get {settings.parameter('app', 'database-password')}",
        "name": f"route53-upsert {named} {database.private_address}",
        "hook": f"autoscaling-complete {settings.role_name('app')} terminate {app.instance_id} CONTINUE",
        "volume": f"ec2-attach-volume {database.data_volume} {database.instance_id} /dev/sdf",
    }


# Says of each thing what came of asking for it, in one line; nothing when there is nothing to complain of.
ASK = """
export CORRAL_ATTACH_SECONDS=0
for words; do
    said=$(/usr/local/lib/corral/aws $words 2>&1 >/dev/null | tail -n 1)
    echo "$said"
done
"""
DENIED = ("AccessDenied", "UnauthorizedOperation")


@pytest.mark.parametrize(
    ("role", "asked"),
    [
        ("app", ["pointer", "password", "hook"]),
        ("db", ["password", "name", "volume"]),
        ("release", ["pointer"]),
    ],
)
def test_a_host_has_things_of_its_own_environment_and_none_of_the_other(fleet, branch, role, asked):
    """It asks with its own role's credentials."""

    def said(one, other):
        known = things(other)
        words = shlex.join(["sh", "-euc", ASK, "sh", *(known[thing] for thing in asked)])
        return one.shell(one.members(role)[0], words).stdout.splitlines()

    for one, other in ((fleet, branch), (branch, fleet)):
        # A volume that it has already it does not get again, and there is no end to agree to.
        assert [line for line in said(one, one) if line and "VolumeInUse" not in line] == []
        refused = said(one, other)
        assert len(refused) == len(asked)
        assert [line for line in refused if not any(code in line for code in DENIED)] == []


# Asks S3 with the role's own credentials; prints the status. $1: bucket, key, query; then options of curl.
S3 = """
what=$1 metadata=http://169.254.169.254/latest
shift
token=$(curl -fsS -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' $metadata/api/token)
imds() { curl -fsS -H "X-aws-ec2-metadata-token: $token" "$metadata/meta-data/$1"; }
given=$(imds iam/security-credentials/$(imds iam/security-credentials/))
of() { printf %s "$given" | jq -r ".$1"; }
region=$(imds placement/region)
curl -s -o /dev/null -w '%{http_code}' --aws-sigv4 "aws:amz:$region:s3" \
    --user "$(of AccessKeyId):$(of SecretAccessKey)" -H "x-amz-security-token: $(of Token)" \
    -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' "$@" "https://s3.$region.amazonaws.com/$what"
"""


@pytest.mark.parametrize(
    "what", ["environments/{}/by-the-other -T /dev/null", "?list-type=2&prefix=releases%2F -X GET"]
)
def test_a_release_server_writes_and_lists_its_own_bucket_alone(fleet, branch, what):
    def asks(one, other):
        asked = f"{other.settings.releases_bucket}/{what.format(other.settings.environment)}".split()
        return one.shell(one.members("release")[0], shlex.join(["sh", "-euc", S3, "sh", *asked])).stdout

    assert (asks(fleet, fleet), asks(branch, branch)) == ("200", "200")
    assert (asks(fleet, branch), asks(branch, fleet)) == ("403", "403")


@pytest.mark.parametrize(
    ("role", "other", "port"), [("release", "app", 22), ("release", "db", 22), ("app", "db", 5432)]
)
def test_a_host_connects_to_its_own_environment_and_to_none_of_the_other(fleet, branch, role, other, port):
    def connects(one, another):
        address = another.members(other)[0].private_address
        words = f"timeout 2 bash -c 'exec 3<>/dev/tcp/{address}/{port}'"
        return one.shell(one.members(role)[0], words, check=False).returncode == 0

    assert (connects(fleet, fleet), connects(branch, branch)) == (True, True)
    assert (connects(fleet, branch), connects(branch, fleet)) == (False, False)


def expire(branch):
    """Let the environment's day be yesterday, as if it had been made so long ago."""
    stack = stacks.require(branch.settings)
    day = (expiry.today() - timedelta(days=1)).isoformat()
    kept = [{"ParameterKey": key, "UsePreviousValue": True} for key in stack.parameters if key != "Expires"]
    cloudformation = branch.client("cloudformation")
    cloudformation.update_stack(
        StackName=stack.name,
        UsePreviousTemplate=True,
        Parameters=[*kept, {"ParameterKey": "Expires", "ParameterValue": day}],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    cloudformation.get_waiter("stack_update_complete").wait(StackName=stack.name, WaiterConfig={"Delay": 1})
    return day


def missing(ask, **what):
    """Whether AWS says that there is no such thing."""
    try:
        ask(**what)
    except ClientError as error:
        return "NotFound" in error.response["Error"]["Code"] or error.response["Error"]["Code"] == "404"
    return False


def test_when_its_day_is_over_it_goes_and_the_other_serves_on(fleet, branch):
    settings, members = branch.settings, branch.members()
    volumes = [each.data_volume for each in members if each.data_volume]
    assert len(volumes) == 3
    expired = ("corral", "stack", "expired", "-e", "lab")
    assert "No environment of chat has expired" in run(*expired).stdout
    day = expire(branch)
    (row,) = [line.split() for line in run(*expired).stdout.splitlines() if branch.settings.reference in line]
    assert row[:3] == [branch.settings.reference, settings.domain, day]

    visitor = Visitors(fleet)
    visitor.start()
    said = run(*expired, "--delete", "-y").stdout
    assert f"deleted with its data: ReleasesBucket  AWS::S3::Bucket {settings.releases_bucket}" in said
    assert f"Stack {settings.stack_name} is deleted." in said
    assert "stays" not in said

    ec2, ssm = fleet.client("ec2"), fleet.client("ssm")
    assert stacks.find(settings) is None
    assert missing(fleet.client("s3").head_bucket, Bucket=settings.releases_bucket)
    assert all(missing(ec2.describe_volumes, VolumeIds=[volume]) for volume in volumes)
    assert ssm.get_parameters_by_path(Path=settings.parameter_prefix, Recursive=True)["Parameters"] == []
    zones = fleet.client("route53").list_hosted_zones()["HostedZones"]
    assert [zone["Name"] for zone in zones if settings.environment in zone["Name"]] == []
    cidr = settings.network.cidr
    wait_for("its network is gone", lambda: cidr not in guarded() | routed(), 60)
    assert not {each.instance_id for each in members} & set(present())
    app = fleet.members("app")[0]
    asked = fleet.shell(app, f"getent ahostsv4 {settings.domain}", check=False)
    assert (asked.returncode, asked.stdout) == (2, "")
    assert status(branch) != "200"

    visitor.done.set()
    visitor.join()
    assert visitor.failed == []
    assert sum(visitor.seen.values()) > 20
    assert fleet.converge().changed == {}
