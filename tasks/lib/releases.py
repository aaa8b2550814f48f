"""The release that a host runs, as one operation: the one its environment names, or one asked for by name.

The host reads the environment's pointer itself, with its own role, and compares it with what serves; one
command, and nothing more when both are the same.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pyinfra import host
from pyinfra.api import FactBase, FileUploadCommand, QuoteString, StringCommand, operation

from tasks.lib import notes
from tasks.lib.archives import UPLOADS
from tasks.lib.shell import command_line, run_script

ARCHIVE = "app.tar.zst"
# Whether the application has what it needs to answer (docs/releases.md).
READY = "curl -q -sS --fail-with-body --max-time 5 http://127.0.0.1:3000/readyz"


class Release(FactBase):
    """What a host should serve and what it serves, in words of scripts/release_state.sh.

    {"wanted", "sha256", "named", "hold", "current", "serving", "settings", "answers", "problem"}; a word
    that is missing is not so, or not known: on a host that was never converged all are.
    """

    @staticmethod
    def default() -> dict[str, str]:
        """Nothing is known."""
        return {}

    def command(self, bucket: str, environment: str, version: str, sha256: str) -> str:
        """One command, with two or three questions to AWS unless `sha256` is given."""
        return command_line("release_state.sh", bucket, environment, version, sha256)

    def process(self, output: list[str]) -> dict[str, str]:
        """Lines such as "wanted 20261124-3ee5b9d110"."""
        return {word: value for word, _, value in (line.partition(" ") for line in output)}


def differs(state: dict[str, str]) -> bool:
    """Is there anything to do?"""
    wanted = state.get("wanted")
    done = {"current": wanted, "serving": wanted, "answers": wanted, "settings": "same"}
    return not wanted or any(state.get(word) != value for word, value in done.items())


def refused(state: dict[str, str], until: str) -> str:
    """The version that a rollout held the host at, and takes back now, or "" (pure). `until`: see held."""
    version, _, end = state.get("hold", "").partition(" ")
    # A hold for which the pointer was moved is over: that rollout was complete.
    over = "named" in state and not end.endswith(f" {state['named']}")
    return "" if until or over or version in ("", state["wanted"]) else version


def held(state: dict[str, str], until: str) -> str | None:
    """What the file of the hold is to say afterwards; None for no such file (pure).

    `until`: what a rollout asks for, "EPOCH NAMED"; empty when none does. Then a hold stays that the host
    goes by, and any other goes.
    """
    if until:
        return f"{state['wanted']} {state['sha256']} {until}"
    hold = state.get("hold", "")
    return hold if hold.split(" ")[0] == state["wanted"] else None


@operation()
def _release(
    bucket: str, environment: str, version: str, directory: str, trial_seconds: int, hold: str
) -> Iterator[StringCommand | FileUploadCommand]:
    """Bring the wanted release into service, if another serves or none does."""
    sha256 = ""
    source = f"s3://{bucket}/releases/app"
    if directory:
        manifest = json.loads((Path(directory) / "manifest.json").read_text())
        version, sha256 = manifest["version"], manifest["sha256"]
    notes.health("the application is ready", READY)
    state = host.get_fact(Release, bucket=bucket, environment=environment, version=version, sha256=sha256)
    if problem := state.get("problem"):
        yield StringCommand("echo", QuoteString(problem), ">&2; exit 1")
        return
    state = {"wanted": version, "sha256": sha256, **state}
    if differs(state):
        at = f"{source}/{state['wanted']}/{ARCHIVE}"
        if directory:
            at = f"{UPLOADS}/{ARCHIVE}"
            yield FileUploadCommand(str(Path(directory) / ARCHIVE), at)
        arguments = (at, state["wanted"], state["sha256"], str(trial_seconds), refused(state, hold))
        yield run_script("release_apply.sh", *arguments)
    # After it serves: what is refused holds nobody.
    wanted = held(state, hold)
    if wanted != state.get("hold"):
        yield run_script("release_hold.sh", wanted or "")


def release(
    name: str,
    bucket: str,
    environment: str,
    version: str = "",
    directory: str = "",
    trial_seconds: int = 0,
    hold: str = "",
    **global_arguments: Any,
) -> Any:
    """Let the host serve a release: `version`, or the one that `environment` points to in `bucket`.

    `directory`: take it from this folder of this machine instead (what `corral release build` prints). It is
    tried for `trial_seconds` beside the one that serves. A release that does not come to serve is refused,
    and what served before still does. `hold`: "EPOCH NAMED", by which a rollout keeps the host at `version`,
    though its environment names another, until that time in seconds or until the pointer that was moved at
    NAMED is moved again. Returns pyinfra's OperationMeta.
    """
    return _release(
        name=name,
        bucket=bucket,
        environment=environment,
        version=version,
        directory=directory,
        trial_seconds=trial_seconds,
        hold=hold,
        **global_arguments,
    )


@operation()
def _watch(version: str, times: int, doors: Sequence[str]) -> Iterator[StringCommand]:
    """Ask whether the release is ready, so many times, and at the doors."""
    yield run_script("release_watch.sh", version, str(times), *doors)


def watch_release(name: str, version: str, times: int, doors: Sequence[str], **global_arguments: Any) -> Any:
    """Fail unless `version` says that it is ready, `times` times, a second apart. What it says is shown.

    `doors`: URLs that must be good then, too, once. Returns pyinfra's OperationMeta.
    """
    return _watch(name=name, version=version, times=times, doors=list(doors), **global_arguments)
