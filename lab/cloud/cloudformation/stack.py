"""A stack: its template, its resources, its events."""

import secrets
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from lab.cloud import clients
from lab.cloud.cloudformation.intrinsics import Evaluator, TemplateError
from lab.cloud.cloudformation.resources import Refused, kind_of
from lab.cloud.cloudformation.template import Template

STACK = "AWS::CloudFormation::Stack"
# What a resource's maker may raise; anything else is a fault of the lab itself.
FAILURES = (
    ClientError,
    BotoCoreError,
    ResponseParserError,
    Refused,
    TemplateError,
    KeyError,
    TypeError,
    ValueError,
)


@dataclass
class Resource:
    """A resource that is there: its type, physical id and the properties that it was given."""

    type: str
    physical: str
    given: dict[str, Any]
    said: dict[str, Any]
    status: str = "CREATE_COMPLETE"
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


class Stack:
    """One stack."""

    def __init__(self, name: str, account: str, region: str, template: Template, tags: dict[str, str]):
        self.name = name
        self.account = account
        self.region = region
        self.id = f"arn:aws:cloudformation:{region}:{account}:stack/{name}/{uuid.uuid4()}"
        self.template = template
        self.tags = tags
        self.resources: dict[str, Resource] = {}
        self.outputs: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.status = ""
        self.reason = ""
        self.protected = False
        self.created = datetime.now(UTC)
        self.updated: datetime | None = None
        self.work: threading.Thread | None = None
        self.change_sets: dict[str, Any] = {}

    def cloud(self, service: str) -> Any:
        """A client of the lab's API in the stack's region."""
        return clients.client(service, self.region)

    def zones(self) -> list[str]:
        """The region's zones that the stack's own subnets may be in."""
        found = self.cloud("ec2").describe_availability_zones()["AvailabilityZones"]
        return sorted(zone["ZoneName"] for zone in found)

    def evaluator(self, template: Template) -> Evaluator:
        """What works out `template`'s values from the resources that are there now."""
        pseudo = {
            "AWS::AccountId": self.account,
            "AWS::Region": self.region,
            "AWS::StackId": self.id,
            "AWS::StackName": self.name,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
        }
        return template.evaluator(pseudo, self._refer, self._attribute, self.zones())

    def say(
        self, status: str, reason: str = "", logical: str = "", resource: str = "", kind: str = ""
    ) -> None:
        """Add an event; of the stack itself when no `logical` id is given."""
        if not logical:
            self.status, self.reason = status, reason
        self.events.append(
            {
                "EventId": f"{logical or self.name}-{uuid.uuid4()}",
                "StackId": self.id,
                "StackName": self.name,
                "LogicalResourceId": logical or self.name,
                "PhysicalResourceId": resource if logical else self.id,
                "ResourceType": kind or STACK,
                "ResourceStatus": status,
                "Timestamp": datetime.now(UTC),
                **({"ResourceStatusReason": reason} if reason else {}),
            }
        )

    @contextmanager
    def step(self, verb: str, logical: str, kind: str, physical: str = "") -> Iterator[list[str]]:
        """Events around a step with one resource: VERB_IN_PROGRESS, then VERB_COMPLETE or VERB_FAILED.

        What is put into the yielded list becomes the physical id. A failure is raised on as Refused.
        """
        self.say(f"{verb}_IN_PROGRESS", "", logical, physical, kind)
        made = [physical]
        try:
            yield made
        except FAILURES as error:
            reason = (
                str(error) if isinstance(error, Refused | ClientError) else f"{type(error).__name__}: {error}"
            )
            self.say(f"{verb}_FAILED", reason, logical, made[-1], kind)
            raise Refused(reason) from error
        self.say(f"{verb}_COMPLETE", "", logical, made[-1], kind)

    def wanted(self, template: Template, evaluator: Evaluator, logical: str) -> dict[str, Any] | None:
        """A resource's properties as they are to be; None when its condition is false. Raises Refused."""
        said = template.resources[logical]
        if "Condition" in said and not evaluator.holds(said["Condition"]):
            return None
        kind = kind_of(said["Type"])
        given: dict[str, Any] = evaluator.value(said.get("Properties", {}))
        if "UpdatePolicy" in said:
            given["UpdatePolicy"] = evaluator.value(said["UpdatePolicy"])
        if unknown := sorted(set(given) - kind.properties):
            raise Refused(
                f"The lab does nothing about {', '.join(unknown)} of a {kind.type}: add it in lab/cloud/"
                "cloudformation/resources/, or leave it out of the template."
            )
        if "Tags" in kind.properties and self.tags:
            own = {tag["Key"] for tag in given.get("Tags", [])}
            more = [{"Key": key, "Value": value} for key, value in self.tags.items() if key not in own]
            if given.get("Tags") or more:
                given["Tags"] = [*given.get("Tags", []), *more]
        return given

    def named(self, logical: str, given: dict[str, Any], present: Resource | None) -> dict[str, Any]:
        """The properties, with a name if the template gives none; what is `present` keeps the one it has."""
        kind = kind_of((present.said if present else self.template.resources[logical])["Type"])
        if not kind.name or kind.name in given:
            return given
        if present:
            return given | {kind.name: present.given[kind.name]}
        tail = f"-{secrets.token_hex(5)}"
        name = f"{self.name}-{logical}"[: kind.longest_name - len(tail)].rstrip("-") + tail
        return given | {kind.name: name.lower() if kind.type == "AWS::S3::Bucket" else name}

    def tell(self) -> None:
        """Work out the outputs."""
        evaluator = self.evaluator(self.template)
        self.outputs = [
            {
                "OutputKey": key,
                "OutputValue": str(evaluator.value(said["Value"])),
                **({"Description": said["Description"]} if "Description" in said else {}),
            }
            for key, said in self.template.sections.get("Outputs", {}).items()
            if "Condition" not in said or evaluator.holds(said["Condition"])
        ]

    def _refer(self, logical: str) -> str:
        return self._there(logical).physical

    def _attribute(self, logical: str, attribute: str) -> str:
        resource = self._there(logical)
        found = kind_of(resource.type).attributes(self.cloud, resource.physical)
        if attribute not in found:
            raise TemplateError(f"The lab knows no attribute {attribute} of a {resource.type} ({logical}).")
        return found[attribute]

    def _there(self, logical: str) -> Resource:
        if logical not in self.resources:
            raise TemplateError(f"Unresolved resource dependencies [{logical}] in the template.")
        return self.resources[logical]
