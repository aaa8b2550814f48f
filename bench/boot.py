"""From an instance's launch to SSH's reach, and to a server that serves: real hosts, one after the other.

bench/boot.py [ROUNDS]          needs the lab up (make up); launches instances of its own and terminates them
"""

import socket
import sys
import time

import paramiko
from _lab import LAB, client, members, say, table, wait_for

PATIENCE = 60.0  # seconds
# What a new app server comes to, one after the other, each in seconds since its launch.
STAGES = ("SSH answers", "its own report", "in service", "healthy at the balancer")


def main() -> None:
    """Launch, wait, log in, terminate; as often as asked."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    seconds = []
    stages: dict[str, list[float]] = {name: [] for name in STAGES}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        seconds.append(launch())
        for name, took in arrive().items():
            stages[name].append(took)
    table("A host's boot", [("launch to SSH login", seconds)], {"launch to SSH login": 6})
    aims = {"healthy at the balancer": 60}
    table("An app server that configures itself, since its launch", list(stages.items()), aims)


def arrive() -> dict[str, float]:
    """Let the group have one app server more for a while; seconds until that reaches each stage."""
    scaling, s3, name = client("autoscaling"), client("s3"), LAB.role_name("app")
    before = {host.instance_id for host in members("app")}
    scaling.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=len(before) + 1)
    new: list[str] = []

    def launched() -> bool:
        group = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"][0]
        new.extend(one["InstanceId"] for one in group["Instances"] if one["LifecycleState"][:7] == "Pending")
        return bool(new)

    wait_for("an instance is launched", launched, PATIENCE, pause=0.1)
    (instance,) = new
    began = time.monotonic()
    address = client("ec2").describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0][
        "PrivateIpAddress"
    ]

    def reported() -> bool:
        found = s3.list_objects_v2(Bucket=LAB.releases_bucket, Prefix=f"reports/{LAB.environment}/")
        return any(instance in one["Key"] for one in found.get("Contents", []))

    reached = (
        lambda: logs_in(address),
        reported,
        lambda: instance in {host.instance_id for host in members("app")},
        lambda: health().get(instance) == "healthy",
    )
    took = {}
    try:
        for stage, condition in zip(STAGES, reached, strict=True):
            wait_for(stage, condition, 3 * PATIENCE, pause=0.2)
            took[stage] = time.monotonic() - began
    finally:
        scaling.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=len(before))
    wait_for("the group is as it was", lambda: len(members("app")) == len(before), PATIENCE)
    return took


def health() -> dict[str, str]:
    """What the load balancer finds of each app server."""
    elb = client("elbv2")
    balancer = elb.describe_load_balancers(Names=[LAB.stack_name])["LoadBalancers"][0]
    groups = elb.describe_target_groups(LoadBalancerArn=balancer["LoadBalancerArn"])["TargetGroups"]
    group = next(each for each in groups if each["Port"] == 80)
    found = elb.describe_target_health(TargetGroupArn=group["TargetGroupArn"])["TargetHealthDescriptions"]
    return {one["Target"]["Id"]: one["TargetHealth"]["State"] for one in found}


def launch() -> float:
    """Launch an instance as the app group would, outside of the group; seconds until a login over SSH."""
    ec2, scaling = client("ec2"), client("autoscaling")
    name = LAB.role_name("app")
    group = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"][0]
    template = {key: group["LaunchTemplate"][key] for key in ("LaunchTemplateId", "Version")}
    tags = [{"Key": tag["Key"], "Value": tag["Value"]} for tag in group["Tags"]]
    began = time.monotonic()
    launched = ec2.run_instances(
        LaunchTemplate=template,
        SubnetId=group["VPCZoneIdentifier"].split(",")[0],
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
        MinCount=1,
        MaxCount=1,
    )["Instances"][0]
    instance, address = launched["InstanceId"], launched["PrivateIpAddress"]
    try:
        while time.monotonic() < began + PATIENCE:
            if logs_in(address):
                return time.monotonic() - began
            time.sleep(0.05)
        sys.exit(f"bench: {instance} ({address}) is out of SSH's reach. See: corral lab logs")
    finally:
        ec2.terminate_instances(InstanceIds=[instance])


def logs_in(address: str) -> bool:
    """Whether the operator can log in and run a command now."""
    ssh = paramiko.SSHClient()
    ssh.set_missing_host_key_policy(paramiko.AutoAddPolicy())  # it is new, and gone in a moment
    try:
        # A packet to a host that is not there is dropped and sent again after a second: ask more often.
        sock = socket.create_connection((address, 22), timeout=0.1)
        ssh.connect(
            address,
            username=LAB.ssh.user,
            key_filename=LAB.ssh.private_key,
            sock=sock,
            banner_timeout=5,
            auth_timeout=5,
            allow_agent=False,
            look_for_keys=False,
        )
        return ssh.exec_command("true")[1].channel.recv_exit_status() == 0
    except (OSError, paramiko.SSHException):
        return False
    finally:
        ssh.close()


if __name__ == "__main__":
    main()
