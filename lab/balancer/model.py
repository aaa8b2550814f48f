"""What the API says of a load balancer: listeners, target groups, targets, and whence it speaks."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from corral.errors import CorralError
from lab.balancer.places import source

SEE = "docs/lab.md"


@dataclass(frozen=True)
class Target:
    """A registered target: an instance's id, or an address in a group of addresses."""

    id: str
    port: int


@dataclass(frozen=True)
class TargetGroup:
    """A target group with its health check; times in seconds."""

    arn: str
    name: str
    protocol: str
    targets: tuple[Target, ...]
    check_protocol: str
    check_port: str
    check_path: str
    check_codes: str
    interval: int
    timeout: int
    healthy: int
    unhealthy: int
    drain: int


@dataclass(frozen=True)
class Listener:
    """A listener and what it does; `domains`: the names of each of its certificates, the default first."""

    port: int
    protocol: str
    ssl_policy: str
    domains: tuple[tuple[str, ...], ...]
    action: Mapping[str, Any]

    @property
    def target_group(self) -> str | None:
        """ARN of the group that it forwards to."""
        if self.action["Type"] != "forward":
            return None
        several = self.action.get("ForwardConfig", {}).get("TargetGroups", [])
        if len(several) > 1:
            raise CorralError(
                "The lab's load balancer forwards to one target group per listener.",
                f"Give the listener on port {self.port} one target group.",
                SEE,
            )
        return str(self.action.get("TargetGroupArn") or several[0]["TargetGroupArn"])


@dataclass(frozen=True)
class Balancer:
    """A load balancer. `zones`: zone -> the address it speaks from. `groups`: ids of its security groups.

    `address`: its own, to which its names lead. `environment`: of its tags; "" without.
    """

    arn: str
    name: str
    dns_name: str
    address: str
    environment: str
    groups: tuple[str, ...]
    zones: Mapping[str, str]
    attributes: Mapping[str, str]
    listeners: tuple[Listener, ...]
    target_groups: tuple[TargetGroup, ...]

    @property
    def addresses(self) -> list[str]:
        """The addresses it speaks from, in the order of its zones."""
        return [self.zones[zone] for zone in sorted(self.zones)]


def read(said: Mapping[str, Any], address: str, elbv2: Any, ec2: Any, acm: Any) -> Balancer:
    """Ask the API (boto3 clients) all about one. Raises CorralError for what the lab's balancers can't do.

    `said`: what DescribeLoadBalancers says of it. `address`: its own. Its target groups are all of its VPC.
    """
    arn = said["LoadBalancerArn"]
    attributes = elbv2.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
    tags = elbv2.describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"]
    subnets = [zone["SubnetId"] for zone in said["AvailabilityZones"]]
    listeners = _listeners(arn, elbv2, acm)
    groups = _target_groups(said["VpcId"], elbv2)
    # A group in use can't be deleted: a listener whose group is gone went before it, since it was listed.
    there = {None, *(group.arn for group in groups)}
    return Balancer(
        arn=arn,
        name=said["LoadBalancerName"],
        dns_name=said["DNSName"],
        address=address,
        environment=next((tag["Value"] for tag in tags if tag["Key"] == "corral:environment"), ""),
        groups=tuple(sorted(said.get("SecurityGroups", []))),
        zones={
            subnet["AvailabilityZone"]: source(address, subnet["CidrBlock"])
            for subnet in (ec2.describe_subnets(SubnetIds=subnets)["Subnets"] if subnets else [])
        },
        attributes={each["Key"]: each["Value"] for each in attributes},
        listeners=tuple(listener for listener in listeners if listener.target_group in there),
        target_groups=tuple(groups),
    )


def _listeners(arn: str, elbv2: Any, acm: Any) -> list[Listener]:
    listeners = []
    for each in elbv2.describe_listeners(LoadBalancerArn=arn)["Listeners"]:
        try:
            rules = elbv2.describe_rules(ListenerArn=each["ListenerArn"])["Rules"]
        except elbv2.exceptions.ListenerNotFoundException:
            continue  # deleted since it was listed
        if any(not rule["IsDefault"] for rule in rules):
            raise CorralError(
                f"The listener on port {each['Port']} has rules; the lab's load balancer knows default "
                "actions only.",
                "Let nginx decide by host and path.",
                SEE,
            )
        listeners.append(_listener(each, acm))
    return sorted(listeners, key=lambda listener: listener.port)


def _listener(said: Mapping[str, Any], acm: Any) -> Listener:
    domains = []
    for certificate in said.get("Certificates", []):
        about = acm.describe_certificate(CertificateArn=certificate["CertificateArn"])["Certificate"]
        domains.append(tuple(sorted({about["DomainName"], *about.get("SubjectAlternativeNames", [])})))
    return Listener(
        port=int(said["Port"]),
        protocol=said["Protocol"],
        ssl_policy=said.get("SslPolicy") or "",
        domains=tuple(domains),
        action=said["DefaultActions"][-1],
    )


def _target_groups(vpc: str, elbv2: Any) -> list[TargetGroup]:
    groups = []
    for each in elbv2.describe_target_groups()["TargetGroups"]:
        if each.get("VpcId") == vpc:
            # It may be deleted since it was listed.
            with contextlib.suppress(elbv2.exceptions.TargetGroupNotFoundException):
                groups.append(_target_group(each, elbv2))
    return groups


def _target_group(said: Mapping[str, Any], elbv2: Any) -> TargetGroup:
    arn = said["TargetGroupArn"]
    attributes = {
        each["Key"]: each["Value"]
        for each in elbv2.describe_target_group_attributes(TargetGroupArn=arn)["Attributes"]
    }
    health = elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    # Those that drain are no longer registered.
    registered = [each["Target"] for each in health if each["TargetHealth"]["State"] != "draining"]
    return TargetGroup(
        arn=arn,
        name=said["TargetGroupName"],
        protocol=said["Protocol"],
        targets=tuple(
            sorted((Target(each["Id"], int(each["Port"])) for each in registered), key=lambda each: each.id)
        ),
        check_protocol=said.get("HealthCheckProtocol") or "HTTP",
        check_port=str(said.get("HealthCheckPort") or "traffic-port"),
        check_path=said.get("HealthCheckPath") or "/",
        check_codes=said.get("Matcher", {}).get("HttpCode") or "200",
        interval=int(said["HealthCheckIntervalSeconds"]),
        timeout=int(said["HealthCheckTimeoutSeconds"]),
        healthy=int(said["HealthyThresholdCount"]),
        unhealthy=int(said["UnhealthyThresholdCount"]),
        drain=int(attributes.get("deregistration_delay.timeout_seconds") or 300),
    )
