"""Releases: what they are named after, how they are built, kept and pointed to."""

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import boto3
import pytest
import zstandard
from botocore.exceptions import ClientError
from click.testing import CliRunner
from moto import mock_aws

from corral import aws
from corral.cli import corral as command
from corral.cli import release as cli
from corral.errors import CorralError
from corral.releases import bad, build, pointers, source, store
from corral.releases.bucket import Bucket
from corral.releases.manifest import Manifest
from corral.releases.names import check_version
from corral.settings import ROOT

# An application that needs no network: a locked package from a directory, and a build of one line.
APP = {
    "app/package.json": json.dumps(
        {
            "name": "small",
            "version": "1.0.0",
            "type": "module",
            "scripts": {
                "build": "node build.js",
                "test": "node -e 'process.exit(process.env.BROKEN ? 3 : 0)'",
            },
        }
    ),
    "app/package-lock.json": json.dumps(
        {
            "name": "small",
            "version": "1.0.0",
            "lockfileVersion": 3,
            "packages": {"": {"name": "small", "version": "1.0.0"}},
        }
    ),
    "app/build.js": (
        "import {mkdirSync, writeFileSync} from 'node:fs';\n"
        "mkdirSync('dist/assets', {recursive: true});\n"
        "writeFileSync('dist/index.html', '<h1>Hello</h1>');\n"
    ),
    "app/server/main.js": "console.log('starts');\n",
    "app/test/some.test.js": "// not shipped\n",
    "app/.gitignore": "secret.env\nnode_modules/\n",
    "README.md": "Not part of a release.\n",
}


def git(root, *words, date="2026-03-04T23:30:00-05:00"):
    names = {f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
    done = subprocess.run(
        ["git", "-C", root, *words], env={**os.environ, **names, **dates}, capture_output=True, check=True
    )
    return done.stdout.decode().strip()


def check_out(root):
    """A repository with the application in it; always the same commit."""
    for name, text in APP.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "One")
    return root


@pytest.fixture
def checkout(tmp_path):
    return check_out(tmp_path / "checkout")


class Steps(list):
    """Collects the names of the steps, in their order."""

    def __call__(self, title):
        self.append(title.split(" (")[0])
        return build.quiet(title)


def names_in(directory):
    return sorted(path.name for path in directory.iterdir() if path.is_dir())


@pytest.fixture(scope="module")
def built_once(tmp_path_factory):
    """A first build of the application, with the steps it took."""
    root, steps = tmp_path_factory.mktemp("built"), Steps()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NODE_ENV", "production")
        return build.build(check_out(root / "checkout"), root / "out", step=steps), steps


@pytest.fixture
def built(built_once, tmp_path):
    """The same in a directory of the test's own, as if it had been built from `checkout`."""
    made, _ = built_once
    shutil.copytree(made.parent, tmp_path / "out")
    return tmp_path / "out" / made.name


# What a release is named after


def test_a_release_is_named_after_the_last_commit_that_changed_it(checkout):
    head = git(checkout, "rev-parse", "HEAD")
    first = source.read(checkout)
    assert (first.version, first.commit) == (
        f"20260305-{head[:10]}",
        head,
    )  # 23:30 in New York is next day in UTC
    (checkout / "README.md").write_text("Changed.\n")
    git(checkout, "commit", "-q", "-am", "Two")
    (checkout / "README.md").write_text("Changed again, not committed.\n")
    assert source.read(checkout) == first


def test_a_working_tree_that_differs_is_marked_by_what_it_holds(checkout):
    clean = source.read(checkout)
    (checkout / "app/server/new.js").write_text("one")
    one = source.read(checkout)
    assert one.version == f"{clean.version}-dirty-{one.digest[:8]}"
    assert one.digest != clean.digest
    (checkout / "app/server/new.js").write_text("two")
    assert source.read(checkout).version != one.version
    (checkout / "app/server/new.js").unlink()
    assert source.read(checkout) == clean
    (checkout / "app/server/main.js").unlink()
    assert "-dirty-" in source.read(checkout).version


def test_ignored_files_are_no_source(checkout):
    (checkout / "app/secret.env").write_text("hidden")
    assert source.read(checkout).version == f"20260305-{git(checkout, 'rev-parse', 'HEAD')[:10]}"
    source.read(checkout).copy_app(checkout.parent / "copy")
    assert not (checkout.parent / "copy/secret.env").exists()
    assert (checkout.parent / "copy/server/main.js").exists()


def test_a_repository_without_commits_has_a_name_too(checkout):
    subprocess.run(["rm", "-rf", checkout / ".git"], check=True)
    git(checkout, "init", "-q")
    assert source.read(checkout).version.startswith("uncommitted-dirty-")


