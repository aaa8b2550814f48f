"""Rendered templates as tests look at them."""

import json
from functools import cache

from corral.settings import load
from corral.stack import render


@cache
def rendered(name):
    """The template of environment `name`."""
    return json.loads(render(load(name)))


def resources(name, kind=None):
    """Its resources by title; of one type."""
    everything = rendered(name)["Resources"]
    return {title: each for title, each in everything.items() if kind in (None, each["Type"])}


def properties(name, kind):
    """Properties of its resources of one type, by title; there is at least one."""
    found = {title: each["Properties"] for title, each in resources(name, kind).items()}
    assert found, f"{name} has no {kind}"
    return found
