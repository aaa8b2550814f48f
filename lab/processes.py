"""Starts and stops long-running processes of the lab: each its own session, known by pid and start time."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from corral.errors import CorralError

# The process writes its own pid file before it becomes the command, so that a starter killed in between
# leaves no process that nobody knows. Field 22 of /proc/PID/stat is the start time (proc(5)).
_RECORD_AND_BECOME = 'echo "$$ $(cut -d" " -f22 /proc/$$/stat)" >"$0.new" && mv "$0.new" "$0" && exec "$@"'


# In the environment of every process of the lab and of its children, so that none can be overlooked.
MARK = {"CORRAL_LAB_PROCESS": "yes"}


@dataclass(frozen=True)
class Process:
    """A process that can't be mistaken for a later one with the same number."""

    pid: int
    start_time: str

    @property
    def alive(self) -> bool:
        """Whether it still runs; a zombie does not."""
        state = _state(self.pid)
        return state is not None and state[1] == self.start_time and state[0] != "Z"

    def signal(self, number: int) -> None:
        """Send a signal, when it is still this process."""
        if self.alive:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return  # It ended between the look and the signal: what was wanted.


def spawn(
    pid_file: Path, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Process:
    """Start a command in a session of its own, its output appended to `log`; it outlives its starter.

    `environment`: variables beside those of this process. Raises CorralError when it does not start.
    """
    pid_file.unlink(missing_ok=True)
    with log.open("ab") as output:
        subprocess.run(
            ["setsid", "--fork", "sh", "-c", _RECORD_AND_BECOME, str(pid_file), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(environment or {}), **MARK},
            cwd="/",
            check=True,
        )
    wait_until(pid_file.exists, seconds=10)
    started = recorded(pid_file)
    if started is None:
        raise CorralError(
            f"{command[0]} did not start within 10 s.", f"Its words are in {log}.", "docs/lab.md"
        )
    return started


def recorded(pid_file: Path) -> Process | None:
    """The process that a pid file names, alive or not; None without a file."""
    try:
        pid, start_time = pid_file.read_text().split()
    except (FileNotFoundError, ValueError):
        return None
    return Process(int(pid), start_time)


def stop(process: Process, grace: float = 5.0) -> None:
    """End a process and all of its session: SIGTERM, then SIGKILL after `grace` seconds.

    The record may be older than the machine's last boot, its number somebody else's by now: of the session
    only processes with the lab's mark are ended.
    """
    process.signal(signal.SIGTERM)
    wait_until(lambda: not process.alive, seconds=grace)
    process.signal(signal.SIGKILL)
    wait_until(lambda: not process.alive, seconds=5)
    for pid in session_members(process.pid):
        if marked(pid):
            kill(pid)


def session_members(session: int) -> list[int]:
    """Pids of the processes in a session (field 6 of /proc/PID/stat), such as a dead master's workers."""
    return [pid for pid in all_pids() if (fields := _fields(pid)) and fields[3] == str(session)]


def kill(pid: int) -> None:
    """SIGKILL to a process that may be gone already."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def all_pids() -> list[int]:
    """Every process of the machine."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def marked(pid: int) -> bool:
    """Whether a process was started by the lab, or by a process of the lab."""
    mark = "".join(f"{name}={value}" for name, value in MARK.items()).encode()
    try:
        return mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # it ended meanwhile
        return False


def children(pid: int) -> list[int]:
    """Pids of a process's children."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def wait_until(condition: Callable[[], bool], seconds: float, interval: float = 0.02) -> bool:
    """Wait for a condition; whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(interval)
    return True


def _fields(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the third (state) on; None when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _state(pid: int) -> tuple[str, str] | None:
    fields = _fields(pid)
    return (fields[0], fields[19]) if fields else None
