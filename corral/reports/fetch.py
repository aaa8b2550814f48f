"""Fetches a report from S3 with boto3's own signature and connections, and without the rest of boto3."""

from typing import Any
from urllib.parse import quote

from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from urllib3.exceptions import HTTPError

from corral.releases.bucket import Bucket


def fetch(bucket: Bucket, key: str, most: int) -> bytes | None:
    """Content of an object, its first `most` bytes; None when there is none.

    boto3's GetObject takes 2 ms of this machine's time, which is seconds for a fleet; this takes 0.6 of
    it. Only a plain success is taken, though. Anything else (denied, gone, throttled, unreachable, of more
    than `most` bytes) is left to boto3, which asks again: with its retries, and raising its errors.
    """
    body = _fetched(bucket.s3, bucket.name, key, most)
    if body is not None:
        return body
    found = bucket.read(key, most)
    return found[0] if found else None


def _fetched(s3: Any, bucket: str, key: str, most: int) -> bytes | None:
    # By path, not by a host name of the bucket's, which an endpoint of one's own may not have; Amazon's have
    # both (S3 User Guide, "Virtual hosting of general purpose buckets").
    request = AWSRequest("GET", f"{s3.meta.endpoint_url}/{quote(f'{bucket}/{key}')}", stream_output=True)
    try:
        # What the client itself signs and sends with: its credentials, which are renewed here as they expire,
        # and its pool, with proxy, CA bundle and time limits as boto3 reads them. botocore, which gives no
        # other way to the two, is pinned; the tests fail when they are no longer there.
        s3._request_signer.get_auth_instance("s3", s3.meta.region_name, "s3v4").add_auth(request)
        answer = s3._endpoint.http_session.send(request.prepare())
        size = answer.raw.length_remaining
        if answer.status_code != 200 or size is None or size > most:
            answer.raw.close()
            return None
        body: bytes = answer.raw.read()
    except (BotoCoreError, HTTPError):
        return None
    return body
