"""Alarms: kept with all that is said about them. Nothing is measured in the lab, so none ever goes off."""
# ruff: noqa: D102 (what create, update, delete and attributes do is said once, in base.py)

from lab.cloud.cloudformation.resources.base import (
    Cloud,
    Kind,
    Properties,
    names,
    pick,
    tag_differences,
)

ALARM = (
    "ActionsEnabled AlarmActions AlarmDescription AlarmName ComparisonOperator DatapointsToAlarm Dimensions "
    "EvaluateLowSampleCountPercentile EvaluationPeriods ExtendedStatistic InsufficientDataActions MetricName "
    "Metrics Namespace OKActions Period Statistic Threshold ThresholdMetricId TreatMissingData Unit"
)
# What CloudWatch says of an alarm that it has not looked at yet.
UNCHECKED = {"StateValue": "INSUFFICIENT_DATA", "StateReason": "Unchecked: Initial alarm creation"}


class Alarm(Kind):
    """An alarm on one metric."""

    type = "AWS::CloudWatch::Alarm"
    properties = names(f"{ALARM} Tags")
    replaced_by = names("AlarmName")
    name = "AlarmName"

    def create(self, cloud: Cloud, given: Properties) -> str:
        self._put(cloud, given)
        return str(given["AlarmName"])

    def update(self, cloud: Cloud, physical: str, given: Properties, before: Properties) -> None:
        self._put(cloud, given)
        put, take = tag_differences(given, before)
        arn = self.attributes(cloud, physical)["Arn"]
        if take:
            cloud("cloudwatch").untag_resource(ResourceARN=arn, TagKeys=take)
        if put:
            cloud("cloudwatch").tag_resource(ResourceARN=arn, Tags=put)

    def delete(self, cloud: Cloud, physical: str, given: Properties) -> None:
        cloud("cloudwatch").delete_alarms(AlarmNames=[physical])

    def attributes(self, cloud: Cloud, physical: str) -> dict[str, str]:
        found = cloud("cloudwatch").describe_alarms(AlarmNames=[physical])["MetricAlarms"][0]
        return {"Arn": found["AlarmArn"]}

    def _put(self, cloud: Cloud, given: Properties) -> None:
        cloud("cloudwatch").put_metric_alarm(**pick(given, f"{ALARM} Tags"))
        cloud("cloudwatch").set_alarm_state(AlarmName=given["AlarmName"], **UNCHECKED)
