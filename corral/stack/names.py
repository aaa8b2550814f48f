"""The names: the site's record and certificate, and the zone that only the VPC sees."""

from dataclasses import dataclass

from troposphere import GetAtt, Ref, Template, certificatemanager, route53

from corral.settings import Settings
from corral.stack.balancer import Front
from corral.stack.network import Network
from corral.stack.storage import kept
from corral.stack.tags import tags


@dataclass(frozen=True)
class Zones:
    """The private zone, and the id of the zone of the site: None when the site's DNS is somebody else's.

    `name_servers`: a list of those of a site's zone that the stack makes.
    """

    private: route53.HostedZone
    site_id: str | Ref | None
    name_servers: GetAtt | None = None


def add_zones(template: Template, settings: Settings, net: Network) -> Zones:
    """Add the private zone; and the site's, if the stack is to make it."""
    private = template.add_resource(
        route53.HostedZone(
            "PrivateZone",
            Name=settings.private_zone,
            VPCs=[route53.HostedZoneVPCs(VPCId=Ref(net.vpc), VPCRegion=settings.region)],
            HostedZoneTags=tags(settings, "private-zone"),
        )
    )
    if not settings.create_zone:
        return Zones(private, settings.hosted_zone_id)
    site = template.add_resource(
        route53.HostedZone(
            "SiteZone",
            Name=settings.domain,
            HostedZoneTags=tags(settings, "site-zone"),
            # The registrar points to this zone's own name servers: another one would not be found.
            **kept(settings),
        )
    )
    return Zones(private, Ref(site), GetAtt(site, "NameServers"))


def add_certificate(template: Template, settings: Settings, zones: Zones) -> str | Ref:
    """The ARN of the site's certificate: the given one, or one that proves itself in the site's zone."""
    if settings.certificate_arn:
        return settings.certificate_arn
    certificate = template.add_resource(
        certificatemanager.Certificate(
            "Certificate",
            DomainName=settings.domain,
            ValidationMethod="DNS",
            DomainValidationOptions=[
                certificatemanager.DomainValidationOption(
                    DomainName=settings.domain, HostedZoneId=zones.site_id
                )
            ],
            Tags=tags(settings, "certificate"),
        )
    )
    return Ref(certificate)


def add_site_record(template: Template, settings: Settings, zones: Zones, front: Front) -> None:
    """Let the site's name be an alias of the load balancer, where the stack knows the zone."""
    if zones.site_id is None:
        return
    template.add_resource(
        route53.RecordSetType(
            "SiteRecord",
            HostedZoneId=zones.site_id,
            Name=settings.domain,
            Type="A",
            AliasTarget=route53.AliasTarget(
                DNSName=GetAtt(front.balancer, "DNSName"),
                HostedZoneId=GetAtt(front.balancer, "CanonicalHostedZoneID"),
                EvaluateTargetHealth=False,
            ),
        )
    )
