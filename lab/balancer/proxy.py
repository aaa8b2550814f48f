"""Keeps HAProxy as the API says: reloads it for listeners and target groups, never for a target."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from corral.errors import CorralError
from lab import ca, security_groups
from lab.balancer import doors, model
from lab.balancer.config import Server, render
from lab.balancer.model import Balancer
from lab.balancer.places import MACHINE_NAMESPACE, Places, assign
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
        self._addresses = self.places.directory / "addresses.json"
        self._open_doors: set[doors.Door] = set()
        self._names: dict[str, str] = {}
        self._loaded = ""

    def prepare(self) -> None:
        """Write a first configuration, the AWS API and no load balancer yet; leave one that there is.

        Who starts it again does not know what the balancers are; who does writes only what is new.
        """
        if self._config.exists():
            return
        self.places.directory.mkdir(parents=True, exist_ok=True)
        (self.places.directory / "servers.state").write_text("1\n", encoding="utf-8")
        _put(self._config, self._render([], {}))

    def command(self) -> list[str]:
        """HAProxy as a process in the foreground, started in the machine's network; SIGUSR2 reloads it."""
        if not self.places.namespaces:
            return ["haproxy", "-W", "-db", "-f", str(self._config)]
        script = _ENTER.format(machine=MACHINE_NAMESPACE, router=ROUTER, balancer=BALANCER_NAMESPACE)
        words = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script]
        return [*words, str(self.places.directory)]

    def read(self, vpcs: Collection[str], elbv2: Any, ec2: Any, acm: Any) -> dict[str, str]:
        """Ask the API (boto3 clients) what the load balancers are to be; kept as `balancers`.

        `vpcs`: ids of those that have a network here. Gives the names of balancers that ask for what the lab
        can't do, each with the reason: they stay as they were.
        """
        listed = elbv2.describe_load_balancers()["LoadBalancers"]
        known = json.loads(self._addresses.read_text()) if self._addresses.exists() else {}
        addresses = assign(known, [said["LoadBalancerArn"] for said in listed])
        if addresses != known:
            _put(self._addresses, json.dumps(addresses))
        before = {balancer.arn: balancer for balancer in self.balancers}
        found, faults = [], {}
        for said in (said for said in listed if said["VpcId"] in vpcs):
            arn = said["LoadBalancerArn"]
            try:
                found.append(model.read(said, addresses[arn], elbv2, ec2, acm))
            except elbv2.exceptions.LoadBalancerNotFoundException:
                continue  # deleted since it was listed
            except CorralError as error:
                faults[said["LoadBalancerName"]] = str(error)
                found += [before[arn]] if arn in before else []
        self.balancers = found
        return faults

    def sync(
        self,
        instances: Iterable[Mapping[str, Any]],
        groups: Iterable[Mapping[str, Any]],
        names: Mapping[str, str],
        reload: Callable[[], None],
    ) -> None:
        """Bring HAProxy to `balancers`, and write down the health of the targets.

        `instances`, `groups`: as DescribeInstances and DescribeSecurityGroups give them. `names`: with their
        address, as the world has them. `reload`: lets HAProxy read its configuration again; called only when
        listeners, target groups or names are others. Raises OSError when it does not run.
        """
        there = {each["InstanceId"]: each for each in instances if each["State"]["Name"] == "running"}
        self._open_doors = self._find_open_doors(list(groups), list(there.values()))
        self._names = {
            name: address
            for name, address in names.items()
            if address in {balancer.address for balancer in self.balancers}
        }
        shape = self._render(self.balancers, {})
        wanted, groups_used = wanted_servers(self.balancers, there), used_groups(self.balancers)
        if shape != self._loaded:
            self._reload(wanted, reload)
            self._loaded = shape
        # Until the reload is done the old process answers, which does not know them.
        if set(groups_used) <= self._runtime.backends():
            self._targets.follow(wanted, groups_used)
        health = json.dumps(self._targets.health(self.balancers), indent=1, sort_keys=True)
        if not self._health_file.exists() or self._health_file.read_text(encoding="utf-8") != health:
            _put(self._health_file, health)

    def sites(self) -> dict[str, list[str]]:
        """Names by which the machine reaches each balancer's site over TLS, by environment."""
        found: dict[str, list[str]] = {}
        for name, balancer in doors.leading(self.balancers, self._names):
            spoken = not name.startswith("*") and not name.endswith(".amazonaws.com")
            if spoken and (balancer.name, 443) in self._open_doors:
                found.setdefault(balancer.environment or balancer.name, []).append(name)
        return found

    def _reload(self, wanted: Mapping[tuple[str, str], Server], reload: Callable[[], None]) -> None:
        servers: dict[str, list[Server]] = {}
        present = self._targets.rows()
        for key, server in wanted.items():
            if key in present:
                servers.setdefault(key[0], []).append(server)
        # What each server's health is outlives the reload.
        known = self._runtime.ask("show servers state")
        _put(self.places.directory / "servers.state", f"{known}\n")
        _put(self._config, self._render(self.balancers, servers))
        reload()

    def _find_open_doors(
        self, groups: list[Mapping[str, Any]], instances: list[Mapping[str, Any]]
    ) -> set[doors.Door]:
        """Listeners that their balancers' groups open to the machine, which stands for the world."""
        found = set()
        for balancer in self.balancers:
            for listener in balancer.listeners:
                sources = security_groups.sources(
                    balancer.groups, groups, instances, self.balancers, listener.port
                )
                if security_groups.contains(sources, MACHINE):
                    found.add((balancer.name, listener.port))
        return found

    def _render(self, balancers: list[Balancer], servers: Mapping[str, list[Server]]) -> str:
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
        return render(
            plain, certificates, api_certificate, self._open_doors, self._names, servers, self.places
        )


def _put(path: Path, text: str) -> None:
    """Write beside and move into place, for whoever reads at the same moment."""
    beside = path.with_suffix(".new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
