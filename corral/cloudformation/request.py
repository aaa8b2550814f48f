"""What CloudFormation is asked for: the parameters of the template, the stack's tags. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from corral.cloudformation.changes import Difference
from corral.cloudformation.stacks import Stack
from corral.settings import Settings
from corral.stack.servers import IMAGE
from corral.stack.switches import CONSENT, SERVERS
from corral.stack.template import EXPIRES


@dataclass(frozen=True)
class Wishes:
    """What is asked for beyond the settings.

    `servers`: that there be some; a stack that has servers keeps them, whether that is asked for or not.
    `image`: the SSM parameter of the machine image, where it is not the environment's own. `expires`: the day
    after which the environment may go, as "2026-01-31"; without one the stack keeps what it has.
    """

    servers: bool = False
    replace_servers: bool = False
    image: str | None = None
    expires: str | None = None


def has_servers(stack: Stack | None) -> bool:
    """Whether a stack may have servers. One from before there was a choice has them."""
    return stack is not None and stack.exists and stack.parameters.get(SERVERS, "yes") == "yes"


def parameters(template: Mapping[str, Any], stack: Stack | None, wishes: Wishes) -> list[dict[str, object]]:
    """A value for every parameter of the template, said outright; `stack` keeps servers and expiry."""
    values = {name: parameter["Default"] for name, parameter in template.get("Parameters", {}).items()}
    wanted = {
        SERVERS: "yes" if wishes.servers or has_servers(stack) else "no",
        CONSENT: "yes" if wishes.replace_servers else "no",
        IMAGE: wishes.image or values.get(IMAGE),
        EXPIRES: wishes.expires or values.get(EXPIRES),
    }
    asked = {SERVERS: wishes.servers, EXPIRES: wishes.expires}
    kept = {name for name in asked if stack and name in stack.parameters and not asked[name]}
    return [
        {"ParameterKey": name, "UsePreviousValue": True}
        if name in kept
        else {"ParameterKey": name, "ParameterValue": wanted.get(name, default)}
        for name, default in values.items()
    ]


def differences(given: list[dict[str, object]], stack: Stack | None) -> tuple[Difference, ...]:
    """The parameters that the stack has with another value; but for the consent to replace servers."""
    known = stack.parameters if stack else {}
    values = {str(each["ParameterKey"]): each.get("ParameterValue") for each in given}
    return tuple(
        Difference(name, known[name], str(value))
        for name, value in values.items()
        if name in known and name != CONSENT and value not in {None, known[name]}
    )


def tags(settings: Settings) -> list[dict[str, str]]:
    """Tags of the stack, which its resources inherit: whose it is, and which file its settings are in."""
    said = {
        "corral:project": settings.project,
        "corral:environment": settings.environment,
        "corral:file": settings.pattern or settings.environment,
    }
    return [{"Key": key, "Value": value} for key, value in said.items()]
