"""Bundles in S3: published once, found by the beginning of a digest, and pointed to by one at a time."""

import json
import re
from datetime import UTC, datetime

import pytest

from corral.bundle import store, wheels
from corral.bundle.build import Built, Manifest
from corral.errors import CorralError
from corral.releases import pointers
from corral.releases.archive import sha256
from corral.releases.bucket import Bucket
from tests.shared import mocked


@pytest.fixture
def bucket():
    with mocked.releases_bucket() as made:
        yield made


@pytest.fixture
def made(tmp_path):
    """Makes something that is published as a bundle is."""

    def make(text, commit="c" * 40, dirty=False):
        path = tmp_path / text
        path.write_text(text)
        digest = sha256(path)
        return Built(path, digest, len(text), Manifest(1, commit, dirty, "3.13", wheels.ARCHITECTURES))

    return make


def test_a_bundle_is_published_once_and_found_again(bucket, made):
    one = made("one", "1" * 40, dirty=True)
    assert store.publish(bucket, one) is True
    assert store.publish(bucket, one) is False
    assert bucket.read(f"bundles/{one.digest}.tar.gz")[0] == b"one"
    found = store.find(bucket, one.digest[:8])
    assert (found.digest, found.commit, found.dirty, found.size) == (one.digest, "1" * 40, True, 3)
    with pytest.raises(CorralError, match="There is no bundle abcdef0"):
        store.find(bucket, "abcdef0")
    for digest in ("../x", "abc", ""):
        with pytest.raises(CorralError, match="is no digest of a bundle"):
            store.find(bucket, digest)


def test_a_listing_begins_with_the_newest_and_knows_how_many_there_are(bucket, monkeypatch):
    objects = [
        {
            "Key": f"bundles/{number:064x}.tar.gz",
            "LastModified": datetime(2026, 3, day, tzinfo=UTC),
            "Size": 7,
        }
        for number, day in [(1, 4), (2, 6), (3, 5)]
    ]
    strangers = [{"Key": "bundles/notes.txt", "LastModified": datetime(2026, 4, 1, tzinfo=UTC), "Size": 1}]
    monkeypatch.setattr(Bucket, "objects", lambda *_: iter([*objects, *strangers]))
    found, count = store.published(bucket, 2)
    assert ([int(one.digest, 16) for one in found], count) == ([2, 3], 3)


def test_a_beginning_that_two_bundles_have_is_refused(bucket):
    for end in "01":
        bucket.put(f"bundles/{'ab' * 31 + 'a' + end}.tar.gz", b"")
    with pytest.raises(CorralError, match=r"2 bundles in .* begins with ababab"):
        store.find(bucket, "ababab")


def test_the_pointer_tells_a_node_what_to_fetch_and_a_person_what_was_before(bucket, made):
    one, two = made("one", "1" * 40), made("two", "2" * 40, dirty=True)
    for each in (one, two):
        store.publish(bucket, each)
    assert store.pointer(bucket) is None
    first, moved = store.point(bucket, one.digest, "ada@desk")
    assert (first.previous, moved) == (None, True)
    assert store.point(bucket, one.digest[:10], "bob@desk") == (first, False)
    store.point(bucket, two.digest, "bob@desk")
    said = json.loads(bucket.read("environments/test/bundle.json")[0])
    assert re.fullmatch(r"2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", said.pop("at"))
    assert said == {
        "digest": two.digest,
        "key": f"bundles/{two.digest}.tar.gz",
        "commit": "2" * 40,
        "dirty": True,
        "previous": one.digest,
        "by": "bob@desk",
    }


def test_nobody_points_to_what_is_not_there_or_not_what_its_name_says(bucket, made):
    with pytest.raises(CorralError, match="There is no bundle"):
        store.point(bucket, "0" * 64, "me")
    bucket.put(f"bundles/{'0' * 64}.tar.gz", b"something else", ChecksumAlgorithm="SHA256")
    with pytest.raises(CorralError, match="is damaged"):
        store.point(bucket, "0" * 64, "me")
    assert store.pointer(bucket) is None


def test_two_who_point_at_the_same_moment_do_not_overwrite_each_other(bucket, made, monkeypatch):
    for text in ("one", "two"):
        store.publish(bucket, made(text))
    read = pointers.read

    def raced(*words):
        seen = read(*words)
        monkeypatch.setattr(pointers, "read", read)
        store.point(bucket, made("one").digest, "the faster one")
        return seen

    monkeypatch.setattr(pointers, "read", raced)
    with pytest.raises(CorralError, match="at the same moment") as caught:
        store.point(bucket, made("two").digest, "the slower one")
    assert "corral bundle list -e test" in caught.value.remedy
    assert store.pointer(bucket).by == "the faster one"
