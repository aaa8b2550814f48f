"""Change sets in words: what CloudFormation answers, as a person reads it."""

import pytest

from corral.cloudformation.changes import (
    UNKNOWN,
    Change,
    Difference,
    groups_with_other_launch,
    network_made_anew,
    read,
    zones_that_stay,
)
from corral.cloudformation.wording import counted, lines, summary

SUBNETS = (Difference("VPCZoneIdentifier.1", "subnet-1", "subnet-2"),)


def detail(path, before=None, after=None, **more):
    values = {"BeforeValue": before, "AfterValue": after}
    target = {"Attribute": "Properties", "Path": path} | {k: v for k, v in values.items() if v is not None}
    return {"Target": target, "Evaluation": "Static", "ChangeSource": "DirectModification"} | more


def change(action, kind="AWS::EC2::VPC", *details, **more):
    """One change in the shape of the API reference (ResourceChange)."""
    about = {"Action": action, "LogicalResourceId": "Thing", "ResourceType": kind, "Details": list(details)}
    return {"Type": "Resource", "ResourceChange": about | more}


def one(*given, **more):
    [found] = read([change(*given, **more)])
    return found


@pytest.mark.parametrize(
    ("raw", "verb", "sure"),
    [
        (change("Add"), "added", True),
        (change("Import"), "imported", True),
        (change("Modify", Replacement="False"), "changed", True),
        (change("Modify", Replacement="True", PolicyAction="ReplaceAndDelete"), "replaced", True),
        (change("Modify", Replacement="Conditional"), "replaced", False),
        (change("Dynamic"), "replaced", False),
        (change("Remove", PolicyAction="Delete"), "removed", True),
        (change("Remove", PolicyAction="Snapshot"), "removed", True),
        (change("Remove"), "removed", True),
        (change("Remove", PolicyAction="Retain"), "kept", True),
        (change("SyncWithActual"), "changed", True),
    ],
)
def test_each_action_has_a_word(raw, verb, sure):
    [found] = read([raw])
    assert (found.verb, found.sure) == (verb, sure)


@pytest.mark.parametrize("kind", ["AWS::EC2::Volume", "AWS::S3::Bucket", "AWS::Route53::HostedZone"])
def test_what_holds_data_and_goes_or_is_replaced_loses_it(kind):
    loses = [
        one("Modify", kind, Replacement="True", PolicyAction="ReplaceAndRetain"),
        one("Modify", kind, Replacement="Conditional"),
        one("Remove", kind, PolicyAction="Delete"),
        one("Remove", kind),
        one("Dynamic", kind),
    ]
    keeps = [
        one("Modify", kind, Replacement="False"),
        one("Remove", kind, PolicyAction="Retain"),
        one("Add", kind),
        one("Import", kind),
    ]
    assert [each.loses_data for each in loses + keeps] == [True] * 5 + [False] * 4
    assert not one("Modify", "AWS::EC2::VPC", Replacement="True").loses_data


def test_a_group_is_replaced_only_where_that_is_sure():
    group = "AWS::AutoScaling::AutoScalingGroup"
    perhaps = one("Modify", group, Replacement="Conditional")
    surely = one("Modify", group, Replacement="True")
    assert (perhaps.verb, perhaps.sure, perhaps.loses_servers) == ("changed", True, False)
    assert (surely.verb, surely.loses_servers) == ("replaced", True)


def test_a_group_moves_its_servers_where_its_subnets_change():
    group = "AWS::AutoScaling::AutoScalingGroup"
    moves = [
        one("Modify", group, detail("/Properties/VPCZoneIdentifier/1", "subnet-1", "subnet-2")),
        one("Modify", group, {"Target": {"Attribute": "Properties", "Name": "VPCZoneIdentifier"}}),
    ]
    stays = [
        one("Modify", group, detail("/Properties/MaxSize", "1", "2")),
        one("Add", group, detail("/Properties/VPCZoneIdentifier/1", None, "subnet-2")),
        one("Modify", "AWS::Lambda::Function", {"Target": {"Name": "VPCZoneIdentifier"}}),
    ]
    assert [each.moves_servers for each in moves + stays] == [True] * 2 + [False] * 3


def subnet(verb, title="PublicA"):
    return Change(verb, title, "AWS::EC2::Subnet")


