"""The lab's Filebeat: every line at least once, whatever is killed, rotated or written in between."""

import json

import pytest

from tests.local.elastic import Authority, Filebeat, Receiver, line, stamp, until
from tests.local.ports import free_port


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "pki")


def numbers(receiver):
    return [event.get("number") for event in receiver.events]


def noted(filebeat, path):
    """Wait until it has noted that the whole file arrived: the receiver has the lines a moment before."""
    registry = filebeat.folder / "data/registry/filebeat/log.json"
    wanted = f'"offset": {path.stat().st_size}}}'
    until(lambda: wanted in registry.read_text(), registry.read_text)


def test_lines_come_once_over_mutual_tls_and_in_order_with_who_sent_them(tmp_path, port, authority):
    receiver = Receiver(port, authority)
    filebeat = Filebeat(tmp_path / "app", port, authority, fields={"role": "app"}, tags=["json"])
    log = filebeat.logs / "app.log"
    log.write_text(line(1, tags="own") + line(2))
    with filebeat.program() as program:
        until(lambda: len(receiver.events) == 2, program.log)
        with log.open("a") as file:
            file.write(line(3))
        until(lambda: len(receiver.events) == 3, program.log)
        noted(filebeat, log)
        program.process.terminate()
        assert program.process.wait(20) == 0
        program.start()
        with log.open("a") as file:
            file.write(line(4))
        until(lambda: len(receiver.events) == 4, program.log)
    receiver.stop()
    assert numbers(receiver) == [1, 2, 3, 4]
    first, second = receiver.events[:2]
    agent = first.pop("agent")
    assert agent == second["agent"] and agent["type"] == "filebeat"
    file = first["log"].pop("file")
    assert file["path"] == str(log) and len(file["fingerprint"]) == 64
    assert first == {
        "@timestamp": stamp(1),
        "@metadata": {"beat": "filebeat", "type": "_doc", "version": "8.19.21"},
        "ecs": {"version": "8.0.0"},
        "fields": {"role": "app"},
        "host": {"name": "app-1"},
        "input": {"type": "filestream"},
        "log": {"offset": 0, "level": "info"},
        "message": "line 1",
        "number": 1,
        "tags": ["own", "json"],
    }
    assert second["log"]["offset"] == len(line(1, tags="own"))


def test_killed_before_the_answer_it_sends_the_same_lines_again(tmp_path, port):
    receiver = Receiver(port)
    receiver.answers = False
    filebeat = Filebeat(tmp_path / "app", port)
    (filebeat.logs / "app.log").write_text("".join(map(line, range(10))))
    with filebeat.program() as program:
        until(lambda: len(receiver.events) == 10, program.log)
        program.kill()
        receiver.answers = True
        program.start()
        until(lambda: len(receiver.events) == 20, program.log)
        with (filebeat.logs / "app.log").open("a") as file:
            file.write(line(10))
        until(lambda: len(receiver.events) == 21, program.log)
    receiver.stop()
    where = [(event["log"]["file"]["fingerprint"], event["log"]["offset"]) for event in receiver.events]
    assert where[:10] == where[10:20]
    assert numbers(receiver) == [*range(10), *range(10), 10]


@pytest.mark.parametrize("identity", ["fingerprint", "native"])
def test_files_that_rotate_twice_in_an_outage_lose_nothing(tmp_path, port, identity):
    filebeat = Filebeat(tmp_path / "app", port)
    if identity == "native":
        del filebeat.input["file_identity.fingerprint"], filebeat.input["prospector.scanner"]["fingerprint"]
        filebeat.write()
    receiver = Receiver(port)
    log = filebeat.logs / "app.log"
    log.write_text(line(0))
    with filebeat.program() as program:
        until(lambda: numbers(receiver) == [0], program.log)
        noted(filebeat, log)
        receiver.stop()
        for rotation in (1, 2):
            with log.open("a") as file:
                file.writelines(map(line, range(rotation * 100 - 99, rotation * 100 + 1)))
            log.rename(filebeat.logs / f"app.log.{3 - rotation}")
            if rotation == 1:
                until(lambda: "trying again" in program.log(), program.log)
                program.kill()
                program.start()
        log.write_text(line(201))
        receiver = Receiver(port)
        until(lambda: len(receiver.events) >= 201, program.log)
        # And once more, while it reads on.
        log.rename(filebeat.logs / "app.log.0")
        log.write_text(line(202))
        until(lambda: len(receiver.events) >= 202, program.log)
    receiver.stop()
    assert sorted(numbers(receiver)) == list(range(1, 203))


