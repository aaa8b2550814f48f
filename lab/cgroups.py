"""A control group per host, so that the init of one can't take the services of another for its own."""

from contextlib import suppress
from functools import partial
from pathlib import Path

from lab import processes

# Hierarchies that systemd needs: name=systemd and unified on a hybrid machine, one unified where it is alone.
_MOUNT = Path("/sys/fs/cgroup")
_JOIN = """
for root in {roots}; do
    mkdir -p "$root/$0" && echo $$ >"$root/$0/cgroup.procs" || exit 1
done
exec "$@"
"""


def inside_its_own(instance_id: str, command: list[str]) -> list[str]:
    """The command, such that it runs in a control group of its own (a scope where systemd is init)."""
    if Path("/run/systemd/system").is_dir():
        scope = f"--unit=corral-lab-{instance_id}.scope"
        return ["systemd-run", "--quiet", "--scope", "--collect", "--property=Delegate=yes", scope, *command]
    roots = " ".join(str(root) for root in _roots())
    return ["sh", "-c", _JOIN.format(roots=roots), instance_id, *command]


def remove(instance_id: str) -> None:
    """Kill what is left in a host's control groups, and remove them; harmless when there are none."""
    for root in _roots():
        processes.wait_until(partial(_cleared, root / instance_id), seconds=5)


def remove_all() -> None:
    """Remove the control groups of all hosts."""
    for root in _roots():
        for group in root.glob("i-*/"):
            remove(group.name)
        if root.is_dir():
            root.rmdir()


def present() -> list[Path]:
    """The lab's control groups that there are."""
    return [root for root in _roots() if root.is_dir()]


def _roots() -> list[Path]:
    """Directories that hold the hosts' control groups, one in each hierarchy."""
    hierarchies = [_MOUNT / "systemd", _MOUNT / "unified"] if (_MOUNT / "systemd").is_dir() else [_MOUNT]
    return [hierarchy / "corral-lab" for hierarchy in hierarchies if hierarchy.is_dir()]


def _cleared(top: Path) -> bool:
    """Kill and remove what can be now; whether nothing is left. The dying init removes groups meanwhile."""
    for group in sorted(top.glob("**/"), reverse=True):
        with suppress(FileNotFoundError):
            for pid in (group / "cgroup.procs").read_text().split():
                processes.kill(int(pid))
        with suppress(OSError):  # its processes have not gone yet: there is a next look
            group.rmdir()
    return not top.exists()
