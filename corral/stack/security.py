"""The security groups: which role may be reached by whom, on which port, and whom it may reach itself."""

from dataclasses import dataclass

from troposphere import Ref, Template, ec2

from corral.settings import Settings
from corral.stack.network import Network
from corral.stack.tags import tags

WORLD = "0.0.0.0/0"
Rule = dict[str, object]


@dataclass(frozen=True)
class Groups:
    """The group of the balancer, and of each role."""

    balancer: ec2.SecurityGroup
    app: ec2.SecurityGroup
    db: ec2.SecurityGroup


def add(template: Template, settings: Settings, net: Network) -> Groups:
    """Add the groups. What a group may send stands in it, what it may receive from another group beside it.

    A group without any rule for sending would get one from EC2 that allows everything
    (CloudFormation, AWS::EC2::SecurityGroup). Made in this order, none refers to a later one.
    """

    def group(role: str, purpose: str, receives: list[Rule], sends: list[Rule]) -> ec2.SecurityGroup:
        return template.add_resource(
            ec2.SecurityGroup(
                f"{role.capitalize()}SecurityGroup",
                GroupDescription=purpose,
                VpcId=Ref(net.vpc),
                SecurityGroupIngress=[ec2.SecurityGroupRule(**rule) for rule in receives],
                SecurityGroupEgress=[ec2.SecurityGroupRule(**rule) for rule in sends],
                Tags=tags(settings, role),
            )
        )

    # The resolver, the metadata service and Amazon's clock need no rule (EC2, "Security group rules").
    packages_and_aws = [
        _rule(80, "packages", CidrIp=WORLD),
        _rule(443, "packages and the AWS API", CidrIp=WORLD),
    ]
    operators = [_rule(22, "operators", CidrIp=cidr) for cidr in settings.network.operator_cidrs]

    db = group("db", "Database server", operators, packages_and_aws)
    app = group(
        "app",
        "App servers",
        operators,
        [*packages_and_aws, _rule(5432, "the database", DestinationSecurityGroupId=Ref(db))],
    )
    balancer = group(
        "balancer",
        "Load balancer, the only way in",
        [_rule(80, "the world, to be sent to 443", CidrIp=WORLD), _rule(443, "the world", CidrIp=WORLD)],
        [
            _rule(80, "the site", DestinationSecurityGroupId=Ref(app)),
            _rule(81, "the way to https", DestinationSecurityGroupId=Ref(app)),
        ],
    )
    for title, target, source, port in (
        ("AppFromBalancer", app, balancer, 80),
        ("AppRedirectFromBalancer", app, balancer, 81),
        ("DbFromApp", db, app, 5432),
    ):
        rule = _rule(port, source.GroupDescription, SourceSecurityGroupId=Ref(source))
        template.add_resource(ec2.SecurityGroupIngress(title, GroupId=Ref(target), **rule))
    return Groups(balancer, app, db)


def _rule(port: int, purpose: str, **peer: object) -> Rule:
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "Description": purpose, **peer}
