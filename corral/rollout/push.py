"""One push of a rollout: pyinfra over some app servers, with the release that they are to serve."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from corral.errors import CorralError
from corral.fleet import Host
from corral.reports import printable
from corral.settings import ROOT, Settings

COMMAND = ("-m", "pyinfra", "-y")
INVENTORY = "inventory/aws.py"
STARTED = re.compile(r"Starting operation: (.*)")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# By these words the release itself is at fault, not its host, the network or S3 (files/app/app-processes,
# tasks/lib/scripts/release_watch.sh).
REFUSED = re.compile(r"corral: release \S+ is refused: |corral: the check that release \S+ is ready failed")
SHOWN = 200


@dataclass(frozen=True)
class Pushed:
    """What came of a push: nothing to complain of, or the step that failed and what was said there.

    `refused`: the release itself is at fault.
    """

    step: str = ""
    said: tuple[str, ...] = ()
    refused: bool = False

    @property
    def failed(self) -> bool:
        """Whether it went wrong."""
        return bool(self.step)


Run = Callable[[list[str]], tuple[int, list[str]]]


def push(hosts: Sequence[Host], version: str, run: Run, hold: str = "", checks: int = 0) -> Pushed:
    """Converge `hosts` with the release `version`.

    `hold`: keeps them at it against their environment's pointer (tasks/lib/releases.py); `checks`: how often
    each must say that it is ready. `run`: runs pyinfra with arguments; gives exit code and lines.
    """
    data = {"release": version, "release_hold": hold, "release_checks": str(checks)}
    # pyinfra takes values for JSON where it can, and a version may look like a number.
    words = [word for name, value in data.items() for word in ("--data", f"{name}={json.dumps(value)}")]
    code, lines = run([*_limits(hosts), *words, INVENTORY, "deploy.py"])
    return Pushed() if code == 0 else judge(lines)


def execute(host: Host, command: Sequence[str], run: Run) -> Pushed:
    """Run a command on one host, as root."""
    code, lines = run([*_limits([host]), INVENTORY, "exec", "--", shlex.join(command)])
    return Pushed() if code == 0 else replace(judge(lines), step=command[0])


def _limits(hosts: Sequence[Host]) -> list[str]:
    return [word for host in hosts for word in ("--limit", host.private_address)]


def judge(lines: Sequence[str]) -> Pushed:
    """What a run that failed says for itself (pure)."""
    said = [printable(COLOURS.sub("", line).rstrip()) for line in lines]
    starts = [(place, found.group(1)) for place, line in enumerate(said) if (found := STARTED.search(line))]
    place, step = starts[-1] if starts else (0, "reach the hosts")
    kept = [line for line in said[place + (1 if starts else 0) :] if line.strip()]
    return Pushed(step, tuple(kept[-SHOWN:]), refused(kept))


def refused(lines: Sequence[str]) -> bool:
    """Whether a converge that said this failed by the release itself (pure)."""
    return any(REFUSED.search(line) for line in lines)


def pyinfra(settings: Settings, log: Path, root: Path = ROOT) -> Run:
    """Runs pyinfra on the environment by what is at `root`; all that it says goes into `log`, too."""
    environment = os.environ | {"CORRAL_ENV": settings.reference, "NO_COLOR": "1"}

    def run(arguments: list[str]) -> tuple[int, list[str]]:
        # pyinfra would take the name of a missing file for that of a host, and end well.
        if not (root / INVENTORY).is_file():
            raise CorralError(
                f"{root} has no {INVENTORY}: no rollout can be pushed from here.",
                "Deploy from a checkout of this repository that reaches the hosts, or on the release server.",
                "docs/rollouts.md",
            )
        lines: list[str] = []
        with log.open("a", encoding="utf-8") as file:
            print("$ pyinfra", *COMMAND[2:], *arguments, file=file, flush=True)
            with subprocess.Popen(
                [sys.executable, *COMMAND, *arguments],
                cwd=root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            ) as process:
                for line in process.stdout or ():
                    file.write(line)
                    lines.append(line)
        return process.returncode, lines

    return run
