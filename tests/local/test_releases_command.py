"""`corral release`: from a checkout to the release that an environment runs."""

import hashlib
import json
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner

from corral import aws
from corral.cli import corral as command
from corral.cli import release as cli
from corral.errors import CorralError
from corral.releases import store
from corral.settings import ROOT
from tests.local.small_app import checkout  # noqa: F401


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
