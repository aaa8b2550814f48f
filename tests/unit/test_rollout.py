"""A rollout's story: who is changed when, what a failed gate does; on a fleet of thought."""

import pytest

from corral.errors import CorralError
from corral.fleet import Host
from corral.rollout import plan
from corral.rollout.driver import Rollout
from corral.rollout.push import Pushed, judge, push, pyinfra
from corral.settings import load
from corral.settings.changing import Rollout as Wanted

OLD, NEW = "1.0", "2.0"
REFUSED = Pushed(
    "Serve the release", ("corral: release 2.0 is refused: 2 of 2 processes did not stay up",), True
)
UNREACHABLE = Pushed("reach the hosts", ("No route to host",))


def host(number):
    return Host("app", f"10.42.16.{number}", f"i-{number:017x}", "eu-west-1a", "chat-lab-app")


class World:
    """A fleet that does as it is told, but for what a test wants to go wrong."""

    def __init__(self, count=5):
        self.fleet = [host(number) for number in range(4, 4 + count)]
        self.runs = dict.fromkeys(self.fleet, OLD)
        self.named, self.bad, self.held = OLD, {}, set()
        self.fails, self.ill, self.before_push, self.hooks = {}, {}, None, {}
        self.ill_later, self.broken_lock = {}, None
        self.booting = []
        self.story = []

    def servers(self):
        return list(self.fleet)

    def sign_of_life(self):
        if self.broken_lock and self.broken_lock(self):
            raise CorralError("Somebody broke this rollout's lock")

    def bring(self, hosts, version, *, new):
        if self.before_push:
            self.before_push(hosts)
        numbers = [int(one.private_address.rpartition(".")[2]) for one in hosts]
        self.story.append((version, *numbers))
        wrong = [self.fails[number, version] for number in numbers if (number, version) in self.fails]
        here = [one for one in hosts if one in self.fleet]
        if wrong or len(here) < len(hosts):
            return wrong[0] if wrong else UNREACHABLE
        for one in here:
            self.runs[one] = version
            (self.held.add if new else self.held.discard)(one)
        return Pushed()

    def unhealthy(self, hosts):
        known = [(int(one.private_address.rpartition(".")[2]), self.runs[one]) for one in hosts]
        # The load balancer takes some time to find out.
        ill = self.ill | (self.ill_later if NEW not in self.runs.values() or self.everybody_changed() else {})
        return "; ".join(ill[one] for one in known if one in ill)

    def everybody_changed(self):
        return all(self.runs[one] == NEW for one in self.fleet)

    def hook(self, when, host):
        self.story.append((when, int(host.private_address.rpartition(".")[2])))
        return self.hooks.get(when, Pushed())

    def point(self, version):
        self.named, self.held = version, set()
        self.story.append(f"point {version}")

    def arrivals(self, tell):
        for one in self.booting:
            self.fleet.append(one)
            self.runs[one] = OLD

    def turn_back(self):
        self.held = set()
        self.story.append("turn back")

    def blame(self, version, why):
        self.bad[version] = why

    def roll_out(self, **wanted):
        rollout = Rollout(self, NEW, self.named, Wanted(**wanted), self.story.append)
        rollout.run()
        return rollout.done

    def changes(self):
        """What was brought where, without what was told."""
        return [
            step
            for step in self.story
            if not isinstance(step, str) or " " not in step or step.startswith("point")
        ]

    def now(self):
        return {self.runs[one] for one in self.fleet}


def test_first_one_alone_then_as_many_as_the_settings_say_then_the_pointer():
    world = World()
    assert len(world.roll_out(batch_percent=40)) == 5
    assert world.changes() == [
        ("before_rollout", 4),
        (NEW, 4),
        (NEW, 5, 6),
        (NEW, 7, 8),
        f"point {NEW}",
        ("after_rollout", 4),
    ]
    assert world.now() == {NEW}


