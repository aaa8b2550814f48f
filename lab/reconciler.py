"""Lets the lab follow the AWS API: VPCs, hosts, their disks, metadata, security groups, balancers, names."""

import functools
import json
import logging
import sys
import time
import urllib.request
from collections.abc import Callable
from typing import Any

from corral import aws
from corral import settings as environments
from corral.settings import Settings
from lab import names, network, preflight, security_groups, volumes, vpcs
from lab.balancer import Proxy
from lab.cloud import revision
from lab.commands import in_namespace, run
from lab.configuration import Configuration, saved
from lab.files import write_atomically
from lab.instances import Reader
from lab.keeper import Keeper
from lab.paths import ENDPOINT, RECONCILER_STATUS, ROUTER
from lab.services import Service, all_services, resolver
from lab.vpcs import Vpc

log = logging.getLogger("reconciler")
_PERIOD_SECONDS = 0.5
# How long to believe that nothing has changed when the API says so.
_BELIEVE_SECONDS = 5


class Reconciler:
    """One loop; what it remembers can be lost at any time, for all of it is in the API and on the machine."""

    def __init__(self, settings: Settings, configuration: Configuration):
        self.settings = settings
        self.configuration = configuration
        self.client = functools.partial(aws.client, settings)
        self.reader = Reader(self.client, settings.account, settings.region)
        self.proxy = Proxy(ports=configuration.ports, region=settings.region)
        self.keeper = Keeper(self.reader, self._stop_instance, configuration, settings.region)
        # By part of the work: what went wrong and is tried again, and what can't be had as it is asked for.
        self.errors: dict[str, str] = {}
        self.refused_vpcs: dict[str, str] = {}
        self.refused_balancers: dict[str, str] = {}
        self.vpcs: list[Vpc] | None = None
        # Of the VPCs that have one, by id.
        self.networks = {vpc.id: vpc.cidr for vpc in vpcs.saved()}
        self.instances: list[dict[str, Any]] = []
        self.volumes: list[dict[str, Any]] = []
        self.groups: list[dict[str, Any]] = []
        self.world: dict[str, str] = {}  # names with their address
        self.rules = ""
        self.revision = ""
        self.looked = 0.0

    def step(self) -> None:
        """Look once, and do what is to be done; an error in one part does not keep the others from theirs."""
        self._part("services", self._keep_services)
        # Before the API is asked, so that what it says is not older than what was done.
        for instance_id, result in self.keeper.finished():
            self._part(f"host {instance_id}", result)
        self._part("API", self._look_when_changed)
        if self.looked:
            self._part("hosts", lambda: self.keeper.follow(self.instances, self.networks))
            self._part("volumes", lambda: volumes.follow(self.volumes, self.instances, self.keeper.idle()))
            self._part("targets", self._follow_targets)
        errors = self.errors | self.refused_vpcs | self.refused_balancers
        write_atomically(RECONCILER_STATUS, json.dumps({"errors": errors, "sites": self.proxy.sites()}))

    def _look_when_changed(self) -> None:
        """Read the API when its revision is another one, or when some time has passed."""
        with urllib.request.urlopen(ENDPOINT + revision.PATH, timeout=5) as answer:
            now = answer.read().decode()
        if now == self.revision and not self.errors and time.monotonic() - self.looked < _BELIEVE_SECONDS:
            return
        self.instances, self.volumes = self.reader.instances(), self.reader.volumes()
        self._part("VPCs", self._follow_vpcs)
        self._part("balancers", self._read_balancers)
        self._part("security groups", self._follow_security_groups)
        self._part("names", self._follow_names)
        self.revision, self.looked = now, time.monotonic()

    def _part(self, name: str, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # one part's fault is shown by `corral lab status`, and tried again
            if self.errors.get(name) != str(error):
                log.exception("%s: failed, will be tried again", name)
            self.errors[name] = str(error)
        else:
            if self.errors.pop(name, None):
                log.info("%s: works again", name)

    def _services(self) -> dict[str, Service]:
        return all_services(self.settings, self.configuration)

    def _keep_services(self) -> None:
        for service in self._services().values():
            if service.keep and service.ensure():
                log.warning("%s did not run, started", service.name)

    def _follow_vpcs(self) -> None:
        present, wanted = vpcs.saved(), vpcs.read(self.client("ec2"))
        # One that is gone keeps its network until the last of its hosts is, and none is just being made.
        gone = [vpc for vpc in present if vpc not in wanted]
        leaving = [vpc for vpc in gone if self.keeper.busy or network.inhabited(vpc.cidr)]
        chosen, refused = vpcs.choose([*leaving, *wanted], present, preflight.in_use)
        self.refused_vpcs = {f"VPC {vpc}": why for vpc, why in refused.items()}
        if chosen != self.vpcs:
            for vpc in present:
                if vpc not in chosen:
                    resolver(vpc, self.settings.region).stop()
                    names.Resolver(vpc).remove()
            vpcs.save(chosen)
            network.set_vpcs([vpc.cidr for vpc in chosen])
            self.vpcs = chosen
            log.info("networks: %s", ", ".join(f"{vpc.cidr} of {vpc.id}" for vpc in chosen) or "none")
            self.networks = {vpc.id: vpc.cidr for vpc in chosen}
            self._keep_services()

    def _placed(self) -> list[dict[str, Any]]:
        """The instances in VPCs that have a network; two VPCs may have the same addresses, but not here."""
        return [one for one in self.instances if one.get("VpcId") in self.networks]

    def _read_balancers(self) -> None:
        clients = [self.client(service) for service in ("elbv2", "ec2", "acm")]
        refused = self.proxy.read(self.networks, *clients)
        self.refused_balancers = {f"load balancer {name}": why for name, why in refused.items()}
        network.set_balancer_addresses(
            address for one in self.proxy.balancers for address in (one.address, *one.addresses)
        )

    def _follow_security_groups(self) -> None:
        pages = self.client("ec2").get_paginator("describe_security_groups").paginate()
        self.groups = [group for page in pages for group in page["SecurityGroups"]]
        networks = list(self.networks.values())
        rules = security_groups.ruleset(self._placed(), self.groups, self.proxy.balancers, networks)
        if rules != self.rules:
            run(*in_namespace(ROUTER, "nft", "-f", "-"), stdin=rules)
            self.rules = rules

    def _follow_targets(self) -> None:
        self.proxy.sync(self._placed(), self.groups, self.world, lambda: self._reload("balancer"))

    def _follow_names(self) -> None:
        zones = names.read(self.client("route53"))
        known = {balancer.dns_name: balancer.address for balancer in self.proxy.balancers}
        world = names.addresses(names.seen(zones, None), known)
        self.world = {name: address for name, found in world.items() for address in found}
        for vpc in self.vpcs or ():
            reload = functools.partial(self._reload, resolver(vpc, self.settings.region).name)
            names.Resolver(vpc).sync(zones, known, reload)

    def _reload(self, service: str) -> None:
        log.info("%s: reload", service)
        self._services()[service].reload()

    def _stop_instance(self, instance_id: str) -> None:
        self.client("ec2").stop_instances(InstanceIds=[instance_id])


def main() -> None:
    """Run until killed."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    configuration = saved()
    reconciler = Reconciler(environments.load(configuration.environment), configuration)
    log.info("following the API, every %s s", _PERIOD_SECONDS)
    while True:
        started = time.monotonic()
        reconciler.step()
        time.sleep(max(0.05, _PERIOD_SECONDS - (time.monotonic() - started)))


if __name__ == "__main__":
    main()
