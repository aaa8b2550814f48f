"""What holds data, and is kept when the stack goes: the buckets, and the volumes of singletons."""

from collections.abc import Mapping
from dataclasses import dataclass

from troposphere import GetAtt, Ref, Template, ec2, s3

from corral.settings import SINGLETONS, Settings
from corral.stack.tags import tags

# What is written once, and never overwritten, by whomever.
WRITTEN_ONCE = ("releases/*", "runtimes/*", "bundles/*")


@dataclass(frozen=True)
class Buckets:
    """The bucket of releases, and of the balancer's access logs (with its policy) where they are wanted."""

    releases: s3.Bucket
    logs: s3.Bucket | None = None
    logs_policy: s3.BucketPolicy | None = None


def add(template: Template, settings: Settings) -> Buckets:
    """Add the buckets and their policies."""
    # Pointers and reports are overwritten: what they said is kept for a while. A host sends its report every
    # hour: that of one which is silent for so long is of no use to anybody. A certificate holds for 90 days
    # (files/authority/sign), and its host is given another one long before. Whose logs have come is said
    # every minute (files/log_watch/log-watch).
    lives = {"reports": 30, "certificates": 90, "logs": 1}
    expiring = [rule for what, days in lives.items() for rule in _expire(what, days)]
    rules = [_expire_old_versions(90), *expiring, *_forget("snapshots")]
    releases = _bucket(template, settings, "Releases", settings.releases_bucket, *rules)
    _policy(template, settings, releases, [_written_once(releases)])
    if not settings.balancer.access_logs:
        return Buckets(releases)
    days = settings.balancer.access_log_days
    expire = s3.LifecycleRule(Id="expire", Status="Enabled", ExpirationInDays=days)
    logs = _bucket(template, settings, "Logs", settings.logs_bucket, expire, _expire_old_versions(7))
    return Buckets(releases, logs, _policy(template, settings, logs, [_balancer_may_write(settings, logs)]))


def add_volumes(template: Template, settings: Settings) -> Mapping[str, str | Ref]:
    """The id of each singleton's volume of data: of the one that the settings name, or of a new one."""
    return {role: _volume(template, settings, role) for role in SINGLETONS}


def _volume(template: Template, settings: Settings, role: str) -> str | Ref:
    options = settings.singleton(role)
    if options.data_volume:
        return options.data_volume
    volume = template.add_resource(
        ec2.Volume(
            f"{role.capitalize()}Volume",
            AvailabilityZone=settings.singleton_zone(role),
            Size=options.data_gib,
            VolumeType="gp3",
            Encrypted=True,
            Tags=tags(settings, f"{role}-data"),
            **kept(settings),
        )
    )
    return Ref(volume)


def kept(settings: Settings) -> dict[str, str]:
    """Policies of a resource that holds data: it stays when the stack goes, or when another takes its place.

    Not when the stack's creation fails: nothing is in it then, and the next attempt finds its name free.
    """
    if not settings.keep_data:
        return {}
    return {"DeletionPolicy": "RetainExceptOnCreate", "UpdateReplacePolicy": "Retain"}


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
            **kept(settings),
        )
    )


def _expire_old_versions(days: int) -> s3.LifecycleRule:
    return s3.LifecycleRule(
        Id="expire-old-versions",
        Status="Enabled",
        NoncurrentVersionExpiration=s3.NoncurrentVersionExpiration(NoncurrentDays=days),
    )


def _expire(what: str, days: int) -> list[s3.LifecycleRule]:
    """What is under `what`/ and was not written anew for so long, goes."""
    here = {"Status": "Enabled", "Prefix": f"{what}/"}
    old = s3.NoncurrentVersionExpiration(NoncurrentDays=days)
    return [
        s3.LifecycleRule(Id=f"expire-{what}", ExpirationInDays=days, NoncurrentVersionExpiration=old, **here),
        # All that a bucket with versions still has of it then (S3, "Removing expired object delete markers").
        s3.LifecycleRule(Id=f"forget-{what}", ExpiredObjectDeleteMarker=True, **here),
    ]


def _forget(what: str) -> list[s3.LifecycleRule]:
    """What was deleted under `what`/ is gone: Elasticsearch itself sees to how long snapshots stay."""
    here = {"Status": "Enabled", "Prefix": f"{what}/"}
    old = s3.NoncurrentVersionExpiration(NoncurrentDays=1)
    return [
        s3.LifecycleRule(Id=f"expire-old-{what}", NoncurrentVersionExpiration=old, **here),
        s3.LifecycleRule(Id=f"forget-{what}", ExpiredObjectDeleteMarker=True, **here),
    ]


def _policy(
    template: Template, settings: Settings, bucket: s3.Bucket, statements: list[dict[str, object]]
) -> s3.BucketPolicy:
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
            # The name itself: by a reference, CloudFormation would not take over a policy that is there
            # already (User Guide, "Import AWS resources into a CloudFormation stack automatically").
            Bucket=bucket.BucketName,
            PolicyDocument={"Version": "2012-10-17", "Statement": [tls_only, *statements]},
            # The policy must not go before a bucket that stays.
            **kept(settings),
        )
    )


def _written_once(releases: s3.Bucket) -> dict[str, object]:
    """Whoever writes there must ask S3 to do so only if nothing is there (`If-None-Match: *`).

    The parts of an upload in several can't; what puts them together must. (S3 User Guide, "Enforce
    conditional writes on Amazon S3 buckets".)
    """
    return {
        "Sid": "WrittenOnce",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": [_within(releases, keys) for keys in WRITTEN_ONCE],
        "Condition": {
            "Null": {"s3:if-none-match": "true"},
            "Bool": {"s3:ObjectCreationOperation": "true"},
        },
    }


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
