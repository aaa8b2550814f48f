"""SSH: small packets leave at once, and a host is trusted by the keys that it reported, by no others."""

import json
import os
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime

import paramiko
import pytest

from corral import aws, fleet, host_keys, ssh
from corral.members import Member
from corral.reports import store
from corral.settings import ROOT
from tests.local.lab_cloud import cloud  # noqa: F401
from tests.local.ssh_server import SshServer
from tests.shared import simulated

ID = "i-0123456789abcdef0"


def test_a_transport_waits_for_no_full_packet(tmp_path):
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as end,
        socket.create_connection(server.getsockname()) as another,
    ):
        for made, sock in ((ssh.transport_without_delay, end), (ssh.Trust("it", tmp_path), another)):
            transport = made(sock)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            transport.close()


@pytest.fixture(scope="module")
def user():
    return paramiko.RSAKey.generate(2048)


@pytest.fixture(scope="module")
def keys():
    """What a host has: keys of two types."""
    return paramiko.ECDSAKey.generate(), paramiko.RSAKey.generate(2048)


@pytest.fixture
def host(keys, user):
    server = SshServer(keys[1], user)
    yield server
    server.close()


@pytest.fixture
def pyinfra(host, user, tmp_path):
    """Runs a command on the host by pyinfra, with the data of group_data/aws.py and the keys of `known`."""

    def run(known, *words):
        user.write_private_key_file(str(tmp_path / "id"))
        file = tmp_path / "known_hosts" if known is not None else None
        if file:
            file.write_text(
                "".join(f"[127.0.0.1]:{host.port} {k.get_name()} {k.get_base64()}\n" for k in known)
            )
        (tmp_path / "aws.py").write_text(
            f"""
from pathlib import Path
from corral.ssh import Trust
trust = Trust("10.42.16.4 ({ID})", {file and f"Path({str(file)!r})"}, "it has not reported its SSH keys yet.")
app = [("127.0.0.1", {{
    "ssh_port": {host.port}, "ssh_key": {str(tmp_path / "id")!r}, "_sudo": False,
    "ssh_known_hosts_file": {str(file or os.devnull)!r},
    "ssh_paramiko_connect_kwargs": {{"transport_factory": trust}},
}})]
"""
        )
        command = [sys.executable, "-m", "pyinfra", "--group-data", ROOT / "inventory/group_data"]
        words = words or ("exec", "--", "echo", "it", "ran")
        return subprocess.run(
            [*command, tmp_path / "aws.py", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env=os.environ | {"CORRAL_ENV": "lab", "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        )

    return run


def test_a_host_with_a_key_that_it_reported_is_trusted(pyinfra, host, keys):
    run = pyinfra(keys)
    assert run.returncode == 0, run.stderr
    assert any("it ran" in command for command in host.commands)


def test_a_host_with_another_key_is_told_nothing(pyinfra, host, keys, tmp_path):
    run = pyinfra([keys[0], paramiko.RSAKey.generate(2048)])
    assert run.returncode == 1
    assert (
        f"SSH error (10.42.16.4 ({ID}) is not trusted: what answers there shows the ssh-rsa key" in run.stderr
    )
    (tmp_path / "host.pub").write_text(f"ssh-rsa {keys[1].get_base64()}\n")
    shown = subprocess.run(
        ["ssh-keygen", "-lf", tmp_path / "host.pub"], capture_output=True, text=True
    ).stdout
    assert f"{shown.split()[1]}, which this host has not reported. It is another machine" in run.stderr
    assert f"remove {tmp_path / 'known_hosts'} and try again when it has reported." in run.stderr
    assert "ssh-keygen -R" not in run.stderr
    assert (host.logins, host.commands) == (0, [])


def test_a_host_that_has_not_reported_is_told_nothing(pyinfra, host):
    run = pyinfra(None)
    assert run.returncode == 1
    assert (
        f"SSH error (10.42.16.4 ({ID}) is not trusted: it has not reported its SSH keys yet.)" in run.stderr
    )
    assert (host.logins, host.commands) == (0, [])


def test_paramiko_itself_is_strict_too(pyinfra, tmp_path):
    known = json.loads(pyinfra(None, "debug-inventory", "--json").stdout)[0]["data"]
    assert known["ssh_strict_host_key_checking"] == "yes"


MEMBER = Member("app", "chat-lab-app", ID, "eu-west-1a", "InService", address="10.42.16.4")
RSA = "ssh-rsa " + "A" * 372
EC = "ecdsa-sha2-nistp256 " + "A" * 140


def test_only_what_is_a_key_becomes_a_line():
    hostile = [
        "",
        "ssh-rsa",
        f"{RSA}\n10.42.16.5 {RSA}",
        f"* {RSA}",
        f"{RSA} comment",
        "ssh-dss " + "A" * 300,
    ]
    body = simulated.report(simulated.environment("http://x"), MEMBER, host_keys=[*hostile, RSA, EC])
    received = store.judge(ID, "lab", datetime.now(UTC), json.dumps(body).encode())
    assert host_keys.lines("10.42.16.4", received) == [f"10.42.16.4 {RSA}", f"10.42.16.4 {EC}"]
    assert host_keys.lines("10.42.16.4", None) == []


@pytest.fixture(scope="module")
def there(cloud):
    settings = simulated.environment(cloud.endpoint)
    simulated.populate(settings, 3)
    return settings


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(host_keys, "KEPT", tmp_path / "host_keys")
    return tmp_path / "host_keys/lab"


def test_keys_come_from_reports_once_and_are_kept(there, kept, monkeypatch):
    hosts = fleet.hosts(there)
    assert all(trust.file is None for trust in host_keys.trusts(there, hosts).values())
    simulated.everyone_reports(there)
    trusts = host_keys.trusts(there, hosts)
    assert {name: trust.file.read_text() for name, trust in trusts.items()} == {
        host.instance_id: f"{host.private_address} {simulated.HOST_KEY}\n" for host in hosts
    }
    assert sorted(path.name for path in kept.iterdir()) == sorted(trusts)
    assert {path.stat().st_mode & 0o777 for path in kept.iterdir()} == {0o600}
    # Whatever a host says later: a key never changes, and nobody asks again.
    monkeypatch.setattr(host_keys, "client", lambda *_: pytest.fail("S3 was asked"))
    assert host_keys.trusts(there, hosts) == trusts


def test_why_a_host_is_not_trusted(there, kept):
    silent, ill, keyless, other = fleet.hosts(there)
    simulated.everyone_reports(there)
    s3 = aws.client(there, "s3")
    for item in s3.list_objects_v2(Bucket=there.releases_bucket)["Contents"]:
        if silent.instance_id in item["Key"]:
            s3.delete_object(Bucket=there.releases_bucket, Key=item["Key"])
    simulated.send(there, ill.instance_id, b"?")
    as_member = Member("app", "chat-lab-app", keyless.instance_id, "eu-west-1a", "InService")
    simulated.send(there, keyless.instance_id, simulated.report(there, as_member, host_keys=["ssh-dss AAAA"]))
    trusts = host_keys.trusts(there, [silent, ill, keyless, other])
    assert trusts[silent.instance_id].problem.startswith("it has not reported its SSH keys yet. A host does")
    assert trusts[ill.instance_id].problem.startswith(
        "its report is not JSON. Look at it with `corral status`"
    )
    assert trusts[keyless.instance_id].problem.startswith("its report names no SSH key of a known type.")
    assert trusts[other.instance_id].file
    assert trusts[silent.instance_id].name == f"{silent.private_address} ({silent.instance_id})"


def test_keys_of_hosts_that_are_long_gone_are_forgotten(there, kept):
    kept.mkdir(parents=True)
    for name, days in (("i-00000000000000001", 31), ("i-00000000000000002", 29)):
        (kept / name).write_text("a key")
        os.utime(kept / name, (time.time() - days * 86400,) * 2)
    host_keys.trusts(there, [])
    assert [path.name for path in kept.iterdir()] == ["i-00000000000000002"]
