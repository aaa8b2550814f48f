"""The lab's hosts as people name them: app1, db, feature-x/app1; found by name, instance id or address."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from corral import aws
from corral.errors import CorralError
from corral.settings import Settings
from lab import hosts
from lab.instances import Reader
from lab.plan import OFF, ON
from lab.volumes import system_disks


@dataclass(frozen=True)
class Member:
    """An instance of the lab that is not terminated; `host` is None until the reconciler has made it."""

    name: str
    instance: dict[str, Any]
    host: hosts.Host | None

    @property
    def instance_id(self) -> str:
        """Such as "i-0123456789abcdef0"."""
        return str(self.instance["InstanceId"])

    @property
    def address(self) -> str:
        """Private address."""
        return str(self.instance.get("PrivateIpAddress", ""))

    @property
    def state(self) -> str:
        """The API's: "running", "stopped"…"""
        return str(self.instance["State"]["Name"])

    @property
    def role(self) -> str:
        """Of the tag corral:role; "host" without one."""
        return role(self.instance)

    @property
    def environment(self) -> str:
        """Of the tag corral:environment; "" without one."""
        return tag(self.instance, "corral:environment")


def members(settings: Settings, environment: str | None = None) -> list[Member]:
    """The hosts of one environment, or of all, named. Raises CorralError when the API does not answer.

    `settings`: of the lab's own environment, whose hosts' names do not begin with it.
    """
    with aws.explained(settings):
        instances = _reader(settings).instances()
    present = hosts.present()
    listed = [one for one in instances if one["State"]["Name"] in ON | OFF]
    found = [
        Member(name, one, present.get(one["InstanceId"])) for name, one in named(listed, settings.environment)
    ]
    return [member for member in found if environment in (None, member.environment)]


def volumes(settings: Settings) -> list[dict[str, Any]]:
    """All volumes of the lab but the disks of the hosts' systems, as DescribeVolumes gives them."""
    with aws.explained(settings):
        reader = _reader(settings)
        system = system_disks(reader.instances())
        return [volume for volume in reader.volumes() if volume["VolumeId"] not in system]


def named(instances: list[dict[str, Any]], own: str) -> list[tuple[str, dict[str, Any]]]:
    """Instances with their names (pure): environment, role and number, by age.

    The only one of a role has no number; one of the environment `own`, or of none, has its role first.
    """
    alike = defaultdict(list)
    for instance in sorted(instances, key=lambda one: (str(one["LaunchTime"]), one["InstanceId"])):
        environment = tag(instance, "corral:environment")
        prefix = f"{environment}/" if environment not in ("", own) else ""
        alike[prefix, role(instance)].append(instance)
    return [
        (f"{prefix}{role}{number}" if len(several) > 1 else f"{prefix}{role}", instance)
        for (prefix, role), several in sorted(alike.items())
        for number, instance in enumerate(several, 1)
    ]


def role(instance: dict[str, Any]) -> str:
    """An instance's role, by its tag; "host" without one."""
    return tag(instance, "corral:role") or "host"


def tag(instance: dict[str, Any], key: str) -> str:
    """Value of an instance's tag; "" without it."""
    return next((str(tag["Value"]) for tag in instance.get("Tags", []) if tag["Key"] == key), "")


def find(settings: Settings, wanted: str) -> Member:
    """The host of that name (without a number: the first), id or address; raises CorralError."""
    known = members(settings)
    for member in known:
        if wanted in (member.name, member.instance_id, member.address):
            return member
    for member in known:
        kind = member.name.rstrip("0123456789")
        if wanted in (kind, f"{kind}1"):
            return member
    names = ", ".join(member.name for member in known) or "none yet"
    raise CorralError(f"The lab has no host {wanted}.", f"Its hosts: {names}.", "docs/lab.md")


def _reader(settings: Settings) -> Reader:
    return Reader(lambda service: aws.client(settings, service), settings.account, settings.region)
