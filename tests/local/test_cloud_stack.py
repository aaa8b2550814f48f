"""CloudFormation of the lab: the real template becomes real resources, in place, or fails and goes back."""

import json

import boto3
import pytest
from botocore.exceptions import ClientError

from corral.settings import load
from corral.stack import render
from lab.cloud.cloudformation.resources import KINDS
from tests.local.lab_cloud import Stacks, cloud, prepared  # noqa: F401

NAME = "chat-lab"


def template():
    return json.loads(render(load("lab")))


@pytest.fixture(scope="module")
def stacks(cloud):
    made = Stacks(cloud)
    found = made.create(prepared(cloud), NAME, Tags=[{"Key": "owner", "Value": "us"}])
    assert found["StackStatus"] == "CREATE_COMPLETE", made.reasons(NAME)
    return made


@pytest.mark.parametrize("environment", ["lab", "live", "test", "branch"])
def test_the_lab_knows_every_resource_and_property_of_every_environment(environment):
    said = json.loads(render(load(environment)))
    for name, resource in said["Resources"].items():
        kind = KINDS[resource["Type"]]
        assert set(resource["Properties"]) <= kind.properties, name


def test_every_resource_of_the_template_is_there(stacks):
    assert set(stacks.ids(NAME)) == set(template()["Resources"])
    outputs = {each["OutputKey"] for each in stacks.rest(NAME)["Outputs"]}
    assert outputs == set(template()["Outputs"])


def test_security_groups_allow_what_the_template_says_and_nothing_else(stacks):
    ec2, ids = stacks.api.client("ec2"), stacks.ids(NAME)
    names = {ids[name]: name for name in ids}

    def rules(group, key):
        found = ec2.describe_security_groups(GroupIds=[ids[group]])["SecurityGroups"][0][key]
        return sorted(
            (rule.get("FromPort"), peer)
            for rule in found
            for peer in [each["CidrIp"] for each in rule["IpRanges"]]
            + [names[each["GroupId"]] for each in rule["UserIdGroupPairs"]]
        )

    assert rules("AppSecurityGroup", "IpPermissions") == [
        (22, "169.254.77.1/32"),
        (22, "ReleaseSecurityGroup"),
        (80, "BalancerSecurityGroup"),
        (81, "BalancerSecurityGroup"),
    ]
    assert rules("AppSecurityGroup", "IpPermissionsEgress") == [
        (80, "0.0.0.0/0"),
        (443, "0.0.0.0/0"),
        (5044, "ElkSecurityGroup"),
        (5432, "DbSecurityGroup"),
    ]
    assert rules("DbSecurityGroup", "IpPermissions") == [
        (22, "169.254.77.1/32"),
        (22, "ReleaseSecurityGroup"),
        (5432, "AppSecurityGroup"),
    ]
    assert rules("BalancerSecurityGroup", "IpPermissionsEgress") == [
        (80, "AppSecurityGroup"),
        (81, "AppSecurityGroup"),
    ]


