"""What a type of resource is to the lab: the properties it takes, and what makes, changes and deletes it."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

Properties = Mapping[str, Any]
# Gives a boto3 client of the lab's own API by the name of a service, such as "ec2".
Cloud = Callable[[str], Any]


class Refused(Exception):
    """The lab does not do what the template asks for; the message becomes the event's reason."""


class Kind:
    """One type of resource. A subclass with a `type` registers itself.

    `properties`: all that the lab does something about; any other fails the stack. `replaced_by`: those whose
    change makes a new resource, as the type's page in CloudFormation's reference says ("Update requires").
    `perhaps_replaced_by`: those of which it says "conditional", or which have it so in the type's schema
    (conditionalCreateOnlyProperties); the lab changes them where they stand.
    `name`: the property that names the resource, filled in when the template leaves it out; of at most
    `longest_name` characters. Templates may write numbers and truths as words: clients put that right.
    """

    type: ClassVar[str] = ""
    properties: ClassVar[frozenset[str]] = frozenset()
    replaced_by: ClassVar[frozenset[str]] = frozenset()
    perhaps_replaced_by: ClassVar[frozenset[str]] = frozenset()
    name: ClassVar[str] = ""
    longest_name: ClassVar[int] = 255

    def __init_subclass__(cls) -> None:
        if cls.type:
            KINDS[cls.type] = cls()

    def create(self, cloud: Cloud, given: Properties) -> str:
        """Make the resource; its physical id, which is what Ref gives."""
        raise NotImplementedError

    def update(self, cloud: Cloud, physical: str, given: Properties, before: Properties) -> None:
        """Bring the resource from the properties `before` to those `given`; none of `replaced_by` differs."""
        changed = sorted(key for key in {*given, *before} if given.get(key) != before.get(key))
        raise Refused(f"The lab can't change {', '.join(changed)} of a {self.type} that is there.")

    def restore(self, cloud: Cloud, physical: str, given: Properties, before: Properties) -> None:
        """Bring the resource back to the properties `given`, for an update that has failed."""
        self.update(cloud, physical, given, before)

    def settle(
        self, cloud: Cloud, physical: str, given: Properties, before: Properties, say: Callable[[str], None]
    ) -> None:
        """Do what follows an update before it is complete, such as replacing servers. `say` adds an event."""

    def delete(self, cloud: Cloud, physical: str, given: Properties) -> None:
        """Delete the resource."""
        raise NotImplementedError

    def exists(self, cloud: Cloud, name: str) -> bool:
        """Whether there is one of this name, which a stack could take over."""
        return False

    def adopt(self, cloud: Cloud, given: Properties) -> str:
        """Bring the one that is there already to the properties; its physical id."""
        raise Refused(f"The lab can't import a {self.type} that is there.")

    def attributes(self, cloud: Cloud, physical: str) -> Mapping[str, Any]:
        """What Fn::GetAtt gives, by name."""
        return {}


KINDS: dict[str, Kind] = {}


def names(text: str) -> frozenset[str]:
    """A set of words."""
    return frozenset(text.split())


def kind_of(resource_type: str) -> Kind:
    """The kind of a type. Raises Refused for one that the lab does not know."""
    if resource_type not in KINDS:
        raise Refused(
            f"The lab does not know resources of type {resource_type}. Those it knows are in lab/cloud/"
            "cloudformation/resources/: add it there, or leave it out of the template."
        )
    return KINDS[resource_type]


def pick(given: Properties, text: str) -> dict[str, Any]:
    """Those of the named properties that are given."""
    return {key: given[key] for key in text.split() if key in given}


def changed(given: Properties, before: Properties, text: str) -> bool:
    """Whether one of the named properties is another than it was."""
    return any(given.get(key) != before.get(key) for key in text.split())


def tag_differences(
    given: Properties, before: Properties, key: str = "Tags"
) -> tuple[list[dict[str, str]], list[str]]:
    """Tags to put on a resource, and keys of those to take away."""
    new, old = given.get(key) or [], before.get(key) or []
    return [tag for tag in new if tag not in old], sorted(
        {tag["Key"] for tag in old} - {tag["Key"] for tag in new}
    )
