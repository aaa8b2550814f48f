"""What would change on a fleet: true dry runs of pyinfra over all its hosts, some at a time."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from corral.errors import CorralError
from corral.reports import printable
from corral.settings import ROOT, Settings
from corral.status.words import clip

SEE = "docs/converge.md"
# Hosts of one run: enough that pyinfra's start counts little, few enough that one host's fault costs little.
CHUNK = 25
# pyinfra keeps one core busy.
RUNS = os.cpu_count() or 1
COMMAND = ("-m", "pyinfra", "--dry", "--json", "--fail-percent", "0", "inventory/aws.py", "deploy.py")
# What pyinfra says of a host that is well: "[10.42.16.4] Connected", "[10.42.16.4] Ready: deploy.py".
OF_HOST = re.compile(r"^\s*\[([^\]\s]+)\] (.*)$", re.MULTILINE)
WELL = ("Connected", "Ready:")
# How the inventory refuses a host that went while nobody looked (corral/inventory.py).
GONE = re.compile(r"corral: --limit (\S+): no host")
LINES = 5

Run = Callable[[list[str]], subprocess.CompletedProcess[str]]


@dataclass(frozen=True)
class Found:
    """What a look at one host found: operations that would change something; or why there was no look."""

    changes: tuple[str, ...] = ()
    problem: str = ""


def look(hosts: list[str], run: Run) -> Iterator[dict[str, Found]]:
    """Look at all hosts, by address; yields what is found of each chunk as it comes. Raises CorralError.

    `run`: runs pyinfra on the hosts that it is given.
    """
    chunks = [hosts[start : start + CHUNK] for start in range(0, len(hosts), CHUNK)]
    with ThreadPoolExecutor(RUNS) as pool:
        yield from pool.map(lambda chunk: _look(chunk, run), chunks)


def dry_run(settings: Settings, root: Path = ROOT) -> Run:
    """Runs pyinfra on some hosts of the environment by what is at `root`, without changing anything."""
    environment = {name: value for name, value in os.environ.items() if name != "PYINFRA_YES"}
    environment |= {"CORRAL_ENV": settings.reference, "NO_COLOR": "1"}

    def run(hosts: list[str]) -> subprocess.CompletedProcess[str]:
        limits = [word for host in hosts for word in ("--limit", host)]
        return subprocess.run(
            [sys.executable, *COMMAND, *limits],
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )

    return run


def _look(hosts: list[str], run: Run) -> dict[str, Found]:
    """Exit code 0 means that every host was looked at, since no host may fail. After any other the hosts that
    pyinfra complains of are looked at one by one, and the rest again: its plan doesn't say who is left out.
    """
    done = run(hosts)
    if done.returncode == 0:
        return {host: Found(changes) for host, changes in planned(done.stdout, hosts).items()}
    if len(hosts) == 1:
        return {hosts[0]: Found(problem=complaint(done.stderr, hosts[0]))}
    found: dict[str, Found] = {}
    for part in _parts(hosts, done.stderr):
        found |= _look(part, run)
    return found


def _parts(hosts: list[str], said: str) -> list[list[str]]:
    named = {host for host, words in OF_HOST.findall(said) if not words.startswith(WELL)}
    named |= set(GONE.findall(said))
    suspects = [host for host in hosts if host in named]
    rest = [host for host in hosts if host not in named]
    if suspects:
        return [[host] for host in suspects] + ([rest] if rest else [])
    if not any(host in said for host in hosts):
        raise CorralError(
            f"pyinfra did not get as far as any host: {_last(said.splitlines())}",
            "Mend what it says; it says more by: pyinfra inventory/aws.py deploy.py --dry",
            SEE,
        )
    middle = len(hosts) // 2
    return [hosts[:middle], hosts[middle:]]


def planned(printed: str, hosts: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Names of the operations that would change something, by host, from the JSON of a dry run (pure)."""
    plan = json.loads(printed)["plan"]
    return {
        host: tuple(each["name"].strip() for each in plan if host in each["hosts_with_change"])
        for host in hosts
    }


def complaint(said: str, host: str) -> str:
    """What pyinfra said last about a host that it could not look at (pure)."""
    if host in GONE.findall(said):
        return "It is in service no more."
    lines = [words for name, words in OF_HOST.findall(said) if name == host and not words.startswith(WELL)]
    return _last(lines or said.splitlines())


def _last(lines: Iterable[str]) -> str:
    kept = [line.strip() for line in lines if line.strip()][-LINES:]
    return clip(printable(" ".join(kept))) or "pyinfra said nothing."