def test_no_repository_and_no_application_are_sentences(tmp_path):
    with pytest.raises(CorralError, match="not a git repository"):
        source.read(tmp_path)
    git(tmp_path, "init", "-q")
    with pytest.raises(CorralError, match=r"app/package-lock\.json is missing"):
        source.read(tmp_path)


@pytest.mark.parametrize("version", ["", "../x", "a/b", ".hidden", "-rf", "a b", "x" * 65, "a\n"])
def test_a_version_that_can_name_nothing_is_refused(version):
    with pytest.raises(CorralError, match="can not name a release"):
        check_version(version)


# Building


def test_a_build_makes_a_whole_release_of_what_a_server_needs(checkout, built):
    assert sorted(path.name for path in built.iterdir()) == [
        "app.tar.zst",
        "app.tar.zst.sha256",
        "manifest.json",
    ]
    subprocess.run(["sha256sum", "--check", "--strict", "app.tar.zst.sha256"], cwd=built, check=True)
    manifest, commit = Manifest.of(built), git(checkout, "rev-parse", "HEAD")
    assert (manifest.version, manifest.commit) == (f"20260305-{commit[:10]}", commit)
    plain = zstandard.ZstdDecompressor().stream_reader((built / "app.tar.zst").read_bytes()).readall()
    listed = subprocess.run(["tar", "-t"], input=plain, capture_output=True, check=True).stdout.decode()
    assert listed.split() == [
        "dist/",
        "dist/assets/",
        "dist/index.html",
        "package.json",
        "server/",
        "server/main.js",
    ]
    assert manifest.files == 3
    assert names_in(built.parent) == [built.name]


def test_two_checkouts_of_one_commit_give_the_same_archive(checkout, built, tmp_path):
    git(tmp_path, "clone", "-q", str(checkout), str(tmp_path / "other"))
    old = os.umask(0o077)
    try:
        one = Manifest.of(build.build(tmp_path / "other", tmp_path / "one"))
    finally:
        os.umask(old)
    two = Manifest.of(built)
    assert dataclasses.replace(one, built_at="") == dataclasses.replace(two, built_at="")


def test_what_is_built_already_is_not_built_again(checkout, built_once, built):
    again, renamed, changed, tested = Steps(), Steps(), Steps(), Steps()
    out = built.parent
    assert "Installing locked packages" in built_once[1]
    assert build.build(checkout, out, step=again) == built
    assert again == ["Reading the source"]
    named = build.build(checkout, out, "named", step=renamed)
    assert renamed == again
    assert Manifest.of(named).sha256 == Manifest.of(built).sha256
    assert (Manifest.of(named).version, Manifest.of(named).files) == ("named", 3)
    build.build(checkout, out, tests=True, step=tested)
    assert "Running the application's tests" in tested
    (checkout / "app/server/main.js").write_text("console.log('other');\n")
    other = build.build(checkout, out, "named", step=changed)
    assert other == named
    assert "Packing the archive" in changed
    assert Manifest.of(other).sha256 != Manifest.of(built).sha256


def test_a_damaged_release_is_built_again(checkout, built):
    whole = Manifest.of(built)
    with (built / "app.tar.zst").open("r+b") as file:
        file.truncate(20)
    with pytest.raises(CorralError, match="Wrong checksum"):
        Manifest.of(built)
    assert Manifest.of(build.build(checkout, built.parent)).sha256 == whole.sha256


@pytest.mark.parametrize(
    "build_js, said",
    [
        (
            "console.error('no such thing'); process.exit(7)",
            "exit code 1; its last lines:(.|\n)*no such thing",
        ),
        ("", r"left no dist/index\.html"),
    ],
)
def test_a_build_that_fails_leaves_nothing_that_looks_finished(checkout, tmp_path, build_js, said):
    (checkout / "app/build.js").write_text(build_js)
    if build_js:
        (checkout / "app/package.json").write_text(
            APP["app/package.json"].replace("node build.js", "node build.js || exit 1")
        )
    with pytest.raises(CorralError, match=said):
        build.build(checkout, tmp_path / "out")
    assert names_in(tmp_path / "out") == []
    assert "npm run build" in (tmp_path / "out/build.log").read_text()


def test_failing_tests_fail_the_build(checkout, tmp_path, monkeypatch):
    monkeypatch.setenv("BROKEN", "1")
    with pytest.raises(CorralError, match="`npm test` failed with exit code 3"):
        build.build(checkout, tmp_path / "out", tests=True)


def test_a_lock_that_does_not_fit_is_refused(checkout, tmp_path):
    text = APP["app/package.json"].replace('"type"', '"dependencies": {"express": "5.0.0"}, "type"')
    (checkout / "app/package.json").write_text(text)
    with pytest.raises(CorralError, match=r"`npm ci(.|\n)*lock"):
        build.build(checkout, tmp_path / "out")


