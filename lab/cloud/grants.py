"""What the credentials of a role may do, and what conditions may ask about who bears them."""

import json
from typing import Any

from moto.iam.models import IAMBackend, iam_backends
from moto.sts.models import AssumedRole

from lab.cloud import policies


def lacking(role: AssumedRole, action: str, resource: str, asked: policies.Context) -> str:
    """Which kind of policy does not allow the action; "" when it may be done.

    (IAM, "Permissions boundaries": what both the role's policies and its boundary allow.)
    """
    backend: IAMBackend = iam_backends[role.account_id]["aws"]
    held = backend.get_role(role.role_arn.split("/")[-1])
    own = [json.loads(text) for text in held.policies.values()]
    own += [_document(policy) for policy in held.managed_policies.values()]
    if not policies.allowed(own, action, resource, asked):
        return "identity-based policy"
    if bounding := held.permissions_boundary_arn:
        bounds = [_document(policy) for policy in [backend.managed_policies.get(bounding)] if policy]
        if not policies.allowed(bounds, action, resource, asked):
            return "permissions boundary"
    return ""


def _document(policy: Any) -> policies.Document:
    document: policies.Document = json.loads(next(v.document for v in policy.versions if v.is_default))
    return document


def principal(role: AssumedRole) -> dict[str, list[str]]:
    """Condition keys of who calls (IAM, "AWS global condition context keys"), in small letters.

    aws:userid is ROLEID:SESSION, and an instance's id names its session. Roles have no aws:username.
    """
    held = iam_backends[role.account_id]["aws"].get_role(role.role_arn.split("/")[-1])
    return {
        "aws:userid": [role.user_id],
        "aws:principalarn": [held.arn],
        "aws:principalaccount": [role.account_id],
        "aws:principaltype": ["AssumedRole"],
        **{f"aws:principaltag/{tag['Key'].lower()}": [tag["Value"]] for tag in held.tags},
    }
