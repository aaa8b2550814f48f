"""Who may do what in the lab's API: the operator everything, a role what its policies say."""

import json
import threading

import pytest
from botocore.exceptions import ClientError

from tests.local.lab_cloud import cloud, prepared, sent, wait_for  # noqa: F401

BUCKET = "chat-lab-releases-123456789012"


class Account:
    """The lab's stack with something in it, and its roles."""

    def __init__(self, api):
        self.api = api
        stacks = api.client("cloudformation")
        iam = ["CAPABILITY_NAMED_IAM"]
        stacks.create_stack(StackName="chat-lab", Capabilities=iam, **sent(api, prepared(api)))
        wait_for(
            lambda: (
                stacks.describe_stacks(StackName="chat-lab")["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"
            )
        )
        self.s3, self.ssm = api.client("s3"), api.client("ssm")
        for key in ("releases/app/1/manifest.json", "environments/lab/app/current.json", "private/x"):
            self.s3.put_object(Bucket=BUCKET, Key=key, Body=b"content")
        for name in ("app/database-password", "db/other", "elsewhere"):
            self.ssm.put_parameter(Name=f"/corral/lab/{name}", Value="secret", Type="SecureString")
        zones = api.client("route53").list_hosted_zones()["HostedZones"]
        self.zones = {zone["Name"]: zone["Id"].rpartition("/")[2] for zone in zones}

    def credentials(self, role, **more):
        return self.api.client("sts").assume_role(
            RoleArn=f"arn:aws:iam::123456789012:role/chat-lab-{role}", RoleSessionName="i-0123", **more
        )["Credentials"]

    def as_role(self, service, role, **changed):
        keys = self.credentials(role)
        words = {
            "aws_access_key_id": keys["AccessKeyId"],
            "aws_secret_access_key": keys["SecretAccessKey"],
            "aws_session_token": keys["SessionToken"],
        } | changed
        return self.api.through_tls(service, **words)


@pytest.fixture(scope="module")
def account(cloud):
    return Account(cloud)


def refused(code):
    return pytest.raises(ClientError, match=code)


def test_an_app_server_reads_what_it_needs_and_nothing_else(account):
    s3 = account.as_role("s3", "app")
    for key in ("releases/app/1/manifest.json", "environments/lab/app/current.json"):
        assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"content"
    with refused("AccessDenied|403"):
        s3.get_object(Bucket=BUCKET, Key="private/x")
    with refused("AccessDenied|403"):
        s3.put_object(Bucket=BUCKET, Key="releases/app/1/manifest.json", Body=b"evil")
    with refused("AccessDenied|403"):
        s3.list_objects_v2(Bucket=BUCKET)
    with refused("AccessDenied|403"):
        s3.get_object(Bucket=BUCKET, Key="releases/app/2/missing.json")

    ssm = account.as_role("ssm", "app")
    found = ssm.get_parameter(Name="/corral/lab/app/database-password", WithDecryption=True)
    assert found["Parameter"]["Value"] == "secret"
    for name in ("/corral/lab/db/other", "/corral/lab/elsewhere"):
        with refused("AccessDeniedException"):
            ssm.get_parameter(Name=name, WithDecryption=True)
    with refused("AccessDeniedException"):
        ssm.put_parameter(Name="/corral/lab/app/database-password", Value="x", Overwrite=True)
    with refused("UnauthorizedOperation"):
        account.as_role("ec2", "app").describe_instances()
    with refused("AccessDenied"):
        account.as_role("autoscaling", "app").set_desired_capacity(
            AutoScalingGroupName="chat-lab-app", DesiredCapacity=6
        )
    arn = account.as_role("sts", "app").get_caller_identity()["Arn"]
    assert arn == "arn:aws:sts::123456789012:assumed-role/chat-lab-app/i-0123"


def test_the_database_server_names_itself_and_nobody_else(account):
    route53 = account.as_role("route53", "db")

    def change(name, kind="A", action="UPSERT", zone="lab.internal."):
        value = {"A": "10.42.16.9", "CNAME": "elsewhere.example"}[kind]
        record = {"Name": name, "Type": kind, "TTL": 10, "ResourceRecords": [{"Value": value}]}
        batch = {"Changes": [{"Action": action, "ResourceRecordSet": record}]}
        route53.change_resource_record_sets(HostedZoneId=account.zones[zone], ChangeBatch=batch)

    change("db.lab.internal")
    change("DB.lab.internal.")
    for words in (
        {"name": "app.lab.internal"},
        {"name": "db.lab.internal", "kind": "CNAME"},
        {"name": "db.lab.internal", "action": "DELETE"},
        {"name": "chat.localhost", "zone": "chat.localhost."},
    ):
        with refused("AccessDenied"):
            change(**words)
    with refused("AccessDenied"):
        account.as_role("route53", "app").list_hosted_zones()


def test_only_credentials_that_were_given_out_are_good(account):
    with refused("InvalidClientTokenId|InvalidAccessKeyId"):
        account.as_role("ssm", "app", aws_access_key_id="ASIA0000000000000000").get_parameter(Name="x")
    with refused("InvalidClientTokenId"):
        account.as_role("ssm", "app", aws_session_token="another").get_parameter(Name="x")
    with refused("SignatureDoesNotMatch"):
        account.as_role("ssm", "app", aws_secret_access_key="guessed").get_parameter(Name="x")
    with refused("SignatureDoesNotMatch|403"):
        account.as_role("s3", "app", aws_secret_access_key="guessed").get_object(
            Bucket=BUCKET, Key="releases/app/1/manifest.json"
        )
    # The operator's worthless keys are none of a host's.
    operator = {"aws_access_key_id": "lab", "aws_secret_access_key": "worth-nothing"}
    with refused("InvalidClientTokenId"):
        account.api.through_tls("ssm", **operator).get_parameter(Name="/corral/lab/app/database-password")
    assert account.ssm.get_parameter(Name="/corral/lab/app/database-password")["Parameter"]


def test_a_role_that_does_not_trust_ec2_is_none_of_an_instances(account):
    iam, sts = account.api.client("iam"), account.api.client("sts")
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    iam.create_role(RoleName="other", AssumeRolePolicyDocument=document)
    with refused("AccessDenied"):
        sts.assume_role(RoleArn="arn:aws:iam::123456789012:role/other", RoleSessionName="i-0123")
    with refused("there is no such role"):
        sts.assume_role(RoleArn="arn:aws:iam::123456789012:role/missing", RoleSessionName="i-0123")


def test_credentials_end(account):
    keys = account.credentials("app", DurationSeconds=900)
    left = (keys["Expiration"] - keys["Expiration"].now(keys["Expiration"].tzinfo)).total_seconds()
    assert 800 < left <= 900


def test_of_many_writers_who_all_write_only_if_nothing_is_there_one_wins(account):
    wins = []

    def write(number):
        try:
            account.s3.put_object(Bucket=BUCKET, Key="once", Body=str(number).encode(), IfNoneMatch="*")
            wins.append(number)
        except ClientError as error:
            assert error.response["Error"]["Code"] == "PreconditionFailed"

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wins) == 1
    assert account.s3.get_object(Bucket=BUCKET, Key="once")["Body"].read() == str(wins[0]).encode()


