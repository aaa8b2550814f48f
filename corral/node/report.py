"""A node's report: what its last converge was and found (docs/reports.md). Pure but for its ends."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from corral import ROOT
from corral.node.identity import STATE, Node
from corral.node.run import Outcome

SCHEMA = 1
# How many converges before this one a report still tells of.
HISTORY = 24
AWS = ROOT / "files" / "host" / "aws"
FILE = STATE / "report.json"
# There while the newest report has not reached S3.
UNSENT = STATE / "unsent"

Report = dict[str, Any]


@dataclass(frozen=True)
class Facts:
    """What is known of a converge that has ended. Times in seconds since 1970; `why`: "boot" or "tick"."""

    why: str
    started: float
    ended: float
    outcome: Outcome
    ill: Sequence[Mapping[str, str]]
    units: Mapping[str, str]
    bundle: str
    commit: str
    release: str | None
    load: tuple[float, ...]
    host_keys: Sequence[str]


def compose(node: Node, facts: Facts, before: Report | None) -> Report:
    """The report of a converge. `before`: the report of the last one; None on a new node."""
    before = before or {}
    versions = {"bundle": facts.bundle, "release": facts.release}
    same = {key: before.get(key) for key in versions} == versions
    settled = before.get("result") == "healthy"
    result = "failed" if facts.outcome.failed else "ill" if facts.ill else "healthy"
    return {
        "schema": SCHEMA,
        "instance": node.instance,
        "role": node.role,
        "environment": node.environment,
        "zone": node.zone,
        "address": node.address,
        "why": facts.why,
        "started": _time(facts.started),
        "seconds": round(facts.ended - facts.started, 1),
        "result": result,
        **versions,
        "commit": facts.commit,
        "changed": list(facts.outcome.changed),
        # What differs although nothing new was asked for, somebody else has changed.
        "drift": list(facts.outcome.changed) if same and settled else [],
        "failed": facts.outcome.failed
        and {"operation": facts.outcome.failed, "output": list(facts.outcome.output)},
        "ill": list(facts.ill),
        "units": dict(facts.units),
        "load": list(facts.load),
        "host_keys": list(facts.host_keys),
        "history": _history(before),
    }


def _history(before: Report) -> list[Report]:
    """The converges before this one, newest first, in short."""
    if not before:
        return []
    short = {key: before.get(key) for key in ("started", "seconds", "result", "why")}
    short |= {"changed": len(before.get("changed", [])), "drift": len(before.get("drift", []))}
    return [short, *before.get("history", [])][:HISTORY]


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def last(file: Path = FILE) -> Report | None:
    """The last report of this node; None when there is none, or when it can't be read."""
    try:
        found: Report = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if found.get("schema") == SCHEMA else None


def keep(report: Report, file: Path = FILE) -> None:
    """Write the report down, to be sent now or later."""
    beside = file.with_suffix(".new")
    beside.write_text(json.dumps(report, indent=1), encoding="utf-8")
    UNSENT.touch()
    beside.replace(file)


def send(node: Node) -> str | None:
    """Send the report to S3; what was wrong, when it did not arrive: a later tick sends it again."""
    key = f"reports/{node.environment}"
    run = subprocess.run(
        [AWS, "s3-put-report", node.bucket, key, FILE], capture_output=True, text=True, check=False
    )
    if run.returncode:
        return run.stderr.strip() or f"code {run.returncode}"
    UNSENT.unlink(missing_ok=True)
    return None
