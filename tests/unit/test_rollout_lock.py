"""The lock of an environment: who has it, who may break it, and who notices."""

from datetime import UTC, datetime, timedelta

import boto3
import pytest
from moto import mock_aws

from corral.errors import CorralError
from corral.releases.bucket import Bucket
from corral.rollout import lock
from corral.rollout.lock import Holder, Lock


@pytest.fixture
def bucket():
    with mock_aws():
        s3 = boto3.client("s3", "us-east-1")
        s3.create_bucket(Bucket="releases")
        yield Bucket(s3, "releases", "test")


def test_one_has_it_at_a_time_and_says_why(bucket):
    mine, other = Holder(bucket, "ada@desk", 30), Holder(bucket, "bob@desk", 30)
    mine.take("v2")
    with pytest.raises(CorralError, match=r"ada@desk holds the lock since .*: rollout of v2"):
        other.take("v3")
    with pytest.raises(CorralError, match="ada@desk"):
        lock.refuse_if_held(bucket)
    mine.renew()
    mine.free()
    lock.refuse_if_held(bucket)
    other.take("v3")


def test_a_stale_one_is_shown_with_its_owner_and_taken_by_nobody(bucket, monkeypatch):
    dead = Holder(bucket, "ada@desk", -1)
    dead.take("v2")
    with pytest.raises(CorralError, match="gave no sign of life") as refused:
        Holder(bucket, "bob@desk", 30).take("v3")
    assert "corral release unlock -e test" in str(refused.value)
    found, etag = lock.read(bucket)
    assert found.stale(datetime.now(UTC))
    assert lock.break_it(bucket, etag)
    Holder(bucket, "bob@desk", 30).take("v3")
    with pytest.raises(CorralError, match="Somebody broke this rollout's lock"):
        dead.renew()
    dead.free()
    assert lock.read(bucket)[0].owner == "bob@desk", "what is another's stays so"


def test_one_that_gives_a_sign_of_life_while_it_is_looked_at_is_not_broken(bucket):
    mine = Holder(bucket, "ada@desk", 30)
    mine.take("v2")
    _, etag = lock.read(bucket)
    mine.minutes = 31
    mine.renew()
    assert not lock.break_it(bucket, etag)
    mine.renew()


def test_what_is_no_lock_is_said(bucket):
    bucket.put("environments/test/app/lock.json", b"{}")
    with pytest.raises(CorralError, match="is not a pointer"):
        lock.read(bucket)


def test_of_two_at_the_same_moment_one_gets_it(bucket, monkeypatch):
    first, second = Holder(bucket, "ada@desk", 30), Holder(bucket, "bob@desk", 30)
    read = lock.read

    def raced(where):
        seen = read(where)
        monkeypatch.setattr(lock, "read", read)
        first.take("v2")
        return seen

    monkeypatch.setattr(lock, "read", raced)
    with pytest.raises(CorralError, match="ada@desk holds the lock"):
        second.take("v3")


def test_a_lock_without_owner_is_held_by_nobody():
    now = datetime.now(UTC)
    free = Lock("", "", now.isoformat(), (now - timedelta(1)).isoformat())
    assert not free.held
    assert not free.stale(now)
