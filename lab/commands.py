"""Runs the machine's own tools (ip, nft, mount…) for the lab, and turns their failures into sentences."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from corral.errors import CorralError


def run(*command: str | Path, stdin: str | None = None, check: bool = True) -> str:
    """Run one command to its end; its stdout.

    `stdin`: text for the command. `check`: whether a non-zero exit raises
    CorralError with what the command said.
    """
    words = [str(word) for word in command]
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise CorralError(
            f"`{' '.join(words)}` failed: {done.stderr.strip() or f'exit code {done.returncode}'}",
            "`corral lab down` clears what is there; then try again.",
            "docs/lab.md",
        )
    return done.stdout


def in_namespace(namespace: str, *command: str | Path) -> list[str]:
    """The command, entering a network namespace first.

    Not `ip netns exec`: that gives the command a mount namespace of its own, with another /sys.
    """
    return ["nsenter", f"--net=/run/netns/{namespace}", *(str(word) for word in command)]


def ip_batch(lines: Sequence[str], namespace: str | None = None) -> None:
    """Run many `ip` commands (without the word ip) by one process, in a namespace when one is named."""
    where = ["-n", namespace] if namespace else []
    run("ip", *where, "-batch", "-", stdin="\n".join(lines) + "\n")
