"""A converge that finds nothing to do: one app server, and four at once. Seconds, ratio, commands per host.

bench/noop.py [ROUNDS]          needs the lab up (make up); raises the fleet to four app servers and back
"""

import re
import sys
from collections import Counter

from _lab import LAB, client, members, say, table, timed, wait_for

CONVERGE = ("pyinfra", "-y", "inventory/aws.py", "deploy.py")
HOSTS = 4


def main() -> None:
    """Measure on as many hosts as the aims speak of, and leave the fleet as it was."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    group = LAB.role_name("app")
    scaling = client("autoscaling")
    before = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group])["AutoScalingGroups"][0]
    try:
        if before["DesiredCapacity"] != HOSTS:
            say(f"setting {group} to {HOSTS} app servers")
            scaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=HOSTS)
        wait_for(f"{HOSTS} app servers in service", lambda: len(members("app")) == HOSTS, 120)
        timed(["corral", "lab", "wait"])
        say("converging, so that nothing is left to do")
        timed(CONVERGE)
        measure(rounds)
    finally:
        scaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=before["DesiredCapacity"])


def measure(rounds: int) -> None:
    """Time the no-op in turns, so that what else the machine does meets both alike."""
    one = members("app")[0].private_address
    names = ("one host", f"{HOSTS} hosts at once", "the inventory alone")
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        for name, limit in (("one host", one), (f"{HOSTS} hosts at once", "app")):
            took, output = timed([*CONVERGE, "--limit", limit])
            refuse_changes(output)
            seconds[name].append(took)
        took, _ = timed(["pyinfra", "inventory/aws.py", "debug-inventory"])
        seconds["the inventory alone"].append(took)
    aims = {"one host": 2.5}
    table("A no-op converge of the app role over SSH", list(seconds.items()), aims, base="one host")
    print(f"  aim: {HOSTS} hosts at most 1.5 times one host")
    print("\nCommands run per host")
    for host, count in commands(timed([*CONVERGE, "--limit", "app", "-vv"])[1]).items():
        print(f"  {host:38}{count:8}")


def commands(output: str) -> Counter[str]:
    """How many commands each host was sent: `pyinfra -vv` shows a line `[host] >>> command` for each."""
    return Counter(re.findall(r"^\s*\[([^\]]+)\]\s+>>> ", output, re.MULTILINE))


def refuse_changes(output: str) -> None:
    """End the measurement when the converge changed something: then it measured something else."""
    # pyinfra ends with a table of operations: hosts, changed, failed, unchanged; its last line is the sum.
    total = re.search(r"Grand total\D+(\d+)\s+(\S+)\s+(\S+)", output)
    if not total or total[2] not in ("-", "0"):
        sys.exit(f"{output[-2000:]}\nbench: this converge was no no-op, so its time says nothing.")


if __name__ == "__main__":
    main()
