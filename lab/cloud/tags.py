"""The tags of one resource of EC2, looked up; moto searches everybody's for them, for each of a fleet."""

from typing import Any

from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, get_prefix


def install() -> None:
    """Look them up."""
    TaggedEC2Resource.get_tags = _get_tags  # type: ignore[method-assign]


def _get_tags(self: Any) -> list[dict[str, str]]:
    own = self.ec2_backend.tags.get(self.id) or {}
    kind = EC2_PREFIX_TO_RESOURCE.get(get_prefix(self.id), "") if own else ""
    return [
        {"resource_id": self.id, "key": key, "value": value, "resource_type": kind}
        for key, value in list(own.items())
    ]
