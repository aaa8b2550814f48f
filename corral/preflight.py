"""What an environment needs of its account and region, looked at all at once before anything is touched."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from corral import images
from corral.aws import client, explained
from corral.errors import CorralError
from corral.settings import SINGLETONS, Settings

SEE = "docs/settings.md"

# Tells what is missing, each with its remedy.
Check = Callable[[Settings], Iterator[str]]


def check(settings: Settings, new_image: bool = False) -> None:
    """Raise CorralError that lists everything which the account or the region does not have.

    `new_image`: servers are to boot the newest image, whatever is pinned.
    """
    checks: list[Check] = [*CHECKS, partial(_image, new_image)]
    found = [f"  {problem}" for looks in checks for problem in _problems(settings, looks)]
    if found:
        count = "1 thing is" if len(found) == 1 else f"{len(found)} things are"
        where = f"account {settings.account}, {settings.region}"
        problem = "\n".join([f"{count} not there for {settings.reference} ({where}):", *found])
        file = settings.pattern or settings.environment
        remedy = f"Nothing was changed. Mend environments/{file}.toml or the account: each line says how."
        raise CorralError(problem, remedy, SEE)


def _problems(settings: Settings, looks: Check) -> Iterator[str]:
    try:
        with explained(settings):
            yield from looks(settings)
    except CorralError as error:
        # One thing that nobody could look at is one line more; the others are still worth knowing.
        yield " ".join((error.problem, error.remedy)).strip()


def _zones(settings: Settings) -> Iterator[str]:
    known = _known_zones(settings)
    for zone in settings.zones:
        if zone not in known:
            yield f"zones: there is no zone {zone}. Choose among {', '.join(sorted(known))}."


def _instance_types(settings: Settings) -> Iterator[str]:
    """Not every type is offered in every region, nor in every zone of one."""
    wanted = {"app": set(settings.zones)} | {role: {settings.singleton_zone(role)} for role in SINGLETONS}
    types = {role: getattr(settings, role).instance_type for role in wanted}
    pages = (
        client(settings, "ec2")
        .get_paginator("describe_instance_type_offerings")
        .paginate(
            LocationType="availability-zone",
            Filters=[{"Name": "instance-type", "Values": sorted(set(types.values()))}],
        )
    )
    offers = [offer for page in pages for offer in page["InstanceTypeOfferings"]]
    known = _known_zones(settings)
    for role, kind in types.items():
        zones = {offer["Location"] for offer in offers if offer["InstanceType"] == kind}
        missing = sorted((wanted[role] & known) - zones)
        if not zones:
            yield f"{role}.instance_type: {kind} is not known in {settings.region}. Choose another type."
        elif missing:
            yield (
                f"{role}.instance_type: {kind} is not offered in {', '.join(missing)}. Choose another type,"
                f" or zones among {', '.join(sorted(zones))}."
            )


def _image(new_image: bool, settings: Settings) -> Iterator[str]:
    """The pinned image, or the one that will be pinned, must still be there for the next server to boot."""
    pinned = None if new_image else images.pinned(settings)
    image = pinned or images.latest(settings)
    found = _found("InvalidAMIID", lambda: client(settings, "ec2").describe_images(ImageIds=[image]))
    if not found or not found["Images"]:
        name = settings.image_parameter if pinned else settings.image.parameter
        remedy = "Take the newest one: --new-image." if pinned else "Name another one: image.parameter."
        yield f"{name} names the image {image}, which is not there any more. {remedy}"


def _key_pair(settings: Settings) -> Iterator[str]:
    name = settings.ssh.key_name
    ec2 = client(settings, "ec2")
    if name and not _found("InvalidKeyPair", lambda: ec2.describe_key_pairs(KeyNames=[name])):
        yield f"ssh.key_name: there is no key pair {name}. Import it (aws ec2 import-key-pair), or name none."


def _hosted_zone(settings: Settings) -> Iterator[str]:
    zone_id = settings.hosted_zone_id
    if not zone_id:
        return
    found = _found("NoSuchHostedZone", lambda: client(settings, "route53").get_hosted_zone(Id=zone_id))
    if not found:
        yield (
            f"hosted_zone_id: there is no hosted zone {zone_id}. See `aws route53 list-hosted-zones`; or make"
            " one, and let the registrar (or the zone above) point to it, before the stack is applied."
        )
        return
    name = found["HostedZone"]["Name"].rstrip(".")
    if not f".{settings.domain}".endswith(f".{name}"):
        yield f"hosted_zone_id: {zone_id} is the zone of {name}, which {settings.domain} is not in."
    elif found["HostedZone"].get("Config", {}).get("PrivateZone"):
        yield f"hosted_zone_id: {zone_id} is a private zone, which users cannot see. Name the public one."


def _certificate(settings: Settings) -> Iterator[str]:
    arn = settings.certificate_arn
    acm = client(settings, "acm")
    if arn and not _found("ResourceNotFound", lambda: acm.describe_certificate(CertificateArn=arn)):
        yield f"certificate_arn: there is no certificate {arn}. See `aws acm list-certificates`."


def _volumes(settings: Settings) -> Iterator[str]:
    """Volumes of data that the stack does not make itself."""
    for role in SINGLETONS:
        volume = settings.singleton(role).data_volume
        zone = settings.singleton_zone(role)
        if not volume:
            continue
        found = _found("InvalidVolume", lambda: client(settings, "ec2").describe_volumes(VolumeIds=[volume]))  # noqa: B023
        if not found:
            yield f"{role}.data_volume: there is no volume {volume}. See `aws ec2 describe-volumes`."
        elif (place := found["Volumes"][0]["AvailabilityZone"]) != zone:
            yield f'{role}.data_volume: {volume} is in {place}. Say so: {role}.zone = "{place}".'


CHECKS: list[Check] = [
    _zones,
    _instance_types,
    _key_pair,
    _hosted_zone,
    _certificate,
    _volumes,
]


def _known_zones(settings: Settings) -> set[str]:
    # Those that the account may use; local and wavelength zones have no balancers of ours.
    filters = [{"Name": "zone-type", "Values": ["availability-zone"]}]
    found = client(settings, "ec2").describe_availability_zones(Filters=filters)
    return {zone["ZoneName"] for zone in found["AvailabilityZones"]}


def _found(missing: str, ask: Callable[[], Any]) -> Any:
    """What AWS answers; None when it says that there is no such thing, by an error called `missing…`."""
    try:
        return ask()
    except ClientError as error:
        if error.response["Error"]["Code"].startswith(missing):
            return None
        raise
