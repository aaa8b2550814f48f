"""Reads reports from S3: one listing for all, and a request for each, many at a time."""

import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from corral.aws import CONNECTIONS
from corral.releases.bucket import Bucket
from corral.reports.fetch import fetch
from corral.reports.schema import Report, parse

# `aws:userid` of an instance is "ROLEID:INSTANCEID" (IAM, "Policy variables"): its policy lets it write this
# key only, so the instance in the key is who wrote the report, whatever the report says.
KEY = re.compile(r"[A-Z0-9]+:(i-[0-9a-f]{8,17})\.json")
# Bytes. A report has some ten thousand; who writes much more shall not fill an operator's memory.
LARGEST = 1024 * 1024


@dataclass(frozen=True)
class Listed:
    """A report as the bucket lists it. `at`: when it came, `size` in bytes."""

    key: str
    at: datetime
    size: int


@dataclass(frozen=True)
class Received:
    """What an instance last sent, and when (`at`). `report`: None when it is none; `fault` says why."""

    at: datetime
    report: Report | None
    fault: str = ""


def listed(bucket: Bucket) -> dict[str, Listed]:
    """The newest report of each instance that ever reported to the environment. One request per 1000."""
    return newest(bucket.objects(f"reports/{bucket.environment}/"))


def newest(objects: Iterable[dict[str, Any]]) -> dict[str, Listed]:
    """The newest report of each instance among `objects`, as S3 lists them (pure)."""
    found: dict[str, Listed] = {}
    for item in objects:
        name = KEY.fullmatch(item["Key"].rpartition("/")[2])
        if name:
            one = Listed(item["Key"], item["LastModified"], item["Size"])
            # Two only if the instance was given another role, for its own key has the role's id in it.
            found[name[1]] = max(one, found.get(name[1], one), key=lambda each: each.at)
    return found


def read(bucket: Bucket, wanted: dict[str, Listed]) -> dict[str, Received]:
    """The reports that are listed, by instance. What can't be taken for one is there as a fault."""

    def receive(entry: tuple[str, Listed]) -> tuple[str, Received]:
        instance_id, one = entry
        if one.size > LARGEST:
            return instance_id, Received(one.at, None, f"its report has {one.size} bytes: too many for one.")
        body = fetch(bucket, one.key, LARGEST) or b""
        return instance_id, judge(instance_id, bucket.environment, one.at, body)

    # Each request waits for S3 most of its time. S3 answers 5,500 a second for a prefix (S3 User Guide, "Best
    # practices design patterns"), and slows who asks for more, which the client's adaptive retries follow.
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        return dict(pool.map(receive, wanted.items()))


def judge(instance_id: str, environment: str, at: datetime, body: bytes) -> Received:
    """What `body`, written by an instance, is worth (pure)."""
    report = parse(body)
    if isinstance(report, str):
        return Received(at, None, report)
    if (report.instance, report.environment) != (instance_id, environment):
        fault = f"its report says that it is {report.instance} of environment {report.environment}."
        return Received(at, None, fault)
    return Received(at, report)


def only(wanted: dict[str, Listed], instance_ids: Iterable[str]) -> dict[str, Listed]:
    """Those of these instances."""
    return {each: wanted[each] for each in instance_ids if each in wanted}
