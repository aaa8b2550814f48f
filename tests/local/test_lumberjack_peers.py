"""Both of the lab's ends of Lumberjack against Elastic's own library (go-lumber), over mutual TLS."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.local.elastic import Authority, Filebeat, line, stamp, until
from tests.local.elastic_pipeline import Logstash
from tests.local.ports import free_port

SOURCE = Path(__file__).with_name("lumber")


@pytest.fixture(scope="module")
def lumber(tmp_path_factory):
    """Elastic's ends as a program."""
    if not shutil.which("go"):
        pytest.skip("no Go here: the ends of Lumberjack are not tested against Elastic's own library")
    program = tmp_path_factory.mktemp("lumber") / "lumber"
    build = ["go", "build", "-o", program, "."]
    # One compiler at a time: others measure on this machine.
    environment = {**os.environ, "GOFLAGS": "-mod=readonly -p=1"}
    fetched = subprocess.run(
        ["go", "mod", "download"], cwd=SOURCE, capture_output=True, text=True, timeout=300
    )
    if fetched.returncode:
        pytest.skip(f"no go-lumber to be had here: {fetched.stderr.strip()}")
    subprocess.run(build, cwd=SOURCE, env=environment, check=True, timeout=300)
    return program


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "pki")


@pytest.mark.parametrize("level", [0, 3])
def test_elastics_server_takes_what_filebeat_sends(tmp_path, authority, lumber, level):
    port = free_port()
    received = tmp_path / "received"
    filebeat = Filebeat(tmp_path / "app", port, authority)
    filebeat.main["output.logstash"] |= {"compression_level": level, "bulk_max_size": 100}
    filebeat.write()
    lines = [line(number) for number in range(250)]
    lines[100] = line(100, big="ü" * 500_000)
    lines[200] = "no json\n"
    (filebeat.logs / "app.log").write_text("".join(lines))
    serve = [lumber, "serve", f"127.0.0.1:{port}", authority.ca, *authority.pair("logstash")]
    with received.open("wb") as file, subprocess.Popen(serve, stdout=file) as server:
        try:
            with filebeat.program() as program:
                until(lambda: received.read_bytes().count(b"\n") == 250, program.log)
        finally:
            server.kill()
    events = [json.loads(each) for each in received.read_text().splitlines()]
    numbers = [event.get("number") for event in events]
    assert numbers == [*range(200), None, *range(201, 250)]
    assert events[100]["big"] == "ü" * 500_000 and events[200]["message"] == "no json"


@pytest.mark.parametrize(("level", "batch"), [(0, 7), (3, 100)])
def test_logstash_takes_what_elastics_client_sends(tmp_path, authority, lumber, level, batch):
    logstash = Logstash(tmp_path / "elk", authority)
    events = [
        {
            "@timestamp": stamp(0),
            "host": {"name": "app-1"},
            "log": {"offset": number, "file": {"fingerprint": "f"}},
            "message": line(number).strip(),
        }
        for number in range(250)
    ]
    address = f"127.0.0.1:{logstash.ports['beats']}"
    send = [lumber, "send", address, authority.ca, *authority.pair("app-1"), str(batch), str(level)]
    with logstash.program() as program:
        until(logstash.listens, program.log)
        text = "".join(json.dumps(each) + "\n" for each in events)
        done = subprocess.run(send, input=text, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout.strip()) == (0, "250"), done.stderr
        until(lambda: logstash.has(250), program.log)
        # A certificate of another authority sends nothing.
        strange = Authority(tmp_path / "other").pair("app-1")
        done = subprocess.run([*send[:4], *strange, *send[6:]], input=text, capture_output=True, text=True)
        assert done.returncode == 1 and done.stdout == ""
    logstash.store.stop()
    assert sorted(logstash.numbers()) == list(range(250))
    assert logstash.store.refused == 0
