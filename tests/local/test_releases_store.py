"""Releases in S3: published once, pointed to by one at a time, and never when they are bad."""

import dataclasses
import json

import pytest
from botocore.exceptions import ClientError

from corral.errors import CorralError
from corral.releases import bad, build, pointers, store
from corral.releases.bucket import Bucket
from corral.releases.manifest import Manifest
from tests.shared import mocked


@pytest.fixture
def bucket():
    with mocked.releases_bucket() as made:
        yield made


@pytest.fixture
def made(tmp_path):
    """Make releases without building: `made("v1", b"content")` is a directory."""

    def make(version, content=b"an archive", built_at="2026-01-01T00:00:00+00:00"):
        directory = tmp_path / f"{version}-{content.decode()}-{built_at[:10]}"
        directory.mkdir()
        (directory / "app.tar.zst").write_bytes(content)
        digest = build.sha256(directory / "app.tar.zst")
        (directory / "app.tar.zst.sha256").write_text(f"{digest}  app.tar.zst\n")
        manifest = Manifest(version, "c0ffee", "d1", "24.19.0", built_at, 1, len(content), digest)
        (directory / "manifest.json").write_text(manifest.text())
        return directory

    return make


def test_publishing_twice_changes_nothing(bucket, made):
    manifest, added = store.publish(bucket, made("v1"))
    assert added
    assert store.publish(bucket, made("v1", built_at="2026-02-02T00:00:00+00:00")) == (
        Manifest(**{**dataclasses.asdict(manifest), "built_at": "2026-02-02T00:00:00+00:00"}),
        False,
    )
    assert store.check_complete(bucket, "v1") == manifest
    assert [item["Key"] for item in bucket.objects("")] == [
        "releases/app/v1/app.tar.zst",
        "releases/app/v1/app.tar.zst.sha256",
        "releases/app/v1/manifest.json",
    ]


def test_a_version_never_changes_its_content(bucket, made):
    store.publish(bucket, made("v1", b"one"))
    with pytest.raises(CorralError, match="exists with other content"):
        store.publish(bucket, made("v1", b"two"))
    assert bucket.read("releases/app/v1/app.tar.zst")[0] == b"one"


def test_what_is_not_whole_is_not_published(bucket, made, tmp_path):
    directory = made("v1")
    (directory / "app.tar.zst").write_bytes(b"damaged")
    with pytest.raises(CorralError, match="Wrong checksum"):
        store.publish(bucket, directory)
    (directory / "manifest.json").write_text("{")
    with pytest.raises(CorralError, match="not a manifest"):
        store.publish(bucket, directory)
    with pytest.raises(CorralError, match="no complete release"):
        store.publish(bucket, tmp_path / "nothing")
    assert list(bucket.objects("")) == []


def test_an_interrupted_publishing_is_incomplete_until_it_is_repeated(bucket, made, monkeypatch):
    directory = made("v1")
    real = bucket.s3.put_object

    def dies(**request):
        if request["Key"].endswith("manifest.json"):
            raise KeyboardInterrupt
        return real(**request)

    monkeypatch.setattr(bucket.s3, "put_object", dies)
    with pytest.raises(KeyboardInterrupt):
        store.publish(bucket, directory)
    monkeypatch.setattr(bucket.s3, "put_object", real)
    assert [(one.version, one.complete) for one in store.published(bucket)] == [("v1", False)]
    with pytest.raises(CorralError, match="interrupted"):
        store.point(bucket, "v1", "me")
    assert store.pointer(bucket) is None
    store.publish(bucket, directory)
    assert [(one.version, one.complete) for one in store.published(bucket)] == [("v1", True)]
    assert store.point(bucket, "v1", "me")[1]


def test_the_pointer_remembers_the_previous_release(bucket, made):
    for version in ("v1", "v2"):
        store.publish(bucket, made(version))
    first, moved = store.point(bucket, "v1", "ada@desk")
    assert moved
    assert (first.version, first.previous, first.by) == ("v1", None, "ada@desk")
    assert store.point(bucket, "v1", "someone@else") == (first, False)
    second, _ = store.point(bucket, "v2", "ada@desk")
    assert (second.version, second.previous) == ("v2", "v1")
    assert second == store.pointer(bucket)
    body, _ = bucket.read("environments/test/app/current.json")
    assert set(json.loads(body)) == {"version", "sha256", "previous", "by", "at", "percent"}
    assert second.sha256 == store.check_complete(bucket, "v2").sha256


@pytest.mark.parametrize("first", [True, False])
def test_two_who_point_at_the_same_moment_do_not_overwrite_each_other(bucket, made, monkeypatch, first):
    for version in ("v0", "v1", "v2"):
        store.publish(bucket, made(version))
    if not first:
        store.point(bucket, "v0", "before")
    read = pointers.read

    def raced(where, key, kind):
        seen = read(where, key, kind)
        if kind is not store.Pointer:
            return seen
        monkeypatch.setattr(pointers, "read", read)
        store.point(where, "v1", "the faster one")
        return seen

    monkeypatch.setattr(pointers, "read", raced)
    with pytest.raises(CorralError, match="at the same moment"):
        store.point(bucket, "v2", "the slower one")
    assert store.pointer(bucket).by == "the faster one"


