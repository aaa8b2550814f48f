"""What the lab does to the machine, and asks of it: names, guard, processes, preflight."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from corral.errors import CorralError
from lab import fleet, guard, mounts, network, observe, preflight, processes
from lab.configuration import Configuration
from lab.paths import host_namespace, resolver

GOLDEN = Path(__file__).parent / "golden"


def test_names_and_addresses():
    assert network.host_interface("10.42.1.5") == "h0a2a0105"
    assert network.host_mac("10.42.1.5") == "02:00:0a:2a:01:05"
    assert len(network.host_interface("255.255.255.255")) <= 15  # IFNAMSIZ - 1
    assert host_namespace("i-0abc") == "corral-lab-i-0abc"
    assert resolver("10.42.0.0/16") == "10.42.0.2"


def test_the_whole_guard():
    assert guard.ruleset(["10.43.0.0/16", "10.42.0.0/16"]) == (GOLDEN / "lab_guard.nft").read_text()


@pytest.mark.parametrize(
    ("route", "found"),
    [
        ({"dst": "10.0.0.0/8", "dev": "tun0"}, "the route to 10.0.0.0/8 by tun0"),
        ({"dst": "10.42.7.0/24", "dev": "docker0"}, "the route to 10.42.7.0/24 by docker0"),
        ({"dst": "10.42.7.9", "dev": "eth0"}, "the route to 10.42.7.9 by eth0"),
        ({"dst": "default", "gateway": "10.42.0.1", "dev": "eth0"}, "its gateway 10.42.0.1"),
        ({"dst": "default", "gateway": "10.1.0.1", "dev": "eth0"}, None),
        ({"dst": "10.43.0.0/16", "dev": "eth0"}, None),
        ({"dst": "10.42.0.0/16", "dev": "corral-lab"}, None),
        ({"type": "unreachable", "dst": "10.42.0.0/16"}, None),
    ],
)
def test_a_network_in_use_is_found(route, found):
    assert preflight.overlap("10.42.0.0/16", [route], ["10.255.0.1"]) == found


def test_a_name_server_in_the_way_is_found():
    assert preflight.overlap("10.42.0.0/16", [], ["1.1.1.1", "10.42.0.53"]) == "its name server 10.42.0.53"


def test_a_machine_without_loop_devices_is_told_so(monkeypatch):
    said = {"unshare": "yes\n", "losetup": ""}
    monkeypatch.setattr(preflight, "run", lambda *command, **_: said[command[0]])
    with pytest.raises(
        CorralError, match=r"This machine has no loop devices, and the lab's volumes are some\."
    ):
        preflight.check_machine("10.42.0.0/16")


def test_a_taken_port_gives_a_high_one(monkeypatch):
    monkeypatch.setattr(preflight, "can_bind", lambda _, port: port not in (443, 8443))
    assert preflight.free_port(443) == 8444
    assert preflight.free_port(80) == 80
    assert Configuration("lab", "/image", 8444, 80).url("chat.localhost") == "https://chat.localhost:8444/"
    assert Configuration("lab", "/image", 443, 80).url("chat.localhost") == "https://chat.localhost/"


@pytest.mark.parametrize("local", ["0.0.0.0:80", "*:80", "[::]:80"])
def test_a_listener_on_every_address_is_found(local):
    rest = '0.0.0.0:* users:(("nginx",pid=7,fd=3),("nginx",pid=8,fd=3))'
    assert preflight.listens_everywhere(f"LISTEN 0 511 {local} {rest}\n", 80) == "nginx, pid 7"


def test_a_listener_on_its_own_address_is_in_nobodys_way():
    shown = 'LISTEN 0 250 169.254.77.1:80 0.0.0.0:* users:(("apt-cacher-ng",pid=7,fd=12))\n'
    assert preflight.listens_everywhere(shown, 80) is None
    assert preflight.listens_everywhere("", 80) is None


def test_can_bind_knows_a_listener():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        assert not preflight.can_bind("127.0.0.1", listener.getsockname()[1])


def test_the_list_of_packages_is_names_only():
    names = preflight.debian_packages()
    assert {"systemd-container", "haproxy", "mmdebstrap"} <= set(names)
    assert not [name for name in names if " " in name or "#" in name]


def test_an_absent_package_is_missing():
    assert preflight.missing_packages(["dpkg", "no-such-package-of-debian"]) == ["no-such-package-of-debian"]


def test_a_process_outlives_its_starter_and_is_found_again(tmp_path):
    script = f"""
from pathlib import Path
from lab import processes
processes.spawn(Path("{tmp_path}/pid"), ["sh", "-c", "sleep 100 & wait"], Path("{tmp_path}/log"))
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    process = processes.recorded(tmp_path / "pid")
    assert process.alive
    assert processes.marked(process.pid)
    assert not processes.marked(os.getpid())
    processes.wait_until(lambda: processes.children(process.pid), seconds=5)
    child = processes.children(process.pid)[0]
    processes.stop(process)
    assert not process.alive
    assert processes.wait_until(lambda: not processes.Process(child, _start(child)).alive, seconds=5)


def _start(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except FileNotFoundError:
        return "gone"


def test_one_that_ignores_the_first_signal_is_killed(tmp_path):
    stubborn = ["sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"]
    process = processes.spawn(tmp_path / "pid", stubborn, tmp_path / "log")
    processes.stop(process, grace=0.3)
    assert not process.alive


def test_a_later_process_with_the_same_pid_is_left_alone(tmp_path):
    # It leads a session, as a daemon or a login shell does, and does not bear the lab's mark.
    other = subprocess.Popen(["sleep", "100"], start_new_session=True)
    try:
        (tmp_path / "pid").write_text(f"{other.pid} 12345\n")
        recorded = processes.recorded(tmp_path / "pid")
        assert not recorded.alive
        processes.stop(recorded, grace=0.1)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_mounts_are_found_by_whole_names(monkeypatch, tmp_path):
    lines = [f"1 2 0:1 / {point} rw - tmpfs x rw" for point in ("/a/b", "/a/b/c", "/a/bc", "/a")]
    monkeypatch.setattr(Path, "read_text", lambda _: "\n".join(lines))
    assert mounts.below(Path("/a/b")) == ["/a/b/c", "/a/b"]


def test_a_listening_port_is_seen_without_a_packet():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        assert not observe.listens(os.getpid(), port)
        listener.listen()
        assert observe.listens(os.getpid(), port)


def instance(identity, role, launched, environment="lab"):
    tags = {"corral:role": role, "corral:environment": environment} if role else {}
    pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
    return {"InstanceId": identity, "LaunchTime": launched, "Tags": pairs}


def test_people_name_hosts_by_environment_role_and_age():
    found = fleet.named(
        [
            instance("i-3", "app", "2026-01-03"),
            instance("i-1", "app", "2026-01-01"),
            instance("i-2", "db", "2026-01-02"),
            instance("i-4", None, "2026-01-04"),
            instance("i-5", "app", "2026-01-02", "two"),
        ],
        "lab",
    )
    assert [(name, one["InstanceId"]) for name, one in found] == [
        ("app1", "i-1"),
        ("app2", "i-3"),
        ("db", "i-2"),
        ("host", "i-4"),
        ("two/app", "i-5"),
    ]
