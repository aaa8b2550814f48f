"""Runs pyinfra on this host, shows what it says, and tells what came of it."""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from corral import ROOT

# Lines of output that a report keeps of a failure.
KEPT = 40
COMMAND = ("-m", "pyinfra", "-y", "--json", "inventory/node.py", "deploy.py")
# "--> Starting operation: Configure nginx", in whatever colours.
STARTED = re.compile(r"Starting operation: (.*)")
# "    [@local] Success".
OF_HOST = re.compile(r"\s+\[@local\] (.*)")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Outcome:
    """What a run did: names of operations that changed something; the one that failed, and its words."""

    changed: tuple[str, ...] = ()
    failed: str | None = None
    output: tuple[str, ...] = ()


def pyinfra(notes: Path, root: Path = ROOT) -> Outcome:
    """Converge this host by what is at `root`. `notes`: the folder for what tasks/lib/notes.py notes."""
    environment = {**os.environ, "CORRAL_NOTES": str(notes), "CORRAL_LOCKED": "1", "NO_COLOR": "1"}
    # A file takes any amount of JSON while stderr is read.
    with tempfile.TemporaryFile("w+") as printed:
        with subprocess.Popen(
            [sys.executable, *COMMAND],
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        ) as process:
            lines: deque[str] = deque(maxlen=2000)
            for line in process.stderr or ():
                print(line, end="", file=sys.stderr, flush=True)
                lines.append(COLOURS.sub("", line).rstrip())
        printed.seek(0)
        return judge(process.returncode, printed.read(), lines)


def judge(code: int, printed: str, lines: Iterable[str]) -> Outcome:
    """The outcome of a run (pure). `printed`: its stdout, JSON or nothing; `lines`: its stderr.

    pyinfra prints no JSON when its last host failed, as an only one always is; its words say what failed.
    """
    said = list(lines)
    try:
        results = json.loads(printed)["results"]
        operations, failed_hosts = results["operations"], results["failed_hosts"]
    except (ValueError, KeyError, TypeError):
        operations, failed_hosts = [], []
    # Without operations no host was there at all, and pyinfra takes that for success.
    if code == 0 and operations and not failed_hosts:
        return Outcome(tuple(each["name"].strip() for each in operations if each["success"]))
    steps = list(_steps(said))
    changed = tuple(name for name, end in steps if end == "Success")
    kept = tuple(line for line in said if line.strip())[-KEPT:]
    return Outcome(changed, steps[-1][0] if steps else "Read inventory and deploy.py", kept)


def _steps(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Operations that were started, each with the last thing said of it: "Success", "No changes"…"""
    name, end = "", ""
    for line in lines:
        if found := STARTED.search(line):
            if name:
                yield name, end
            name, end = found.group(1).strip(), ""
        elif said := OF_HOST.match(line):
            end = said.group(1)
    if name:
        yield name, end
