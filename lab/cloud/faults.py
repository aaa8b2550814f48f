"""S3 that fails the lab's hosts for a while, on purpose: by errors, or by garbage (`corral lab fault`)."""

import json
import time
from collections.abc import Callable
from typing import Any

from lab.cloud import state

KINDS = ("errors", "garbage")
ERROR = b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"
GARBAGE = b"\x1f\x8b<html>It works!</html>\n"


def begin(kind: str, seconds: float) -> None:
    """Let S3 fail the hosts from now on. `kind`: one of KINDS; 0 `seconds` ends it."""
    (state.directory() / "fault.json").write_text(
        json.dumps({"kind": kind, "until": time.time() + seconds}), encoding="utf-8"
    )


def answer(application: Callable[..., Any]) -> Callable[..., Any]:
    """The application, in whose place a fault answers hosts."""

    def respond(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        kind = _current() if _host_asks_s3(environ) else ""
        if not kind:
            return application(environ, start_response)
        status, body = ("500 Internal Server Error", ERROR) if kind == "errors" else ("200 OK", GARBAGE)
        start_response(
            status, [("Content-Type", "application/octet-stream"), ("Content-Length", str(len(body)))]
        )
        return [body]

    return respond


def _host_asks_s3(environ: dict[str, Any]) -> bool:
    # "AWS4-HMAC-SHA256 Credential=ASIA…/20261125/eu-west-1/s3/aws4_request, …": so a role's keys begin.
    said = str(environ.get("HTTP_AUTHORIZATION", ""))
    return "Credential=ASIA" in said and "/s3/aws4_request" in said


def _current() -> str:
    try:
        found = json.loads((state.directory() / "fault.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ""
    return str(found["kind"]) if time.time() < found["until"] else ""
