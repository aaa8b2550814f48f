"""The tables of an environment file: what each may hold, and which values go together."""

from ipaddress import IPv4Network
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from corral.settings.kinds import Cidr, InstanceType, Name, SqlName, Zone

# RFC 1918, and RFC 6598's shared space, which VPCs may have too (VPC User Guide, "VPC CIDR blocks").
PRIVATE = [IPv4Network(cidr) for cidr in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")]


class Section(BaseModel):
    """One table of the file. Strict: a text is no number, and a key that we do not know is an error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, validate_default=True)


class Aws(Section):
    """Where the AWS API is, if it is not Amazon's, and worthless keys for it."""

    endpoint_url: Annotated[str, Field(pattern=r"^https?://[^/\s]+$")] | None = None
    access_key_id: Annotated[str | None, Field(repr=False)] = None
    secret_access_key: Annotated[str | None, Field(repr=False)] = None

    @field_validator("access_key_id", "secret_access_key")
    @classmethod
    def _no_real_keys_in_files(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value and not info.data.get("endpoint_url"):
            raise ValueError(
                "keys in a file are for an endpoint of your own only"
                "|remove it; give credentials in boto3's standard ways (AWS_PROFILE, an instance role)"
            )
        return value


class Network(Section):
    """The VPC, and who may come in by SSH."""

    cidr: Cidr
    own_way_out: bool = False
    nat: Literal["none", "one", "per-zone"] = "one"
    operator_cidrs: tuple[Cidr, ...] = ()
    direct_ssh_cidrs: tuple[Cidr, ...] = ()

    @field_validator("operator_cidrs", "direct_ssh_cidrs", mode="before")
    @classmethod
    def _frozen(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value

    @field_validator("operator_cidrs", "direct_ssh_cidrs")
    @classmethod
    def _not_the_whole_world(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(IPv4Network(cidr).prefixlen == 0 for cidr in value):
            raise ValueError(
                "0.0.0.0/0 would open SSH to the whole world"
                "|list the networks that operators come from, such as 10.200.0.0/24"
            )
        return value

    @field_validator("nat")
    @classmethod
    def _a_way_out(cls, value: str, info: ValidationInfo) -> str:
        if value == "none" and not info.data.get("own_way_out"):
            raise ValueError(
                "without NAT no server reaches the AWS API, nor packages: none would ever be ready"
                '|write "one"; or, if you route the private subnets yourself, own_way_out = true beside it'
            )
        return value

    @field_validator("cidr")
    @classmethod
    def _room_for_subnets(cls, value: str) -> str:
        # A public subnet is 8 bits smaller, and a balancer wants a /27 at least (Elastic Load Balancing,
        # "Subnets for your load balancer").
        if not 16 <= IPv4Network(value).prefixlen <= 19:
            raise ValueError("a VPC is a /16 to a /19 here|write one such as 10.42.0.0/16")
        if not any(IPv4Network(value).subnet_of(private) for private in PRIVATE):
            raise ValueError(
                f"{value} holds addresses of the internet, which hosts could then not reach"
                "|write a private one such as 10.42.0.0/16"
            )
        return value


class Balancer(Section):
    """The load balancer."""

    deletion_protection: bool = True
    access_logs: bool = True
    access_log_days: Annotated[int, Field(ge=1, le=3650)] = 90
    idle_seconds: Annotated[int, Field(ge=1, le=4000)] = 60


class Logs(Section):
    """What ships, keeps and shows logs: which version, from where, and for how long they are kept."""

    version: Annotated[str, Field(pattern=r"^8\.\d+\.\d+$")] = "8.19.21"
    repository: Annotated[str, Field(pattern=r"^https?://[\w.:/~-]+$")] = (
        "https://artifacts.elastic.co/packages/8.x/apt"
    )
    signing_key: Annotated[str, Field(pattern=r"^(files/|/)[\w./-]+$")] = "files/elastic/elastic.asc"
    spool_days: Annotated[int, Field(ge=1, le=90)] = 7
    days: Annotated[int, Field(ge=1, le=3650)] = 14


class Image(Section):
    """Which machine image instances boot."""

    parameter: Annotated[str, Field(pattern=r"^/[\w./-]+$")] = "/aws/service/debian/release/13/latest/amd64"


class Ssh(Section):
    """How pyinfra logs in."""

    user: Name = "admin"
    key_name: str | None = None
    private_key: str | None = None


class Server(Section):
    """What every role's servers have."""

    instance_type: InstanceType
    disk_gib: Annotated[int, Field(ge=8, le=1024)] = 20


class App(Server):
    """The app servers: how many, how big, how they run the application."""

    min: Annotated[int, Field(ge=1, le=1000)]
    max: Annotated[int, Field(ge=1, le=1000)]
    desired: Annotated[int, Field(ge=1, le=1000)]
    processes: Annotated[int, Field(ge=1, le=64)] = 2
    drain_seconds: Annotated[int, Field(ge=1, le=300)] = 30
    health_check: Literal["EC2", "ELB"] = "ELB"
    health_check_grace_seconds: Annotated[int, Field(ge=60, le=7200)] = 600

    @field_validator("max")
    @classmethod
    def _above_min(cls, value: int, info: ValidationInfo) -> int:
        if value < info.data.get("min", 0):
            raise ValueError(f"{value} is below app.min ({info.data['min']})|raise max or lower min")
        return value

    @field_validator("desired")
    @classmethod
    def _within(cls, value: int, info: ValidationInfo) -> int:
        # A wrong min, or a max below it, is a line of its own: what is right says what it can.
        low, high = info.data.get("min", 1), info.data.get("max")
        if high and not low <= value <= high:
            raise ValueError(f"{value} is outside min..max|give a number from {low} to {high}")
        return value


class Singleton(Server):
    """A role of one server, in the zone of the volume with its data, which outlives it."""

    zone: Zone | None = None
    data_gib: Annotated[int, Field(ge=1, le=16384)] = 20
    data_volume: Annotated[str, Field(pattern=r"^vol-[0-9a-f]{8,17}$")] | None = None


class Db(Singleton):
    """The database server."""

    version: Annotated[int, Field(ge=17, le=17)] = 17
    database: SqlName = "chat"
    user: SqlName = "chat"


class Elk(Singleton):
    """The server that keeps everybody's logs, and who may ask it from outside of the fleet."""

    client_cidrs: tuple[Cidr, ...] = ()
    heap_mib: Annotated[int, Field(ge=256, le=30720)] | None = None
    snapshot_days: Annotated[int, Field(ge=1, le=3650)] = 30

    @field_validator("client_cidrs", mode="before")
    @classmethod
    def _frozen(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value

    @field_validator("client_cidrs")
    @classmethod
    def _not_the_whole_world(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(IPv4Network(cidr).prefixlen == 0 for cidr in value):
            raise ValueError(
                "0.0.0.0/0 would show everybody's logs to the whole world"
                "|list the networks that operators come from, such as 10.200.0.0/24"
            )
        return value


class Release(Singleton):
    """The server that builds releases and brings them to the fleet: from where, and what a build may take."""

    repository: Annotated[str, Field(pattern=r"^https://[\w.:/~-]+$")] | None = None
    registry: Annotated[str, Field(pattern=r"^https?://[\w.:/~-]+$")] | None = None
    build_minutes: Annotated[int, Field(ge=1, le=240)] = 20
    build_memory_mib: Annotated[int, Field(ge=256, le=65536)] = 1536
    build_cpus: Annotated[float, Field(ge=0.1, le=64)] = 1.0
    kept_logs: Annotated[int, Field(ge=1, le=1000)] = 50
