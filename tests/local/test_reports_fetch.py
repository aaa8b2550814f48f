"""A report is fetched past most of boto3 while all is well; what is not well, boto3 mends or explains."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from corral.releases.bucket import Bucket
from corral.reports.fetch import fetch
from tests.local.fake_aws import KEY, SECRET, SESSION, FakeAws
from tests.local.ports import free_port

REPORT = "reports/lab/AROAEXAMPLE:i-1 ä+~.json"
KEYS = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "aws_session_token": SESSION}
MOST = 100
DENIED = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
GONE = "<Error><Code>NoSuchKey</Code><Message>The key does not exist.</Message></Error>"
EXPIRED = "<Error><Code>ExpiredToken</Code><Message>Expired</Message></Error>"
BUSY = "<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"


class Alone(Bucket):
    """A bucket that is not to be asked by boto3."""

    def read(self, key, most=None):
        raise AssertionError("boto3 was asked")


def bucket(endpoint, kind=Bucket, attempts=3, **keys):
    config = Config(retries={"mode": "standard", "max_attempts": attempts}, s3={"addressing_style": "path"})
    session = boto3.Session(region_name="eu-west-1", **(keys or KEYS))
    return kind(session.client("s3", endpoint_url=endpoint, config=config), "releases", "lab")


@pytest.fixture
def api():
    fake = FakeAws()
    yield fake
    fake.shutdown()
    fake.server_close()


def test_one_signed_request_brings_the_report(api):
    api.objects[f"releases/{REPORT}"] = b"{}"
    assert fetch(bucket(api.url, Alone), REPORT, MOST) == b"{}"
    assert len(api.requests) == 1


@pytest.mark.parametrize("status", [500, 503, 429, 307])
def test_what_passes_is_tried_again(api, status):
    api.objects[f"releases/{REPORT}"] = b"{}"
    api.failures += [(status, BUSY)]
    assert fetch(bucket(api.url), REPORT, MOST) == b"{}"


def test_a_report_that_went_since_it_was_listed_is_none(api):
    api.failures += [(404, GONE)] * 2
    assert fetch(bucket(api.url), REPORT, MOST) is None


@pytest.mark.parametrize(("answer", "code"), [(DENIED, "AccessDenied"), (EXPIRED, "ExpiredToken")])
def test_who_may_not_read_hears_it_from_boto3(api, answer, code):
    api.failures += [(403, answer)] * 2
    with pytest.raises(ClientError) as raised:
        fetch(bucket(api.url), REPORT, MOST)
    assert raised.value.response["Error"]["Code"] == code
    assert raised.value.operation_name == "GetObject"


def test_without_an_api_boto3_says_where_none_is():
    with pytest.raises(EndpointConnectionError):
        fetch(bucket(f"http://127.0.0.1:{free_port()}", attempts=1), REPORT, MOST)


def test_without_credentials_boto3_says_so(api, monkeypatch):
    there = bucket(api.url)
    monkeypatch.setattr(there.s3._request_signer, "_credentials", None)
    with pytest.raises(NoCredentialsError):
        fetch(there, REPORT, MOST)
    assert not api.requests


def test_no_more_is_read_than_the_most(api):
    api.objects[f"releases/{REPORT}"] = b"x" * (MOST + 1)
    assert fetch(bucket(api.url), REPORT, MOST) == b"x" * MOST


class Handler(BaseHTTPRequestHandler):
    """Answers with the server's `answers`, byte by byte as they are; counts connections."""

    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.server.connections += 1

    def do_GET(self):
        self.server.asked.append(self.path)
        answer = self.server.answers.pop(0)
        self.wfile.write(answer)
        self.close_connection = not answer.endswith(b"{}")

    def log_message(self, *_):
        pass


@pytest.fixture
def raw():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.answers, server.asked, server.connections = [], [], 0
        server.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield server
        server.shutdown()


def whole(body=b"{}", size=2):
    return b'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: %d\r\n\r\n%b' % (size, body)


def test_a_connection_serves_one_report_after_the_other(raw):
    raw.answers += [whole()] * 5
    there = bucket(raw.url, Alone)
    assert [fetch(there, REPORT, MOST) for _ in range(5)] == [b"{}"] * 5
    assert raw.connections == 1


@pytest.mark.parametrize("broken", [b"", b"no HTTP\r\n\r\n", whole(b"{", 2), b"HTTP/1.1 200 OK\r\n\r\n{"])
def test_half_an_answer_is_none(raw, broken):
    raw.answers += [broken, whole()]
    assert fetch(bucket(raw.url), REPORT, MOST) == b"{}"


def test_the_proxy_is_asked_that_boto3_would_ask(raw, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", raw.url)
    raw.answers += [whole()]
    assert fetch(bucket("http://s3.example", Alone), "reports/lab/a.json", MOST) == b"{}"
    assert raw.asked == ["http://s3.example/releases/reports/lab/a.json"]
