"""The auto-scaling groups: how many servers, where, how they come and go, and when updates replace them."""

from troposphere import GetAtt, If, Ref, Template, autoscaling, ec2, policies

from corral.settings import Settings
from corral.stack.balancer import Front
from corral.stack.names import Zones
from corral.stack.network import Network
from corral.stack.statements import Id
from corral.stack.switches import AGREED, WITH_SERVERS
from corral.stack.tags import tags


def add_app(
    template: Template,
    settings: Settings,
    launch: ec2.LaunchTemplate,
    net: Network,
    zones: Zones,
    front: Front,
) -> None:
    """Add the group of the app servers: behind the balancer, over all zones, as many as the settings say."""
    app = settings.app
    _group(
        template,
        settings,
        "app",
        launch,
        net,
        zones,
        {},
        # CloudFormation wants one less than the group's most, so that it may go on at all.
        in_service=min(app.min, app.max - 1),
        sizes=(app.min, app.max, app.desired),
        VPCZoneIdentifier=[Ref(subnet) for subnet in net.private],
        TargetGroupARNs=[Ref(front.site), Ref(front.redirect)],
        HealthCheckType=app.health_check,
        HealthCheckGracePeriod=app.health_check_grace_seconds,
    )


def add_singleton(
    template: Template,
    settings: Settings,
    role: str,
    launch: ec2.LaunchTemplate,
    net: Network,
    zones: Zones,
    volume: Id,
) -> None:
    """Add a group of one, in the zone where its volume of data is."""
    home = dict(zip(settings.zones, net.private, strict=True))[settings.singleton_zone(role)]
    _group(
        template,
        settings,
        role,
        launch,
        net,
        zones,
        {"corral:data-volume": volume},
        in_service=0,
        sizes=(1, 1, 1),
        VPCZoneIdentifier=[Ref(home)],
        HealthCheckType="EC2",
    )


def _group(
    template: Template,
    settings: Settings,
    role: str,
    launch: ec2.LaunchTemplate,
    net: Network,
    zones: Zones,
    own_tags: dict[str, Id],
    *,
    in_service: int,
    sizes: tuple[int, int, int],
    **options: object,
) -> None:
    least, most, desired = (If(WITH_SERVERS, str(size), "0") for size in sizes)
    template.add_resource(
        autoscaling.AutoScalingGroup(
            f"{role.capitalize()}Group",
            AutoScalingGroupName=settings.role_name(role),
            LaunchTemplate=autoscaling.LaunchTemplateSpecification(
                LaunchTemplateId=Ref(launch), Version=GetAtt(launch, "LatestVersionNumber")
            ),
            LifecycleHookSpecificationList=_hooks(settings),
            Tags=_propagated(settings, role, zones, own_tags),
            # A server that boots before there is a way to AWS could not configure itself.
            DependsOn=list(net.ways_out),
            UpdatePolicy=_update_policy(in_service),
            MinSize=least,
            MaxSize=most,
            DesiredCapacity=desired,
            **options,
        )
    )


def _hooks(settings: Settings) -> list[autoscaling.LifecycleHookSpecification]:
    """A new server serves when it says that it is ready; one that goes may finish what it does."""
    return [
        autoscaling.LifecycleHookSpecification(
            LifecycleHookName="launch",
            LifecycleTransition="autoscaling:EC2_INSTANCE_LAUNCHING",
            HeartbeatTimeout=settings.lifecycle.launch_seconds,
            DefaultResult="ABANDON",
        ),
        autoscaling.LifecycleHookSpecification(
            LifecycleHookName="terminate",
            LifecycleTransition="autoscaling:EC2_INSTANCE_TERMINATING",
            HeartbeatTimeout=settings.lifecycle.terminate_seconds,
            DefaultResult="CONTINUE",
        ),
    ]


def _update_policy(in_service: int) -> policies.UpdatePolicy:
    """Servers are replaced one by one, if somebody agreed.

    What was scaled by hand stays so until the settings' numbers change.
    """
    one_by_one = policies.AutoScalingRollingUpdate(
        MinInstancesInService=str(in_service),
        MaxBatchSize="1",
        PauseTime="PT0S",
        # What AWS recommends to suspend meanwhile: these would launch and terminate members in between.
        SuspendProcesses=[
            "HealthCheck",
            "ReplaceUnhealthy",
            "AZRebalance",
            "AlarmNotification",
            "ScheduledActions",
        ],
    )
    return policies.UpdatePolicy(
        AutoScalingRollingUpdate=If(AGREED, one_by_one, Ref("AWS::NoValue")),
        AutoScalingScheduledAction=policies.AutoScalingScheduledAction(
            IgnoreUnmodifiedGroupSizeProperties=True
        ),
    )


def _propagated(settings: Settings, role: str, zones: Zones, more: dict[str, Id]) -> autoscaling.Tags:
    """Tags that instances inherit; by these the inventory and the host itself learn what the host is for."""
    own = {
        "corral:role": role,
        "corral:settings": settings.reference,
        "corral:releases-bucket": settings.releases_bucket,
        "corral:private-zone-id": Ref(zones.private),
        **more,
    }
    shared = {tag["Key"]: tag["Value"] for tag in tags(settings, role).to_dict()}
    return autoscaling.Tags(**{key: (value, True) for key, value in (shared | own).items()})
