"""`corral logs` and `corral trace` on real hosts: what a visitor caused is found, wherever it was written."""

import json
import re
import signal
import subprocess
import threading
import time
import uuid

from tests.lab.fleet import BIN, run, wait_for
from tests.lab.test_site import get

SECONDS = 60


def trace(fleet, request):
    done = run("corral", "trace", request, "-e", fleet.settings.reference, "--json", check=False)
    return json.loads(done.stdout) if done.returncode == 0 else None


def test_a_request_is_traced_from_nginx_to_the_database(fleet):
    request = f"traced-{uuid.uuid4()}"
    assert (
        get(fleet, "/api/rooms/general/messages?secret=1", headers={"X-Request-Id": request}.items())[0]
        == 200
    )

    def whole():
        found = trace(fleet, request)
        return found and len(found["spent"]) == 3 and found

    found = wait_for("nginx, the app and its queries are found", whole, SECONDS)
    assert 0 < found["spent"]["database"] < found["spent"]["application"] <= found["spent"]["nginx"] + 1
    lines = {line["data_stream"]["dataset"]: line for line in found["lines"]}
    nginx, app = lines["nginx.access"], lines["app.log"]
    servers = {member.instance_id for member in fleet.members("app")}
    assert nginx["host"]["name"] == app["host"]["name"] and app["host"]["name"] in servers
    assert (nginx["line"]["nginx.upstream_status"], app["database"]["queries"]) == ("200", 2)
    assert "secret" not in json.dumps(found)
    shown = run("corral", "trace", request, "-e", fleet.settings.reference).stdout.splitlines()
    assert [line.split()[0] for line in shown[:3]] == ["nginx", "application", "database"]


def test_a_slow_statement_is_found_by_the_request_that_it_was_for(fleet):
    request = f"slow-{uuid.uuid4()}"
    (database,) = fleet.members("db")
    statement = f"/* request {request} */ SELECT pg_sleep(1.2)"
    fleet.shell(database, f"runuser -u postgres -- psql -qXc '{statement}' >/dev/null")
    found = wait_for("it is found", lambda: trace(fleet, request), SECONDS)
    (line,) = found["lines"]
    assert (line["service"]["name"], line["log"]["level"]) == ("postgres", "info")
    assert line["host"]["name"] == database.instance_id
    assert float(re.search(r"duration: ([0-9.]+) ms", line["message"])[1]) >= 1200


def test_who_follows_sees_what_is_written_now_on_every_host(fleet):
    run_id = uuid.uuid4().hex
    command = [BIN / "corral", "logs", "-e", fleet.settings.reference, "-f", f'"{run_id}"']
    with subprocess.Popen(
        # What a shell starts in the background ignores Ctrl-C, and so does all below it: these tests, maybe.
        ["env", "--default-signal=INT", *command],
        stdout=subprocess.PIPE,
        text=True,
    ) as following:
        # A line that does not come ends the reading too.
        end = threading.Timer(SECONDS, following.kill)
        end.start()
        try:
            time.sleep(3)
            for member in fleet.members():
                fleet.shell(member, f"logger -p user.warning -t trace-test '{run_id} here'")
            lines = [following.stdout.readline() for _ in fleet.members()]
            following.send_signal(signal.SIGINT)
            assert following.wait(10) == 0
        finally:
            end.cancel()
            following.kill()
    assert {line.split()[4] for line in lines} == {member.instance_id for member in fleet.members()}
    assert all(line.split()[2] == "warn" and line.endswith(f"{run_id} here\n") for line in lines)