def test_the_bucket_is_as_the_template_says(stacks):
    s3, bucket = stacks.api.client("s3"), stacks.ids(NAME)["ReleasesBucket"]
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    blocked = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert set(blocked.values()) == {True}
    owner = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    assert owner == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    rules = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert {rule["ID"]: (rule["Filter"]["Prefix"], rule.get("Expiration")) for rule in rules} == {
        "expire-old-versions": ("", None),
        "expire-reports": ("reports/", {"Days": 30}),
        "forget-reports": ("reports/", {"ExpiredObjectDeleteMarker": True}),
        "expire-certificates": ("certificates/", {"Days": 90}),
        "forget-certificates": ("certificates/", {"ExpiredObjectDeleteMarker": True}),
        "expire-logs": ("logs/", {"Days": 1}),
        "forget-logs": ("logs/", {"ExpiredObjectDeleteMarker": True}),
        "expire-old-snapshots": ("snapshots/", None),
        "forget-snapshots": ("snapshots/", {"ExpiredObjectDeleteMarker": True}),
        "abort-uploads": ("", None),
    }
    policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    assert policy["Statement"][0]["Sid"] == "TlsOnly"
    encryption = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert encryption[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"


def test_balancer_certificate_and_records_are_as_the_template_says(stacks):
    elbv2, route53, ids = stacks.api.client("elbv2"), stacks.api.client("route53"), stacks.ids(NAME)
    said = elbv2.describe_load_balancer_attributes(LoadBalancerArn=ids["Balancer"])["Attributes"]
    attributes = {each["Key"]: each["Value"] for each in said}
    assert attributes["routing.http.drop_invalid_header_fields.enabled"] == "true"
    said = elbv2.describe_target_group_attributes(TargetGroupArn=ids["SiteTargets"])["Attributes"]
    drain = {each["Key"]: each["Value"] for each in said}["deregistration_delay.timeout_seconds"]
    assert drain == str(load("lab").app.drain_seconds)
    listeners = elbv2.describe_listeners(LoadBalancerArn=ids["Balancer"])["Listeners"]
    assert {each["Port"]: each["Protocol"] for each in listeners} == {80: "HTTP", 443: "HTTPS"}
    certificate = next(each for each in listeners if each["Port"] == 443)["Certificates"][0]["CertificateArn"]
    assert certificate == ids["Certificate"]

    records = route53.list_resource_record_sets(HostedZoneId=ids["SiteZone"])["ResourceRecordSets"]
    balancer = elbv2.describe_load_balancers(LoadBalancerArns=[ids["Balancer"]])["LoadBalancers"][0]
    alias = next(each for each in records if each["Type"] == "A")["AliasTarget"]
    assert alias["DNSName"].rstrip(".") == balancer["DNSName"]
    assert any(each["Type"] == "CNAME" for each in records), "the certificate's proof"
    zone = route53.get_hosted_zone(Id=ids["PrivateZone"])
    assert zone["HostedZone"]["Config"]["PrivateZone"] is True
    assert zone["VPCs"] == [{"VPCRegion": "eu-west-1", "VPCId": ids["Vpc"]}]


def test_stack_tags_reach_resources_and_instances(stacks):
    ec2 = stacks.api.client("ec2")
    vpc = ec2.describe_vpcs(VpcIds=[stacks.ids(NAME)["Vpc"]])["Vpcs"][0]
    assert {"Key": "owner", "Value": "us"} in vpc["Tags"]
    endpoint = ec2.describe_vpc_endpoints(VpcEndpointIds=[stacks.ids(NAME)["S3Endpoint"]])["VpcEndpoints"][0]
    launch = ec2.describe_launch_templates(LaunchTemplateIds=[stacks.ids(NAME)["AppLaunch"]])
    for tags in (endpoint["Tags"], launch["LaunchTemplates"][0]["Tags"]):
        assert {"Key": "corral:environment", "Value": "lab"} in tags
    pages = ec2.describe_instances(Filters=[{"Name": "tag:owner", "Values": ["us"]}])["Reservations"]
    assert len(pages) == 5


def instances(api):
    groups = api.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    return {each["AutoScalingGroupName"]: {i["InstanceId"] for i in each["Instances"]} for each in groups}


def test_an_update_changes_things_where_they_stand(stacks):
    before, members = stacks.ids(NAME), instances(stacks.api)
    body = template()
    resources = body["Resources"]
    resources["AppLaunch"]["Properties"]["LaunchTemplateData"]["InstanceType"] = "t3.medium"
    resources["SiteTargets"]["Properties"]["HealthCheckPath"] = "/readyz"
    resources["AppRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"][0]["Sid"] = "Other"
    rule = {"IpProtocol": "tcp", "FromPort": 8080, "ToPort": 8080, "CidrIp": "0.0.0.0/0"}
    resources["BalancerSecurityGroup"]["Properties"]["SecurityGroupIngress"].append(rule)

    change = stacks.propose(NAME, "c1", body)
    # The group has a new version of its launch template, which only CloudFormation's UpdatePolicy could make
    # a replacement of.
    expected = dict.fromkeys(("AppLaunch", "AppRole", "BalancerSecurityGroup", "SiteTargets"), "False")
    expected["AppGroup"] = "Conditional"
    # These name an attribute of the target group, which might be another one then.
    expected |= dict.fromkeys(("AppErrorsAlarm", "NoHostsAlarm", "UnhealthyHostsAlarm"), "False")
    assert {
        each["ResourceChange"]["LogicalResourceId"]: (
            each["ResourceChange"]["Action"],
            each["ResourceChange"]["Replacement"],
        )
        for each in change["Changes"]
    } == {name: ("Modify", replacement) for name, replacement in expected.items()}
    assert stacks.execute(change)["StackStatus"] == "UPDATE_COMPLETE"

    assert stacks.ids(NAME) == before
    assert instances(stacks.api) == members, "no instance was replaced"
    group = stacks.api.client("autoscaling").describe_auto_scaling_groups(
        AutoScalingGroupNames=["chat-lab-app"]
    )
    assert group["AutoScalingGroups"][0]["LaunchTemplate"]["Version"] == "2"
    found = stacks.api.client("elbv2").describe_target_groups(TargetGroupArns=[before["SiteTargets"]])
    assert found["TargetGroups"][0]["HealthCheckPath"] == "/readyz"
    policy = stacks.api.client("iam").get_role_policy(RoleName="chat-lab-app", PolicyName="app")
    assert policy["PolicyDocument"]["Statement"][0]["Sid"] == "Other"

    shown = stacks.propose(NAME, "c2", body)
    assert shown["Status"] == "FAILED"
    assert "didn't contain changes" in shown["StatusReason"]
    assert stacks.update(template(), NAME)["StackStatus"] == "UPDATE_COMPLETE"


def test_what_was_scaled_by_hand_stays_until_the_sizes_change(stacks):
    autoscaling = stacks.api.client("autoscaling")
    autoscaling.set_desired_capacity(AutoScalingGroupName="chat-lab-app", DesiredCapacity=3)
    body = template()
    body["Resources"]["AppGroup"]["Properties"]["HealthCheckGracePeriod"] = 601
    assert stacks.update(body, NAME)["StackStatus"] == "UPDATE_COMPLETE"

    def desired():
        found = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=["chat-lab-app"])
        return found["AutoScalingGroups"][0]["DesiredCapacity"]

    assert desired() == 3
    body["Resources"]["AppGroup"]["Properties"]["MaxSize"] = "5"
    assert stacks.update(body, NAME)["StackStatus"] == "UPDATE_COMPLETE"
    assert desired() == 2
    assert stacks.update(template(), NAME)["StackStatus"] == "UPDATE_COMPLETE"


