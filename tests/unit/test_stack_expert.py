"""What an AWS expert looks for in a template: one test for each point, for every environment."""

import json
from ipaddress import IPv4Network

import pytest

from corral.settings import SINGLETONS, known, load
from tests.unit.stacks import properties, rendered, resources

pytestmark = pytest.mark.parametrize("name", known())
ROLES = {"app", "db", "elk", "release"}


def of_role(name, kind, suffix):
    """Properties by role of resources such as "AppLaunch"."""
    found = {title.removesuffix(suffix).lower(): each for title, each in properties(name, kind).items()}
    assert set(found) == ROLES
    return found


def launches(name):
    found = of_role(name, "AWS::EC2::LaunchTemplate", "Launch")
    return {role: each["LaunchTemplateData"] for role, each in found.items()}


def groups(name):
    return of_role(name, "AWS::AutoScaling::AutoScalingGroup", "Group")


def with_servers(size):
    """The size of a group that has no server as long as the environment has none."""
    return {"Fn::If": ["WithServers", str(size), "0"]}


def attributes(said):
    return {each["Key"]: each["Value"] for each in said}


# The network.


def test_two_zones_or_more_each_with_a_public_and_a_private_subnet(name):
    subnets = properties(name, "AWS::EC2::Subnet")
    zones = load(name).zones
    assert len(zones) >= 2
    for kind in ("Public", "Private"):
        assert [
            each["AvailabilityZone"] for title, each in subnets.items() if title.startswith(kind)
        ] == list(zones)
    networks = [IPv4Network(each["CidrBlock"]) for each in subnets.values()]
    assert not [1 for a in networks for b in networks if a is not b and a.overlaps(b)]


def test_servers_are_in_private_subnets_and_get_no_public_address(name):
    for group in groups(name).values():
        assert all(subnet["Ref"].startswith("Private") for subnet in group["VPCZoneIdentifier"])
    assert not any(subnet["MapPublicIpOnLaunch"] for subnet in properties(name, "AWS::EC2::Subnet").values())
    assert not any("NetworkInterfaces" in launch for launch in launches(name).values())


def test_private_subnets_have_no_way_to_the_internet_but_nat(name):
    routes = properties(name, "AWS::EC2::Route")
    assert [title for title, each in routes.items() if "GatewayId" in each] == ["PublicWayOut"]
    settings = load(name)
    wanted = {"none": 0, "one": 1, "per-zone": len(settings.zones)}[settings.network.nat]
    assert len(resources(name, "AWS::EC2::NatGateway")) == wanted
    assert len([1 for each in routes.values() if "NatGatewayId" in each]) == (
        len(settings.zones) if wanted else 0
    )


def test_s3_is_reached_by_a_gateway_endpoint_from_every_private_subnet(name):
    (endpoint,) = properties(name, "AWS::EC2::VPCEndpoint").values()
    assert endpoint["VpcEndpointType"] == "Gateway"
    assert endpoint["ServiceName"] == "com.amazonaws.eu-west-1.s3"
    tables = [each["Ref"] for each in endpoint["RouteTableIds"]]
    assert tables == [f"PrivateRoutes{zone[-1].upper()}" for zone in load(name).zones]


def test_groups_name_groups_and_the_world_only_reaches_the_balancer(name):
    for title, group in properties(name, "AWS::EC2::SecurityGroup").items():
        # Explicit: without a rule EC2 would let everything out.
        assert group["SecurityGroupEgress"]
        networks = {rule["CidrIp"] for rule in group["SecurityGroupIngress"]}
        world = [
            (r["FromPort"], r["ToPort"]) for r in group["SecurityGroupIngress"] if r["CidrIp"] == "0.0.0.0/0"
        ]
        assert world == ([(80, 80), (443, 443)] if title == "BalancerSecurityGroup" else [])
        operators = {*load(name).network.operator_cidrs, *load(name).network.direct_ssh_cidrs}
        assert networks - {"0.0.0.0/0"} <= operators
    for rule in properties(name, "AWS::EC2::SecurityGroupIngress").values():
        assert "SourceSecurityGroupId" in rule and "CidrIp" not in rule


