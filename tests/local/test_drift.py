"""`corral drift`: dry runs of the real pyinfra on hosts of this machine, some of which can't be looked at."""

import json
import subprocess

import paramiko
import pytest
from click.testing import CliRunner

from corral import drift, fleet
from corral.cli import corral
from corral.cli import drift as command
from corral.errors import CorralError
from corral.settings import load
from tests.local.ssh_server import SshServer

DEPLOY = """
from pyinfra import host
from pyinfra.facts.server import Command
from pyinfra.operations import files, server

files.directory(name="Make what is there", path=host.data.place)
if host.data.get("drifts"):
    files.directory(name="Make what is not there", path=host.data.place + "/new")
    server.shell(name="Run what always changes", commands=["touch " + host.data.place + "/ran"])
if host.data.get("fails"):
    host.get_fact(Command, "echo the disk is gone >&2; exit 3")
"""
WELL, DRIFTED, FAILING, ABSENT = (f"127.0.0.{number}" for number in (1, 2, 3, 4))


@pytest.fixture(scope="module")
def keys():
    return paramiko.RSAKey.generate(2048), paramiko.RSAKey.generate(2048)


@pytest.fixture
def place(tmp_path):
    (tmp_path / "host").mkdir()
    return tmp_path / "host"


@pytest.fixture
def root(tmp_path, keys, place):
    """A checkout whose inventory is hosts of this machine: one well, one drifted, one failing, one absent."""
    servers = {address: SshServer(*keys, address) for address in (WELL, DRIFTED, FAILING)}
    keys[1].write_private_key_file(str(tmp_path / "id"))
    common = {"ssh_key": str(tmp_path / "id"), "place": str(place), "ssh_strict_host_key_checking": "no"}
    own = {DRIFTED: {"drifts": True}, FAILING: {"fails": True}}
    hosts = [
        (
            address,
            common | own.get(address, {}) | {"ssh_port": servers[address].port if address in servers else 1},
        )
        for address in (WELL, DRIFTED, FAILING, ABSENT)
    ]
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory/aws.py").write_text(f"app = {hosts!r}\n")
    (tmp_path / "deploy.py").write_text(DEPLOY)
    yield tmp_path
    for server in servers.values():
        server.close()


def counted(run, runs):
    def counting(hosts):
        runs.append(hosts)
        return run(hosts)

    return counting


def look(root, hosts):
    found, runs = {}, []
    for some in drift.look(hosts, counted(drift.dry_run(load("lab"), root), runs)):
        found |= some
    return found, runs


def test_hosts_that_are_well_take_one_run_and_nothing_is_changed(root, place):
    found, runs = look(root, [WELL, DRIFTED])
    assert found == {
        WELL: drift.Found(),
        DRIFTED: drift.Found(("Make what is not there", "Run what always changes")),
    }
    assert runs == [[WELL, DRIFTED]]
    assert list(place.iterdir()) == []


def test_hosts_that_can_not_be_looked_at_are_told_from_the_others(root):
    found, runs = look(root, [WELL, FAILING, ABSENT, DRIFTED])
    assert found[WELL] == drift.Found()
    assert found[DRIFTED].changes == ("Make what is not there", "Run what always changes")
    assert "the disk is gone" in found[FAILING].problem
    assert found[ABSENT].problem.startswith("Could not connect (")
    assert [sorted(hosts) for hosts in runs[:2]] == [sorted([WELL, FAILING, ABSENT, DRIFTED]), [ABSENT]]
    assert [FAILING] in runs


def test_what_stops_pyinfra_before_any_host_ends_it_at_once(root):
    (root / "inventory/aws.py").write_text("raise SystemExit('corral: There are no AWS credentials.')\n")
    with pytest.raises(CorralError, match="did not get as far as any host: "):
        look(root, [WELL, DRIFTED])


