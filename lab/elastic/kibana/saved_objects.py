"""Saved objects: data views, searches and dashboards, imported and exported as lines of JSON.

Source: "Saved objects APIs" of Kibana's reference, and github.com/elastic/kibana,
src/core/packages/saved-objects/import-export-server-internal (import/lib/validate_references.ts).
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

TYPES = (
    "config",
    "dashboard",
    "index-pattern",
    "lens",
    "map",
    "query",
    "search",
    "tag",
    "url",
    "visualization",
)
_MUST_EXIST = ("index-pattern", "search")
Object = dict[str, Any]


class Invalid(Exception):
    """The lines are no saved objects."""


class SavedObjects:
    """Kept in a file of Kibana's data folder; the real ones are in Elasticsearch's index .kibana."""

    def __init__(self, path: Path):
        self._path = path
        self._objects: dict[tuple[str, str], Object] = {}
        if path.exists():
            self._objects = {(each["type"], each["id"]): each for each in parse(path.read_text())}

    def import_all(self, objects: list[Object], overwrite: bool) -> dict[str, Any]:
        """Take objects in, but those that can't be; what Kibana answers."""
        errors = [each for each in (self._error(one, objects, overwrite) for one in objects) if each]
        failed = {(each["type"], each["id"]) for each in errors}
        results = []
        for each in objects:
            key = (each["type"], each["id"])
            if key in failed:
                continue
            result = {"type": key[0], "id": key[1], "meta": _meta(each), "managed": False}
            results.append(result | ({"overwrite": True} if key in self._objects else {}))
            self._objects[key] = each
        self._save()
        answer = {"successCount": len(results), "success": not errors, "warnings": []}
        return (
            answer | ({"errors": errors} if errors else {}) | ({"successResults": results} if results else {})
        )

    def find(self, types: Iterable[str]) -> list[Object]:
        """All of some types, in their ids' order."""
        return [each for key, each in sorted(self._objects.items()) if key[0] in types]

    def get(self, kind: str, name: str) -> Object | None:
        """One of them."""
        return self._objects.get((kind, name))

    def _error(self, one: Object, objects: list[Object], overwrite: bool) -> dict[str, Any] | None:
        about = {"type": one["type"], "id": one["id"], "meta": _meta(one)}
        if one["type"] not in TYPES:
            return about | {"error": {"type": "unsupported_type"}}
        together = {(each["type"], each["id"]) for each in objects} | set(self._objects)
        missing = [
            {"type": each["type"], "id": each["id"]}
            for each in one.get("references", [])
            if each["type"] in _MUST_EXIST and (each["type"], each["id"]) not in together
        ]
        if missing:
            return about | {"error": {"type": "missing_references", "references": missing}}
        if not overwrite and (one["type"], one["id"]) in self._objects:
            return about | {"error": {"type": "conflict"}}
        return None

    def _save(self) -> None:
        beside = self._path.with_suffix(".new")
        beside.write_text(lines(value for _, value in sorted(self._objects.items())))
        beside.replace(self._path)


def parse(text: str) -> list[Object]:
    """Objects of lines of JSON; the line that sums an export up is left out. Raises Invalid."""
    found = []
    for line in filter(str.strip, text.splitlines()):
        try:
            one = json.loads(line)
        except ValueError as error:
            raise Invalid(f"Unexpected token in JSON: {error}") from error
        if isinstance(one, dict) and "exportedCount" in one:
            continue
        if not isinstance(one, dict) or not {"type", "id", "attributes"} <= set(one):
            raise Invalid("a saved object needs a type, an id and attributes")
        found.append(one)
    return found


def lines(objects: Iterable[Object]) -> str:
    """Objects as lines of JSON."""
    return "".join(json.dumps(each, sort_keys=True) + "\n" for each in objects)


def _meta(one: Object) -> dict[str, Any]:
    return {"title": one["attributes"].get("title", one["id"])}
