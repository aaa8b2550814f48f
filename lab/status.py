"""What the lab looks like now: its hosts, their volumes, its services, its sites, as tables."""

import ipaddress
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rich.console import Console, Group
from rich.table import Table

from corral.settings import Settings
from lab import fleet, observe, vpcs
from lab.commands import in_namespace, run
from lab.configuration import Configuration
from lab.elastic import source
from lab.network import balancer_addresses
from lab.paths import BALANCER_NAMESPACE, RECONCILER_STATUS, TARGET_HEALTH, VOLUMES
from lab.services import all_services

# A host that has not reached this far after so many seconds is shown with its console's last words.
PATIENCE_SECONDS = 60


def show(settings: Settings, configuration: Configuration, console: Console) -> bool:
    """Print all there is to see; whether every service lives."""
    members = fleet.members(settings)
    services = all_services(settings, configuration).values()
    faults = [f"{part}: {message}" for part, message in reconciler_errors().items()]
    volumes = fleet.volumes(settings)
    tables = [_hosts(members), *([_volumes(volumes, members)] if volumes else []), _services(services)]
    console.print(Group(*tables))
    for member in members:
        for line in _words_of_the_stuck(member):
            console.print(line, markup=False)
    # A sentence stays in one line where that is not a screen's, to be searched for.
    whole = not console.is_terminal
    for fault in faults:
        text = f"the reconciler has trouble with {fault}"
        console.print(text, style="red", markup=False, soft_wrap=whole)
    console.print(source.saved().said, markup=False, soft_wrap=whole)
    for line in _sites(settings, configuration):
        console.print(line, markup=False, soft_wrap=whole)
    return all(service.alive for service in services)


def reconciler_errors() -> dict[str, str]:
    """What the reconciler can't do at present, by the part of its work."""
    return dict(_reconciler().get("errors", {}))


def _reconciler() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RECONCILER_STATUS.read_text()) if RECONCILER_STATUS.exists() else {}
    return found


def _sites(settings: Settings, configuration: Configuration) -> Iterator[str]:
    """Where each environment's site opens: the names that lead to its load balancer."""
    sites: dict[str, list[str]] = _reconciler().get("sites", {})
    for environment, names in sorted(sites.items(), key=lambda item: (item[0] != settings.environment, item)):
        whose = "" if environment == settings.environment else f" of {environment}"
        yield f"The site{whose}: {', '.join(configuration.url(name) for name in names)}"
    if not sites:
        yield "No site: no load balancer lets this machine in."


def target_health() -> dict[str, list[dict[str, Any]]]:
    """The balancer's view of each instance, in all of its target groups."""
    groups = json.loads(TARGET_HEALTH.read_text()) if TARGET_HEALTH.exists() else {}
    found: dict[str, list[dict[str, Any]]] = {}
    for targets in groups.values():
        for instance_id, health in targets.items():
            found.setdefault(instance_id, []).append(health)
    return found


def release(address: str, network: str) -> str:
    """The release that an app server says it runs, asked from where its balancer stands; "" without one.

    `network`: of its VPC.
    """
    inside = ipaddress.ip_network(network)
    own = [each for each in balancer_addresses() if ipaddress.ip_address(each) in inside]
    if not own:
        return ""
    # By address nginx lets nothing else through, and the application's answers all bear their release.
    asked = ["curl", "-s", "--max-time", "2", "--interface", min(own), "-o", "/dev/null"]
    asked += ["-w", "%header{x-release}", f"http://{address}/healthz"]
    return run(*in_namespace(BALANCER_NAMESPACE, *asked), check=False).strip()


def _hosts(members: list[fleet.Member]) -> Table:
    table = Table(title="hosts", title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in (
        "host",
        "instance",
        "address",
        "role",
        "zone",
        "state",
        "up",
        "release",
        "health",
        "memory",
    ):
        table.add_column(column, overflow="fold", justify="right" if column in ("up", "memory") else "left")
    health = target_health()
    with ThreadPoolExecutor(8) as pool:
        for row in pool.map(lambda member: _row(member, health), members):
            table.add_row(*row)
    if not members:
        table.add_row("none", "", "", "", "", "", "", "", "", "")
    return table


def _row(member: fleet.Member, health: dict[str, list[dict[str, Any]]]) -> tuple[str, ...]:
    host = member.host
    states = sorted({one["state"] for one in health.get(member.instance_id, [])})
    networks = {vpc.id: vpc.cidr for vpc in vpcs.saved()}
    network = networks.get(member.instance.get("VpcId", ""), "")
    seconds = time.time() - host.created if host else 0
    return (
        member.name,
        member.instance_id,
        member.address,
        member.role,
        member.instance["Placement"]["AvailabilityZone"],
        observe.progress(host) if host and member.state == "running" else member.state,
        f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s",
        release(member.address, network) if states and network else "",
        ", ".join(states),
        f"{observe.memory(host) / 2**20:.0f} MiB" if host else "",
    )


def _volumes(volumes: list[dict[str, Any]], members: list[fleet.Member]) -> Table:
    table = Table(title="\nvolumes", title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in ("volume", "name", "zone", "size", "used", "host", "state"):
        table.add_column(column, no_wrap=True, justify="right" if column in ("size", "used") else "left")
    names = {member.instance_id: member.name for member in members}
    for volume in volumes:
        tags = {tag["Key"]: tag["Value"] for tag in volume.get("Tags", [])}
        file = VOLUMES / volume["VolumeId"]
        attachment = next(iter(volume["Attachments"]), {"State": volume["State"], "InstanceId": ""})
        table.add_row(
            volume["VolumeId"],
            tags.get("Name", ""),
            volume["AvailabilityZone"],
            f"{volume['Size']} GiB",
            f"{file.stat().st_blocks * 512 / 2**20:.0f} MiB" if file.exists() else "",
            names.get(attachment["InstanceId"], attachment["InstanceId"]),
            attachment["State"],
        )
    return table


def _services(services: Any) -> Table:
    table = Table(title="\nservices", title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in ("service", "what it is", "state", "pid"):
        table.add_column(column, no_wrap=True)
    for service in services:
        pid = str(service.process.pid) if service.alive else ""
        state = "running" if service.alive else "[red]dead[/red]"
        table.add_row(service.name, service.purpose, state, pid)
    return table


def _words_of_the_stuck(member: fleet.Member) -> list[str]:
    host = member.host
    if host is None or member.state != "running" or time.time() - host.created < PATIENCE_SECONDS:
        return []
    if observe.progress(host) in ("ssh", "ready"):
        return []
    head = f"\n{member.name} ({member.instance_id}) does not boot. The last lines of {host.console}:"
    return [head, *(f"    {line}" for line in observe.console_tail(host))]