def test_what_is_written_once_is_overwritten_by_nobody(account):
    """The bucket's policy wants each write there to be conditional: whole objects, and those put together."""
    s3, key = account.as_role("s3", "release"), "releases/app/9/app.tar.zst"
    where = {"Bucket": BUCKET, "Key": key}
    with refused("AccessDenied|403"):
        s3.put_object(**where, Body=b"whatever is there")
    s3.put_object(**where, Body=b"first", IfNoneMatch="*")
    with refused("PreconditionFailed"):
        s3.put_object(**where, Body=b"second", IfNoneMatch="*")

    upload = {**where, "UploadId": s3.create_multipart_upload(**where)["UploadId"]}
    part = s3.upload_part(**upload, PartNumber=1, Body=b"third")
    parts = {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}}
    with refused("AccessDenied|403"):
        s3.complete_multipart_upload(**upload, **parts)
    with refused("PreconditionFailed"):
        s3.complete_multipart_upload(**upload, **parts, IfNoneMatch="*")
    assert account.s3.get_object(**where)["Body"].read() == b"first"
    s3.put_object(Bucket=BUCKET, Key="environments/lab/app/current.json", Body=b"content")


def test_a_host_writes_under_its_own_name_only(account):
    """The user id of an instance's credentials is ROLEID:INSTANCEID (IAM, "Policy variables")."""
    iam, s3 = account.api.client("iam"), account.as_role("s3", "app")
    own = f"arn:aws:s3:::{BUCKET}/reports/${{aws:userid}}.json"
    tagged = f"arn:aws:s3:::{BUCKET}/of/${{aws:PrincipalTag/corral:role}}/*"
    document = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "s3:PutObject", "Resource": [own, tagged]}],
    }
    iam.tag_role(RoleName="chat-lab-app", Tags=[{"Key": "corral:role", "Value": "app"}])
    iam.put_role_policy(RoleName="chat-lab-app", PolicyName="reports", PolicyDocument=json.dumps(document))
    role_id = iam.get_role(RoleName="chat-lab-app")["Role"]["RoleId"]
    for key in (f"reports/{role_id}:i-0123.json", "of/app/x"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"mine")
    for key in (f"reports/{role_id}:i-0124.json", "reports/x.json", "reports/${aws:userid}.json", "of/db/x"):
        with refused("AccessDenied|403"):
            s3.put_object(Bucket=BUCKET, Key=key, Body=b"another's")
    iam.delete_role_policy(RoleName="chat-lab-app", PolicyName="reports")


