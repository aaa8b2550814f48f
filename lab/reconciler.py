"""Lets the lab follow the AWS API: hosts, metadata, security groups, balancer, names."""

import functools
import json
import logging
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from corral import aws
from corral import settings as environments
from corral.settings import Settings
from lab import hosts, metadata, network, security_groups
from lab.balancer import Proxy
from lab.commands import in_namespace, run
from lab.configuration import Configuration, saved
from lab.instances import Reader
from lab.names import Resolver
from lab.paths import INSTANCES, REBOOTS, RECONCILER_STATUS, ROUTER, resolver
from lab.plan import ON, Action, Verb, plan
from lab.services import RELOAD, all_services

log = logging.getLogger("reconciler")
PERIOD_SECONDS = 0.5
_MOST_AT_ONCE = 4
_PAUSE_SECONDS = 5


class Reconciler:
    """One loop; its state can be lost at any time, for it is all in the API and on the machine."""

    def __init__(self, settings: Settings, configuration: Configuration):
        self.settings = settings
        self.configuration = configuration
        self.client = functools.partial(aws.client, settings)
        self.reader = Reader(self.client, settings.account, settings.region)
        self.services = all_services(settings, configuration)
        self.proxy = Proxy(ports=configuration.ports, region=settings.region)
        self.names = Resolver()
        self.pool = ThreadPoolExecutor(_MOST_AT_ONCE)
        self.busy: dict[str, Future[None]] = {}
        self.errors: dict[str, str] = {}
        self.groups: list[dict[str, Any]] = []
        self.rules = ""
        self.states: dict[str, str] = {}
        self.looks = 0

    def step(self) -> None:
        """Look once, and do what is to be done; an error in one part does not keep the others from theirs."""
        self._part("services", self._keep_services)
        # Before the API is asked, so that what it says is not older than what was done.
        self._collect()
        instances = self._part("instances", self.reader.instances)
        if instances is not None:
            self._part("hosts", lambda: self._follow_hosts(instances))
            self._follow_the_rest(instances)
        write_atomically(RECONCILER_STATUS, json.dumps({"errors": self.errors}))

    def _follow_the_rest(self, instances: list[dict[str, Any]]) -> None:
        """At every second look, which halves the API's work, and at once when there are other instances."""
        self.looks += 1
        states = {instance["InstanceId"]: instance["State"]["Name"] for instance in instances}
        if states == self.states and self.looks % 2:
            return
        self.states = states
        self._part("balancer", self._read_balancer)
        self._part("security groups", lambda: self._follow_security_groups(instances))
        self._part("targets", lambda: self._follow_targets(instances))
        self._part("names", self._follow_names)

    def _part(self, name: str, work: Callable[[], Any]) -> Any:
        try:
            result = work()
        except Exception as error:  # one part's fault is shown by `corral lab status`, and tried again
            if self.errors.get(name) != str(error):
                log.exception("%s: failed, will be tried again", name)
            self.errors[name] = str(error)
            return None
        if self.errors.pop(name, None):
            log.info("%s: works again", name)
        return result

    def _keep_services(self) -> None:
        for service in self.services.values():
            if service.keep and service.ensure():
                log.warning("%s was dead, started again", service.name)

    def _follow_hosts(self, instances: list[dict[str, Any]]) -> None:
        known = {instance["InstanceId"]: instance for instance in instances}
        live = {key: one for key, one in known.items() if one["State"]["Name"] in ON and _address(one)}
        facts = {_address(one): self.reader.facts(one) for one in live.values()}
        write_atomically(INSTANCES, metadata.dump(facts))

        for half in hosts.half_made():
            if half.instance_id not in self.busy:
                hosts.destroy(half)
        present = {key: host for key, host in hosts.present().items() if key not in self.busy}
        self.reader.forget(known.keys() - live.keys())
        wanted = {key: one["State"]["Name"] for key, one in known.items()}
        wanted = {key: state for key, state in wanted.items() if key not in self.busy}
        wanted = {key: state for key, state in wanted.items() if state not in ON or key in live}
        reboots = {path.name for path in REBOOTS.iterdir()} if REBOOTS.is_dir() else set()
        conditions = {key: host.condition for key, host in present.items()}
        for action in plan(wanted, conditions, reboots):
            log.info("%s: %s", action.instance_id, action.verb.value)
            host, instance = present.get(action.instance_id), known.get(action.instance_id)
            self.busy[action.instance_id] = self.pool.submit(self._attempt, action, host, instance)

    def _collect(self) -> None:
        """Take note of finished actions; one that failed is planned again, as the world is the same."""
        for instance_id in [instance_id for instance_id, future in self.busy.items() if future.done()]:
            self._part(f"host {instance_id}", self.busy.pop(instance_id).result)

    def _attempt(self, action: Action, host: hosts.Host | None, instance: dict[str, Any] | None) -> None:
        try:
            self._act(action, host, instance)
        except Exception:
            time.sleep(_PAUSE_SECONDS)  # the host stays busy meanwhile, so it is not tried again at once
            raise

    def _act(self, action: Action, host: hosts.Host | None, instance: dict[str, Any] | None) -> None:
        cidr, region = self.settings.network.cidr, self.settings.region
        if action.verb is Verb.CREATE and instance:
            made = hosts.create(action.instance_id, _address(instance), self.configuration.base, cidr, region)
            hosts.boot(made)
        elif host is None:
            raise LookupError(f"{action.instance_id} is gone before it could be {action.verb.value}")
        elif action.verb is Verb.BOOT:
            hosts.boot(host)
        elif action.verb is Verb.REBOOT:
            (REBOOTS / host.instance_id).unlink()
            hosts.reboot(host)
        elif action.verb is Verb.SHUT_DOWN:
            hosts.shut_down(host)
        elif action.verb is Verb.DESTROY:
            hosts.shut_down(host)
            hosts.destroy(host)
        elif action.verb is Verb.REPORT:
            self.client("ec2").stop_instances(InstanceIds=[host.instance_id])
            hosts.shut_down(host)

    def _read_balancer(self) -> None:
        balancers = self.proxy.read(self.client("elbv2"), self.client("ec2"), self.client("acm"))
        network.set_balancer_addresses([address for one in balancers for address in one.addresses])

    def _follow_security_groups(self, instances: list[dict[str, Any]]) -> None:
        pages = self.client("ec2").get_paginator("describe_security_groups").paginate()
        self.groups = [group for page in pages for group in page["SecurityGroups"]]
        dns = resolver(self.settings.network.cidr)
        rules = security_groups.ruleset(instances, self.groups, self.proxy.balancers, dns)
        if rules != self.rules:
            run(*in_namespace(ROUTER, "nft", "-f", "-"), stdin=rules)
            self.rules = rules

    def _follow_targets(self, instances: list[dict[str, Any]]) -> None:
        self.proxy.sync(instances, self.groups, lambda: self._reload("balancer"))

    def _follow_names(self) -> None:
        self.names.sync(self.client("route53"), self.proxy.balancers, lambda: self._reload("dns"))

    def _reload(self, service: str) -> None:
        log.info("%s: reload", service)
        self.services[service].signal(RELOAD[service])


def write_atomically(path: Any, text: str) -> None:
    """Write a file so that a reader sees the old text or the new; not at all when nothing changed."""
    if path.exists() and path.read_text() == text:
        return
    beside = path.with_name(path.name + ".new")
    beside.write_text(text)
    beside.replace(path)


def _address(instance: dict[str, Any]) -> str:
    return str(instance.get("PrivateIpAddress", ""))


def main() -> None:
    """Run until killed."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    configuration = saved()
    reconciler = Reconciler(environments.load(configuration.environment), configuration)
    log.info("following the API at most every %s s", PERIOD_SECONDS)
    while True:
        started = time.monotonic()
        reconciler.step()
        time.sleep(max(0.05, PERIOD_SECONDS - (time.monotonic() - started)))


if __name__ == "__main__":
    main()
