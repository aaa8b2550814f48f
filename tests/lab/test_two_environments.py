"""Two environments side by side: neither reaches the other's hosts or knows their names."""

import signal
import socket
import ssl
from contextlib import closing, contextmanager
from functools import partial
from http.client import HTTPConnection, HTTPException
from types import SimpleNamespace

import pytest

from lab import processes
from lab.paths import SERVICES
from tests.lab.fleet import routed, run, wait_for

CIDR, ENVIRONMENT, DOMAIN = "10.44.0.0/16", "second", "second.localhost"
CA = "/var/cache/corral-lab/ca/ca.pem"
ANYTHING = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
TAGS = {"corral:environment": ENVIRONMENT, "corral:role": "app"}


def tags(kind, named):
    return [{"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in named.items()]}]


class Second:
    """An environment of plain resources, and a host in the lab's own: both let in and out whatever comes."""

    def __init__(self, fleet, vpc):
        self.fleet, self.vpc = fleet, vpc
        self.ec2, self.elbv2 = fleet.client("ec2"), fleet.client("elbv2")
        self.subnets = [
            self.ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.44.{n}.0/24", AvailabilityZone=zone)["Subnet"][
                "SubnetId"
            ]
            for n, zone in enumerate(fleet.settings.zones)
        ]
        self.group = self.open_group(vpc)
        self.theirs = self.launch(self.subnets[0], self.group, TAGS)
        mine = self.subnet_of_the_lab()
        self.group_of_mine = self.open_group(mine["VpcId"])
        self.mine = self.launch(mine["SubnetId"], self.group_of_mine, {"corral:environment": "lab"})
        self.names()
        self.front()

    def subnet_of_the_lab(self):
        filters = [{"Name": "cidr-block", "Values": [self.fleet.settings.private_cidrs[0]]}]
        return self.ec2.describe_subnets(Filters=filters)["Subnets"][0]

    def open_group(self, vpc):
        group = self.ec2.create_security_group(GroupName="open", Description="anything", VpcId=vpc)["GroupId"]
        self.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=ANYTHING)
        return group

    def launch(self, subnet, group, named):
        parameter = self.fleet.settings.image.parameter
        image = self.fleet.client("ssm").get_parameter(Name=parameter)["Parameter"]["Value"]
        made = self.ec2.run_instances(
            ImageId=image,
            MinCount=1,
            MaxCount=1,
            InstanceType="t3.micro",
            SubnetId=subnet,
            SecurityGroupIds=[group],
            KeyName=self.fleet.settings.ssh.key_name,
            TagSpecifications=tags("instance", named),
        )["Instances"][0]
        return SimpleNamespace(instance_id=made["InstanceId"], private_address=made["PrivateIpAddress"])

    def names(self):
        """A private zone of its own, and a public one."""
        route53 = self.fleet.client("route53")
        vpc = {"VPCRegion": self.fleet.settings.region, "VPCId": self.vpc}
        self.zones = {
            name: route53.create_hosted_zone(Name=name, CallerReference=name, **more)["HostedZone"]["Id"]
            for name, more in (("second.internal", {"VPC": vpc}), (DOMAIN, {}))
        }
        self.record("UPSERT", "second.internal", "host.second.internal", self.theirs.private_address)

    def record(self, action, zone, name, address):
        record = {"Name": name, "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": address}]}
        if not address[0].isdigit():
            record = {"Name": name, "Type": "A"}
            record["AliasTarget"] = {"DNSName": address, "HostedZoneId": "Z1", "EvaluateTargetHealth": False}
        self.fleet.client("route53").change_resource_record_sets(
            HostedZoneId=self.zones[zone],
            ChangeBatch={"Changes": [{"Action": action, "ResourceRecordSet": record}]},
        )

    def front(self):
        """A load balancer that says whose it is."""
        balancer = self.elbv2.create_load_balancer(
            Name="second",
            Subnets=self.subnets,
            SecurityGroups=[self.group],
            Tags=[{"Key": key, "Value": value} for key, value in TAGS.items()],
        )["LoadBalancers"][0]
        self.balancer, self.dns_name = balancer["LoadBalancerArn"], balancer["DNSName"]
        self.record("UPSERT", DOMAIN, DOMAIN, self.dns_name)
        made = self.fleet.client("acm").request_certificate(DomainName=DOMAIN)
        says = {"StatusCode": "200", "MessageBody": "the second", "ContentType": "text/plain"}
        common = {
            "LoadBalancerArn": self.balancer,
            "DefaultActions": [{"Type": "fixed-response", "FixedResponseConfig": says}],
        }
        self.elbv2.create_listener(Port=80, Protocol="HTTP", **common)
        self.elbv2.create_listener(
            Port=443,
            Protocol="HTTPS",
            Certificates=[{"CertificateArn": made["CertificateArn"]}],
            SslPolicy="ELBSecurityPolicy-TLS13-1-3-2021-06",
            **common,
        )

    def remove(self):
        self.elbv2.delete_load_balancer(LoadBalancerArn=self.balancer)
        self.record("DELETE", "second.internal", "host.second.internal", self.theirs.private_address)
        self.record("DELETE", DOMAIN, DOMAIN, self.dns_name)
        for zone in self.zones.values():
            self.fleet.client("route53").delete_hosted_zone(Id=zone)
        ids = [self.theirs.instance_id, self.mine.instance_id]
        self.ec2.terminate_instances(InstanceIds=ids)
        for group in (self.group, self.group_of_mine):
            self.ec2.delete_security_group(GroupId=group)
        for subnet in self.subnets:
            self.ec2.delete_subnet(SubnetId=subnet)


