"""The lab's names: rendered whole, and asked of a real dnsmasq."""

import socket
import struct
import subprocess
import time

import pytest

from lab import names
from lab.vpcs import Vpc
from tests.local.lab_cloud import cloud  # noqa: F401
from tests.local.ports import free_port

VPC = Vpc("vpc-1", "10.42.0.0/16")
RECORDS = [
    {"Name": "chat.localhost.", "Type": "SOA", "ResourceRecords": [{"Value": "ns-1 admin 1 2 3 4 5"}]},
    {
        "Name": "chat.localhost.",
        "Type": "A",
        "AliasTarget": {
            "DNSName": "dualstack.Front-1.eu-west-1.elb.amazonaws.com.",
            "HostedZoneId": "Z32O12XQLNTSW2",
            "EvaluateTargetHealth": False,
        },
    },
    {"Name": "www.chat.localhost.", "Type": "CNAME", "ResourceRecords": [{"Value": "chat.localhost"}]},
    {"Name": "db.lab.internal.", "Type": "A", "ResourceRecords": [{"Value": "10.42.129.7"}]},
    {"Name": "round.lab.internal.", "Type": "CNAME", "ResourceRecords": [{"Value": "round.lab.internal"}]},
    {
        "Name": "many.lab.internal.",
        "Type": "A",
        "ResourceRecords": [{"Value": "10.42.0.9"}, {"Value": "10.42.0.8"}],
    },
]
KNOWN = {"front-1.eu-west-1.elb.amazonaws.com": "169.254.77.3"}
HOSTS = """\
10.42.0.8 many.lab.internal
10.42.0.9 many.lab.internal
10.42.129.7 db.lab.internal
169.254.77.3 chat.localhost
169.254.77.3 front-1.eu-west-1.elb.amazonaws.com
169.254.77.3 www.chat.localhost
"""


def test_the_file_of_names_holds_addresses_of_records_aliases_and_cnames():
    assert names.render_hosts(names.addresses(RECORDS, KNOWN)) == HOSTS


def a(name, address):
    return {"Name": name, "Type": "A", "ResourceRecords": [{"Value": address}]}


ZONES = [
    names.Zone(
        "chat.localhost.", None, (a("chat.localhost.", "10.0.0.1"), a("b.chat.localhost.", "10.0.0.2"))
    ),
    names.Zone("b.chat.localhost.", None, (a("b.chat.localhost.", "10.0.0.3"),)),
    names.Zone("lab.internal.", frozenset({"vpc-1"}), (a("db.lab.internal.", "10.0.0.4"),)),
    names.Zone("b.internal.", frozenset({"vpc-2", "vpc-3"}), (a("db.b.internal.", "10.0.0.5"),)),
    names.Zone("chat.localhost.", frozenset({"vpc-3"}), (a("inner.chat.localhost.", "10.0.0.6"),)),
    names.Zone("deep.b.internal.", frozenset({"vpc-3"}), (a("db.deep.b.internal.", "10.0.0.7"),)),
]
EVERYWHERE = {"chat.localhost": "10.0.0.1", "b.chat.localhost": "10.0.0.3"}


@pytest.mark.parametrize(
    ("vpc", "found"),
    [
        (None, EVERYWHERE),
        ("vpc-1", EVERYWHERE | {"db.lab.internal": "10.0.0.4"}),
        ("vpc-2", EVERYWHERE | {"db.b.internal": "10.0.0.5"}),
        # Its private zone hides the public ones of that name and below.
        (
            "vpc-3",
            {
                "db.b.internal": "10.0.0.5",
                "inner.chat.localhost": "10.0.0.6",
                "db.deep.b.internal": "10.0.0.7",
            },
        ),
    ],
)
def test_a_vpc_sees_public_zones_and_its_own_private_ones(vpc, found):
    assert names.addresses(names.seen(ZONES, vpc), {}) == {name: [to] for name, to in found.items()}


