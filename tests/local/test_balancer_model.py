"""What the lab reads of a load balancer from the API while somebody changes it."""

import pytest

from lab.balancer import model
from tests.shared import mocked


@pytest.fixture
def clients():
    with mocked.clients("elbv2", "ec2", "acm") as made:
        yield made


def test_a_group_and_its_listener_that_are_deleted_meanwhile_are_left_out(clients, monkeypatch):
    elbv2, ec2, acm = clients
    vpc = ec2.create_vpc(CidrBlock="10.50.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.50.{n}.0/24", AvailabilityZone=f"eu-west-1{zone}")
        for n, zone in enumerate("ab")
    ]
    (said,) = elbv2.create_load_balancer(
        Name="one", Subnets=[each["Subnet"]["SubnetId"] for each in subnets]
    )["LoadBalancers"]
    groups, listeners = {}, {}
    for port, name in ((80, "stays"), (81, "goes")):
        made = elbv2.create_target_group(Name=name, Protocol="HTTP", Port=port, VpcId=vpc)["TargetGroups"][0]
        groups[name] = made["TargetGroupArn"]
        listeners[name] = elbv2.create_listener(
            LoadBalancerArn=said["LoadBalancerArn"],
            Port=port,
            Protocol="HTTP",
            DefaultActions=[{"Type": "forward", "TargetGroupArn": groups[name]}],
        )["Listeners"][0]["ListenerArn"]
    describe = elbv2.describe_target_group_attributes

    def describe_what_is_gone(TargetGroupArn):
        if TargetGroupArn == groups["goes"]:
            elbv2.delete_listener(ListenerArn=listeners["goes"])
            elbv2.delete_target_group(TargetGroupArn=TargetGroupArn)
        return describe(TargetGroupArn=TargetGroupArn)

    monkeypatch.setattr(elbv2, "describe_target_group_attributes", describe_what_is_gone)
    found = model.read(said, "169.254.77.3", elbv2, ec2, acm)
    assert [group.name for group in found.target_groups] == ["stays"]
    assert [listener.port for listener in found.listeners] == [80]
