"""The way to the AWS API: sessions and clients for an environment, and AWS's errors as sentences."""

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore import exceptions as boto
from botocore.config import Config
from botocore.parsers import ResponseParserError

from corral.errors import CorralError
from corral.settings import Settings

SEE = "docs/stack.md"
# Requests that one client has under way at most; boto3's own 10 are few for reading a report of each host.
CONNECTIONS = 32
CREDENTIALS = "Give them in one of boto3's standard ways: AWS_PROFILE, `aws sso login`, or an instance role."

EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
INVALID = {"InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure", "InvalidAccessKeyId"}
SIGNATURE = {"SignatureDoesNotMatch", "InvalidSignatureException", "RequestTimeTooSkewed"}
DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"}
DENIED |= {"403"}  # the answer to a HEAD request has no body to say more
ELSEWHERE = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}


# Making one takes a tenth of a second and more, most of it reading botocore's data: each is made once.
@cache
def session(settings: Settings) -> boto3.Session:
    """A session in the environment's region, with the file's keys where it has an endpoint of its own."""
    with explained(settings):
        return boto3.Session(
            region_name=settings.region,
            aws_access_key_id=settings.aws.access_key_id,
            aws_secret_access_key=settings.aws.secret_access_key,
        )


@cache
def client(settings: Settings, service: str) -> Any:
    """A client of one service, such as "ec2", which slows down when AWS throttles (adaptive retries).

    Raises CorralError when nothing answers at an endpoint of the environment's own.
    """
    if settings.aws.endpoint_url:
        _reach(settings, settings.aws.endpoint_url)
    config = Config(
        retries={"mode": "adaptive", "max_attempts": 6},
        connect_timeout=5,
        max_pool_connections=CONNECTIONS,
        # An endpoint of one's own has no DNS name per bucket.
        s3={"addressing_style": "path"} if settings.aws.endpoint_url else {},
    )
    made: Any = session(settings)
    return made.client(service, endpoint_url=settings.aws.endpoint_url, config=config)


def check_account(settings: Settings) -> None:
    """Raise CorralError unless the credentials belong to the account that the environment names."""
    with explained(settings):
        account = client(settings, "sts").get_caller_identity()["Account"]
    if account != settings.account:
        raise CorralError(
            f"These credentials are for account {account}, but environment {settings.environment} lives in"
            f" {settings.account}.",
            "Choose another profile (AWS_PROFILE), or another environment (-e, CORRAL_ENV).",
            SEE,
        )


@contextmanager
def explained(settings: Settings) -> Iterator[None]:
    """Turn what boto3 raises inside into a CorralError that says how to mend it."""
    try:
        yield
    except boto.ClientError as error:
        raise _from_aws(settings, error) from error
    except (boto.NoCredentialsError, boto.PartialCredentialsError) as error:
        raise CorralError("There are no AWS credentials, or not all of them.", CREDENTIALS, SEE) from error
    except (boto.ProfileNotFound, boto.ConfigParseError) as error:
        raise CorralError(f"{error}.", "Set AWS_PROFILE to one of `aws configure list-profiles`.") from error
    except (boto.SSOError, boto.TokenRetrievalError, boto.CredentialRetrievalError) as error:
        raise CorralError(f"No AWS credentials could be had: {error}", "Log in: `aws sso login`.") from error
    except (boto.ConnectionError, boto.HTTPClientError) as error:
        remedy = f"Check the network and the proxy.{_doubts(settings)}"
        raise CorralError(f"The AWS API can't be reached: {error}", remedy, SEE) from error
    except ResponseParserError as error:
        problem = "What should be the AWS API gives an answer that is none."
        raise CorralError(problem, "Check the endpoint and the proxy.", SEE) from error
    except boto.BotoCoreError as error:
        raise CorralError(f"A request to AWS could not be made: {error}", see=SEE) from error


def _from_aws(settings: Settings, error: boto.ClientError) -> CorralError:
    code = error.response.get("Error", {}).get("Code", "unknown")
    message = error.response.get("Error", {}).get("Message", "no message")
    if code in EXPIRED:
        return CorralError("The AWS credentials have expired.", "Log in again: `aws sso login`.", SEE)
    if code in INVALID:
        remedy = f"{CREDENTIALS} Where they work elsewhere, region {settings.region} may not be enabled."
        return CorralError(f"AWS does not know these credentials ({code}).", remedy, SEE)
    if code in ELSEWHERE or "valid region" in message:
        remedy = "Check `region`, and the endpoint if one is set (AWS_ENDPOINT_URL)."
        return CorralError(f"That is not in region {settings.region}: {message}", remedy, SEE)
    if code in SIGNATURE:
        remedy = "Check the secret key, and this machine's clock (`timedatectl`)."
        return CorralError(f"AWS refuses the signature ({code}).", remedy, SEE)
    if code in DENIED:
        remedy = "Ask the account's administrator for this action, or choose another profile (AWS_PROFILE)."
        return CorralError(f"No permission for {error.operation_name}: {message}", remedy, SEE)
    return CorralError(f"{error.operation_name}: {message} ({code})", see=SEE)


def _doubts(settings: Settings) -> str:
    """A word more where the region itself may be what is wrong."""
    if settings.aws.endpoint_url:
        return ""
    here = session(settings)
    known = [
        region
        for partition in here.get_available_partitions()
        for region in here.get_available_regions("ec2", partition)
    ]
    if settings.region in known:
        return ""
    close = get_close_matches(settings.region, known, n=1)
    meant = f" Did you mean {close[0]}?" if close else ""
    return f" As far as this machine knows, there is no region {settings.region}.{meant}"


def _reach(settings: Settings, endpoint: str) -> None:
    """Make sure that something answers at an endpoint of one's own, before boto3 retries for long.

    A link-local address must be on a network of this machine: with none, the system would send the packet to
    its default gateway, out of the real interface. Asking for the route sends nothing.
    """
    url = urlsplit(endpoint)
    host, port = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
    refused = CorralError(
        f"Nothing answers at {endpoint}, the AWS API of environment {settings.environment}.",
        "If this is the lab, start it: make up (or `corral lab up`).",
        "docs/lab.md",
    )
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((host, port))
            mine, theirs = (ipaddress.ip_address(s[0]) for s in (probe.getsockname(), probe.getpeername()))
        if theirs.is_link_local and not mine.is_link_local:
            raise refused
        socket.create_connection((host, port), timeout=5).close()
    except OSError as error:
        raise refused from error
