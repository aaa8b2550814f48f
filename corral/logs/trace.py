"""The whole way of one request, out of the lines that bear its id. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from corral.logs.event import Event


@dataclass(frozen=True)
class Step:
    """A line on the way. `began`: when what it tells of did; a line is written when that has ended."""

    event: Event
    began: datetime


def steps(events: Sequence[Event]) -> list[Step]:
    """What happened, in the order in which it began."""
    return sorted((Step(event, _began(event)) for event in events), key=lambda step: step.began)


def offset(step: Step, first: Step) -> float:
    """Milliseconds from the first step's beginning to this one's."""
    return (step.began - first.began) / timedelta(milliseconds=1)


def spent(way: Sequence[Step]) -> Iterator[tuple[str, float, int]]:
    """Where the time went: name, milliseconds, and how many answers or queries; outermost first."""
    for name, is_part in (("nginx", True), ("application", False)):
        answers = [step.event for step in way if _answers(step.event) and _is_nginx(step.event) == is_part]
        if answers:
            yield name, sum(event.milliseconds or 0.0 for event in answers), len(answers)
    database = [step.event for step in way if step.event.number_of("database.duration") is not None]
    if database:
        queries = sum(event.number_of("database.queries") or 0.0 for event in database)
        total = sum(event.number_of("database.duration") or 0.0 for event in database)
        yield "database", total / 1e6, int(queries)


def _began(event: Event) -> datetime:
    return event.moment - timedelta(milliseconds=event.milliseconds or 0.0)


def _answers(event: Event) -> bool:
    return event.milliseconds is not None and event.get("http.response.status_code") is not None


def _is_nginx(event: Event) -> bool:
    return event.text("service.name") == "nginx"
