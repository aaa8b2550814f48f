"""A release that servers fetch by themselves: ten thousand of them, in a time of their own."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from corral.errors import CorralError
from corral.releases.choice import place, wanted
from corral.releases.store import Pointer
from corral.reports.schema import Failed, Report
from corral.rollout import waves
from corral.rollout.progressive import Progressive, Seen

OLD, NEW = "1.0", "2.0"
REFUSED = "corral: release 2.0 is refused: 2 of 2 processes did not stay up"
BEGAN = datetime(2026, 11, 26, tzinfo=UTC)
STEPS = (1, 10, 50, 100)
# converge.minutes and jitter, as the settings have them; a converge takes so long.
LOOK, JITTER, CONVERGE = 600, 120, 30
SERVERS = tuple(f"i-{number:017x}" for number in range(10_000))


def pointer(percent, version=NEW, previous=OLD):
    return Pointer(version, "a" * 64, previous, "me", BEGAN.isoformat(), percent)


def report(instance_id, at, release, failed=""):
    return Report(
        schema=1,
        instance=instance_id,
        role="app",
        environment="live",
        zone="eu-west-1a",
        address="10.10.16.4",
        why="tick",
        started=at,
        seconds=1.0,
        result="failed" if failed else "healthy",
        failed=Failed("Serve the release", (failed,)) if failed else None,
        release=release,
    )


class Fleet:
    """Servers that look at the pointer each in its own time. `broken`: those on which the new one fails."""

    def __init__(self, servers=SERVERS, broken=lambda _: False):
        dice = random.Random(7)
        self.now, self.servers, self.broken = 0.0, servers, broken
        self.next = {each: dice.uniform(0, LOOK + JITTER) for each in servers}
        self.dice = dice
        self.reports = {each: report(each, BEGAN - timedelta(minutes=5), OLD) for each in servers}
        self.pending = []
        self.pointer = pointer(100, OLD, "0.9")
        self.bad, self.named, self.exposed = {}, [], set()
        self.hooks = []

    def pause(self, seconds):
        end = self.now + seconds
        for each, at in self.next.items():
            if at <= end:
                self.next[each] = at + LOOK + self.dice.uniform(0, JITTER)
                self.tick(each, at)
        self.now = end
        for ready, made in [one for one in self.pending if one[0] <= end]:
            self.reports[made.instance] = made
            self.pending.remove((ready, made))

    def tick(self, each, at):
        has, to = self.reports[each].release, wanted(self.pointer, each)
        if has != to:
            failed = REFUSED if to == NEW and self.broken(each) else ""
            self.exposed |= {each} if to == NEW else set()
            began = BEGAN + timedelta(seconds=at)
            self.pending.append((at + CONVERGE, report(each, began, OLD if failed else to, failed)))

    def look(self):
        return Seen(BEGAN + timedelta(seconds=self.now), self.servers, self.reports, ())

    def sign_of_life(self):
        pass

    def name(self, version, percent):
        self.pointer = pointer(percent, version)
        self.named.append((self.now, percent))
        return BEGAN + timedelta(seconds=self.now)

    def back(self, version, old, why):
        self.pointer, self.bad[version] = pointer(100, old, None), why
        self.named.append((self.now, 0))

    def roll_out(self):
        look = timedelta(seconds=LOOK + JITTER)
        Progressive(self, NEW, OLD, STEPS, look, lambda _: None, self.hook, self.pause).run()

    def hook(self, when, state):
        self.hooks.append((when, len(self.named)))

    def running(self, release):
        return sum(each.release == release for each in self.reports.values())


def test_ten_thousand_take_it_in_waves():
    fleet = Fleet()
    fleet.roll_out()
    assert fleet.running(NEW) == len(SERVERS)
    assert [percent for _, percent in fleet.named] == [1, 10, 50, 100]
    assert fleet.bad == {}
    # The release's own commands run once, before the first wave and after the last one.
    assert fleet.hooks == [("before_rollout", 0), ("after_rollout", 4)]


@pytest.mark.parametrize("wave", range(4))
def test_a_failure_at_any_stage_halts_and_no_later_wave_meets_the_release(wave):
    before = (0, *STEPS)[wave]
    fleet = Fleet(broken=lambda each: place(NEW, each) >= before and int(each[2:], 16) % 3 == 0)
    with pytest.raises(CorralError, match=f"was halted at {STEPS[wave]} %"):
        fleet.roll_out()
    assert [percent for _, percent in fleet.named] == [*STEPS[: wave + 1], 0]
    assert all(place(NEW, each) < STEPS[wave] for each in fleet.exposed)
    assert list(fleet.bad) == [NEW]
    assert fleet.hooks == [("before_rollout", 0)]
    for _ in range(2):  # at the next look of each all are where they were
        fleet.pause(LOOK + JITTER)
    fleet.pause(CONVERGE)
    assert fleet.running(OLD) == len(SERVERS)


def test_it_halts_at_the_first_report_of_a_failure_not_at_the_last():
    fleet = Fleet(broken=lambda each: True)
    with pytest.raises(CorralError):
        fleet.roll_out()
    assert len(fleet.exposed) < 10, "of the hundred of the first wave, who looked before the first report"


def test_servers_that_are_silent_are_waited_for_and_not_for_ever():
    fleet = Fleet(SERVERS[:200])
    fleet.next = {each: at for each, at in fleet.next.items() if place(NEW, each) >= 10}
    with pytest.raises(CorralError, match="servers did not take it in time"):
        fleet.roll_out()
    assert fleet.bad == {NEW: ""}, "nobody has said that the release is to blame"


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"failed": Failed("Serve the release", (REFUSED,))}, True),
        ({"failed": Failed("Serve the release", ("tar: No space left on device",))}, False),
        ({"failed": Failed("Install packages", ("no such package",))}, False),
        ({"result": "ill", "release": NEW}, True),
        ({"result": "ill", "release": OLD}, False),
    ],
)
def test_any_server_that_is_not_well_halts_it_and_only_the_release_s_own_fault_marks_it(change, refused):
    one = replace(report(SERVERS[0], BEGAN, OLD), **{"result": "failed", **change})
    clock = waves.Clock(BEGAN, BEGAN, BEGAN, timedelta(minutes=1))
    verdict = waves.judge(NEW, 100, [SERVERS[0]], {SERVERS[0]: one}, (), clock)
    assert verdict.halt == f"{SERVERS[0]} reports that it is {one.result}"
    assert verdict.refused is refused


def test_what_servers_reported_before_is_no_news():
    # A push may have brought the one to another release since, and mended the other.
    before = BEGAN - timedelta(minutes=5)
    one, other = SERVERS[:2]
    known = {one: report(one, before, NEW), other: replace(report(other, before, OLD), result="ill")}
    clock = waves.Clock(BEGAN, BEGAN, BEGAN, timedelta(minutes=1))
    assert waves.judge(NEW, 100, (one, other), known, (), clock) == waves.Verdict(2, 0)


def test_a_small_fleet_has_a_first_one_too():
    three = SERVERS[:3]
    first, *_ = waves.percents(NEW, three, STEPS)
    assert first == min(place(NEW, each) for each in three) + 1
    assert waves.percents(NEW, (), STEPS) == [100]


def test_places_are_spread_and_another_release_begins_with_others():
    share = sum(place(NEW, each) < 10 for each in SERVERS) / len(SERVERS)
    assert 0.09 < share < 0.11
    again = sum(place(NEW, each) < 10 and place("3.0", each) < 10 for each in SERVERS)
    assert again < 0.02 * len(SERVERS)


def test_by_the_pointer_a_server_runs_the_named_or_the_previous_one():
    mine = place(NEW, SERVERS[0])
    assert wanted(pointer(mine + 1), SERVERS[0]) == NEW
    assert wanted(pointer(mine), SERVERS[0]) == OLD
    assert wanted(pointer(0, previous=None), SERVERS[0]) == NEW, "there is no other"
    assert pointer(50).proven == OLD
    assert pointer(100).proven == NEW
