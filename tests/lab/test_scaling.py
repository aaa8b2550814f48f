"""Cattle: one number sets how many app servers there are, and a terminated one is replaced."""

import subprocess
from pathlib import Path

from lab.hosts import present
from tests.lab.fleet import BIN, ROOT, run, wait_for
from tests.lab.visitors import Visitors


def in_service(fleet, count):
    return wait_for(
        f"{count} app servers in service", lambda: len(fleet.members("app")) == count, seconds=240
    ) and fleet.members("app")


def healthy(fleet, ids):
    return wait_for(
        f"{ids} healthy at the load balancer",
        lambda: {i for i, state in fleet.health().items() if state == "healthy"} == ids,
        seconds=60,
    )


class Witness:
    """Reads on a host what lets it go, until the host is gone."""

    def __init__(self, member):
        follow = ["journalctl", "-f", "-o", "cat", "-u", "corral-lifecycle"]
        self.process = subprocess.Popen(
            [BIN / "corral", "lab", "shell", member.instance_id, "--", *follow],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def told(self):
        """All that it said."""
        return self.process.communicate(timeout=30)[0]

    def leave(self):
        """Nothing happened there."""
        self.process.terminate()
        self.process.wait()


def test_one_number_scales_the_fleet_up_and_down(fleet):
    before = {m.instance_id for m in fleet.members("app")}
    fleet.scale(3)
    members = in_service(fleet, 3)
    (new,) = [m for m in members if m.instance_id not in before]
    healthy(fleet, before | {new.instance_id})
    # It configured itself before its group counted it in.
    assert fleet.converge().changed == {}

    witnesses = {member.instance_id: Witness(member) for member in members}
    visitors = [Visitors(fleet) for _ in range(4)]
    for visitor in visitors:
        visitor.start()
    fleet.scale(2)
    left = {m.instance_id for m in in_service(fleet, 2)}
    healthy(fleet, left)
    gone = (before | {new.instance_id}) - left

    def ended():
        filters = [{"Name": "instance-state-name", "Values": ["running"]}]
        listed = fleet.client("ec2").describe_instances(Filters=filters)
        return not gone & {i["InstanceId"] for r in listed["Reservations"] for i in r["Instances"]}

    # Well before the group would end it unasked (lifecycle.terminate_seconds).
    wait_for("the host that left has drained and ended", ended, seconds=90)
    wait_for(
        "it is no host any more",
        lambda: not any(Path("/var/lib/corral-lab/hosts", i).exists() for i in gone),
        40,  # longer than its shutdown takes, by force in the end
    )
    for visitor in visitors:
        visitor.done.set()
    for visitor in visitors:
        visitor.join()
    assert [error for visitor in visitors for error in visitor.failed] == []
    for stayed in left:
        witnesses[stayed].leave()
    (one,) = gone
    told = witnesses[one].told()
    assert "chat-lab-app ends this instance; stopping: corral-app.service nginx.service" in told
    assert "did not stop in good order" not in told
    assert "corral: done; this instance may end" in told


def test_a_host_that_does_not_come_is_named_with_its_consoles_last_lines(fleet):
    member = fleet.members("db")[0]
    fleet.shell(member, "systemctl stop ssh.socket ssh.service; echo 'the last words' >/dev/console")
    try:
        done = run("corral", "lab", "wait", "--seconds", "1", check=False)
    finally:
        fleet.shell(member, "systemctl start ssh.service")
    assert done.returncode == 1
    assert member.instance_id in done.stderr
    assert "the last words" in done.stderr
    run("corral", "lab", "wait", "--seconds", "10")


def test_a_host_that_never_boots_is_named_with_its_consoles_last_lines(fleet):
    """It stands outside of the group of app servers, which would replace it."""
    ec2, name = fleet.client("ec2"), fleet.settings.role_name("app")
    (group,) = fleet.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])[
        "AutoScalingGroups"
    ]
    template = {key: group["LaunchTemplate"][key] for key in ("LaunchTemplateId", "Version")}
    subnet = group["VPCZoneIdentifier"].split(",")[0]
    launched = ec2.run_instances(LaunchTemplate=template, SubnetId=subnet, MinCount=1, MaxCount=1)
    instance_id = launched["Instances"][0]["InstanceId"]
    try:
        run("corral", "lab", "wait")
        hangs = "#!/bin/sh\\necho 'the disk is on fire'; exec sleep 1000"
        init = "/usr/lib/systemd/systemd"
        damage = f'mv {init} {init}.whole; printf "{hangs}" >{init}; chmod 755 {init}'
        run("corral", "lab", "shell", instance_id, "--", "sh", "-c", damage)
        ec2.reboot_instances(InstanceIds=[instance_id])
        console = present()[instance_id].console
        wait_for("its boot hangs", lambda: "the disk is on fire" in console.read_text(), seconds=90)
        done = run("corral", "lab", "wait", "--seconds", "1", check=False)
    finally:
        ec2.terminate_instances(InstanceIds=[instance_id])
    assert done.returncode == 1
    assert f"{instance_id}, " in done.stderr
    assert done.stderr.count(": booting\n") == 1, "the others are there"
    assert "    the disk is on fire" in done.stderr
