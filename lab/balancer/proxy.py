"""Keeps HAProxy as the API says: reloads it for listeners and target groups, never for a target."""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab import ca, security_groups
from lab.balancer import model
from lab.balancer.config import MACHINE_NAMESPACE, Places, Server, backend, render
from lab.balancer.health import DRAINING, UNUSED, judge, passed
from lab.balancer.model import Balancer, TargetGroup
from lab.balancer.runtime import Row, Runtime
from lab.paths import BALANCER_NAMESPACE, CA, MACHINE, ROUTER, STATE, TARGET_HEALTH

API_NAMES = (
    "*.amazonaws.com",
    "*.{region}.amazonaws.com",
    "*.s3.{region}.amazonaws.com",
    "*.s3.amazonaws.com",
)

# HAProxy looks for namespaces in /run/netns, where the machine's own has no name. In a mount namespace of its
# own it finds what it needs there, and nothing of that is to be cleaned up after it.
_ENTER = """\
mkdir -p "$0/netns" && cd "$0/netns" && touch {machine} {router}
mount --bind /proc/self/ns/net {machine}
mount --bind /run/netns/{router} {router}
exec 3</run/netns/{balancer}
mount --rbind "$0/netns" /run/netns
exec nsenter --net=/proc/self/fd/3 haproxy -W -db -f "$0/haproxy.cfg"
"""