@pytest.fixture(scope="module")
def second(fleet):
    with fleet.vpc(CIDR) as vpc:
        made = Second(fleet, vpc)
        try:
            run("corral", "lab", "wait")
            yield made
        finally:
            made.remove()


def says(fleet, host, command):
    """Whether a command on a host succeeds."""
    return fleet.shell(host, command, check=False).returncode == 0


def connects(fleet, host, address, port):
    return says(fleet, host, f"timeout 2 bash -c 'exec 3<>/dev/tcp/{address}/{port}'")


def pings(fleet, host, address):
    return says(fleet, host, f"ping -c 1 -W 2 {address}")


def test_this_machine_reaches_the_hosts_of_both(fleet, second):
    for host in (second.mine, second.theirs):
        socket.create_connection((host.private_address, 22), timeout=5).close()


def test_hosts_of_one_do_not_reach_those_of_the_other(fleet, second):
    """Whatever their security groups let in and out."""
    app = fleet.members("app")[0]
    assert connects(fleet, second.mine, second.mine.private_address, 22)
    for one, other in (
        (second.mine, second.theirs),
        (second.theirs, second.mine),
        (second.theirs, app),
        (app, second.theirs),
    ):
        assert not connects(fleet, one, other.private_address, 22)
        assert not connects(fleet, one, other.private_address, 80)
        assert not pings(fleet, one, other.private_address)


def test_hosts_of_one_do_not_learn_private_names_of_the_other(fleet, second):
    database = f"db.{fleet.settings.private_zone}"
    resolve = "getent ahostsv4 {}".format
    assert says(fleet, second.mine, resolve(database))
    assert says(fleet, second.theirs, resolve("host.second.internal"))
    assert not says(fleet, second.theirs, resolve(database))
    assert not says(fleet, second.mine, resolve("host.second.internal"))
    # Amazon's names and public zones are for all.
    for host in (second.mine, second.theirs):
        assert says(fleet, host, resolve("s3.eu-west-1.amazonaws.com"))
        assert says(fleet, host, resolve(second.dns_name))
    # Nor does one ask the other's resolver.
    assert connects(fleet, second.mine, "10.42.0.2", 53)
    assert connects(fleet, second.theirs, "10.44.0.2", 53)
    assert not connects(fleet, second.mine, "10.44.0.2", 53)
    assert not connects(fleet, second.theirs, "10.42.0.2", 53)


