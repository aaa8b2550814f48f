"""The buckets: private, versioned, over TLS only, and kept when the stack goes."""

from dataclasses import dataclass

from troposphere import GetAtt, Ref, Template, s3

from corral.settings import Settings
from corral.stack.tags import tags

# Kept when the stack goes, but not when its creation fails: else the next attempt would find the name taken.
KEPT = "RetainExceptOnCreate"


@dataclass(frozen=True)
class Buckets:
    """The bucket of releases, and of the balancer's access logs (with its policy) where they are wanted."""

    releases: s3.Bucket
    logs: s3.Bucket | None = None
    logs_policy: s3.BucketPolicy | None = None


def add(template: Template, settings: Settings) -> Buckets:
    """Add the buckets and their policies."""
    # A release is written once and never overwritten: an old version is somebody's mistake, kept for a while.
    releases = _bucket(template, settings, "Releases", settings.releases_bucket, _expire_old_versions(90))
    _policy(template, releases, [])
    if not settings.balancer.access_logs:
        return Buckets(releases)
    days = settings.balancer.access_log_days
    expire = s3.LifecycleRule(Id="expire", Status="Enabled", ExpirationInDays=days)
    logs = _bucket(template, settings, "Logs", settings.logs_bucket, expire, _expire_old_versions(7))
    return Buckets(releases, logs, _policy(template, logs, [_balancer_may_write(settings, logs)]))


def _bucket(
    template: Template, settings: Settings, title: str, name: str, *rules: s3.LifecycleRule
) -> s3.Bucket:
    abort = s3.LifecycleRule(
        Id="abort-uploads",
        Status="Enabled",
        AbortIncompleteMultipartUpload=s3.AbortIncompleteMultipartUpload(DaysAfterInitiation=7),
    )
    encrypt = s3.ServerSideEncryptionRule(
        ServerSideEncryptionByDefault=s3.ServerSideEncryptionByDefault(SSEAlgorithm="AES256")
    )
    return template.add_resource(
        s3.Bucket(
            f"{title}Bucket",
            BucketName=name,
            DeletionPolicy=KEPT,
            UpdateReplacePolicy="Retain",
            VersioningConfiguration=s3.VersioningConfiguration(Status="Enabled"),
            BucketEncryption=s3.BucketEncryption(ServerSideEncryptionConfiguration=[encrypt]),
            OwnershipControls=s3.OwnershipControls(
                Rules=[s3.OwnershipControlsRule(ObjectOwnership="BucketOwnerEnforced")]
            ),
            PublicAccessBlockConfiguration=s3.PublicAccessBlockConfiguration(
                BlockPublicAcls=True,
                BlockPublicPolicy=True,
                IgnorePublicAcls=True,
                RestrictPublicBuckets=True,
            ),
            LifecycleConfiguration=s3.LifecycleConfiguration(Rules=[*rules, abort]),
            Tags=tags(settings, title.lower()),
        )
    )


def _expire_old_versions(days: int) -> s3.LifecycleRule:
    return s3.LifecycleRule(
        Id="expire-old-versions",
        Status="Enabled",
        NoncurrentVersionExpiration=s3.NoncurrentVersionExpiration(NoncurrentDays=days),
    )


def _policy(template: Template, bucket: s3.Bucket, statements: list[dict[str, object]]) -> s3.BucketPolicy:
    tls_only = {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [GetAtt(bucket, "Arn"), _within(bucket, "*")],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return template.add_resource(
        s3.BucketPolicy(
            f"{bucket.title}Policy",
            Bucket=Ref(bucket),
            # The policy must not go before a bucket that stays.
            DeletionPolicy=KEPT,
            UpdateReplacePolicy="Retain",
            PolicyDocument={"Version": "2012-10-17", "Statement": [tls_only, *statements]},
        )
    )


def _balancer_may_write(settings: Settings, logs: s3.Bucket) -> dict[str, object]:
    """Elastic Load Balancing, "Access logs for your Application Load Balancer", step 2."""
    return {
        "Sid": "BalancerWritesAccessLogs",
        "Effect": "Allow",
        "Principal": {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": _within(logs, f"AWSLogs/{settings.account}/*"),
    }


def _within(bucket: s3.Bucket, keys: str) -> str:
    return f"arn:aws:s3:::{bucket.BucketName}/{keys}"
