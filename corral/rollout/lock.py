"""The lock of an environment: one rollout at a time, held by a conditional write, broken on purpose only."""

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta

from corral.errors import CorralError
from corral.releases import pointers
from corral.releases.bucket import Bucket
from corral.releases.names import lock_key

SEE = "docs/rollouts.md"


@dataclass(frozen=True)
class Lock:
    """Who holds the lock, why, since when, and until when without a sign of life. `owner` "": nobody.

    `version`: the release that is being brought to servers.
    """

    owner: str
    reason: str
    at: str
    expires: str
    version: str = ""

    @property
    def held(self) -> bool:
        """Whether somebody has it, be it dead or alive."""
        return bool(self.owner)

    def stale(self, now: datetime) -> bool:
        """Whether its owner has given no sign of life for too long."""
        return self.held and datetime.fromisoformat(self.expires) < now

    def said(self, now: datetime) -> str:
        """The lock in words."""
        since = f"{self.owner} holds the lock since {self.at}: {self.reason}"
        return (
            f"{since}. It gave no sign of life since, and should have until {self.expires}"
            if self.stale(now)
            else since
        )


class Holder:
    """Holds the lock of a bucket's environment, from `take` to `free`."""

    def __init__(self, bucket: Bucket, owner: str, minutes: int) -> None:
        self.bucket, self.owner, self.minutes = bucket, owner, minutes
        self.key = lock_key(bucket.environment)
        self._etag: str | None = None

    def take(self, version: str) -> None:
        """Take it to roll out `version`. Raises CorralError when somebody has it, even a stale one."""
        found, etag = read(self.bucket)
        if found and found.held:
            raise _taken(self.bucket, found)
        now = datetime.now(UTC)
        until = self._until(now)
        self._write(Lock(self.owner, f"rollout of {version}", _text(now), until, version), etag)

    def renew(self) -> None:
        """Give a sign of life. Raises CorralError when the lock was broken meanwhile."""
        found, etag = read(self.bucket)
        if found is None or etag != self._etag:
            raise CorralError(
                "Somebody broke this rollout's lock, and may be rolling out something else.",
                f"Ask around; then deploy or roll back: corral release history -e {self.bucket.environment}",
                SEE,
            )
        self._write(replace(found, expires=self._until(datetime.now(UTC))), etag)

    def free(self) -> None:
        """Give it back; when it was broken meanwhile, it is another's."""
        now = _text(datetime.now(UTC))
        free = json.dumps(asdict(Lock("", "", now, now))).encode()
        self.bucket.put(self.key, free, IfMatch=self._etag)

    def _until(self, now: datetime) -> str:
        return _text(now + timedelta(minutes=self.minutes))

    def _write(self, lock: Lock, etag: str | None) -> None:
        condition = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
        if not self.bucket.put(self.key, json.dumps(asdict(lock), indent=2).encode(), **condition):
            found, _ = read(self.bucket)
            raise _taken(self.bucket, found or lock)
        found, self._etag = read(self.bucket)
        if found != lock:
            raise _taken(self.bucket, found or lock)


def read(bucket: Bucket) -> tuple[Lock | None, str | None]:
    """The lock and its ETag; (None, None) when nobody ever took it."""
    return pointers.read(bucket, lock_key(bucket.environment), Lock)


def held(bucket: Bucket) -> Lock | None:
    """The lock, when somebody has it."""
    found, _ = read(bucket)
    return found if found and found.held else None


def refuse_if_held(bucket: Bucket) -> None:
    """Raise CorralError when somebody holds the lock."""
    if found := held(bucket):
        raise _taken(bucket, found)


def break_it(bucket: Bucket, etag: str) -> bool:
    """Take the lock from whoever holds it; False when it changed since it was read with that ETag."""
    now = _text(datetime.now(UTC))
    return bucket.put(
        lock_key(bucket.environment), json.dumps(asdict(Lock("", "", now, now))).encode(), IfMatch=etag
    )


def _taken(bucket: Bucket, lock: Lock) -> CorralError:
    where = f"-e {bucket.environment}"
    return CorralError(
        f"{lock.said(datetime.now(UTC))}.",
        "Wait until that rollout is over. If it is dead (ask its owner), break the lock on purpose:"
        f" corral release unlock {where}; it says how to go on, and how to go back.",
        SEE,
    )


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
