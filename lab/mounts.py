"""Mounts below a directory: found by path, unmounted from the innermost on."""

import shutil
from pathlib import Path

from corral.errors import CorralError
from lab.commands import run


def below(directory: Path) -> list[str]:
    """Mount points at or below a directory, innermost first (mountinfo's fifth field, proc(5))."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    inside = [point for point in points if point == str(directory) or point.startswith(f"{directory}/")]
    return sorted(inside, key=len, reverse=True)


def overlay(lower: Path, upper: Path, work: Path, root: Path) -> None:
    """Mount an overlay at `root`: reads come from `lower` until they are written, to `upper`."""
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    run("mount", "-t", "overlay", "corral-lab", "-o", options, root)


def unmount_below(directory: Path) -> None:
    """Unmount all at or below a directory; what is still in use goes as soon as its last user does."""
    for point in below(directory):
        run("umount", "--lazy", point)


def remove_tree(directory: Path) -> None:
    """Unmount and delete a directory; raises CorralError rather than delete through a mount that stayed."""
    if not directory.exists():
        return
    unmount_below(directory)
    if left := below(directory):
        raise CorralError(
            f"{', '.join(left)} can't be unmounted.", f"Unmount it by hand: umount -l {left[0]}"
        )
    shutil.rmtree(directory)
