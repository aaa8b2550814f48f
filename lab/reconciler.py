"""Lets the lab follow the AWS API: hosts, their disks, metadata, security groups, balancer, names."""

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
from lab import network, security_groups, volumes
from lab.balancer import Proxy
from lab.cloud import revision
from lab.commands import in_namespace, run
from lab.configuration import Configuration, saved
from lab.files import write_atomically
from lab.instances import Reader
from lab.keeper import Keeper
from lab.names import Resolver
from lab.paths import ENDPOINT, RECONCILER_STATUS, ROUTER, resolver
from lab.services import RELOAD, all_services

log = logging.getLogger("reconciler")
_PERIOD_SECONDS = 0.5
# How long to believe that nothing has changed when the API says so.
_BELIEVE_SECONDS = 5


class Reconciler:
    """One loop; what it remembers can be lost at any time, for all of it is in the API and on the machine."""

    def __init__(self, settings: Settings, configuration: Configuration):
        self.settings = settings
        self.client = functools.partial(aws.client, settings)
        self.reader = Reader(self.client, settings.account, settings.region)
        self.services = all_services(settings, configuration)
        self.proxy = Proxy(ports=configuration.ports, region=settings.region)
        self.names = Resolver()
        self.keeper = Keeper(
            self.reader, self._stop_instance, configuration, settings.network.cidr, settings.region
        )
        self.errors: dict[str, str] = {}
        self.instances: list[dict[str, Any]] = []
        self.volumes: list[dict[str, Any]] = []
        self.groups: list[dict[str, Any]] = []
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
            self._part("hosts", lambda: self.keeper.follow(self.instances))
            self._part("volumes", lambda: volumes.follow(self.volumes, self.instances, self.keeper.idle()))
            self._part("targets", self._follow_targets)
        write_atomically(RECONCILER_STATUS, json.dumps({"errors": self.errors}))

    def _look_when_changed(self) -> None:
        """Read the API when its revision is another one, or when some time has passed."""
        with urllib.request.urlopen(ENDPOINT + revision.PATH, timeout=5) as answer:
            now = answer.read().decode()
        if now == self.revision and not self.errors and time.monotonic() - self.looked < _BELIEVE_SECONDS:
            return
        self.instances, self.volumes = self.reader.instances(), self.reader.volumes()
        self._part("balancer", self._read_balancer)
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

    def _keep_services(self) -> None:
        for service in self.services.values():
            if service.keep and service.ensure():
                log.warning("%s was dead, started again", service.name)

    def _read_balancer(self) -> None:
        balancers = self.proxy.read(self.client("elbv2"), self.client("ec2"), self.client("acm"))
        network.set_balancer_addresses([address for one in balancers for address in one.addresses])

    def _follow_security_groups(self) -> None:
        pages = self.client("ec2").get_paginator("describe_security_groups").paginate()
        self.groups = [group for page in pages for group in page["SecurityGroups"]]
        dns = resolver(self.settings.network.cidr)
        rules = security_groups.ruleset(self.instances, self.groups, self.proxy.balancers, dns)
        if rules != self.rules:
            run(*in_namespace(ROUTER, "nft", "-f", "-"), stdin=rules)
            self.rules = rules

    def _follow_targets(self) -> None:
        self.proxy.sync(self.instances, self.groups, lambda: self._reload("balancer"))

    def _follow_names(self) -> None:
        self.names.sync(self.client("route53"), self.proxy.balancers, lambda: self._reload("dns"))

    def _reload(self, service: str) -> None:
        log.info("%s: reload", service)
        self.services[service].signal(RELOAD[service])

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
