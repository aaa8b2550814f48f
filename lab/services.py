"""The lab's own processes: what each is for, how it starts, and where it listens."""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from corral.errors import CorralError
from corral.settings import Settings
from lab import apt, npm, processes, vpcs
from lab.balancer import Proxy
from lab.commands import in_namespace
from lab.configuration import Configuration
from lab.elastic import source
from lab.names import Resolver
from lab.paths import API_PORT, GATEWAY, REPOSITORY, ROUTER, SERVICES
from lab.vpcs import Vpc


@dataclass(frozen=True)
class Service:
    """One process of the lab. `start` prepares its files and gives its command."""

    name: str
    purpose: str
    start: Callable[[], list[str]]
    keep: bool = True  # whether the reconciler starts it again when it dies
    reload_signal: int = 0  # lets it read its files again

    @property
    def log(self) -> Path:
        """What it has printed."""
        return SERVICES / f"{self.name}.log"

    @property
    def process(self) -> processes.Process | None:
        """As its pid file says; None when it was never started."""
        return processes.recorded(SERVICES / f"{self.name}.pid")

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        process = self.process
        return process is not None and process.alive

    def ensure(self) -> bool:
        """Start it unless it runs; whether it had to be started."""
        if self.alive:
            return False
        SERVICES.mkdir(parents=True, exist_ok=True)
        path = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
        processes.spawn(SERVICES / f"{self.name}.pid", self.start(), self.log, {"PYTHONPATH": path})
        return True

    def stop(self) -> None:
        """End it, and the processes it started."""
        if process := self.process:
            processes.stop(process)

    def reload(self) -> None:
        """Let it read its files again, when it runs."""
        if process := self.process:
            process.signal(self.reload_signal)

    def wait(self, ready: Callable[[], bool], seconds: float = 20) -> None:
        """Wait until it does its work; raises CorralError with its last words when it doesn't."""
        processes.wait_until(lambda: ready() or not self.alive, seconds, interval=0.05)
        if not (self.alive and ready()):
            last = "\n".join(f"    {line}" for line in tail(self.log, 8))
            raise CorralError(
                f"The lab's {self.name} ({self.purpose}) does not start:\n{last}",
                f"All it said: {self.log}",
                "docs/lab.md",
            )


def all_services(settings: Settings, configuration: Configuration) -> dict[str, Service]:
    """Every service by name, in the order of their start."""
    listed = [
        package_cache(),
        Service("npm", "npm's registry, passed on", npm.command),
        Service("api", "the AWS API", _api, keep=False),
        Service("metadata", "EC2's metadata service", _metadata),
        *(resolver(vpc, settings.region) for vpc in vpcs.saved()),
        Service(
            "balancer",
            "the load balancers",
            lambda: _balancer(settings, configuration),
            reload_signal=signal.SIGUSR2,
        ),
        Service("reconciler", "lets hosts follow the API", _reconciler, keep=False),
    ]
    return {service.name: service for service in listed}


def package_cache() -> Service:
    """The cache of Debian packages; it is there before the base image is, which comes through it."""

    def start() -> list[str]:
        logs = apt.logs_line(source.HOST, source.saved().root)
        return apt.prepare_cache(apt.machine_mirror(), logs)

    return Service("packages", "cache of Debian packages, and of Elastic's", start)


def resolver(vpc: Vpc, region: str) -> Service:
    """The resolver of a VPC; there is one as long as the VPC has its network."""

    def start() -> list[str]:
        names = Resolver(vpc)
        names.prepare(region)
        return in_namespace(ROUTER, *names.command())

    purpose = f"answers the names that {vpc.cidr} sees"
    return Service(f"dns-{vpc.id}", purpose, start, reload_signal=signal.SIGHUP)


def tail(log: Path, lines: int) -> list[str]:
    """The last lines of a log; none when there is no log."""
    return log.read_text(errors="replace").splitlines()[-lines:] if log.exists() else []


def _api() -> list[str]:
    where = ["--host", GATEWAY, "--port", str(API_PORT)]
    return in_namespace(ROUTER, sys.executable, "-m", "lab.cloud", *where)


def _metadata() -> list[str]:
    return in_namespace(ROUTER, sys.executable, "-m", "lab.metadata")


def _balancer(settings: Settings, configuration: Configuration) -> list[str]:
    proxy = Proxy(ports=configuration.ports, region=settings.region)
    proxy.prepare()
    return proxy.command()


def _reconciler() -> list[str]:
    return [sys.executable, "-m", "lab.reconciler"]
