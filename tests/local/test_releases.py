"""Releases: what they are named after, and how they are built."""

import dataclasses
import os
import shutil
import subprocess
import sys
import threading

import pytest
import zstandard

from corral.errors import CorralError
from corral.releases import build, source
from corral.releases.manifest import Manifest
from corral.releases.names import check_version
from tests.local.small_app import APP, check_out, checkout, git  # noqa: F401


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
