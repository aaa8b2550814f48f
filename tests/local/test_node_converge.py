"""A node's own converge: what pyinfra's words come to, and what is reported."""

import json
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from corral.node import converge, health, identity, log, report, run
from corral.node.identity import Node
from corral.settings import ROOT

NODE = Node(
    instance="i-0123456789abcdef0",
    role="app",
    environment="lab",
    settings="lab",
    zone="eu-west-1a",
    address="10.42.16.4",
    group="chat-lab-app",
    bucket="chat-lab-releases-123456789012",
    private_zone_id="Z0123456789",
    data_volume="",
)
FACTS = report.Facts(
    why="tick",
    started=1_790_000_000.0,
    ended=1_790_000_002.34,
    outcome=run.Outcome(),
    ill=(),
    units={"nginx.service": "active"},
    bundle="b" * 64,
    commit="0f0e",
    release="20261125-abc",
    load=(0.1, 0.2, 0.3),
    host_keys=("ssh-ed25519 AAAA",),
)


@pytest.fixture
def deploy(tmp_path):
    """Runs the real pyinfra on this machine, with operations that only echo."""

    def go(*operations):
        (tmp_path / "inventory").mkdir(exist_ok=True)
        (tmp_path / "inventory/node.py").write_text('app = ["@local"]\n')
        lines = ["from pyinfra.operations import server"]
        lines += [f"server.shell(name={name!r}, commands=[{command!r}])" for name, command in operations]
        (tmp_path / "deploy.py").write_text("\n".join(lines))
        return run.pyinfra(tmp_path, root=tmp_path)

    return go


def test_a_run_tells_what_changed(deploy):
    assert deploy(("First", "echo"), ("Second", "echo")) == run.Outcome(("First", "Second"))


def test_a_run_that_fails_tells_where_and_what_it_said(deploy):
    outcome = deploy(("First", "echo"), ("Second", "echo the disk is full >&2; exit 3"), ("Third", "echo"))
    assert (outcome.changed, outcome.failed) == (("First",), "Second")
    assert "    [@local] the disk is full" in outcome.output


def test_a_deploy_that_can_not_be_read_is_a_failure(deploy, tmp_path):
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory/node.py").write_text("app = []\n")
    (tmp_path / "deploy.py").write_text("")
    outcome = run.pyinfra(tmp_path, root=tmp_path)
    assert outcome.failed == "Read inventory and deploy.py"


def test_the_whole_report():
    assert report.compose(NODE, FACTS, None) == {
        "schema": 1,
        "instance": "i-0123456789abcdef0",
        "role": "app",
        "environment": "lab",
        "zone": "eu-west-1a",
        "address": "10.42.16.4",
        "why": "tick",
        "started": "2026-09-21T14:13:20+00:00",
        "seconds": 2.3,
        "result": "healthy",
        "bundle": "b" * 64,
        "release": "20261125-abc",
        "commit": "0f0e",
        "changed": [],
        "drift": [],
        "failed": None,
        "ill": [],
        "units": {"nginx.service": "active"},
        "load": [0.1, 0.2, 0.3],
        "host_keys": ["ssh-ed25519 AAAA"],
        "history": [],
    }


def changed(*names):
    return replace(FACTS, outcome=run.Outcome(names))


def test_what_changes_although_nothing_new_was_asked_for_is_drift():
    before = report.compose(NODE, FACTS, None)
    assert report.compose(NODE, changed("Configure nginx"), before)["drift"] == ["Configure nginx"]


@pytest.mark.parametrize("other", [{"bundle": "c" * 64}, {"release": "older"}, {"result": "failed"}, None])
def test_what_changes_with_something_new_is_no_drift(other):
    before = other and report.compose(NODE, FACTS, None) | other
    made = report.compose(NODE, changed("Configure nginx"), before)
    assert (made["changed"], made["drift"]) == (["Configure nginx"], [])


def test_a_failure_is_reported_with_its_words():
    facts = replace(FACTS, outcome=run.Outcome((), "Run nginx", ("it did not start",)), ill=())
    made = report.compose(NODE, facts, None)
    assert made["result"] == "failed"
    assert made["failed"] == {"operation": "Run nginx", "output": ["it did not start"]}


def test_a_check_that_fails_makes_the_host_ill():
    made = report.compose(NODE, replace(FACTS, ill=[{"check": "nginx", "said": "no"}]), None)
    assert made["result"] == "ill"


WHEN = datetime(2026, 11, 26, 9, 30, 15, 120_000, tzinfo=UTC)


def test_a_converge_is_a_line_of_the_log(tmp_path):
    said = {
        "@timestamp": "2026-11-26T09:30:15.120+00:00",
        "log.level": "info",
        "message": "converge (tick): healthy in 2.3 s, 1 changed",
        "service.name": "corral",
        "service.version": "0f0e",
        "event.action": "converge",
        "event.outcome": "success",
        "event.duration": 2_300_000_000,
        "corral.converge.why": "tick",
        "corral.converge.result": "healthy",
        "corral.converge.changed": ["Configure nginx"],
        "corral.converge.drift": [],
    }
    made = report.compose(NODE, changed("Configure nginx"), None)
    assert log.line(made, WHEN) == said
    file = tmp_path / "corral/converge.json"
    for _ in range(2):
        assert log.write(made, file) == ""
    lines = [json.loads(each) for each in file.read_text().splitlines()]
    assert [each | {"@timestamp": said["@timestamp"]} for each in lines] == [said, said]
    assert "No space left" in log.write(made, Path("/dev/full"))


