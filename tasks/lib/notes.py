"""What a node that converges itself notes: the questions it asked, the units it keeps, its health.

The node names a folder in CORRAL_NOTES (corral/node/). Into it go

- `questions`: shell text that asks again everything this converge asked about the host's state. While the
  answers are the same, there is nothing to do: that is how a tick finds out without Python (files/node/tick);
- `units`: a line for each unit that is to run;
- `health`: a line of JSON for each check of whether the host does its work.

A push has no such folder, and nothing is noted.
"""

import json
import os
from pathlib import Path

VARIABLE = "CORRAL_NOTES"

_noted: set[tuple[str, str]] = set()


def question(text: str) -> None:
    """Note a question about the host's state: shell text that prints the answer."""
    # In a process of its own, for it may end early or turn into another program.
    _note("questions", f"(\n{text}\n)\n")


def unit(name: str) -> None:
    """Note a unit that is to run."""
    _note("units", f"{name}\n")


def health(name: str, command: str) -> None:
    """Note a check: a shell command that succeeds when what `name` says is so."""
    _note("health", json.dumps({"name": name, "command": command}) + "\n")


def _note(file: str, text: str) -> None:
    directory = os.environ.get(VARIABLE)
    # Facts are asked for more than once: to foresee, and to do.
    if directory and (file, text) not in _noted:
        _noted.add((file, text))
        with (Path(directory) / file).open("a", encoding="utf-8") as notes:
            notes.write(text)
