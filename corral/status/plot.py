"""A host's converges as a small plot: a bar for each, as high as it took long, in the order of time. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

from corral.reports import Past, Report

# Units of the plot's own: width of a bar and of what lies between two, height of the highest, room for drift.
BAR, GAP, HEIGHT, ABOVE = 4, 2, 24, 5
# As many as a report tells of, with the last one (docs/reports.md, `history`).
BARS = 25


@dataclass(frozen=True)
class Plot:
    """Paths of SVG. `bars` by result; `drift`: marks above bars that repaired some; `words` say the same."""

    width: int
    height: int
    bars: dict[str, str]
    drift: str
    words: str


def converges(report: Report) -> list[Past]:
    """All converges that a report tells of, the oldest first."""
    last = Past(
        report.started, report.seconds, report.result, report.why, len(report.changed), len(report.drift)
    )
    return [*reversed(report.history[: BARS - 1]), last]


def longest(reports: Iterable[Report]) -> float:
    """Seconds of the longest converge of all: plots of one page have one scale."""
    return max((one.seconds for report in reports for one in converges(report)), default=1.0)


def plot(report: Report, most: float) -> Plot:
    """The plot of a report, in which `most` seconds are the full height; the newest bar is the right one."""
    past = converges(report)
    bars: dict[str, list[str]] = {}
    drift = []
    for place, one in enumerate(past, start=BARS - len(past)):
        # Of its root, for the first converge of a host takes many times as long as any other.
        height = max(2, round((HEIGHT - ABOVE) * sqrt(one.seconds / max(most, 0.1))))
        left = place * (BAR + GAP)
        bars.setdefault(one.result, []).append(f"M{left} {HEIGHT}v-{height}h{BAR}v{height}z")
        if one.drift:
            top = HEIGHT - height - ABOVE
            drift.append(f"M{left} {top + BAR}l{BAR // 2}-{BAR}l{BAR // 2} {BAR}z")
    paths = {result: "".join(parts) for result, parts in bars.items()}
    return Plot(BARS * (BAR + GAP) - GAP, HEIGHT, paths, "".join(drift), _words(past))


def _words(past: list[Past]) -> str:
    counts = {result: sum(one.result == result for one in past) for result in ("failed", "ill")}
    said = [f"{count} {result}" for result, count in counts.items() if count]
    drifted = sum(one.drift > 0 for one in past)
    said += [f"{drifted} repaired drift"] if drifted else []
    kinds = ", ".join(said) or "all healthy"
    return (
        f"{len(past)} converge{'s' if len(past) > 1 else ''}: {kinds}; the last took {past[-1].seconds:g} s"
    )
