"""What each role may do, as statements of IAM: exactly what its hosts need, and nothing else. Pure data."""

from troposphere import Sub

from corral.settings import Settings
from corral.stack.statements import Id, Statement, allow, bucket, keys, read_secrets

# Calls that AWS gives no resource to name (Service Authorization Reference: "Resource types" is empty), with
# what they are for. Nowhere else may a policy say "*".
WITHOUT_RESOURCE = {
    "autoscaling:DescribeAutoScalingGroups": "the inventory: who is in service",
    "ec2:DescribeInstances": "the inventory: addresses, zones and tags of members",
    "elasticloadbalancing:DescribeTargetHealth": "a rollout waits until hosts are healthy there",
}


def app(settings: Settings) -> list[Statement]:
    """An app server reads releases and its own secrets. It lists nothing."""
    return [
        *_every_host(settings, "app"),
        allow(
            "ReadReleases",
            ["s3:GetObject"],
            keys(settings, "releases/app/*", "runtimes/*", f"environments/{settings.environment}/app/*"),
        ),
        *read_secrets(settings, settings.parameter("app", "*")),
    ]


def db(settings: Settings, zone: Id, volume: Id) -> list[Statement]:
    """The database server reads its secrets, and the app servers' password that it makes a role with."""
    return [
        *_every_host(settings, "db"),
        *_singleton(settings, "db", zone, volume),
        *read_secrets(
            settings, settings.parameter("db", "*"), settings.parameter("app", "database-password")
        ),
    ]


def elk(settings: Settings, zone: Id, volume: Id) -> list[Statement]:
    """The log server signs the hosts' certificates, and says whose logs it has seen."""
    environment = settings.environment
    certificates = f"certificates/{environment}"
    signed = [f"{certificates}/issued/*", f"environments/{environment}/ca.pem"]
    return [
        *_every_host(settings, "elk"),
        *_singleton(settings, "elk", zone, volume),
        *read_secrets(settings, settings.parameter("elk", "*")),
        allow("ReadRequests", ["s3:GetObject"], keys(settings, f"{certificates}/requests/*")),
        allow("Sign", ["s3:PutObject"], keys(settings, *signed)),
        allow("TellWhoLogs", ["s3:PutObject"], keys(settings, f"logs/{environment}/seen.json")),
        allow(
            "ListRequests",
            ["s3:ListBucket"],
            [bucket(settings)],
            {"StringLike": {"s3:prefix": f"{certificates}/*"}},
        ),
        *_snapshots(settings, f"snapshots/{environment}"),
    ]


def release(settings: Settings, zone: Id, volume: Id) -> list[Statement]:
    """The release server finds the fleet, writes releases and bundles, points to them, and reads reports.

    A release, once written, stays: the bucket's own policy sees to that (storage.py).
    """
    where = f"{settings.region}:{settings.account}"
    pointers = f"environments/{settings.environment}/*"
    told = [f"reports/{settings.environment}/*", f"logs/{settings.environment}/seen.json"]
    written = ["releases/*", "runtimes/*", "bundles/*", pointers]
    return [
        *_every_host(settings, "release"),
        *_singleton(settings, "release", zone, volume),
        # Whoever works there searches logs: the account that reads them, and no other of the log server's.
        *read_secrets(
            settings, settings.parameter("release", "*"), settings.parameter("elk", "reader-password")
        ),
        allow(
            "FindTheStack",
            ["cloudformation:DescribeStackResources", "cloudformation:DescribeStacks"],
            [f"arn:aws:cloudformation:{where}:stack/{settings.stack_name}/*"],
        ),
        allow("FindTheFleet", list(WITHOUT_RESOURCE), ["*"]),
        allow("Publish", ["s3:GetObject", "s3:PutObject"], keys(settings, *written)),
        allow("ReadReports", ["s3:GetObject"], keys(settings, *told)),
        # Of the whole bucket: with a condition on prefixes, S3 answers 403 for what is not there, not 404.
        allow("List", ["s3:ListBucket"], [bucket(settings)]),
    ]


def _snapshots(settings: Settings, folder: str) -> list[Statement]:
    """What Elasticsearch needs for a repository there (its reference, "S3 repository")."""
    objects = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    parts = ["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    return [
        allow("KeepSnapshots", objects + parts, keys(settings, f"{folder}/*")),
        allow(
            "ListSnapshots",
            ["s3:ListBucket"],
            [bucket(settings)],
            {"StringLike": {"s3:prefix": [folder, f"{folder}/*"]}},
        ),
        allow("FindSnapshots", ["s3:GetBucketLocation", "s3:ListBucketMultipartUploads"], [bucket(settings)]),
    ]


def _every_host(settings: Settings, role: str) -> list[Statement]:
    """A host reads the bundle that it converges itself by, reports, and says when it is ready or done.

    It asks for a certificate, too, and gets its own.
    """
    group = f"autoScalingGroup:*:autoScalingGroupName/{settings.role_name(role)}"
    environment = settings.environment
    return [
        allow(
            "ReadBundle",
            ["s3:GetObject"],
            keys(
                settings,
                "bundles/*",
                f"environments/{environment}/bundle.json",
                f"environments/{environment}/ca.pem",
            ),
        ),
        # ROLEID:INSTANCEID for the credentials of an instance (IAM, "Policy variables", aws:userid): no host
        # can write another's report, and so no other host's SSH keys, nor ask for a certificate in its name.
        allow(
            "WriteOwn",
            ["s3:PutObject"],
            keys(
                settings,
                f"reports/{environment}/${{aws:userid}}.json",
                f"certificates/{environment}/requests/${{aws:userid}}.csr",
            ),
        ),
        allow(
            "ReadOwnCertificate",
            ["s3:GetObject"],
            keys(settings, f"certificates/{environment}/issued/${{aws:userid}}.pem"),
        ),
        allow(
            "AnswerLifecycleHooks",
            ["autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat"],
            [f"arn:aws:autoscaling:{settings.region}:{settings.account}:{group}"],
        ),
    ]


def _singleton(settings: Settings, role: str, zone: Id, volume: Id) -> list[Statement]:
    """A role's one server gives itself its name and its volume of data."""
    where = f"{settings.region}:{settings.account}"
    whose = {
        "aws:ResourceTag/corral:project": settings.project,
        "aws:ResourceTag/corral:environment": settings.environment,
        "aws:ResourceTag/corral:role": role,
    }
    return [
        allow(
            "NameItself",
            ["route53:ChangeResourceRecordSets"],
            [Sub("arn:aws:route53:::hostedzone/${Zone}", Zone=zone)],
            # Route 53, "Using IAM policy conditions for fine-grained access control": names are in small
            # letters without the last dot.
            {
                "ForAllValues:StringEquals": {
                    "route53:ChangeResourceRecordSetsNormalizedRecordNames": [settings.host_name(role)],
                    "route53:ChangeResourceRecordSetsRecordTypes": ["A"],
                    "route53:ChangeResourceRecordSetsActions": ["UPSERT"],
                }
            },
        ),
        # Both ends are named: this volume, to a host of this role of this environment.
        allow(
            "AttachVolume",
            ["ec2:AttachVolume"],
            [Sub(f"arn:aws:ec2:{where}:volume/${{Volume}}", Volume=volume)],
        ),
        allow(
            "AttachToHost",
            ["ec2:AttachVolume"],
            [f"arn:aws:ec2:{where}:instance/*"],
            {"StringEquals": whose},
        ),
    ]
