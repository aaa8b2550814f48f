"""What the lab's CloudFormation asks of a request before it looks into it, and what it tells about stacks."""

import json

import pytest
from botocore.exceptions import ClientError
from moto.cloudformation.exceptions import ValidationError

from lab.cloud.cloudformation import admission
from tests.local.lab_cloud import Stacks, cloud  # noqa: F401

EIP = {"Type": "AWS::EC2::EIP"}
TEMPLATE = json.dumps({"Resources": {"Address": EIP}})


@pytest.fixture(scope="module")
def stacks(cloud):
    return Stacks(cloud)


def role(**properties):
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = {"Version": "2012-10-17", "Statement": [trust]}
    return {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": document, **properties}}


def padded(size):
    short = {"Description": "", "Resources": {"Address": EIP}}
    return json.dumps(short | {"Description": "x" * (size - len(json.dumps(short)))})


@pytest.mark.parametrize(
    ("resource", "capabilities", "needed"),
    [
        (role(RoleName="named"), [], "CAPABILITY_NAMED_IAM"),
        (role(RoleName="named"), ["CAPABILITY_IAM"], "CAPABILITY_NAMED_IAM"),
        (role(), [], "CAPABILITY_IAM"),
    ],
)
def test_resources_of_iam_need_consent(stacks, resource, capabilities, needed):
    words = {"TemplateBody": json.dumps({"Resources": {"R": resource}}), "Capabilities": capabilities}
    refused = rf"InsufficientCapabilitiesException.*Requires capabilities : \[{needed}\]$"
    with pytest.raises(ClientError, match=refused):
        stacks.client.create_stack(StackName="no-consent", **words)
    with pytest.raises(ClientError, match=refused):
        stacks.client.create_change_set(
            StackName="no-consent", ChangeSetName="c", ChangeSetType="CREATE", **words
        )
    with pytest.raises(ClientError, match="does not exist"):
        stacks.client.describe_stacks(StackName="no-consent")


def test_with_consent_they_are_made(stacks):
    words = {"TemplateBody": json.dumps({"Resources": {"R": role()}}), "Capabilities": ["CAPABILITY_IAM"]}
    stacks.client.create_stack(StackName="consent", **words)
    found = stacks.rest("consent")
    assert (found["StackStatus"], found["Capabilities"]) == ("CREATE_COMPLETE", ["CAPABILITY_IAM"])
    with pytest.raises(ClientError, match="InsufficientCapabilities"):
        stacks.client.update_stack(StackName="consent", TemplateBody=words["TemplateBody"])


@pytest.mark.parametrize(
    ("name", "bound"),
    [("x" * 129, "length less than or equal to 128"), ("1st", "regular expression pattern")],
)
def test_a_name_that_no_stack_may_have_is_refused(stacks, name, bound):
    with pytest.raises(
        ClientError, match=f"at 'stackName' failed to satisfy constraint: Member must .*{bound}"
    ):
        stacks.client.create_stack(StackName=name, TemplateBody=TEMPLATE)
    with pytest.raises(ClientError, match=bound):
        stacks.propose(name, "c", json.loads(TEMPLATE), "CREATE")


def test_a_template_comes_inline_up_to_a_size_and_from_s3_up_to_a_greater_one(stacks):
    s3 = stacks.api.client("s3")
    s3.create_bucket(Bucket="templates", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    for key, size in (("fit", 51_201), ("huge", 1_000_001)):
        s3.put_object(Bucket="templates", Key=f"{key} one.json", Body=padded(size).encode())
    for size, name in ((51_200, "just-fits"), (51_201, "does-not")):
        if name == "just-fits":
            stacks.client.create_stack(StackName=name, TemplateBody=padded(size))
            continue
        bound = (
            "at 'templateBody' failed to satisfy constraint: Member must have length less than or equal to"
        )
        with pytest.raises(ClientError, match=f"{bound} 51200"):
            stacks.client.create_stack(StackName=name, TemplateBody=padded(size))

    url = "https://templates.s3.eu-west-1.amazonaws.com/fit%20one.json"
    found = stacks.client.create_change_set(
        StackName="by-url", ChangeSetName="c", ChangeSetType="CREATE", TemplateURL=url
    )
    stacks.client.execute_change_set(ChangeSetName=found["Id"])
    assert stacks.rest("by-url")["StackStatus"] == "CREATE_COMPLETE"
    path_style = f"{stacks.api.endpoint}/templates/fit one.json"
    with pytest.raises(ClientError, match="No updates are to be performed"):
        stacks.client.update_stack(StackName="by-url", TemplateURL=path_style)

    for wrong, message in (
        (url.replace("fit", "huge"), "Template may not exceed 1000000 bytes in size"),
        (url.replace("fit", "missing"), "S3 error: The specified key does not exist"),
        ("https://example.com/templates/fit one.json", "TemplateURL must be a supported URL"),
        ("file:///etc/passwd", "TemplateURL must be a supported URL"),
    ):
        with pytest.raises(ClientError, match=message):
            stacks.client.create_stack(StackName="wrong", TemplateURL=wrong)
    for words in ({}, {"TemplateBody": TEMPLATE, "TemplateURL": url}):
        with pytest.raises(ClientError, match="Either Template URL or Template Body must be specified"):
            stacks.client.create_stack(StackName="wrong", **words)


@pytest.mark.parametrize(
    "url",
    [
        "https://some.bucket.s3.eu-west-1.amazonaws.com/a/b.json",
        "https://some.bucket.s3.amazonaws.com/a/b.json",
        "https://some.bucket.s3-eu-west-1.amazonaws.com/a/b.json",
        "https://s3.eu-west-1.amazonaws.com/some.bucket/a/b.json",
        "https://s3.amazonaws.com/some.bucket/a/b.json",
        "http://169.254.77.2:4566/some.bucket/a/b.json",
    ],
)
def test_places_in_s3(url):
    assert admission.place(url, "169.254.77.2:4566") == ("some.bucket", "a/b.json")


@pytest.mark.parametrize(
    "url",
    [
        "http://some.bucket.s3.eu-west-1.amazonaws.com/a.json",
        "https://some.bucket.s3.evil.example/a.json",
        "https://s3.amazonaws.com/bucket-alone",
        "https://s3.amazonaws.com.example/b/k",
        "http://elsewhere:4566/b/k",
    ],
)
def test_places_elsewhere(url):
    with pytest.raises(ValidationError):
        admission.place(url, "169.254.77.2:4566")


def test_what_the_lab_does_nothing_about_is_refused(stacks):
    words = {"StackName": "asking", "TemplateBody": TEMPLATE}
    with pytest.raises(ClientError, match="does nothing about TimeoutInMinutes"):
        stacks.client.create_stack(**words, TimeoutInMinutes=5)
    role = "arn:aws:iam::123456789012:role/deployer"
    with pytest.raises(ClientError, match="does nothing about RoleARN"):
        stacks.client.create_change_set(**words, ChangeSetName="c", ChangeSetType="CREATE", RoleARN=role)
    with pytest.raises(ClientError, match="does nothing about DeletionMode"):
        stacks.client.delete_stack(StackName="asking", DeletionMode="FORCE_DELETE_STACK")


def test_an_ssm_parameters_value_is_told_and_looked_up_anew(stacks):
    ssm = stacks.api.client("ssm")
    ssm.put_parameter(Name="/image", Value="ami-1", Type="String")
    template = {
        "Parameters": {
            "Image": {"Type": "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>", "Default": "/image"},
            "Plain": {"Type": "String", "Default": "p"},
        },
        "Resources": {
            "Told": {
                "Type": "AWS::SSM::Parameter",
                "Properties": {"Name": "/told", "Type": "String", "Value": {"Ref": "Image"}},
            }
        },
    }
    stacks.create(template, "resolved")

    def parameters():
        return {each["ParameterKey"]: each for each in stacks.rest("resolved")["Parameters"]}

    assert parameters() == {
        "Image": {"ParameterKey": "Image", "ParameterValue": "/image", "ResolvedValue": "ami-1"},
        "Plain": {"ParameterKey": "Plain", "ParameterValue": "p"},
    }
    ssm.put_parameter(Name="/image", Value="ami-2", Type="String", Overwrite=True)
    previous = [{"ParameterKey": key, "UsePreviousValue": True} for key in ("Image", "Plain")]
    found = stacks.propose("resolved", "newer", template, Parameters=previous)
    assert found["Parameters"][0]["ResolvedValue"] == "ami-2"
    stacks.execute(found)
    assert parameters()["Image"]["ResolvedValue"] == "ami-2"
    assert ssm.get_parameter(Name="/told")["Parameter"]["Value"] == "ami-2"


def test_stacks_come_in_pages(stacks):
    for number in range(101):
        stacks.propose(f"page-{number}", "c", json.loads(TEMPLATE), "CREATE")
    first = stacks.client.describe_stacks()
    assert len(first["Stacks"]) == 100
    pages = stacks.client.get_paginator("describe_stacks").paginate()
    names = [stack["StackName"] for page in pages for stack in page["Stacks"]]
    assert len(names) == len(set(names))
    assert {f"page-{number}" for number in range(101)} <= set(names)


def test_what_can_not_be_deleted_is_named_and_can_be_left_behind(stacks):
    template = {"Resources": {"Full": {"Type": "AWS::S3::Bucket"}, "Address": EIP}}
    found = stacks.create(template, "clinging")
    name = stacks.ids("clinging")["Full"]
    stacks.api.client("s3").put_object(Bucket=name, Key="k", Body=b"")
    with pytest.raises(ClientError, match="only when its deletion has failed"):
        stacks.client.delete_stack(StackName="clinging", RetainResources=["Full"])
    stacks.client.delete_stack(StackName="clinging")
    failed = stacks.rest(found["StackId"])
    assert failed["StackStatus"] == "DELETE_FAILED"
    assert failed["StackStatusReason"] == "The following resource(s) failed to delete: [Full]. "
    assert set(stacks.ids("clinging")) == {"Full"}
    with pytest.raises(ClientError, match="Address"):
        stacks.client.delete_stack(StackName="clinging", RetainResources=["Address"])
    stacks.client.delete_stack(StackName="clinging", RetainResources=["Full"])
    assert stacks.rest(found["StackId"])["StackStatus"] == "DELETE_COMPLETE"
    assert stacks.events(found["StackId"])[-2][:2] == ("Full", "DELETE_SKIPPED")
    assert name in {each["Name"] for each in stacks.api.client("s3").list_buckets()["Buckets"]}