def get(fleet, host, port=443, version=None):
    """The answer's status and body for a request to this machine's port, over TLS for 443."""
    connection = HTTPConnection(host, timeout=10)
    connection.sock = socket.create_connection(("127.0.0.1", fleet.ports()[port]), timeout=10)
    if port == 443:
        context = ssl.create_default_context(cafile=CA)
        context.maximum_version = version or ssl.TLSVersion.MAXIMUM_SUPPORTED
        connection.sock = context.wrap_socket(connection.sock, server_hostname=host)
    with closing(connection):
        connection.request("GET", "/", headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def serves_second(fleet, port):
    try:
        return get(fleet, DOMAIN, port=port) == (200, "the second")
    except (OSError, HTTPException):
        return False  # nobody listens, or a load balancer is about to


def test_both_sites_open_at_the_same_port(fleet, second):
    for port in (80, 443):
        wait_for(f"the second's site at port {port}", partial(serves_second, fleet, port), seconds=60)
    status, body = get(fleet, fleet.settings.domain)
    assert (status, "<div id=" in body) == (200, True)
    # Each with its own policy.
    assert get(fleet, fleet.settings.domain, version=ssl.TLSVersion.TLSv1_2)[0] == 200
    with pytest.raises(ssl.SSLError):
        get(fleet, DOMAIN, version=ssl.TLSVersion.TLSv1_2)
    # A stranger is answered by the first one, whose servers hang up.
    assert get(fleet, "evil.example", port=80)[0] == 502


def test_a_host_reaches_the_others_site_as_the_world_does(fleet, second):
    for host, name in ((second.mine, DOMAIN), (second.theirs, fleet.settings.domain)):
        address = fleet.shell(host, f"getent ahostsv4 {name}").stdout.split()[0]
        asked = f"curl -sS -o /dev/null --max-time 5 --resolve {name}:443:{address} https://{name}/"
        done = fleet.shell(host, asked, check=False)
        assert done.returncode == 0, done.stderr


def test_a_balancers_own_groups_decide_who_comes_in(fleet, second):
    second.ec2.revoke_security_group_ingress(GroupId=second.group, IpPermissions=ANYTHING)
    try:

        def hangs_up():
            try:
                return not get(fleet, DOMAIN)
            except OSError:
                return True

        wait_for("the second's site is shut", hangs_up, seconds=60)
        assert get(fleet, fleet.settings.domain)[0] == 200
    finally:
        second.ec2.authorize_security_group_ingress(GroupId=second.group, IpPermissions=ANYTHING)
    wait_for("the second's site", lambda: not hangs_up(), seconds=60)


def test_people_find_the_second_by_its_name(fleet, second):
    shown = run("corral", "lab", "status").stdout
    assert f"The site of {ENVIRONMENT}: {fleet.url().replace(fleet.settings.domain, DOMAIN)}" in shown
    assert f"The site: {fleet.url()}" in shown
    assert f"{ENVIRONMENT}/app " in shown
    assert "1 of 1 hosts" in run("corral", "lab", "wait", "-e", ENVIRONMENT).stdout
    assert "1 of 1 hosts" in run("corral", "lab", "wait", "-e", f"lab-branch/{ENVIRONMENT}").stdout
    asked = run("corral", "lab", "shell", f"{ENVIRONMENT}/app", "--", "hostname", "-I").stdout
    assert asked.split() == [second.theirs.private_address]
    assert run("corral", "lab", "logs", f"{ENVIRONMENT}/app").stdout


@contextmanager
def bare_vpc(fleet, cidr):
    made = fleet.client("ec2").create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"]
    try:
        yield made
    finally:
        fleet.client("ec2").delete_vpc(VpcId=made)


@pytest.mark.parametrize(
    ("cidr", "why"),
    [
        ("10.44.128.0/20", "overlaps 10.44.0.0/16"),
        ("10.42.0.0/16", "overlaps 10.42.0.0/16"),
        ("169.254.77.0/24", "no private network"),
        ("10.213.0.0/16", "in use on this machine: the route to 10.213.0.0/16"),
    ],
)
def test_a_vpc_without_room_is_named_and_the_rest_goes_on(fleet, second, cidr, why):
    run("ip", "link", "add", "in-the-way", "type", "veth", "peer", "name", "its-end")
    try:
        run("ip", "link", "set", "its-end", "up")
        run("ip", "link", "set", "in-the-way", "up")
        run("ip", "route", "add", "10.213.0.0/16", "dev", "in-the-way")
        with bare_vpc(fleet, cidr) as vpc:
            status = ("corral", "lab", "status")
            wait_for("the reason in the status", lambda: f"VPC {vpc}" in run(*status).stdout, seconds=60)
            assert why in run(*status).stdout
            with fleet.vpc("10.45.0.0/16"):
                assert get(fleet, DOMAIN)[0] == 200
            socket.create_connection((second.theirs.private_address, 22), timeout=5).close()
        wait_for("no trouble any more", lambda: "trouble" not in run(*status).stdout, seconds=60)
    finally:
        run("ip", "link", "del", "in-the-way")


def test_a_killed_reconciler_takes_up_what_has_come_meanwhile(fleet, second):
    process = processes.recorded(SERVICES / "reconciler.pid")
    process.signal(signal.SIGKILL)
    with bare_vpc(fleet, "10.45.0.0/16"):
        run("corral", "lab", "up")
        wait_for("the third network", lambda: "10.45.0.0/16" in routed(), seconds=60)
    wait_for("no third network", lambda: "10.45.0.0/16" not in routed(), seconds=60)
    socket.create_connection((second.theirs.private_address, 22), timeout=5).close()
    assert get(fleet, DOMAIN) == (200, "the second")
    resolved = fleet.shell(second.mine, f"getent ahostsv4 {DOMAIN}").stdout.split()
    assert resolved[0] == "169.254.77.4", "it has kept its address"
