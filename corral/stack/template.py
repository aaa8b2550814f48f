"""Puts the parts of the stack together, in the order in which they need each other."""

import json

from troposphere import Join, Output, Parameter, Ref, Template

from corral.settings import Settings
from corral.stack import alarms, balancer, limits, names, network, roles, security, servers, storage

# The parameter, and the output, of the day after which an environment may go.
EXPIRES = "Expires"


def assemble(settings: Settings) -> Template:
    """The whole stack of one environment."""
    template = Template()
    template.set_version("2010-09-09")
    template.set_description(f"{settings.project}, environment {settings.environment}. Made by corral.")

    # Zones are a setting here, so cfn-lint's advice to take whatever zones there are (W3010) is not for us.
    template.set_metadata({"cfn-lint": {"config": {"ignore_checks": ["W3010"]}}})

    net = network.add(template, settings)
    groups = security.add(template, settings, net)
    buckets = storage.add(template, settings)
    zones = names.add_zones(template, settings, net)
    certificate = names.add_certificate(template, settings, zones)
    front = balancer.add(template, settings, net, groups, buckets, certificate)
    names.add_site_record(template, settings, zones, front)
    volumes = storage.add_volumes(template, settings)
    profiles = roles.add(template, settings, zones, volumes)
    servers.add(template, settings, servers.Parts(net, groups, zones, front, profiles, volumes))
    alarms.add(template, settings, front)
    _add_expiry(template)

    _tell(template, "Site", f"https://{settings.domain}/", "What users open")
    _tell(template, "BalancerName", front.balancer.get_att("DNSName"), "Name that the site is an alias of")
    _tell(template, "ReleasesBucket", Ref(buckets.releases), "Releases, runtimes and pointers")
    _tell(template, "Vpc", Ref(net.vpc), "The environment's network")
    _tell(template, "PrivateZone", Ref(zones.private), f"Route 53 zone of {settings.private_zone}")
    if zones.name_servers:
        named = f"What the registrar, or the zone above, must name for {settings.domain}"
        _tell(template, "NameServers", Join(" ", zones.name_servers), named)
    return template


def _add_expiry(template: Template) -> None:
    """A branch's environment has a day after which nobody misses it.

    As a parameter that only an output shows: another day changes no resource.
    """
    expires = template.add_parameter(
        Parameter(
            EXPIRES,
            Type="String",
            Default="never",
            AllowedPattern=r"never|\d{4}-\d{2}-\d{2}",
            Description="The day after which `corral stack expired` lists the environment",
        )
    )
    _tell(template, EXPIRES, Ref(expires), "After this day the environment may go")


def render(settings: Settings) -> str:
    """The template as JSON with sorted keys, so that two renderings compare line by line.

    Raises CorralError when CloudFormation or EC2 would refuse its size.
    """
    everything = assemble(settings).to_dict()
    limits.check(settings, everything)
    return json.dumps(everything, indent=1, sort_keys=True) + "\n"


def compact(text: str) -> str:
    """The same template without the white space that is there for readers only: what is sent."""
    return limits.compact(json.loads(text))


def _tell(template: Template, title: str, value: object, description: str) -> None:
    template.add_output(Output(title, Value=value, Description=description))
