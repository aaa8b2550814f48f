"""What became of each rollout: a record in S3, written once, and its log beside it."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from corral.releases import pointers
from corral.releases.bucket import Bucket
from corral.releases.names import rollouts_prefix

# Lines of a rollout's log that its record keeps.
KEPT = 2000


@dataclass(frozen=True)
class Record:
    """One rollout. Times: ISO 8601, UTC. `result`: "complete", "failed" or "stopped"; `why` so."""

    version: str
    previous: str | None
    by: str
    started: str
    ended: str
    result: str
    servers: int
    why: str = ""

    def key(self, bucket: Bucket) -> str:
        """Where it is kept, but for .json; with .log the log."""
        return f"{rollouts_prefix(bucket.environment)}{self.started}-{self.version}"


def keep(bucket: Bucket, record: Record, log: Path) -> None:
    """Write a record, and the log beside it."""
    key = record.key(bucket)
    bucket.put(f"{key}.json", (json.dumps(asdict(record), indent=2) + "\n").encode(), IfNoneMatch="*")
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-KEPT:] if log.exists() else []
    bucket.put(f"{key}.log", ("\n".join(lines) + "\n").encode(), IfNoneMatch="*")


def newest(bucket: Bucket, count: int) -> list[Record]:
    """The last records, the newest first. A request for each."""
    keys = [item["Key"] for item in bucket.objects(rollouts_prefix(bucket.environment))]
    found = []
    for key in sorted((key for key in keys if key.endswith(".json")), reverse=True)[:count]:
        record, _ = pointers.read(bucket, key, Record)
        if record:
            found.append(record)
    return found


def now() -> str:
    """This moment, as records have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
