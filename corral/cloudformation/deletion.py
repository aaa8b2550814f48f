"""Takes a stack away: what goes with it and what stays, and the deletion with its events."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from corral.aws import client, explained
from corral.cloudformation import events, stacks
from corral.cloudformation.changes import HOLD_DATA
from corral.cloudformation.stacks import Resource, Stack
from corral.errors import CorralError
from corral.settings import Settings

SEE = "docs/stack.md"
BUCKET = "AWS::S3::Bucket"
VOLUME = "AWS::EC2::Volume"
ZONE = "AWS::Route53::HostedZone"
RECORD = "AWS::Route53::RecordSet"
BALANCER = "AWS::ElasticLoadBalancingV2::LoadBalancer"
STAYS = {"Retain", "RetainExceptOnCreate"}
# Deletions that somebody began: these are gone on with.
UNDER_WAY = {"DELETE_IN_PROGRESS", "DELETE_FAILED"}


@dataclass(frozen=True)
class Plan:
    """What the deletion of a stack does: resources that go, and those that stay in the account."""

    stack: Stack
    goes: tuple[Resource, ...]
    stays: tuple[Resource, ...]

    @property
    def data(self) -> list[Resource]:
        """What goes, and holds data."""
        return [each for each in self.goes if each.kind in HOLD_DATA]

    def of_kind(self, kind: str) -> list[str]:
        """Physical ids of what goes of one type."""
        return [each.physical for each in self.goes if each.kind == kind and each.physical]


def plan(settings: Settings) -> Plan:
    """What deleting the environment's stack would do. Raises CorralError when it is not to be deleted."""
    stack = stacks.find(settings)
    if stack is None:
        raise CorralError(
            f"There is no stack {settings.stack_name} in {settings.region}: there is nothing to delete.",
            see=SEE,
        )
    _refuse(settings, stack)
    held = stacks.resources(settings, stack)
    goes, stays = divide(held, _template(settings, stack))
    found = Plan(stack, tuple(goes), tuple(stays))
    if stack.status not in UNDER_WAY:
        _refuse_to_lose(settings, found)
        _refuse_a_protected_balancer(settings, found)
    return found


def divide(held: Iterable[Resource], template: Mapping[str, Any]) -> tuple[list[Resource], list[Resource]]:
    """Resources that go with their stack, and those that its template lets stay. Pure."""
    policies = {
        title: resource.get("DeletionPolicy") for title, resource in template.get("Resources", {}).items()
    }
    goes: list[Resource] = []
    stays: list[Resource] = []
    for resource in held:
        (stays if policies.get(resource.logical) in STAYS else goes).append(resource)
    return goes, stays


def carry_out(settings: Settings, stack: Stack) -> Iterator[events.Event]:
    """Delete the stack, or go on with a deletion that runs; yields events as they come."""
    last = events.newest(settings, stack.id)
    now = stacks.find(settings, stack.id)
    if now is None or now.status == stacks.GONE:
        return
    if now.status != "DELETE_IN_PROGRESS":
        with explained(settings):
            client(settings, "cloudformation").delete_stack(StackName=stack.id)
    # A shell is gone at once, and has nothing to tell.
    if now.exists:
        yield from events.follow(settings, stack.id, last)


def holds_on(settings: Settings, seen: list[events.Event], left: list[Resource]) -> CorralError:
    """What to tell of a deletion that did not come to its end. `left`: what the stack still holds."""
    failures = {event.resource: event for event in seen if event.failed}
    lines = [f"Stack {settings.stack_name} is not wholly deleted. What holds on:"]
    lines += [f"  {each.resource} ({each.physical}): {each.reason}" for each in failures.values()]
    still = [each.logical for each in left if each.logical not in failures]
    lines += [f"Still there beside them: {', '.join(still)}."] if still else []
    remedy = f"See to that, then run it again, and it goes on: corral stack delete -e {settings.reference}"
    return CorralError("\n".join(lines), remedy, SEE)


def _refuse(settings: Settings, stack: Stack) -> None:
    apply = f"corral stack apply -e {settings.reference}"
    if stack.status.endswith("_IN_PROGRESS") and stack.status not in {stacks.SHELL, "DELETE_IN_PROGRESS"}:
        stacks.refuse_unless_at_rest(settings, stack)
    if stack.status in stacks.NEVER_MADE | UNDER_WAY:
        return
    if settings.termination_protection:
        problem = f"Environment {settings.environment} is protected from its deletion."
        remedy = f"If it is to go: set termination_protection = false, then {apply}."
        raise CorralError(problem, remedy, SEE)
    if stack.protected:
        problem = f"Stack {stack.name} is protected from its deletion, though its settings no longer say so."
        raise CorralError(problem, f"Let it know: {apply}", SEE)


def _refuse_to_lose(settings: Settings, found: Plan) -> None:
    """Settings that keep data are no use to a stack whose template was applied before they did."""
    if settings.keep_data and (lost := [each for each in found.data if each.kind in {BUCKET, VOLUME}]):
        names = ", ".join(each.physical for each in lost)
        problem = f"The settings keep data (keep_data), but the stack as it is would delete {names}."
        raise CorralError(problem, f"Let it know: corral stack apply -e {settings.reference}", SEE)


def _refuse_a_protected_balancer(settings: Settings, found: Plan) -> None:
    with explained(settings):
        for arn in found.of_kind(BALANCER):
            cloud = client(settings, "elbv2")
            said = cloud.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
            if {"Key": "deletion_protection.enabled", "Value": "true"} in said:
                problem = f"The load balancer of {settings.environment} is protected from its deletion."
                remedy = (
                    "If it is to go: set balancer.deletion_protection = false, then corral stack apply -e"
                    f" {settings.reference}."
                )
                raise CorralError(problem, remedy, SEE)


def _template(settings: Settings, stack: Stack) -> dict[str, Any]:
    """The template that the stack was applied with, which its deletion follows; none for an empty shell."""
    if not stack.exists:
        return {}
    with explained(settings):
        body = client(settings, "cloudformation").get_template(StackName=stack.id)["TemplateBody"]
    # botocore reads JSON for us; corral writes nothing else.
    parts: dict[str, Any] = json.loads(body) if isinstance(body, str) else dict(body)
    return parts
