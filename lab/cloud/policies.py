"""Decides by IAM policies whether an action is allowed (IAM, "Policy evaluation logic"). Pure."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any

Document = Mapping[str, Any]
# Keys of a request that conditions ask for, in small letters; several values where there can be several.
Context = Mapping[str, list[str]]
Variables = Mapping[str, str]

# A text of a policy in pieces, each with whether its * and ? are wildcards.
Pieces = list[tuple[str, bool]]

_VARIABLE = re.compile(r"\$\{([^}]+)\}")


def allowed(documents: Iterable[Document], action: str, resource: str, context: Context) -> bool:
    """Whether the policies allow the action: one statement does, and none denies it.

    `action`: such as "s3:GetObject". `resource`: its ARN. `context`: the request's condition keys.
    """
    decisions = [
        statement["Effect"]
        for document in documents
        for statement in _list(document["Statement"])
        if _concerns(statement, action, resource, context, _variables(document, context))
    ]
    return "Deny" not in decisions and "Allow" in decisions


def denied(documents: Iterable[Document], action: str, resource: str, context: Context) -> bool:
    """Whether a statement denies the action: what a bucket's policy does to roles of its own account."""
    return any(
        statement["Effect"] == "Deny"
        and _concerns(statement, action, resource, context, _variables(document, context))
        for document in documents
        for statement in _list(document["Statement"])
    )


def trusts(document: Document, service: str) -> bool:
    """Whether a role's trust policy lets a service, such as "ec2.amazonaws.com", take the role."""
    return any(
        statement["Effect"] == "Allow"
        and _any_action("sts:AssumeRole", statement.get("Action", []))
        and service in _list(statement.get("Principal", {}).get("Service", []))
        for statement in _list(document["Statement"])
    )


def _variables(document: Document, context: Context) -> Variables | None:
    """What a document's ${…} stand for; nothing in those of the old version, which know no variables."""
    if document.get("Version") != "2012-10-17":
        return None
    return {key: values[0] for key, values in context.items() if len(values) == 1}


def _concerns(
    statement: Document, action: str, resource: str, context: Context, variables: Variables | None
) -> bool:
    if "Action" in statement and not _any_action(action, statement["Action"]):
        return False
    if "NotAction" in statement and _any_action(action, statement["NotAction"]):
        return False
    if "Resource" in statement and not _any(resource, statement["Resource"], variables):
        return False
    if "NotResource" in statement and _any(resource, statement["NotResource"], variables):
        return False
    return all(
        _holds(operator, key.lower(), _filled(values, variables), context, statement["Effect"])
        for operator, tests in statement.get("Condition", {}).items()
        for key, values in tests.items()
    )


def _holds(operator: str, key: str, wanted: list[Pieces], context: Context, effect: str) -> bool:
    """Whether one condition holds. One that the lab can't judge lets no Allow and every Deny hold."""
    many, _, name = operator.rpartition(":")
    optional = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    present = context.get(key, [])
    if name == "Null":
        return (not present) == (_plain(wanted[0]).lower() == "true")
    test = _OPERATORS.get(name.removeprefix("Not") if name == "NotIpAddress" else name.replace("Not", "", 1))
    if test is None:
        return effect == "Deny"
    negative = "Not" in name
    if not present:
        # ForAllValues holds of nothing at all; a negative test of what is not there holds too.
        return optional or many == "ForAllValues" or (negative and many != "ForAnyValue")
    each = [any(test(value, want) for want in wanted) != negative for value in present]
    return all(each) if many == "ForAllValues" or (negative and not many) else any(each)


def _filled(texts: Any, variables: Variables | None) -> list[Pieces]:
    """Texts with their variables filled in; one with a variable that the request does not have is none.

    IAM User Guide, "Policy variables": ${key}, ${key, 'default'}, and ${*}, ${?}, ${$} for these signs.
    """
    found = []
    for text in map(str, _list(texts)):
        split = [text] if variables is None else _VARIABLE.split(text)
        pieces = [
            (_value(piece, variables or {}), False) if index % 2 else (piece, True)
            for index, piece in enumerate(split)
        ]
        known = [(piece, wild) for piece, wild in pieces if piece is not None]
        if len(known) == len(pieces):
            found.append(known)
    return found


def _value(name: str, variables: Variables) -> str | None:
    if name in {"*", "?", "$"}:
        return name
    key, comma, default = name.partition(",")
    return variables.get(key.strip().lower(), default.strip().strip("'") if comma else None)


def _plain(pieces: Pieces) -> str:
    return "".join(piece for piece, _ in pieces)


def _like(value: str, pieces: Pieces) -> bool:
    """IAM's wildcards: * is any characters, ? is one."""
    parts = [(re.escape(piece), wild) for piece, wild in pieces]
    pattern = "".join(part.replace(r"\*", ".*").replace(r"\?", ".") if wild else part for part, wild in parts)
    return re.fullmatch(pattern, value, re.DOTALL) is not None


def _within(value: str, network: Pieces) -> bool:
    return ipaddress.ip_address(value) in ipaddress.ip_network(_plain(network), strict=False)


_OPERATORS = {
    "StringEquals": lambda value, want: value == _plain(want),
    "StringEqualsIgnoreCase": lambda value, want: value.lower() == _plain(want).lower(),
    "StringLike": _like,
    "ArnEquals": _like,
    "ArnLike": _like,
    "Bool": lambda value, want: value.lower() == _plain(want).lower(),
    "IpAddress": _within,
}


def _any(value: str, patterns: Any, variables: Variables | None = None) -> bool:
    return any(_like(value, pieces) for pieces in _filled(patterns, variables))


def _any_action(action: str, patterns: Any) -> bool:
    return _any(action.lower(), [str(pattern).lower() for pattern in _list(patterns)])


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
