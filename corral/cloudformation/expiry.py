"""Which environments have outlived their day. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from corral.cloudformation.stacks import Stack
from corral.errors import CorralError
from corral.settings import Settings
from corral.stack.template import EXPIRES

SEE = "docs/branches.md"


@dataclass(frozen=True, order=True)
class Expiry:
    """An environment with a day after which nobody misses it. `reference`: what `-e` calls it."""

    day: date
    reference: str
    domain: str
    created: datetime

    def expired(self, today: date) -> bool:
        """Whether its day is over."""
        return self.day < today

    def age_days(self, now: datetime) -> int:
        """Whole days since it was made."""
        return (now - self.created).days


def today() -> date:
    """The day, in UTC as everywhere in AWS."""
    return datetime.now(UTC).date()


def of(stacks: Iterable[Stack]) -> list[Expiry]:
    """The stacks that are to go one day, the first to go first."""
    return sorted(
        Expiry(date.fromisoformat(day), _reference(stack), _domain(stack), stack.created)
        for stack in stacks
        if (day := stack.parameters.get(EXPIRES, "never")) != "never"
    )


def day(settings: Settings, days: int | None, first: bool) -> str | None:
    """The day to tell the stack, as "2026-01-31": `days` from today, or what the settings say at `first`.

    None: the stack keeps what it has. Raises CorralError for an environment that is no branch's.
    """
    if days is not None and not settings.pattern:
        problem = f"Environment {settings.reference} is no branch's: it does not expire."
        raise CorralError(problem, "Leave --expires-in out.", SEE)
    if days is None and first and settings.pattern:
        days = settings.branch_days
    return None if days is None else (today() + timedelta(days=days)).isoformat()


def _reference(stack: Stack) -> str:
    environment = stack.tags.get("corral:environment", stack.name)
    file = stack.tags.get("corral:file", environment)
    return environment if file == environment else f"{file}/{environment}"


def _domain(stack: Stack) -> str:
    return stack.outputs.get("Site", "").removeprefix("https://").rstrip("/")
