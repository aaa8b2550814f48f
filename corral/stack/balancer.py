"""The load balancer: 443 ends TLS and goes to port 80 of the app servers; plain 80 goes to their port 81."""

from dataclasses import dataclass

from troposphere import Ref, Template
from troposphere import elasticloadbalancingv2 as elb

from corral.settings import Settings
from corral.stack.network import Network
from corral.stack.security import Groups
from corral.stack.storage import Buckets
from corral.stack.tags import tags

# TLS 1.3 and 1.2 with forward secrecy only (Elastic Load Balancing, "Security policies").
TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-Res-2021-06"


@dataclass(frozen=True)
class Front:
    """The balancer and what it sends requests to."""

    balancer: elb.LoadBalancer
    site: elb.TargetGroup
    redirect: elb.TargetGroup


def add(
    template: Template,
    settings: Settings,
    net: Network,
    groups: Groups,
    buckets: Buckets,
    certificate: str | Ref,
) -> Front:
    """Add the balancer, its listeners and target groups. `certificate` is an ARN."""
    balancer = elb.LoadBalancer(
        "Balancer",
        Name=settings.stack_name,
        Type="application",
        Scheme="internet-facing",
        Subnets=[Ref(subnet) for subnet in net.public],
        SecurityGroups=[Ref(groups["balancer"])],
        LoadBalancerAttributes=[
            elb.LoadBalancerAttributes(Key=key, Value=value)
            for key, value in _attributes(settings, buckets).items()
        ],
        Tags=tags(settings, "balancer"),
    )
    # A balancer that faces the internet needs the way there; one with logs checks that it may write them.
    first = [net.way_out.title, *([buckets.logs_policy.title] if buckets.logs_policy else [])]
    balancer.DependsOn = first
    template.add_resource(balancer)

    # nginx passes /healthz on to Node, which answers by itself. It must not ask the database: the group
    # replaces servers that fail this check, and a database that restarts must not take them all with it.
    site = _targets(template, settings, net, "Site", port=80, check="/healthz")
    # nginx answers here by itself: what must work is the redirect, nothing behind it.
    redirect = _targets(template, settings, net, "Redirect", port=81, check="/corral/health")

    template.add_resource(
        elb.Listener(
            "HttpsListener",
            LoadBalancerArn=Ref(balancer),
            Port=443,
            Protocol="HTTPS",
            SslPolicy=TLS_POLICY,
            Certificates=[elb.Certificate(CertificateArn=certificate)],
            DefaultActions=[elb.Action(Type="forward", TargetGroupArn=Ref(site))],
        )
    )
    template.add_resource(
        elb.Listener(
            "HttpListener",
            LoadBalancerArn=Ref(balancer),
            Port=80,
            Protocol="HTTP",
            DefaultActions=[elb.Action(Type="forward", TargetGroupArn=Ref(redirect))],
        )
    )
    return Front(balancer, site, redirect)


def _attributes(settings: Settings, buckets: Buckets) -> dict[str, str | Ref]:
    logs: dict[str, str | Ref] = {"access_logs.s3.enabled": "false"}
    if buckets.logs:
        logs = {"access_logs.s3.enabled": "true", "access_logs.s3.bucket": Ref(buckets.logs)}
    return {
        "deletion_protection.enabled": str(settings.balancer.deletion_protection).lower(),
        "idle_timeout.timeout_seconds": str(settings.balancer.idle_seconds),
        "routing.http.drop_invalid_header_fields.enabled": "true",
        "routing.http.preserve_host_header.enabled": "true",
        **logs,
    }


def _targets(
    template: Template, settings: Settings, net: Network, title: str, *, port: int, check: str
) -> elb.TargetGroup:
    """A target group: two good answers within 20 seconds let a server in, two bad ones send it away."""
    attributes = {"deregistration_delay.timeout_seconds": str(settings.app.drain_seconds)}
    return template.add_resource(
        elb.TargetGroup(
            f"{title}Targets",
            VpcId=Ref(net.vpc),
            Protocol="HTTP",
            Port=port,
            TargetType="instance",
            HealthCheckProtocol="HTTP",
            HealthCheckPort="traffic-port",
            HealthCheckPath=check,
            HealthCheckIntervalSeconds=10,
            HealthCheckTimeoutSeconds=5,
            HealthyThresholdCount=2,
            UnhealthyThresholdCount=2,
            Matcher=elb.Matcher(HttpCode="200"),
            TargetGroupAttributes=[
                elb.TargetGroupAttribute(Key=key, Value=value) for key, value in attributes.items()
            ],
            Tags=tags(settings, f"port-{port}"),
        )
    )
