"""What a node that converges itself notes: the questions it asked, the units it keeps, its health.

The node names a folder in CORRAL_NOTES (corral/node/). Into it go

- `questions`: a line of JSON for each question about the host's state: a script of `scripts/`, and its
  arguments. While the answers are the same, there is nothing to do: that is how a tick finds out without
  Python (corral/node/questions.py, files/node/tick);
- `units`: a line for each unit that is to run;
- `health`: a line of JSON for each check of whether the host does its work.

A push has no such folder, and nothing is noted.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path

VARIABLE = "CORRAL_NOTES"

_noted: set[tuple[str, str]] = set()


def question(script: str, arguments: Sequence[str]) -> None:
    """Note a question about the host's state: a script that prints the answer, and its arguments."""
    _note("questions", json.dumps({"script": script, "arguments": list(arguments)}) + "\n")


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
