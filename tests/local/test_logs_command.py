"""`corral logs` and `corral trace` against a real Elasticsearch: what is asked for comes, in time order."""

import functools
import json
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest
from click.testing import CliRunner

from corral.aws import client
from corral.cli import logs as command
from corral.cli.common import Chosen
from corral.errors import CorralError
from corral.logs import connect, store
from corral.logs.query import Wanted
from tests.local.elastic_engine import NAME, node_of_the_package
from tests.local.ports import free_port

REQUEST = "3c1f9a52-7a71-4f60-8d0e-1f1f2f3f4f5f"


@pytest.fixture(scope="module")
def node():
    with node_of_the_package() as node:
        fill(node)
        yield node


@functools.cache
def began():
    """When the first of these tests began: their lines must be of the last quarter of an hour."""
    return datetime.now(UTC).replace(microsecond=0)


def at(seconds):
    """A moment, so many seconds after ten minutes ago."""
    moment = began() - timedelta(minutes=10) + timedelta(seconds=seconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def document(seconds, message, host="i-1", role="app", level="info", offset=0, **more):
    return {
        "@timestamp": at(seconds),
        "message": message,
        "host": {"name": host},
        "corral": {"role": role},
        "log": {"level": level, "offset": offset, "file": {"path": "/var/log/a"}},
        **more,
    }


def put(node, dataset, *documents):
    head = json.dumps({"create": {}})
    lines = [f"{head}\n{json.dumps({**each, 'data_stream': {'dataset': dataset}})}\n" for each in documents]
    status, answer = node.send("POST", f"/logs-{dataset}-test/_bulk?refresh=true", "".join(lines).encode())
    assert status == 200 and not answer["errors"], answer


def fill(node):
    """Lines of three hosts, which come in no order of time."""
    answer = {"http": {"request": {"id": REQUEST, "method": "GET"}, "response": {"status_code": 200}}}
    answer |= {"url": {"path": "/api/rooms"}}
    nginx = {**answer, "event": {"duration": 12_300_000}, "service": {"name": "nginx"}}
    app = {**answer, "event": {"duration": 10_100_000}, "service": {"name": "chat"}}
    app |= {"database": {"duration": 3_200_000, "queries": 2}}
    during = {"http": {"request": {"id": REQUEST}}}
    put(
        node,
        "nginx.access",
        document(20.013, "GET /api/rooms 200", **nginx),
        document(3, "GET /other 404", host="i-2"),
    )
    put(
        node,
        "app.log",
        document(20.012, "request answered", offset=200, **app),
        document(20.005, "room made", offset=100, **during),
        document(1, "third", offset=30, host="i-2"),
        document(1, "second", offset=20, host="i-2"),
        document(1, "first", offset=3, host="i-2"),
        document(
            4, "broken\nin two \x1b[31mred", level="error", error={"type": "TypeError", "message": "no"}
        ),
    )
    postgres = {"host": "i-3", "role": "db", "service": {"name": "postgres"}}
    put(
        node,
        "postgresql.log",
        document(2, "checkpoint", level="warning", **postgres),
        document(20.010, SLOW, offset=1, **postgres, **during),
        document(20.011, OTHER, offset=2, **postgres, http={"request": {"id": f"{REQUEST[:-1]}e"}}),
    )
    put(node, "system.journal", document(-3600, "long ago", host="i-3", role="db"))
    # Lines of the journal stand in no file, and many come in one moment.
    bare = document(-7200, "of the journal", host="i-3", role="db") | {"log": {"level": "info"}}
    put(node, "system.journal", *([bare] * 7))


@pytest.fixture
def there(settings, node, monkeypatch, tmp_path):
    """The environment whose log server the node is: its name leads there, S3 and SSM know how to ask it."""
    name = settings.host_name("elk")
    assert name == NAME
    s3, ssm = client(settings, "s3"), client(settings, "ssm")
    where = {"LocationConstraint": settings.region}
    s3.create_bucket(Bucket=settings.releases_bucket, CreateBucketConfiguration=where)
    s3.put_object(
        Bucket=settings.releases_bucket,
        Key="environments/test/ca.pem",
        Body=Path(node.authority.ca).read_bytes(),
    )
    ssm.put_parameter(Name="/corral/test/elk/reader-password", Value="secret", Type="SecureString")
    resolve = socket.getaddrinfo
    known = {name: "127.0.0.1"}
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *more: resolve(known.get(host, host), *more))
    monkeypatch.setattr(connect, "PORT", node.port)
    monkeypatch.setattr(connect, "STATE", tmp_path)
    return settings


