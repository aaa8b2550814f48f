"""All settings of one environment, and the names that follow from them."""

from functools import cached_property
from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, ValidationInfo, field_validator

from corral.errors import CorralError
from corral.settings import certificate, files
from corral.settings.changing import Converge, Lifecycle, Refresh, Rollout
from corral.settings.kinds import Account, Domain, EnvironmentName, Name, Region, Timezone, Zone
from corral.settings.sections import (
    App,
    Aws,
    Balancer,
    Db,
    Elk,
    Image,
    Logs,
    Network,
    Release,
    Section,
    Singleton,
    Ssh,
)
from corral.settings.sentences import SEE, explain

POLICY_ARN = r"^arn:aws[\w-]*:iam::(aws|\d{12}):policy/[\w+=,.@/-]+$"
# Roles of one server each.
SINGLETONS = ("db", "elk", "release")
# Of the time in which a server goes, what its last log lines may take when all else has stopped.
LOGS_SECONDS = 30
# What it needs beside app.drain_seconds: to learn of it, to stop what runs, to send those lines.
REST_SECONDS = 5 + 10 + LOGS_SECONDS


class Settings(Section):
    """All settings of one environment."""

    # Not a key of the file: its name is enough, and two names would sooner or later differ.
    environment: Annotated[EnvironmentName, Field(exclude=True, validation_alias="file name")]
    # The file that a branch's environment was made from; None for an environment with a file of its own.
    pattern: Annotated[str | None, Field(exclude=True, validation_alias="file of branches")] = None
    project: Name = "chat"
    account: Account
    region: Region
    zones: tuple[Zone, ...]
    domain: Domain
    hosted_zone_id: Annotated[str, Field(pattern=r"^Z[A-Z0-9]{3,31}$")] | None = None
    create_zone: bool = False
    aws: Aws = Aws()
    certificate_arn: Annotated[str, Field(pattern=r"^arn:aws[\w-]*:acm:")] | None = None
    termination_protection: bool = True
    keep_data: bool = True
    branch_days: Annotated[int, Field(ge=1, le=365)] | None = None
    permissions_boundary: Annotated[str, Field(pattern=POLICY_ARN)] | None = None
    alarm_topic: Annotated[str, Field(pattern=r"^arn:aws[\w-]*:sns:[a-z0-9-]+:\d{12}:[\w.-]+$")] | None = None
    timezone: Timezone = "UTC"
    locale: Annotated[str, Field(pattern=r"^[A-Za-z_]+(\.[A-Za-z0-9-]+)?(@\w+)?$")] = "C.UTF-8"
    network: Network
    balancer: Balancer = Balancer()
    image: Image = Image()
    ssh: Ssh = Ssh()
    logs: Logs = Logs()
    lifecycle: Lifecycle = Lifecycle()
    converge: Converge = Converge()
    refresh: Refresh = Refresh()
    rollout: Rollout = Rollout()
    app: App
    db: Db
    elk: Elk
    release: Release

    @field_validator("zones", mode="before")
    @classmethod
    def _frozen(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value

    @field_validator("zones")
    @classmethod
    def _zones_of_the_region(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if not 2 <= len(set(value)) == len(value) <= 6:
            raise ValueError("a load balancer needs two zones or more|list 2 to 6 of them, none twice")
        region = info.data.get("region")
        if strangers := [zone for zone in value if region and not zone.startswith(region)]:
            raise ValueError(f"{', '.join(strangers)} is not in {region}|list zones such as {region}a")
        return value

    @field_validator("create_zone")
    @classmethod
    def _one_zone(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("hosted_zone_id"):
            raise ValueError("hosted_zone_id is given too|keep one: the stack makes the zone, or it exists")
        return value

    @field_validator("certificate_arn")
    @classmethod
    def _a_certificate_can_be_had(cls, value: str | None, info: ValidationInfo) -> str | None:
        if problem := certificate.problem(value, info.data):
            raise ValueError(problem)
        return value

    @field_validator("app")
    @classmethod
    def _time_to_leave(cls, value: App, info: ValidationInfo) -> App:
        lifecycle = info.data.get("lifecycle")
        least = value.drain_seconds + REST_SECONDS
        if lifecycle and least > lifecycle.terminate_seconds:
            raise ValueError(
                f"drain_seconds is {value.drain_seconds}, but a server that goes has"
                f" {lifecycle.terminate_seconds} s in all, for its logs too"
                f"|raise lifecycle.terminate_seconds to {least} at least"
            )
        return value

    @field_validator(*SINGLETONS)
    @classmethod
    def _in_a_zone_of_ours(cls, value: Singleton, info: ValidationInfo) -> Singleton:
        zones = info.data.get("zones", ())
        if value.zone and zones and value.zone not in zones:
            raise ValueError(f"its zone {value.zone} is none of zones|choose one of {', '.join(zones)}")
        return value

    @cached_property
    def reference(self) -> str:
        """What `-e` and CORRAL_ENV call the environment: its name, or such as "branch/feature-x"."""
        return f"{self.pattern}/{self.environment}" if self.pattern else self.environment

    @cached_property
    def stack_name(self) -> str:
        """Name of the CloudFormation stack; prefix of the names of what it holds."""
        return f"{self.project}-{self.environment}"

    @cached_property
    def releases_bucket(self) -> str:
        """S3 bucket of releases, bundles and reports. Bucket names are global: hence the account."""
        return f"{self.stack_name}-releases-{self.account}"

    @cached_property
    def logs_bucket(self) -> str:
        """S3 bucket of the load balancer's access logs."""
        return f"{self.stack_name}-logs-{self.account}"

    @cached_property
    def private_zone(self) -> str:
        """Route 53 zone that only the VPC sees: names of the inner servers."""
        return f"{self.environment}.internal"

    @cached_property
    def public_cidrs(self) -> tuple[str, ...]:
        """One subnet per zone for the load balancer and NAT: of a /16, the first /24s."""
        first, *_ = IPv4Network(self.network.cidr).subnets(prefixlen_diff=4)
        return tuple(str(net) for net in list(first.subnets(prefixlen_diff=4))[: len(self.zones)])

    @cached_property
    def private_cidrs(self) -> tuple[str, ...]:
        """One subnet per zone for servers: of a /16, /20s after the first. A new zone moves none."""
        _, *rest = IPv4Network(self.network.cidr).subnets(prefixlen_diff=4)
        return tuple(str(net) for net in rest[: len(self.zones)])

    def host_name(self, role: str) -> str:
        """Private name of a role's one server, such as "db.lab.internal"."""
        return f"{role}.{self.private_zone}"

    def singleton(self, role: str) -> Singleton:
        """Options of a role of one server: "db", "elk" or "release"."""
        options: Singleton = getattr(self, role)
        return options

    def singleton_zone(self, role: str) -> str:
        """The zone that a role's one server and its volume of data live in."""
        return self.singleton(role).zone or self.zones[0]

    def role_name(self, role: str) -> str:
        """Name of a role's auto-scaling group and instance role, such as "chat-lab-app"."""
        return f"{self.stack_name}-{role}"

    @cached_property
    def image_parameter(self) -> str:
        """The SSM parameter that holds the machine image which the environment's servers boot."""
        return f"{self.parameter_prefix}/image"

    @cached_property
    def parameter_prefix(self) -> str:
        """Where this environment's secrets are in SSM Parameter Store; no slash at the end."""
        return f"/corral/{self.environment}"

    def parameter(self, role: str, name: str) -> str:
        """Full name of one secret of a role, such as "/corral/lab/app/database-password"."""
        return f"{self.parameter_prefix}/{role}/{name}"

    @classmethod
    def from_toml(cls, path: Path, branch: str | None = None) -> Self:
        """Read and check one environment file; raises CorralError that lists everything wrong with it.

        `branch`: make the environment of that name out of it, with a domain of its own below the file's.
        """
        shown = f"{path.parent.name}/{path.name}"
        values = files.values(path, shown) | {"file name": branch or path.stem}
        if branch:
            values |= files.of_branch(values, path.stem, shown, branch)
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise CorralError(*explain(shown, error, cls), SEE) from None