# The servers.


def test_metadata_wants_tokens_and_goes_no_further_than_the_host(name):
    for launch in launches(name).values():
        assert launch["MetadataOptions"] == {
            "HttpEndpoint": "enabled",
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": 1,
            "InstanceMetadataTags": "enabled",
        }


def test_root_volumes_are_gp3_encrypted_and_tagged(name):
    for launch in launches(name).values():
        (device,) = launch["BlockDeviceMappings"]
        assert device["Ebs"]["VolumeType"] == "gp3"
        assert device["Ebs"]["Encrypted"] is True
        (tagged,) = launch["TagSpecifications"]
        assert tagged["ResourceType"] == "volume"
        assert attributes(tagged["Tags"])["corral:environment"] == name


def test_the_image_comes_from_a_parameter_of_the_environment(name):
    image = rendered(name)["Parameters"]["Image"]
    assert image["Type"] == "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>"
    assert image["Default"] == f"/corral/{name}/image"
    assert all(launch["ImageId"] == {"Ref": "Image"} for launch in launches(name).values())


def test_app_servers_are_judged_by_the_load_balancer_with_grace(name):
    app = groups(name)["app"]
    assert app["HealthCheckType"] == "ELB"
    assert app["HealthCheckGracePeriod"] >= 60
    assert app["TargetGroupARNs"] == [{"Ref": "SiteTargets"}, {"Ref": "RedirectTargets"}]


def test_every_group_has_hooks_for_launch_and_termination(name):
    for group in groups(name).values():
        hooks = {
            each["LifecycleHookName"]: (each["LifecycleTransition"], each["DefaultResult"])
            for each in group["LifecycleHookSpecificationList"]
        }
        assert hooks == {
            "launch": ("autoscaling:EC2_INSTANCE_LAUNCHING", "ABANDON"),
            "terminate": ("autoscaling:EC2_INSTANCE_TERMINATING", "CONTINUE"),
        }


def test_the_group_spans_all_zones_and_has_its_sizes_from_the_settings(name):
    app, settings = groups(name)["app"], load(name)
    assert [subnet["Ref"] for subnet in app["VPCZoneIdentifier"]] == [
        f"Private{zone[-1].upper()}" for zone in settings.zones
    ]
    sizes = (app["MinSize"], app["DesiredCapacity"], app["MaxSize"])
    numbers = (settings.app.min, settings.app.desired, settings.app.max)
    assert sizes == tuple(map(with_servers, numbers))


def test_servers_are_replaced_one_by_one_and_only_by_consent(name):
    for title, group in resources(name, "AWS::AutoScaling::AutoScalingGroup").items():
        condition, rolling, otherwise = group["UpdatePolicy"]["AutoScalingRollingUpdate"]["Fn::If"]
        assert (condition, otherwise) == ("ServersMayBeReplaced", {"Ref": "AWS::NoValue"})
        assert rolling["MaxBatchSize"] == "1"
        least = 0 if title != "AppGroup" else min(load(name).app.min, load(name).app.max - 1)
        assert rolling["MinInstancesInService"] == str(least)
        assert group["UpdatePolicy"]["AutoScalingScheduledAction"] == {
            "IgnoreUnmodifiedGroupSizeProperties": True
        }
    assert rendered(name)["Parameters"]["ReplaceServers"]["Default"] == "no"
    assert rendered(name)["Conditions"]["ServersMayBeReplaced"] == {
        "Fn::Equals": [{"Ref": "ReplaceServers"}, "yes"]
    }


def test_who_forgets_to_say_whether_there_are_servers_takes_no_running_fleet_away(name):
    assert rendered(name)["Parameters"]["Servers"]["Default"] == "yes"
    assert rendered(name)["Conditions"]["WithServers"] == {"Fn::Equals": [{"Ref": "Servers"}, "yes"]}