@pytest.fixture
def corral(there):
    """Runs a command; its lines, and errors as they are raised."""

    def run(*words, of=command.logs):
        chosen = Chosen()
        chosen.__dict__["settings"] = there
        done = CliRunner().invoke(of, words, obj=chosen, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output.splitlines()

    return run


def messages(lines):
    return [json.loads(line)["message"] for line in lines]


ALL = ["first", "second", "third", "checkpoint", "GET /other 404", "broken\nin two \x1b[31mred"]
SLOW = f"duration: 3.1 ms  execute <unnamed>: /* request {REQUEST} */ SELECT 1"
OTHER = SLOW.replace(REQUEST, f"{REQUEST[:-1]}e")
ALL += ["room made", SLOW, OTHER, "request answered", "GET /api/rooms 200"]


def test_lines_of_all_hosts_are_in_time_order_page_by_page(corral, monkeypatch):
    assert messages(corral("--json")) == ALL
    monkeypatch.setattr(store, "PAGE", 2)
    assert messages(corral("--json")) == ALL
    assert messages(corral("--json", "-n", "2")) == ALL[-2:]
    assert messages(corral("--json", "--since", "2h")) == ["long ago", *ALL]
    assert messages(corral("--json", "--since", "3h", "journal")) == ["of the journal"] * 7


def test_what_is_not_asked_for_stays_away(corral):
    def found(*words):
        return messages(corral("--json", *words))

    assert found("--host", "i-2") == ["first", "second", "third", "GET /other 404"]
    assert found("--host", "i-3", "--host", "i-2", "--until", at(2), "--since", "100m") == [
        "long ago",
        "first",
        "second",
        "third",
    ]
    assert found("--role", "db") == ["checkpoint", SLOW, OTHER]
    assert found("--level", "warn") == ["checkpoint", ALL[5]]
    assert found("--request", REQUEST) == ["room made", SLOW, *ALL[-2:]]
    assert found("rooms") == ["GET /api/rooms 200"]
    assert found("/api/rooms") == found("url.path:/api/rooms") == ALL[-2:]
    assert found("request", "answered") == ["request answered"]
    assert found("http.response.status_code:[200 TO 299]", "NOT", "service.name:nginx") == [
        "request answered"
    ]
    assert found("line.nothing:here") == []


def test_each_line_is_one_line(corral):
    first, *_, broken, _, _, _, app, _ = corral()
    assert first == f"{at(1)[:10]} {at(1)[11:23]} info  app     i-2                 app.log         first"
    assert "error" in broken and broken.endswith("broken\\nin two \\x1b[31mred, TypeError: no")
    more = "GET /api/rooms 200, 10.1 ms, database 3.2 ms in 2 queries"
    assert app.endswith(f"request answered, {more} [{REQUEST}]")


def test_a_request_is_traced_from_nginx_to_the_database(corral):
    *spent, empty, nginx, app, made, slow = corral(REQUEST, of=command.trace)
    assert [line.split() for line in spent] == [
        ["nginx", "12.3", "ms"],
        ["application", "10.1", "ms"],
        ["database", "3.2", "ms", "in", "2", "queries"],
    ]
    steps = [(line.split()[0], line.split(" ms  ")[1]) for line in (nginx, app, made, slow)]
    assert [step[0] for step in steps] == ["0.0", "1.2", "4.3", "9.3"]
    assert not empty and "nginx.access" in steps[0][1] and "room made" in steps[2][1]
    plain = json.loads("\n".join(corral(REQUEST, "--json", of=command.trace)))
    assert plain["spent"] == {"nginx": 12.3, "application": 10.1, "database": 3.2}
    said = [line["message"] for line in plain["lines"]]
    assert said == ["GET /api/rooms 200", "request answered", "room made", SLOW]
    with pytest.raises(CorralError, match="No line has the request id nothing"):
        corral("nothing", of=command.trace)


def test_whoever_follows_sees_each_line_once_also_one_that_comes_late(there, node):
    asked = Wanted(roles=["follow"])
    put(node, "follow", *(document(30 + number, f"before {number}", role="follow") for number in range(5)))
    events = command._events(connect.store(there), asked, 2, True, False)

    def come():
        for number in range(20):
            # Every second one was written before all that are there, and was cut off until now.
            when = 100 + number if number % 2 else -500 + number
            put(node, f"follow.{number % 3}", document(when, f"new {number}", role="follow"))
            time.sleep(0.2)

    threading.Thread(target=come, daemon=True).start()
    seen = [event.text("message") for event in islice(events, 22)]
    assert seen[:2] == ["before 3", "before 4"]
    assert sorted(seen[2:]) == sorted(f"new {number}" for number in range(20))
    events.close()


def test_what_is_wrong_is_said(there, corral, monkeypatch, tmp_path):
    ssm, name = client(there, "ssm"), "/corral/test/elk/reader-password"
    for words in ("message:((", "url.path:[a TO"):
        with pytest.raises(CorralError, match="That is no query"):
            corral(words)
    with pytest.raises(CorralError, match="'soon' is no moment"):
        corral("--since", "soon")
    for words, of in ((["--request", ""], command.logs), ([" "], command.trace)):
        with pytest.raises(CorralError, match="request's id is empty"):
            corral(*words, of=of)
    with pytest.raises(CorralError, match="No running host has the address"):
        corral("--host", "10.9.9.9")
    ssm.put_parameter(Name=name, Value="wrong", Overwrite=True)
    with pytest.raises(CorralError, match="does not know the account's password"):
        corral()
    ssm.delete_parameter(Name=name)
    with pytest.raises(CorralError, match=f"There is no secret {name}"):
        corral()
    ssm.put_parameter(Name=name, Value="secret", Type="SecureString")
    monkeypatch.setattr(connect, "PORT", free_port())
    with pytest.raises(CorralError, match="does not answer at port"):
        corral()
    place = tmp_path / "authorities" / f"{there.stack_name}.pem"
    place.unlink()
    place.mkdir()
    with pytest.raises(CorralError, match="certificate can't be kept in "):
        corral()
    assert list(place.parent.iterdir()) == [place]
    client(there, "s3").delete_object(Bucket=there.releases_bucket, Key="environments/test/ca.pem")
    with pytest.raises(CorralError, match="has no authority for certificates yet"):
        corral()


def test_a_server_of_another_name_is_not_asked(there, monkeypatch, corral):
    monkeypatch.setattr(type(there), "host_name", lambda *_: "127.0.0.2")
    # It listens on one address; a certificate for another name is what it shows there.
    monkeypatch.setattr(connect, "_address", lambda _: "127.0.0.1")
    with pytest.raises(CorralError, match=r"certificate that is not to be trusted.*doesn't match"):
        corral()
    # Who follows does not wait for what does not come.
    with pytest.raises(CorralError, match="certificate that is not to be trusted"):
        corral("-f")
