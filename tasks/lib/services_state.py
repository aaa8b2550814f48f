"""The fact behind service: what systemd says of many units, and which restarts are due, by one command."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyinfra.api import FactBase
from pyinfra.api.exceptions import FactProcessError

from tasks.lib.shell import RUN_DIRECTORY, command_line, repeated

# Unit file states in which `systemctl enable` has nothing to do (systemctl(1), is-enabled): there is no
# [Install] section, something else starts the unit, or the name is another one of a unit that is enabled by
# its own.
_AS_ENABLED_AS_CAN_BE = {"enabled", "static", "indirect", "generated", "alias", "transient"}
_AS_DISABLED_AS_CAN_BE = (_AS_ENABLED_AS_CAN_BE - {"enabled"}) | {"disabled", "masked", ""}


@dataclass(frozen=True)
class State:
    """A unit's properties as `systemctl show` names them, and what is due: markers of its names, "lost/…"."""

    properties: dict[str, str]
    pending: frozenset[str] = frozenset()

    def _is(self, name: str, value: str) -> bool:
        return self.properties.get(name) == value

    @property
    def stale(self) -> bool:
        """Did the unit's file change after systemd read it?"""
        return self._is("NeedDaemonReload", "yes")

    @property
    def runs(self) -> bool:
        """Is it doing, or has it done, what it should?"""
        if self.properties.get("ActiveState") in {"active", "reloading", "refreshing"}:
            return True
        if not self._is("ActiveState", "inactive") or not self._is("LoadState", "loaded"):
            return False
        skipped = self._is("ConditionResult", "no") and not self._is("ConditionTimestampMonotonic", "0")
        done = (
            self._is("Type", "oneshot")
            and self._is("RemainAfterExit", "no")
            and self._is("Result", "success")
            and not self._is("ExecMainExitTimestampMonotonic", "0")
        )
        return skipped or done

    def starts_at_boot(self, wanted: bool) -> bool:
        """Is nothing left to do to have the unit enabled (`wanted`) or disabled (not `wanted`)?"""
        allowed = _AS_ENABLED_AS_CAN_BE if wanted else _AS_DISABLED_AS_CAN_BE
        return self.properties.get("UnitFileState", "") in allowed


def parse(units: Sequence[str], output: Sequence[str]) -> dict[str, State]:
    """Read the lines of scripts/services_state.sh: what is due, "--", a block of properties for each unit.

    Raises FactProcessError when there are not as many blocks as units.
    """
    if not output:
        return {}
    divide = output.index("--")
    marks = set(output[:divide])
    blocks = [
        dict(line.partition("=")[::2] for line in block.splitlines())
        for block in "\n".join(output[divide + 1 :]).strip("\n").split("\n\n")
    ]
    if len(blocks) != len(units):
        raise FactProcessError(f"systemd spoke of {len(blocks)} units when asked for {', '.join(units)}")
    return {
        unit: State(
            block,
            frozenset(mark for mark in marks if mark.partition("/")[2] in {unit, *block["Names"].split()}),
        )
        for unit, block in zip(units, blocks, strict=True)
    }


class UnitStates(FactBase):
    """{unit: State} of `units`."""

    _units: tuple[str, ...] = ()

    @staticmethod
    def default() -> dict[str, State]:
        """Nothing is known of any unit."""
        return {}

    def command(self, units: tuple[tuple[str, str], ...]) -> str:
        """One command for all. `units`: the name of each, and what tells whether it is intact, or ""."""
        self._units = tuple(name for name, _ in units)
        return command_line("services_state.sh", RUN_DIRECTORY, *repeated(units))

    def process(self, output: list[str]) -> Any:
        """See `parse`."""
        return parse(self._units, output)
