"""The page: a query, and what was found, newest first; no script, no style from elsewhere."""

import html
from typing import Any

_STYLE = (
    "body{font:15px/1.4 sans-serif;margin:2em;max-width:120em}input[name=q]{width:60%;padding:.4em}"
    "table{border-collapse:collapse;margin-top:1em;width:100%}td,th{padding:.2em .8em .2em 0;text-align:left;"
    "vertical-align:top;border-bottom:1px solid #ddd}td:first-child{white-space:nowrap}.error{color:#b00}"
)


def render(query: str, hits: list[dict[str, Any]] | None, total: int, failed: str = "") -> str:
    """The whole page. `hits`: of Elasticsearch; `failed`: what it said instead."""
    rows = "".join(_row(hit["_source"]) for hit in hits or [])
    said = f"<p class=error>{html.escape(failed)}</p>" if failed else f"<p>{total} lines</p>"
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Logs</title>"
        f"<style>{_STYLE}</style><h1>Logs</h1><p>The lab's stand-in for Kibana.</p>"
        f'<form><label>Query <input name=q value="{html.escape(query)}" '
        'placeholder="http.request.id:… AND log.level:error"></label> <button>Search</button></form>'
        f"{said}<table><tr><th>Time<th>Host<th>Level<th>Message</tr>{rows}</table>"
    )


def _row(source: dict[str, Any]) -> str:
    cells = (
        source.get("@timestamp"),
        _inner(source, "host", "name"),
        _inner(source, "log", "level"),
        source.get("message"),
    )
    return "<tr>" + "".join(f"<td>{html.escape(str(each or ''))}" for each in cells) + "</tr>"


def _inner(source: dict[str, Any], outer: str, inner: str) -> Any:
    value = source.get(outer)
    return value.get(inner) if isinstance(value, dict) else source.get(f"{outer}.{inner}")
