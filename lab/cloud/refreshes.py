"""The API of instance refreshes, which moto doesn't know: start, cancel, describe."""

from typing import Any

from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult

from lab.cloud.members import alone
from lab.cloud.refresh import Group, Refresh, begin, cancel, of

# What the API's reference gives for what nobody asks for (RefreshPreferences).
USUAL = {"MinHealthyPercentage": 90, "MaxHealthyPercentage": 100, "SkipMatching": False}
KNOWN = {*USUAL, "InstanceWarmup", "AutoRollback"}


def install() -> None:
    """Answer the calls."""
    AutoScalingResponse.start_instance_refresh = _start  # type: ignore[attr-defined]
    AutoScalingResponse.cancel_instance_refresh = _cancel  # type: ignore[attr-defined]
    AutoScalingResponse.describe_instance_refreshes = _describe  # type: ignore[attr-defined]


@alone
def _start(self: AutoScalingResponse) -> ActionResult:
    group = _group(self)
    refresh = begin(group, _preferences(self, group))
    if refresh is None:
        raise AutoscalingClientError(
            "InstanceRefreshInProgress", "An Instance Refresh is already in progress."
        )
    return ActionResult({"InstanceRefreshId": refresh.id})


def _preferences(self: AutoScalingResponse, group: Group) -> dict[str, Any]:
    if self._get_param("Strategy") not in {None, "Rolling"}:
        raise ValidationError("The lab refreshes by the strategy Rolling only.")
    asked = self._get_param("Preferences") or {}
    if unknown := sorted(asked.keys() - KNOWN):
        raise ValidationError(f"The lab does not know these preferences: {', '.join(unknown)}")
    if asked.get("SkipMatching") or asked.get("AutoRollback"):
        raise ValidationError("The lab neither skips matching instances nor rolls back.")
    found = USUAL | {"InstanceWarmup": int(group.health_check_grace_period or 0)} | asked
    least, most = found["MinHealthyPercentage"], found["MaxHealthyPercentage"]
    if not 0 <= least <= 100 <= most <= 200 or most - least > 100:
        raise ValidationError(
            "MinHealthyPercentage is from 0 to 100, MaxHealthyPercentage from 100 to 200, at most 100 apart."
        )
    return found


@alone
def _cancel(self: AutoScalingResponse) -> ActionResult:
    refresh = cancel(_group(self))
    if refresh is None:
        raise AutoscalingClientError(
            "ActiveInstanceRefreshNotFound", "No in progress Instance Refresh found."
        )
    return ActionResult({"InstanceRefreshId": refresh.id})


@alone
def _describe(self: AutoScalingResponse) -> ActionResult:
    wanted = self._get_param("InstanceRefreshIds")
    found = [each for each in of(_group(self)) if not wanted or each.id in wanted]
    most = int(self._get_param("MaxRecords") or 50)
    return ActionResult({"InstanceRefreshes": [_described(each) for each in found[:most]]})


def _described(refresh: Refresh) -> dict[str, Any]:
    said = {
        "InstanceRefreshId": refresh.id,
        "AutoScalingGroupName": refresh.group.name,
        "Status": refresh.status,
        "StatusReason": refresh.reason or None,
        "StartTime": refresh.began,
        "EndTime": refresh.ended,
        "PercentageComplete": 100 * refresh.done // refresh.total if refresh.total else 100,
        "InstancesToUpdate": refresh.total - refresh.done,
        "Preferences": refresh.preferences,
        "Strategy": "Rolling",
    }
    return {name: value for name, value in said.items() if value is not None}


def _group(self: AutoScalingResponse) -> Group:
    name = self._get_param("AutoScalingGroupName")
    group = self.autoscaling_backend.autoscaling_groups.get(name)
    if group is None:
        raise ValidationError(f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
    return group
