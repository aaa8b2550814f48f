"""Words for times and versions, as the table and the page show them."""

from datetime import datetime, timedelta

# Hex digits of a bundle's digest that tell it from any other there will be (as git shows commits).
SHORT = 10
# Characters of somebody else's words that a sentence takes.
LONGEST = 300


def ago(then: datetime, now: datetime) -> str:
    """How long ago, in the one unit that matters: "40 s", "12 min", "3 h", "9 d". Of the future: "0 s"."""
    return span(now - then)


def span(time: timedelta) -> str:
    """A time in the one unit that matters."""
    seconds = max(0, int(time.total_seconds()))
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 120 * 60:
        return f"{seconds // 60} min"
    if seconds < 48 * 3600:
        return f"{seconds // 3600} h"
    return f"{seconds // 86400} d"


def clip(text: str) -> str:
    """The beginning of a text that may be any length."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def short(digest: str) -> str:
    """The beginning of a bundle's digest."""
    return digest[:SHORT]
