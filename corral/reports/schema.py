"""The schema of a report (docs/reports.md) as types; what a node wrote may be anything."""

import unicodedata
from dataclasses import field
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

SCHEMA = 1
# Keys that a newer node adds are left out, as docs/reports.md promises; what is there must be of its type.
STRICT = ConfigDict(strict=True, extra="ignore")
# Unicode's categories of what is no text to show: control characters, by which a terminal is told what to do,
# and format characters, by which a text is made to read otherwise than it is written.
HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn"}


def printable(text: str) -> str:
    """The text on one line, with a replacement character for each that is no text to show."""
    if text.isprintable():
        return text
    spaced = (" " if character in "\t\r\n" else character for character in text)
    return "".join("\ufffd" if unicodedata.category(each) in HIDDEN else each for each in spaced)


Text = Annotated[str, AfterValidator(printable)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Load = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Result = Literal["healthy", "ill", "failed"]


@dataclass(frozen=True, slots=True, config=STRICT)
class Failed:
    """The operation that failed, and the last lines of its output."""

    operation: Text
    output: tuple[Text, ...]


@dataclass(frozen=True, slots=True, config=STRICT)
class Check:
    """A check of the host's work that fails, and what it said."""

    check: Text
    said: Text


@dataclass(frozen=True, slots=True, config=STRICT)
class Past:
    """A converge before the last one, in short: `changed` and `drift` are numbers of operations."""

    started: AwareDatetime
    seconds: Seconds
    result: Result
    why: Text
    changed: Annotated[int, Field(ge=0)]
    drift: Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True, config=STRICT)
class Report:
    """One node's last converge; docs/reports.md explains each key.

    A node that never had a bundle (files/user-data.sh) gives only those that have no default.
    """

    schema: Literal[1]
    instance: Text
    role: Text
    environment: Text
    zone: Text
    address: Text
    why: Text
    started: AwareDatetime
    seconds: Seconds
    result: Result
    failed: Failed | None
    bundle: Text = ""
    commit: Text = ""
    release: Text | None = None
    changed: tuple[Text, ...] = ()
    drift: tuple[Text, ...] = ()
    ill: tuple[Check, ...] = ()
    units: dict[Text, Text] = field(default_factory=dict)
    load: tuple[Load, Load, Load] = (0.0, 0.0, 0.0)
    host_keys: tuple[Text, ...] = ()
    history: tuple[Past, ...] = ()


_adapter = TypeAdapter(Report)


def parse(body: bytes) -> Report | str:
    """The report that `body` (JSON) holds; when it is none, a sentence that says why."""
    try:
        return _adapter.validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
    except RecursionError:
        return "its report is nested too deeply to be read."
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "json_invalid":
        return "its report is not JSON."
    if first["loc"] == ("schema",) and first["type"] != "missing":
        return f"its report is of another schema than {SCHEMA}; this corral and its bundle differ in age."
    return f"its report is not as docs/reports.md says: {printable(where) or 'all of it'}: {first['msg']}."
