"""Building what a branch, a tag or a commit of a repository says, and not what lies around."""

import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from corral.cli import corral as command
from corral.cli import release as cli
from corral.errors import CorralError
from corral.releases import checkout as checkouts
from corral.releases.checkout import checkout
from corral.releases.manifest import Manifest
from tests.local.small_app import APP, check_out, git


@pytest.fixture(scope="module")
def pushed(tmp_path_factory):
    """A bare repository that was pushed to: main, a branch with another page, and a tag of its name."""
    place = tmp_path_factory.mktemp("pushed")
    work, bare = check_out(place / "work"), place / "repository.git"
    git(work, "branch", "-q", "-M", "main")
    git(work, "tag", "v1")
    git(work, "tag", "feature/page")
    git(work, "checkout", "-q", "-b", "feature/page")
    (work / "app/build.js").write_text(APP["app/build.js"].replace("Hello", "Another"))
    git(work, "commit", "-q", "-am", "Two")
    git(place, "init", "-q", "--bare", str(bare))
    git(work, "push", "-q", str(bare), "--all")
    git(work, "push", "-q", str(bare), "--tags")
    return bare


def commit(repository, name):
    return git(repository, "rev-parse", f"{name}^{{commit}}")


@pytest.mark.parametrize(
    ("ref", "meant"),
    [
        ("main", "refs/heads/main"),
        ("v1", "refs/tags/v1"),
        ("feature/page", "refs/heads/feature/page"),
        ("main~0", "refs/heads/main"),
    ],
)
def test_a_checkout_is_of_the_commit_that_is_meant_and_clean(pushed, ref, meant):
    if ref == "main~0":
        ref = commit(pushed, meant)[:12]
    with checkout(str(pushed), ref) as root:
        assert commit(root, "HEAD") == commit(pushed, meant)
        assert git(root, "status", "--porcelain") == ""
        assert "Another" in (root / "app/build.js").read_text() or meant != "refs/heads/feature/page"
    assert not root.exists()


def test_what_is_not_there_is_a_sentence(pushed, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for ref in ("nowhere", "--upload-pack=touch x", "", "main:app"):
        with pytest.raises(CorralError, match="no branch, no tag and no commit"), checkout(str(pushed), ref):
            pass
    for repository in (str(pushed / "elsewhere"), "--version"):
        with (
            pytest.raises(CorralError, match="could not be cloned: ") as refused,
            checkout(repository, "main"),
        ):
            pass
        assert refused.value.see == checkouts.SEE
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def build(tmp_path, monkeypatch):
    """`corral release build`, in a checkout that is none; the release's directory, or the error."""
    monkeypatch.setattr(cli, "ROOT", tmp_path / "none")

    def invoke(*words, **variables):
        words = ["release", "build", *map(str, words), "-e", "lab", "--output", str(tmp_path / "out")]
        done = CliRunner().invoke(command, words, env=variables)
        if isinstance(done.exception, CorralError):
            return done.exception
        assert done.exit_code == 0, done.output
        return Path(done.stdout.strip())

    return invoke


def test_a_ref_is_built_with_all_that_npm_said_kept(build, pushed, tmp_path):
    log = tmp_path / "log"
    log.write_text("as it was\n")
    made = build("feature/page", "--repository", pushed, "--tests", "--log", log)
    assert Manifest.of(made).commit == commit(pushed, "refs/heads/feature/page")
    assert made.name == f"20260305-{commit(pushed, 'refs/heads/feature/page')[:10]}"
    said = log.read_text()
    assert said.startswith("as it was\n")
    words = ["$ npm ci", "$ npm test", "$ npm run build", "$ npm prune"]
    assert [said.index(word) for word in words] == sorted(said.index(word) for word in words)
    assert not (tmp_path / "out/build.log").exists()


def test_the_repository_may_come_from_the_environment(build, pushed, tmp_path):
    assert build("v1", CORRAL_REPOSITORY=str(pushed)).name.endswith(commit(pushed, "v1")[:10])
    assert "could not be cloned" in build("v1").problem, "without it, it is this checkout"


def test_tests_that_fail_fail_the_build(build, pushed, tmp_path):
    refused = build("main", "--repository", pushed, "--tests", BROKEN="yes")
    assert "`npm test` failed" in refused.problem
    assert list((tmp_path / "out").glob("*/manifest.json")) == []
