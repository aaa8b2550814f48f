"""The lab's Filebeat and the journal: each entry once, from where it was. journalctl is a script here."""

import json
import os

from tests.local.elastic import Filebeat, Receiver, until
from tests.local.ports import free_port

# Prints what is in a file of entries, after the cursor that it is given, and what comes.
JOURNALCTL = """#!/bin/sh
echo "$*" >>{folder}/asked
for word; do case $word in --after-cursor=*) after=${{word#*=}};; esac; done
tail -n "+$((${{after:-0}} + 1))" -f {folder}/journal
"""


def entry(number):
    return json.dumps(
        {
            "__CURSOR": str(number),
            "__REALTIME_TIMESTAMP": str(1_790_000_000_000_000 + number * 1000),
            "MESSAGE": f"said {number}" if number % 2 else list(f"said {number}".encode()),
            "PRIORITY": "6",
            "SYSLOG_IDENTIFIER": "sshd",
            "_PID": "17",
            "_SYSTEMD_UNIT": "ssh.service",
            "_HOSTNAME": "app-1",
            "SOMETHING_ELSE": "left out",
        }
    )


def test_entries_come_once_and_go_on_where_they_were(tmp_path, monkeypatch):
    port = free_port()
    receiver = Receiver(port)
    script = tmp_path / "bin/journalctl"
    script.parent.mkdir()
    script.write_text(JOURNALCTL.format(folder=tmp_path))
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    journal = tmp_path / "journal"
    journal.write_text(entry(1) + "\n" + entry(2) + "\nno entry\n")
    filebeat = Filebeat(tmp_path / "app", port)
    filebeat.input = {"type": "journald", "id": "journal", "units": ["ssh.service"]}
    filebeat.write()
    with filebeat.program() as program:
        until(lambda: len(receiver.events) == 2, program.log)
        # An entry's cursor is the number of its line here.
        with journal.open("a") as file:
            file.write(entry(4) + "\n")
        until(lambda: len(receiver.events) == 3, program.log)
        until(
            lambda: '"position": "4"' in (filebeat.folder / "data/registry/filebeat/log.json").read_text(),
            "noted",
        )
        program.kill()
        with journal.open("a") as file:
            file.write(entry(5) + "\n")
        program.start()
        until(lambda: len(receiver.events) == 4, program.log)
    receiver.stop()
    assert [event["message"] for event in receiver.events] == ["said 1", "said 2", "said 4", "said 5"]
    first = receiver.events[0]
    assert first.pop("agent") and first.pop("@metadata")
    assert first == {
        "@timestamp": "2026-09-21T14:13:20.001Z",
        "ecs": {"version": "8.0.0"},
        "event": {"kind": "event"},
        "host": {"hostname": "app-1", "name": "app-1"},
        "input": {"type": "journald"},
        "journald": {"pid": 17},
        "log": {"syslog": {"appname": "sshd", "priority": 6}},
        "message": "said 1",
        "systemd": {"unit": "ssh.service"},
    }
    always = "--utc --output=json --all --no-pager --follow"
    assert (tmp_path / "asked").read_text().splitlines() == [
        f"{always} --no-tail --unit=ssh.service",
        f"{always} --after-cursor=4 --unit=ssh.service",
    ]
