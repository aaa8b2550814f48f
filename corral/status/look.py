"""Looks at an environment: its groups, the load balancer, the reports, and what is to run."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from corral import aws
from corral.members import Group, Member, Targets, survey, targets
from corral.releases.bucket import Bucket
from corral.releases.names import pointer_key
from corral.reports import Received, listed, only, read
from corral.rollout import lock
from corral.rollout.lock import Lock
from corral.settings import Settings

# Of hosts that are gone: those heard of within this time, and no more than so many, for one that could not
# get ready takes its reason with it.
GONE_WITHIN = timedelta(hours=1)
GONE_MOST = 20


@dataclass(frozen=True)
class Wanted:
    """What an environment's pointer names, a release's version or a bundle's digest, and since when.

    `percent` of the servers run it, the others the `previous` one. `fault`: why the pointer names nothing.
    """

    version: str = ""
    since: datetime | None = None
    fault: str = ""
    previous: str | None = None
    percent: int = 100


@dataclass(frozen=True)
class Logs:
    """What the log server said `at` a moment: the time of each host's newest line, by instance id."""

    at: datetime
    newest: dict[str, datetime]


@dataclass(frozen=True)
class Seen:
    """All that was seen at the moment `now`. `reports`: of members; `gone`: of those that are none now.

    `rollout`: the lock of one that is under way. `logs`: None while the log server has said nothing.
    """

    now: datetime
    groups: list[Group]
    members: list[Member]
    targets: Targets = field(default_factory=dict)
    reports: dict[str, Received] = field(default_factory=dict)
    gone: dict[str, Received] = field(default_factory=dict)
    release: Wanted = Wanted()
    bundle: Wanted = Wanted()
    rollout: Lock | None = None
    logs: Logs | None = None


def look(settings: Settings) -> Seen:
    """Ask AWS for everything; a request for each member's report, and a handful more. Raises CorralError."""
    groups, members = survey(settings)
    found = targets(settings, groups)
    with aws.explained(settings):
        bucket = Bucket(aws.client(settings, "s3"), settings.releases_bucket, settings.environment)
        there, now = listed(bucket), datetime.now(UTC)
        ours = {member.instance_id for member in members}
        gone = [name for name, one in there.items() if name not in ours and now - one.at < GONE_WITHIN]
        gone = sorted(gone, key=lambda name: there[name].at, reverse=True)[:GONE_MOST]
        return Seen(
            now=now,
            groups=groups,
            members=members,
            targets=found,
            reports=read(bucket, only(there, sorted(ours))),
            gone=read(bucket, only(there, gone)),
            release=_wanted(bucket, pointer_key(settings.environment), "version"),
            bundle=_wanted(bucket, f"environments/{settings.environment}/bundle.json", "digest"),
            rollout=lock.held(bucket),
            logs=logs(said[0]) if (said := bucket.read(f"logs/{settings.environment}/seen.json")) else None,
        )


def logs(said: bytes) -> Logs | None:
    """What the log server wrote (files/log_watch/log-watch); None when it makes no sense."""
    try:
        told = json.loads(said)
        newest = {host: datetime.fromisoformat(time) for host, time in told["hosts"].items()}
        return Logs(datetime.fromisoformat(told["at"]), newest)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _wanted(bucket: Bucket, key: str, name: str) -> Wanted:
    """What the pointer at `key` names by `name`."""
    found = bucket.read(key)
    if found is None:
        return Wanted(fault="none was chosen yet")
    try:
        said = json.loads(found[0])
        since = datetime.fromisoformat(said["at"])
        since = since if since.tzinfo else since.replace(tzinfo=UTC)
        percent = int(said.get("percent", 100))
        return Wanted(str(said[name]), since, previous=said.get("previous"), percent=percent)
    except (ValueError, TypeError, KeyError):
        return Wanted(fault=f"s3://{bucket.name}/{key} is not a pointer")
