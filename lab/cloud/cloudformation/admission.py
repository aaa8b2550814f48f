"""What a request must show at the door: a fit name, a template of a fit size, the capabilities it needs."""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote, urlsplit

from botocore.exceptions import ClientError
from moto.cloudformation.exceptions import CloudFormationError, ValidationError

from lab.cloud import clients

# CloudFormation quotas, "Template body size in a request" and "… in an Amazon S3 object".
MOST_INLINE = 51_200
MOST_IN_S3 = 1_000_000
MOST_IN_NAME = 128
NAME = re.compile(r"[a-zA-Z][-a-zA-Z0-9]*")
# S3's names for a bucket's own host and for path style (S3 User Guide, "Virtual hosting of buckets").
S3_HOST = re.compile(r"(?:(?P<bucket>.+)\.)?s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com")

# CloudFormation API, CreateStack, Capabilities: these need one, and with a name of their own the stronger.
IAM_NAMES = {
    "AWS::IAM::AccessKey": None,
    "AWS::IAM::Group": "GroupName",
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Policy": None,
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::User": "UserName",
    "AWS::IAM::UserToGroupAddition": None,
}


class InsufficientCapabilities(CloudFormationError):
    """The template may do more than the caller agreed to."""

    code = "InsufficientCapabilitiesException"


def check_name(name: str) -> None:
    """Raise ValidationError for a name that no stack may have."""
    if len(name) > MOST_IN_NAME:
        raise _unfit(name, "stackName", f"Member must have length less than or equal to {MOST_IN_NAME}")
    if not NAME.fullmatch(name):
        raise _unfit(name, "stackName", f"Member must satisfy regular expression pattern: {NAME.pattern}")


def check_capabilities(resources: Iterable[dict[str, Any]], given: Iterable[str]) -> None:
    """Raise InsufficientCapabilities when the template's resources of IAM need more than was given."""
    iam = [resource for resource in resources if resource.get("Type") in IAM_NAMES]
    named = [each for each in iam if IAM_NAMES[each["Type"]] in each.get("Properties", {})]
    accepted = {"CAPABILITY_NAMED_IAM"} if named else {"CAPABILITY_NAMED_IAM", "CAPABILITY_IAM"}
    if iam and not accepted & set(given):
        raise InsufficientCapabilities(f"Requires capabilities : [{min(accepted, key=len)}]")


def template_body(inline: str | None, url: str | None, region: str, host: str) -> str:
    """The template's text: as it came, or from the lab's S3, which also answers at `host`.

    Raises ValidationError, as CloudFormation does.
    """
    if bool(inline) == bool(url):
        raise ValidationError(message="Either Template URL or Template Body must be specified.")
    if inline:
        if len(inline.encode()) > MOST_INLINE:
            bound = f"Member must have length less than or equal to {MOST_INLINE}"
            raise _unfit(inline, "templateBody", bound)
        return inline
    bucket, key = place(str(url), host)
    try:
        found = clients.client("s3", region).get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        raise ValidationError(message=f"S3 error: {error.response['Error']['Message']}") from error
    if len(found) > MOST_IN_S3:
        raise ValidationError(message=f"Template may not exceed {MOST_IN_S3} bytes in size.")
    return str(found.decode())


def place(url: str, host: str) -> tuple[str, str]:
    """Bucket and key of a template's URL: one of S3's own, or in path style of the lab's API at `host`."""
    parts = urlsplit(url)
    path = unquote(parts.path).lstrip("/")
    amazons = S3_HOST.fullmatch(parts.hostname or "") if parts.scheme == "https" else None
    own = amazons["bucket"] if amazons else None
    bucket, _, key = (own, "", path) if own else path.partition("/")
    if not (amazons or parts.netloc == host) or not (bucket and key):
        raise ValidationError(message="TemplateURL must be a supported URL.")
    return bucket, key


def _unfit(value: str, what: str, bound: str) -> ValidationError:
    message = (
        f"1 validation error detected: Value '{value}' at '{what}' failed to satisfy constraint: {bound}"
    )
    return ValidationError(message=message)
