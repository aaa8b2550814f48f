"""`make up`, from nothing and from a warm cache, in a fresh clone of this checkout's last commit.

bench/up.py                     takes the lab down; needs root, some minutes, and 3 GB of disk

"Nothing" means: no virtual environment, no built release, no base image, empty caches of apt, pip and npm.
The Debian packages that the machine has by then stay installed.
"""

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from _lab import ROOT, say, table, timed

CACHE = Path("/var/cache/corral-lab")
ASIDE = CACHE.with_name("corral-lab.aside")


def main() -> None:
    """Measure both; leave the lab down, and its cache as it was."""
    if os.geteuid() != 0:
        sys.exit("bench: the lab needs root. Run: sudo make bench-up")
    say("taking the lab down")
    timed(["make", "down"])
    restore_cache()  # of a measurement that was killed
    if CACHE.exists():
        CACHE.rename(ASIDE)
    try:
        with tempfile.TemporaryDirectory(prefix="corral-bench-") as scratch:
            cold, warm = measure(Path(scratch))
    finally:
        restore_cache()
    rows = [("make up from nothing", [cold]), ("make up from a warm cache", [warm])]
    table("make up", rows, {rows[0][0]: 360, rows[1][0]: 90}, base=rows[0][0])


def measure(scratch: Path) -> tuple[float, float]:
    """Seconds of the first and of the second `make up` in a new clone."""
    clone = scratch / "clone"
    timed(["git", "clone", "-q", str(ROOT), str(clone)])
    caches = {"PIP_CACHE_DIR": f"{scratch}/pip", "npm_config_cache": f"{scratch}/npm"}
    seconds = []
    for title in ("from nothing (some minutes)", "from a warm cache"):
        say(f"make up {title}")
        try:
            took, output = timed(["make", "up"], clone, **caches)
        finally:
            timed(["make", "down"], clone, **caches)
        seconds.append(took)
        steps(title, output)
    return seconds[0], seconds[1]


def restore_cache() -> None:
    """Put the lab's cache back, if it was moved aside."""
    if ASIDE.exists():
        shutil.rmtree(CACHE, ignore_errors=True)
        ASIDE.rename(CACHE)


def steps(title: str, output: str) -> None:
    """Print when each step of `make up` began, in seconds since its start."""
    print(f"\nmake up {title}: its steps")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", output)
    print("\n".join(f"  {line}" for line in plain.splitlines() if line.startswith(("[", "=="))))


if __name__ == "__main__":
    main()
