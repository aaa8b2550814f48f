"""The instance roles: each may do exactly what its hosts need, and nothing else."""

from troposphere import Ref, Sub, Template, iam

from corral.settings import Settings
from corral.stack.names import Zones
from corral.stack.storage import Buckets
from corral.stack.tags import tags

Statement = dict[str, object]


def add(
    template: Template, settings: Settings, buckets: Buckets, zones: Zones
) -> dict[str, iam.InstanceProfile]:
    """Add a role and its instance profile for each role of a host; the profiles by role."""
    statements = {"app": app(settings), "db": db(settings, Ref(zones.private))}
    return {role: _profile(template, settings, role, allowed) for role, allowed in statements.items()}


def app(settings: Settings) -> list[Statement]:
    """An app server reads releases and its own secrets. It lists nothing and writes nothing."""
    bucket = f"arn:aws:s3:::{settings.releases_bucket}"
    keys = ["releases/app/*", "runtimes/*", f"environments/{settings.environment}/app/*"]
    return [
        {
            "Sid": "ReadReleases",
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": [f"{bucket}/{key}" for key in keys],
        },
        *_read_secrets(settings, settings.parameter("app", "*")),
    ]


def db(settings: Settings, zone_id: str | Ref) -> list[Statement]:
    """The database server reads its secrets and the app servers' password, and names itself."""
    return [
        *_read_secrets(
            settings, settings.parameter("db", "*"), settings.parameter("app", "database-password")
        ),
        {
            "Sid": "NameItself",
            "Effect": "Allow",
            "Action": "route53:ChangeResourceRecordSets",
            "Resource": Sub("arn:aws:route53:::hostedzone/${Zone}", Zone=zone_id),
            # Route 53, "Using IAM policy conditions for fine-grained access control": names are in small
            # letters without the last dot.
            "Condition": {
                "ForAllValues:StringEquals": {
                    "route53:ChangeResourceRecordSetsNormalizedRecordNames": [f"db.{settings.private_zone}"],
                    "route53:ChangeResourceRecordSetsRecordTypes": ["A"],
                    "route53:ChangeResourceRecordSetsActions": ["UPSERT"],
                }
            },
        },
    ]


def _read_secrets(settings: Settings, *names: str) -> list[Statement]:
    where = f"{settings.region}:{settings.account}"
    return [
        {
            "Sid": "ReadSecrets",
            "Effect": "Allow",
            "Action": "ssm:GetParameter",
            "Resource": [f"arn:aws:ssm:{where}:parameter{name}" for name in names],
        },
        {
            "Sid": "DecryptSecrets",
            "Effect": "Allow",
            "Action": "kms:Decrypt",
            "Resource": f"arn:aws:kms:{where}:key/*",
            # Only by way of Parameter Store, and only with the key that it keeps for this account.
            "Condition": {
                "StringEquals": {"kms:ViaService": f"ssm.{settings.region}.amazonaws.com"},
                "ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/aws/ssm"},
            },
        },
    ]


def _profile(
    template: Template, settings: Settings, role: str, statements: list[Statement]
) -> iam.InstanceProfile:
    iam_role = template.add_resource(
        iam.Role(
            f"{role.capitalize()}Role",
            RoleName=settings.role_name(role),
            AssumeRolePolicyDocument={
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": "ec2.amazonaws.com"},
                        "Action": "sts:AssumeRole",
                    }
                ],
            },
            Policies=[
                iam.Policy(PolicyName=role, PolicyDocument={"Version": "2012-10-17", "Statement": statements})
            ],
            Tags=tags(settings, role),
        )
    )
    return template.add_resource(
        iam.InstanceProfile(
            f"{role.capitalize()}Profile",
            InstanceProfileName=settings.role_name(role),
            Roles=[Ref(iam_role)],
        )
    )
