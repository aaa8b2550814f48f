"""An environment's state in rows and plain data: what the table, JSON and the page all tell. Pure."""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from corral.settings import Settings
from corral.status.judge import Host, Verdict
from corral.status.words import ago, short


@dataclass(frozen=True)
class Role:
    """The hosts of one role, counted. `releases`, `bundles`: hosts by what they run, most first."""

    role: str
    desired: int
    in_service: int
    healthy: int
    members: int
    releases: tuple[tuple[str, int], ...]
    bundles: tuple[tuple[str, int], ...]


def roles(verdict: Verdict) -> list[Role]:
    """A row for each group."""
    return [
        _role(group.role, group.desired, [host for host in verdict.hosts if host.member.group == group.name])
        for group in verdict.seen.groups
    ]


def balancer(verdict: Verdict, host: Host) -> str:
    """A host's state with the load balancer, in a word: the worst that any of its target groups has."""
    states = [target.state for target in verdict.seen.targets.get(host.member.instance_id, ())]
    return next((state for state in states if state != "healthy"), states[0] if states else "")


def converge(verdict: Verdict, host: Host) -> str:
    """A host's last converge in a few words: "healthy 12 min ago"."""
    report = host.received.report if host.received else None
    return f"{report.result} {ago(report.started, verdict.seen.now)} ago" if report else "none"


def plain(settings: Settings, verdict: Verdict) -> dict[str, Any]:
    """Everything, as `corral status --json` prints it."""
    seen = verdict.seen
    return {
        "environment": settings.environment,
        "at": seen.now.isoformat(timespec="seconds"),
        "healthy": verdict.healthy,
        "release": seen.release.version or None,
        "bundle": seen.bundle.version or None,
        "problems": [one.text for one in verdict.findings if one.is_problem],
        "notes": [one.text for one in verdict.findings if not one.is_problem],
        "roles": [asdict(role) for role in roles(verdict)],
        "hosts": [_plain_host(verdict, host) for host in verdict.hosts],
    }


def _role(role: str, desired: int, hosts: list[Host]) -> Role:
    reports = [host.received.report for host in hosts if host.received and host.received.report]
    return Role(
        role=role,
        desired=desired,
        in_service=sum(host.member.in_service for host in hosts),
        healthy=sum(host.healthy for host in hosts if host.member.in_service),
        members=len(hosts),
        releases=tuple(Counter(one.release for one in reports if one.release).most_common()),
        bundles=tuple(Counter(short(one.bundle) for one in reports).most_common()),
    )


def _plain_host(verdict: Verdict, host: Host) -> dict[str, Any]:
    member, received = host.member, host.received
    report = received.report if received else None
    line = verdict.seen.logs.newest.get(member.instance_id) if verdict.seen.logs else None
    return {
        "instance": member.instance_id,
        "role": member.role,
        "group": member.group,
        "zone": member.zone,
        "address": member.address or None,
        "state": member.state,
        "launched": member.launched.isoformat(timespec="seconds") if member.launched else None,
        "healthy": host.healthy,
        "problems": [one.text for one in host.findings if one.is_problem],
        "notes": [one.text for one in host.findings if not one.is_problem],
        "balancer": {one.group: one.state for one in verdict.seen.targets.get(member.instance_id, ())},
        "heard": received.at.isoformat(timespec="seconds") if received else None,
        "logs": line.isoformat(timespec="seconds") if line else None,
        "converge": report.started.isoformat(timespec="seconds") if report else None,
        "result": report.result if report else None,
        "release": report.release if report else None,
        "bundle": report.bundle if report else None,
        "drift": list(report.drift) if report else None,
        "load": list(report.load) if report else None,
    }
