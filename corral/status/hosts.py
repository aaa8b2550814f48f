"""What there is to say about one host: its group, its report, its versions, the load balancer. Pure."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from corral.members import Member, Target, target_group
from corral.releases.choice import wanted
from corral.reports import Received, Report
from corral.settings import Settings
from corral.status.look import Seen, Wanted
from corral.status.sentences import Finding, note, problem
from corral.status.words import ago, clip, short

# A host with nothing to do sends its report again this often, as a sign of life (files/node/tick).
SIGN_OF_LIFE = timedelta(hours=1)
# What a converge may take beside the time until a host looks.
CONVERGE = timedelta(minutes=10)
# Every host writes a line a minute (files/logging/pulse).
SILENT = timedelta(minutes=5)
# A host, or a log server, that is younger need not have sent or said anything.
NEW = timedelta(minutes=15)
# The log server tells of so much of what it has (files/log_watch/log-watch).
TOLD = timedelta(days=1)
# Of systemd's states of a unit, those of one that does its work, or is about to (systemd(1), "Units").
WORKING = {"active", "activating", "reloading", "refreshing"}
# Of a report's checks and units, so many are said one by one.
SHOWN = 3


def findings(
    settings: Settings, seen: Seen, member: Member, received: Received | None, targets: Sequence[str]
) -> Iterator[Finding]:
    """The findings about `member`. `targets`: ARNs of the target groups that it belongs into."""
    if member.state.startswith("Pending"):
        yield _starting(settings, seen, member)
        if received and received.report and received.report.result != "healthy":
            yield from _of_converge(seen, received.report)
        return
    if member.state != "InService":
        yield note(f"Takes no part: its group has it as {member.state}.")
        return
    if not member.healthy:
        yield problem("Its group finds it unhealthy, and replaces it.")
    yield from _of_report(settings, seen, member, received)
    yield from _of_logs(seen, member)
    yield from _of_balancer(seen, member, targets)


def _starting(settings: Settings, seen: Seen, member: Member) -> Finding:
    patience = timedelta(seconds=settings.lifecycle.launch_seconds)
    if member.launched is None:
        return note("Is being launched.")
    age = ago(member.launched, seen.now)
    if seen.now - member.launched > patience:
        return problem(
            f"Has been starting for {age}, though it has {patience.seconds // 60} min to get ready."
        )
    return note(f"Is starting, for {age} now.")


def _of_report(
    settings: Settings, seen: Seen, member: Member, received: Received | None
) -> Iterator[Finding]:
    if received is None:
        since = f", {ago(member.launched, seen.now)} after its launch" if member.launched else ""
        yield problem(f"Has not reported yet{since}.")
        return
    look = timedelta(minutes=settings.converge.minutes, seconds=settings.converge.jitter_seconds)
    if seen.now - received.at > SIGN_OF_LIFE + 2 * look:
        yield problem(f"Was last heard of {ago(received.at, seen.now)} ago, though it reports every hour.")
    if received.report is None:
        yield problem(f"Can't be judged: {received.fault}")
        return
    if received.report.role != member.role:
        yield problem(f"Takes itself for a {received.report.role} server, in the group of {member.role}.")
    yield from _of_converge(seen, received.report)
    patience = 2 * look + CONVERGE
    if member.role == "app":
        version = wanted(seen.release, member.instance_id)
        has = received.report.release or "none"
        if seen.rollout and has == seen.rollout.version != version:
            yield note(f"Runs release {has}, to which a rollout by {seen.rollout.owner} brings all.")
        else:
            yield from _of_version("release", (has, version), seen.release, seen, patience)
    digests = short(received.report.bundle), short(seen.bundle.version)
    yield from _of_version("bundle", digests, seen.bundle, seen, patience)


def _of_logs(seen: Seen, member: Member) -> Iterator[Finding]:
    """What the log server says now; that it says nothing is no host's fault (judge.py)."""
    if seen.logs is None or seen.now - seen.logs.at > SILENT:
        return
    newest = seen.logs.newest.get(member.instance_id)
    if newest and seen.now - newest > SILENT:
        yield problem(f"No logs for {ago(newest, seen.now)}.")
    elif newest is None and member.launched and seen.now - member.launched > NEW:
        if seen.now - member.launched > TOLD:
            yield problem("No logs for a day, or for longer.")
        else:
            yield problem(f"Its logs have not come yet, {ago(member.launched, seen.now)} after its launch.")


def _of_converge(seen: Seen, report: Report) -> Iterator[Finding]:
    when = f"{ago(report.started, seen.now)} ago"
    if report.result == "failed":
        yield problem(f"Its converge failed {when} at {reason(report)}")
    elif report.result == "ill":
        yield problem(f"Does not do its work since its converge {when}: {reason(report)}")
    idle = sorted(unit for unit, state in report.units.items() if state not in WORKING)
    if idle:
        shown = ", ".join(f"{unit} ({report.units[unit]})" for unit in idle[:SHOWN])
        yield problem(clip(f"Units that do not run: {shown}{', …' if idle[SHOWN:] else ''}."))
    if report.drift:
        shown = ", ".join(report.drift[:SHOWN]) + (", …" if report.drift[SHOWN:] else "")
        yield note(clip(f"Had drifted; its converge {when} repaired: {shown}."))


def reason(report: Report) -> str:
    """Why its result is not "healthy": the operation that failed with its last words, or the checks."""
    if report.failed:
        last = next((line.strip() for line in reversed(report.failed.output) if line.strip()), "")
        return clip(f"“{report.failed.operation}”: {last or 'it said nothing.'}")
    shown = "; ".join(f"{each.check}: {each.said}" for each in report.ill[:SHOWN])
    return clip(shown + ("; …" if report.ill[SHOWN:] else "")) or "it does not say."


def _of_version(
    what: str, versions: tuple[str, str], pointer: Wanted, seen: Seen, patience: timedelta
) -> Iterator[Finding]:
    """A host has some time to follow its environment's pointer. `versions`: what it has, and is to have."""
    has, named = versions
    if pointer.fault or has == named or pointer.since is None:
        return
    text = f"Runs {what} {has}; {named} is named since {ago(pointer.since, seen.now)}."
    yield problem(text) if seen.now - pointer.since > patience else note(text)


def _of_balancer(seen: Seen, member: Member, targets: Sequence[str]) -> Iterator[Finding]:
    """One sentence for each state and its reason, with the target groups that have it so."""
    registered = {target.group: target for target in seen.targets.get(member.instance_id, ())}
    found: dict[tuple[str, str], list[str]] = {}
    for arn in targets:
        name = target_group(arn)
        target = registered.get(name, Target(name, "not registered"))
        if target.state != "healthy":
            found.setdefault((target.state, target.why), []).append(name)
    for (state, why), names in found.items():
        text = f"The load balancer ({', '.join(names)}) has it as {state}{why and f': {why}'}."
        yield note(text) if state == "initial" else problem(text)
