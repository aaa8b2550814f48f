"""The instance roles, one for each role of a host; what each may do is in `policies.py`."""

from collections.abc import Mapping

from troposphere import Ref, Template, iam

from corral.settings import Settings
from corral.stack import policies
from corral.stack.names import Zones
from corral.stack.statements import Id, Statement
from corral.stack.tags import tags


def add(
    template: Template, settings: Settings, zones: Zones, volumes: Mapping[str, Id]
) -> dict[str, iam.InstanceProfile]:
    """Add a role and its instance profile for each role of a host; the profiles by role."""
    zone = Ref(zones.private)
    statements = {
        "app": policies.app(settings),
        "db": policies.db(settings, zone, volumes["db"]),
        "elk": policies.elk(settings, zone, volumes["elk"]),
        "release": policies.release(settings, zone, volumes["release"]),
    }
    return {role: _profile(template, settings, role, allowed) for role, allowed in statements.items()}


def _profile(
    template: Template, settings: Settings, role: str, statements: list[Statement]
) -> iam.InstanceProfile:
    iam_role = iam.Role(
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
    if settings.permissions_boundary:
        iam_role.PermissionsBoundary = settings.permissions_boundary
    template.add_resource(iam_role)
    return template.add_resource(
        iam.InstanceProfile(
            f"{role.capitalize()}Profile",
            InstanceProfileName=settings.role_name(role),
            Roles=[Ref(iam_role)],
        )
    )
