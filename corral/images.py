"""The machine image that an environment's servers boot: pinned in a parameter of its own, renewed when asked.

A public parameter such as Debian's names another image every few weeks. Pinned, a server that is replaced
tomorrow boots what its neighbours boot.
"""

from dataclasses import dataclass
from typing import Any

from corral import parameters
from corral.aws import client, explained
from corral.errors import CorralError
from corral.settings import Settings

SEE = "docs/stack.md"


@dataclass(frozen=True)
class Pin:
    """The image that is pinned now, and what was pinned before: None when nothing was."""

    image: str
    before: str | None

    @property
    def moved(self) -> bool:
        """Whether it is another one than before."""
        return self.image != self.before


def pinned(settings: Settings) -> str | None:
    """The id of the environment's image; None before the first apply.

    Raises CorralError when it is another project's environment of the same name that has pinned one.
    """
    with explained(settings):
        found = _value(client(settings, "ssm"), settings.image_parameter)
    if found:
        parameters.refuse_anothers(settings, settings.image_parameter)
    return found


def latest(settings: Settings) -> str:
    """The id of the image that the setting image.parameter names now. Raises CorralError."""
    with explained(settings):
        found = _value(client(settings, "ssm"), settings.image.parameter)
    if found is None:
        raise CorralError(
            f"image.parameter: there is no parameter {settings.image.parameter} in {settings.region}.",
            "Name one that `aws ssm get-parameter` finds, such as Debian's in docs/settings.md.",
            "docs/settings.md",
        )
    return found


def pin(settings: Settings, renew: bool) -> Pin:
    """Pin the latest image where none is pinned, or if `renew`."""
    before = pinned(settings)
    if before and not renew:
        return Pin(before, before)
    made = Pin(latest(settings), before)
    if made.moved:
        _write(settings, made.image, again=before is not None)
    return made


def unpin(settings: Settings, made: Pin) -> None:
    """Take `pin` back: nothing was applied."""
    if not made.moved:
        return
    if made.before:
        _write(settings, made.before, again=True)
        return
    with explained(settings):
        client(settings, "ssm").delete_parameter(Name=settings.image_parameter)


def _value(ssm: Any, name: str) -> str | None:
    try:
        return str(ssm.get_parameter(Name=name)["Parameter"]["Value"])
    except ssm.exceptions.ParameterNotFound:
        return None


def _write(settings: Settings, image: str, again: bool) -> None:
    # Tags cannot be given when a value is overwritten. No data type "aws:ec2:image": such a parameter exists
    # only after a while, when EC2 has looked at it (Systems Manager User Guide, "Native parameter support").
    more = {"Overwrite": True} if again else {"Tags": parameters.tags(settings)}
    with explained(settings):
        client(settings, "ssm").put_parameter(
            Name=settings.image_parameter,
            Value=image,
            Type="String",
            Description=f"{settings.project}, made by corral",
            **more,
        )
