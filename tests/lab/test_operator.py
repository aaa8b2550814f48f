"""What an operator asks of a fleet that configures itself: is it well, has it drifted, replace it all."""

import json

from tests.lab.fleet import run
from tests.lab.test_boot import grown, serving
from tests.lab.test_nodes import TICK
from tests.lab.visitors import Visitors


def test_status_says_that_all_is_well_and_what_runs(fleet):
    grown(fleet, 2)
    for member in fleet.members():
        fleet.shell(member, TICK)  # by now another bundle may be named than at their boot
    said = json.loads(run("corral", "status", "--json", CORRAL_ENV="lab").stdout)
    assert said["healthy"] is True
    hosts = {host["instance"]: host for host in said["hosts"]}
    assert hosts.keys() == {member.instance_id for member in fleet.members()}
    assert {host["bundle"] for host in hosts.values()} == {said["bundle"]}


def test_status_names_a_host_that_does_not_do_its_work(fleet):
    member = fleet.members("app")[0]
    with fleet.left_alone():
        fleet.shell(member, "systemctl stop nginx; systemctl mask --runtime --quiet nginx")
        try:
            fleet.shell(member, TICK, check=False)
            done = run("corral", "status", check=False, CORRAL_ENV="lab")
        finally:
            fleet.shell(member, "systemctl unmask --runtime nginx; " + TICK)
    assert done.returncode == 1
    said = f"✗ app {member.private_address} ({member.instance_id}): Its converge failed"
    assert any(line.startswith(said) for line in done.stdout.splitlines())
    grown(fleet, 2)


def test_drift_is_listed_and_left_as_it_is(fleet):
    member = fleet.members("db")[0]
    assert run("corral", "drift", CORRAL_ENV="lab").returncode == 0
    fleet.shell(member, "chmod 600 /etc/nftables.conf")
    done = run("corral", "drift", "--json", check=False, CORRAL_ENV="lab")
    assert done.returncode == 2
    assert "Open this role's ports and no others" in done.stdout
    assert member.private_address in done.stdout
    assert fleet.shell(member, "stat -c %a /etc/nftables.conf").stdout == "600\n"
    fleet.shell(member, TICK)
    assert run("corral", "drift", CORRAL_ENV="lab").returncode == 0


def test_a_host_with_other_keys_than_it_reported_is_refused(fleet):
    member = fleet.members("release")[0]
    keys = "/etc/ssh/ssh_host_"
    fleet.shell(member, f"mkdir /root/keys && cp -p {keys}* /root/keys && rm {keys}*")
    try:
        fleet.shell(member, "ssh-keygen -q -A && systemctl restart ssh")
        done = fleet.converge("--limit", member.private_address, check=False)
    finally:
        fleet.shell(member, "cp -p /root/keys/* /etc/ssh/ && rm -r /root/keys && systemctl restart ssh")
    assert done.returncode != 0
    assert f"{member.private_address} ({member.instance_id}) is not trusted" in done.stderr
    assert fleet.converge("--limit", member.private_address).changed == {}


def test_a_refresh_replaces_every_app_server_without_a_failed_request(fleet):
    old = grown(fleet, 2)
    visitors = [Visitors(fleet) for _ in range(4)]
    for visitor in visitors:
        visitor.start()
    done = run("corral", "refresh", "-y", CORRAL_ENV="lab")
    for visitor in visitors:
        visitor.done.set()
    for visitor in visitors:
        visitor.join()
    assert "All app servers of environment lab are new." in done.stdout
    new = grown(fleet, 2)
    assert new == serving(fleet)
    assert not new & old
    assert [error for visitor in visitors for error in visitor.failed] == []
