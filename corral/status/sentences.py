"""A finding: one sentence about a host or its environment, and whether somebody has to do something."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One sentence. `is_problem`: it needs somebody; otherwise it goes by, or has gone by already."""

    text: str
    is_problem: bool


def problem(text: str) -> Finding:
    """Something that needs somebody."""
    return Finding(text, True)


def note(text: str) -> Finding:
    """Something worth knowing that heals by itself, or has."""
    return Finding(text, False)