def test_a_failed_update_goes_back(stacks):
    before = stacks.ids(NAME)
    body = template()
    body["Resources"]["SiteTargets"]["Properties"]["HealthCheckPath"] = "/elsewhere"
    body["Resources"]["New"] = {"Type": "AWS::EC2::InternetGateway", "Properties": {}}
    body["Resources"]["Bad"] = {
        "Type": "AWS::EC2::Subnet",
        "DependsOn": ["New", "SiteTargets"],
        "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "192.168.0.0/24"},
    }
    found = stacks.update(body, NAME)
    assert found["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert "InvalidSubnet.Range" in stacks.reasons(NAME)["Bad"]
    assert stacks.ids(NAME) == before
    groups = stacks.api.client("elbv2").describe_target_groups(TargetGroupArns=[before["SiteTargets"]])
    assert groups["TargetGroups"][0]["HealthCheckPath"] == "/healthz"
    gateways = stacks.api.client("ec2").describe_internet_gateways()["InternetGateways"]
    assert len(gateways) == 1


@pytest.mark.parametrize(
    ("resource", "reason"),
    [
        ({"Type": "AWS::Nowhere::Thing"}, "does not know resources of type AWS::Nowhere::Thing"),
        (
            {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.9.0.0/16", "Ipv4IpamPoolId": "x"}},
            "Ipv4Ipam",
        ),
        ({"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": "vpc-0", "CidrBlock": "10.9.0.0/24"}}, "vpc-0"),
    ],
)
def test_what_the_lab_does_not_know_fails_the_stack_and_leaves_nothing(stacks, resource, reason):
    body = {
        "Resources": {
            "First": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.8.0.0/16"}},
            "Wrong": resource | {"DependsOn": "First"},
        }
    }
    found = stacks.create(body, f"wrong-{reason[:4].strip()}".replace("4", ""), OnFailure="ROLLBACK")
    assert found["StackStatus"] == "ROLLBACK_COMPLETE"
    assert reason in stacks.reasons(found["StackName"])["Wrong"]
    vpcs = stacks.api.client("ec2").describe_vpcs()["Vpcs"]
    assert "10.8.0.0/16" not in {vpc["CidrBlock"] for vpc in vpcs}
    stacks.client.delete_stack(StackName=found["StackName"])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{", "JSON"),
        ('{"Resources": {}}', "At least one Resources member"),
        (
            '{"Resources": {"A": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": {"Ref": "B"}}}}}',
            r"\[B\]",
        ),
        (
            '{"Resources": {"A": {"Type": "AWS::EC2::EIP", "DependsOn": "B"},'
            ' "B": {"Type": "AWS::EC2::EIP", "DependsOn": "A"}}}',
            "A -> B -> A",
        ),
        ('{"Resources": {"A": {"Type": "AWS::EC2::EIP", "CreationPolicy": {}}}}', "CreationPolicy"),
    ],
)
def test_a_template_that_makes_no_sense_is_refused_before_anything_is_made(stacks, body, message):
    with pytest.raises(ClientError, match=message):
        stacks.client.create_stack(StackName="nonsense", TemplateBody=body)


