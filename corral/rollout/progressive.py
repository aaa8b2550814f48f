"""A rollout that servers fetch by themselves, wave by wave; it goes on while their reports are good."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NoReturn, Protocol

from corral.errors import CorralError
from corral.reports import Report
from corral.rollout import waves
from corral.rollout.waves import Clock, Verdict

SEE = "docs/rollouts.md"
PAUSE_SECONDS = 10.0
# What a converge with a new release may take, and its report until it is seen.
CONVERGE = timedelta(minutes=5)


@dataclass(frozen=True)
class Seen:
    """Servers in service at the moment `now`, their reports, and who is unhealthy to the load balancer."""

    now: datetime
    servers: Collection[str]
    reports: Mapping[str, Report]
    unhealthy: Collection[str]


class World(Protocol):
    """What it sees and does."""

    def look(self) -> Seen:
        """See the fleet."""

    def sign_of_life(self) -> None:
        """Renew the lock."""

    def name(self, version: str, percent: int) -> datetime:
        """Let the pointer name the release for some of all servers; the moment that it does."""

    def back(self, version: str, old: str | None, why: str) -> None:
        """Let the pointer name the old release for all of them again; with `why`, mark this one as bad."""


@dataclass
class Progressive:
    """One such rollout, by the percentages `steps` (settings: rollout.waves).

    `look`: the time within which each server looks at the pointer. `hook`: runs the release's command of a
    time (driver.run_hook). `count`: of servers that run it.
    """

    world: World
    version: str
    old: str | None
    steps: Collection[int]
    look: timedelta
    tell: Callable[[str], None]
    hook: Callable[[str, str], None]
    pause: Callable[[float], None] = time.sleep
    count: int = 0

    @property
    def who(self) -> str:
        """They, in words."""
        return "corral status says which"

    def run(self) -> None:
        """Go through all waves. Raises CorralError at the first failure, after the pointer went back."""
        self.hook("before_rollout", "No server was changed.")
        first = self.world.look()
        for percent in waves.percents(self.version, first.servers, self.steps):
            verdict = self._wave(percent, first.now)
            if verdict.halt:
                self._halt(percent, verdict)
            self.tell(f"{percent} %: all {verdict.cohort} servers run {self.version}")
        self.hook("after_rollout", f"All servers run {self.version} all the same.")

    def _wave(self, percent: int, began: datetime) -> Verdict:
        self.world.sign_of_life()
        named, last = self.world.name(self.version, percent), -1
        while True:
            seen = self.world.look()
            clock = Clock(began, named, seen.now, 2 * self.look + CONVERGE)
            verdict = waves.judge(self.version, percent, seen.servers, seen.reports, seen.unhealthy, clock)
            self.count = verdict.arrived
            if verdict.halt or verdict.complete:
                return verdict
            if verdict.arrived != last:
                self.tell(f"{percent} %: {verdict.arrived} of {verdict.cohort} servers run {self.version}")
                last = verdict.arrived
            self.world.sign_of_life()
            self.pause(PAUSE_SECONDS)

    def _halt(self, percent: int, verdict: Verdict) -> NoReturn:
        # Whoever broke the lock has the say now.
        self.world.sign_of_life()
        self.world.back(self.version, self.old, verdict.halt if verdict.refused else "")
        mark = f" Release {self.version} is marked as bad." if verdict.refused else ""
        raise CorralError(
            f"The rollout of {self.version} was halted at {percent} %: {verdict.halt}.\n"
            + "".join(f"    {line}\n" for line in verdict.said)
            + f"    {verdict.arrived} of {verdict.cohort} servers ran it. {self.old} is named for all again,"
            f" and they take it at their next look.{mark}",
            "corral status shows what a server failed at. Mend it, and deploy again.",
            SEE,
        )
