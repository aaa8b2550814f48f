"""Where the lab's Elastic packages come from: who is asked, what is decided, and what the lab says of it."""

import os

import pytest
from click.testing import CliRunner

from lab import cli, status
from lab.configuration import Configuration
from lab.elastic import source
from lab.elastic.source import Source
from tests.shared.roles import ROOT

ASKED = "https://artifacts.elastic.co/packages/8.x/apt/dists/stable/InRelease"
ELASTICS = "Logs: Elastic's own packages, from artifacts.elastic.co."
OWN = (
    "Logs: Elasticsearch is Elastic's own engine 8.19.21, reduced; Filebeat, Logstash and Kibana are the"
    " lab's stand-ins, as artifacts.elastic.co can't be reached: docs/elastic-stand-ins.md"
)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The lab's cache, in a folder of its own that isn't there yet."""
    folder = tmp_path / "cache/elastic"
    monkeypatch.setattr(source, "ELASTIC", folder)
    monkeypatch.setattr(source, "_SAVED", folder / "source.json")
    return folder


@pytest.fixture
def curl(tmp_path, monkeypatch):
    """Puts a curl in the real one's place, with what it does; a file with its words comes of each run."""
    said = tmp_path / "curl.words"
    program = tmp_path / "bin/curl"
    program.parent.mkdir()
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")

    def does(what):
        program.write_text(f'#!/bin/sh\necho "$@" >>{said}\n{what}\n')
        program.chmod(0o755)
        return said

    return does


@pytest.fixture
def built(monkeypatch):
    """Stands for the lab's own repository, which takes Maven and a minute; where it was to be built."""
    asked = []

    def ensure(directory, tell):
        asked.append(directory)
        tell("package kibana: the lab's stand-in")
        return directory / "0123456789abcdef"

    monkeypatch.setattr(source.repository, "ensure", ensure)
    return asked


def test_elastics_own_packages_are_taken_where_they_can_be_reached(cache, curl, built):
    words = curl("printf 'HTTP/2 200 \\r\\n\\r\\n'")
    told = []
    found = source.choose(told.append)
    # The key that hosts on AWS trust too, and no folder: the cache of packages asks Elastic.
    assert found == Source(key=str(ROOT / "files/elastic/elastic.asc"), root="")
    assert (ROOT / "files/elastic/elastic.asc").is_file()
    assert source.saved() == found
    assert found.said == ELASTICS
    assert (built, told) == ([], [])
    assert words.read_text() == f"-fsSI --max-time 5 {ASKED}\n"


@pytest.mark.parametrize(
    "fails",
    ["exit 6", "exit 28", "echo 'curl: (22) The requested URL returned error: 403' >&2; exit 22"],
    ids=["no such name", "no answer", "refused"],
)
def test_the_labs_own_are_built_where_elastics_can_not_be_reached(cache, curl, built, fails):
    curl(fails)
    told = []
    found = source.choose(told.append)
    root = cache / "0123456789abcdef"
    assert found == Source(key=str(root / "GPG-KEY-elasticsearch"), root=str(root))
    assert source.saved() == found
    assert found.said == OWN
    assert built == [cache]
    assert told == ["package kibana: the lab's stand-in"]


def test_the_last_decision_is_the_one_that_holds(cache, curl, built):
    curl("exit 7")
    source.choose(print)
    curl("echo HTTP/2 200")
    source.choose(print)
    assert source.saved().root == ""


@pytest.mark.parametrize(("root", "said"), [("", ELASTICS), ("/r", OWN)], ids=["Elastic's", "the lab's"])
@pytest.mark.parametrize("command", ["up", "status"])
def test_whoever_starts_the_lab_or_looks_at_it_is_told_in_one_line(
    cache, tmp_path, monkeypatch, command, root, said
):
    cache.mkdir(parents=True)
    source._SAVED.write_text(f'{{"key": "/k", "root": "{root}"}}')
    configuration = Configuration("lab", "/image", 443, 80)
    # A lab without hosts, that nobody had to start.
    monkeypatch.setattr(cli.startup, "up", lambda *_: configuration)
    monkeypatch.setattr(cli, "_running", lambda: configuration)
    monkeypatch.setattr(status, "all_services", lambda *_: {})
    monkeypatch.setattr(status.fleet, "members", lambda _: [])
    monkeypatch.setattr(status.fleet, "volumes", lambda _: [])
    for name in ("RECONCILER_STATUS", "TARGET_HEALTH"):
        monkeypatch.setattr(status, name, tmp_path / "none")
    done = CliRunner().invoke(cli.lab, [command], catch_exceptions=False)
    assert done.exit_code == 0
    assert said in done.output.splitlines()
