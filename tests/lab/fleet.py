"""What the lab tests do to a fleet, in an operator's words: converge, scale, look inside a host."""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import testinfra

from corral import aws, fleet, settings
from lab import guard, hosts
from lab.configuration import saved
from lab.paths import LINK

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".venv" / "bin"


def run(*command, capture=True, check=True, **variables):
    """Run one command as a user in the checkout would; give back the finished process."""
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", **variables}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=capture, text=True, timeout=900, check=False
    )
    if check and done.returncode:
        raise AssertionError(
            f"{' '.join(map(str, command))} gave {done.returncode}:\n{done.stdout}\n{done.stderr}"
        )
    return done


def wait_for(what, condition, seconds):
    """Poll `condition` until it is true; fail with `what` after `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if result := condition():
            return result
        time.sleep(0.5)
    raise AssertionError(f"not within {seconds} s: {what}")


def guarded():
    """The networks that this machine's guard keeps inside the lab."""
    return guard.covered()


def routed():
    """The networks to which a route of this machine leads into the lab."""
    return {line.split()[0] for line in run("ip", "route", "show", "dev", LINK).stdout.splitlines()}


@dataclass
class Converge:
    """The outcome of one run of pyinfra, from its `--json`."""

    plan: list[dict]
    operations: list[dict]

    @property
    def hosts(self):
        """Addresses of all hosts that the run spoke to and that did not fail."""
        return {host for op in self.operations for kind in ("success", "no_change") for host in op[kind]}

    @property
    def failed(self):
        """Names of the operations that failed, each with its hosts."""
        return {op["name"]: op["error"] for op in self.operations if op["error"]}

    @property
    def changed(self):
        """Names of the operations that changed something, each with its hosts."""
        return {op["name"]: op["success"] for op in self.operations if op["success"]}

    @property
    def predicted(self):
        """Names of the operations that a dry run says would change something, each with its hosts."""
        return {op["name"]: op["hosts_with_change"] for op in self.plan if op["hosts_with_change"]}


class Fleet:
    """An environment that lives in the lab, as an operator reaches it."""

    def __init__(self, environment="lab"):
        self.settings = settings.load(environment)

    def client(self, service):
        """A boto3 client of the lab's AWS API."""
        return aws.client(self.settings, service)

    @contextmanager
    def vpc(self, cidr):
        """Another VPC, as long as this lasts: until its network has come, and until it is gone."""
        ec2 = self.client("ec2")
        made = ec2.create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"]
        try:
            wait_for(f"{cidr} has a network", lambda: cidr in guarded() and cidr in routed(), seconds=60)
            yield made
        finally:
            ec2.delete_vpc(VpcId=made)
            wait_for(f"{cidr} has none any more", lambda: cidr not in guarded() | routed(), seconds=60)

    def members(self, role=None):
        """The members in service, of one role or of all."""
        return [host for host in fleet.hosts(self.settings) if role in (None, host.role)]

    def converge(self, *arguments, check=True):
        """`pyinfra inventory/aws.py deploy.py -y --json …`, typed by hand."""
        confirm = [] if "--dry" in arguments else ["-y"]
        done = run(
            "pyinfra",
            *confirm,
            "--json",
            "inventory/aws.py",
            "deploy.py",
            *arguments,
            CORRAL_ENV=self.settings.reference,
            check=check,
        )
        if not check:
            return done
        result = json.loads(done.stdout)
        return Converge(result["plan"], (result["results"] or {"operations": []})["operations"])

    def host(self, member):
        """A testinfra host, over SSH, as root."""
        return testinfra.get_host(
            f"ssh://{self.settings.ssh.user}@{member.private_address}?sudo=true",
            ssh_identity_file=self.settings.ssh.private_key,
            ssh_extra_args="-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
        )

    def shell(self, member, command, check=True):
        """Run a shell command as root on a host, as `corral lab shell` does once it has found the host."""
        host = hosts.present().get(member.instance_id)
        leader = host.leader if host else None
        return run(sys.executable, "-m", "lab.visits", str(leader or 0), "sh", "-c", command, check=check)

    def reboot(self, member):
        """Reboot a host, and wait until all that its boot starts has been started."""
        before = hosts.present()[member.instance_id].leader
        self.client("ec2").reboot_instances(InstanceIds=[member.instance_id])

        def back():
            host = hosts.present().get(member.instance_id)
            another = host and host.leader not in (None, before)
            asked = "systemctl is-active --quiet multi-user.target"
            return another and self.shell(member, asked, check=False).returncode == 0

        wait_for(f"{member.private_address} is back", back, seconds=120)

    def status(self):
        """What `corral status` says of each host, by instance id."""
        said = run("corral", "status", "-e", self.settings.reference, "--json", check=False).stdout
        return {host["instance"]: host for host in json.loads(said)["hosts"]}

    def started(self, member, unit):
        """When a unit of a host became active, in microseconds since the host's boot."""
        asked = f"systemctl show --property=ActiveEnterTimestampMonotonic --value {unit}"
        return int(self.shell(member, asked).stdout)

    @contextmanager
    def left_alone(self):
        """As long as this lasts, the group takes no app server for ill, whatever is done to it by hand."""
        group = {
            "AutoScalingGroupName": f"{self.settings.stack_name}-app",
            "ScalingProcesses": ["HealthCheck"],
        }
        self.client("autoscaling").suspend_processes(**group)
        try:
            yield
        finally:
            self.client("autoscaling").resume_processes(**group)

    def scale(self, desired):
        """Set the number of app servers, through the plain AWS API."""
        self.client("autoscaling").set_desired_capacity(
            AutoScalingGroupName=f"{self.settings.stack_name}-app", DesiredCapacity=desired
        )

    def health(self):
        """{instance id: state} of the targets that serve the site."""
        elb = self.client("elbv2")
        (balancer,) = elb.describe_load_balancers(Names=[self.settings.stack_name])["LoadBalancers"]
        groups = elb.describe_target_groups(LoadBalancerArn=balancer["LoadBalancerArn"])["TargetGroups"]
        arn = next(g["TargetGroupArn"] for g in groups if g["Port"] == 80)
        described = elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        return {d["Target"]["Id"]: d["TargetHealth"]["State"] for d in described}

    def url(self):
        """Where the site opens on this machine, as `make up` prints it."""
        return saved().url(self.settings.domain)

    def ports(self):
        """{port of the load balancer: port of 127.0.0.1 on this machine}."""
        return saved().ports
