"""Renders what lands on hosts: `templates/` with a host's data; a name that is not there is an error."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError
from pyinfra.api.exceptions import OperationValueError

ROOT = Path(__file__).resolve().parents[2]


@cache
def _environment() -> Environment:
    # These are configuration files and shell, so nothing is escaped as HTML would be.
    return Environment(
        loader=FileSystemLoader(ROOT),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(source: str, data: Mapping[str, Any]) -> str:
    """The text of the template `source` ("templates/nginx/site.conf.j2") with the names of `data`.

    Raises OperationValueError when the template is missing, has an error, or uses a name that `data` has not.
    The message holds names, never values: a value may be a secret.
    """
    try:
        return _environment().get_template(source).render(data)
    except TemplateError as error:
        raise OperationValueError(
            f"{source}: {type(error).__name__}: {error}. A template sees the host's data "
            "(inventory/group_data/) and the `data` of its File."
        ) from None
