"""Brings the lab up: from nothing, from what a killed run left, or just what has died since."""

import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from corral import aws
from corral.errors import CorralError
from corral.settings import Settings
from lab import apt, ca, image, network, npm, observe, preflight, teardown, vpcs
from lab.commands import run
from lab.configuration import Configuration, saved
from lab.elastic import source
from lab.paths import (
    API_PORT,
    CA,
    GATEWAY,
    HOSTS,
    LOCK,
    MACHINE,
    REBOOTS,
    RECONCILER_STATUS,
    STATE,
    UP,
)
from lab.services import Service, all_services, package_cache

Tell = Callable[[str], None]


@contextmanager
def only_one() -> Iterator[None]:
    """Let one command at a time change the lab; raises CorralError when another one is at it."""
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with LOCK.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise CorralError(
                f"Another command (pid {lock.read().strip() or 'unknown'}) is changing the lab.",
                "Wait until it is done.",
                "docs/lab.md",
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def up(settings: Settings, tell: Tell) -> Configuration:
    """Bring the lab up, and leave a running one running; what it was started with.

    `tell`: is given a few words at each step. Raises CorralError before anything is touched when this machine
    can't run it.
    """
    preflight.check_user()
    with only_one():
        if _runs(settings):
            return _repair(settings, tell)
        if teardown.leftovers():
            tell("an earlier run was cut off: clearing what it left")
            teardown.remove_everything(lambda _: None)
        preflight.check_machine(settings.network.cidr)
        return _start(settings, tell)


def _runs(settings: Settings) -> bool:
    """Whether a complete lab is up. Without its API, whose memory is gone then, it is none."""
    return UP.exists() and all_services(settings, saved())["api"].alive


def _repair(settings: Settings, tell: Tell) -> Configuration:
    configuration = saved()
    network.set_vpcs([vpc.cidr for vpc in vpcs.saved()])
    services = all_services(settings, configuration)
    started = [one.name for one in services.values() if one.ensure()]
    _wait_for_all(services)
    tell("the lab is running already" + (f"; started again: {', '.join(started)}" if started else ""))
    return configuration


def _start(settings: Settings, tell: Tell) -> Configuration:
    ports = preflight.free_port(443), preflight.free_port(80)
    tell("network namespaces, behind a guard")
    for directory in (HOSTS, REBOOTS):
        directory.mkdir(parents=True)
    network.up()

    logs = source.choose(tell)
    tell("package cache")
    cache = package_cache()
    cache.ensure()
    cache.wait(lambda: _listens(MACHINE, 80))
    base = image.ensure(apt.machine_mirror(), ca.ensure(CA), Path(logs.key), tell)
    configuration = Configuration(settings.environment, str(base), *ports)
    configuration.save()

    key = _operator_key(settings)
    services = all_services(settings, configuration)
    tell("AWS API")
    services["api"].ensure()
    services["api"].wait(lambda: _listens(GATEWAY, API_PORT), seconds=60)
    _import_key(settings, key, services["api"])
    for service in services.values():
        if service.ensure():
            tell(f"{service.name}: {service.purpose}")
    _wait_for_all(services)
    UP.touch()
    return configuration


def _wait_for_all(services: dict[str, Service]) -> None:
    """Wait until each does its work; raises CorralError with the last words of one that doesn't."""
    ready = {
        "packages": lambda: _listens(MACHINE, 80),
        "npm": lambda: _listens(MACHINE, npm.PORT),
        "api": lambda: _listens(GATEWAY, API_PORT),
        # For hosts only; the machine has no way to it.
        "metadata": lambda: _listens_at_home(services["metadata"], 80),
        "balancer": lambda: _listens(GATEWAY, 443),
        "reconciler": RECONCILER_STATUS.exists,
    }
    for name, service in services.items():
        service.wait(ready.get(name) or partial(_listens_at_home, service, 53))


def _listens_at_home(service: Service, port: int) -> bool:
    return service.process is not None and observe.listens(service.process.pid, port)


def _operator_key(settings: Settings) -> Path:
    private = Path(settings.ssh.private_key or STATE / "ssh" / "id_ed25519")
    if not private.exists():
        private.parent.mkdir(parents=True, exist_ok=True)
        private.parent.chmod(0o700)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "corral-lab", "-f", private)
    return private.with_suffix(".pub")


def _import_key(settings: Settings, public: Path, api: Service) -> None:
    try:
        aws.client(settings, "ec2").import_key_pair(
            KeyName=settings.ssh.key_name, PublicKeyMaterial=public.read_bytes()
        )
    except (BotoCoreError, ClientError) as error:
        raise CorralError(f"The lab's API does not work: {error}", f"All it said: {api.log}") from error


def _listens(address: str, port: int) -> bool:
    with socket.socket() as attempt:
        attempt.settimeout(1)
        return attempt.connect_ex((address, port)) == 0
