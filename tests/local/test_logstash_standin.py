"""The lab's Logstash, alone and behind the lab's Filebeat: nothing is lost, nothing is in the store twice."""

import json
import signal
import socket
import ssl
import threading
import time
from functools import partial

import pytest

from lab.elastic import lumberjack
from tests.local.elastic import Authority, Filebeat, line, run, stamp, until
from tests.local.elastic_pipeline import SHIPPED, Logstash, client
from tests.local.elastic_store import number_of


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "pki")


@pytest.fixture
def logstash(tmp_path, authority):
    found = Logstash(tmp_path / "elk", authority)
    yield found
    found.store.stop()


def event(number, said=None):
    text = json.dumps({"message": f"line {number}", "number": said or number})
    fields = {"@timestamp": stamp(0), "message": text, "host": {"name": "app-1"}}
    fields |= {"data_stream": {"dataset": "app"}}
    return json.dumps(fields | {"log": {"offset": number, "file": {"fingerprint": "f"}}}).encode()


def write_lines(log, total, rate):
    """Write numbered lines to a file, at a rate per second, and rotate it by rename now and then."""
    start = time.monotonic()
    file = log.open("a")
    for number in range(total):
        file.write(line(number))
        file.flush()
        if number % 400 == 399:
            file.close()
            log.rename(log.with_name(f"app.log.{number}"))
            file = log.open("a")
        time.sleep(max(0.0, start + number / rate - time.monotonic()))
    file.close()


def test_whoever_is_killed_each_line_is_in_the_store_once(tmp_path, authority, logstash):
    filebeat = Filebeat(tmp_path / "app", logstash.ports["beats"], authority, **SHIPPED)
    total = 2000
    log = filebeat.logs / "app.log"
    with filebeat.program() as shipper, logstash.program() as pipeline:
        writer = threading.Thread(target=write_lines, args=(log, total, 200), daemon=True)
        writer.start()
        for turn in range(6):
            until(partial(logstash.has, turn * 150 + 1), pipeline.log)
            killed = (shipper, pipeline)[turn % 2]
            if killed is shipper:
                # What it sends now is taken, and it does not hear of it.
                pipeline.process.send_signal(signal.SIGSTOP)
                time.sleep(0.6)
            killed.kill()
            pipeline.process.send_signal(signal.SIGCONT)
            if turn == 3:
                logstash.store.stop()
            killed.start()
            if turn == 3:
                time.sleep(1)
                logstash.store.start()
            if turn == 4:
                logstash.store.busy = True
                time.sleep(0.5)
                logstash.store.busy = False
        writer.join()
        until(lambda: len(logstash.store.documents) >= total, pipeline.log)
        time.sleep(1)
    documents = list(logstash.store.documents.values())
    assert sorted(map(number_of, documents)) == list(range(total))
    assert all(each["@timestamp"] == stamp(number_of(each)) for each in documents)
    assert {key[0] for key in logstash.store.documents} == {"logs-app-lab"}
    # Those that were sent again after a kill: known by their ids.
    assert logstash.store.refused > 0
    assert logstash.letters() == []
    assert set(logstash.store.seen) == {("/_bulk", "application/x-ndjson", "Basic d3JpdGVyOnNlY3JldA==")}


def test_what_was_acknowledged_while_the_store_was_away_survives_a_kill(authority, logstash):
    logstash.store.stop()
    with logstash.program() as program:
        until(logstash.listens, program.log)
        with client(authority, logstash.ports["beats"]) as connection:
            for start in range(0, 1000, 100):
                connection.sendall(lumberjack.window([event(start + each) for each in range(100)], 3))
                assert lumberjack.read_acknowledgement(connection.makefile("rb")) == 100
        until(lambda: "unreachable or down" in program.log(), program.log)
        # Up to a batch is under way.
        assert logstash.stats()["queue"]["events_count"] >= 875
        program.kill()
        program.start()
        until(logstash.listens, program.log)
        logstash.store.start()
        until(lambda: len(logstash.store.documents) == 1000, program.log)
        assert sorted(logstash.numbers()) == list(range(1000))
        program.process.terminate()
        assert program.process.wait(20) == 0
        program.start()
        until(logstash.listens, program.log)
        assert logstash.stats()["queue"]["events_count"] == 0
    assert logstash.store.refused == 0


