"""Empties what AWS deletes only when it is empty: hosted zones of records, buckets of objects."""

from collections.abc import Callable, Collection, Iterator
from typing import Any

from botocore.exceptions import ClientError

from corral.aws import client, explained
from corral.errors import CorralError
from corral.settings import Settings

SEE = "docs/stack.md"
# The most of one request: records (Route 53 quotas: 1,000), and objects (S3 API reference, DeleteObjects).
RECORDS = 1000
OBJECTS = 1000

Tell = Callable[[str], None]


def zones(settings: Settings, zone_ids: Collection[str], managed: Collection[str], tell: Tell) -> None:
    """Delete the records that hosts wrote into hosted zones; not those of the stack itself (`managed` names).

    `tell` gets a sentence for each zone that had some. A host that lives may write again.
    """
    ours = {name.rstrip(".").lower() for name in managed}
    for zone_id in zone_ids:
        with explained(settings):
            cloud = client(settings, "route53")
            try:
                found = [record for record in _records(cloud, zone_id) if _name(record) not in ours]
                for some in _in_parts(found, RECORDS):
                    changes = [{"Action": "DELETE", "ResourceRecordSet": record} for record in some]
                    cloud.change_resource_record_sets(HostedZoneId=zone_id, ChangeBatch={"Changes": changes})
            except ClientError as error:
                if not _is_missing(error):
                    raise
                continue
        if found:
            tell(f"Deleted from hosted zone {zone_id}: {', '.join(map(_name, found))}.")


def buckets(settings: Settings, names: Collection[str], progress: Tell) -> int:
    """Delete all that is in buckets, with all versions and what marks deletions; returns how many it was.

    `progress` gets a sentence every now and then. Raises CorralError for what S3 does not delete.
    """
    deleted = 0
    for bucket in names:
        with explained(settings):
            s3 = client(settings, "s3")
            try:
                for keys in _versions(s3, bucket):
                    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
                    if errors := answer.get("Errors"):
                        raise _held(bucket, errors)
                    deleted += len(keys)
                    progress(f"Emptying {bucket}: {deleted:,} objects and versions deleted")
            except ClientError as error:
                if not _is_missing(error):
                    raise
    return deleted


def _records(cloud: Any, zone_id: str) -> Iterator[dict[str, Any]]:
    """All records but the two that every zone has, and that only the zone itself takes with it."""
    apex = _bare(cloud.get_hosted_zone(Id=zone_id)["HostedZone"]["Name"])
    for page in cloud.get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone_id):
        for record in page["ResourceRecordSets"]:
            if record["Type"] not in {"NS", "SOA"} or _name(record) != apex:
                yield record


def _versions(s3: Any, bucket: str) -> Iterator[list[dict[str, str]]]:
    """Keys and versions of what a bucket holds, so many at a time as one request may delete.

    Always the first ones: those that were given before are deleted by then.
    """
    while True:
        page = s3.list_object_versions(Bucket=bucket, MaxKeys=OBJECTS)
        found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        if not found:
            return
        yield [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]


def _held(bucket: str, errors: list[dict[str, str]]) -> CorralError:
    first = errors[0]
    problem = f"S3 does not delete {len(errors)} objects of {bucket}: {first['Key']}: {first['Message']}"
    return CorralError(problem, "See to that, then run it again: it goes on.", SEE)


def _in_parts(things: list[Any], most: int) -> Iterator[list[Any]]:
    return (things[i : i + most] for i in range(0, len(things), most))


def _name(record: dict[str, Any]) -> str:
    return _bare(record["Name"])


def _bare(name: str) -> str:
    return name.rstrip(".").lower()


def _is_missing(error: ClientError) -> bool:
    return error.response["Error"]["Code"] in {"NoSuchBucket", "NoSuchHostedZone"}
