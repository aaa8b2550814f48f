"""Says what pydantic found wrong with an environment file: key, problem and remedy, all at once."""

import types
import typing
from collections.abc import Iterator
from difflib import get_close_matches

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

SEE = "docs/settings.md"
# pydantic's names of errors (docs.pydantic.dev, "Validation Errors"), and TOML's words for what it wanted.
WANTED = {
    "string_type": "a text in quotes",
    "int_type": "a whole number, without quotes",
    "bool_type": "true or false, without quotes",
    "tuple_type": "a list in brackets",
    "model_type": "a table",
    "model_attributes_type": "a table",
}


def explain(file: str, error: ValidationError, model: type[BaseModel]) -> tuple[str, str]:
    """The problem and the remedy of everything that `error` found in `file`, which `model` describes."""
    lines = list(dict.fromkeys(f"  {_sentence(detail, model)}" for detail in error.errors()))
    count = "1 setting is" if len(lines) == 1 else f"{len(lines)} settings are"
    problem = "\n".join([f"{file}: {count} wrong:", *lines])
    return problem, f"Mend {file}: each line says how."


def _sentence(detail: ErrorDetails, model: type[BaseModel]) -> str:
    where = list(detail["loc"])
    key = ".".join(str(part) for part in where)
    kind, given, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return f"{key}: there is no such setting. {_did_you_mean(where, model)}"
    if kind == "missing":
        return f"{key}: is missing. Add it."
    if kind == "value_error":
        problem, _, remedy = str(context["error"]).partition("|")
        return f"{key}: {problem}. {remedy[:1].upper()}{remedy[1:]}."
    if kind in WANTED:
        return f"{key}: {given!r} is of the wrong type. Write {WANTED[kind]}."
    if kind == "string_pattern_mismatch":
        return f"{key}: {given!r} does not look right. Write a text that matches {context['pattern']}."
    if kind in {"greater_than_equal", "less_than_equal"}:
        bound = f"{context['ge']} or more" if "ge" in context else f"{context['le']} or less"
        return f"{key}: {given!r} is out of bounds. Write {bound}."
    if kind == "literal_error":
        return f"{key}: {given!r} is not one of the choices. Write one of {context['expected']}."
    return f"{key}: {given!r}: {detail['msg']}."


def _did_you_mean(where: list[int | str], model: type[BaseModel]) -> str:
    keys = dict(_keys(model))
    parent, name = ".".join(map(str, where[:-1])), str(where[-1])
    siblings = [key.rpartition(".")[2] for key in keys if key.rpartition(".")[0] == parent]
    close = get_close_matches(name, siblings, n=1)
    full = [f"{parent}.{close[0]}" if parent else close[0]] if close else []
    # A right name in the wrong table is the other common slip.
    full += [key for key in keys if key.rpartition(".")[2] == name]
    return f"Did you mean {full[0]}?" if full else f"Known here: {', '.join(sorted(siblings))}."


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, type]]:
    """Every key of the model, dotted, with its type; the environment's name comes from the file's."""
    for name, field in model.model_fields.items():
        if field.exclude:
            continue
        kind = _bare(field.annotation)
        yield prefix + name, kind
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _keys(kind, f"{prefix}{name}.")


def _bare(annotation: object) -> type:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        annotation = typing.get_args(annotation)[0]
    return typing.cast(type, typing.get_origin(annotation) or annotation)
