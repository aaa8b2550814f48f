"""Loop devices: files of the lab as block devices of this machine (losetup(8)), found by looking in /sys."""

from collections import defaultdict
from functools import partial
from pathlib import Path

from lab import processes
from lab.commands import run

# Documentation/admin-guide/devices.txt of the kernel.
MAJOR = 7
_SECTOR = 512  # bytes; what /sys counts sizes in, whatever the device


def attached(place: Path) -> dict[Path, list[int]]:
    """Numbers of the loop devices of each file that is, or was, below a directory."""
    found = defaultdict(list)
    for link in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            file = Path(link.read_text().rstrip("\n").removesuffix(" (deleted)"))
        except OSError:  # it was detached meanwhile
            continue
        if file.is_relative_to(place.resolve()):
            found[file].append(int(link.parts[3].removeprefix("loop")))
    return dict(found)


def of(file: Path) -> int | None:
    """Number of the loop device that a file is; None when it is none."""
    return next(iter(attached(file).get(file.resolve(), [])), None)


def attach(file: Path) -> int:
    """Make a file a loop device, unless it is one; its number."""
    present = of(file)
    if present is not None:
        return present
    return int(run("losetup", "--find", "--show", file).strip().removeprefix("/dev/loop"))


def fit(number: int, size: int) -> None:
    """Let a device see that its file has grown; `size`: in bytes."""
    if int(Path(f"/sys/block/loop{number}/size").read_text()) * _SECTOR < size:
        run("losetup", "--set-capacity", f"/dev/loop{number}")


def detach(place: Path, seconds: float = 0) -> bool:
    """Detach the devices of all files at or below a path; whether all are within so many seconds.

    One that is mounted, or open, is detached as soon as it no longer is (loop(4), LOOP_CLR_FD).
    """
    return processes.wait_until(partial(_detached, place), seconds, interval=0.1)


def _detached(place: Path) -> bool:
    for numbers in attached(place).values():
        for number in numbers:
            run("losetup", "--detach", f"/dev/loop{number}", check=False)
    return not attached(place)
