"""The questions that a converge asked about its host, as one shell script that asks them all again (pure)."""

import json
import shlex
from collections.abc import Iterable
from pathlib import Path

from corral import ROOT

SCRIPTS = ROOT / "tasks" / "lib" / "scripts"
# Scripts that take any number of things, and how many arguments come before these. Asked for all of them at
# once, they cost a tick a fraction of the processes.
MANY = {"files_state.sh": 0, "services_state.sh": 1}


def script(noted: Iterable[str], scripts: Path = SCRIPTS) -> str:
    """Shell text. `noted`: lines of tasks/lib/notes.py, each with a script and its arguments."""
    asked: list[tuple[str, list[str]]] = []
    merged: dict[tuple[str, ...], list[str]] = {}
    for line in noted:
        question = json.loads(line)
        name, arguments = question["script"], question["arguments"]
        if name not in MANY:
            asked.append((name, arguments))
            continue
        common = MANY[name]
        key = (name, *arguments[:common])
        if key not in merged:
            merged[key] = arguments[:common]
            asked.append((name, merged[key]))
        merged[key] += arguments[common:]
    return "".join(_block(name, arguments, scripts) for name, arguments in asked)


def _block(name: str, arguments: list[str], scripts: Path) -> str:
    # In a process of its own, for it may end early or turn into another program.
    text = (scripts / name).read_text(encoding="utf-8")
    return f"(\nset -- {shlex.join(arguments)}\n{text}\n)\n"
