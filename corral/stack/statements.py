"""What policies are made of: statements of IAM about this environment's parameters and objects. Pure data."""

from collections.abc import Mapping
from typing import TypeAlias

from troposphere import Ref

from corral.settings import Settings

Statement = dict[str, object]
Id: TypeAlias = str | Ref


def read_secrets(settings: Settings, *names: str) -> list[Statement]:
    """Read the parameters `names`, and decrypt them with Parameter Store's own key."""
    where = f"{settings.region}:{settings.account}"
    return [
        allow(
            "ReadSecrets",
            ["ssm:GetParameter"],
            [f"arn:aws:ssm:{where}:parameter{name}" for name in names],
        ),
        # Only by way of Parameter Store, and only with the key that it keeps for this account.
        allow(
            "DecryptSecrets",
            ["kms:Decrypt"],
            [f"arn:aws:kms:{where}:key/*"],
            {
                "StringEquals": {"kms:ViaService": f"ssm.{settings.region}.amazonaws.com"},
                "ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/aws/ssm"},
            },
        ),
    ]


def allow(
    what: str, actions: list[str], resources: list[object], conditions: Mapping[str, object] | None = None
) -> Statement:
    """One statement. `what`: its Sid; `conditions`: by operator, then by key."""
    said: Statement = {"Sid": what, "Effect": "Allow", "Action": actions, "Resource": resources}
    return said | ({"Condition": dict(conditions)} if conditions else {})


def bucket(settings: Settings) -> str:
    """The ARN of the bucket of releases."""
    return f"arn:aws:s3:::{settings.releases_bucket}"


def keys(settings: Settings, *names: str) -> list[object]:
    """ARNs of objects in the bucket of releases; each may hold stars and variables of IAM."""
    return [f"{bucket(settings)}/{name}" for name in names]
