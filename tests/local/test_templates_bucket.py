"""How a template reaches CloudFormation: inside the request, or by the project's bucket of templates."""

import hashlib
import json

import boto3
import pytest
from botocore.stub import Stubber

from corral.aws import client
from corral.cloudformation import emptying, templates
from corral.errors import CorralError
from corral.settings import load
from tests.local.lab_cloud import cloud  # noqa: F401
from tests.local.stack_command import lives_in

BUCKET = "chat-templates-123456789012-eu-west-1"


@pytest.fixture
def settings(cloud):
    """An environment in the lab's API: moto's own takes a policy for TLS only to deny everything."""
    there = lives_in(cloud, load("lab"))
    s3 = client(there, "s3")
    emptying.buckets(there, [BUCKET], lambda sentence: None)
    if BUCKET in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
        s3.delete_bucket(Bucket=BUCKET)
    return there


def template(size):
    """A template that has `size` bytes as it is sent; with white space, more."""
    return json.dumps({"Description": "x" * (size - len('{"Description":""}'))}, indent=4)


def test_what_fits_goes_inside_the_request(settings):
    assert len(templates.given(settings, template(51_200))["TemplateBody"]) == 51_200
    assert client(settings, "s3").list_buckets()["Buckets"] == []


def test_what_does_not_fit_goes_by_a_bucket_that_is_private_and_encrypted_and_forgets(settings):
    given = templates.given(settings, template(51_201))
    body = json.dumps(json.loads(template(51_201)), separators=(",", ":"))
    key = f"{hashlib.sha256(body.encode()).hexdigest()}.json"
    assert given == {"TemplateURL": f"{settings.aws.endpoint_url}/{BUCKET}/{key}"}

    s3 = client(settings, "s3")
    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == body.encode()
    assert set(s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"].values()) == {True}
    [rule] = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    [statement] = json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])["Statement"]
    assert (statement["Effect"], statement["Condition"]) == (
        "Deny",
        {"Bool": {"aws:SecureTransport": "false"}},
    )
    assert set(statement["Resource"]) == {f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"}
    [owner] = s3.get_bucket_ownership_controls(Bucket=BUCKET)["OwnershipControls"]["Rules"]
    assert owner == {"ObjectOwnership": "BucketOwnerEnforced"}
    [rule] = s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    assert (rule["Status"], rule["Expiration"]["Days"]) == ("Enabled", 30)
    assert s3.get_bucket_location(Bucket=BUCKET)["LocationConstraint"] == "eu-west-1"


def test_the_bucket_is_made_once_and_the_same_template_has_the_same_address(settings):
    first = templates.given(settings, template(60_000))
    client(settings, "s3").put_bucket_tagging(
        Bucket=BUCKET, Tagging={"TagSet": [{"Key": "somebody's", "Value": "own"}]}
    )
    assert templates.given(settings, template(60_000)) == first
    assert templates.given(settings, template(60_001)) != first
    tags = client(settings, "s3").get_bucket_tagging(Bucket=BUCKET)["TagSet"]
    assert tags == [{"Key": "somebody's", "Value": "own"}], "made once, left alone since"


def test_a_bucket_whose_making_was_interrupted_is_made_whole(settings):
    s3 = client(settings, "s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    templates.given(settings, template(60_000))
    assert s3.get_bucket_policy(Bucket=BUCKET)["Policy"]


def test_a_bucket_of_that_name_that_somebody_else_made_gets_nothing(monkeypatch):
    s3 = boto3.client("s3", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")
    monkeypatch.setattr(templates, "client", lambda settings, service: s3)
    bucket = "chat-templates-111122223333-eu-west-1"
    with Stubber(s3) as stub:
        asked = {"Bucket": bucket, "ExpectedBucketOwner": "111122223333"}
        stub.add_client_error("get_bucket_lifecycle_configuration", "AccessDenied", expected_params=asked)
        with pytest.raises(CorralError, match=f"The bucket {bucket} belongs to another account, or"):
            templates.given(load("live"), template(60_000))


def test_the_address_is_amazons_where_no_other_endpoint_is_set(monkeypatch):
    s3 = boto3.client("s3", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")
    monkeypatch.setattr(templates, "client", lambda settings, service: s3)
    with Stubber(s3) as stub:
        stub.add_response("get_bucket_lifecycle_configuration", {"Rules": []})
        stub.add_response("put_object", {})
        url = templates.given(load("live"), template(60_000))["TemplateURL"]
    assert url.startswith("https://s3.eu-west-1.amazonaws.com/chat-templates-111122223333-eu-west-1/")
