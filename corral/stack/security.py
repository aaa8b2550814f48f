"""The security groups: which role may be reached by whom, on which port, and whom it may reach itself."""

from collections.abc import Mapping

from troposphere import Ref, Template, ec2

from corral.settings import Settings
from corral.stack.network import Network
from corral.stack.tags import tags

WORLD = "0.0.0.0/0"
# Whom a group may reach on which port: (sender, receiver, port, what for). Each is a rule of both groups.
WAYS = (
    ("balancer", "app", 80, "the site"),
    ("balancer", "app", 81, "the way to https"),
    ("app", "db", 5432, "the database"),
    ("app", "elk", 5044, "logs"),
    ("db", "elk", 5044, "logs"),
    ("release", "elk", 5044, "logs"),
    ("release", "app", 22, "converge and releases"),
    ("release", "db", 22, "converge"),
    ("release", "elk", 22, "converge"),
    ("release", "elk", 443, "Kibana"),
    ("release", "elk", 9200, "searches for logs"),
)
# In an order in which each group sends only to groups before it.
PURPOSES = {
    "elk": "Log server",
    "db": "Database server",
    "app": "App servers",
    "release": "Release server",
    "balancer": "Load balancer, the only way in",
}
Rule = dict[str, object]
# The group of the balancer and of each role.
Groups = Mapping[str, ec2.SecurityGroup]


def add(template: Template, settings: Settings, net: Network) -> Groups:
    """Add the groups. What a group may send stands in it, what it may receive from another group beside it.

    A group without any rule for sending would get one from EC2 that allows everything
    (CloudFormation, AWS::EC2::SecurityGroup).
    """
    groups: dict[str, ec2.SecurityGroup] = {}
    for role, purpose in PURPOSES.items():
        sends = [] if role == "balancer" else _to_packages_and_aws()
        sends += [
            _rule(port, what, DestinationSecurityGroupId=Ref(groups[receiver]))
            for sender, receiver, port, what in WAYS
            if sender == role
        ]
        groups[role] = template.add_resource(
            ec2.SecurityGroup(
                f"{role.capitalize()}SecurityGroup",
                GroupDescription=purpose,
                VpcId=Ref(net.vpc),
                SecurityGroupIngress=_rules(_from_networks(settings, role)),
                SecurityGroupEgress=_rules(sends),
                Tags=tags(settings, role),
            )
        )
    for sender, receiver, port, what in WAYS:
        rule = _rule(port, what, SourceSecurityGroupId=Ref(groups[sender]))
        title = f"{receiver.capitalize()}{port}From{sender.capitalize()}"
        template.add_resource(ec2.SecurityGroupIngress(title, GroupId=Ref(groups[receiver]), **rule))
    return groups


def _to_packages_and_aws() -> list[Rule]:
    """The resolver, the metadata service and Amazon's clock need no rule (EC2, "Security group rules")."""
    return [
        _rule(80, "packages", CidrIp=WORLD),
        _rule(443, "packages and the AWS API", CidrIp=WORLD),
    ]


def _from_networks(settings: Settings, role: str) -> list[Rule]:
    """What comes in from outside of the fleet: the world to the balancer, operators by SSH."""
    if role == "balancer":
        return [
            _rule(80, "the world, to be sent to 443", CidrIp=WORLD),
            _rule(443, "the world", CidrIp=WORLD),
        ]
    operators = settings.network.operator_cidrs if role == "release" else ()
    networks = dict.fromkeys([*operators, *settings.network.direct_ssh_cidrs])
    clients = settings.elk.client_cidrs if role == "elk" else ()
    return [_rule(22, "operators", CidrIp=cidr) for cidr in networks] + [
        _rule(port, what, CidrIp=cidr)
        for cidr in clients
        for port, what in ((443, "Kibana"), (9200, "searches for logs"))
    ]


def _rules(said: list[Rule]) -> list[ec2.SecurityGroupRule]:
    return [ec2.SecurityGroupRule(**rule) for rule in said]


def _rule(port: int, purpose: str, **peer: object) -> Rule:
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "Description": purpose, **peer}