@pytest.mark.parametrize(
    ("servers", "wanted", "size"),
    [
        (1, {}, 1),
        (2, {"batch_percent": 100}, 1),
        (3, {}, 1),
        (8, {}, 2),
        (100, {}, 25),
        (10, {"batch_size": 4}, 4),
        (3, {"batch_size": 50}, 2),
    ],
)
def test_a_batch_is_one_at_least_and_never_all_of_several(servers, wanted, size):
    assert plan.size(Wanted(**wanted), servers) == size


def test_the_same_fleet_comes_in_the_same_order_by_the_numbers_of_its_addresses():
    fleet = [host(number) for number in (10, 9, 100, 20)]
    batches = plan.batches(fleet, Wanted(batch_size=2))
    assert [[int(one.private_address[9:]) for one in batch] for batch in batches] == [[9], [10, 20], [100]]
    assert plan.batches(fleet[::-1], Wanted(batch_size=2)) == batches


def test_where_the_second_breaks_the_rest_is_untouched_and_all_go_back():
    world = World()
    world.fails[5, NEW] = REFUSED
    with pytest.raises(CorralError) as failure:
        world.roll_out(batch_size=1)
    assert world.changes() == [("before_rollout", 4), (NEW, 4), (NEW, 5), (OLD, 5), (OLD, 4)]
    assert (world.now(), world.named, world.held) == ({OLD}, OLD, set())
    assert world.bad == {NEW: "“Serve the release” failed at 10.42.16.5"}
    said = str(failure.value)
    for words in (
        "The rollout of 2.0 stopped at 10.42.16.5: “Serve the release” failed.",
        "    corral: release 2.0 is refused: 2 of 2 processes did not stay up",
        "All servers run 1.0. Release 2.0 is marked as bad.",
        "deploy it under a new version",
    ):
        assert words in said


def test_one_that_the_load_balancer_does_not_find_healthy_is_a_failed_gate():
    world = World()
    world.ill[6, NEW] = "10.42.16.6 is unhealthy in chat-lab-site"
    with pytest.raises(CorralError, match="does not find them healthy") as failure:
        world.roll_out(batch_size=2)
    assert "10.42.16.6 is unhealthy in chat-lab-site" in str(failure.value)
    assert world.changes()[-2:] == [(OLD, 5, 6), (OLD, 4)]
    assert NEW in world.bad


def test_a_host_that_can_not_be_reached_does_not_make_the_release_bad():
    world = World()
    world.fails[6, NEW] = world.fails[6, OLD] = UNREACHABLE
    with pytest.raises(CorralError) as failure:
        world.roll_out(batch_size=2)
    assert world.bad == {}
    assert "10.42.16.6 did not get well with 1.0 either" in str(failure.value)
    assert "the release itself is not to blame" in str(failure.value)
    assert world.runs[host(5)] == OLD, "its neighbour goes back though it can not"


@pytest.mark.parametrize(
    ("fails", "ill"),
    [
        ({(6, NEW): REFUSED, (6, OLD): REFUSED}, {}),
        ({(6, NEW): REFUSED, (6, OLD): UNREACHABLE}, {}),
        ({(6, NEW): REFUSED}, {(5, OLD): "10.42.16.5 is unhealthy in chat-lab-site"}),
        ({}, {(6, OLD): "10.42.16.6 is unhealthy", (6, NEW): "10.42.16.6 is unhealthy"}),
    ],
    ids=["not ready", "not reached", "its neighbour", "unhealthy"],
)
def test_where_the_old_one_is_not_well_either_the_new_one_is_not_bad(fails, ill):
    world = World()
    world.fails, world.ill = fails, ill
    with pytest.raises(CorralError, match=r"did not get well with 1\.0 either") as failure:
        world.roll_out(batch_size=2)
    assert (world.now(), world.bad) == ({OLD}, {})
    assert "the release itself is not to blame" in str(failure.value)
    assert "marked as bad" not in str(failure.value)


def test_who_leaves_in_the_middle_stops_nothing():
    world = World()

    def leave(hosts):
        if host(6) in hosts and host(6) in world.fleet:
            world.fleet.remove(host(6))

    world.before_push = leave
    done = world.roll_out(batch_size=2)
    assert world.changes()[1:5] == [(NEW, 4), (NEW, 5, 6), (NEW, 5, 7), (NEW, 8)]
    assert world.now() == {NEW}
    assert len(done) == 4


