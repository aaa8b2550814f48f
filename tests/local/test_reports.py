"""Reports: what is taken for one, what is said of anything else, and which one of several counts."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from corral import aws, reports
from corral.members import Member
from corral.node import report as node
from corral.releases.bucket import Bucket
from corral.reports import schema, store
from tests.local.lab_cloud import cloud  # noqa: F401
from tests.local.test_node_converge import FACTS, NODE
from tests.shared.simulated import environment, report, send

SETTINGS = environment("http://127.0.0.1:9")
MEMBER = Member("app", "chat-lab-app", NODE.instance, "eu-west-1a", "InService", address="10.42.16.4")


def written(**other):
    return json.dumps(report(SETTINGS, MEMBER, **other)).encode()


def judged(body):
    return store.judge(NODE.instance, "lab", datetime.now(UTC), body)


def test_what_a_node_writes_is_a_report():
    facts = replace(FACTS, ill=[{"check": "nginx", "said": "no"}])
    made = None
    for _ in range(node.HISTORY + 2):
        made = node.compose(NODE, facts, made)
    read = judged(json.dumps(made).encode()).report
    assert read.instance == NODE.instance
    assert read.ill == (schema.Check("nginx", "no"),)
    assert len(read.history) == node.HISTORY
    failed = replace(FACTS, outcome=node.Outcome((), "Run nginx", ("it did not start",)))
    assert judged(json.dumps(node.compose(NODE, failed, None)).encode()).report.failed == schema.Failed(
        "Run nginx", ("it did not start",)
    )


def test_a_key_that_a_newer_node_added_is_left_out():
    assert judged(written(mood="fine")).report.result == "healthy"


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"{" * 100_000, "is not JSON"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "is not JSON"),
        (b"[]", "is not as docs/reports.md says: all of it"),
        (b"null", "is not as docs/reports.md says: all of it"),
        (written(schema=2), "is of another schema than 1"),
        (written(schema="1"), "is of another schema than 1"),
        (written(result="fine"), "says: result: "),
        (written(seconds="5"), "says: seconds: "),
        (written(seconds=float("nan")), "says: seconds: "),
        (written(started="yesterday"), "says: started: "),
        (written(started="2026-11-25T10:00:00"), "says: started: "),
        (written(load=[1, 2]), "says: load"),
        (written(failed={"operation": "x"}), "says: failed.output: "),
        (written(history=[{"started": 1}]), "says: history.0.started: "),
        (written(units={"x": None}), "says: units.x: "),
        (written(instance="i-0000000000000000f"), "says that it is i-0000000000000000f of environment lab"),
        (written(environment="live"), f"says that it is {NODE.instance} of environment live"),
    ],
)
def test_anything_else_is_a_fault_with_its_reason(body, fault):
    received = judged(body)
    assert received.report is None
    assert fault in received.fault
    assert received.fault.startswith("its report ")


def test_no_terminal_is_told_what_to_do_by_a_report():
    hostile = "\x1b]0;owned\x07\x1b[2J red \u202eevil\u202c \ttab\nline\x00"
    read = judged(
        written(role=hostile, units={hostile: "x"}, failed={"operation": hostile, "output": [hostile]})
    )
    shown = "\ufffd]0;owned\ufffd\ufffd[2J red \ufffdevil\ufffd  tab line\ufffd"
    assert read.report.role == shown
    assert read.report.units == {shown: "x"}
    assert read.report.failed == schema.Failed(shown, (shown,))
    assert judged(written(instance=hostile)).fault.isprintable()
    assert judged(written(units={hostile: 1})).fault.isprintable()


@pytest.fixture(scope="module")
def bucket(cloud):
    settings = environment(cloud.endpoint)
    s3 = aws.client(settings, "s3")
    where = {"LocationConstraint": settings.region}
    s3.create_bucket(Bucket=settings.releases_bucket, CreateBucketConfiguration=where)
    for number, body in enumerate([b"no report", written(), b"x" * (store.LARGEST + 1)]):
        send(settings, f"i-{number:017x}", body)
    send(settings, NODE.instance, written())
    for key in ("reports/live/AROAEXAMPLE:i-1234567890abcdef0.json", "reports/lab/notes.txt"):
        s3.put_object(Bucket=settings.releases_bucket, Key=key, Body=b"")
    return Bucket(s3, settings.releases_bucket, "lab")


def test_the_reports_of_the_environment_are_read_each_on_its_own(bucket):
    listed = reports.listed(bucket)
    assert sorted(listed) == sorted([NODE.instance, *(f"i-{number:017x}" for number in range(3))])
    read = reports.read(bucket, listed)
    assert {name for name, one in read.items() if one.report} == {NODE.instance}
    assert read["i-00000000000000000"].fault == "its report is not JSON."
    assert (
        read["i-00000000000000001"].fault == f"its report says that it is {NODE.instance} of environment lab."
    )
    assert read["i-00000000000000002"].fault == "its report has 1048577 bytes: too many for one."
    assert read[NODE.instance].at == listed[NODE.instance].at


def test_a_report_that_goes_meanwhile_is_a_fault(bucket):
    listed = {"i-0000000000000000a": store.Listed("reports/lab/AROAEXAMPLE:i-a.json", datetime.now(UTC), 9)}
    assert reports.read(bucket, listed)["i-0000000000000000a"].fault == "its report is not JSON."


def test_of_an_instance_that_had_two_roles_the_newest_report_counts():
    now = datetime.now(UTC)
    keys = {
        f"reports/lab/AROA{number}:{NODE.instance}.json": now - timedelta(abs(number - 2))
        for number in range(6)
    }
    objects = [{"Key": key, "LastModified": at, "Size": 1} for key, at in keys.items()]
    assert store.newest(objects) == {NODE.instance: store.Listed(objects[2]["Key"], now, 1)}
    some = store.newest([*objects, objects[0] | {"Key": "reports/lab/AROA1:i-0000000000000000a.json"}])
    assert reports.only(some, ["i-0000000000000000a", "i-00000000b"]).keys() == {"i-0000000000000000a"}
