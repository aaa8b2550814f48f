"""What is seen of an environment, judged: findings as sentences, by host, by group, by environment. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from corral.members import Group, Member
from corral.reports import Received
from corral.settings import Settings
from corral.status.hosts import NEW, SILENT, findings, reason
from corral.status.look import Seen
from corral.status.sentences import Finding, note, problem
from corral.status.words import ago


@dataclass(frozen=True)
class Host:
    """A member, what it last sent, and what there is to say about it."""

    member: Member
    received: Received | None
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong with it."""
        return not any(finding.is_problem for finding in self.findings)


@dataclass(frozen=True)
class Verdict:
    """All of it. `findings` are those that are no host's own; `hosts` come with problems first."""

    seen: Seen
    findings: tuple[Finding, ...]
    hosts: tuple[Host, ...]

    @property
    def problems(self) -> int:
        """How many there are."""
        everything = [*self.findings, *(finding for host in self.hosts for finding in host.findings)]
        return sum(finding.is_problem for finding in everything)

    @property
    def healthy(self) -> bool:
        """Whether there is no problem at all."""
        return self.problems == 0


def judge(settings: Settings, seen: Seen) -> Verdict:
    """Judge what was seen."""
    arns = {group.name: group.targets for group in seen.groups}
    hosts = []
    for member in seen.members:
        received = seen.reports.get(member.instance_id)
        said = findings(settings, seen, member, received, arns[member.group])
        hosts.append(Host(member, received, tuple(said)))
    own = (
        *_of_pointers(settings, seen),
        *_of_rollout(seen),
        *_of_groups(seen),
        *_of_logs(seen),
        *_of_the_gone(seen),
    )
    return Verdict(seen, tuple(own), tuple(sorted(hosts, key=_worst_first)))


def _worst_first(host: Host) -> tuple[bool, bool]:
    return host.healthy, not host.findings


def _of_pointers(settings: Settings, seen: Seen) -> Iterator[Finding]:
    for what, pointer in (("release", seen.release), ("bundle", seen.bundle)):
        if pointer.fault:
            remedy = f"Choose one: corral {what} point -e {settings.reference}"
            yield problem(f"The environment names no {what}: {pointer.fault}. {remedy}")


def _of_rollout(seen: Seen) -> Iterator[Finding]:
    if seen.rollout:
        said = f"{seen.rollout.said(seen.now)}."
        yield problem(said) if seen.rollout.stale(seen.now) else note(said)


def _of_groups(seen: Seen) -> Iterator[Finding]:
    for group in seen.groups:
        yield from _of_group(group, [member for member in seen.members if member.group == group.name])


def _of_group(group: Group, members: list[Member]) -> Iterator[Finding]:
    serving = sum(member.in_service for member in members)
    if serving < group.desired:
        others: dict[str, int] = {}
        for member in members:
            if not member.in_service:
                state = member.state if member.healthy else "Unhealthy"
                others[state] = others.get(state, 0) + 1
        rest = ", ".join(f"{count} {state}" for state, count in sorted(others.items()))
        yield problem(
            f"{serving} of {group.desired} {group.role} servers are in service{rest and f'; {rest}'}."
        )
    if group.suspended:
        yield problem(
            f"The group {group.name} does nothing of {', '.join(group.suspended)}: somebody suspended that."
        )


def _of_logs(seen: Seen) -> Iterator[Finding]:
    """Whether the log server says whose logs it gets, as it does once a minute."""
    if seen.logs and seen.now - seen.logs.at > SILENT:
        yield problem(f"The log server last said {ago(seen.logs.at, seen.now)} ago whose logs it gets.")
    servers = [member for member in seen.members if member.role == "elk" and member.in_service]
    if not seen.logs and any(each.launched and seen.now - each.launched > NEW for each in servers):
        yield problem("The log server has not said yet whose logs it gets.")


def _of_the_gone(seen: Seen) -> Iterator[Finding]:
    """Hosts that were replaced before they were ready left their reason behind."""
    for instance_id, received in seen.gone.items():
        report = received.report
        if report and report.result != "healthy" and report.why == "boot":
            when = f"{ago(received.at, seen.now)} ago"
            yield note(
                f"{instance_id} ({report.role}) is gone; it could not get ready {when}: {reason(report)}"
            )