def test_who_comes_in_the_middle_or_at_the_end_gets_the_release_too():
    world = World(2)
    came = iter([host(9), host(3)])

    def join(hosts):
        new = next(came, None)
        if new:
            world.fleet.append(new)
            world.runs[new] = world.named

    world.before_push = join
    point = world.point

    def moved(version):
        point(version)
        world.fleet.append(host(11))
        world.runs[host(11)] = OLD  # it had asked before the pointer moved

    world.point = moved
    world.roll_out()
    assert world.now() == {NEW}
    assert len(world.fleet) == 5


def test_a_command_that_fails_before_stops_all_before_any_server_changed():
    world = World()
    world.hooks["before_rollout"] = Pushed("release-command", ("no such column",))
    with pytest.raises(CorralError, match="No server was changed"):
        world.roll_out()
    assert world.changes() == [("before_rollout", 4)]
    assert (world.named, world.bad) == (OLD, {})


def test_a_command_that_fails_afterwards_is_told_and_the_release_stays():
    world = World()
    world.hooks["after_rollout"] = Pushed("release-command", ("no such column",))
    with pytest.raises(CorralError, match=r"after_rollout of 2\.0 failed"):
        world.roll_out()
    assert (world.now(), world.named) == ({NEW}, NEW)


def test_once_the_environment_names_it_who_fails_is_said_and_nobody_goes_back():
    world = World()
    point = world.point

    def moved(version):
        point(version)
        world.fleet.append(host(11))
        world.fails[11, NEW] = REFUSED

    world.point = moved
    with pytest.raises(CorralError, match=r"The environment names 2\.0: 10\.42\.16\.11 will try it again"):
        world.roll_out()
    assert world.changes()[-2:] == [f"point {NEW}", (NEW, 11)]
    assert (world.named, world.bad) == (NEW, {})


def test_what_the_environment_runs_already_is_not_marked_as_bad():
    world = World()
    world.named = NEW
    world.fails[6, NEW] = REFUSED
    with pytest.raises(CorralError, match=r"10\.42\.16\.6 will try it again"):
        world.roll_out()
    assert (world.named, world.bad) == (NEW, {})


def test_without_servers_only_the_pointer_moves():
    world = World(0)
    assert world.roll_out() == set()
    assert world.changes() == [f"point {NEW}"]


def test_the_first_release_of_all_has_no_way_back():
    world = World()
    world.named, world.fails = None, {(4, NEW): REFUSED}
    with pytest.raises(CorralError, match="There is no earlier release to go back to"):
        world.roll_out()
    assert world.bad == {}, "nothing tells whether it is to blame"


def test_a_push_names_its_hosts_and_says_numbers_as_text():
    asked = []
    assert (
        push([host(4), host(5)], "1e5", lambda words: (asked.extend(words), (0, []))[1], "17 at", 3)
        == Pushed()
    )
    assert asked == [
        *("--limit", "10.42.16.4", "--limit", "10.42.16.5"),
        *("--data", 'release="1e5"', "--data", 'release_hold="17 at"', "--data", 'release_checks="3"'),
        *("inventory/aws.py", "deploy.py"),
    ]


SAID = """--> Starting operation: Run PM2
    [10.42.16.4] No changes
--> Starting operation: Serve the release
    [10.42.16.4] corral: release 2.0 is refused: 2 of 2 processes did not stay up. What ran before serves.

    [10.42.16.4] Error: executed 0 commands
""".splitlines()


