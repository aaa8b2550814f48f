"""From an instance's launch to SSH's reach: real hosts of the lab, one after the other.

bench/boot.py [ROUNDS]          needs the lab up (make up); launches instances of its own and terminates them
"""

import socket
import sys
import time

import paramiko
from _lab import LAB, client, say, table

PATIENCE = 60.0  # seconds


def main() -> None:
    """Launch, wait, log in, terminate; as often as asked."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    seconds = []
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        seconds.append(launch())
    table("A host's boot", [("launch to SSH login", seconds)], {"launch to SSH login": 6})


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
