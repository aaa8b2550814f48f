"""The lab's S3 fails on purpose: hosts only, S3 only, and for a while only."""

import pytest

from lab.cloud import faults

HOST = "AWS4-HMAC-SHA256 Credential=ASIAEXAMPLE/20261125/eu-west-1/s3/aws4_request, SignedHeaders=host"


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """Asks an application behind the faults; the status and the body of the answer."""
    monkeypatch.setenv("CORRAL_LAB_STATE", str(tmp_path))

    def application(environ, start_response):
        start_response("200 OK", [])
        return [b"whole"]

    def ask(authorization):
        said = []
        body = faults.answer(application)(
            {"HTTP_AUTHORIZATION": authorization}, lambda status, headers: said.append(status)
        )
        return said[0][:3], b"".join(body)

    return ask


def test_without_a_fault_all_is_well(ask):
    assert ask(HOST) == ("200", b"whole")


def test_a_fault_meets_hosts_that_ask_s3_and_nobody_else(ask):
    faults.begin("errors", 60)
    assert ask(HOST) == ("500", faults.ERROR)
    assert ask(HOST.replace("s3", "ssm")) == ("200", b"whole")
    assert ask(HOST.replace("ASIAEXAMPLE", "lab")) == ("200", b"whole")
    assert ask("") == ("200", b"whole")
    faults.begin("garbage", 60)
    assert ask(HOST) == ("200", faults.GARBAGE)


def test_a_fault_ends(ask):
    faults.begin("errors", 0)
    assert ask(HOST) == ("200", b"whole")
