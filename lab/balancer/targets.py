"""Targets come, prove themselves, serve, drain and go: by HAProxy's socket, never by a reload."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from lab.balancer.config import Server
from lab.balancer.frontends import backend
from lab.balancer.health import DRAINING, UNUSED, judge, passed
from lab.balancer.model import Balancer, TargetGroup
from lab.balancer.runtime import Row, Runtime

# A backend and a server in it.
Key = tuple[str, str]


def used_groups(balancers: Iterable[Balancer]) -> dict[str, TargetGroup]:
    """Target groups that a listener forwards to, by backend."""
    return {
        backend(group): group
        for balancer in balancers
        for group in balancer.target_groups
        if group.arn in {listener.target_group for listener in balancer.listeners}
    }


def wanted_servers(
    balancers: Iterable[Balancer], instances: Mapping[str, Mapping[str, Any]]
) -> dict[Key, Server]:
    """Servers as they are to be. `instances`: the running ones, by id, as DescribeInstances gives them."""
    wanted = {}
    for balancer in balancers:
        for name, group in used_groups([balancer]).items():
            for target in group.targets:
                instance = instances.get(target.id, {})
                address = instance.get("PrivateIpAddress") or (target.id if "." in target.id else None)
                if address is None:
                    continue  # Stopped or gone; the API says so itself.
                zone = instance.get("Placement", {}).get("AvailabilityZone", "")
                # A balancer that is not in a target's zone reaches it from another one.
                source = balancer.zones.get(zone) or balancer.zones[min(balancer.zones)]
                wanted[name, target.id] = Server(target.id, address, target.port, source)
    return wanted


class Targets:
    """What is remembered of targets from one look to the next."""

    def __init__(self, runtime: Runtime):
        self._runtime = runtime
        # When each was added; those still to pass their first check; until when the leaving ones may stay.
        self._added: dict[Key, float] = {}
        self._unproved: set[Key] = set()
        self._leaving: dict[Key, float] = {}

    def rows(self) -> dict[Key, Row]:
        """Targets as HAProxy has them now."""
        rows = self._runtime.rows()
        return {(row.backend, row.name): row for row in rows if not row.name.endswith("-open")}

    def follow(self, wanted: Mapping[Key, Server], groups: Mapping[str, TargetGroup]) -> None:
        """Bring HAProxy's servers to those wanted. `groups`: by backend."""
        rows, now = self.rows(), time.monotonic()
        for key, server in wanted.items():
            row = rows.get(key)
            if row and row.address != f"{server.address}:{server.port}":
                # Another address under the same name: the old one goes at once.
                self._runtime.remove(*key)
                row = None
            if row is None:
                self._runtime.add(key[0], groups[key[0]], server)
                self._added[key] = now
                self._unproved.add(key)
                continue
            if key in self._leaving:
                del self._leaving[key]
                self._runtime.ready(*key)
            self._prove(key, row)
        for key in rows:
            if key not in wanted and key[0] in groups:
                self._see_off(key, now, groups[key[0]].drain)

    def health(self, balancers: Iterable[Balancer]) -> dict[str, dict[str, dict[str, str]]]:
        """Target group's ARN -> target -> state, reason and description."""
        rows, now = self.rows(), time.monotonic()
        found: dict[str, dict[str, dict[str, str]]] = {}
        for balancer in balancers:
            used = used_groups([balancer])
            for group in balancer.target_groups:
                name, registered = backend(group), {target.id for target in group.targets}
                if name not in used:
                    # Of its VPC's balancers, another one may use it.
                    found.setdefault(group.arn, {target: UNUSED.words() for target in registered})
                    continue
                health = {}
                for key, row in rows.items():
                    if key[0] == name and key in self._leaving:
                        health[key[1]] = DRAINING.words()
                    elif key[0] == name and key[1] in registered:
                        initial = group.unhealthy * group.interval if key in self._unproved else 0.0
                        health[key[1]] = judge(row, now - self._added.get(key, 0.0), initial).words()
                found[group.arn] = health
        return found

    def _prove(self, key: Key, row: Row) -> None:
        """A new target is in after one good check; one that failed needs as many as the group says.

        (Elastic Load Balancing, "Health checks for your target groups".)
        """
        if key in self._unproved and row.status.startswith("UP"):
            self._unproved.discard(key)
        elif key in self._unproved and passed(row):
            self._runtime.up(*key)
            self._unproved.discard(key)

    def _see_off(self, key: Key, now: float, drain: int) -> None:
        if key not in self._leaving:
            self._leaving[key] = now + drain
            self._runtime.drain(*key)
        elif (self._open(key) == 0 or now > self._leaving[key]) and self._runtime.remove(*key):
            del self._leaving[key]
            self._added.pop(key, None)
            self._unproved.discard(key)

    def _open(self, key: Key) -> int:
        """How many requests and websockets a target still has."""
        names = {key[1], f"{key[1]}-open"}
        return sum(
            row.sessions for row in self._runtime.rows() if row.backend == key[0] and row.name in names
        )
