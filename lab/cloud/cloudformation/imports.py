"""Finds what a template names and what is there already, for a change set that takes such things over.

CloudFormation User Guide, "Import AWS resources into a CloudFormation stack automatically": by a name that
stands in the template as it is, with a DeletionPolicy that keeps it, and out of no other stack.
"""

from collections.abc import Iterable

from lab.cloud.cloudformation.properties import wanted_names
from lab.cloud.cloudformation.proposals import KEPT
from lab.cloud.cloudformation.resources import Refused, kind_of
from lab.cloud.cloudformation.stack import Stack
from lab.cloud.cloudformation.template import Template


def imports(stack: Stack, template: Template, stacks: Iterable[Stack]) -> list[str]:
    """Logical ids of the resources that are to be taken over. Raises Refused when one must not be."""
    found = {
        logical: name
        for logical in sorted(wanted_names(stack, template) - set(stack.resources))
        if (name := _name_of_existing(stack, template, logical))
    }
    unsafe = [name for name in found if template.resources[name].get("DeletionPolicy") not in KEPT]
    if unsafe:
        keys = {name: kind_of(template.resources[name]["Type"]).name for name in unsafe}
        affected = ", ".join(f"{name} ({{{keys[name]}={found[name]}}})" for name in unsafe)
        raise Refused(
            "CloudFormation is attempting to import some resources because they already exist in your "
            "account. The resources must have the DeletionPolicy attribute set to 'Retain' or "
            "'RetainExceptOnCreate' in the template for successful import. The affected resources are "
            f"{affected}"
        )
    for logical, name in found.items():
        for other in stacks:
            mine = template.resources[logical]["Type"], name
            if mine in {(each.type, each.physical) for each in other.resources.values()}:
                raise Refused(f"{logical} ({name}) can't be imported: it belongs to stack {other.id}.")
    return list(found)


def _name_of_existing(stack: Stack, template: Template, logical: str) -> str | None:
    said = template.resources[logical]
    kind = kind_of(said["Type"])
    name = said.get("Properties", {}).get(kind.name) if kind.name else None
    return name if isinstance(name, str) and kind.exists(stack.cloud, name) else None
