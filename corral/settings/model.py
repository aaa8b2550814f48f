"""All settings of one environment, and the names that follow from them."""

import tomllib
from functools import cached_property
from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, ValidationInfo, field_validator

from corral.errors import CorralError
from corral.settings.kinds import Account, Domain, EnvironmentName, Name, Timezone, Zone
from corral.settings.sections import App, Aws, Balancer, Db, Image, Network, Section, Ssh
from corral.settings.sentences import explain

SEE = "docs/settings.md"


class Settings(Section):
    """All settings of one environment."""

    # Not a key of the file: its name is enough, and two names would sooner or later differ.
    environment: Annotated[EnvironmentName, Field(exclude=True, validation_alias="file name")]
    project: Name = "chat"
    account: Account
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
    zones: tuple[Zone, ...]
    domain: Domain
    hosted_zone_id: Annotated[str, Field(pattern=r"^Z[A-Z0-9]{3,31}$")] | None = None
    create_zone: bool = False
    certificate_arn: Annotated[str, Field(pattern=r"^arn:aws[\w-]*:acm:")] | None = None
    termination_protection: bool = True
    timezone: Timezone = "UTC"
    locale: Annotated[str, Field(pattern=r"^[A-Za-z_]+(\.[A-Za-z0-9-]+)?(@\w+)?$")] = "C.UTF-8"
    aws: Aws = Aws()
    network: Network
    balancer: Balancer = Balancer()
    image: Image = Image()
    ssh: Ssh = Ssh()
    app: App
    db: Db

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
        given = value or info.data.get("hosted_zone_id") or info.data.get("create_zone")
        if not given and {"hosted_zone_id", "create_zone"} <= info.data.keys():
            raise ValueError(
                "no certificate can be made, as no zone is named to prove the domain in"
                "|give hosted_zone_id (or create_zone = true), or the ARN of a certificate"
            )
        return value

    @cached_property
    def stack_name(self) -> str:
        """Name of the CloudFormation stack; prefix of the names of what it holds."""
        return f"{self.project}-{self.environment}"

    @cached_property
    def releases_bucket(self) -> str:
        """S3 bucket of releases, runtimes and pointers. Bucket names are global: hence the account."""
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

    def role_name(self, role: str) -> str:
        """Name of a role's auto-scaling group and instance role, such as "chat-lab-app"."""
        return f"{self.stack_name}-{role}"

    @cached_property
    def parameter_prefix(self) -> str:
        """Where this environment's secrets are in SSM Parameter Store; no slash at the end."""
        return f"/corral/{self.environment}"

    def parameter(self, role: str, name: str) -> str:
        """Full name of one secret of a role, such as "/corral/lab/app/database-password"."""
        return f"{self.parameter_prefix}/{role}/{name}"

    @classmethod
    def from_toml(cls, path: Path) -> Self:
        """Read and check one environment file; raises CorralError that lists everything wrong with it."""
        shown = f"{path.parent.name}/{path.name}"
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            remedy = "Make it a file that you may read."
            raise CorralError(f"{shown} cannot be read: {error.strerror}.", remedy, SEE) from None
        except UnicodeDecodeError as error:
            raise CorralError(
                f"{shown} is not UTF-8 text: {error.reason} at byte {error.start}.", see=SEE
            ) from None
        except tomllib.TOMLDecodeError as error:
            remedy = "Mend the file there; texts stand in quotes, lists in brackets."
            raise CorralError(f"{shown} is not valid TOML: {error}.", remedy, SEE) from None
        try:
            return cls.model_validate({**values, "file name": path.stem})
        except ValidationError as error:
            raise CorralError(*explain(shown, error, cls), SEE) from None
