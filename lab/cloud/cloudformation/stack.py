"""A stack: its template, its resources, its events."""

import uuid
from collections.abc import Callable, Iterator
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
# State of a stack that was named by a change set, and has neither template nor resources yet.
REVIEW = "REVIEW_IN_PROGRESS"
Lookup = Callable[..., Any]
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
    # Whether it was there before the stack: then no roll-back takes it away.
    imported: bool = False
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
        self.capabilities: list[str] = []
        # The change set that was executed last.
        self.change_set = ""

    @property
    def busy(self) -> bool:
        """Whether something is being done with it; one that waits for its change set is at rest."""
        return self.status.endswith("_IN_PROGRESS") and self.status != REVIEW

    def cloud(self, service: str) -> Any:
        """A client of the lab's API in the stack's region."""
        return clients.client(service, self.region)

    def zones(self) -> list[str]:
        """The region's zones that the stack's own subnets may be in."""
        found = self.cloud("ec2").describe_availability_zones()["AvailabilityZones"]
        return sorted(zone["ZoneName"] for zone in found)

    def evaluator(
        self, template: Template, refer: Lookup | None = None, attribute: Lookup | None = None
    ) -> Evaluator:
        """What works out `template`'s values from the resources that are there now.

        `refer` and `attribute` take the place of those that ask the resources.
        """
        pseudo = {
            "AWS::AccountId": self.account,
            "AWS::Region": self.region,
            "AWS::StackId": self.id,
            "AWS::StackName": self.name,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
        }
        return template.evaluator(pseudo, refer or self.refer, attribute or self.attribute, self.zones())

    def say(
        self, status: str, reason: str = "", logical: str = "", resource: str = "", kind: str = ""
    ) -> None:
        """Add an event; of the stack itself when no `logical` id is given."""
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
        # After the event: who reads the last state finds all that led to it.
        if not logical:
            self.status, self.reason = status, reason

    @contextmanager
    def step(
        self, verb: str, logical: str, kind: str, physical: str = "", reason: str = ""
    ) -> Iterator[list[str]]:
        """Events around a step with one resource: VERB_IN_PROGRESS, then VERB_COMPLETE or VERB_FAILED.

        What is put into the yielded list becomes the physical id. A failure is raised on as Refused.
        """
        self.say(f"{verb}_IN_PROGRESS", reason, logical, physical, kind)
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

    def outputs_of(self, template: Template) -> list[dict[str, Any]]:
        """The outputs that a template gives with the resources that are there."""
        evaluator = self.evaluator(template)
        return [
            {
                "OutputKey": key,
                "OutputValue": str(evaluator.value(said["Value"])),
                **({"Description": said["Description"]} if "Description" in said else {}),
            }
            for key, said in template.sections.get("Outputs", {}).items()
            if "Condition" not in said or evaluator.holds(said["Condition"])
        ]

    def refer(self, logical: str) -> str:
        """What Ref gives of a resource that is there."""
        return self._there(logical).physical

    def attribute(self, logical: str, attribute: str) -> Any:
        """What Fn::GetAtt gives of a resource that is there."""
        resource = self._there(logical)
        found = kind_of(resource.type).attributes(self.cloud, resource.physical)
        if attribute not in found:
            raise TemplateError(f"The lab knows no attribute {attribute} of a {resource.type} ({logical}).")
        return found[attribute]

    def _there(self, logical: str) -> Resource:
        if logical not in self.resources:
            raise TemplateError(f"Unresolved resource dependencies [{logical}] in the template.")
        return self.resources[logical]
