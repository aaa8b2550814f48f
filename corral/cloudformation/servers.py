"""Which running servers a change would replace, one by one: those of groups with another launch template."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from corral.aws import client, explained
from corral.cloudformation.change_sets import Proposal
from corral.cloudformation.changes import GROUP, Change, groups_with_other_launch
from corral.settings import Settings


@dataclass(frozen=True)
class Effect:
    """What a change means to the servers of one group. `servers`: how many are not as the group would be."""

    group: str
    name: str
    servers: int


def effects(
    settings: Settings, template: dict[str, Any], found: Iterable[Change], consent: bool
) -> list[Effect]:
    """The groups whose running servers a change leaves behind; with `consent`, those that it replaces.

    With consent, CloudFormation also replaces servers that an earlier change left behind ("UpdatePolicy
    attribute": instances that do not match the current launch template).
    """
    found = list(found)
    other = groups_with_other_launch(template, found)
    changed = {each.resource: each.physical for each in found if each.kind == GROUP and each.physical}
    asked = changed if consent else other
    groups = {group["AutoScalingGroupName"]: group for group in _groups(settings, list(asked.values()))}
    return [
        Effect(title, name, _behind(groups[name], all_of_them=title in other))
        for title, name in sorted(asked.items())
        if name in groups
    ]


def pointless(proposal: Proposal, effects: Iterable[Effect]) -> bool:
    """Whether a proposal is the mere consent to replace servers, where there is none to be replaced."""
    only_consent = bool(proposal.changes) and all(change.only_consent for change in proposal.changes)
    return only_consent and not proposal.parameters and not any(effect.servers for effect in effects)


def _behind(group: dict[str, Any], all_of_them: bool) -> int:
    """Servers of the group that were not launched as it would launch them now."""
    current = _version(group)
    return sum(all_of_them or _version(member) != current for member in group["Instances"])


def _version(thing: dict[str, Any]) -> tuple[str, str]:
    launch = thing.get("LaunchTemplate", {})
    return launch.get("LaunchTemplateId", ""), launch.get("Version", "")


def _groups(settings: Settings, names: list[str]) -> list[dict[str, Any]]:
    if not names:
        return []
    with explained(settings):
        pages = client(settings, "autoscaling").get_paginator("describe_auto_scaling_groups")
        return [
            group
            for page in pages.paginate(AutoScalingGroupNames=names)
            for group in page["AutoScalingGroups"]
        ]