def test_singletons_are_groups_of_one_with_their_data_on_a_volume_of_its_own(name):
    volumes = of_singletons = resources(name, "AWS::EC2::Volume")
    assert set(volumes) == {f"{role.capitalize()}Volume" for role in SINGLETONS}
    for role in SINGLETONS:
        group, volume = groups(name)[role], of_singletons[f"{role.capitalize()}Volume"]["Properties"]
        assert (group["MinSize"], group["DesiredCapacity"], group["MaxSize"]) == (with_servers(1),) * 3
        assert (volume["VolumeType"], volume["Encrypted"]) == ("gp3", True)
        assert volume["Size"] == load(name).singleton(role).data_gib
        # A volume can't leave its zone: its server is launched there.
        zone = volume["AvailabilityZone"]
        assert group["VPCZoneIdentifier"] == [{"Ref": f"Private{zone[-1].upper()}"}]
        tags = {tag["Key"]: tag for tag in group["Tags"]}
        assert tags["corral:data-volume"]["Value"] == {"Ref": f"{role.capitalize()}Volume"}
        assert tags["corral:data-volume"]["PropagateAtLaunch"] is True


def test_no_server_boots_before_there_is_a_way_to_aws(name):
    for group in resources(name, "AWS::AutoScaling::AutoScalingGroup").values():
        before = set(group["DependsOn"])
        assert "S3Endpoint" in before
        for zone in load(name).zones:
            assert f"Private{zone[-1].upper()}Routes" in before
        if load(name).network.nat != "none":
            assert {title for title in before if title.startswith("PrivateWayOut")}


# The load balancer.


def test_tls_is_1_2_or_1_3(name):
    listeners = {
        each["Port"]: each for each in properties(name, "AWS::ElasticLoadBalancingV2::Listener").values()
    }
    assert set(listeners) == {80, 443}
    assert listeners[443]["SslPolicy"].startswith("ELBSecurityPolicy-TLS13-1-2-")
    assert listeners[443]["Certificates"]


def test_the_balancer_drops_invalid_headers_and_is_protected_and_logs_as_the_settings_say(name):
    (balancer,) = properties(name, "AWS::ElasticLoadBalancingV2::LoadBalancer").values()
    said, settings = attributes(balancer["LoadBalancerAttributes"]), load(name).balancer
    assert said["routing.http.drop_invalid_header_fields.enabled"] == "true"
    assert said["deletion_protection.enabled"] == str(settings.deletion_protection).lower()
    assert said["access_logs.s3.enabled"] == str(settings.access_logs).lower()