def test_a_boundary_holds_what_the_roles_own_policies_allow(account):
    """Allowed is what both allow (IAM, "Permissions boundaries for IAM entities")."""
    iam, ssm = account.api.client("iam"), account.as_role("ssm", "app")
    asked = {"Name": "/corral/lab/app/database-password", "WithDecryption": True}

    def bound(*statements):
        document = {"Version": "2012-10-17", "Statement": list(statements)}
        made = iam.create_policy(PolicyName=f"bound-{len(statements)}", PolicyDocument=json.dumps(document))
        arn = made["Policy"]["Arn"]
        iam.put_role_permissions_boundary(RoleName="chat-lab-app", PermissionsBoundary=arn)

    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    bound(everything)
    assert ssm.get_parameter(**asked)["Parameter"]["Value"] == "secret"
    with refused("no identity-based policy allows the ssm:GetParameter action"):
        ssm.get_parameter(Name="/corral/lab/elsewhere")
    bound(everything, {"Effect": "Deny", "Action": "ssm:*", "Resource": "*"})
    with refused("because no permissions boundary allows the ssm:GetParameter action"):
        ssm.get_parameter(**asked)
    key = "releases/app/1/manifest.json"
    assert account.as_role("s3", "app").get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"content"
    iam.put_role_permissions_boundary(
        RoleName="chat-lab-app", PermissionsBoundary="arn:aws:iam::123456789012:policy/gone"
    )
    with refused("AccessDenied|403"):
        account.as_role("s3", "app").get_object(Bucket=BUCKET, Key=key)
    iam.delete_role_permissions_boundary(RoleName="chat-lab-app")
    assert ssm.get_parameter(**asked)["Parameter"]["Value"] == "secret"


def test_the_release_server_finds_its_stack_and_learns_what_is_not_there(account):
    stacks, s3 = account.as_role("cloudformation", "release"), account.as_role("s3", "release")
    (group,) = stacks.describe_stack_resources(StackName="chat-lab", LogicalResourceId="AppGroup")[
        "StackResources"
    ]
    assert group["PhysicalResourceId"] == "chat-lab-app"
    with refused("AccessDenied"):
        stacks.describe_stack_resources(StackName="chat-live")
    with refused("AccessDenied"):
        account.as_role("cloudformation", "app").describe_stack_resources(StackName="chat-lab")
    with refused("NoSuchKey"):
        s3.get_object(Bucket=BUCKET, Key="environments/lab/app/lock.json")
