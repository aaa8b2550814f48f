"""moto's AWS within this process, for tests that need no server of it."""

from contextlib import contextmanager

import boto3
import pytest
from moto import mock_aws

from corral.releases.bucket import Bucket

REGION = "eu-west-1"


@contextmanager
def clients(*services):
    """A boto3 client of each service, of an account with nothing in it."""
    with pytest.MonkeyPatch.context() as patch:
        # Before moto, which sets them too: what it finds is what it leaves.
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        with mock_aws():
            yield [boto3.client(service, region_name=REGION) for service in services]


@contextmanager
def releases_bucket(name="chat-test-releases"):
    """The bucket of environment test, with versions as the stack makes it."""
    with clients("s3") as (s3,):
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        yield Bucket(s3, name, "test")