def done(hosts, changes=(), complains=(), code=0, said=""):
    plan = [{"name": f"  {name}", "hosts_with_change": [host]} for host, name in changes]
    said = said + "".join(f"[{host}] SSH error (no)\n" for host in complains)
    return subprocess.CompletedProcess([], code, json.dumps({"plan": plan}) if code == 0 else "", said)


def test_a_fleet_is_looked_at_in_chunks_and_one_fault_costs_few_runs():
    hosts = [f"10.0.{number // 100}.{number % 100}" for number in range(60)]
    runs = []

    def run(some):
        runs.append(some)
        ill = [host for host in some if host == "10.0.0.30"]
        return done(some, [("10.0.0.59", "Configure x")] * ("10.0.0.59" in some), ill, 1 if ill else 0)

    found = {}
    for some in drift.look(hosts, run):
        found |= some
    assert list(found) != []
    assert found["10.0.0.30"] == drift.Found(problem="SSH error (no)")
    assert found["10.0.0.59"] == drift.Found(("Configure x",))
    assert sum(found[host] == drift.Found() for host in hosts) == 58
    assert sorted(map(len, runs)) == [1, 10, 24, 25, 25]


def test_a_host_that_went_meanwhile_is_told_so():
    def run(some):
        gone = "10.0.0.2" in some
        said = "corral: --limit 10.0.0.2: no host and no role of that name is in service.\n"
        return done(some, code=1, said=said) if gone else done(some)

    found = next(drift.look(["10.0.0.1", "10.0.0.2", "10.0.0.3"], run))
    assert found == {
        "10.0.0.1": drift.Found(),
        "10.0.0.2": drift.Found(problem="It is in service no more."),
        "10.0.0.3": drift.Found(),
    }


def test_a_fault_that_names_no_host_is_found_by_halves():
    def run(some):
        return done(some, code=1 if "10.0.0.6" in some else 0, said=f"[{some[0]}] Connected\nError: x\n")

    found = next(drift.look([f"10.0.0.{number}" for number in range(1, 9)], run))
    assert {host for host, one in found.items() if one.problem} == {"10.0.0.6"}


def test_no_terminal_is_told_what_to_do_by_a_host():
    assert drift.complaint("[10.0.0.1] \x1b[2Jgone\n", "10.0.0.1") == "\ufffd[2Jgone"


@pytest.fixture
def run(root, monkeypatch):
    """Runs the command on the hosts of this machine."""
    hosts = [
        fleet.Host(role, address, f"i-{address[-1] * 17}", "eu-west-1a", f"chat-lab-{role}")
        for role, address in (("app", WELL), ("app", DRIFTED), ("db", FAILING))
    ]
    monkeypatch.setattr(command.fleet, "hosts", lambda _: hosts)
    monkeypatch.setattr(command, "dry_run", lambda settings: drift.dry_run(settings, root))
    return lambda *words: CliRunner().invoke(corral, ["drift", "-e", "lab", *words])


def test_the_exit_code_says_whether_there_is_drift(run):
    assert run("--limit", WELL).exit_code == 0
    assert run("--limit", WELL).stdout == "None of 1 hosts would change in environment lab.\n"
    some = run("--limit", "app")
    assert some.exit_code == 2
    assert some.stdout == (
        f"• app {DRIFTED} (i-22222222222222222) would change:\n"
        "    Make what is not there\n"
        "    Run what always changes\n"
        "1 of 2 hosts would change in environment lab.\n"
    )
    everyone = run("--json")
    assert everyone.exit_code == 1
    said = json.loads(everyone.stdout)
    assert [(host["address"], host["changes"], bool(host["problem"])) for host in said["hosts"]] == [
        (WELL, [], False),
        (DRIFTED, ["Make what is not there", "Run what always changes"], False),
        (FAILING, [], True),
    ]


def test_a_limit_that_names_nobody_is_refused(run):
    refused = run("--limit", "apps")
    assert isinstance(refused.exception, CorralError)
    assert "--limit apps: no host and no role of that name" in str(refused.exception)
