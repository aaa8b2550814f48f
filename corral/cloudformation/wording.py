"""Says a change in the words of a person, one line for each property. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from corral.cloudformation.changes import UNKNOWN, Change, Difference, Verb

# Characters of one value that are shown, and those before the first difference of two long ones.
LONGEST = 60
LEAD = 15

STYLES: dict[Verb, str] = {
    "added": "green",
    "imported": "cyan",
    "changed": "yellow",
    "replaced": "bold magenta",
    "removed": "red",
    "kept": "cyan",
}
LOST = "bold red"
# There or not, as somebody agrees to servers being replaced: how they are is of no interest.
CONSENT = "UpdatePolicy.AutoScalingRollingUpdate"


@dataclass(frozen=True)
class Line:
    """A line of text, with the style that it is shown in."""

    text: str
    style: str = ""


def lines(change: Change) -> list[Line]:
    """The change in words: the resource, then what of it changes."""
    verb = change.verb if change.sure else f"perhaps {change.verb}"
    loses = change.loses_data or change.loses_servers or change.moves_servers
    style = LOST if loses else STYLES[change.verb]
    named = f" {change.physical}" if change.physical and change.verb != "changed" else ""
    said = [Line(f"  {verb:9} {change.resource}  {change.kind}{named}", style)]
    if remark := _remark(change):
        said.append(Line(f"            {remark}", style))
    shown = () if change.only_consent else change.differences
    return said + [Line(f"            {_difference(each)}") for each in shown]


def counted(changes: Iterable[Change]) -> list[Line]:
    """Many changes of the same verb in short: how many of each type."""
    counts = Counter((change.verb, change.kind) for change in changes)
    return [
        Line(f"  {verb:9} {count:3} {kind}", STYLES[verb]) for (verb, kind), count in sorted(counts.items())
    ]


def summary(changes: Iterable[Change]) -> str:
    """Such as "1 replaced, 2 changed, 1 added"."""
    counts = Counter(change.verb for change in changes)
    return ", ".join(f"{count} {verb}" for verb, count in counts.items())


def _remark(change: Change) -> str:
    match change.verb:
        case "replaced" if change.loses_data:
            return "It holds data, and the one that takes its place is empty."
        case "replaced" if change.loses_servers:
            return "All its servers go at once."
        case "removed" if change.loses_data:
            return "It holds data, which goes with it."
        case "kept":
            return "It leaves the stack, and stays in the account."
        case "changed" if change.moves_servers:
            return "Its servers are spread over other subnets."
        case "changed" if change.only_consent:
            return "Only in whether a change may replace its servers."
        case "imported":
            return "It is there already, and the stack takes it over with what it holds."
    return ""


def _difference(difference: Difference) -> str:
    if difference.secret:
        return f"{difference.path}: another value, not shown"
    if difference.path.startswith(CONSENT):
        return f"{CONSENT}: whether a change may replace its servers"
    if difference.path.endswith("UserData"):
        return f"{difference.path}: another script"
    before, after = difference.before, difference.after
    if before is None and after is None:
        return difference.path
    if before is None:
        return f"{difference.path}: {_value(after)}, new"
    if after is None:
        return f"{difference.path}: {_value(before)}, no longer"
    start = _start(before, after)
    return f"{difference.path}: {_value(before, start)} → {_value(after, start)}"


def _start(before: str, after: str) -> int:
    """Where to start with two long values, so that what differs is seen."""
    if max(len(before), len(after)) <= LONGEST:
        return 0
    same = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), 0)
    return max(0, same - LEAD)


def _value(value: str | None, start: int = 0) -> str:
    if value == UNKNOWN:
        return "known after the change"
    one_line = " ".join((value or "")[start:].split()) or "(empty)"
    shown = one_line if len(one_line) <= LONGEST else one_line[:LONGEST] + "…"
    return f"…{shown}" if start else shown
