"""What a change set would do to which resource and property, read from CloudFormation's answer. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Verb = Literal["added", "imported", "changed", "replaced", "removed", "kept"]

# What would be lost with these is nowhere else.
HOLD_DATA = {"AWS::EC2::Volume", "AWS::S3::Bucket", "AWS::Route53::HostedZone"}
GROUP = "AWS::AutoScaling::AutoScalingGroup"
LAUNCH_TEMPLATE = "AWS::EC2::LaunchTemplate"
VPC = "AWS::EC2::VPC"
SUBNET = "AWS::EC2::Subnet"
SUBNETS_OF_A_GROUP = "VPCZoneIdentifier"

# CloudFormation's word for a value that only the change itself brings about.
UNKNOWN = "{{changeSet:KNOWN_AFTER_APPLY}}"
# Names of values that nobody should read on a screen. (HttpTokens says how metadata is read.)
SECRET = re.compile(r"password|passphrase|secret|credential|private_?key|token(?!s)", re.IGNORECASE)


@dataclass(frozen=True)
class Difference:
    """One property, as a dotted path, before and after; None where CloudFormation does not tell."""

    path: str
    before: str | None = None
    after: str | None = None

    @property
    def secret(self) -> bool:
        """Whether the value is for nobody's eyes."""
        return bool(SECRET.search(self.path))


@dataclass(frozen=True)
class Change:
    """What would happen to one resource.

    `kept`: it leaves the stack, and stays in the account. `sure`: False where CloudFormation knows only while
    it changes the resource whether it replaces it; we take it for replaced.
    """

    verb: Verb
    resource: str
    kind: str
    physical: str = ""
    sure: bool = True
    differences: tuple[Difference, ...] = ()

    @property
    def loses_data(self) -> bool:
        """Whether something that holds data goes, or gives its place to an empty one."""
        return self.kind in HOLD_DATA and self.verb in {"replaced", "removed"}

    @property
    def loses_servers(self) -> bool:
        """Whether a group goes with all its servers at once, to be made anew."""
        return self.kind == GROUP and self.verb == "replaced"

    @property
    def moves_servers(self) -> bool:
        """Whether a group gets other subnets: servers in those that it leaves go, and the rest is evened out.

        (Auto Scaling User Guide, "Rebalancing activities": when the group's zones change.)
        """
        other = any(each.path.split(".")[0] == SUBNETS_OF_A_GROUP for each in self.differences)
        return self.kind == GROUP and self.verb == "changed" and other

    @property
    def only_consent(self) -> bool:
        """Whether it changes nothing but whether later changes may replace servers."""
        policy = "UpdatePolicy"
        return self.verb == "changed" and {each.path.partition(".")[0] for each in self.differences} == {
            policy
        }


def read(raw: Iterable[Mapping[str, Any]]) -> tuple[Change, ...]:
    """The changes of DescribeChangeSet (its `Changes`, with property values), by verb and name."""
    found = (_change(each["ResourceChange"]) for each in raw if each.get("Type", "Resource") == "Resource")
    order = ["replaced", "removed", "kept", "changed", "imported", "added"]
    return tuple(sorted(found, key=lambda change: (order.index(change.verb), change.resource)))


def network_made_anew(changes: Iterable[Change]) -> list[Change]:
    """What of the network would be made a second time, in addresses that the first one still holds.

    CloudFormation makes what is new before it deletes what is old, and AWS moves neither a balancer nor
    servers from one VPC to another: it could only fail half-way, and go back.
    """
    found = [each for each in changes if each.kind in {VPC, SUBNET}]
    again = [each for each in found if each.verb == "replaced"]
    verbs = {each.verb for each in found if each.kind == SUBNET}
    # A subnet's addresses follow from its zone's place in `zones`: a new one gets those of one that goes.
    exchanged = {"added", "removed"} <= verbs
    return again or [each for each in found if exchanged and each.verb == "removed"]


def zones_that_stay(template: Mapping[str, Any], changes: Iterable[Change], group: str) -> set[str]:
    """The zones of the subnets that a group has afterwards, of those that are there already."""
    new = {each.resource for each in changes if each.kind == SUBNET and each.verb in {"added", "replaced"}}
    resources = template["Resources"]
    subnets = {each["Ref"] for each in resources[group]["Properties"][SUBNETS_OF_A_GROUP]}
    return {resources[title]["Properties"]["AvailabilityZone"] for title in subnets - new}


def groups_with_other_launch(template: Mapping[str, Any], changes: Iterable[Change]) -> dict[str, str]:
    """Physical names, by title in the template, of the groups that stay and get another launch template."""
    changed = {change.resource for change in changes if change.kind == LAUNCH_TEMPLATE}
    staying = {change.resource: change for change in changes if change.verb in {"changed", "replaced"}}
    return {
        title: staying[title].physical
        for title, resource in template["Resources"].items()
        if resource["Type"] == GROUP
        and title in staying
        and resource["Properties"]["LaunchTemplate"]["LaunchTemplateId"].get("Ref") in changed
    }


def _change(raw: Mapping[str, Any]) -> Change:
    verb = _verb(raw)
    return Change(
        verb=verb,
        resource=raw["LogicalResourceId"],
        kind=raw["ResourceType"],
        physical=raw.get("PhysicalResourceId", ""),
        sure=verb != "replaced" or raw.get("Replacement") == "True",
        differences=_differences(raw.get("Details", ())),
    )


def _verb(raw: Mapping[str, Any]) -> Verb:
    match raw["Action"]:
        case "Add":
            return "added"
        case "Import":
            return "imported"
        case "Remove":
            return "kept" if raw.get("PolicyAction") == "Retain" else "removed"
        # CloudFormation does not know yet: it may be any of them.
        case "Dynamic":
            return "replaced"
    # A group is replaced only where its UpdatePolicy says so (AutoScalingReplacingUpdate): ours never do.
    perhaps = {"True"} if raw["ResourceType"] == GROUP else {"True", "Conditional"}
    return "replaced" if raw.get("Replacement") in perhaps else "changed"


def _differences(details: Iterable[Mapping[str, Any]]) -> tuple[Difference, ...]:
    """One for each property; CloudFormation names it again for every cause, not always with values."""
    found: dict[str, Difference] = {}
    for detail in details:
        target = detail.get("Target", {})
        path = _path(target)
        known = found.get(path, Difference(path))
        before, after = target.get("BeforeValue"), target.get("AfterValue")
        found[path] = Difference(
            path,
            known.before if before is None else before,
            known.after if after is None or (known.after and after == UNKNOWN) else after,
        )
    return tuple(sorted(found.values(), key=lambda difference: difference.path))


def _path(target: Mapping[str, Any]) -> str:
    """ "/Properties/Tags/0/Value" is Tags.0.Value; what is no property keeps its attribute's name."""
    whole = target.get("Path") or "/".join(("", target.get("Attribute", ""), target.get("Name") or ""))
    parts = [part for part in whole.split("/") if part]
    return ".".join(parts[1:] if parts[:1] == ["Properties"] and parts[1:] else parts)
