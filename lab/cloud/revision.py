"""Counts changes, so that who follows the API need not ask for everything every second."""

import itertools
from collections.abc import Callable
from typing import Any

PATH = "/corral/revision"
# Calls that begin so change nothing.
READS = ("Describe", "Get", "List", "Head", "Validate")

_numbers = itertools.count(1)
_current = 0


def changed() -> None:
    """Something is, or may be, another than before."""
    global _current
    _current = next(_numbers)


def called(action: Any) -> None:
    """A call of the API came in."""
    if not str(action).startswith(READS):
        changed()


def answer(application: Callable[..., Any]) -> Callable[..., Any]:
    """The application, which also tells the number of the newest change at PATH."""

    def respond(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if environ.get("PATH_INFO") != PATH:
            return application(environ, start_response)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [str(_current).encode()]

    return respond