def test_a_converge_that_fails_or_finds_the_host_ill_is_an_error_in_the_log_with_its_words():
    failed = replace(FACTS, outcome=run.Outcome((), "Run nginx", ("it did not start", "at all")), ill=())
    line = log.line(report.compose(NODE, failed, None), WHEN)
    assert (line["log.level"], line["event.outcome"]) == ("error", "failure")
    assert line["error.message"] == "Run nginx\nit did not start\nat all"
    ill = log.line(report.compose(NODE, replace(FACTS, ill=[{"check": "nginx", "said": "no"}]), None), WHEN)
    assert (ill["log.level"], ill["error.message"]) == ("error", "nginx: no")


def test_the_history_is_short_and_newest_first():
    made = None
    for number in range(40):
        made = report.compose(NODE, replace(FACTS, started=FACTS.started + number), made)
    assert len(made["history"]) == report.HISTORY
    assert made["history"][0]["started"] == "2026-09-21T14:13:58+00:00"
    assert set(made["history"][0]) == {"started", "seconds", "result", "why", "changed", "drift"}


@pytest.mark.parametrize("content", ["", "{", '{"schema": 0}'])
def test_a_report_that_can_not_be_read_is_none(tmp_path, content):
    (tmp_path / "report.json").write_text(content)
    assert report.last(tmp_path / "report.json") is None


def test_checks_are_run_as_they_were_noted(tmp_path, monkeypatch):
    monkeypatch.setattr(health, "SECONDS", 3)
    checks = [("is well", "true"), ("is not", "echo because >&2; false"), ("hangs", "sleep 60")]
    lines = [json.dumps({"name": name, "command": command}) for name, command in checks]
    (tmp_path / "health").write_text("\n".join(lines))
    assert health.failing(tmp_path) == [
        {"check": "is not", "said": "because"},
        {"check": "hangs", "said": "no end after 3 s"},
    ]


def test_the_scripts_of_a_node_are_sound_shell():
    scripts = sorted((ROOT / "files/node").iterdir())
    names = {script.name for script in scripts}
    assert names == {"converge", "fingerprint", "pointers", "send-report", "tick"}
    subprocess.run(["shellcheck", "--shell=sh", "--exclude=SC1091", *scripts], check=True)
    assert all(script.stat().st_mode & 0o111 for script in scripts)


def test_the_bundle_before_stays_to_go_back_to(tmp_path, monkeypatch):
    monkeypatch.setattr(identity, "bundle_digest", lambda: "two")
    for name in ("one", "two", "three"):
        (tmp_path / name / "files").mkdir(parents=True)
        # Times of ctime are as fine as the kernel's clock ticks.
        time.sleep(0.02)
    converge._forget_bundles(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"two", "three"}
    converge._forget_bundles(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"two", "three"}


@pytest.mark.parametrize(
    ("codes", "told", "asked"), [([0], True, 1), ([3, 3, 0], True, 3), ([1], False, 1), ([3] * 12, False, 12)]
)
def test_a_group_that_comes_to_wait_a_little_later_is_told_then(tmp_path, monkeypatch, codes, told, asked):
    (tmp_path / "codes").write_text("".join(f"{code}\n" for code in codes))
    script = tmp_path / "aws"
    script.write_text(
        f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\n'
        f"code=$(head -n 1 {tmp_path}/codes); sed -i 1d {tmp_path}/codes; exit $code\n"
    )
    script.chmod(0o755)
    monkeypatch.setattr(converge, "AWS", script)
    monkeypatch.setattr(converge, "PAUSE_SECONDS", 0)
    assert converge.complete(NODE, "CONTINUE") is told
    lines = (tmp_path / "asked").read_text().splitlines()
    assert lines == [f"autoscaling-complete {NODE.group} launch {NODE.instance} CONTINUE"] * asked


@pytest.mark.parametrize(
    ("results", "named", "converges", "told"),
    [
        (["healthy"], ["1", "1"], 1, "CONTINUE"),
        (["healthy", "healthy"], ["1", "2", "2"], 2, "CONTINUE"),
        (["failed", "healthy"], ["", "1", "1"], 2, "CONTINUE"),
        (["failed"], ["1", "1"], 1, "ABANDON"),
        (["healthy"], ["1", "2"], 1, "CONTINUE"),
    ],
    ids=[
        "at once",
        "another release is named meanwhile",
        "it gets well",
        "it is late",
        "it is late and well",
    ],
)
def test_a_new_node_serves_what_is_named_when_it_comes_or_says_that_it_can_not(
    tmp_path, monkeypatch, request, results, named, converges, told
):
    made, said, clock = iter(results), [], iter([0, *[10_000 if "late" in request.node.name else 1] * 9])
    monkeypatch.setattr(converge, "STATE", tmp_path)
    monkeypatch.setattr(converge, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(converge.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(converge, "_named", iter(named).__next__)
    monkeypatch.setattr(converge, "converge", lambda node, why: said.append(why) or {"result": next(made)})
    monkeypatch.setattr(converge, "complete", lambda node, result: said.append(result) or True)
    assert converge.boot(NODE) is (told == "CONTINUE")
    assert said == ["boot"] * converges + [told]


def test_what_a_killed_converge_noted_is_nothing_to_the_next(tmp_path):
    notes = converge._empty(tmp_path / "notes")
    (notes / "questions").write_text("half a lin")
    assert list(converge._empty(notes).iterdir()) == []
