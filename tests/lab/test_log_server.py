"""The log server as a real host: who may look, what a converge put there, how another version comes to it."""

import json
import subprocess

import pytest

from tests.lab.fleet import run, wait_for
from tests.local.ports import free_port

UNITS = ("elasticsearch", "kibana", "logstash", "filebeat")


@pytest.fixture
def elk(fleet):
    (member,) = fleet.members("elk")
    # It has a certificate when it has signed its own, which no converge waits for.
    all_run = "systemctl is-active elasticsearch logstash kibana nginx"
    wait_for(
        "the log server serves",
        lambda: fleet.shell(member, all_run, check=False).returncode == 0,
        seconds=300,
    )
    return member


@pytest.fixture
def ask(fleet, elk, tmp_path):
    """Ask the log server from this machine, by TLS: status and answer."""
    body = fleet.client("s3").get_object(
        Bucket=fleet.settings.releases_bucket, Key=f"environments/{fleet.settings.environment}/ca.pem"
    )["Body"]
    (tmp_path / "ca.pem").write_bytes(body.read())
    name = fleet.settings.host_name("elk")

    def get(port, path, user="", password="", at=elk.private_address):
        where = ["--cacert", tmp_path / "ca.pem", "--resolve", f"{name}:{port}:{at}"]
        command = [
            "curl",
            "-sS",
            "-w",
            "\n%{http_code}",
            "--max-time",
            "30",
            *where,
            f"https://{name}:{port}{path}",
        ]
        # The password is on no command line.
        config = f'user = "{user}:{password}"\n' if user else ""
        done = subprocess.run(
            [*command, "-K", "-"], input=config, capture_output=True, text=True, check=True, timeout=60
        )
        answer, _, status = done.stdout.rpartition("\n")
        return int(status), answer

    return get


@pytest.fixture
def forwarded(fleet, elk):
    """A port of this machine that leads to Kibana's by the release server, as docs/log-server.md has it."""
    (release,) = fleet.members("release")
    port, ssh = free_port(), fleet.settings.ssh
    options = ["ExitOnForwardFailure=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null"]
    way = f"127.0.0.1:{port}:{fleet.settings.host_name('elk')}:443"
    command = ["ssh", "-N", *(f"-o{option}" for option in options), "-i", ssh.private_key, "-L", way]
    with subprocess.Popen([*command, f"{ssh.user}@{release.private_address}"]) as process:
        try:
            wait_for("the way is open", lambda: run("ss", "-Hltn", f"sport = :{port}").stdout, seconds=20)
            yield port
        finally:
            process.terminate()


def secret(fleet, name):
    parameter = fleet.settings.parameter("elk", name)
    return fleet.client("ssm").get_parameter(Name=parameter, WithDecryption=True)["Parameter"]["Value"]


def test_nobody_looks_without_an_account(fleet, ask):
    reader = ("reader", secret(fleet, "reader-password"))
    for port, path in ((443, "/"), (9200, "/logs-*/_search")):
        assert ask(port, path)[0] == 401
        assert ask(port, path, "reader", "wrong")[0] == 401
        assert ask(port, path, *reader)[0] == 200
    assert ask(9200, "/_cluster/health", *reader)[0] == 403
    # Who writes has nothing to look for.
    assert ask(443, "/", "writer", secret(fleet, "writer-password"))[0] == 401


def test_kibana_has_what_converge_gave_it(fleet, ask):
    reader = ("reader", secret(fleet, "reader-password"))

    def dashboard():
        status, body = ask(443, "/api/saved_objects/dashboard/corral", *reader)
        return status == 200 and json.loads(body)

    found = wait_for("the dashboard is there", dashboard, seconds=60)
    assert found["attributes"]["title"] == "The fleet"


def test_who_is_let_in_by_the_release_server_looks_through_it(fleet, ask, forwarded):
    reader = ("reader", secret(fleet, "reader-password"))
    assert ask(forwarded, "/", at="127.0.0.1")[0] == 401
    assert ask(forwarded, "/api/status", *reader, at="127.0.0.1")[0] == 200


def test_elasticsearch_knows_how_logs_are_stored(fleet, ask):
    operator = ("operator", secret(fleet, "operator-password"))
    status, body = ask(9200, "/_index_template/corral-logs", *operator)
    assert status == 200
    (found,) = json.loads(body)["index_templates"]
    retention = found["index_template"]["template"]["lifecycle"]["data_retention"]
    assert retention == f"{fleet.settings.logs.days}d"


def test_secrets_are_on_no_disk_of_the_log_server(fleet, elk):
    names = ("operator-password", "reader-password", "writer-password", "kibana-token", "kibana-key")
    words = "|".join(secret(fleet, name) for name in names)
    # One that must be found: this search can find.
    fleet.shell(elk, f"printf %s {secret(fleet, names[0])} > /etc/planted")
    places = "/etc /srv/data /var/lib /var/log"
    try:
        found = fleet.shell(elk, f"grep -rlE -e '{words}' {places}; test $? -le 1").stdout
    finally:
        fleet.shell(elk, "rm /etc/planted")
    assert found.split() == ["/etc/planted"]


def test_an_account_that_nobody_gave_is_gone_after_a_converge(fleet, elk):
    users = "/etc/elasticsearch/users"
    before = fleet.shell(elk, f"cat {users}").stdout
    fleet.shell(elk, f"echo 'guest:$2a$04$xxxxxxxxxxxxxxxxxxxxxxx' >> {users}")
    assert fleet.converge("--limit", elk.private_address).changed
    assert fleet.shell(elk, f"cat {users}").stdout == before
    assert not fleet.converge("--limit", elk.private_address).changed


def test_what_elasticsearch_says_is_in_the_journal(fleet, elk):
    assert "started" in fleet.shell(elk, "journalctl -q -u elasticsearch -o cat | grep '] started {'").stdout


def test_another_version_comes_in_the_right_order_and_once(fleet, elk):
    """What dpkg believes is installed is made older than it is: the packages themselves are the same."""
    fleet.shell(
        elk,
        r"sed -i '/^Package: \(elasticsearch\|kibana\|logstash\|filebeat\)$/,/^$/"
        rf"s/^Version: \(1:\)\?{fleet.settings.logs.version}/Version: \18.0.0/' /var/lib/dpkg/status",
    )
    since = fleet.shell(elk, "date '+%F %T'").stdout.strip()
    before = {unit: fleet.started(elk, unit) for unit in UNITS}
    converge = fleet.converge("--limit", elk.private_address)
    assert not converge.failed
    after = {unit: fleet.started(elk, unit) for unit in UNITS}
    assert sorted(UNITS, key=after.get) == list(UNITS)
    assert all(after[unit] > before[unit] for unit in UNITS)
    for unit in UNITS:
        count = f"journalctl -q -u {unit} --since '{since}' -o cat | grep -c '^Started {unit}'"
        assert fleet.shell(elk, count).stdout.strip() == "1"
    versions = fleet.shell(elk, f"dpkg-query -W -f '${{source:Upstream-Version}}\n' {' '.join(UNITS)}").stdout
    assert set(versions.split()) == {fleet.settings.logs.version}
    assert not fleet.converge("--limit", elk.private_address).changed