def ask(port: int, name: str) -> tuple[int, list[str]]:
    """Ask for A records: the response code (0 found, 3 no such name) and the addresses."""
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    query = struct.pack(">6H", 7, 0x0100, 1, 0, 0, 0) + question + struct.pack(">2H", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(2)
        sock.sendto(query, ("127.0.0.1", port))
        answer = sock.recv(2048)
    code, count = answer[3] & 0xF, struct.unpack(">H", answer[6:8])[0]
    place, addresses = 12 + len(question) + 4, []
    for _ in range(count):
        assert answer[place] & 0xC0 == 0xC0, "a compressed name"
        kind, _, _, length = struct.unpack(">2HIH", answer[place + 2 : place + 12])
        if kind == 1:
            addresses.append(socket.inet_ntoa(answer[place + 12 : place + 12 + length]))
        place += 12 + length
    return code, sorted(addresses)


@pytest.fixture
def dnsmasq(tmp_path):
    resolver = names.Resolver(VPC, tmp_path)
    resolver.prepare("eu-west-1")
    config = resolver.config.read_text().replace("listen-address=10.42.0.2", "listen-address=127.0.0.1")
    port = free_port()
    resolver.config.write_text(config + f"port={port}\npid-file=\n")
    process = subprocess.Popen(resolver.command(), stderr=subprocess.DEVNULL)
    yield resolver, process, port
    process.terminate()
    process.wait()


def eventually(look, wanted, seconds=30.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            found = look()
        except OSError:
            found = None
        if found == wanted:
            return
        time.sleep(0.05)
    assert found == wanted


def put(route53, zone, records):
    """Make the zone hold these records beside its own."""
    for record in records:
        if record["Type"] != "SOA":
            batch = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": {"TTL": 60} | record}]}
            if "AliasTarget" in record:
                batch["Changes"][0]["ResourceRecordSet"] = record
            route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)


def test_dnsmasq_answers_what_route_53_says_and_follows_its_changes(dnsmasq, cloud):
    resolver, process, port = dnsmasq
    route53 = cloud.client("route53")
    zones = {
        name: route53.create_hosted_zone(Name=name, CallerReference=name, **private)["HostedZone"]["Id"]
        for name, private in (
            ("chat.localhost", {}),
            ("lab.internal", {"VPC": {"VPCId": VPC.id, "VPCRegion": "eu-west-1"}}),
            ("other.internal", {"VPC": {"VPCId": "vpc-2", "VPCRegion": "eu-west-1"}}),
        )
    }
    for name, zone in zones.items():
        put(route53, zone, [each for each in RECORDS if each["Name"].endswith(f"{name}.")])
    put(route53, zones["other.internal"], [a("db.other.internal.", "10.43.0.9")])
    reloads = []

    def sync(known):
        resolver.sync(names.read(route53), known, reload)

    def reload():
        reloads.append(1)
        process.send_signal(1)

    eventually(lambda: ask(port, "ssm.eu-west-1.amazonaws.com"), (0, ["169.254.77.2"]))
    assert ask(port, "s3.eu-west-1.amazonaws.com") == (0, ["169.254.77.2"])
    assert ask(port, "ip-10-42-1-5.eu-west-1.compute.internal") == (0, ["10.42.1.5"])
    assert ask(port, "example.com") == (3, [])

    sync(KNOWN)
    eventually(lambda: ask(port, "chat.localhost"), (0, ["169.254.77.3"]))
    assert ask(port, "www.chat.localhost") == (0, ["169.254.77.3"])
    assert ask(port, "front-1.eu-west-1.elb.amazonaws.com") == (0, ["169.254.77.3"])
    assert ask(port, "many.lab.internal") == (0, ["10.42.0.8", "10.42.0.9"])
    assert ask(port, "db.other.internal") == (3, []), "another VPC's zone"

    sync(KNOWN)
    assert len(reloads) == 1, "nothing changed, nothing reloaded"

    moved = {"Name": "db.lab.internal.", "Type": "A", "ResourceRecords": [{"Value": "10.42.144.4"}]}
    put(route53, zones["lab.internal"], [moved])
    sync({})
    eventually(lambda: ask(port, "db.lab.internal"), (0, ["10.42.144.4"]))
    assert ask(port, "chat.localhost") == (3, []), "an alias of a balancer that is gone"
