"""Lines as they come: each once, and in time order as far as they come in time."""

import time
from collections.abc import Callable, Iterable, Iterator

from corral.logs.event import Event
from corral.logs.query import Heads

# How often Elasticsearch is asked, in seconds. It shows new lines once a second.
EVERY = 1.0


def follow(
    heads: Callable[[Heads], Heads],
    first: Callable[[Heads], Iterable[Event]],
    lines: Callable[[Heads, Heads], Iterable[Event]],
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Event]:
    """Lines that there are, as `first` gives them, then every line that comes, for ever.

    `heads` gives the number of each index's newest line, and is given its last answer; `lines` what came
    between two of its answers.
    """
    shown = heads({})
    yield from first(shown)
    while True:
        # A line has its number a little before it is found: a second later all up to this one are.
        known = heads(shown)
        sleep(EVERY)
        if known != shown:
            yield from lines(shown, known)
            shown = known
