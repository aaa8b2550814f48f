"""npm as corral calls it: the pinned one beside our Python, or of the host, its output kept in a log."""

import os
import re
import subprocess
import sys
from pathlib import Path

from corral.errors import CorralError

SEE = "docs/releases.md"
SHOWN = 30


def node_version() -> str:
    """Version of the Node that builds, such as "24.19.0"; raises CorralError when it is not installed."""
    return _run(["node", "--version"], Path(sys.prefix), None).strip().removeprefix("v")


def npm(*words: str, cwd: Path, log: Path) -> None:
    """Run npm with `words` in `cwd`, its output appended to `log`. Raises CorralError with the last lines."""
    _run(["npm", *words], cwd, log)


def _run(words: list[str], cwd: Path, log: Path | None) -> str:
    # A release server has Node from the same archives as the app servers (tasks/release.py).
    tools = Path(os.environ.get("CORRAL_TOOLS") or Path(sys.prefix) / "bin")
    if not (tools / words[0]).exists():
        raise CorralError(
            f"{words[0]} is not installed in {tools}.",
            "Run `make install`: it brings the pinned Node that builds releases.",
            SEE,
        )
    # NODE_ENV=production, as a shell may have it, would make npm leave out what the build needs.
    environment = {name: value for name, value in os.environ.items() if name != "NODE_ENV"}
    environment["NO_COLOR"] = "1"
    environment["PATH"] = f"{tools}{os.pathsep}{environment.get('PATH', os.defpath)}"
    done = subprocess.run(
        [str(tools / words[0]), *words[1:]],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    plain = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)  # some tools colour whatever they are told
    if log:
        with log.open("a", encoding="utf-8") as file:
            file.write(f"$ {' '.join(words)}\n{plain}")
    if done.returncode:
        last = "\n".join(f"    {line}" for line in plain.strip().splitlines()[-SHOWN:])
        where = f" All of its output is in {log}." if log else ""
        raise CorralError(
            f"`{' '.join(words)}` failed with exit code {done.returncode}; its last lines:\n{last}",
            f"Mend what it says, and build again.{where}",
            SEE,
        )
    return done.stdout
