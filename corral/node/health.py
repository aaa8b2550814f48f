"""Whether this host does its work: the states of its units, and the checks that its tasks noted."""

import json
import subprocess
from pathlib import Path

SECONDS = 15


def unit_states(notes: Path) -> dict[str, str]:
    """{unit: "active", "failed"…} of the units that are to run, and of any other one that failed.

    Left out are those that found a condition unmet, as chrony does in a container (systemd.unit(5)).
    """
    units = (notes / "units").read_text().split() if (notes / "units").exists() else []
    states = {}
    for unit in units:
        shown = _said("systemctl", "show", "--property=ActiveState,ConditionResult", "--", unit)
        said = dict(line.partition("=")[::2] for line in shown.splitlines())
        if said.get("ActiveState") != "inactive" or said.get("ConditionResult") != "no":
            states[unit] = said.get("ActiveState", "unknown")
    failed = _said("systemctl", "list-units", "--state=failed", "--plain", "--no-legend", "--no-pager")
    return states | {line.split()[0]: "failed" for line in failed.splitlines() if line.strip()}


def failing(notes: Path) -> list[dict[str, str]]:
    """Checks that fail: {"check", "said"} of each."""
    if not (notes / "health").exists():
        return []
    checks = [json.loads(line) for line in (notes / "health").read_text().splitlines()]
    found = []
    for check in checks:
        said = _complaint(check["command"])
        if said is not None:
            found.append({"check": check["name"], "said": said})
    return found


def _complaint(command: str) -> str | None:
    try:
        run = subprocess.run(
            ["sh", "-c", command],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return f"no end after {SECONDS} s"
    return (
        None if run.returncode == 0 else (run.stdout + run.stderr).strip()[-1000:] or f"code {run.returncode}"
    )


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False).stdout
