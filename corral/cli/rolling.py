"""Runs a rollout for the command line: what speaks against it, its lock, its progress, its record."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

import click

from corral.cli.artifacts import me
from corral.cli.common import console, errors
from corral.errors import CorralError
from corral.releases import bad, store
from corral.releases.bucket import Bucket
from corral.rollout import lock, plan, push, record, world
from corral.rollout.driver import Rollout, names
from corral.rollout.progressive import Progressive
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
        _plan(settings, asked, store.pointer(bucket))
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
        holder.free()


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
    watched = world.Watched(settings, fleet.bucket, fleet.holder)
    return Progressive(watched, asked.version, old, settings.rollout.waves, look, _tell)


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
        if result == "stopped":
            _tell(
                f"stopped: {rollout.count} servers run {rollout.version}. To go on, deploy it again;"
                f" to go back: corral release rollback {rollout.old}"
            )
        raise
    finally:
        done = record.Record(
            rollout.version, rollout.old, holder.owner, started, record.now(), result, rollout.count, why
        )
        key = record.keep(bucket, done, log)
        if as_json:
            click.echo(json.dumps(asdict(done), indent=1))
        elif result == "complete":
            console.print(f"All {rollout.count} app servers run {rollout.version}.")
        _tell(f"all that was said is in {log} and s3://{bucket.name}/{key}")


def _plan(settings: Settings, asked: Asked, current: store.Pointer | None) -> None:
    servers, old = world.servers(settings), current.proven if current else None
    problems = world.preflight(settings, servers)
    batches = plan.batches(servers, settings.rollout)
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
