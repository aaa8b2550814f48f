"""Removes all of the lab from the machine, whatever state it is in: every step finds its work by looking."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from corral.errors import CorralError
from lab import cgroups, guard, hosts, loops, mounts, network, processes
from lab.paths import HOSTS, IMAGES, LINK, SERVICES, STATE, VOLUMES

# In this order: the reconciler would start the others again.
_FIRST = ("reconciler", "image")


def remove_everything(tell: Callable[[str], None]) -> None:
    """Processes, mounts, loop devices, namespaces, rules, state; raises CorralError when something stayed.

    `tell`: is given a few words at each step.
    """
    tell("stopping the lab's processes")
    _stop_services()
    tell("stopping hosts")
    with ThreadPoolExecutor(8) as pool:
        directories = list(HOSTS.iterdir()) if HOSTS.is_dir() else []
        list(pool.map(_destroy, directories))
    for pid in inhabitants():
        processes.kill(pid)
    processes.wait_until(lambda: not inhabitants(), seconds=5)
    cgroups.remove_all()
    tell("removing mounts, network and state")
    for place in (STATE, IMAGES):
        mounts.unmount_below(place)
    loops.detach(VOLUMES, seconds=10)
    network.down()
    mounts.remove_tree(STATE)
    if left := leftovers():
        raise CorralError(
            f"Something of the lab is still there: {'; '.join(left)}.",
            "Run `corral lab down` again.",
            "docs/lab.md",
        )


def leftovers() -> list[str]:
    """What of the lab is on the machine, in words; nothing after `corral lab down`."""
    found = [f"process {pid}" for pid in inhabitants()]
    found += [f"mount {point}" for place in (STATE, IMAGES) for point in mounts.below(place)]
    found += [f"loop device of {file}" for file in loops.attached(STATE)]
    found += [f"namespace {name}" for name in network.namespaces()]
    found += [f"interface {LINK}"] if Path(f"/sys/class/net/{LINK}").exists() else []
    found += ["the guard's rules"] if guard.is_up() else []
    found += [f"route {line}" for line in guard.routes()]
    found += [f"control group {path}" for path in cgroups.present()]
    found += [f"directory {STATE}"] if STATE.exists() else []
    return found


def inhabitants() -> list[int]:
    """Pids of processes that the lab started, or that live in a namespace, a host or an image of it."""
    inodes = {Path("/run/netns", name).stat().st_ino for name in network.namespaces()}
    return [pid for pid in processes.all_pids() if processes.marked(pid) or _inside(pid, inodes)]


def _inside(pid: int, network_namespaces: set[int]) -> bool:
    try:
        root = Path(f"/proc/{pid}/root").readlink()
        inode = Path(f"/proc/{pid}/ns/net").stat().st_ino
    except OSError:  # it ended meanwhile, or is a kernel thread
        return False
    return inode in network_namespaces or any(root.is_relative_to(place) for place in (STATE, IMAGES))


def _destroy(directory: Path) -> None:
    with suppress(CorralError):  # A disk in use: by a process that is ended next, or it is found in the end.
        hosts.destroy(hosts.Host(directory.name, "", 0))


def _stop_services() -> None:
    files = sorted(SERVICES.glob("*.pid"), key=lambda path: (path.stem not in _FIRST, path.stem))
    first = [path for path in files if path.stem in _FIRST]
    for path in first:
        _stop(path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(_stop, [path for path in files if path not in first]))


def _stop(pid_file: Path) -> None:
    if process := processes.recorded(pid_file):
        processes.stop(process, grace=3)
