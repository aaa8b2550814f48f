"""The limits of CloudFormation and EC2 that a template can meet: better known before anything is asked."""

import json
from collections.abc import Iterator
from typing import Any

from corral.errors import CorralError
from corral.settings import Settings

# CloudFormation quotas: "Template body size in an S3 object" (1 MB), and resources of a template.
MOST_BYTES = 1_000_000
MOST_RESOURCES = 500
# EC2 User Guide, "Run commands when you launch an EC2 instance with user data input": before it is encoded.
MOST_USER_DATA = 16_384


def check(settings: Settings, template: dict[str, Any]) -> None:
    """Raise CorralError that lists every limit which the template exceeds."""
    found = list(_exceeded(template))
    if found:
        problem = "\n".join([f"AWS would not take the stack of {settings.reference}:", *found])
        remedy = (
            "Make it smaller: fewer zones, a shorter user-data script, or another stack for a part of it."
        )
        raise CorralError(problem, remedy, "docs/stack.md")


def compact(template: dict[str, Any]) -> str:
    """The template without the white space that is there for readers only."""
    return json.dumps(template, separators=(",", ":"), sort_keys=True)


def _exceeded(template: dict[str, Any]) -> Iterator[str]:
    resources: dict[str, Any] = template["Resources"]
    size = len(compact(template).encode())
    if size > MOST_BYTES:
        yield f"  the template has {size:,} bytes; CloudFormation takes {MOST_BYTES:,}."
    if len(resources) > MOST_RESOURCES:
        yield f"  it has {len(resources)} resources; a stack takes {MOST_RESOURCES}."
    for title, resource in resources.items():
        size = len(_user_data(template, resource).encode())
        if size > MOST_USER_DATA:
            yield f"  the user-data of {title} has {size:,} bytes; EC2 takes {MOST_USER_DATA:,}."


def _user_data(template: dict[str, Any], resource: dict[str, Any]) -> str:
    """The script of a launch template before it is encoded: as it is, or out of the template's mappings."""
    data = resource.get("Properties", {}).get("LaunchTemplateData", {}).get("UserData", {})
    script = data.get("Fn::Base64", "")
    if isinstance(script, dict):
        mapping, key, attribute = script["Fn::FindInMap"]
        script = template["Mappings"][mapping][key][attribute]
    return str(script)