def test_a_release_that_is_marked_as_bad_is_never_pointed_to_again(bucket, made):
    for version in ("v1", "v2", "v3"):
        store.publish(bucket, made(version))
    store.point(bucket, "v1", "me")
    store.point(bucket, "v2", "me")
    with pytest.raises(CorralError, match="v2 is what test runs"):
        store.void(bucket, "v2", "it leaks", "me")
    store.void(bucket, "v1", "it leaks", "ada@desk")
    pointer = store.pointer(bucket)
    assert (pointer.version, pointer.previous) == ("v2", None)
    with pytest.raises(CorralError, match=r"v1 is marked as bad, by ada@desk at .*: it leaks"):
        store.point(bucket, "v1", "me")
    store.void(bucket, "v1", "it was not so bad", "bob")
    assert bad.read(bucket, "v1").why == "it leaks", "the first mark stays"
    assert {one.version for one in store.published(bucket) if one.bad} == {"v1"}
    with pytest.raises(CorralError, match="v2 is what test runs"):
        store.point(bucket, "v3", "me", 10)
        store.void(bucket, "v2", "not all have v3 yet", "me")


def test_by_percent_the_previous_release_is_the_proven_one_until_all_have_the_new(bucket, made):
    for version in ("v1", "v2", "v3"):
        store.publish(bucket, made(version))
    store.point(bucket, "v1", "me")
    store.point(bucket, "v2", "me", 10)
    assert store.pointer(bucket).proven == "v1"
    assert store.point(bucket, "v3", "me", 5)[0].previous == "v1", "its driver died; nobody proved v2"
    back, _ = store.point(bucket, "v1", "me")
    assert (back.version, back.percent, back.previous) == ("v1", 100, None)
    store.point(bucket, "v2", "me", 10)
    store.void(bucket, "v2", "it leaks", "me")
    halted = store.pointer(bucket)
    assert (halted.version, halted.percent, bad.read(bucket, "v2").why) == ("v1", 100, "it leaks")
    assert halted.sha256 == store.check_complete(bucket, "v1").sha256


@pytest.mark.parametrize(
    "key, body",
    [
        ("app.tar.zst", b"another archive"),
        ("app.tar.zst.sha256", b"0000  app.tar.zst\n"),
        ("app.tar.zst.sha256", None),
        ("app.tar.zst", None),
    ],
)
def test_a_damaged_release_is_not_pointed_to(bucket, made, key, body):
    store.publish(bucket, made("v1"))
    where = {"Bucket": bucket.name, "Key": f"releases/app/v1/{key}"}
    bucket.s3.delete_object(**where) if body is None else bucket.s3.put_object(
        **where, Body=body, ChecksumAlgorithm="SHA256"
    )
    with pytest.raises(CorralError, match="damaged"):
        store.point(bucket, "v1", "me")
    assert store.pointer(bucket) is None


def test_a_pointer_that_makes_no_sense_is_a_sentence(bucket):
    bucket.put("environments/test/app/current.json", b'{"version": "v1"}')
    with pytest.raises(CorralError, match="is not a pointer"):
        store.pointer(bucket)


def test_listing_reads_every_page_newest_first(bucket, made, monkeypatch):
    for number in range(4):
        store.publish(bucket, made(f"v{number}"))
    real = bucket.s3.get_paginator("list_objects_v2")

    class Small:
        def paginate(self, **request):
            return real.paginate(**request, PaginationConfig={"PageSize": 5})

    monkeypatch.setattr(bucket.s3, "get_paginator", lambda _: Small())
    listed = store.published(bucket)
    assert [(one.version, one.size, one.complete) for one in listed] == [
        (f"v{number}", 10, True) for number in (3, 2, 1, 0)
    ]


def test_no_bucket_says_to_apply_the_stack(bucket, made):
    missing = dataclasses.replace(bucket, name="chat-test-nowhere")
    for attempt in (
        lambda: store.publish(missing, made("v1")),
        lambda: store.published(missing),
        lambda: store.pointer(missing),
        lambda: missing.sha256("x"),
    ):
        with pytest.raises(CorralError) as told:
            attempt()
        assert told.value.remedy == "Apply the stack first: corral stack apply -e test"


def test_other_errors_of_aws_are_passed_on(bucket):
    def denied(**_):
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetObject")

    class Denied:
        get_object = head_object = put_object = staticmethod(denied)

    closed = Bucket(Denied(), "b", "test")
    for attempt in (lambda: closed.read("k"), lambda: closed.sha256("k"), lambda: closed.put("k", b"")):
        with pytest.raises(ClientError):
            attempt()
