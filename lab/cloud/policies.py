"""Decides by IAM policies whether an action is allowed (IAM, "Policy evaluation logic"). Pure."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any

Document = Mapping[str, Any]
# Keys of a request that conditions ask for, in small letters; several values where there can be several.
Context = Mapping[str, list[str]]


def allowed(documents: Iterable[Document], action: str, resource: str, context: Context) -> bool:
    """Whether the policies allow the action: one statement does, and none denies it.

    `action`: such as "s3:GetObject". `resource`: its ARN. `context`: the request's condition keys.
    """
    decisions = [
        statement["Effect"]
        for document in documents
        for statement in _list(document["Statement"])
        if _concerns(statement, action, resource, context)
    ]
    return "Deny" not in decisions and "Allow" in decisions


def denied(documents: Iterable[Document], action: str, resource: str, context: Context) -> bool:
    """Whether a statement denies the action: what a bucket's policy does to roles of its own account."""
    return any(
        statement["Effect"] == "Deny" and _concerns(statement, action, resource, context)
        for document in documents
        for statement in _list(document["Statement"])
    )


def trusts(document: Document, service: str) -> bool:
    """Whether a role's trust policy lets a service, such as "ec2.amazonaws.com", take the role."""
    return any(
        statement["Effect"] == "Allow"
        and _any("sts:AssumeRole", statement.get("Action", []), small=True)
        and service in _list(statement.get("Principal", {}).get("Service", []))
        for statement in _list(document["Statement"])
    )


def _concerns(statement: Document, action: str, resource: str, context: Context) -> bool:
    if "Action" in statement and not _any(action, statement["Action"], small=True):
        return False
    if "NotAction" in statement and _any(action, statement["NotAction"], small=True):
        return False
    if "Resource" in statement and not _any(resource, statement["Resource"]):
        return False
    if "NotResource" in statement and _any(resource, statement["NotResource"]):
        return False
    return all(
        _holds(operator, key.lower(), _list(values), context, statement["Effect"])
        for operator, tests in statement.get("Condition", {}).items()
        for key, values in tests.items()
    )


def _holds(operator: str, key: str, values: list[Any], context: Context, effect: str) -> bool:
    """Whether one condition holds. One that the lab can't judge lets no Allow and every Deny hold."""
    many, _, name = operator.rpartition(":")
    optional = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    wanted = [str(value) for value in values]
    present = context.get(key, [])
    if name == "Null":
        return (not present) == (wanted[0].lower() == "true")
    test = _OPERATORS.get(name.removeprefix("Not") if name == "NotIpAddress" else name.replace("Not", "", 1))
    if test is None:
        return effect == "Deny"
    negative = "Not" in name
    if not present:
        # ForAllValues holds of nothing at all; a negative test of what is not there holds too.
        return optional or many == "ForAllValues" or (negative and many != "ForAnyValue")
    each = [any(test(value, want) for want in wanted) != negative for value in present]
    return all(each) if many == "ForAllValues" or (negative and not many) else any(each)


def _like(value: str, pattern: str) -> bool:
    """IAM's wildcards: * is any characters, ? is one."""
    parts = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(parts, value, re.DOTALL) is not None


def _within(value: str, network: str) -> bool:
    return ipaddress.ip_address(value) in ipaddress.ip_network(network, strict=False)


_OPERATORS = {
    "StringEquals": lambda value, want: value == want,
    "StringEqualsIgnoreCase": lambda value, want: value.lower() == want.lower(),
    "StringLike": _like,
    "ArnEquals": _like,
    "ArnLike": _like,
    "Bool": lambda value, want: value.lower() == want.lower(),
    "IpAddress": _within,
}


def _any(value: str, patterns: Any, small: bool = False) -> bool:
    every = [str(pattern) for pattern in _list(patterns)]
    if small:
        return any(_like(value.lower(), pattern.lower()) for pattern in every)
    return any(_like(value, pattern) for pattern in every)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
