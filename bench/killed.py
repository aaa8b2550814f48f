"""Rollouts whose driver is killed with -9, each at another moment: what visitors notice, and what comes next.

bench/killed.py [SECONDS…]      needs the lab up (make up); moments after the start at which the driver dies

Each time the other release of two is rolled out. After the kill the lock is broken, and a `deploy`, of that
release or of the one that the pointer names, in turns, must end well, with all servers on one release, which
the pointer names.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _lab import LAB, ROOT, client, members, say, timed

from corral.releases import store
from corral.releases.bucket import Bucket
from corral.rollout import lock
from tests.lab.fleet import Fleet
from tests.shared.crowd import crowd
from tests.shared.variants import Variants

MOMENTS = (0.7, 1.5, 3, 5, 8, 12, 16, 20, 25, 30)
RATE, CHATTERS = 50, 4
CORRAL = ROOT / ".venv/bin/corral"
ASK = "curl -fsS http://127.0.0.1:3000/readyz"
COLUMNS = ("ran then", "next", "requests", "failed", "lost", "longest ms", "runs")


def main() -> None:
    """Kill one after the other, and leave the fleet with the release that it had."""
    moments = [float(word) for word in sys.argv[1:]] or MOMENTS
    bucket = Bucket(client("s3"), LAB.releases_bucket, LAB.environment)
    base = store.pointer(bucket)
    if base is None:
        sys.exit("bench: the lab runs no release")
    group, scaling = LAB.role_name("app"), client("autoscaling")
    scaling.suspend_processes(AutoScalingGroupName=group, ScalingProcesses=["HealthCheck"])
    try:
        with tempfile.TemporaryDirectory(prefix="corral-bench-") as scratch:
            other = Variants(bucket, base.version, Path(scratch)).make(
                f"killed-{os.urandom(3).hex()}", {"dist/robots.txt": "User-agent: *\n"}
            )
            store.publish(bucket, other)
            names = {base.version: "old", other.name: "new"}
            print(f"  {'killed after':16}" + "".join(f"{name:>12}" for name in COLUMNS))
            for number, moment in enumerate(moments):
                row(bucket, names, moment, back=number % 2 == 1)
        timed(["corral", "release", "deploy", base.version])
    finally:
        scaling.resume_processes(AutoScalingGroupName=group)


def row(bucket: Bucket, names: dict[str, str], moment: float, back: bool) -> None:
    """Begin a rollout, kill it, print what was seen then and after the next command."""
    named = pointed(bucket)
    (wanted,) = set(names) - {named}
    say(f"a rollout of the {names[wanted]} release, killed after {moment:g} s")
    with crowd(Fleet().url(), RATE, CHATTERS) as seen:
        time.sleep(1)
        driver = subprocess.Popen(
            [CORRAL, "release", "deploy", wanted, "-e", LAB.environment],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(moment)
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
        # What a host was told to do ends there by itself.
        time.sleep(3)
        then = "/".join(names[one] for one in running())
        if lock.read(bucket)[0].owner:
            timed(["corral", "release", "unlock", "-y"])
        # Back to what the pointer names, or on.
        version = pointed(bucket) if back else wanted
        timed(["corral", "release", "deploy", version])
        time.sleep(1)
    after = set(running())
    if after != {version} or pointed(bucket) != version:
        sys.exit(f"bench: servers run {after}, the pointer names {pointed(bucket)}, not {version}")
    load, chat = seen["load"], seen["chatters"]
    noticed = (load["requests"], load["failed"], chat["lost"] + chat["twice"], chat["longest_outage_ms"])
    values = (then, "back" if back else "on", *noticed, names[version])
    print(f"  {moment:<14g} s" + "".join(f"{value!s:>12}" for value in values), flush=True)
    if load["failed"] or chat["lost"] or chat["twice"]:
        sys.exit(f"bench: somebody noticed: {seen}")


def pointed(bucket: Bucket) -> str:
    """The release that the environment's pointer names, whose archive is whole."""
    found = store.pointer(bucket)
    if found is None:
        sys.exit("bench: the pointer names none")
    store.check_complete(bucket, found.version)
    return found.version


def running() -> list[str]:
    """What each app server serves."""
    answers = [
        subprocess.run(
            [CORRAL, "lab", "shell", one.instance_id, "--", "sh", "-c", ASK],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout
        for one in members("app")
    ]  # fmt: skip
    return [json.loads(answer)["release"] for answer in answers]


if __name__ == "__main__":
    main()