def test_what_the_store_refuses_is_a_dead_letter_and_the_rest_goes_on(authority, logstash):
    with logstash.program() as program:
        until(logstash.listens, program.log)
        with client(authority, logstash.ports["beats"]) as connection:
            events = [
                event(1),
                event(2, "none"),
                event(1),
                b'{"message": "no json", "tags": 7}',
                event(3),
            ]
            connection.sendall(lumberjack.window(events, 0))
            assert lumberjack.read_acknowledgement(connection.makefile("rb")) == 5
        until(lambda: len(logstash.store.documents) == 3, program.log)
        until(logstash.letters, program.log)
    assert (sorted(map(str, logstash.numbers())), logstash.store.refused) == (["1", "3", "None"], 1)
    (plain,) = (each for each in logstash.store.documents.values() if number_of(each) is None)
    assert (plain["message"], plain["tags"]) == ("no json", [7, "not_json"])
    (letter,) = logstash.letters()
    assert number_of(letter["event"]) == "none" and "status: 400" in letter["reason"]


def test_a_full_queue_holds_the_sender_and_says_that_it_lives(tmp_path, authority):
    sizes = {"queue.max_bytes": "4kb", "queue.page_capacity": "2kb", "dead_letter_queue.enable": False}
    logstash = Logstash(tmp_path / "small", authority, **sizes)
    logstash.store.stop()
    with logstash.program() as program:
        until(logstash.listens, program.log)
        with client(authority, logstash.ports["beats"]) as connection:
            stream = connection.makefile("rb")
            sent = 0
            while True:
                connection.sendall(lumberjack.window([event(sent + each) for each in range(10)], 3))
                sent += 10
                if not (answer := lumberjack.read_acknowledgement(stream)):
                    break
                assert answer == 10 and sent < 100
            logstash.store.start()
            while not answer:
                answer = lumberjack.read_acknowledgement(stream)
            assert answer == 10
            until(lambda: len(logstash.store.documents) == sent, program.log)
        assert logstash.stats()["dead_letter_queue"] is None
    logstash.store.stop()
    assert sorted(logstash.numbers()) == list(range(sent))
    assert len(list((logstash.folder / "data/queue/main").glob("page.*"))) <= 2


def test_who_has_no_certificate_of_ours_is_refused(tmp_path, authority, logstash):
    strange = Authority(tmp_path / "other").pair("app-1")
    with logstash.program() as program:
        until(logstash.listens, program.log)
        for pair in (None, strange):
            context = ssl.create_default_context(cafile=authority.ca)
            if pair:
                context.load_cert_chain(*pair)
            raw = socket.create_connection(("127.0.0.1", logstash.ports["beats"]), timeout=30)
            # With TLS 1.3 a client hears of it only when it reads.
            with (
                pytest.raises((OSError, EOFError)),
                raw,
                context.wrap_socket(raw, server_hostname="localhost") as tls,
            ):
                tls.sendall(lumberjack.window([event(1)], 3))
                lumberjack.read_acknowledgement(tls.makefile("rb"))
        # And what is no Lumberjack disturbs nobody.
        with client(authority, logstash.ports["beats"]) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert connection.recv(100) == b""
        with client(authority, logstash.ports["beats"]) as connection:
            connection.sendall(lumberjack.window([event(2)], 3))
            assert lumberjack.read_acknowledgement(connection.makefile("rb")) == 1
        until(lambda: logstash.numbers() == [2], program.log)


def test_the_commands(logstash):
    where = ["--path.settings", logstash.folder / "etc"]
    code, said = run("lab.elastic.logstash", *where, "--config.test_and_exit", WRITER_PASSWORD="x")
    assert (code, said.splitlines()[0]) == (0, "Configuration OK")
    code, said = run("lab.elastic.logstash", *where, "-t")
    assert code == 1 and "Replacement variable `WRITER_PASSWORD` is not defined" in said
    assert "logstash 8.19.21" in run("lab.elastic.logstash", "--version")[1]
    with logstash.program() as program:
        until(logstash.listens, program.log)
        code, said = run("lab.elastic.logstash", *where, WRITER_PASSWORD="x")
        assert code == 1 and "already another instance using the configured" in said