class Proxy:
    """HAProxy and its files."""

    def __init__(
        self,
        directory: Path = STATE / "balancer",
        ports: Mapping[int, int] | None = None,
        places: Places | None = None,
        authority: Path = CA,
        health_file: Path = TARGET_HEALTH,
        region: str = "eu-west-1",
    ):
        self.places = places or Places(directory, ports or {443: 443, 80: 80})
        self.balancers: list[Balancer] = []
        self._authority = authority
        self._health_file = health_file
        self._region = region
        self._config = self.places.directory / "haproxy.cfg"
        self._runtime = Runtime(self.places.directory / "admin.sock")
        # By (backend, server): when each target was added, those still to pass their first check, and until
        # when those on their way out may stay.
        self._added: dict[tuple[str, str], float] = {}
        self._unproved: set[tuple[str, str]] = set()
        self._leaving: dict[tuple[str, str], float] = {}
        self._loaded = ""

    def prepare(self) -> None:
        """Write a first configuration: the AWS API, and no load balancer yet."""
        self.places.directory.mkdir(parents=True, exist_ok=True)
        (self.places.directory / "servers.state").write_text("1\n", encoding="utf-8")
        self._write(self._render([], set(), {}))

    def command(self) -> list[str]:
        """HAProxy as a process in the foreground, started in the machine's network; SIGUSR2 reloads it."""
        if not self.places.namespaces:
            return ["haproxy", "-W", "-db", "-f", str(self._config)]
        script = _ENTER.format(machine=MACHINE_NAMESPACE, router=ROUTER, balancer=BALANCER_NAMESPACE)
        words = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script]
        return [*words, str(self.places.directory)]

    def read(self, elbv2: Any, ec2: Any, acm: Any) -> list[Balancer]:
        """Ask the API (boto3 clients) what the load balancer is to be; also kept as `balancers`."""
        self.balancers = model.read(elbv2, ec2, acm)
        return self.balancers

    def sync(
        self,
        instances: Iterable[Mapping[str, Any]],
        groups: Iterable[Mapping[str, Any]],
        reload: Callable[[], None],
    ) -> None:
        """Bring HAProxy to `balancers`, and write down the health of the targets.

        `instances`, `groups`: as DescribeInstances and DescribeSecurityGroups give them. `reload`: lets
        HAProxy read its configuration again; called only when listeners or target groups are others. Raises
        OSError when it does not run.
        """
        there = {each["InstanceId"]: each for each in instances if each["State"]["Name"] == "running"}
        open_ports = self._open_ports(list(groups), list(there.values()))
        shape = self._render(self.balancers, open_ports, {})
        if shape != self._loaded:
            self._reload(open_ports, there, reload)
            self._loaded = shape
        if set(self._groups()) <= self._runtime.backends():
            self._follow_targets(there)
        self._tell()

    def _groups(self) -> dict[str, TargetGroup]:
        """Target groups that a listener forwards to, by backend."""
        used = {each.target_group for balancer in self.balancers for each in balancer.listeners}
        every = [group for balancer in self.balancers for group in balancer.target_groups]
        return {backend(group): group for group in every if group.arn in used}

    def _wanted(self, there: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str], Server]:
        """Servers as they are to be, by (backend, server)."""
        wanted = {}
        for name, group in self._groups().items():
            for target in group.targets:
                instance = there.get(target.id, {})
                address = instance.get("PrivateIpAddress") or (target.id if "." in target.id else None)
                if address is None:
                    continue  # Stopped or gone; the API says so itself.
                zones = next(iter(self.balancers)).zones
                zone = instance.get("Placement", {}).get("AvailabilityZone", "")
                # A balancer that is not in a target's zone reaches it from another one.
                source = zones.get(zone) or zones[min(zones)]
                wanted[name, target.id] = Server(target.id, address, target.port, source)
        return wanted

    def _reload(
        self, open_ports: set[int], there: Mapping[str, Mapping[str, Any]], reload: Callable[[], None]
    ) -> None:
        servers: dict[str, list[Server]] = {}
        present = self._rows()
        for (name, _), server in self._wanted(there).items():
            if (name, server.name) in present:
                servers.setdefault(name, []).append(server)
        # What each server's health is outlives the reload.
        known = self._runtime.ask("show servers state")
        (self.places.directory / "servers.state").write_text(f"{known}\n", encoding="utf-8")
        self._write(self._render(self.balancers, open_ports, servers))
        reload()

    def _follow_targets(self, there: Mapping[str, Mapping[str, Any]]) -> None:
        wanted, rows, groups, now = self._wanted(there), self._rows(), self._groups(), time.monotonic()
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
            elif key in self._leaving:
                del self._leaving[key]
                self._runtime.ready(*key)
            if row and key in self._unproved and passed(row) and row.status.startswith("DOWN"):
                # A new target is in after one good check; one that failed needs as many as the group says
                # (Elastic Load Balancing, "Health checks for your target groups").
                self._runtime.up(*key)
                self._unproved.discard(key)
        for key in rows:
            if key in wanted or key[0] not in groups:
                continue
            if key not in self._leaving:
                self._leaving[key] = now + groups[key[0]].drain
                self._runtime.drain(*key)
            elif (self._open(key) == 0 or now > self._leaving[key]) and self._runtime.remove(*key):
                for memory in (self._leaving, self._added):
                    memory.pop(key, None)
                self._unproved.discard(key)

    def _open(self, key: tuple[str, str]) -> int:
        """How many requests and websockets a target still has."""
        names = {key[1], f"{key[1]}-open"}
        rows = self._runtime.rows()
        return sum(row.sessions for row in rows if row.backend == key[0] and row.name in names)

    def _tell(self) -> None:
        """Write the health of all targets, when it is another than before."""
        rows, now = self._rows(), time.monotonic()
        found: dict[str, dict[str, dict[str, str]]] = {}
        used = self._groups()
        for balancer in self.balancers:
            for group in balancer.target_groups:
                name, health = backend(group), {}
                for target in group.targets if name not in used else ():
                    health[target.id] = UNUSED.words()
                for key, row in rows.items():
                    if key[0] != name:
                        continue
                    if key in self._leaving:
                        health[key[1]] = DRAINING.words()
                    elif key[1] in {target.id for target in group.targets}:
                        initial = group.unhealthy * group.interval if key in self._unproved else 0.0
                        health[key[1]] = judge(row, now - self._added.get(key, 0.0), initial).words()
                found[group.arn] = health
        text = json.dumps(found, indent=1, sort_keys=True)
        if not self._health_file.exists() or self._health_file.read_text(encoding="utf-8") != text:
            beside = self._health_file.with_suffix(".new")
            beside.write_text(text, encoding="utf-8")
            beside.replace(self._health_file)

    def _rows(self) -> dict[tuple[str, str], Row]:
        rows = self._runtime.rows()
        return {(row.backend, row.name): row for row in rows if not row.name.endswith("-open")}

    def _open_ports(self, groups: list[Mapping[str, Any]], instances: list[Mapping[str, Any]]) -> set[int]:
        """Listeners' ports that the balancer's groups open to the machine, which stands for the world."""
        found = set()
        for balancer in self.balancers:
            for listener in balancer.listeners:
                sources = security_groups.sources(
                    balancer.groups, groups, instances, self.balancers, listener.port
                )
                if security_groups.contains(sources, MACHINE):
                    found.add(listener.port)
        return found

    def _render(
        self, balancers: list[Balancer], open_ports: set[int], servers: Mapping[str, list[Server]]
    ) -> str:
        certificates = {
            names: ca.certificate(self._authority, f"site-{names[0].replace('*', '_')}", names)
            for balancer in balancers
            for listener in balancer.listeners
            for names in listener.domains
        }
        api = [name.format(region=self._region) for name in API_NAMES]
        api_certificate = ca.certificate(self._authority, f"aws-{self._region}", api)
        # Targets come and go without a word in the configuration's shape.
        plain = [
            replace(balancer, target_groups=tuple(replace(g, targets=()) for g in balancer.target_groups))
            for balancer in balancers
        ]
        return render(plain, certificates, api_certificate, sorted(open_ports), servers, self.places)

    def _write(self, text: str) -> None:
        beside = self._config.with_suffix(".new")
        beside.write_text(text, encoding="utf-8")
        beside.replace(self._config)