def test_what_failed_is_the_step_that_was_begun_last_and_its_words():
    assert judge(SAID) == Pushed("Serve the release", (SAID[3], SAID[5]), True)
    watched = [
        *SAID[:3],
        "    [10.42.16.4] corral: the check that release 2.0 is ready failed, the 2. of 5 times",
    ]
    assert judge(watched).refused
    disk = [*SAID[:3], "    [10.42.16.4] corral: no space left"]
    assert not judge(disk).refused
    around = (
        "corral: release 2.0 did not come to serve: 2 of 2 processes did not stay up. What ran before was not"
    )
    assert not judge([*SAID[:3], f"    [10.42.16.4] {around} ready either"]).refused
    assert judge(["corral: There are no AWS credentials."]) == Pushed(
        "reach the hosts", ("corral: There are no AWS credentials.",)
    )


def test_who_leaves_with_a_farewell_is_no_fault_of_the_release():
    """A server that its group ends stops the application while SSH is still there."""
    world = World()
    world.fails[6, NEW] = REFUSED

    def end(hosts):
        world.fleet = [one for one in world.fleet if not one.private_address.endswith(".6")]

    world.before_push = lambda hosts: end(hosts) if host(6) in hosts else None
    assert len(world.roll_out(batch_size=2)) == 4
    assert (world.now(), world.named, world.bad) == ({NEW}, NEW, {})


def test_what_the_load_balancer_finds_out_late_keeps_the_pointer_where_it_is():
    world = World()
    world.ill_later[4, NEW] = "10.42.16.4 is unhealthy in site"
    with pytest.raises(CorralError, match="the load balancer does not find them healthy"):
        world.roll_out(batch_size=2)
    assert (world.now(), world.named) == ({OLD}, OLD)
    assert NEW in world.bad


@pytest.mark.parametrize("when", ["all have changed", "a gate failed"])
def test_whoever_lost_the_lock_moves_nothing_any_more(when):
    world = World()
    if when == "a gate failed":
        world.fails[5, NEW] = REFUSED
        world.broken_lock = lambda world: (NEW, 5, 6) in world.story
    else:
        world.broken_lock = World.everybody_changed
    with pytest.raises(CorralError, match="Somebody broke"):
        world.roll_out(batch_size=2)
    assert (world.named, world.bad) == (OLD, {})
    assert "turn back" not in world.story


class Killed(BaseException):
    """What a driver dies of."""


def test_who_asked_just_before_and_arrives_just_after_is_brought_to_it():
    world = World(2)
    world.booting = [host(9)]
    world.roll_out()
    assert world.changes()[-3:] == [f"point {NEW}", (NEW, 9), ("after_rollout", 4)]
    assert world.now() == {NEW}


class Mortal(World):
    """One whose driver is killed when it is about to do its step number `last`."""

    def __init__(self, last):
        super().__init__()
        self.last, self.steps = last, 0


def mortal(name):
    def step(self, *words, **more):
        self.steps += 1
        if self.steps == self.last:
            raise Killed
        return getattr(World, name)(self, *words, **more)

    return step


for each in (
    "servers",
    "sign_of_life",
    "bring",
    "unhealthy",
    "hook",
    "point",
    "arrivals",
    "turn_back",
    "blame",
):
    setattr(Mortal, each, mortal(each))


@pytest.mark.parametrize("then", [OLD, NEW], ids=["rollback", "deploy"])
@pytest.mark.parametrize("refused", [False, True], ids=["while it goes well", "while it goes back"])
def test_killed_at_any_step_the_next_rollout_finishes_cleanly(then, refused):
    for last in range(1, 1000):
        world = Mortal(last)
        if refused:
            world.fails[7, NEW] = REFUSED
        try:
            world.roll_out(batch_size=2)
        except Killed:
            pass
        except CorralError:
            break
        else:
            break
        assert world.now() <= {OLD, NEW}
        world.last, world.fails = 0, {}
        Rollout(world, then, world.named, Wanted(batch_size=2), world.story.append).run()
        assert (world.now(), world.named) == ({then}, then), f"killed at step {last}"
    assert last > 15


def test_without_the_inventory_nothing_is_pushed(tmp_path):
    """pyinfra takes the name of a missing file for that of a host, and ends well without any."""
    run = pyinfra(load("lab"), tmp_path / "log", tmp_path)
    with pytest.raises(CorralError, match="no rollout can be pushed from here"):
        run(["inventory/aws.py", "deploy.py"])
