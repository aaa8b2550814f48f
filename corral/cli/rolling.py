"""Runs a rollout for the command line: what speaks against it, its lock, its progress, its record."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import click

from corral.cli.artifacts import me
from corral.cli.common import console, errors
from corral.errors import CorralError
from corral.releases import bad, store
from corral.releases.bucket import Bucket
from corral.releases.choice import place
from corral.rollout import lock, plan, push, record, world
from corral.rollout.driver import Rollout, names, run_hook
from corral.rollout.progressive import Progressive
from corral.rollout.waves import percents
from corral.settings import STATE, Settings

SEE = "docs/rollouts.md"


@dataclass(frozen=True)
class Asked:
    """What somebody asked for, by the options of `corral release deploy`."""

    version: str
    dry_run: bool
    as_json: bool
    unwell: bool
    progressive: bool


def roll_out(settings: Settings, bucket: Bucket, asked: Asked) -> None:
    """Do what was asked for. Raises CorralError."""
    manifest = store.check_complete(bucket, asked.version)
    bad.check(bucket, asked.version)
    holder = lock.Holder(bucket, me(), settings.rollout.lock_minutes)
    if asked.dry_run:
        _plan(settings, bucket, asked)
        return
    holder.take(asked.version)
    try:
        current = store.pointer(bucket)
        if current and current.percent < 100:
            _tell(f"{current.version} was on its way by percent; {current.proven} is named for all again")
            current, _ = store.point(bucket, current.proven, me())
        log = STATE / f"rollout-{settings.environment}.log"
        fleet = world.Fleet(settings, bucket, holder, manifest, push.pyinfra(settings, log), current)
        if not asked.unwell:
            world.refuse(world.preflight(settings, fleet.servers()))
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")
        rollout = _story(settings, asked, current, fleet)
        with _recorded(bucket, holder, rollout, log, asked.as_json):
            rollout.run()
    finally:
        _told("the lock could not be given back", holder.free)


def _story(
    settings: Settings, asked: Asked, current: store.Pointer | None, fleet: world.Fleet
) -> Rollout | Progressive:
    old = current.proven if current else None
    if not asked.progressive:
        return Rollout(fleet, asked.version, old, settings.rollout, _tell)
    if old in (None, asked.version):
        raise CorralError(
            f"{settings.environment} runs {old or 'nothing yet'}: there is no other for the rest to stay at.",
            "Deploy it without --progressive.",
            SEE,
        )
    look = timedelta(minutes=settings.converge.minutes, seconds=settings.converge.jitter_seconds)
    watched = world.Watched(settings, fleet.bucket, fleet.holder, current)
    hook = partial(run_hook, fleet, asked.version)
    return Progressive(watched, asked.version, old, settings.rollout.waves, look, _tell, hook)


@contextmanager
def _recorded(
    bucket: Bucket, holder: lock.Holder, rollout: Rollout | Progressive, log: Path, as_json: bool
) -> Iterator[None]:
    """Keep a record of how the rollout ends, however it does."""
    started, why, result = record.now(), "", "complete"
    try:
        yield
    except BaseException as error:
        result = "failed" if isinstance(error, Exception) else "stopped"
        why = str(error) or type(error).__name__
        if rollout.count:
            _tell(
                f"{result}: {rollout.count} servers run {rollout.version} ({rollout.who})."
                f" To go on, deploy it again; to go back: corral release rollback {rollout.old or 'VERSION'}"
            )
        raise
    finally:
        done = record.Record(
            rollout.version, rollout.old, holder.owner, started, record.now(), result, rollout.count, why
        )
        _told("the record could not be kept", lambda: record.keep(bucket, done, log))
        if as_json:
            click.echo(json.dumps(asdict(done), indent=1))
        elif result == "complete":
            console.print(f"All {rollout.count} app servers run {rollout.version}.")
        _tell(f"all that was said is in {log} and s3://{bucket.name}/{done.key(bucket)}.log")


def _told(problem: str, act: Callable[[], object]) -> None:
    """Do what comes at the end. Its failure is told, for it must not take the place of what came before."""
    try:
        act()
    except Exception as error:
        _tell(f"{problem}: {error}")


def _plan(settings: Settings, bucket: Bucket, asked: Asked) -> None:
    current = store.pointer(bucket)
    servers, old = world.servers(settings), current.proven if current else None
    held = lock.held(bucket)
    problems = [held.said(datetime.now(UTC)) + "."] if held else []
    problems += [] if asked.unwell else world.preflight(settings, servers)
    batches = plan.batches(servers, settings.rollout)
    if asked.progressive:
        ids = [one.instance_id for one in servers]
        waves = percents(asked.version, ids, settings.rollout.waves)
        batches = [[one for one in servers if place(asked.version, one.instance_id) < end] for end in waves]
    if asked.as_json:
        addresses = [[one.private_address for one in batch] for batch in batches]
        said = {"version": asked.version, "previous": old, "batches": addresses, "problems": problems}
        click.echo(json.dumps(said, indent=1))
    else:
        count = f"{len(servers)} app servers"
        console.print(f"From {old or 'nothing'} to {asked.version}: {count}.", markup=False)
        for number, batch in enumerate(batches, 1):
            console.print(f"  {number}. {names(batch)}", markup=False)
        for problem in problems:
            console.print(f"Against it: {problem}", markup=False)
    if problems:
        sys.exit(1)


def _tell(said: str) -> None:
    """Progress goes to stderr, so that a result stays alone on stdout."""
    errors.print(f"{datetime.now():%H:%M:%S} {said}", markup=False)