def test_access_logs_have_a_bucket_that_lets_the_balancer_write_and_nobody_else(name):
    policies = properties(name, "AWS::S3::BucketPolicy")
    if not load(name).balancer.access_logs:
        assert "LogsBucketPolicy" not in policies
        return
    statements = policies["LogsBucketPolicy"]["PolicyDocument"]["Statement"]
    (write,) = [each for each in statements if each["Effect"] == "Allow"]
    assert write["Principal"] == {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"}
    assert write["Action"] == "s3:PutObject"
    assert write["Resource"].endswith(f"/AWSLogs/{load(name).account}/*")


def test_targets_drain_as_long_as_the_file_says_and_are_checked_on_the_port_that_serves(name):
    targets = properties(name, "AWS::ElasticLoadBalancingV2::TargetGroup")
    assert {title: (each["Port"], each["HealthCheckPath"]) for title, each in targets.items()} == {
        "SiteTargets": (80, "/healthz"),
        "RedirectTargets": (81, "/corral/health"),
    }
    for each in targets.values():
        assert each["HealthCheckPort"] == "traffic-port"
        said = attributes(each["TargetGroupAttributes"])
        assert said["deregistration_delay.timeout_seconds"] == str(load(name).app.drain_seconds)


# What holds data.


def test_buckets_are_versioned_private_owned_tls_only_encrypted_and_cleaned_up(name):
    policies = properties(name, "AWS::S3::BucketPolicy")
    for title, bucket in properties(name, "AWS::S3::Bucket").items():
        assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
        assert len(bucket["PublicAccessBlockConfiguration"]) == 4
        assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
        assert bucket["BucketEncryption"]
        rules = {rule["Id"] for rule in bucket["LifecycleConfiguration"]["Rules"]}
        assert {"expire-old-versions", "abort-uploads"} <= rules
        said = policies[f"{title}Policy"]["PolicyDocument"]["Statement"]
        (tls,) = [each for each in said if each["Sid"] == "TlsOnly"]
        assert tls["Effect"] == "Deny"
        assert tls["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert (tls["Principal"], tls["Action"], len(tls["Resource"])) == ("*", "s3:*", 2)


def test_what_holds_data_survives_deletion_and_replacement_unless_the_settings_let_it_go(name):
    kept = ("RetainExceptOnCreate", "Retain") if load(name).keep_data else (None, None)
    holders = {**resources(name, "AWS::S3::Bucket"), **resources(name, "AWS::EC2::Volume")}
    holders |= {t: e for t, e in resources(name, "AWS::Route53::HostedZone").items() if t == "SiteZone"}
    holders |= resources(name, "AWS::S3::BucketPolicy")
    assert holders
    for title, holder in holders.items():
        assert (holder.get("DeletionPolicy"), holder.get("UpdateReplacePolicy")) == kept, title
    others = {title: e for title, e in resources(name).items() if title not in holders}
    assert not [title for title, each in others.items() if "DeletionPolicy" in each]


# Everything.


def test_whatever_can_bear_tags_says_whose_it_is(name):
    without = {
        "AWS::EC2::Route",
        "AWS::EC2::SecurityGroupIngress",
        "AWS::EC2::SubnetRouteTableAssociation",
        "AWS::EC2::VPCGatewayAttachment",
        "AWS::ElasticLoadBalancingV2::Listener",
        "AWS::IAM::InstanceProfile",
        "AWS::Route53::RecordSet",
        "AWS::S3::BucketPolicy",
    }
    kinds = {each["Type"] for each in resources(name).values()}
    assert without <= kinds, "of what is not there nothing is to be excused"
    for title, each in resources(name).items():
        if each["Type"] not in without:
            said = each["Properties"]
            tags = said.get("Tags") or said.get("HostedZoneTags") or said["TagSpecifications"][0]["Tags"]
            assert attributes(tags)["corral:environment"] == name, title
            assert attributes(tags)["corral:project"] == "chat", title


def test_alarms_tell_of_errors_and_of_servers_that_do_not_answer(name):
    alarms = {each["AlarmName"]: each for each in properties(name, "AWS::CloudWatch::Alarm").values()}
    prefix = f"chat-{name}"
    assert {alarm: each["MetricName"] for alarm, each in alarms.items()} == {
        f"{prefix}-app-5xx": "HTTPCode_Target_5XX_Count",
        f"{prefix}-balancer-5xx": "HTTPCode_ELB_5XX_Count",
        f"{prefix}-unhealthy-hosts": "UnHealthyHostCount",
        f"{prefix}-no-hosts": "HealthyHostCount",
    }
    for each in alarms.values():
        assert each["Namespace"] == "AWS/ApplicationELB"
        assert ("AlarmActions" in each) == bool(load(name).alarm_topic)
    for each in resources(name, "AWS::CloudWatch::Alarm").values():
        assert (each["Condition"], each["DependsOn"]) == ("WithServers", "AppGroup"), "no servers, no alarm"


def test_the_site_is_an_alias_of_the_balancer_and_inner_names_are_private(name):
    zones = properties(name, "AWS::Route53::HostedZone")
    assert zones["PrivateZone"]["Name"] == f"{name}.internal"
    assert zones["PrivateZone"]["VPCs"] == [{"VPCId": {"Ref": "Vpc"}, "VPCRegion": "eu-west-1"}]
    (record,) = properties(name, "AWS::Route53::RecordSet").values()
    assert (record["Name"], record["Type"]) == (load(name).domain, "A")
    assert record["AliasTarget"]["DNSName"] == {"Fn::GetAtt": ["Balancer", "DNSName"]}


def test_termination_protection_is_on_where_it_matters(name):
    settings = load(name)
    protected = (settings.termination_protection, settings.balancer.deletion_protection)
    if name in {"live", "test"}:
        assert protected == (True, True)
    assert json.dumps(rendered(name)).count('"deletion_protection.enabled"') == 1
