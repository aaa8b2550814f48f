"""Load balancer, listeners and target groups."""
# ruff: noqa: D102 (what create, update, delete and attributes do is said once, in base.py)

from typing import Any

from lab.cloud.cloudformation.resources.base import (
    Cloud,
    Kind,
    Properties,
    changed,
    names,
    pick,
    tag_differences,
)

HEALTH = (
    "HealthCheckEnabled HealthCheckIntervalSeconds HealthCheckPath HealthCheckPort HealthCheckProtocol "
    "HealthCheckTimeoutSeconds HealthyThresholdCount Matcher UnhealthyThresholdCount"
)
LISTENER = "Certificates DefaultActions Port Protocol SslPolicy"


def retag(cloud: Cloud, arn: str, given: Properties, before: Properties) -> None:
    """Bring the tags of a resource of Elastic Load Balancing to those given."""
    put, take = tag_differences(given, before)
    if take:
        cloud("elbv2").remove_tags(ResourceArns=[arn], TagKeys=take)
    if put:
        cloud("elbv2").add_tags(ResourceArns=[arn], Tags=put)


class LoadBalancer(Kind):
    """An application load balancer."""

    type = "AWS::ElasticLoadBalancingV2::LoadBalancer"
    properties = names("LoadBalancerAttributes Name Scheme SecurityGroups Subnets Tags Type")
    replaced_by = names("Name Scheme Type")
    name = "Name"
    longest_name = 32

    def create(self, cloud: Cloud, given: Properties) -> str:
        words = pick(given, "Name Scheme SecurityGroups Subnets Tags Type")
        arn: str = cloud("elbv2").create_load_balancer(**words)["LoadBalancers"][0]["LoadBalancerArn"]
        self._attributes(cloud, arn, given)
        return arn

    def update(self, cloud: Cloud, physical: str, given: Properties, before: Properties) -> None:
        balancers = cloud("elbv2")
        if changed(given, before, "SecurityGroups"):
            balancers.set_security_groups(LoadBalancerArn=physical, **pick(given, "SecurityGroups"))
        if changed(given, before, "Subnets"):
            balancers.set_subnets(LoadBalancerArn=physical, **pick(given, "Subnets"))
        if changed(given, before, "LoadBalancerAttributes"):
            self._attributes(cloud, physical, given)
        retag(cloud, physical, given, before)

    def delete(self, cloud: Cloud, physical: str, given: Properties) -> None:
        cloud("elbv2").delete_load_balancer(LoadBalancerArn=physical)

    def attributes(self, cloud: Cloud, physical: str) -> dict[str, str]:
        found: dict[str, Any] = cloud("elbv2").describe_load_balancers(LoadBalancerArns=[physical])[
            "LoadBalancers"
        ][0]
        return {
            "DNSName": found["DNSName"],
            "CanonicalHostedZoneID": found["CanonicalHostedZoneId"],
            "LoadBalancerArn": physical,
            "LoadBalancerName": found["LoadBalancerName"],
            "LoadBalancerFullName": physical.partition(":loadbalancer/")[2],
        }

    def _attributes(self, cloud: Cloud, arn: str, given: Properties) -> None:
        if given.get("LoadBalancerAttributes"):
            cloud("elbv2").modify_load_balancer_attributes(
                LoadBalancerArn=arn, Attributes=given["LoadBalancerAttributes"]
            )


class TargetGroup(Kind):
    """A target group."""

    type = "AWS::ElasticLoadBalancingV2::TargetGroup"
    properties = names(f"{HEALTH} Name Port Protocol Tags TargetGroupAttributes TargetType VpcId")
    replaced_by = names("Name Port Protocol TargetType VpcId")
    name = "Name"
    longest_name = 32

    def create(self, cloud: Cloud, given: Properties) -> str:
        words = pick(given, f"{HEALTH} Name Port Protocol Tags TargetType VpcId")
        arn: str = cloud("elbv2").create_target_group(**words)["TargetGroups"][0]["TargetGroupArn"]
        self._attributes(cloud, arn, given)
        return arn

    def update(self, cloud: Cloud, physical: str, given: Properties, before: Properties) -> None:
        if changed(given, before, HEALTH):
            cloud("elbv2").modify_target_group(TargetGroupArn=physical, **pick(given, HEALTH))
        if changed(given, before, "TargetGroupAttributes"):
            self._attributes(cloud, physical, given)
        retag(cloud, physical, given, before)

    def delete(self, cloud: Cloud, physical: str, given: Properties) -> None:
        cloud("elbv2").delete_target_group(TargetGroupArn=physical)

    def attributes(self, cloud: Cloud, physical: str) -> dict[str, str]:
        full = physical.rpartition(":")[2]
        return {
            "TargetGroupArn": physical,
            "TargetGroupName": full.split("/")[1],
            "TargetGroupFullName": full,
        }

    def _attributes(self, cloud: Cloud, arn: str, given: Properties) -> None:
        if given.get("TargetGroupAttributes"):
            cloud("elbv2").modify_target_group_attributes(
                TargetGroupArn=arn, Attributes=given["TargetGroupAttributes"]
            )


class Listener(Kind):
    """What a load balancer does on one port."""

    type = "AWS::ElasticLoadBalancingV2::Listener"
    properties = names(f"{LISTENER} LoadBalancerArn")
    replaced_by = names("LoadBalancerArn")

    def create(self, cloud: Cloud, given: Properties) -> str:
        arn: str = cloud("elbv2").create_listener(**given)["Listeners"][0]["ListenerArn"]
        return arn

    def update(self, cloud: Cloud, physical: str, given: Properties, before: Properties) -> None:
        cloud("elbv2").modify_listener(ListenerArn=physical, **pick(given, LISTENER))

    def delete(self, cloud: Cloud, physical: str, given: Properties) -> None:
        cloud("elbv2").delete_listener(ListenerArn=physical)

    def attributes(self, cloud: Cloud, physical: str) -> dict[str, str]:
        return {"ListenerArn": physical}
