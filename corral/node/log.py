"""A node's converge as a line of its log, beside the report, to be found with all other logs."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from corral.node.report import Report

# Read by Filebeat (tasks/logging.py).
FILE = Path("/var/log/corral/converge.json")
LEVELS = {"healthy": "info", "ill": "error", "failed": "error"}


def line(report: Report, now: datetime) -> dict[str, Any]:
    """What the log says of the converge of a report that ended `now`. Names are ECS's, where it has them."""
    changed = len(report["changed"])
    how = f"{report['result']} in {report['seconds']} s, {changed} changed"
    said = {
        "@timestamp": now.astimezone(UTC).isoformat(timespec="milliseconds"),
        "log.level": LEVELS[report["result"]],
        "message": f"converge ({report['why']}): {how}",
        "service.name": "corral",
        "service.version": report["commit"],
        "event.action": "converge",
        "event.outcome": "success" if report["result"] == "healthy" else "failure",
        # In nanoseconds.
        "event.duration": round(report["seconds"] * 1e9),
        "corral.converge.why": report["why"],
        "corral.converge.result": report["result"],
        "corral.converge.changed": report["changed"],
        "corral.converge.drift": report["drift"],
    }
    if report["failed"]:
        said["error.message"] = "\n".join([report["failed"]["operation"], *report["failed"]["output"]])
    elif report["ill"]:
        said["error.message"] = "\n".join(f"{check['check']}: {check['said']}" for check in report["ill"])
    return said


def write(report: Report, file: Path = FILE) -> str:
    """Add its line; why that could not be, or "": a full disk is no reason to end a converge.

    A new host's first converge comes before anybody made its folder, or never made it.
    """
    try:
        file.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as log:
            log.write(json.dumps(line(report, datetime.now(UTC))) + "\n")
    except OSError as error:
        return str(error)
    return ""
