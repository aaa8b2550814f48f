"""Follows a stack while it changes: its events as they come, and of its failures the first cause."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from corral.aws import client, explained
from corral.cloudformation.stacks import Resource, find
from corral.errors import CorralError
from corral.settings import Settings

SEE = "docs/stack.md"
# Seconds between two looks at a stack that is being changed.
PAUSE = 0.5
# CloudFormation says this of resources that it stopped because another one failed: no cause, a consequence.
CONSEQUENCE = "cancelled"
# So it says of servers that are gone for new ones ("UpdatePolicy attribute", rolling updates).
REPLACED = "Successfully terminated instance(s)"


@dataclass(frozen=True)
class Event:
    """Something that happened to one resource, or to the stack itself."""

    resource: str
    kind: str
    physical: str
    status: str
    reason: str
    of_stack: bool

    @property
    def going_on(self) -> bool:
        """Whether it is the beginning of something whose end is another event."""
        return self.status.endswith("_IN_PROGRESS")

    @property
    def failed(self) -> bool:
        """Whether it is a failure of a resource."""
        return self.status.endswith("_FAILED") and not self.of_stack


def newest(settings: Settings, stack_id: str) -> str | None:
    """Id of the last event so far; what `follow` starts after."""
    with explained(settings):
        return next(_raw(settings, stack_id), {}).get("EventId")


def follow(settings: Settings, stack_id: str, last: str | None) -> Iterator[Event]:
    """Events after `last`, as they come, until the whole stack is at rest. Raises CorralError."""
    try:
        with explained(settings):
            yield from _until_at_rest(settings, stack_id, last)
    except CorralError as error:
        problem = f"{error.problem}\nWhat was begun with stack {settings.stack_name} goes on without us."
        raise CorralError(problem, f"{error.remedy} Then try again, and see.".strip(), error.see) from error


def first_cause(events: Iterable[Event]) -> Event | None:
    """The first failure that is no consequence of another one; None when nothing failed."""
    failures = [event for event in events if event.failed]
    causes = [event for event in failures if CONSEQUENCE not in event.reason]
    return next(iter(causes or failures), None)


def why(settings: Settings, events: list[Event], left: list[Resource]) -> CorralError:
    """What to tell of a change that failed: how it ended, its first cause, what there is now.

    `events` of the change, the last one of the stack itself; `left`: what the stack holds now.
    """
    status = events[-1].status
    lines = [f"Stack {settings.stack_name} ended in state {status}."]
    if cause := first_cause(events):
        lines.append(f"First failure: {cause.resource} ({cause.kind}): {cause.reason}")
    lines.append(_what_is_there(status, left))
    if status.startswith("UPDATE_ROLLBACK") and any(REPLACED in event.reason for event in events):
        lines.append("Servers that were replaced already stay so.")
    return CorralError("\n".join(lines), _remedy(settings, status), SEE)


def _what_is_there(status: str, left: list[Resource]) -> str:
    names = ", ".join(f"{each.logical} ({each.physical or each.kind})" for each in left)
    match status:
        case "DELETE_COMPLETE":
            return "What was made is deleted again: there is no stack. What was there before is kept."
        case "UPDATE_ROLLBACK_COMPLETE":
            return "Everything is as it was before."
        case "UPDATE_ROLLBACK_FAILED":
            stuck = [each.logical for each in left if each.status.endswith("_FAILED")]
            return f"It is half-way back. These could not be brought back: {', '.join(stuck) or 'unknown'}."
    return f"These are still there: {names}." if names else "It holds nothing any more."


def _remedy(settings: Settings, status: str) -> str:
    if status in {"DELETE_FAILED", "ROLLBACK_FAILED", "ROLLBACK_COMPLETE", "CREATE_FAILED"}:
        return f"Mend the cause, then: corral stack delete -e {settings.reference}"
    if status == "UPDATE_ROLLBACK_FAILED":
        aws = f"aws --region {settings.region} cloudformation continue-update-rollback"
        return f"Mend the cause, then: {aws} --stack-name {settings.stack_name}; then apply again."
    return "Mend the cause, then apply again."


def _until_at_rest(settings: Settings, stack_id: str, last: str | None) -> Iterator[Event]:
    while True:
        news = list(takewhile(lambda event: event["EventId"] != last, _raw(settings, stack_id)))  # noqa: B023
        last = news[0]["EventId"] if news else last
        event = None
        for event in map(_event, reversed(news)):
            yield event
        if event and event.of_stack and not event.going_on and _is_at_rest(settings, stack_id):
            return
        time.sleep(PAUSE)


def _is_at_rest(settings: Settings, stack_id: str) -> bool:
    """Whether the last event was the end: a creation that failed may go on with a deletion."""
    stack = find(settings, stack_id)
    return stack is None or not stack.status.endswith("_IN_PROGRESS")


def _raw(settings: Settings, stack_id: str) -> Iterator[dict[str, Any]]:
    """Events of the stack, newest first."""
    pages = client(settings, "cloudformation").get_paginator("describe_stack_events")
    for page in pages.paginate(StackName=stack_id):
        yield from page["StackEvents"]


def _event(raw: dict[str, Any]) -> Event:
    return Event(
        resource=raw["LogicalResourceId"],
        kind=raw["ResourceType"],
        physical=raw.get("PhysicalResourceId", ""),
        status=raw["ResourceStatus"],
        reason=raw.get("ResourceStatusReason", ""),
        of_stack=raw.get("PhysicalResourceId") == raw["StackId"],
    )
