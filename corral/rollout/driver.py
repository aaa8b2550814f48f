"""The story of a rollout: canary, batches behind gates, latecomers; and the way back when a gate fails."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn, Protocol

from corral.errors import CorralError
from corral.fleet import Host
from corral.rollout import plan
from corral.rollout.push import Pushed
from corral.settings.changing import Rollout as Wanted

SEE = "docs/rollouts.md"
NOT_HEALTHY = "the load balancer does not find them healthy"


class World(Protocol):
    """What a rollout sees and does; corral/rollout/world.py does it on a real fleet."""

    def servers(self) -> list[Host]:
        """The app servers in service now."""

    def sign_of_life(self) -> None:
        """Renew the lock. Raises CorralError when it was broken."""

    def bring(self, hosts: Sequence[Host], version: str, *, new: bool) -> Pushed:
        """Converge hosts with a release; a `new` one is checked, and held there until the pointer moves."""

    def unhealthy(self, hosts: Sequence[Host]) -> str:
        """Wait for the load balancer to find the hosts healthy; what it says of those that it does not."""

    def hook(self, when: str, host: Host) -> Pushed:
        """Run the new release's command of that time (before_rollout, after_rollout), if it has one."""

    def point(self, version: str) -> None:
        """Let the environment name the release."""

    def arrivals(self, tell: Callable[[str], None]) -> None:
        """Wait for servers that are booting, and may have asked what the environment names just before."""

    def turn_back(self) -> None:
        """Let nothing hold servers against the pointer any more."""

    def blame(self, version: str, why: str) -> None:
        """Mark the release as bad."""


@dataclass
class Rollout:
    """One rollout of `version`. `old`: what the pointer names, to go back to; None before the first release.

    `done`: instance ids of the servers that run the new one, and have passed the gates. `named`: the pointer
    names it, too.
    """

    world: World
    version: str
    old: str | None
    wanted: Wanted
    tell: Callable[[str], None]
    done: set[str] = field(default_factory=set)
    named: bool = False

    @property
    def count(self) -> int:
        """How many servers run the new release."""
        return len(self.done)

    @property
    def who(self) -> str:
        """They, in words."""
        return ", ".join(sorted(self.done))

    def run(self) -> None:
        """Bring all app servers to the release, and the pointer.

        Raises CorralError when a gate fails; what was changed has gone back before.
        """
        run_hook(self.world, self.version, "before_rollout", "No server was changed.")
        self._every_server()
        # The load balancer takes a while to find out; who was well at first is asked about again.
        proven = [one for one in self.world.servers() if one.instance_id in self.done]
        if why := self.world.unhealthy(proven):
            self._stop(proven, NOT_HEALTHY, Pushed("", (why,), True))
        self.world.sign_of_life()
        self.world.point(self.version)
        self.named = True
        self.tell(f"The environment names {self.version}.")
        # Who booted since the last look took the old one.
        self.world.arrivals(self.tell)
        self._every_server()
        run_hook(self.world, self.version, "after_rollout", f"All servers run {self.version} all the same.")

    def _every_server(self) -> None:
        while batch := plan.next_batch(servers := self.world.servers(), self.done, self.wanted):
            self.world.sign_of_life()
            count = len([one for one in servers if one.instance_id in self.done])
            self.tell(f"{count} of {len(servers)} servers run {self.version}; next: {names(batch)}")
            self._change(batch)

    def _change(self, batch: list[Host]) -> None:
        """Change some servers and let them pass the gates. Those that leave meanwhile don't count."""
        pushed = self.world.bring(batch, self.version, new=True)
        if pushed.failed and len(self._here(batch)) < len(batch):
            # Somebody left in the middle, and what was said may be a farewell. Who is here comes again.
            return
        if pushed.failed:
            self._stop(batch, f"“{pushed.step}” failed", pushed)
        if why := self.world.unhealthy(self._here(batch)):
            self._stop(batch, NOT_HEALTHY, Pushed("", (why,), True))
        self.done |= {one.instance_id for one in batch}

    def _stop(self, batch: list[Host], problem: str, pushed: Pushed) -> NoReturn:
        """Go back, unless that is where it is; in any case, the rollout is over."""
        self.tell(f"{names(batch)}: {problem}")
        # What the environment names was proven on servers that run it: only who joined late fails.
        refused = pushed.refused and not self.named and self.version != self.old
        if self.named or self.version == self.old:
            state = f"The environment names {self.version}: {names(batch)} will try it again by themselves."
        else:
            # Whoever broke the lock has the say now.
            self.world.sign_of_life()
            self.world.turn_back()
            state, well = self._returned(batch)
            # Where the old one is not well either, nothing tells that it is the release.
            refused = refused and well
        if refused:
            self.world.blame(self.version, f"{problem} at {names(batch)}")
            state += f" Release {self.version} is marked as bad."
        raise CorralError(
            f"The rollout of {self.version} stopped at {names(batch)}: {problem}.\n{_indented(pushed.said)}\n"
            f"{state}",
            "Mend the application, and deploy it under a new version."
            if refused
            else "Mend what it says, and deploy again: the release itself is not to blame.",
            SEE,
        )

    def _returned(self, batch: list[Host]) -> tuple[str, bool]:
        """Bring the batch that failed, then all that changed before, to the old release.

        Gives in words what came of it, and whether the old release is well there.
        """
        if self.old is None:
            return "There is no earlier release to go back to.", False
        here = self.world.servers()
        earlier = [one for one in here if one.instance_id in self.done and one not in batch]
        left: list[Host] = []
        for hosts in (self._here(batch), earlier):
            if hosts:
                self.tell(f"back to {self.old}: {names(hosts)}")
            if hosts and not self._well_again(hosts, self.old):
                # One that can't be reached keeps the others from nothing.
                left += [one for one in hosts if not self._well_again([one], self.old)]
        if left := self._here(left):
            return f"{names(left)} did not get well with {self.old} either, and will go on trying.", False
        self.done.clear()
        return f"All servers run {self.old}.", True

    def _well_again(self, hosts: Sequence[Host], old: str) -> bool:
        """Bring hosts to the old release; whether it is ready there, and the load balancer content."""
        return not (self.world.bring(hosts, old, new=False).failed or self.world.unhealthy(self._here(hosts)))

    def _here(self, hosts: Sequence[Host]) -> list[Host]:
        """Those that are still in service."""
        here = {one.instance_id for one in self.world.servers()}
        return [one for one in hosts if one.instance_id in here]


class Hooks(Protocol):
    """What a release's own commands need of the fleet."""

    def servers(self) -> list[Host]:
        """The app servers in service now."""

    def hook(self, when: str, host: Host) -> Pushed:
        """Run the new release's command of that time on a host, if it has one."""


def run_hook(world: Hooks, version: str, when: str, state: str) -> None:
    """Run a release's command on the first server, if there is one. `state`: what is, should it fail.

    Raises CorralError when it fails.
    """
    for host in world.servers()[:1]:
        ran = world.hook(when, host)
        if ran.failed:
            raise CorralError(
                f"The command {when} of {version} failed on {names([host])}:\n{_indented(ran.said)}\n{state}",
                "Mend it, and deploy again.",
                SEE,
            )


def names(hosts: Iterable[Host]) -> str:
    """Hosts in words."""
    return ", ".join(one.private_address for one in hosts)


def _indented(lines: Iterable[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)