@pytest.mark.parametrize(
    ("found", "anew"),
    [
        ([Change("replaced", "Vpc", "AWS::EC2::VPC"), subnet("replaced")], ["Vpc", "PublicA"]),
        ([subnet("replaced"), subnet("added", "PublicD")], ["PublicA"]),
        ([subnet("removed"), subnet("added", "PublicD")], ["PublicA"]),
        ([subnet("removed"), subnet("removed", "PublicB")], []),
        ([subnet("added"), subnet("changed", "PublicB"), Change("changed", "Vpc", "AWS::EC2::VPC")], []),
        ([Change("replaced", "Route", "AWS::EC2::Route")], []),
    ],
)
def test_a_network_that_would_be_made_a_second_time_is_known(found, anew):
    assert [each.resource for each in network_made_anew(found)] == anew


def test_zones_that_stay_are_those_of_subnets_that_are_there():
    places = {f"Private{zone.upper()}": {"Properties": {"AvailabilityZone": zone}} for zone in "abc"}
    group = {"Properties": {"VPCZoneIdentifier": [{"Ref": "PrivateA"}, {"Ref": "PrivateC"}]}}
    template = {"Resources": {"AppGroup": group} | places}
    assert zones_that_stay(template, [], "AppGroup") == {"a", "c"}
    assert zones_that_stay(template, [subnet("added", "PrivateC")], "AppGroup") == {"a"}


def test_a_property_is_told_once_with_the_most_that_is_known():
    found = one(
        "Modify",
        "AWS::EC2::VPC",
        detail("/Properties/Tags/0/Value", "us", "them", ChangeSource="ParameterReference"),
        detail("/Properties/Tags/0/Value", "us", UNKNOWN, Evaluation="Dynamic"),
        {"Target": {"Attribute": "Properties", "Name": "CidrBlock"}},
        detail("/UpdatePolicy/AutoScalingRollingUpdate", after="{}"),
        {"Target": {"Attribute": "Tags"}},
    )
    assert found.differences == (
        Difference("CidrBlock"),
        Difference("Tags"),
        Difference("Tags.0.Value", "us", "them"),
        Difference("UpdatePolicy.AutoScalingRollingUpdate", None, "{}"),
    )


def test_what_matters_most_comes_first():
    order = ["Add", "Modify", "Remove", "Modify"]
    raw = [change(action) for action in order]
    raw[3]["ResourceChange"]["Replacement"] = "True"
    assert [each.verb for each in read(raw)] == ["replaced", "removed", "changed", "added"]


def said(found):
    return [line.text.strip() for line in lines(found)]


def test_a_change_is_a_line_and_each_property_another():
    found = one(
        "Modify",
        "AWS::EC2::LaunchTemplate",
        detail("/Properties/LaunchTemplateData/InstanceType", "t3.small", "t3.medium"),
        detail("/Properties/LaunchTemplateData/KeyName", "operators"),
        detail("/Properties/LaunchTemplateData/EbsOptimized", None, "true"),
        detail("/Properties/LaunchTemplateData/ImageId", "ami-1", UNKNOWN),
        detail("/Properties/LaunchTemplateData/UserData", "IyEvYmlu", "IyEvYmluL3No"),
        detail("/Properties/Description", "", "text"),
        detail("/UpdatePolicy/AutoScalingRollingUpdate", None, '{"MaxBatchSize": "1"}'),
        {"Target": {"Attribute": "Properties", "Name": "Whatever"}},
        PhysicalResourceId="lt-1",
    )
    assert said(found) == [
        "changed   Thing  AWS::EC2::LaunchTemplate",
        "Description: (empty) → text",
        "LaunchTemplateData.EbsOptimized: true, new",
        "LaunchTemplateData.ImageId: ami-1 → known after the change",
        "LaunchTemplateData.InstanceType: t3.small → t3.medium",
        "LaunchTemplateData.KeyName: operators, no longer",
        "LaunchTemplateData.UserData: another script",
        "UpdatePolicy.AutoScalingRollingUpdate: whether a change may replace its servers",
        "Whatever",
    ]


def test_of_long_values_the_part_that_differs_is_shown_on_one_line():
    before, after = "x" * 500 + "\nold" + "y" * 500, "x" * 500 + "\nnew" + "y" * 500
    [_, line] = said(one("Modify", "AWS::EC2::VPC", detail("/Properties/A", before, after)))
    assert line == f"A: …{'x' * 14} old{'y' * 42}… → …{'x' * 14} new{'y' * 42}…"


