"""`corral bundle`: from a commit to the bundle that nodes run."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from corral import aws
from corral.cli import bundle as cli
from corral.cli import corral as command
from corral.errors import CorralError
from corral.releases.archive import sha256
from tests.local.bundles import cache, checkout, index, only_this_index  # noqa: F401
from tests.local.small_app import git


@pytest.fixture
def run(settings, checkout, cache, tmp_path, monkeypatch):
    """`corral bundle …` in an environment of moto's server; its output, or the CorralError it raised."""
    monkeypatch.setattr("corral.settings.load", lambda _: settings)
    monkeypatch.setattr(cli, "ROOT", checkout)
    monkeypatch.setattr(cli, "BUILT", tmp_path / "out")
    monkeypatch.setattr(cli, "WHEELS", cache)

    def invoke(*words):
        done = CliRunner().invoke(command, ["bundle", *words, "-e", "test"])
        if isinstance(done.exception, CorralError):
            return done.exception
        assert done.exit_code == 0, done.output
        return done.stdout

    return invoke


def test_from_a_commit_to_the_bundle_that_nodes_run(run, settings, checkout, tmp_path):
    assert "There is no bucket" in run("list").problem
    aws.client(settings, "s3").create_bucket(
        Bucket=settings.releases_bucket, CreateBucketConfiguration={"LocationConstraint": settings.region}
    )
    assert run("list").startswith("No bundle is in chat-test-releases-123456789012 yet.")
    path = run("build").strip()
    digest = Path(path).name.removesuffix(".tar.gz")
    assert json.loads(run("build", "--json"))["digest"] == digest == sha256(Path(path))
    assert run("publish") == f"Bundle {digest} is published in chat-test-releases-123456789012.\n"
    assert "was published in" in run("publish")
    assert run("point", digest[:8]) == f"Nodes of test run {digest[:12]} from now on.\n"
    assert f"run {digest[:12]} already, since" in run("point", digest)
    assert "corral bundle list -e test" in run("point", "ffffff").remedy

    (checkout / "deploy.py").write_text("ROLES = 'others'\n")
    assert "differs from commit" in run("publish").problem
    answer = json.loads(run("publish", "--dirty", "--point", "--json"))
    assert (answer["added"], answer["manifest"]["dirty"]) == (True, True)
    assert answer["pointer"]["previous"] == digest
    listed = json.loads(run("list", "--json"))
    assert {one["digest"]: (one["dirty"], one["current"]) for one in listed} == {
        answer["digest"]: (True, True),
        digest: (False, False),
    }
    commit = git(checkout, "rev-parse", "HEAD")[:10]
    shown = run("list")
    assert re.search(rf"^ *{answer['digest'][:12]} +{commit} dirty .* current, by ", shown, re.MULTILINE)
    assert re.search(rf"^ *{digest[:12]} +{commit} +2.* previous *$", shown, re.MULTILINE)
    assert json.loads(run("point", digest, "--json"))["digest"] == digest


def test_a_long_list_shows_the_newest_and_says_that_there_are_more(run, settings, monkeypatch):
    s3 = aws.client(settings, "s3")
    s3.create_bucket(
        Bucket=settings.releases_bucket, CreateBucketConfiguration={"LocationConstraint": settings.region}
    )
    for number in range(3):
        s3.put_object(Bucket=settings.releases_bucket, Key=f"bundles/{number:064x}.tar.gz", Body=b"")
    monkeypatch.setattr(cli, "NEWEST", 2)
    assert run("list").rstrip().endswith("And 1 older ones: corral bundle list --all")
    assert len(json.loads(run("list", "--json"))) == 2
    assert len(json.loads(run("list", "--json", "--all"))) == 3


def test_a_place_that_can_not_be_written_is_a_sentence(run, checkout, monkeypatch):
    monkeypatch.setattr(cli, "BUILT", checkout / "deploy.py/under")
    assert "Not a directory" in run("build").problem
