"""The kinds of value that settings are made of, each refusing what AWS or a host would refuse much later.

A message reads "what is wrong|what to write instead"; `corral.settings.sentences` makes a sentence of each.
"""

import re
import zoneinfo
from ipaddress import IPv4Network
from typing import Annotated

from pydantic import AfterValidator, Field

LABEL = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
# A load balancer's name, "<project>-<environment>", has at most 32 characters and no hyphen at either end.
NAME = r"[a-z]([a-z0-9-]{0,13}[a-z0-9])?"


def _cidr(value: str) -> str:
    try:
        return str(IPv4Network(value))
    except ValueError as error:
        raise ValueError(f"not an IPv4 network: {error}|write one such as 10.42.0.0/16") from None


def _domain(value: str) -> str:
    # RFC 1123, section 2.1, and RFC 1035's 253 characters: labels of letters, digits and inner hyphens.
    if len(value) > 253 or not re.fullmatch(rf"{LABEL}(\.{LABEL})+", value):
        raise ValueError(
            f"{value!r} is not a domain name|write one such as chat.example.com, in small letters"
        )
    # No top-level domain is a number (RFC 3696, section 2).
    if value.rpartition(".")[2].isdigit():
        problem = f"{value!r} is an address, for which there is neither a zone nor a certificate"
        raise ValueError(f"{problem}|write a domain name such as chat.example.com")
    return value


def _account(value: str) -> str:
    if not re.fullmatch(r"\d{12}", value):
        raise ValueError(
            f"{value!r} is not an AWS account id|write its 12 digits in quotes (aws sts get-caller-identity)"
        )
    return value


def _environment(value: str) -> str:
    if not re.fullmatch(NAME, value):
        raise ValueError(
            f"{value!r} is no name for an environment"
            "|rename the file: at most 15 small letters, digits and hyphens, first a letter, last no hyphen"
        )
    return value


def _region(value: str) -> str:
    # Their ARNs begin otherwise, and several services differ (AWS General Reference, "ARN format").
    if value.startswith(("cn-", "us-gov-", "us-iso")):
        problem = f"{value} is in a partition of AWS of its own, for which corral's policies are not made"
        raise ValueError(f"{problem}|choose another region, such as eu-west-1")
    return value


def _timezone(value: str) -> str:
    # A machine without tzdata knows no zone at all: the host's own check has the say then.
    known = zoneinfo.available_timezones()
    if known and value not in known:
        raise ValueError(f"{value!r} is not a time zone|write one such as Europe/Berlin, or UTC")
    return value


Cidr = Annotated[str, AfterValidator(_cidr)]
Domain = Annotated[str, AfterValidator(_domain)]
Account = Annotated[str, AfterValidator(_account)]
Region = Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$"), AfterValidator(_region)]
Zone = Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d[a-z]$")]
InstanceType = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*\.(nano|micro|small|medium|\d*x?large|metal)$")]
EnvironmentName = Annotated[str, AfterValidator(_environment)]
Name = Annotated[str, Field(pattern=f"^{NAME}$")]
Timezone = Annotated[str, Field(pattern=r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$"), AfterValidator(_timezone)]
SqlName = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$")]
