"""Lets the hosts on this machine follow the API's instances, a few at a time, beside the loop."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from lab import hosts, metadata
from lab.configuration import Configuration
from lab.files import write_atomically
from lab.instances import Reader
from lab.paths import INSTANCES, REBOOTS
from lab.plan import ON, Action, Verb, plan

log = logging.getLogger("keeper")
_MOST_AT_ONCE = 4
_PAUSE_SECONDS = 5

Instance = dict[str, Any]


class Keeper:
    """Carries plans out beside the loop that makes them.

    `stop_instance`: tells the API that an instance has stopped.
    """

    def __init__(
        self,
        reader: Reader,
        stop_instance: Callable[[str], None],
        configuration: Configuration,
        region: str,
    ):
        self.reader = reader
        self.stop_instance = stop_instance
        self.image = configuration.base
        self.networks: Mapping[str, str] = {}
        self.region = region
        self.pool = ThreadPoolExecutor(_MOST_AT_ONCE)
        self.busy: dict[str, Future[None]] = {}

    def finished(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """Hosts whose action has ended, each with a function that raises what went wrong with it.

        One that failed is planned again, as the world is the same.
        """
        for instance_id in [instance_id for instance_id, future in self.busy.items() if future.done()]:
            yield instance_id, self.busy.pop(instance_id).result

    def follow(self, instances: list[Instance], networks: Mapping[str, str]) -> None:
        """Begin what brings the hosts to the instances, and let the metadata service know these first.

        `networks`: of the VPCs that have one, by id. An instance in another VPC is left as it is.
        """
        self.networks = networks
        known = {instance["InstanceId"]: instance for instance in instances}
        on = {key: one for key, one in known.items() if one["State"]["Name"] in ON}
        up = on | {key: one for key, one in known.items() if one["State"]["Name"] == "shutting-down"}
        live = {key: one for key, one in up.items() if one.get("VpcId") in networks and _address(one)}
        facts = {_address(one): self.reader.facts(one) for one in live.values()}
        self.reader.forget(known.keys() - live.keys())
        write_atomically(INSTANCES, metadata.dump(facts))

        for half in hosts.half_made():
            if half.instance_id not in self.busy:
                self._begin(Action(Verb.DESTROY, half.instance_id), half, None)
        left = self.busy.keys() | on.keys() - live.keys()
        present = {key: host for key, host in self.idle().items() if key not in left}
        wanted = {key: one["State"]["Name"] for key, one in known.items() if key not in left}
        conditions = {key: host.condition for key, host in present.items()}
        reboots = {path.name for path in REBOOTS.iterdir()} if REBOOTS.is_dir() else set()
        for action in plan(wanted, conditions, reboots):
            self._begin(action, present.get(action.instance_id), known.get(action.instance_id))

    def idle(self) -> dict[str, hosts.Host]:
        """Hosts that are there and to which nothing is being done, by instance id."""
        return {key: host for key, host in hosts.present().items() if key not in self.busy}

    def _begin(self, action: Action, host: hosts.Host | None, instance: Instance | None) -> None:
        log.info("%s: %s", action.instance_id, action.verb.value)
        self.busy[action.instance_id] = self.pool.submit(self._attempt, action, host, instance)

    def _attempt(self, action: Action, host: hosts.Host | None, instance: Instance | None) -> None:
        try:
            self._act(action, host, instance)
        except Exception:
            time.sleep(_PAUSE_SECONDS)  # the host stays busy meanwhile, so it is not tried again at once
            raise

    def _act(self, action: Action, host: hosts.Host | None, instance: Instance | None) -> None:
        if action.verb is Verb.CREATE and instance:
            address, cidr = _address(instance), self.networks[instance["VpcId"]]
            hosts.boot(hosts.create(action.instance_id, address, self.image, cidr, self.region))
        elif host is None:
            raise LookupError(f"{action.instance_id} was gone before this could be done: {action.verb.value}")
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
            self.stop_instance(host.instance_id)
            hosts.shut_down(host)


def _address(instance: Instance) -> str:
    return str(instance.get("PrivateIpAddress", ""))
