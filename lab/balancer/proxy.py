"""Keeps HAProxy as the API says: reloads it for listeners and target groups, never for a target."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab import ca, security_groups
from lab.balancer import model
from lab.balancer.config import Server, render
from lab.balancer.model import Balancer
from lab.balancer.places import MACHINE_NAMESPACE, Places
from lab.balancer.runtime import Runtime
from lab.balancer.targets import Targets, used_groups, wanted_servers
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
        self._targets = Targets(self._runtime)
        self._loaded = ""

    def prepare(self) -> None:
        """Write a first configuration: the AWS API, and no load balancer yet."""
        self.places.directory.mkdir(parents=True, exist_ok=True)
        (self.places.directory / "servers.state").write_text("1\n", encoding="utf-8")
        _put(self._config, self._render([], set(), {}))

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
        wanted, groups_used = wanted_servers(self.balancers, there), used_groups(self.balancers)
        if shape != self._loaded:
            self._reload(open_ports, wanted, reload)
            self._loaded = shape
        # Until the reload is done the old process answers, which does not know them.
        if set(groups_used) <= self._runtime.backends():
            self._targets.follow(wanted, groups_used)
        health = json.dumps(self._targets.health(self.balancers), indent=1, sort_keys=True)
        if not self._health_file.exists() or self._health_file.read_text(encoding="utf-8") != health:
            _put(self._health_file, health)

    def _reload(
        self, open_ports: set[int], wanted: Mapping[tuple[str, str], Server], reload: Callable[[], None]
    ) -> None:
        servers: dict[str, list[Server]] = {}
        present = self._targets.rows()
        for key, server in wanted.items():
            if key in present:
                servers.setdefault(key[0], []).append(server)
        # What each server's health is outlives the reload.
        known = self._runtime.ask("show servers state")
        _put(self.places.directory / "servers.state", f"{known}\n")
        _put(self._config, self._render(self.balancers, open_ports, servers))
        reload()

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


def _put(path: Path, text: str) -> None:
    """Write beside and move into place, for whoever reads at the same moment."""
    beside = path.with_suffix(".new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
