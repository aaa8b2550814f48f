"""Which servers come next in a rollout (pure)."""

from collections.abc import Collection, Sequence

from corral.fleet import Host
from corral.settings.changing import Rollout


def size(wanted: Rollout, servers: int) -> int:
    """How many servers change at a time: as the settings say, one at least, and never all of several."""
    asked = wanted.batch_size or servers * wanted.batch_percent // 100
    return max(1, min(asked, servers - 1))


def next_batch(servers: Sequence[Host], done: Collection[str], wanted: Rollout) -> list[Host]:
    """The servers to change now: the first alone, then as many as fit, in the order of their addresses.

    `servers`: all in service now, which may be others than before. `done`: instance ids of those that run
    the release. None are left when it is empty.
    """
    left = sorted((one for one in servers if one.instance_id not in done), key=order)
    return left[: size(wanted, len(servers)) if done else 1]


def order(host: Host) -> tuple[int, ...]:
    """What servers are sorted by: their address, as numbers; the same fleet, the same order."""
    return tuple(int(part) for part in host.private_address.split("."))


def batches(servers: Sequence[Host], wanted: Rollout) -> list[list[Host]]:
    """All batches of a rollout, if nobody comes or goes meanwhile."""
    done: set[str] = set()
    found = []
    while batch := next_batch(servers, done, wanted):
        found.append(batch)
        done |= {one.instance_id for one in batch}
    return found
