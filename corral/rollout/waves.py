"""A release that servers fetch by themselves, by percent of them: what their reports say of a wave (pure)."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from corral.releases.choice import place
from corral.reports import Report
from corral.rollout.push import refused

# By so much may a server's clock be behind.
CLOCKS = timedelta(seconds=2)


@dataclass(frozen=True)
class Verdict:
    """How a wave stands: `arrived` of `cohort` servers run the release and are well.

    `halt`: why to stop; `refused`: the release itself is to blame for it; `said`: what failed, in its words.
    """

    cohort: int
    arrived: int
    halt: str = ""
    refused: bool = False
    said: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether the next wave may come."""
        return not self.halt and self.arrived == self.cohort


@dataclass(frozen=True)
class Clock:
    """When the rollout began, when its wave did, the moment now; and how long a server may take to follow.

    A report from before the rollout says nothing: a push may have changed its server since. Every server
    reports anew once the pointer has moved (tasks/lib/scripts/release_state.sh).
    """

    began: datetime
    named: datetime
    now: datetime
    patience: timedelta


def percents(version: str, instance_ids: Collection[str], waves: Iterable[int]) -> list[int]:
    """The percentages to go through: those of the settings, the first such that it is some server's turn."""
    least = min((place(version, each) + 1 for each in instance_ids), default=100)
    return sorted({max(percent, least) for percent in waves})


def judge(
    version: str,
    percent: int,
    instance_ids: Iterable[str],
    reports: Mapping[str, Report],
    unhealthy: Collection[str],
    clock: Clock,
) -> Verdict:
    """Judge a wave by the reports of the servers in service.

    `unhealthy`: those that the load balancer finds so.
    """
    cohort = [each for each in instance_ids if place(version, each) < percent]
    arrived, silent = 0, []
    for each in cohort:
        report = reports.get(each)
        if report is None or report.started < clock.began - CLOCKS:
            silent.append(each)
            continue
        here = report.release == version
        if report.result != "healthy":
            # One that is ill with the old release may be so of anything.
            to_blame = refused(report.failed.output) if report.failed else here
            said = report.failed.output if report.failed else ()
            halt = f"{each} reports that it is {report.result}"
            return Verdict(len(cohort), arrived, halt, to_blame, said)
        if here and each in unhealthy:
            return Verdict(len(cohort), arrived, f"the load balancer finds {each} unhealthy", True)
        if here:
            arrived += 1
        else:
            silent.append(each)
    if silent and clock.now - clock.named > clock.patience:
        some = ", ".join(silent[:3]) + (", …" if silent[3:] else "")
        return Verdict(len(cohort), arrived, f"{len(silent)} servers did not take it in time: {some}")
    return Verdict(len(cohort), arrived)
