"""How a template reaches CloudFormation: inside the request, or by a bucket when it is too big for that."""

import hashlib
import json
from contextlib import suppress
from typing import Any

from botocore.exceptions import ClientError

from corral.aws import client
from corral.errors import CorralError
from corral.settings import Settings
from corral.stack.template import compact

SEE = "docs/stack.md"
# CreateChangeSet takes no more in its TemplateBody (CloudFormation API reference).
INLINE_BYTES = 51_200
# A template is read once, when its change set is made; it is kept a while for who wants to look.
DAYS = 30


def given(settings: Settings, template: str) -> dict[str, str]:
    """The part of a request that gives the template (JSON): TemplateBody, or TemplateURL after an upload."""
    body = compact(template)
    if len(body.encode()) <= INLINE_BYTES:
        return {"TemplateBody": body}
    return {"TemplateURL": _upload(settings, body.encode())}


def bucket_name(settings: Settings) -> str:
    """The project's bucket of templates. Bucket names are global, and CloudFormation reads of its region."""
    return f"{settings.project}-templates-{settings.account}-{settings.region}"


def _upload(settings: Settings, body: bytes) -> str:
    """Put the template where its sum says, and return its address. Raises ClientError, CorralError."""
    s3, bucket = client(settings, "s3"), bucket_name(settings)
    key = f"{hashlib.sha256(body).hexdigest()}.json"
    # Anybody can guess the bucket's name: one that somebody else made in time is none of ours.
    ours = {"Bucket": bucket, "ExpectedBucketOwner": settings.account}
    if not _is_whole(s3, ours):
        _make_bucket(settings, s3, ours)
    s3.put_object(**ours, Key=key, Body=body, ContentType="application/json")
    return f"{s3.meta.endpoint_url}/{bucket}/{key}"


def _is_whole(s3: Any, ours: dict[str, str]) -> bool:
    """Whether the bucket is there with everything it should have: its lifecycle is what it gets last."""
    try:
        s3.get_bucket_lifecycle_configuration(**ours)
    except ClientError as error:
        match error.response["Error"]["Code"]:
            case "NoSuchBucket" | "NoSuchLifecycleConfiguration":
                return False
            case "AccessDenied":
                problem = f"The bucket {ours['Bucket']} belongs to another account, or you may not read it."
                raise CorralError(problem, "Ask the account's administrator to look at it.", SEE) from error
        raise
    return True


def _make_bucket(settings: Settings, s3: Any, ours: dict[str, str]) -> None:
    """Make the bucket private, encrypted, and for TLS only; or end what was interrupted while it did so."""
    bucket = ours["Bucket"]
    where = {"CreateBucketConfiguration": {"LocationConstraint": settings.region}}
    # Ours from before, or made at the same moment; if it is somebody else's, the next request fails.
    with suppress(s3.exceptions.BucketAlreadyOwnedByYou, s3.exceptions.BucketAlreadyExists):
        # S3 takes its oldest region for granted, and refuses its name.
        s3.create_bucket(
            Bucket=bucket,
            ObjectOwnership="BucketOwnerEnforced",
            **(where if settings.region != "us-east-1" else {}),
        )
    blocked = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
    s3.put_public_access_block(**ours, PublicAccessBlockConfiguration=dict.fromkeys(blocked, True))
    encryption = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    s3.put_bucket_encryption(**ours, ServerSideEncryptionConfiguration={"Rules": [encryption]})
    s3.put_bucket_policy(**ours, Policy=json.dumps(_tls_only(bucket)))
    s3.put_bucket_tagging(**ours, Tagging={"TagSet": [{"Key": "corral:project", "Value": settings.project}]})
    expire = {"ID": "expire", "Status": "Enabled", "Filter": {}, "Expiration": {"Days": DAYS}}
    s3.put_bucket_lifecycle_configuration(**ours, LifecycleConfiguration={"Rules": [expire]})


def _tls_only(bucket: str) -> dict[str, object]:
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "TlsOnly",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ],
    }
