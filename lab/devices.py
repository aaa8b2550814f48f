"""A host's /dev, as the machine writes into it: hosts have no udev that would name their volumes."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from lab.loops import MAJOR


def link(volume_id: str) -> str:
    """The name by which udev finds a volume: EBS's model and serial number (EC2, "Map NVMe devices")."""
    return f"nvme-Amazon_Elastic_Block_Store_{volume_id.replace('-', '')}"


def shown(leader: int, name: str, number: int) -> bool:
    """Whether a host's /dev/`name` is a loop device; `leader`: pid of the host's pid 1."""
    with _directory(leader) as dev:
        return dev is not None and _device(dev, name) == os.makedev(MAJOR, number)


def show(leader: int, name: str, number: int, volume_id: str) -> None:
    """Let a host have a loop device as /dev/`name`, and find it by its volume."""
    with _directory(leader) as dev, _directory(leader, "disk", "by-id") as by_id:
        if dev is None or by_id is None:
            return
        _remove(by_id, link(volume_id))
        os.symlink(f"../../{name}", link(volume_id), dir_fd=by_id)
        # The last of it, for by it is seen whether all is there.
        _remove(dev, name)
        os.mknod(name, stat.S_IFBLK | 0o600, os.makedev(MAJOR, number), dir_fd=dev)


def hide(leader: int, name: str, volume_id: str) -> None:
    """Take a device's names away from a host."""
    with _directory(leader) as dev, _directory(leader, "disk", "by-id") as by_id:
        if dev is not None and by_id is not None:
            _remove(by_id, link(volume_id))
            _remove(dev, name)


@contextmanager
def _directory(leader: int, *below: str) -> Iterator[int | None]:
    """A host's /dev, or a directory below it that is made where it is missing; None before it has its own.

    No link that a host may have put there is followed: it would lead into the machine's files.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    opened = [os.open(f"/proc/{leader}/root/dev", flags)]
    try:
        if os.fstat(opened[0]).st_dev == os.stat("/dev").st_dev:  # noqa: PTH116 (beside its fstat)
            yield None
            return
        for name in below:
            with suppress(FileExistsError):
                os.mkdir(name, 0o755, dir_fd=opened[-1])
            opened.append(os.open(name, flags, dir_fd=opened[-1]))
        yield opened[-1]
    finally:
        for each in opened:
            os.close(each)


def _device(directory: int, name: str) -> int | None:
    """Number of the block device of that name; None when there is none."""
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return found.st_rdev if stat.S_ISBLK(found.st_mode) else None


def _remove(directory: int, name: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory)
