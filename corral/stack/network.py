"""The network: a VPC; per zone a public subnet for the balancer and a private one for servers; ways out."""

from dataclasses import dataclass

from troposphere import GetAtt, Ref, Template, ec2

from corral.settings import Settings
from corral.stack.tags import tags


@dataclass(frozen=True)
class Network:
    """What other parts of the stack refer to. `ways_out`: titles of what private servers reach AWS by."""

    vpc: ec2.VPC
    public: tuple[ec2.Subnet, ...]
    private: tuple[ec2.Subnet, ...]
    way_out: ec2.Route
    ways_out: tuple[str, ...]


def add(template: Template, settings: Settings) -> Network:
    """Add the network to the template."""
    vpc = template.add_resource(
        ec2.VPC(
            "Vpc",
            CidrBlock=settings.network.cidr,
            EnableDnsSupport=True,
            EnableDnsHostnames=True,
            Tags=tags(settings, "vpc"),
        )
    )
    public = _subnets(template, settings, vpc, "Public", settings.public_cidrs)
    private = _subnets(template, settings, vpc, "Private", settings.private_cidrs)
    way_out = _way_to_the_internet(template, settings, vpc, public)
    tables = _private_tables(template, settings, vpc, private)
    nat = _nat(template, settings, public, tables, way_out)
    # Releases come from S3: by this endpoint they need no NAT gateway, and cost nothing.
    s3 = template.add_resource(
        ec2.VPCEndpoint(
            "S3Endpoint",
            VpcId=Ref(vpc),
            VpcEndpointType="Gateway",
            ServiceName=f"com.amazonaws.{settings.region}.s3",
            RouteTableIds=[Ref(table) for table in tables],
            Tags=tags(settings, "s3"),
        )
    )
    associations = [f"{subnet.title}Routes" for subnet in private]
    return Network(vpc, public, private, way_out, (s3.title, *associations, *nat))


def _subnets(
    template: Template, settings: Settings, vpc: ec2.VPC, kind: str, cidrs: tuple[str, ...]
) -> tuple[ec2.Subnet, ...]:
    return tuple(
        template.add_resource(
            ec2.Subnet(
                f"{kind}{zone[-1].upper()}",
                VpcId=Ref(vpc),
                AvailabilityZone=zone,
                CidrBlock=cidr,
                MapPublicIpOnLaunch=False,
                Tags=tags(settings, f"{kind.lower()}-{zone[-1]}"),
            )
        )
        for zone, cidr in zip(settings.zones, cidrs, strict=True)
    )


def _way_to_the_internet(
    template: Template, settings: Settings, vpc: ec2.VPC, public: tuple[ec2.Subnet, ...]
) -> ec2.Route:
    gateway = template.add_resource(ec2.InternetGateway("InternetGateway", Tags=tags(settings, "internet")))
    attached = template.add_resource(
        ec2.VPCGatewayAttachment("InternetAttachment", VpcId=Ref(vpc), InternetGatewayId=Ref(gateway))
    )
    table = template.add_resource(
        ec2.RouteTable("PublicRoutes", VpcId=Ref(vpc), Tags=tags(settings, "public"))
    )
    route = template.add_resource(
        ec2.Route(
            "PublicWayOut",
            DependsOn=attached.title,
            RouteTableId=Ref(table),
            DestinationCidrBlock="0.0.0.0/0",
            GatewayId=Ref(gateway),
        )
    )
    for subnet in public:
        _associate(template, subnet, table)
    return route


def _private_tables(
    template: Template, settings: Settings, vpc: ec2.VPC, private: tuple[ec2.Subnet, ...]
) -> list[ec2.RouteTable]:
    tables = []
    for zone, subnet in zip(settings.zones, private, strict=True):
        letter = zone[-1]
        table = ec2.RouteTable(
            f"PrivateRoutes{letter.upper()}", VpcId=Ref(vpc), Tags=tags(settings, f"private-{letter}")
        )
        tables.append(template.add_resource(table))
        _associate(template, subnet, table)
    return tables


def _associate(template: Template, subnet: ec2.Subnet, table: ec2.RouteTable) -> None:
    title = f"{subnet.title}Routes"
    template.add_resource(
        ec2.SubnetRouteTableAssociation(
            title if title != table.title else f"{title}Association",
            SubnetId=Ref(subnet),
            RouteTableId=Ref(table),
        )
    )


def _nat(
    template: Template,
    settings: Settings,
    public: tuple[ec2.Subnet, ...],
    tables: list[ec2.RouteTable],
    way_out: ec2.Route,
) -> list[str]:
    """The private subnets' way out: none, one gateway for all, or one in each zone; their routes' titles."""
    count = {"none": 0, "one": 1, "per-zone": len(public)}[settings.network.nat]
    gateways = []
    for zone, subnet in list(zip(settings.zones, public, strict=True))[:count]:
        letter = zone[-1]
        address = template.add_resource(
            ec2.EIP(
                f"NatAddress{letter.upper()}",
                Domain="vpc",
                DependsOn=way_out.title,
                Tags=tags(settings, f"nat-{letter}"),
            )
        )
        gateway = ec2.NatGateway(
            f"Nat{letter.upper()}",
            AllocationId=GetAtt(address, "AllocationId"),
            SubnetId=Ref(subnet),
            Tags=tags(settings, f"nat-{letter}"),
        )
        gateways.append(template.add_resource(gateway))
    routes = [
        template.add_resource(
            ec2.Route(
                f"{table.title.replace('Routes', 'WayOut')}",
                RouteTableId=Ref(table),
                DestinationCidrBlock="0.0.0.0/0",
                NatGatewayId=Ref(gateways[index % len(gateways)]),
            )
        )
        for index, table in enumerate(tables if gateways else [])
    ]
    return [route.title for route in routes]