def test_whatever_a_line_is_it_is_kept_and_the_next_ones_come(tmp_path, port):
    receiver = Receiver(port)
    filebeat = Filebeat(tmp_path / "app", port, message_max_bytes=2_000_000)
    lines = [
        line(0).encode(),
        b"no json at all\n",
        b"\n",
        b"\xff\xfe not utf-8\n",
        line(1, big="x" * 1_000_000).encode(),
        b"y" * 3_000_000 + b"\n",
        b'{"message": "a text as log", "log": "text", "tags": {"a": 1}, "agent": 7, "host": []}\n',
        b'{"a": 1, "a.b": 2}\n',
        b'{"@timestamp": "yesterday", "message": "no time"}\n',
        b'{"type": 5, "@metadata": 1, "x": NaN}\n',
        b"[" * 100_000 + b"\n",
        b'{"a":' * 500 + b"1" + b"}" * 500 + b"\n",
        line(2).encode(),
    ]
    (filebeat.logs / "app.log").write_bytes(b"".join(lines))
    with filebeat.program() as program:
        until(lambda: 2 in numbers(receiver), program.log)
        receiver.stop()
    events = receiver.events
    assert len(events) == len(lines) - 1
    messages = [event.get("message") for event in events]
    assert messages[1:3] == ["no json at all", "\ufffd\ufffd not utf-8"]
    assert [event["error"]["type"] for event in events[1:3]] == ["json", "json"]
    assert len(events[3]["big"]) == 1_000_000
    assert len(messages[4]) == 2_000_000 and events[4]["log"]["flags"] == ["truncated"]
    assert (messages[5], events[5]["log"], events[5]["host"]) == ("a text as log", "text", {"name": "app-1"})
    # What Filebeat does with names that can't be expanded: the line's own fields are gone.
    assert events[6]["error"]["message"].startswith("cannot expand") and "a" not in events[6]
    assert events[7]["error"]["message"] == "@timestamp not overwritten (parse error on yesterday)"
    assert messages[8:11] == [each.decode().strip() for each in lines[9:12]]


def test_a_half_line_waits_for_its_end_and_a_short_file_for_its_fingerprint(tmp_path, port):
    receiver = Receiver(port)
    filebeat = Filebeat(tmp_path / "app", port, parsers=[])
    (filebeat.logs / "short.log").write_text("short\n")
    log = filebeat.logs / "app.log"
    log.write_text("x" * 100 + "\nhalf a ")
    with filebeat.program() as program:
        until(lambda: len(receiver.events) == 1, program.log)
        with log.open("a") as file:
            file.write("line\n")
        until(lambda: len(receiver.events) == 2, program.log)
        with (filebeat.logs / "short.log").open("a") as file:
            file.write("y" * 64 + "\n")
        until(lambda: len(receiver.events) == 4, program.log)
    receiver.stop()
    assert [event["message"] for event in receiver.events] == ["x" * 100, "half a line", "short", "y" * 64]


def test_a_receiver_with_another_authority_gets_nothing(tmp_path, port, authority):
    receiver = Receiver(port, Authority(tmp_path / "other"))
    filebeat = Filebeat(tmp_path / "app", port, authority)
    (filebeat.logs / "app.log").write_text(line(1))
    assert filebeat.run("test", "output")[0] == 1
    with filebeat.program() as program:
        until(lambda: "CERTIFICATE_VERIFY_FAILED" in program.log(), program.log)
    receiver.stop()
    assert receiver.events == []


def test_the_commands(tmp_path, port, authority):
    receiver = Receiver(port, authority)
    filebeat = Filebeat(tmp_path / "app", port, authority)
    assert filebeat.run("test", "config") == (0, "Config OK\n")
    code, said = filebeat.run("test", "output")
    assert (code, said.splitlines()[-1]) == (0, "  talk to server... OK")
    receiver.stop()
    assert filebeat.run("version")[1].startswith("filebeat version 8.19.21")
    with filebeat.program() as program:
        until(lambda: "start running" in program.log(), program.log)
        code, said = filebeat.run("run")
        assert code == 1 and "data path already locked by another beat" in said
    filebeat.main["output.logstash"]["ssl"]["certificate"] = "/nowhere.pem"
    filebeat.write()
    assert filebeat.run("test", "config")[0] == 1
    without = ["-E", "output.logstash.ssl.enabled=false"]
    assert filebeat.run("test", "config", *without) == (0, "Config OK\n")
    filebeat.main["output.elasticsearch"] = filebeat.main.pop("output.logstash")
    filebeat.write()
    assert filebeat.run("test", "config")[0] == 1


def test_the_registry_forgets_files_that_are_gone_and_no_others(tmp_path, port):
    receiver = Receiver(port)
    filebeat = Filebeat(tmp_path / "app", port)
    for number in (1, 2):
        (filebeat.logs / f"{number}.log").write_text(line(number))
    registry = filebeat.folder / "data/registry/filebeat/log.json"

    def removals():
        return [json.loads(each) for each in registry.read_text().splitlines()[::2]].count(
            {"op": "remove", "id": 3}
        )

    with filebeat.program() as program:
        until(lambda: len(receiver.events) == 2, program.log)
        (filebeat.logs / "1.log").unlink()
        (filebeat.logs / "2.log").rename(filebeat.logs / "2.log.1")
        until(removals, registry.read_text)
        program.kill()
        program.start()
        with (filebeat.logs / "2.log.1").open("a") as file:
            file.write(line(3))
        until(lambda: len(receiver.events) == 3, program.log)
    receiver.stop()
    assert sorted(numbers(receiver)) == [1, 2, 3]


def test_what_was_noted_survives_a_registry_that_was_being_written(tmp_path, port):
    receiver = Receiver(port)
    filebeat = Filebeat(tmp_path / "app", port)
    log = filebeat.logs / "app.log"
    log.write_text(line(1))
    with filebeat.program() as program:
        until(lambda: numbers(receiver) == [1], program.log)
        registry = filebeat.folder / "data/registry/filebeat"
        until(lambda: (registry / "log.json").read_text().count("\n") == 2, program.log)
        program.kill()
        with (registry / "log.json").open("a") as file:
            file.write(json.dumps({"op": "set", "id": 99}) + '\n{"k": "filest')
        program.start()
        with log.open("a") as file:
            file.write(line(2))
        until(lambda: len(receiver.events) == 2, program.log)
    receiver.stop()
    assert numbers(receiver) == [1, 2]
