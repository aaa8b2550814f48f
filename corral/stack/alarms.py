"""The alarms: who answers wrongly, and who does not answer. They notify the settings' topic, if any.

They come with the servers: where none are wanted yet, nobody need be told that none answers.
"""

from troposphere import GetAtt, Template, cloudwatch

from corral.settings import Settings
from corral.stack.balancer import Front
from corral.stack.switches import WITH_SERVERS
from corral.stack.tags import tags

NAMESPACE = "AWS/ApplicationELB"
APP_GROUP = "AppGroup"


def add(template: Template, settings: Settings, front: Front) -> None:
    """Add the alarms on what users see: errors, ill servers, and nobody there to answer."""
    balancer = {"LoadBalancer": GetAtt(front.balancer, "LoadBalancerFullName")}
    site = balancer | {"TargetGroup": GetAtt(front.site, "TargetGroupFullName")}

    def alarm(title: str, metric: str, statistic: str, dimensions: dict[str, GetAtt], **more: object) -> None:
        alarm = cloudwatch.Alarm(
            f"{title}Alarm",
            Condition=WITH_SERVERS,
            # Afterwards: while the first ones boot, none answers either.
            DependsOn=APP_GROUP,
            AlarmName=f"{settings.stack_name}-{more.pop('name')}",
            Namespace=NAMESPACE,
            MetricName=metric,
            Statistic=statistic,
            Dimensions=[
                cloudwatch.MetricDimension(Name=name, Value=value) for name, value in dimensions.items()
            ],
            Period=60,
            Tags=tags(settings, f"alarm-{metric.lower()}"),
            **{"TreatMissingData": "notBreaching", **more},
        )
        if settings.alarm_topic:
            alarm.AlarmActions = alarm.OKActions = [settings.alarm_topic]
        template.add_resource(alarm)

    # Ten errors in a minute, in three minutes of five: more than a server that goes takes with it.
    errors = {"Threshold": 10, "ComparisonOperator": "GreaterThanOrEqualToThreshold"}
    errors |= {"EvaluationPeriods": 5, "DatapointsToAlarm": 3}
    alarm(
        "AppErrors",
        "HTTPCode_Target_5XX_Count",
        "Sum",
        site,
        name="app-5xx",
        AlarmDescription="The application answers with errors",
        **errors,
    )
    alarm(
        "BalancerErrors",
        "HTTPCode_ELB_5XX_Count",
        "Sum",
        balancer,
        name="balancer-5xx",
        AlarmDescription="The load balancer found no server that answers, or none in time",
        **errors,
    )
    # A server that is replaced is ill for a minute or two; one that stays ill should have been replaced.
    alarm(
        "UnhealthyHosts",
        "UnHealthyHostCount",
        "Maximum",
        site,
        name="unhealthy-hosts",
        AlarmDescription="An app server fails its health check, and has not been replaced",
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
        EvaluationPeriods=10,
    )
    # No data means that no server is even registered.
    alarm(
        "NoHosts",
        "HealthyHostCount",
        "Minimum",
        site,
        name="no-hosts",
        AlarmDescription="No app server is healthy: the site is down",
        Threshold=1,
        ComparisonOperator="LessThanThreshold",
        EvaluationPeriods=2,
        TreatMissingData="breaching",
    )
