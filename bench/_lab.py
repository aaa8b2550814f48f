"""What the measurements share: the lab's fleet, timed commands, a small table."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from corral import aws, fleet, settings
from corral.errors import CorralError

ROOT = Path(__file__).resolve().parents[1]
LAB = settings.load("lab")


def timed(words: Iterable[str], cwd: Path = ROOT, **variables: str) -> tuple[float, str]:
    """Run a command in the lab's environment: seconds, and all it said. What fails ends the measurement."""
    environment = {**os.environ, "CORRAL_ENV": "lab", "PYINFRA_NO_COLOR": "1", **variables}
    environment["PATH"] = f"{cwd}/.venv/bin:{environment['PATH']}"
    words = list(words)
    began = time.monotonic()
    done = subprocess.run(
        words, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    seconds = time.monotonic() - began
    if done.returncode:
        log = ROOT / ".corral/bench.log"
        log.write_text(done.stdout)
        failed = f"`{' '.join(words)}` failed with exit code {done.returncode}"
        sys.exit(f"{done.stdout[-3000:]}\nbench: {failed}. All that it said is in {log}.")
    return seconds, done.stdout


def say(what: str) -> None:
    """Show on stderr that something goes on."""
    print(f"bench: {what}", file=sys.stderr, flush=True)


def client(service: str) -> Any:
    """A client of the lab's API; says how to start the lab when there is none."""
    try:
        return aws.client(LAB, service)
    except CorralError as error:
        sys.exit(f"bench: {error}")


def members(role: str) -> list[fleet.Host]:
    """The members in service of a role."""
    try:
        return [host for host in fleet.hosts(LAB) if host.role == role]
    except CorralError as error:
        sys.exit(f"bench: {error}")


def wait_for(what: str, condition: Callable[[], object], seconds: float, pause: float = 0.5) -> None:
    """Poll `condition` until it is true; end the measurement after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"bench: not within {seconds:.0f} s: {what}. See: corral lab status; corral lab logs")
        time.sleep(pause)


def table(title: str, rows: list[tuple[str, list[float]]], aim: dict[str, float], base: str = "") -> None:
    """Print median, least and most seconds of each row, its ratio to row `base`, and the aim where one is."""
    middle = {name: statistics.median(values) for name, values in rows}
    print(f"\n{title}\n  {'':38}{'median':>8}{'min':>8}{'max':>8}{'ratio':>8}{'aim':>10}")
    for name, values in rows:
        ratio = f"{middle[name] / middle[base]:.2f}" if base in middle else ""
        wanted = f"<= {aim[name]:g} s" if name in aim else ""
        numbers = f"{middle[name]:8.2f}{min(values):8.2f}{max(values):8.2f}"
        print(f"  {name:38}{numbers}{ratio:>8}{wanted:>10}")
