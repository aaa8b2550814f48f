"""An environment's state as one page for a browser: HTML and nothing else, to be mailed, kept or printed."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from corral.settings import Settings
from corral.status import rows
from corral.status.judge import Host, Verdict
from corral.status.plot import Plot, longest, plot
from corral.status.sentences import Finding
from corral.status.words import ago, short

TEMPLATES = Path(__file__).parent
# Sentences that are shown at once; more are behind a fold.
SHOWN = 50
# A map of more hosts than this has smaller marks.
MANY = 150


@dataclass(frozen=True)
class Row:
    """A host as the page shows it. `level`: "problem", "note" or "well"."""

    host: Host
    level: str
    age: str
    heard: str
    converge: str
    balancer: str
    plot: Plot | None

    @property
    def report(self) -> Any:
        """Its report, if it has one."""
        return self.host.received.report if self.host.received else None


@dataclass(frozen=True)
class Card:
    """What there is to say about a host, or about the environment. `level`: "problem" or "note"."""

    level: str
    findings: tuple[Finding, ...]
    host: Host | None = None


def page(settings: Settings, verdict: Verdict) -> str:
    """The page. What hosts reported is escaped in it like everything else."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    reports = [host.received.report for host in verdict.hosts if host.received and host.received.report]
    most = longest(reports)
    hosts = [_row(verdict, host, most) for host in verdict.hosts]
    cards = _cards(verdict)
    return found.get_template("page.html.j2").render(
        settings=settings,
        seen=verdict.seen,
        healthy=verdict.healthy,
        count=verdict.problems,
        problems=[card for card in cards if card.level == "problem"],
        notes=[card for card in cards if card.level == "note"],
        shown=SHOWN,
        many=MANY,
        roles=rows.roles(verdict),
        zones=sorted({*settings.zones, *(host.member.zone for host in verdict.hosts)}),
        fleet=_fleet(hosts),
        hosts=hosts,
        serving=sum(host.member.in_service for host in verdict.hosts),
        desired=sum(group.desired for group in verdict.seen.groups),
        longest=most,
        short=short,
        ago=ago,
    )


def _row(verdict: Verdict, host: Host, most: float) -> Row:
    now, received = verdict.seen.now, host.received
    report = received.report if received else None
    return Row(
        host=host,
        level=_level(host.findings),
        age=ago(host.member.launched, now) if host.member.launched else "",
        heard=ago(received.at, now) if received else "",
        converge=ago(report.started, now) if report else "",
        balancer=rows.balancer(verdict, host),
        plot=plot(report, most) if report else None,
    )


def _cards(verdict: Verdict) -> list[Card]:
    cards = [Card(_level([finding]), (finding,)) for finding in verdict.findings]
    return cards + [
        Card(_level(host.findings), host.findings, host) for host in verdict.hosts if host.findings
    ]


def _level(findings: Iterable[Finding]) -> str:
    found = {finding.is_problem for finding in findings}
    return "problem" if True in found else "note" if found else "well"


def _fleet(hosts: Iterable[Row]) -> dict[tuple[str, str], list[Row]]:
    """Hosts by role and zone, by address in each."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in hosts:
        found.setdefault((row.host.member.role, row.host.member.zone), []).append(row)
    return {place: sorted(rows, key=lambda row: row.host.member.order) for place, rows in found.items()}
