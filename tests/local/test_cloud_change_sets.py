"""Change sets of the lab's CloudFormation: of new stacks and of those that are there, and what they tell."""

import json
from pathlib import Path

import cfnlint.data.schemas
import pytest
from botocore.exceptions import ClientError

from lab.cloud.cloudformation.resources import KINDS
from tests.local.lab_cloud import Stacks, cloud  # noqa: F401

SCHEMAS = Path(cfnlint.data.schemas.__file__).parent


@pytest.fixture(scope="module")
def stacks(cloud):
    return Stacks(cloud)


def parameter(name, value="x", **more):
    return {
        "Type": "AWS::SSM::Parameter",
        "Properties": {"Name": name, "Type": "String", "Value": value},
    } | more


def bucket(name, **more):
    return {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": name}} | more


def body(**resources):
    return {"Resources": resources}


def state(stacks, name):
    return stacks.client.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]


def bad_subnet(**more):
    return {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": "vpc-0", "CidrBlock": "10.0.0.0/24"}} | more


# Of new stacks


def test_a_new_stack_waits_for_its_change_set(stacks):
    found = stacks.propose("new", "first", body(One=parameter("/new/one")), "CREATE", Description="why")
    assert (found["Status"], found["ExecutionStatus"], found["Description"]) == (
        "CREATE_COMPLETE",
        "AVAILABLE",
        "why",
    )
    assert [each["ResourceChange"] for each in found["Changes"]] == [
        {
            "Action": "Add",
            "LogicalResourceId": "One",
            "ResourceType": "AWS::SSM::Parameter",
            "Scope": [],
            "Details": [],
            "AfterContext": json.dumps({"Properties": {"Name": "/new/one", "Type": "String", "Value": "x"}}),
        }
    ]
    assert state(stacks, "new") == "REVIEW_IN_PROGRESS"
    assert stacks.ids("new") == {}
    with pytest.raises(ClientError, match="is in REVIEW_IN_PROGRESS state and can not be updated"):
        stacks.propose("new", "second", body(One=parameter("/new/one")))

    made = stacks.execute(found)
    assert made["StackStatus"] == "CREATE_COMPLETE"
    assert made["ChangeSetId"] == found["ChangeSetId"]
    assert [status for name, status, _ in stacks.events("new") if name == "new"] == [
        "REVIEW_IN_PROGRESS",
        "CREATE_IN_PROGRESS",
        "CREATE_COMPLETE",
    ]
    with pytest.raises(ClientError, match=r"\[new\] already exists and cannot be created again with the ch"):
        stacks.propose("new", "third", body(One=parameter("/new/one")), "CREATE")
    assert stacks.client.list_change_sets(StackName="new")["Summaries"] == []


def test_without_its_change_set_the_shell_of_a_stack_stays_until_it_is_deleted(stacks):
    first = stacks.propose("shell", "first", body(One=parameter("/shell/one")), "CREATE")
    stacks.client.delete_change_set(StackName="shell", ChangeSetName="first")
    assert state(stacks, "shell") == "REVIEW_IN_PROGRESS"
    with pytest.raises(ClientError, match=r"ChangeSetNotFound.*ChangeSet \[first\] does not exist"):
        stacks.client.execute_change_set(StackName="shell", ChangeSetName="first")
    again = stacks.propose("shell", "first", body(One=parameter("/shell/one")), "CREATE")
    assert again["StackId"] == first["StackId"]
    stacks.client.delete_stack(StackName="shell")
    assert stacks.rest(first["StackId"])["StackStatus"] == "DELETE_COMPLETE"
    with pytest.raises(ClientError, match="OBSOLETE"):
        stacks.client.execute_change_set(ChangeSetName=again["ChangeSetId"])


@pytest.mark.parametrize(
    ("asked", "executed", "ends"),
    [
        ({"OnStackFailure": "DELETE"}, {}, "DELETE_COMPLETE"),
        ({"OnStackFailure": "ROLLBACK"}, {}, "ROLLBACK_COMPLETE"),
        ({"OnStackFailure": "DO_NOTHING"}, {}, "CREATE_FAILED"),
        ({}, {"DisableRollback": True}, "CREATE_FAILED"),
        ({}, {}, "ROLLBACK_COMPLETE"),
    ],
)
def test_a_creation_that_fails_ends_as_it_was_asked_to(stacks, asked, executed, ends):
    template = body(One=parameter("/failing/one"), Two=bad_subnet(DependsOn="One"))
    found = stacks.propose("failing", "only", template, "CREATE", **asked)
    stacks.client.execute_change_set(ChangeSetName=found["ChangeSetId"], **executed)
    assert stacks.rest(found["StackId"])["StackStatus"] == ends
    parameters = stacks.api.client("ssm").describe_parameters()["Parameters"]
    assert ("/failing/one" in {each["Name"] for each in parameters}) == (ends == "CREATE_FAILED")
    with pytest.raises(ClientError, match="execution status of \\[EXECUTE_FAILED\\]"):
        stacks.client.execute_change_set(ChangeSetName=found["ChangeSetId"])
    stacks.client.delete_stack(StackName=found["StackId"])
    stacks.rest(found["StackId"])


# Several at once


def test_of_several_change_sets_one_is_executed_and_the_others_are_void(stacks):
    stacks.create(body(One=parameter("/several/one")), "several")
    one, two = (
        stacks.propose("several", name, body(One=parameter("/several/one", name))) for name in ("a", "b")
    )
    with pytest.raises(ClientError, match="AlreadyExists"):
        stacks.propose("several", "a", body(One=parameter("/several/one", "c")))
    assert stacks.execute(one)["StackStatus"] == "UPDATE_COMPLETE"
    with pytest.raises(ClientError, match="ChangeSetNotFound"):
        stacks.client.execute_change_set(ChangeSetName=two["ChangeSetId"])
    stale = stacks.propose("several", "stale", body(One=parameter("/several/one", "d")))
    stacks.update(body(One=parameter("/several/one", "e")), "several")
    with pytest.raises(ClientError, match=r"InvalidChangeSetStatus.*execution status of \[OBSOLETE\]"):
        stacks.client.execute_change_set(ChangeSetName=stale["ChangeSetId"])


def test_a_stack_in_progress_takes_no_other_change(stacks):
    def many(value):
        return body(**{f"P{number}": parameter(f"/many/{number}", value) for number in range(120)})

    found = stacks.propose("many", "create", many("a"), "CREATE")
    stacks.client.execute_change_set(ChangeSetName=found["ChangeSetId"])
    busy = r"ValidationError.*Stack:arn:\S+ is in \w+_IN_PROGRESS state and can not be updated\."
    with pytest.raises(ClientError, match=busy):
        stacks.propose("many", "update", many("b"))
    with pytest.raises(ClientError, match=busy):
        stacks.update(many("b"), "many")
    with pytest.raises(ClientError, match=r"execution status of \[EXECUTE_IN_PROGRESS\]"):
        stacks.client.execute_change_set(ChangeSetName=found["ChangeSetId"])
    assert stacks.rest("many")["StackStatus"] == "CREATE_COMPLETE"
    assert len(stacks.ids("many")) == 120, "two pages of them"
    assert len(stacks.events("many")) == 3 + 2 * 120


# What there is already


def test_a_retained_bucket_is_taken_over_and_brought_to_the_template(stacks):
    s3 = stacks.api.client("s3")
    kept = {"DeletionPolicy": "RetainExceptOnCreate", "UpdateReplacePolicy": "Retain"}
    template = body(Data=bucket("kept-data", **kept))
    template["Resources"]["Policy"] = {
        "Type": "AWS::S3::BucketPolicy",
        "Properties": {
            "Bucket": "kept-data",
            "PolicyDocument": {
                "Statement": [
                    {
                        "Effect": "Deny",
                        "Principal": "*",
                        "Action": "s3:*",
                        "Resource": "arn:aws:s3:::kept-data",
                    }
                ]
            },
        },
        "DependsOn": "Data",
        **kept,
    }
    old = stacks.create(template, "keeper")
    s3.put_object(Bucket="kept-data", Key="precious", Body=b"1")
    stacks.client.delete_stack(StackName="keeper")
    assert stacks.rest(old["StackId"])["StackStatus"] == "DELETE_COMPLETE"
    skipped = [name for name, status, _ in stacks.events(old["StackId"]) if status == "DELETE_SKIPPED"]
    assert skipped == ["Policy", "Data"]

    without = stacks.propose("keeper", "without", template, "CREATE")
    assert {each["ResourceChange"]["Action"] for each in without["Changes"]} == {"Add"}
    template["Resources"]["Data"]["Properties"]["VersioningConfiguration"] = {"Status": "Enabled"}
    tags = [{"Key": "owner", "Value": "us"}]
    found = stacks.propose("keeper", "c", template, "CREATE", ImportExistingResources=True, Tags=tags)
    assert {
        each["ResourceChange"]["LogicalResourceId"]: (
            each["ResourceChange"]["Action"],
            each["ResourceChange"]["PhysicalResourceId"],
        )
        for each in found["Changes"]
    } == {"Data": ("Import", "kept-data"), "Policy": ("Import", "kept-data")}
    assert stacks.execute(found)["StackStatus"] == "CREATE_COMPLETE"
    assert [event[1:] for event in stacks.events("keeper") if event[0] == "Data"] == [
        ("IMPORT_IN_PROGRESS", "Resource import started."),
        ("IMPORT_COMPLETE", ""),
        ("UPDATE_IN_PROGRESS", "Apply stack-level tags to imported resource if applicable."),
        ("UPDATE_COMPLETE", ""),
    ]
    assert s3.get_bucket_versioning(Bucket="kept-data")["Status"] == "Enabled"
    assert s3.get_bucket_tagging(Bucket="kept-data")["TagSet"] == tags
    assert s3.get_object(Bucket="kept-data", Key="precious")["Body"].read() == b"1"
    assert "didn't contain changes" in stacks.propose("keeper", "again", template)["StatusReason"]


def test_without_the_import_what_is_there_stands_in_the_way(stacks):
    s3 = stacks.api.client("s3")
    s3.create_bucket(Bucket="in-the-way", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    document = {"Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}]}
    s3.put_bucket_policy(Bucket="in-the-way", Policy=json.dumps(document))
    policy = {
        "Type": "AWS::S3::BucketPolicy",
        "Properties": {"Bucket": "in-the-way", "PolicyDocument": document},
    }
    assert stacks.create(body(B=bucket("in-the-way")), "blocked")["StackStatus"] == "ROLLBACK_COMPLETE"
    found = stacks.create(body(P=policy), "blocked-too")
    assert found["StackStatus"] == "ROLLBACK_COMPLETE"
    assert stacks.reasons("blocked-too")["P"] == "The bucket policy already exists on bucket in-the-way."


def test_what_may_not_be_taken_over_fails_the_change_set(stacks):
    stacks.create(body(B=bucket("somebodys")), "somebody")
    retained = {"DeletionPolicy": "Retain"}

    def propose(name, resource):
        return stacks.propose("greedy", name, body(B=resource), "CREATE", ImportExistingResources=True)

    lost = propose("not-kept", bucket("somebodys"))
    assert (lost["Status"], lost["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert lost["StatusReason"].startswith(
        "CloudFormation is attempting to import some resources because they already exist in your account."
    )
    assert "B ({BucketName=somebodys})" in lost["StatusReason"]
    with pytest.raises(ClientError, match=r"cannot be executed in its current status of \[FAILED\]"):
        stacks.client.execute_change_set(ChangeSetName=lost["ChangeSetId"])
    assert "belongs to stack" in propose("anothers", bucket("somebodys", **retained))["StatusReason"]
    worked_out = bucket({"Fn::Sub": "somebodys"}, **retained)
    assert propose("dynamic", worked_out)["Changes"][0]["ResourceChange"]["Action"] == "Add"


def test_a_creation_that_fails_leaves_what_it_took_over(stacks):
    s3 = stacks.api.client("s3")
    s3.create_bucket(Bucket="older", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    template = body(
        Old=bucket("older", DeletionPolicy="RetainExceptOnCreate"),
        New=bucket("newer", DeletionPolicy="RetainExceptOnCreate"),
        Bad=bad_subnet(DependsOn=["Old", "New"]),
    )
    more = {"ImportExistingResources": True, "OnStackFailure": "DELETE"}
    found = stacks.propose("unlucky", "only", template, "CREATE", **more)
    assert stacks.execute(found)["StackStatus"] == "DELETE_COMPLETE"
    names = {each["Name"] for each in s3.list_buckets()["Buckets"]}
    assert "older" in names
    assert "newer" not in names


# What a change set tells


def test_details_say_what_changes_from_what_to_what_and_why(stacks):
    template = {
        "Parameters": {"Owner": {"Type": "String", "Default": "us"}},
        "Resources": {
            "Net": {
                "Type": "AWS::EC2::VPC",
                "Properties": {"CidrBlock": "10.1.0.0/16", "EnableDnsSupport": True},
            },
            "Sub": {
                "Type": "AWS::EC2::Subnet",
                "Properties": {"VpcId": {"Ref": "Net"}, "CidrBlock": "10.1.1.0/24"},
                "UpdateReplacePolicy": "Retain",
            },
            "Told": parameter("/details/told", {"Fn::GetAtt": ["Net", "CidrBlock"]}),
            "Owned": parameter("/details/owned", {"Ref": "Owner"}),
            "Zone": {
                "Type": "AWS::Route53::HostedZone",
                "Properties": {
                    "Name": "details.internal",
                    "VPCs": [{"VPCId": {"Ref": "Net"}, "VPCRegion": "eu-west-1"}],
                },
            },
            "Gone": parameter("/details/gone", DeletionPolicy="Retain"),
        },
    }
    ids = stacks.create(template, "details") and stacks.ids("details")
    resources = template["Resources"]
    resources["Net"]["Properties"]["CidrBlock"] = "10.2.0.0/16"
    del resources["Gone"]
    resources["Zone"]["Properties"]["HostedZoneTags"] = [{"Key": "a", "Value": "b"}]
    more = {"Parameters": [{"ParameterKey": "Owner", "ParameterValue": "them"}]}
    found = stacks.propose("details", "all", template, **more)
    later = "{{changeSet:KNOWN_AFTER_APPLY}}"

    def target(name, kind="Modify", requires="Never", path=None, **values):
        about = {"Attribute": "Properties", "Name": name, "RequiresRecreation": requires}
        return about | {"Path": f"/Properties/{path or name}", "AttributeChangeType": kind, **values}

    def told(change):
        about = {key: each for key, each in change["ResourceChange"].items() if not key.endswith("Context")}
        return about.pop("LogicalResourceId"), about

    by_hand = {"ChangeSource": "DirectModification", "Evaluation": "Static"}
    at_net = {"ChangeSource": "ResourceReference", "CausingEntity": "Net", "Evaluation": "Static"}
    cidr = {"ChangeSource": "ResourceAttribute", "CausingEntity": "Net.CidrBlock", "Evaluation": "Static"}
    owner = {"ChangeSource": "ParameterReference", "CausingEntity": "Owner", "Evaluation": "Static"}
    modified = {"Action": "Modify", "Scope": ["Properties"], "Replacement": "False"}
    block = target("CidrBlock", requires="Always", BeforeValue="10.1.0.0/16", AfterValue="10.2.0.0/16")
    moved = target("VpcId", requires="Always", BeforeValue=ids["Net"], AfterValue=later)
    vpc = target("VPCs", path="VPCs/0/VPCId", BeforeValue=ids["Net"], AfterValue=later)
    tagged = target("HostedZoneTags", "Add", AfterValue='[{"Key": "a", "Value": "b"}]')
    known = target("Value", BeforeValue="10.1.0.0/16", AfterValue=later)
    owned = target("Value", BeforeValue="us", AfterValue="them")
    expected = {
        "Net": modified
        | {
            "ResourceType": "AWS::EC2::VPC",
            "Replacement": "True",
            "PolicyAction": "ReplaceAndDelete",
            "Details": [{"Target": block} | by_hand],
        },
        "Sub": modified
        | {
            "ResourceType": "AWS::EC2::Subnet",
            "Replacement": "True",
            "PolicyAction": "ReplaceAndRetain",
            "Details": [{"Target": moved} | at_net],
        },
        "Told": modified | {"ResourceType": "AWS::SSM::Parameter", "Details": [{"Target": known} | cidr]},
        "Owned": modified
        | {
            "ResourceType": "AWS::SSM::Parameter",
            "Details": [
                {"Target": owned} | owner,
                {"Target": owned} | by_hand | {"Evaluation": "Dynamic"},
            ],
        },
        "Zone": modified
        | {
            "ResourceType": "AWS::Route53::HostedZone",
            "Details": [{"Target": tagged} | by_hand, {"Target": vpc} | at_net],
        },
        "Gone": {
            "Action": "Remove",
            "ResourceType": "AWS::SSM::Parameter",
            "Scope": [],
            "Details": [],
            "PolicyAction": "Retain",
        },
    }
    assert dict(map(told, found["Changes"])) == {
        name: about | {"PhysicalResourceId": ids[name]} for name, about in expected.items()
    }
    contexts = {
        each["ResourceChange"]["LogicalResourceId"]: [
            json.loads(each["ResourceChange"].get(key, "null")) for key in ("BeforeContext", "AfterContext")
        ]
        for each in found["Changes"]
    }
    assert contexts["Told"] == [
        {"Properties": {"Name": "/details/told", "Type": "String", "Value": value}}
        for value in ("10.1.0.0/16", later)
    ]
    assert contexts["Gone"][1] is None

    plain = stacks.client.describe_change_set(ChangeSetName=found["ChangeSetId"])
    short = {"Attribute": "Properties", "Name": "VPCs", "RequiresRecreation": "Never"}
    zone = dict(map(told, plain["Changes"]))["Zone"]
    assert zone["Details"][1] == {"Target": short} | at_net
    assert not any("AfterContext" in each["ResourceChange"] for each in plain["Changes"])


def test_an_attribute_of_what_only_changes_may_be_another(stacks):
    """So says CloudFormation of every attribute of a resource that changes, and of what hangs on it."""
    template = body(
        Launch={
            "Type": "AWS::EC2::LaunchTemplate",
            "Properties": {"LaunchTemplateData": {"ImageId": "ami-0deb1a13000000001"}},
        },
        Group={
            "Type": "AWS::AutoScaling::AutoScalingGroup",
            "Properties": {
                "MinSize": "0",
                "MaxSize": "0",
                "AvailabilityZones": ["eu-west-1a"],
                "LaunchTemplate": {
                    "LaunchTemplateId": {"Ref": "Launch"},
                    "Version": {"Fn::GetAtt": ["Launch", "LatestVersionNumber"]},
                },
            },
        },
    )
    stacks.create(template, "moving")
    template["Resources"]["Launch"]["Properties"]["LaunchTemplateData"]["InstanceType"] = "t3.small"
    found = stacks.propose("moving", "c", template)
    assert [
        (each["ResourceChange"]["LogicalResourceId"], each["ResourceChange"]["Replacement"])
        for each in found["Changes"]
    ] == [("Launch", "False"), ("Group", "Conditional")]
    [detail] = found["Changes"][1]["ResourceChange"]["Details"]
    assert detail == {
        "Target": {
            "Attribute": "Properties",
            "Name": "LaunchTemplate",
            "RequiresRecreation": "Conditionally",
            "Path": "/Properties/LaunchTemplate/Version",
            "AttributeChangeType": "Modify",
            "BeforeValue": "1",
            "AfterValue": "{{changeSet:KNOWN_AFTER_APPLY}}",
        },
        "ChangeSource": "ResourceAttribute",
        "CausingEntity": "Launch.LatestVersionNumber",
        "Evaluation": "Dynamic",
    }


def test_another_output_is_a_change_of_no_resource(stacks):
    template = body(One=parameter("/output/one")) | {
        "Parameters": {"Expires": {"Type": "String", "Default": "never", "AllowedPattern": "never|\\d+"}},
        "Outputs": {"Expires": {"Value": {"Ref": "Expires"}}},
    }
    stacks.create(template, "output")
    same = {"ParameterKey": "Expires", "UsePreviousValue": True}
    assert stacks.propose("output", "same", template, Parameters=[same])["Status"] == "FAILED"
    other = {"ParameterKey": "Expires", "ParameterValue": "5"}
    found = stacks.propose("output", "other", template, Parameters=[other])
    assert (found["Status"], found["Changes"]) == ("CREATE_COMPLETE", [])
    assert stacks.execute(found)["Outputs"] == [{"OutputKey": "Expires", "OutputValue": "5"}]
    assert stacks.propose("output", "kept", template, Parameters=[same])["Status"] == "FAILED"
    wrong = {"ParameterKey": "Expires", "ParameterValue": "soon"}
    with pytest.raises(ClientError, match="Parameter 'Expires' must match pattern"):
        stacks.propose("output", "wrong", template, Parameters=[wrong])
    with pytest.raises(ClientError, match="Cannot specify usePreviousValue as true for a parameter key not"):
        stacks.propose("output", "none", template, Parameters=[same | {"ParameterKey": "Other"}])


@pytest.mark.parametrize("name", sorted(KINDS))
def test_no_replacement_goes_unannounced(name):
    """What a type's schema of Amazon's says is made anew, the lab's change sets say so too."""
    index = json.loads((SCHEMAS / "providers" / "eu-west-1.json").read_text())
    schema = json.loads((SCHEMAS / "resources" / f"{index[name]}.json").read_text())

    def properties(key):
        return {path.removeprefix("/properties/") for path in schema.get(key, [])} & KINDS[name].properties

    assert properties("createOnlyProperties") <= KINDS[name].replaced_by
    perhaps = KINDS[name].perhaps_replaced_by | KINDS[name].replaced_by
    assert properties("conditionalCreateOnlyProperties") <= perhaps
    assert KINDS[name].properties - {"UpdatePolicy"} <= set(schema["properties"])