def test_functions_and_conditions(stacks):
    body = {
        "Parameters": {"Kind": {"Type": "String", "Default": "big"}},
        "Mappings": {"Net": {"big": {"Cidr": "10.7.0.0/16"}}},
        "Conditions": {
            "Big": {"Fn::Equals": [{"Ref": "Kind"}, "big"]},
            "Small": {"Fn::Not": [{"Condition": "Big"}]},
        },
        "Resources": {
            "Net": {
                "Type": "AWS::EC2::VPC",
                "Properties": {
                    "CidrBlock": {"Fn::FindInMap": ["Net", {"Ref": "Kind"}, "Cidr"]},
                    "Tags": [
                        {"Key": "Name", "Value": {"Fn::Sub": "${AWS::StackName}-${Kind}-${!literal}"}},
                        {"Key": "Zone", "Value": {"Fn::Select": [1, {"Fn::GetAZs": ""}]}},
                        {"Fn::If": ["Small", {"Key": "no", "Value": "no"}, {"Ref": "AWS::NoValue"}]},
                    ],
                },
            },
            "Never": {"Type": "AWS::EC2::EIP", "Condition": "Small"},
        },
        "Outputs": {
            "Joined": {"Value": {"Fn::Join": ["-", ["a", {"Fn::GetAtt": ["Net", "CidrBlock"]}]]}},
            "Never": {"Value": {"Ref": "Never"}, "Condition": "Small"},
        },
    }
    found = stacks.create(body, "functions")
    assert found["StackStatus"] == "CREATE_COMPLETE", stacks.reasons("functions")
    assert found["Outputs"] == [{"OutputKey": "Joined", "OutputValue": "a-10.7.0.0/16"}]
    assert list(stacks.ids("functions")) == ["Net"]
    vpc = stacks.api.client("ec2").describe_vpcs(VpcIds=[stacks.ids("functions")["Net"]])["Vpcs"][0]
    assert vpc["Tags"] == [
        {"Key": "Name", "Value": "functions-big-${literal}"},
        {"Key": "Zone", "Value": "eu-west-1b"},
    ]


