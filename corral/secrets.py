"""The environment's secrets: made once, kept in SSM Parameter Store, never printed, read by hosts only."""

import secrets
from collections.abc import Callable

from corral import authority, parameters
from corral.aws import client, explained
from corral.settings import Settings

# 32 random bytes: 43 letters, digits, "-" and "_", which need no quoting anywhere.
RANDOM_BYTES = 32
# What DeleteParameters takes at most (Systems Manager API reference).
PARAMETERS_A_CALL = 10


def password(settings: Settings) -> str:
    """One that nobody could guess, whatever the settings."""
    return secrets.token_urlsafe(RANDOM_BYTES)


# Every secret of an environment: whose it is, its name, and how it is made.
EVERY: tuple[tuple[str, str, Callable[[Settings], str]], ...] = (
    ("app", "database-password", password),
    ("elk", "ca-key", authority.make),
    # Accounts of Elasticsearch (files/elasticsearch/accounts).
    ("elk", "operator-password", password),
    ("elk", "reader-password", password),
    ("elk", "writer-password", password),
    ("elk", "kibana-token", password),
    ("elk", "kibana-key", password),
)


def make_all(settings: Settings) -> list[str]:
    """Make those that are not there yet; the full names of those that were made. Raises CorralError."""
    return [
        settings.parameter(role, name)
        for role, name, value in EVERY
        if make_once(settings, role, name, value)
    ]


def make_once(settings: Settings, role: str, name: str, value: Callable[[Settings], str] = password) -> bool:
    """Make the secret `name` of `role` unless it is there; whether it was made. Nobody learns the value.

    One that somebody made by hand becomes the environment's own. Raises CorralError for another project's.
    """
    with explained(settings):
        ssm = client(settings, "ssm")
        try:
            ssm.put_parameter(
                Name=settings.parameter(role, name),
                Value=value(settings),
                Type="SecureString",
                Overwrite=False,
                Description=f"{settings.project}, made by corral",
                Tags=parameters.tags(settings),
            )
        except ssm.exceptions.ParameterAlreadyExists:
            parameters.adopt(settings, settings.parameter(role, name))
            return False
    return True


def names(settings: Settings) -> list[str]:
    """Names of the environment's own parameters under /corral/<environment>, sorted.

    What is another project's, or was put there by hand and adopted by nobody, is none of them.
    """
    ours = [
        {"Key": "Path", "Option": "Recursive", "Values": [settings.parameter_prefix]},
        {"Key": f"tag:{parameters.PROJECT}", "Values": [settings.project]},
    ]
    with explained(settings):
        pages = client(settings, "ssm").get_paginator("describe_parameters").paginate(ParameterFilters=ours)
        return sorted(parameter["Name"] for page in pages for parameter in page["Parameters"])


def forget_all(settings: Settings) -> list[str]:
    """Delete the environment's own parameters: no server reads them any more. Returns the names."""
    found = names(settings)
    with explained(settings):
        for start in range(0, len(found), PARAMETERS_A_CALL):
            client(settings, "ssm").delete_parameters(Names=found[start : start + PARAMETERS_A_CALL])
    return found
