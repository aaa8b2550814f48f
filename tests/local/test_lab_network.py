"""The lab's network for real, in namespaces of the test's own: the guard before all else, and after it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lab.vpcs import Vpc, choose

A, B = "10.42.0.0/16", "10.44.0.0/16"


@pytest.fixture(scope="module")
def seen():
    """What the scenario saw. It needs no root, and leaves nothing behind."""
    script = Path(__file__).with_name("lab_network_scenario.py")
    command = ["unshare", "--map-root-user", "--net", "--mount", sys.executable, str(script)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={"PYTHONPATH": str(script.parents[2]), "PATH": PATH}
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def whole(*networks):
    """The shape of a lab with these VPCs."""
    resolvers = [network.replace("0.0/16", "0.2") for network in networks]
    return {
        "guard": [*networks],
        "rules": [*networks],
        "routes": [*networks],
        "resolvers": resolvers,
    }


def test_vpcs_come_and_go(seen):
    assert seen["one"] == whole(A)
    assert seen["two"] == whole(A, B)
    assert seen["inhabited"] == [True, True]
    assert seen["deserted"] == [True, False]
    assert seen["one again"] == whole(A)


def test_the_guard_covers_a_network_before_a_route_leads_there(seen):
    assert seen["without a guard"] == ["", ["10.42.0.5"]], "the ear hears what leaves"
    assert seen["cut off"] == whole(A) | {"guard": [A, B], "rules": [A, B]}
    error, heard = seen["cut off, sent"]
    assert "No route to host" in error
    assert heard == []


def test_an_open_connection_does_not_outlive_its_network(seen):
    assert "abort" in seen["connection"]
    assert seen["after it"] == []


def test_nothing_leaves_while_the_guard_changes(seen):
    assert seen["flood"] == [0, []]


def test_down_leaves_nothing(seen):
    assert seen["down"] == [[], "", []]
    assert seen["down, sent"] == ["", ["10.44.0.5"]]


def vpcs(*cidrs):
    return [Vpc(f"vpc-{number}", cidr) for number, cidr in enumerate(cidrs, 1)]


@pytest.mark.parametrize(
    ("cidr", "why"),
    [
        ("10.42.128.0/20", "10.42.128.0/20 overlaps 10.42.0.0/16 of vpc-1"),
        ("10.0.0.0/8", "10.0.0.0/8 overlaps 10.42.0.0/16 of vpc-1"),
        ("172.16.0.0/16", "172.16.0.0/16 is in use on this machine: the route to it"),
        ("169.254.77.0/24", "169.254.77.0/24 is no private network"),
        ("198.51.100.0/24", "198.51.100.0/24 is no private network"),
    ],
)
def test_a_vpc_without_room_is_left_out_with_the_reason_and_the_others_stay(cidr, why):
    def in_use(network):
        return "the route to it" if network == "172.16.0.0/16" else None

    first, taken, last = vpcs("10.42.0.0/16", cidr, "10.43.0.0/16")
    chosen, refused = choose([first, taken, last], [], in_use)
    assert chosen == [first, last]
    assert list(refused) == [taken.id]
    assert why in refused[taken.id]


def test_a_vpc_that_has_its_network_keeps_it():
    """Whoever was here first, by the API or on this machine."""
    older, newer = vpcs("10.42.0.0/16", "10.42.0.0/16")
    chosen, refused = choose([older, newer], [newer], lambda _: "a route of a VPN that came later")
    assert chosen == [newer]
    assert "in use" in refused[older.id] or "overlaps" in refused[older.id]