@pytest.mark.parametrize(
    "path", ["MasterUserPassword", "Environment.Variables.API_TOKEN", "Auth.SecretString", "PrivateKey"]
)
def test_a_secret_is_never_shown(path):
    pointer = f"/Properties/{path.replace('.', '/')}"
    found = one("Modify", "AWS::EC2::VPC", detail(pointer, "hunter1", "hunter2"))
    assert said(found)[1] == f"{path}: another value, not shown"
    assert "hunter" not in "".join(said(found))


def test_how_metadata_is_read_is_no_secret():
    path = "/Properties/LaunchTemplateData/MetadataOptions/HttpTokens"
    assert said(one("Modify", "AWS::EC2::VPC", detail(path, "optional", "required")))[1].endswith(
        "HttpTokens: optional → required"
    )


@pytest.mark.parametrize(
    ("found", "first", "remark", "style"),
    [
        (
            Change("replaced", "DbVolume", "AWS::EC2::Volume", "vol-1"),
            "replaced  DbVolume  AWS::EC2::Volume vol-1",
            "It holds data, and the one that takes its place is empty.",
            "bold red",
        ),
        (
            Change("replaced", "DbVolume", "AWS::EC2::Volume", "vol-1", sure=False),
            "perhaps replaced DbVolume  AWS::EC2::Volume vol-1",
            "It holds data, and the one that takes its place is empty.",
            "bold red",
        ),
        (
            Change("removed", "Data", "AWS::S3::Bucket", "data"),
            "removed   Data  AWS::S3::Bucket data",
            "It holds data, which goes with it.",
            "bold red",
        ),
        (
            Change("kept", "Data", "AWS::S3::Bucket", "data"),
            "kept      Data  AWS::S3::Bucket data",
            "It leaves the stack, and stays in the account.",
            "cyan",
        ),
        (
            Change("imported", "Data", "AWS::S3::Bucket", "data"),
            "imported  Data  AWS::S3::Bucket data",
            "It is there already, and the stack takes it over with what it holds.",
            "cyan",
        ),
        (
            Change("replaced", "AppGroup", "AWS::AutoScaling::AutoScalingGroup", "chat-live-app"),
            "replaced  AppGroup  AWS::AutoScaling::AutoScalingGroup chat-live-app",
            "All its servers go at once.",
            "bold red",
        ),
        (
            Change("changed", "AppGroup", "AWS::AutoScaling::AutoScalingGroup", differences=SUBNETS),
            "changed   AppGroup  AWS::AutoScaling::AutoScalingGroup",
            "Its servers are spread over other subnets.",
            "bold red",
        ),
        (
            Change(
                "changed",
                "AppGroup",
                "AWS::AutoScaling::AutoScalingGroup",
                differences=(Difference("UpdatePolicy.AutoScalingRollingUpdate", None, "{}"),),
            ),
            "changed   AppGroup  AWS::AutoScaling::AutoScalingGroup",
            "Only in whether a change may replace its servers.",
            "yellow",
        ),
    ],
)
def test_what_is_remarkable_is_said(found, first, remark, style):
    assert said(found)[:2] == [first, remark]
    assert lines(found)[0].style == style


def test_many_are_counted_by_type():
    changes = [Change("added", name, "AWS::EC2::Subnet") for name in "ab"] + [
        Change("added", "c", "AWS::EC2::VPC")
    ]
    assert [line.text for line in counted(changes)] == [
        "  added       2 AWS::EC2::Subnet",
        "  added       1 AWS::EC2::VPC",
    ]
    assert summary([*changes, Change("replaced", "d", "AWS::EC2::VPC")]) == "3 added, 1 replaced"


def test_groups_whose_launch_template_changes_are_known_by_the_template():
    def group(launch):
        reference = {"LaunchTemplate": {"LaunchTemplateId": {"Ref": launch}}}
        return {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": reference}

    template = {
        "Resources": {
            "AppGroup": group("AppLaunch"),
            "DbGroup": group("DbLaunch"),
            "NewGroup": group("AppLaunch"),
        }
    }
    found = [
        Change("changed", "AppLaunch", "AWS::EC2::LaunchTemplate", "lt-1"),
        Change("changed", "AppGroup", "AWS::AutoScaling::AutoScalingGroup", "chat-live-app"),
        Change("changed", "DbGroup", "AWS::AutoScaling::AutoScalingGroup", "chat-live-db"),
        Change("added", "NewGroup", "AWS::AutoScaling::AutoScalingGroup"),
    ]
    assert groups_with_other_launch(template, found) == {"AppGroup": "chat-live-app"}
