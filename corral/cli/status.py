"""`corral status`: whether an environment is healthy; what needs somebody first, then roles and hosts."""

import json
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from corral.cli.common import console, errors, with_settings
from corral.errors import CorralError
from corral.settings import Settings
from corral.status import rows
from corral.status.judge import Host, Verdict, judge
from corral.status.look import look
from corral.status.sentences import Finding
from corral.status.words import ago, short

# A fleet of so many hosts is shown whole; of a larger one, the hosts that there is something to say about.
SMALL = 40
# And no more sentences than somebody reads.
SENTENCES = 40
# Columns when nobody's terminal says how many there are.
WIDE = 200


@click.command()
@click.option("--all", "everyone", is_flag=True, help=f"Every host, also of a fleet of more than {SMALL}.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write a page for a browser to FILE.")  # fmt: skip
@with_settings
def status(settings: Settings, everyone: bool, as_json: bool, html: Path | None) -> None:
    """Is the environment healthy? The exit code is 0 if it is, 1 if not.

    What needs somebody comes first. See docs/status.md.
    """
    with errors.status(f"Asking AWS and {settings.releases_bucket} about {settings.environment}"):
        verdict = judge(settings, look(settings))
    if html:
        _write(html, settings, verdict)
    if as_json:
        click.echo(json.dumps(rows.plain(settings, verdict), indent=1))
    elif not html:
        _show(settings, verdict, everyone)
    sys.exit(0 if verdict.healthy else 1)


def _show(settings: Settings, verdict: Verdict, everyone: bool) -> None:
    out = console if console.is_terminal else Console(width=WIDE, highlight=False)
    _show_findings(out, verdict, everyone)
    out.print(_roles(settings, verdict))
    shown = [host for host in verdict.hosts if everyone or len(verdict.hosts) <= SMALL or host.findings]
    if shown:
        out.print()
        out.print(_hosts(verdict, shown if everyone else shown[: SMALL * 2]))
    out.print()
    out.print(_summary(settings, verdict))


def _show_findings(out: Console, verdict: Verdict, everyone: bool) -> None:
    said = [(finding, "") for finding in verdict.findings]
    said += [(finding, _name(host)) for host in verdict.hosts for finding in host.findings]
    said.sort(key=lambda one: not one[0].is_problem)
    for finding, whose in said if everyone else said[:SENTENCES]:
        out.print(f"{_mark(finding)} {whose}{escape(finding.text)}", soft_wrap=True)
    if not everyone and len(said) > SENTENCES:
        out.print(f"  … and {len(said) - SENTENCES} more: --all")
    if said:
        out.print()


def _roles(settings: Settings, verdict: Verdict) -> Table:
    table = Table("role", "in service", "healthy", "release", "bundle", box=None, header_style="bold")
    for role in rows.roles(verdict):
        enough = role.in_service >= role.desired
        table.add_row(
            role.role,
            f"{'' if enough else '[red]'}{role.in_service} of {role.desired}",
            f"{'' if role.healthy == role.in_service else '[red]'}{role.healthy}",
            _versions(role.releases),
            _versions(role.bundles),
        )
    return table


def _hosts(verdict: Verdict, hosts: list[Host]) -> Table:
    now = verdict.seen.now
    table = Table(box=None, header_style="bold")
    for name in ("", "role", "host", "instance", "zone", "age", "state", "release", "bundle"):
        table.add_column(name, no_wrap=name not in ("release",))
    for name in ("converge", "drift", "balancer", "load"):
        table.add_column(name, no_wrap=True)
    for host in hosts:
        member, report = host.member, host.received.report if host.received else None
        worst = min(host.findings, key=lambda one: not one.is_problem, default=None)
        cells = (
            member.role,
            member.address or "-",
            member.instance_id,
            member.zone,
            ago(member.launched, now) if member.launched else "-",
            member.state if member.healthy else "Unhealthy",
            (report.release if report else None) or "-",
            short(report.bundle) if report else "-",
            rows.converge(verdict, host),
            str(len(report.drift)) if report and report.drift else "-",
            rows.balancer(verdict, host) or "-",
            f"{report.load[0]:.2f}" if report else "-",
        )
        table.add_row(_mark(worst) if worst else "[green]✓[/]", *(escape(cell) for cell in cells))
    return table


def _summary(settings: Settings, verdict: Verdict) -> str:
    serving = [host for host in verdict.hosts if host.member.in_service]
    well = sum(host.healthy for host in serving)
    count = verdict.problems
    name = f"Environment {settings.environment}"
    if not count:
        return f"[green]{name} is healthy[/]: {len(serving)} hosts in service, all well."
    things = "1 problem" if count == 1 else f"{count} problems"
    return f"[red]{name} has {things}[/]: {well} of {len(serving)} hosts in service are well."


def _versions(counted: tuple[tuple[str, int], ...]) -> str:
    """ "20261124-1a2b3c4", or with numbers of hosts when there are several."""
    if len(counted) < 2:
        return escape(counted[0][0]) if counted else "-"
    shown = ", ".join(f"{version} ({count})" for version, count in counted[:3])
    return f"[yellow]{escape(shown)}{', …' if counted[3:] else ''}"


def _mark(finding: Finding) -> str:
    return "[red]✗[/]" if finding.is_problem else "[yellow]•[/]"


def _name(host: Host) -> str:
    return f"[bold]{host.member.role} {host.member.address or '-'}[/] ({host.member.instance_id}): "


def _write(file: Path, settings: Settings, verdict: Verdict) -> None:
    from corral.status.page import page

    try:
        file.write_text(page(settings, verdict), encoding="utf-8")
    except OSError as error:
        remedy = "Give a file in a directory that you may write to."
        raise CorralError(f"{file} can't be written: {error.strerror}.", remedy, "docs/status.md") from error
    console.print(f"Wrote {file}. Open it in a browser.", markup=False)
