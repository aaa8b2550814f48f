"""Asks a person whether to go on; where nobody is there, only an option says yes."""

import sys

import click

from corral.errors import CorralError


def confirm(question: str, yes: bool) -> None:
    """Go on if `yes`, or if a person says so. Raises click.Abort, or CorralError when nobody is there."""
    if yes:
        return
    refuse_without_a_person("Give -y to go on without asking.")
    click.confirm(question, abort=True)


def confirm_by_name(name: str, given: str | None) -> None:
    """Go on if `given`, or what a person types, is the name. Raises CorralError otherwise."""
    if given is None:
        refuse_without_a_person(f"Give --yes {name} to go on without asking.")
        given = click.prompt(
            f"Type the environment's name ({name}) to delete it", default="", show_default=False
        )
    if given != name:
        raise CorralError(f"{given!r} is not the name {name}: nothing was deleted.")


def a_person_is_there() -> bool:
    """Whether somebody sits at a terminal."""
    return sys.stdin.isatty()


def refuse_without_a_person(remedy: str) -> None:
    """Raise CorralError when nobody can answer."""
    if not a_person_is_there():
        raise CorralError("There is nobody to ask whether to go on.", remedy)
