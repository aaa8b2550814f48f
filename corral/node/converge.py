"""One converge of this node, from its start to its report."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from corral import ROOT
from corral.node import health, identity, log, report
from corral.node.identity import STATE, Node
from corral.node.questions import script
from corral.node.run import pyinfra

AWS = report.AWS
HOST_KEYS = Path("/etc/ssh")
CURRENT = Path("/srv/app/current")
RELEASE_POINTER = STATE / "pointers" / "current.json"
BUNDLES = Path("/opt/corral/bundles")
# Of the time that a new node has, what is kept for saying that it failed.
RESERVE_SECONDS = 60
PAUSE_SECONDS = 5
# How often the launch hook is answered while nobody waits (files/host/aws, exit code 3).
ANSWERS, NOBODY_WAITS = 12, 3


def converge(node: Node, why: str) -> report.Report:
    """Bring this host to its declared state, see whether it works, and report how it went."""
    STATE.mkdir(mode=0o700, parents=True, exist_ok=True)
    before = report.last()
    notes, started = _empty(STATE / "notes"), time.time()
    outcome = pyinfra(notes)
    ill = [] if outcome.failed else health.failing(notes)
    facts = report.Facts(
        why=why,
        started=started,
        ended=time.time(),
        outcome=outcome,
        ill=ill,
        units=health.unit_states(notes),
        bundle=identity.bundle_digest(),
        commit=identity.commit(),
        release=_release(),
        load=os.getloadavg(),
        host_keys=_host_keys(),
    )
    made = report.compose(node, facts, before)
    _remember(notes if made["result"] == "healthy" else None)
    _forget_bundles()
    report.keep(made)
    tell(made)
    if problem := report.send(node):
        print(f"corral: the report is kept and will be sent later: {problem}", file=sys.stderr)
    if problem := log.write(made):
        print(f"corral: the log has no line of this converge: {problem}", file=sys.stderr)
    return made


def boot(node: Node) -> bool:
    """Converge a new node until it is healthy, and tell its group that it may serve; or that it can't.

    What it needs may come to be a little later than the node itself (its database, its release), so one that
    fails is tried again as long as the group waits. So is one whose environment names another release by now:
    a rollout counts on it (corral/rollout/driver.py).
    """
    # Only here: reading settings takes a tenth of a converge that finds nothing to do.
    from corral.settings import load

    seconds = load(node.settings).lifecycle.launch_seconds - RESERVE_SECONDS
    deadline = time.monotonic() + seconds
    STATE.mkdir(mode=0o700, parents=True, exist_ok=True)
    named = _named()
    while True:
        healthy, before = converge(node, "boot")["result"] == "healthy", named
        named = _named()
        late = time.monotonic() + PAUSE_SECONDS > deadline
        if healthy and (late or named == before):
            return complete(node, "CONTINUE")
        if late:
            complete(node, "ABANDON")
            return False
        if not healthy:
            time.sleep(PAUSE_SECONDS)


def _named() -> str:
    """The pointer to the release, fetched as a tick does, and kept: S3 may be away when the next tick comes.

    Converges go by it from then on.
    """
    subprocess.run([ROOT / "files" / "node" / "pointers"], check=False)
    if not RELEASE_POINTER.exists():
        return ""
    os.environ["CORRAL_RELEASE_POINTER"] = str(RELEASE_POINTER)
    return RELEASE_POINTER.read_text(encoding="utf-8")


def complete(node: Node, result: str) -> bool:
    """Answer the group's launch hook; whether that worked. The group may come to wait a little later."""
    for _ in range(ANSWERS):
        command = [str(AWS), "autoscaling-complete", node.group, "launch", node.instance, result]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode != NOBODY_WAITS:
            break
        time.sleep(PAUSE_SECONDS)
    said = run.stderr.strip() or f"corral: told the group {node.group}: {result}"
    print(said if run.returncode != NOBODY_WAITS else f"corral: {node.group} does not wait", file=sys.stderr)
    return run.returncode == 0


def tell(made: report.Report) -> None:
    """Say in one line how the converge went, and what is wrong in a few more."""
    changed = f"{len(made['changed'])} changed" + (", of it drift" if made["drift"] else "")
    how = f"{made['result']} in {made['seconds']} s, {changed}"
    print(f"corral: converge ({made['why']}): {how}", file=sys.stderr)
    if made["failed"]:
        print(f"corral: failed: {made['failed']['operation']}", file=sys.stderr)
    for check in made["ill"]:
        print(f"corral: {check['check']}: no: {check['said']}", file=sys.stderr)


def _empty(directory: Path) -> Path:
    """The directory with nothing in it. A converge that was killed left its own there."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    return directory


def _remember(notes: Path | None) -> None:
    """Keep the questions of a healthy converge with the answers that they give now; of any other, nothing.

    As long as the answers stay the same, a tick has nothing to do (files/node/tick, which asks likewise).
    """
    questions, fingerprint = STATE / "questions", STATE / "fingerprint"
    fingerprint.unlink(missing_ok=True)
    if notes is None or not (notes / "questions").exists():
        return
    noted = (notes / "questions").read_text(encoding="utf-8").splitlines()
    questions.write_text(script(noted), encoding="utf-8")
    run = subprocess.run(
        ["sh", ROOT / "files" / "node" / "fingerprint"], capture_output=True, text=True, check=False
    )
    if run.returncode == 0:
        fingerprint.write_text(run.stdout)


def _forget_bundles(bundles: Path = BUNDLES) -> None:
    """Keep the bundle that this host runs, and the newest other one, to go back to."""
    current = identity.bundle_digest()
    # By when they came: what an archive says of its own age is always the same.
    others = sorted(
        (path for path in bundles.iterdir() if path.name != current), key=lambda path: path.stat().st_ctime
    )
    for old in others[:-1]:
        shutil.rmtree(old, ignore_errors=True)


def _release() -> str | None:
    """The release that serves, as its folder is named."""
    try:
        return CURRENT.readlink().name
    except OSError:
        return None


def _host_keys() -> list[str]:
    """The public keys by which SSH knows this host, without comments."""
    return sorted(" ".join(path.read_text().split()[:2]) for path in HOST_KEYS.glob("ssh_host_*_key.pub"))
