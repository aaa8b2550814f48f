"""Security groups: the whole ruleset as nft takes it, and real packets through it."""

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab import security_groups

GOLDEN = Path(__file__).parent / "golden" / "security_groups.nft"
WORLD = [{"CidrIp": "0.0.0.0/0"}]


def tcp(port, *groups, cidrs=()):
    return {
        "IpProtocol": "tcp",
        "FromPort": port,
        "ToPort": port,
        "IpRanges": [{"CidrIp": cidr} for cidr in cidrs],
        "UserIdGroupPairs": [{"GroupId": group} for group in groups],
    }


OPERATOR = tcp(22, cidrs=["169.254.77.1/32"])
OUT = [tcp(80, cidrs=["0.0.0.0/0"]), tcp(443, cidrs=["0.0.0.0/0"])]
GROUPS = [
    {
        "GroupId": "sg-app",
        "IpPermissions": [tcp(80, "sg-lb"), OPERATOR],
        "IpPermissionsEgress": [*OUT, tcp(5432, "sg-db")],
    },
    {"GroupId": "sg-db", "IpPermissions": [tcp(5432, "sg-app"), OPERATOR], "IpPermissionsEgress": []},
    {
        "GroupId": "sg-lb",
        "IpPermissions": [tcp(443, cidrs=["0.0.0.0/0"])],
        "IpPermissionsEgress": [tcp(80, "sg-app")],
    },
    {
        "GroupId": "sg-more",
        "IpPermissions": [
            {"IpProtocol": "-1", "IpRanges": WORLD, "UserIdGroupPairs": [{"GroupId": "sg-more"}]},
            {"IpProtocol": "udp", "FromPort": 5000, "ToPort": 5010, "IpRanges": WORLD},
            {"IpProtocol": "icmp", "FromPort": 8, "ToPort": -1, "IpRanges": WORLD},
            {
                "IpProtocol": "tcp",
                "FromPort": 0,
                "ToPort": 65535,
                "UserIdGroupPairs": [{"GroupId": "sg-gone"}],
            },
        ],
        "IpPermissionsEgress": [{"IpProtocol": "-1", "PrefixListIds": [{"PrefixListId": "pl-s3"}]}],
    },
    # Of another VPC, and of this one: both let everything in and out.
    *(
        {
            "GroupId": group,
            "IpPermissions": [{"IpProtocol": "-1", "IpRanges": WORLD}],
            "IpPermissionsEgress": [{"IpProtocol": "-1", "IpRanges": WORLD}],
        }
        for group in ("sg-open", "sg-other")
    ),
]
NETWORKS = ["10.42.0.0/16", "10.43.0.0/16"]


def instance(address, *groups, state="running"):
    return {
        "PrivateIpAddress": address,
        "SecurityGroups": [{"GroupId": group} for group in groups],
        "State": {"Name": state},
    }


INSTANCES = [
    instance("10.42.128.5", "sg-app"),
    instance("10.42.144.5", "sg-app"),
    instance("10.42.144.9", "sg-more", "sg-app", state="pending"),
    instance("10.42.128.6", "sg-db"),
    instance("10.42.128.7", "sg-db", state="terminated"),
    instance("10.42.144.8", "sg-open"),
    instance("10.43.128.5", "sg-other"),
]


@dataclass(frozen=True)
class Balancer:
    address: str = "169.254.77.3"
    addresses: list[str] = field(default_factory=lambda: ["10.42.0.4"])
    groups: list[str] = field(default_factory=lambda: ["sg-lb"])


BALANCERS = [Balancer(), Balancer("169.254.77.4", ["10.43.0.4"], ["sg-other"])]
RULESET = security_groups.ruleset(INSTANCES, GROUPS, BALANCERS, NETWORKS)


def in_own_namespace(*command, stdin=None):
    """Run as root of a user and network namespace of its own: needs no root, leaves nothing behind."""
    return subprocess.run(
        ["unshare", "--map-root-user", "--net", *command], input=stdin, capture_output=True, text=True
    )


def test_the_ruleset_is_the_golden_one():
    assert GOLDEN.read_text() == RULESET


def test_nft_takes_the_ruleset_twice_over():
    again = in_own_namespace("nft", "-f", "-", stdin=RULESET + RULESET)
    assert again.returncode == 0, again.stderr
    empty = in_own_namespace("nft", "-f", "-", stdin=security_groups.ruleset([], [], [], []))
    assert empty.returncode == 0, empty.stderr


# (from, to, port): what the rules above say of each pair of hosts.
PASSES = [
    ("machine", "app", 22),
    ("machine", "db", 22),
    ("lb", "app", 80),
    ("app", "db", 5432),
    ("app", "machine", 80),
    ("app", "router", 443),
    ("machine", "router", 4566),
    ("db", "resolver", 53),
    ("db", "metadata", 80),
    ("other", "other_resolver", 53),
    ("other", "metadata", 80),
    ("machine", "other", 22),
    ("machine", "other_resolver", 53),
    ("other_lb", "other", 80),
    ("open", "other_lb_site", 443),
    ("machine", "other", "ping"),
    ("open", "resolver", 53),
]
DROPPED = [
    ("machine", "app", 80),
    ("lb", "app", 22),
    ("lb", "db", 5432),
    ("app", "db", 22),
    ("db", "app", 80),
    ("db", "machine", 80),
    ("app", "machine", 22),
    ("db", "router", 443),
    ("app", "router", 4566),
    ("stranger", "db", 5432),
    ("stranger", "router", 443),
    ("open", "other", 80),
    ("other", "open", 80),
    ("other", "app", 80),
    ("other_lb", "open", 80),
    ("open", "other_lb", 80),
    ("open", "other_resolver", 53),
    ("other", "resolver", 53),
    ("open", "other", "ping"),
    ("other", "open", "ping"),
]


@pytest.fixture(scope="module")
def traffic(tmp_path_factory):
    """Which of the pairs above really connect, through a real router with the ruleset."""
    ask = {"ruleset": RULESET, "pairs": PASSES + DROPPED}
    script = Path(__file__).with_name("security_groups_traffic.py")
    done = in_own_namespace(sys.executable, str(script), stdin=json.dumps(ask))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("pair", PASSES, ids=lambda pair: "{}-{}-{}".format(*pair))
def test_what_a_rule_allows_passes(traffic, pair):
    assert traffic["connected"][json.dumps(pair)] is True


@pytest.mark.parametrize("pair", DROPPED, ids=lambda pair: "{}-{}-{}".format(*pair))
def test_what_no_rule_allows_is_dropped(traffic, pair):
    assert traffic["connected"][json.dumps(pair)] is False


def test_what_is_dropped_is_counted(traffic):
    assert traffic["dropped_packets"] >= len(DROPPED)


def test_an_open_connection_outlives_a_change_of_the_rules(traffic):
    assert traffic["open_connection_still_echoes"] is True


def test_sources_of_a_balancers_port():
    def of(port, *groups):
        return security_groups.sources(groups, GROUPS, INSTANCES, BALANCERS, port)

    assert of(443, "sg-lb") == ["0.0.0.0/0"]
    assert of(80, "sg-lb") == []
    assert of(80, "sg-app") == ["10.42.0.4", "169.254.77.3"]
    assert of(1, "sg-more") == ["0.0.0.0/0", "10.42.144.9"]