def test_a_killed_build_looks_unfinished_and_the_next_one_clears_it_away(checkout, tmp_path):
    (checkout / "app/build.js").write_text("setTimeout(() => {}, 60000)")
    out = tmp_path / "out"
    script = "import sys, pathlib as p; from corral.releases.build import build; "
    script += "build(p.Path(sys.argv[1]), p.Path(sys.argv[2]), 'v1')"
    killed = subprocess.Popen([sys.executable, "-c", script, checkout, out], start_new_session=True)
    try:
        for _ in range(1200):
            if list(out.glob(".building-*/app/node_modules")) or list(out.glob(".building-*/app/build.js")):
                break
            threading.Event().wait(0.05)
    finally:
        os.killpg(killed.pid, 9)
        killed.wait()
    assert list(out.glob(".building-*"))
    assert not (out / "v1").exists()
    (checkout / "app/build.js").write_text(APP["app/build.js"])
    build.build(checkout, out, "v1")
    assert names_in(out) == ["v1"]


def test_old_builds_are_removed_but_never_the_one_just_made(checkout, built):
    out = built.parent
    os.utime(built, (0, 0))
    for number in range(build.KEPT + 3):
        build.build(checkout, out, f"v{number}")
        os.utime(out / f"v{number}", (number, number))
    assert names_in(out) == sorted(f"v{number}" for number in range(3, build.KEPT + 3))


# In S3


@pytest.fixture
def bucket(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        s3 = boto3.client("s3", region_name="eu-west-1")
        where = {"LocationConstraint": "eu-west-1"}
        s3.create_bucket(Bucket="chat-test-releases", CreateBucketConfiguration=where)
        versioned = {"Status": "Enabled"}
        s3.put_bucket_versioning(Bucket="chat-test-releases", VersioningConfiguration=versioned)
        yield Bucket(s3, "chat-test-releases", "test")


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


# The command


@pytest.fixture
def run(settings, checkout, tmp_path, monkeypatch):
    """`corral release …` in an environment of moto's server; its output, or the CorralError it raised."""
    monkeypatch.setattr("corral.settings.load", lambda _: settings)
    monkeypatch.setattr(cli, "ROOT", checkout)

    def invoke(*words):
        done = CliRunner().invoke(command, ["release", *map(str, words)])
        if isinstance(done.exception, CorralError):
            return done.exception
        assert done.exit_code == 0, done.output
        return done.stdout

    return invoke


def test_from_a_checkout_to_the_release_that_an_environment_runs(run, settings, tmp_path):
    assert "There is no bucket chat-test-releases-123456789012" in run("list", "-e", "test").problem
    aws.client(settings, "s3").create_bucket(
        Bucket=settings.releases_bucket, CreateBucketConfiguration={"LocationConstraint": settings.region}
    )
    assert run("list", "-e", "test").startswith("No release is in chat-test-releases-123456789012 yet.")
    directory = run("build", "--output", tmp_path / "out").strip()
    version = directory.rpartition("/")[2]
    assert directory == str(tmp_path / "out" / version)
    assert f"Release {version} is published in" in run("publish", directory, "-e", "test")
    assert f"Release {version} was published before" in run("publish", directory, "-e", "test")
    assert f"test runs {version} from now on." in run("point", version, "-e", "test")
    assert f"test runs {version} already" in run("point", version, "-e", "test")
    assert f"{version}  " in run("list", "-e", "test")
    assert [one["current"] for one in json.loads(run("list", "-e", "test", "--json"))] == [True]
    assert json.loads(run("show", version, "-e", "test", "--json"))["version"] == version
    assert "runs in         test, since" in run("show", version, "-e", "test")
    assert "is not in" in run("point", "other", "-e", "test").problem
    assert "can not name" in run("show", "../../etc", "-e", "test").problem


def test_runtimes_are_built_as_they_are_pinned(run):
    pinned = json.loads((ROOT / "files/process_manager/runtimes.json").read_text())
    built = [Path(line) for line in run("runtimes", "build", "--arch", "x64", "-e", "test").splitlines()]
    assert [path.name.split("-")[0] for path in built] == ["node", "pm2", "npm", "packages"]
    for path in built:
        assert hashlib.sha256(path.read_bytes()).hexdigest() in json.dumps(pinned)


def test_a_place_that_can_not_be_written_is_a_sentence(run, checkout):
    assert "Not a directory" in run("build", "--output", checkout / "README.md/under").problem


@pytest.mark.parametrize("operation, code", [("PutObject", "AccessDenied"), ("HeadObject", "403")])
def test_no_permission_is_a_sentence(run, monkeypatch, operation, code):
    def denied(*_, **__):
        raise ClientError({"Error": {"Code": code, "Message": "Forbidden"}}, operation)

    monkeypatch.setattr(store, "published", denied)
    monkeypatch.setattr(store, "pointer", lambda _: None)
    assert run("list", "-e", "test").problem == f"No permission for {operation}: Forbidden"
