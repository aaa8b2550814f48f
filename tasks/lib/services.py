"""Units of a task as one operation: running, enabled, and restarted when a marker says that it is due.

    service(name="Run nginx", units=[Unit("nginx.service", health="curl -fsS
    http://127.0.0.1:81/corral/health")])

The markers are the durable restart. `config_files` leaves `/run/corral/restart/nginx.service` before it moves
a file; the file stays until the unit is active and healthy. A converge that dies in between is repaired by
the next one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pyinfra import host, state
from pyinfra.api import StringCommand, operation

from tasks.lib import notes
from tasks.lib.looks import Look
from tasks.lib.services_state import State, UnitStates
from tasks.lib.shell import RUN_DIRECTORY, repeated, run_script

_SUFFIXES = (".service", ".socket", ".timer", ".path", ".target", ".mount", ".slice")


def unit_name(unit: str) -> str:
    """The full name of a unit: "nginx" means "nginx.service", as systemctl has it."""
    return unit if unit.endswith(_SUFFIXES) else f"{unit}.service"


def markers(restarts: Sequence[str], reloads: Sequence[str]) -> list[str]:
    """The markers for these units, relative to the run directory: "restart/nginx.service"."""
    return [f"restart/{unit_name(unit)}" for unit in restarts] + [
        f"reload/{unit_name(unit)}" for unit in reloads
    ]


def if_active(unit: str, health: str) -> str:
    """The health check of a unit that systemd may skip: one that waits for a certificate need not be well."""
    return f"! systemctl -q is-active {unit} || {health}"


def stays(unit: str) -> str:
    """The health check of a unit that systemd may skip: it is up for two seconds, or was not started at all.

    One whose settings end it a moment after each start never is, though it is active now and then.
    """
    began = f"$(systemctl show --property=ActiveEnterTimestampMonotonic --value {unit})"
    age = f"read -r up _ </proc/uptime && test $((${{up%.*}} - {began} / 1000000)) -ge 2 && exit 0"
    states = f"case $(systemctl is-active {unit}) in inactive) exit 0 ;; active) {age} ;; esac"
    return f"for _ in 1 2 3 4; do {states}; sleep 1; done; exit 1"


@dataclass(frozen=True)
class Unit:
    """A systemd unit as it should be.

    `running`: active (True), stopped (False), or whatever it is (None). A oneshot that doesn't remain counts
    as running when it succeeded since boot; a unit that systemd skipped because a condition of its own
    doesn't hold counts as well. `enabled`: started at boot (True), not (False), or whatever it is (None).
    `health`: a shell command that must come to succeed after a start, restart or reload, within
    `health_seconds`. `intact`: a shell command, run in every converge, that fails when the work of a running
    unit was undone behind systemd's back; the unit is reloaded then.
    """

    name: str
    running: bool | None = True
    enabled: bool | None = True
    health: str | None = None
    health_seconds: int = 30
    intact: str | None = None

    def holds(self, state: State | None) -> bool:
        """Is it so already, with nothing pending?"""
        if state is None or state.pending or state.stale:
            return False
        enabled = self.enabled is None or state.starts_at_boot(self.enabled)
        return enabled and (self.running is None or state.runs == self.running)

    def question(self) -> tuple[str, str]:
        """What UnitStates is asked about it: its name, and what tells whether it is intact, or ""."""
        return unit_name(self.name), self.intact or ""

    def arguments(self) -> tuple[str, ...]:
        """The six arguments of this unit for scripts/services_apply.sh."""
        words = {True: "yes", False: "no", None: "any"}
        return (
            unit_name(self.name),
            words[self.running],
            words[self.enabled],
            self.health or "",
            str(self.health_seconds),
            self.intact or "",
        )


def apply_command(units: Sequence[Unit], run: str = RUN_DIRECTORY) -> StringCommand:
    """The one command that brings `units` to their state (scripts/services_apply.sh)."""
    return run_script("services_apply.sh", run, *repeated(unit.arguments() for unit in units))


def predict(marks: Sequence[str]) -> None:
    """Tell `service` what a file that differs will make due, so that a dry run shows the restart too."""
    if not state.is_executing:
        host.connector_data.setdefault("corral_predicted_marks", set()).update(marks)


def _will_be_due(unit: str) -> bool:
    marks = set() if state.is_executing else host.connector_data.get("corral_predicted_marks", set())
    return bool(marks & {f"restart/{unit}", f"reload/{unit}"})


def _note(unit: Unit) -> None:
    """A node that converges itself looks after its units at the end once more."""
    if unit.running:
        notes.unit(unit_name(unit.name))
        if unit.health:
            notes.health(f"{unit.name} is healthy", unit.health)


# What systemd says of the units of all of a host's tasks.
_states: Look[tuple[str, str], State] = Look(lambda units: host.get_fact(UnitStates, units=units))


@operation()
def _service(units: Sequence[Unit]) -> Iterator[StringCommand]:
    """Change what differs, if anything does."""
    for unit in units:
        _note(unit)
    now = _states.answers([unit.question() for unit in units])
    different = [
        unit
        for unit in units
        if _will_be_due(unit_name(unit.name)) or not unit.holds(now.get(unit_name(unit.name)))
    ]
    if different:
        yield apply_command(different)


def service(name: str, units: Sequence[Unit], **global_arguments: Any) -> Any:
    """Let `units` run and be enabled as declared, in this order; do the restarts and reloads that are due.

    `name`: what a user would call it. A unit that doesn't become active, or whose health check doesn't come
    to succeed in its time, fails the operation with the last lines of its journal, and its marker stays for
    the next converge. `global_arguments`: pyinfra's. Returns pyinfra's OperationMeta; None while units are
    gathered (tasks/lib/looks.py).
    """
    if _states.expect(unit.question() for unit in units):
        return None
    return _service(name=name, units=list(units), **global_arguments)
