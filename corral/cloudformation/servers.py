"""Which running servers a change would replace: of groups with another launch template, or other subnets."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from corral.aws import client, explained
from corral.cloudformation.change_sets import Proposal
from corral.cloudformation.changes import GROUP, Change, groups_with_other_launch, zones_that_stay
from corral.settings import Settings


@dataclass(frozen=True)
class Effect:
    """What a change means to the servers of one group.

    `servers`: how many are not as the group would be. `moves`: it gets other subnets; `leaving`: ids of its
    servers in zones where it has none any more.
    """

    group: str
    name: str
    servers: int
    moves: bool = False
    leaving: tuple[str, ...] = ()


def effects(
    settings: Settings, template: dict[str, Any], found: Iterable[Change], consent: bool
) -> list[Effect]:
    """The groups whose running servers a change leaves behind, or moves; with `consent`, that it replaces.

    With consent, CloudFormation also replaces servers that an earlier change left behind ("UpdatePolicy
    attribute": instances that do not match the current launch template).
    """
    found = list(found)
    other = groups_with_other_launch(template, found)
    changed = {each.resource: each.physical for each in found if each.kind == GROUP and each.physical}
    moving = {each.resource: each.physical for each in found if each.moves_servers}
    asked = changed if consent else other | moving
    groups = {group["AutoScalingGroupName"]: group for group in _groups(settings, list(asked.values()))}
    said = []
    for title, name in sorted(asked.items()):
        if name in groups:
            members = groups[name]["Instances"]
            leaving = set()
            if title in moving:
                stay = zones_that_stay(template, found, title)
                leaving = {each["InstanceId"] for each in members if each["AvailabilityZone"] not in stay}
            behind = _behind(groups[name], all_of_them=title in other) | leaving
            said.append(Effect(title, name, len(behind), title in moving, tuple(sorted(leaving))))
    return said


def pointless(proposal: Proposal, effects: Iterable[Effect]) -> bool:
    """Whether a proposal is the mere consent to replace servers, where there is none to be replaced."""
    only_consent = bool(proposal.changes) and all(change.only_consent for change in proposal.changes)
    return only_consent and not proposal.parameters and not any(effect.servers for effect in effects)


def _behind(group: dict[str, Any], all_of_them: bool) -> set[str]:
    """Servers of the group that were not launched as it would launch them now."""
    current = _version(group)
    members = group["Instances"]
    return {each["InstanceId"] for each in members if all_of_them or _version(each) != current}


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
