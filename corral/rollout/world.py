"""A rollout's hands and eyes on a real fleet: AWS's API, pyinfra, the pointer and the lock."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from corral import members, reports
from corral.aws import explained
from corral.errors import CorralError
from corral.fleet import Host, groups, in_service, instances, select
from corral.members import Target
from corral.releases import store
from corral.releases.bucket import Bucket
from corral.releases.manifest import Manifest
from corral.rollout import push, stack
from corral.rollout.lock import Holder
from corral.rollout.progressive import Seen
from corral.rollout.push import Pushed, Run
from corral.settings import Settings

# What a rollout that died left at the new release goes back by itself then, unless the pointer moves before.
HOLD_SECONDS = 6 * 3600
PAUSE_SECONDS = 2.0
# From a new server's last look at the pointer (corral/node/converge.py) until its group counts it in.
ARRIVAL_SECONDS = 60
HOOK = "/usr/local/lib/corral/release-command"


@dataclass
class Fleet:
    """The app servers of an environment. `run`: runs pyinfra (push.py). `pointer`: the last that was seen."""

    settings: Settings
    bucket: Bucket
    holder: Holder
    manifest: Manifest
    run: Run
    pointer: store.Pointer | None

    def servers(self) -> list[Host]:
        """The app servers in service now, by address."""
        return servers(self.settings)

    def sign_of_life(self) -> None:
        """Renew the lock."""
        self.holder.renew()

    def bring(self, hosts: Sequence[Host], version: str, *, new: bool) -> Pushed:
        """Converge hosts with a release."""
        if not new:
            return push.push(hosts, version, self.run, checks=1)
        hold = f"{int(time.time()) + HOLD_SECONDS} {self.pointer.at}" if self.pointer else ""
        return push.push(hosts, version, self.run, hold, self.settings.rollout.checks)

    def unhealthy(self, hosts: Sequence[Host]) -> str:
        """What the load balancer says of those that it does not find healthy in `rollout.healthy_seconds`."""
        end = time.monotonic() + self.settings.rollout.healthy_seconds
        while said := complaints(self.settings, hosts):
            if time.monotonic() > end:
                return "; ".join(said)
            time.sleep(PAUSE_SECONDS)
        return ""

    def hook(self, when: str, host: Host) -> Pushed:
        """Run a command of the release on a host, as the application's user, in the release's folder."""
        if not (command := getattr(self.manifest, when)):
            return Pushed()
        return push.execute(host, [HOOK, self.manifest.version, self.manifest.sha256, command], self.run)

    def point(self, version: str) -> None:
        """Let the environment name the release."""
        self.pointer, _ = store.point(self.bucket, version, self.holder.owner)

    def arrivals(self, tell: Callable[[str], None]) -> None:
        """Wait until those that are booting now are in service, or so late that they will look again."""
        end = time.monotonic() + ARRIVAL_SECONDS
        if booting := _booting(self.settings):
            tell(f"waiting for servers that are booting, {ARRIVAL_SECONDS} s at most: {', '.join(booting)}")
        while booting & _booting(self.settings) and time.monotonic() < end:
            time.sleep(PAUSE_SECONDS)

    def turn_back(self) -> None:
        """End holds, by moving the pointer to where it is."""
        store.touch(self.bucket, self.holder.owner)

    def blame(self, version: str, why: str) -> None:
        """Mark the release as bad."""
        store.void(self.bucket, version, why, self.holder.owner)


@dataclass
class Watched:
    """The app servers of an environment, seen by their reports; what they run, they fetch by themselves.

    `before`: the pointer as it was, for the way back.
    """

    settings: Settings
    bucket: Bucket
    holder: Holder
    before: store.Pointer | None

    def look(self) -> Seen:
        """See the fleet. A request for each report that changed, and a handful more."""
        found, everyone = members.survey(self.settings)
        app = [group for group in found if group.role == "app"]
        seen = members.targets(self.settings, app)
        servers = {one.instance_id for one in everyone if one.role == "app" and one.in_service}
        received = reports.read(self.bucket, reports.only(reports.listed(self.bucket), sorted(servers)))
        return Seen(
            now=datetime.now(UTC),
            servers=servers,
            reports={name: one.report for name, one in received.items() if one.report},
            unhealthy={
                name for name in servers if any(one.state == "unhealthy" for one in seen.get(name, ()))
            },
        )

    def sign_of_life(self) -> None:
        """Renew the lock."""
        self.holder.renew()

    def name(self, version: str, percent: int) -> datetime:
        """Let the pointer name the release for some of all servers."""
        store.point(self.bucket, version, self.holder.owner, percent)
        return datetime.now(UTC)

    def back(self, version: str, old: str | None, why: str) -> None:
        """Let the pointer name the old release for all; with `why`, mark this one as bad."""
        if old is not None:
            previous = self.before.previous if self.before else None
            store.point(self.bucket, old, self.holder.owner, previous=previous)
        if why:
            store.void(self.bucket, version, why, self.holder.owner)


def servers(settings: Settings) -> list[Host]:
    """The app servers in service now, by address. Raises CorralError when the stack has no group of them."""
    group = stack.group(settings)
    with explained(settings):
        found = in_service(groups(settings))
        known = select(found, instances(settings)) if found else []
    return [host for host in known if host.group == group.name]


def preflight(settings: Settings, hosts: Sequence[Host]) -> list[str]:
    """Everything that speaks against a rollout now, a sentence each. `hosts`: app servers in service."""
    groups, everyone = members.survey(settings)
    wanted = sum(group.desired for group in groups if group.role == "app")
    problems = stack.against(stack.group(settings), {group.name for group in groups if group.role == "app"})
    if len(hosts) < wanted:
        coming = [
            f"{one.instance_id} is {one.state}"
            for one in everyone
            if one.role == "app" and not one.in_service
        ]
        problems.append("; ".join([f"{len(hosts)} of {wanted} app servers are in service", *coming]) + ".")
    return problems + [f"{said}." for said in complaints(settings, hosts)]


def _booting(settings: Settings) -> set[str]:
    """Ids of the app servers that are on their way into service."""
    _, everyone = members.survey(settings)
    return {one.instance_id for one in everyone if one.role == "app" and one.state.startswith("Pending")}


def complaints(settings: Settings, hosts: Sequence[Host]) -> list[str]:
    """What the load balancer has against those of `hosts` that are in service now."""
    groups, everyone = members.survey(settings)
    app = [group for group in groups if group.role == "app"]
    here = {one.instance_id for one in everyone if one.in_service}
    seen = members.targets(settings, app)
    found = []
    for host in hosts:
        registered = {target.group: target for target in seen.get(host.instance_id, ())}
        for name in sorted({members.target_group(arn) for group in app for arn in group.targets}):
            target = registered.get(name, Target(name, "not registered"))
            if host.instance_id in here and target.state != "healthy":
                why = f" ({target.why})" if target.why else ""
                found.append(f"{host.private_address} is {target.state} in {name}{why}")
    return found


def refuse(problems: Sequence[str]) -> None:
    """Raise CorralError if there are problems."""
    if problems:
        raise CorralError(
            "The fleet is not well, and a rollout would not know what it breaks:\n"
            + "\n".join(f"  {problem}" for problem in problems),
            "See corral status, and wait until all is well; or, if the release mends it, give --unwell.",
            "docs/rollouts.md",
        )
