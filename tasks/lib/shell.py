"""Runs the shell scripts beside it (`scripts/`) on a host: one command each, the payload on stdin."""

import shlex
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from pyinfra.api import StringCommand
from pyinfra.api.exceptions import OperationValueError

from tasks.lib import notes

SCRIPTS = Path(__file__).parent / "scripts"

# Locks, markers and staged files live here: gone at a reboot, as is all that they stand for.
RUN_DIRECTORY = "/run/corral"


@cache
def _text(script: str) -> str:
    return (SCRIPTS / script).read_text()


def command_line(script: str, *arguments: str) -> str:
    """The shell text that runs `scripts/<script>` with `arguments` as its $1, $2 and so on.

    The script is part of the command, so nothing needs to be on the host before, and no shell more than
    pyinfra's starts. Scripts named `…_state.sh` ask and change nothing.
    """
    if script.endswith("_state.sh"):
        notes.question(script, arguments)
    return f"set -- {shlex.join(arguments)}\n{_text(script)}"


def run_script(script: str, *arguments: str, stdin: str = "") -> StringCommand:
    """A command to yield from an operation: `scripts/<script>` with `arguments` and `stdin` (ASCII).

    What goes by `stdin` is part of no command line, so it is in no process list and in no log of pyinfra's.
    """
    more = {"_stdin": stdin} if stdin else {}
    return StringCommand(command_line(script, *arguments), **more)


def checked_path(path: str) -> str:
    """`path` itself, if a shell command and pyinfra's lines can carry it; else an OperationValueError."""
    if not path.startswith("/") or path.endswith("/") or "/../" in f"{path}/":
        raise OperationValueError(
            f"{path!r} is no full path: begin it with /, end it with a name, leave out '..'."
        )
    if not path.isprintable():
        raise OperationValueError(
            f"{path!r} has characters that are not printable UTF-8; no path of a task's may have them."
        )
    return path


def repeated(groups: Iterable[Iterable[str]]) -> list[str]:
    """Groups of arguments, one after the other, for a script that shifts through them."""
    return [argument for group in groups for argument in group]
