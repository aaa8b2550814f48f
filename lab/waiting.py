"""Waits until the lab's hosts are there, or until the load balancers find them healthy."""

import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from corral.errors import CorralError
from corral.settings import Settings
from lab import fleet, observe, status

Tell = Callable[[str], None]


def for_ssh(settings: Settings, environment: str | None, tell: Tell, seconds: float = 120) -> None:
    """Wait until every running instance answers on its SSH port, and its group counts it in.

    `environment`: whose instances; None for all. Raises CorralError with the consoles of those that do not.
    """
    _wait(lambda: _without_ssh(fleet.members(settings, environment)), "SSH", tell, seconds)


def for_health(settings: Settings, environment: str | None, tell: Tell, seconds: float = 120) -> None:
    """Wait until every target of the balancers is healthy in all of its groups, and there is one."""
    what = "the load balancer's health checks"
    _wait(lambda: _unhealthy(fleet.members(settings, environment)), what, tell, seconds)


def _wait(
    look: Callable[[], tuple[int, list[tuple[fleet.Member, str]]]], what: str, tell: Tell, seconds: float
) -> None:
    deadline = time.monotonic() + seconds
    shown = ""
    while True:
        there, missing = look()
        words = f"{what}: {there} of {there + len(missing)} hosts"
        if words != shown:
            tell(words)
            shown = words
        if there and not missing:
            return
        if time.monotonic() > deadline:
            raise CorralError(
                _explain(what, missing, seconds), "More: corral lab status, corral lab logs.", "docs/lab.md"
            )
        time.sleep(1.0)


def _explain(what: str, missing: list[tuple[fleet.Member, str]], seconds: float) -> str:
    if not missing:
        return f"No host has come in {seconds:.0f} s. `corral stack apply` asks for some."
    lines = [f"After {seconds:.0f} s these hosts are not through {what}:"]
    for member, reason in missing:
        lines.append(f"{member.name} ({member.instance_id}, {member.address}): {reason}")
        if member.host:
            lines += [f"    {line}" for line in observe.console_tail(member.host)]
    return "\n".join(lines)


def _without_ssh(members: list[fleet.Member]) -> tuple[int, list[tuple[fleet.Member, str]]]:
    on = [member for member in members if member.state in ("pending", "running")]
    with ThreadPoolExecutor(8) as pool:
        missing = [(member, why) for member, why in zip(on, pool.map(_missing, on), strict=True) if why]
    return len(on) - len(missing), missing


def _missing(member: fleet.Member) -> str:
    """What keeps a member from being logged in to as one in service; "" when nothing does."""
    if member.host is None:
        return "not made yet"
    if (progress := observe.progress(member.host)) in ("off", "booting"):
        return progress
    # Only those in service are found by the inventory.
    if (state := member.instance.get("LifecycleState", "InService")) != "InService":
        return str(state)
    # sshd starts a process for who asks, so the host is asked last.
    return "" if _answers(member.address, 22) else progress


def _unhealthy(members: list[fleet.Member]) -> tuple[int, list[tuple[fleet.Member, str]]]:
    health = status.target_health()
    targets = [(member, health[member.instance_id]) for member in members if member.instance_id in health]
    missing = []
    for member, groups in targets:
        reasons = [one.get("description") or one["state"] for one in groups if one["state"] != "healthy"]
        if reasons:
            missing.append((member, "; ".join(reasons)))
    return len(targets) - len(missing), missing


def _answers(address: str, port: int) -> bool:
    with socket.socket() as attempt:
        attempt.settimeout(1)
        return attempt.connect_ex((address, port)) == 0
