"""Whether Amazon could make the site's certificate from what the settings say."""

from collections.abc import Mapping
from typing import Any

# The first name of a certificate (ACM API reference, RequestCertificate: "cannot exceed 64 octets").
LONGEST = 64


def problem(arn: str | None, said: Mapping[str, Any]) -> str | None:
    """What is wrong, and after a "|" what to do about it; None when nothing is.

    `arn`: of a certificate that exists. `said`: the settings that were read and found good so far.
    """
    if arn:
        return None
    zone, created = said.get("hosted_zone_id"), said.get("create_zone")
    if not zone and not created and {"hosted_zone_id", "create_zone"} <= said.keys():
        return (
            "no certificate can be made, as no zone is named to prove the domain in"
            "|give hosted_zone_id, or the ARN of a certificate"
        )
    domain = said.get("domain", "")
    if len(domain) > LONGEST:
        return (
            f"{domain} has {len(domain)} characters, and a certificate takes {LONGEST} at most"
            "|shorten domain (or the branch's name), or give the ARN of a certificate, such as one for"
            " *.example.com"
        )
    # A certificate is proven by a record that Amazon looks up from outside: in a zone that is being made,
    # which nothing points to yet, it is not found, and the stack's creation waits until it fails.
    if created and "aws" in said and not said["aws"].endpoint_url:
        return (
            "none can be proven in a zone that the stack makes, as nothing points to it yet"
            "|give the ARN of a certificate that exists, or the hosted_zone_id of a zone that does"
        )
    return None
