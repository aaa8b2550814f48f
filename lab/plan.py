"""What to do with the lab's hosts, given what the AWS API says and what is there (pure)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum

ON = {"pending", "running"}
OFF = {"stopping", "stopped"}


class Verb(Enum):
    """One thing that can be done to a host."""

    CREATE = "create and boot"
    BOOT = "boot"
    REBOOT = "reboot"
    SHUT_DOWN = "shut down"
    DESTROY = "shut down and remove"
    REPORT = "tell the API that it turned itself off"


class Condition(Enum):
    """What a host on this machine is like."""

    RUNNING = "its process runs"
    OFF = "made, or shut down by the lab; not started since"
    ENDED = "started, and its process ended by itself"


@dataclass(frozen=True)
class Action:
    """A verb and the instance that it is for."""

    verb: Verb
    instance_id: str


def plan(
    wanted: Mapping[str, str], present: Mapping[str, Condition], reboots: Collection[str] = ()
) -> list[Action]:
    """The actions that bring the hosts to what the API says, at most one per host.

    `wanted`: the API's state of every instance ("running", "stopped", "terminated"…) by id.
    `present`: the hosts that there are. `reboots`: instances whose restart was asked for.
    A host that nobody knows any more is removed; one that turned itself off is reported, for that is what
    EC2 does when a system powers itself off ("instance initiated shutdown behavior": stop).
    """
    actions = []
    for instance_id in sorted({*wanted, *present}):
        verb = _verb(wanted.get(instance_id), present.get(instance_id), instance_id in reboots)
        if verb is not None:
            actions.append(Action(verb, instance_id))
    return actions


def _verb(state: str | None, condition: Condition | None, reboot: bool) -> Verb | None:
    if condition is None:
        return Verb.CREATE if state in ON else None
    if state in OFF:
        return None if condition is Condition.OFF else Verb.SHUT_DOWN
    if state not in ON:
        return Verb.DESTROY
    if condition is Condition.OFF:
        return Verb.BOOT
    if condition is Condition.ENDED:
        return Verb.REPORT
    return Verb.REBOOT if reboot else None