def test_an_alarm_is_kept_with_all_that_is_said_of_it(stacks):
    alarm = {
        "AlarmName": "errors",
        "AlarmDescription": "why",
        "Namespace": "AWS/ApplicationELB",
        "MetricName": "HTTPCode_Target_5XX_Count",
        "Statistic": "Sum",
        "Dimensions": [{"Name": "LoadBalancer", "Value": "app/x/1"}],
        "Period": 60,
        "EvaluationPeriods": 5,
        "DatapointsToAlarm": 3,
        "Threshold": "10",
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",
        "AlarmActions": ["arn:aws:sns:eu-west-1:123456789012:topic"],
        "OKActions": ["arn:aws:sns:eu-west-1:123456789012:topic"],
        "Tags": [{"Key": "a", "Value": "b"}],
    }
    body = {"Resources": {"Errors": {"Type": "AWS::CloudWatch::Alarm", "Properties": alarm}}}
    body["Outputs"] = {"Arn": {"Value": {"Fn::GetAtt": ["Errors", "Arn"]}}}
    made = stacks.create(body, "alarming")
    assert made["StackStatus"] == "CREATE_COMPLETE", stacks.reasons("alarming")
    arn = made["Outputs"][0]["OutputValue"]
    cloudwatch = stacks.api.client("cloudwatch")

    def told():
        found = cloudwatch.describe_alarms(AlarmNames=["errors"])["MetricAlarms"][0]
        tags = cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"]
        assert found["StateValue"] == "INSUFFICIENT_DATA"
        return {key: found[key] for key in alarm if key != "Tags"} | {"Tags": tags}

    assert told() == alarm | {"Threshold": 10.0}
    alarm |= {"Threshold": 20, "Tags": [{"Key": "c", "Value": "d"}]}
    assert stacks.update(body, "alarming")["StackStatus"] == "UPDATE_COMPLETE"
    assert told() == alarm
    stacks.client.delete_stack(StackName="alarming")
    stacks.rest(made["StackId"])
    assert cloudwatch.describe_alarms(AlarmNames=["errors"])["MetricAlarms"] == []


def test_a_role_can_have_a_boundary(stacks):
    iam = stacks.api.client("iam")
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    arn = iam.create_policy(PolicyName="most", PolicyDocument=json.dumps(document))["Policy"]["Arn"]
    properties = {"AssumeRolePolicyDocument": document, "RoleName": "bounded", "PermissionsBoundary": arn}
    body = {"Resources": {"R": {"Type": "AWS::IAM::Role", "Properties": properties}}}
    assert stacks.create(body, "bounded")["StackStatus"] == "CREATE_COMPLETE"
    found = iam.get_role(RoleName="bounded")["Role"]["PermissionsBoundary"]
    assert found["PermissionsBoundaryArn"] == arn
    properties["PermissionsBoundary"] = "arn:aws:iam::123456789012:policy/missing"
    assert stacks.update(body, "bounded")["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert stacks.reasons("bounded")["R"].startswith("Scope ARN: arn:aws:iam::123456789012:policy/missing")
    del properties["PermissionsBoundary"]
    assert stacks.update(body, "bounded")["StackStatus"] == "UPDATE_COMPLETE"
    assert "PermissionsBoundary" not in iam.get_role(RoleName="bounded")["Role"]


def test_deleting_keeps_what_is_to_be_kept_and_nothing_else(stacks):
    name = "short-lived"
    body = {
        "Resources": {
            "Kept": {
                "Type": "AWS::S3::Bucket",
                "DeletionPolicy": "RetainExceptOnCreate",
                "Properties": {"BucketName": "kept-bucket"},
            },
            "Gone": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.6.0.0/16"}},
        }
    }
    stacks.create(body, name, EnableTerminationProtection=True)
    with pytest.raises(ClientError, match="TerminationProtection is enabled"):
        stacks.client.delete_stack(StackName=name)
    stacks.client.update_termination_protection(StackName=name, EnableTerminationProtection=False)
    identity = stacks.rest(name)["StackId"]
    stacks.client.delete_stack(StackName=name)
    assert stacks.rest(identity)["StackStatus"] == "DELETE_COMPLETE"
    with pytest.raises(ClientError, match="does not exist"):
        stacks.client.describe_stacks(StackName=name)
    buckets = stacks.api.client("s3").list_buckets()["Buckets"]
    assert "kept-bucket" in {bucket["Name"] for bucket in buckets}
    assert "10.6.0.0/16" not in {vpc["CidrBlock"] for vpc in stacks.api.client("ec2").describe_vpcs()["Vpcs"]}


def test_the_whole_stack_can_be_deleted(stacks):
    """Last of this module: nothing of it is there afterwards but the bucket that is to stay."""
    identity = stacks.rest(NAME)["StackId"]
    stacks.client.delete_stack(StackName=NAME)
    assert stacks.rest(identity)["StackStatus"] == "DELETE_COMPLETE", stacks.reasons(identity)
    api: boto3.client = stacks.api.client("ec2")
    left = [
        instance["State"]["Name"]
        for page in api.describe_instances()["Reservations"]
        for instance in page["Instances"]
    ]
    assert set(left) <= {"terminated"}
    assert stacks.api.client("elbv2").describe_load_balancers()["LoadBalancers"] == []
