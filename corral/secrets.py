"""The environment's secrets: made once, kept in SSM Parameter Store, never printed, read by hosts only."""

import secrets

from corral.aws import client, explained
from corral.settings import Settings

# 32 random bytes: 43 letters, digits, "-" and "_", which need no quoting anywhere.
RANDOM_BYTES = 32


def make_once(settings: Settings, role: str, name: str) -> bool:
    """Make the secret `name` of `role` unless it is there; whether it was made. Nobody learns the value."""
    with explained(settings):
        ssm = client(settings, "ssm")
        try:
            ssm.put_parameter(
                Name=settings.parameter(role, name),
                Value=secrets.token_urlsafe(RANDOM_BYTES),
                Type="SecureString",
                Overwrite=False,
                Description=f"{settings.project}, made by corral",
                Tags=[{"Key": "corral:environment", "Value": settings.environment}],
            )
        except ssm.exceptions.ParameterAlreadyExists:
            return False
    return True
