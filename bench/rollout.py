"""What visitors and chatters notice of releases that come and go, on three app servers; and of `pm2 reload`.

bench/rollout.py [RATE]         needs the lab up (make up); raises the fleet to three app servers and back

RATE: requests a second, 30 % POST, through the load balancer; 500 without it. When the machine can't carry
that, beside three hosts, the half, and so on. A message is lost when it is missing in somebody's log at the
end; an outage is the time that one chatter is offline.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from _lab import LAB, ROOT, client, members, say, timed, wait_for

from corral.releases import store
from corral.releases.bucket import Bucket
from tests.lab.fleet import Fleet
from tests.shared.crowd import crowd
from tests.shared.variants import CRASHES, DIES, NEVER_READY, Variants

HOSTS = 3
CHATTERS = 6
COLUMNS = (
    *("requests", "failed", "share", "p50 ms", "p99 ms"),
    *("messages", "lost", "twice", "outages", "longest ms", "seconds"),
)
CORRAL = ROOT / ".venv/bin/corral"
PUSH = ("pyinfra", "-y", "inventory/aws.py", "deploy.py", "--limit", "app")
# Of addresses whose X-Forwarded-For nginx believes, one more: it changes its configuration, and harms nobody.
CIDRS = json.dumps([*map(str, LAB.public_cidrs), "10.9.9.0/24"])
PM2 = """
set -a; . /etc/corral/app.env; set +a
pm2() {
    runuser -u app -- env PM2_HOME=/var/lib/corral/pm2 PATH=/opt/corral/runtimes/node/bin:/usr/bin:/bin \
        /opt/corral/runtimes/pm2/node_modules/pm2/bin/pm2 "$@" >/dev/null 2>&1
}
"""
# As most people run it: a folder whose files are replaced in place, and PM2's defaults.
NAIVE = f"""{PM2}
cp -aL /srv/app/current /srv/naive && chmod 755 /srv/naive
cd /srv/naive && RELEASE=naive pm2 start server/main.js --name naive -i 2
sleep 5
for name in $(runuser -u app -- ls /srv/app/releases); do pm2 delete "/^app-$name-.*/"; done
"""
RELOAD = f"{PM2} cd /srv/naive && pm2 reload naive"
# What is promised: no request fails, no message is lost or shown twice, no outage is as long as this.
OUTAGE_MS = 1000
# Changes under which it was not kept.
NOTICED: list[str] = []
CRASH = f"{PM2} cd /srv/naive && echo 'process.exit(1);' >server/main.js && pm2 reload naive"
RESTORE = "systemctl restart corral-app && rm -rf /srv/naive"


def main() -> None:
    """Measure all, and leave the fleet as it was."""
    group, scaling = LAB.role_name("app"), client("autoscaling")
    before = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group])["AutoScalingGroups"][0]
    bucket = Bucket(client("s3"), LAB.releases_bucket, LAB.environment)
    base = store.pointer(bucket)
    if base is None:
        sys.exit("bench: the lab runs no release")
    try:
        say(f"setting {group} to {HOSTS} app servers")
        scaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=HOSTS)
        wait_for(f"{HOSTS} app servers in service", lambda: len(members("app")) == HOSTS, 300)
        timed(["corral", "lab", "wait", "--healthy"])
        scaling.suspend_processes(AutoScalingGroupName=group, ScalingProcesses=["HealthCheck"])
        with tempfile.TemporaryDirectory(prefix="corral-bench-") as scratch:
            measure(bucket, base.version, Path(scratch))
        if NOTICED:
            sys.exit(f"bench: somebody noticed: {'; '.join(NOTICED)}")
    finally:
        scaling.resume_processes(AutoScalingGroupName=group)
        scaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=before["DesiredCapacity"])


def measure(bucket: Bucket, base: str, scratch: Path) -> None:
    """Print a row for each change, while the load goes on."""
    variants, stamp = Variants(bucket, base, scratch), os.urandom(3).hex()
    names = {}
    for name, changes in {
        "v2": {"dist/robots.txt": "User-agent: *\n"},
        "v3": {"server/main.js": CRASHES},
        "v4": {"server/main.js": NEVER_READY},
        "v5": {"server/main.js": f"+{DIES}"},
    }.items():
        names[name] = f"bench-{stamp}-{name}"
        store.publish(bucket, variants.make(names[name], changes))
    rate = carried(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
    say(f"{rate} requests a second")
    print(
        f"{rate} requests/s, 30 % POST, and {CHATTERS} who chat,"
        f" on {HOSTS} app servers with {LAB.app.processes} processes each"
    )
    line("", COLUMNS)

    def deploy(name: str, code: int) -> Callable[[], None]:
        return lambda: release(["deploy", names[name]], code)

    row("nothing", rate, lambda: time.sleep(10))
    row("deploy v1 -> v2", rate, deploy("v2", 0))
    row("deploy v3, which crashes: refused", rate, deploy("v3", 1))
    row("deploy v4, which is never ready: refused", rate, deploy("v4", 1))
    row("deploy v5, which is ready, dies 2.5 s later: refused", rate, deploy("v5", 1))
    row("rollback to v1", rate, lambda: release(["rollback"], 0))
    row(
        "a change of nginx's configuration", rate, lambda: timed([*PUSH, "--data", f"balancer_cidrs={CIDRS}"])
    )
    timed(PUSH)
    try:
        everywhere(NAIVE)
        row("naive: pm2 reload, the same release", rate, lambda: everywhere(RELOAD))
        row("naive: pm2 reload, one that crashes", rate, lambda: everywhere(CRASH, 10))
    finally:
        everywhere(RESTORE)
        timed(["corral", "lab", "wait", "--healthy"])


def carried(rate: int) -> int:
    """The highest rate, of this one and its halves, at which nothing waits while nothing happens."""
    with crowd(Fleet().url(), rate, CHATTERS):
        time.sleep(10)  # new processes answer the first thousands slowly
    while rate > 15:
        with crowd(Fleet().url(), rate, CHATTERS) as seen:
            time.sleep(20)
        load = seen["load"]
        if not load["failed"] and load["p99_ms"] < 500 and load["behind_ms"] < 500:
            return rate
        say(f"{rate}/s is too much: {load}")
        rate //= 2
    sys.exit("bench: this machine carries no load beside the fleet")


def row(name: str, rate: int, change: Callable[[], object]) -> None:
    """Do something under load, and print what visitors and chatters had of it."""
    say(name)
    with crowd(Fleet().url(), rate, CHATTERS) as seen:
        time.sleep(2)
        began = time.monotonic()
        change()
        seconds = time.monotonic() - began
        time.sleep(1)
    load, chat = seen["load"], seen["chatters"]
    share = f"{load['failed'] / load['requests']:.2%}"
    visits = (load["requests"], load["failed"], share, load["p50_ms"], load["p99_ms"])
    chats = (chat["messages"], chat["lost"], chat["twice"], chat["outages"], chat["longest_outage_ms"])
    line(name, (*visits, *chats, f"{seconds:.1f}"))
    if load["failed"]:
        say(f"failed: {load['failures']}")
    noticed = load["failed"] or chat["lost"] or chat["twice"] or chat["longest_outage_ms"] >= OUTAGE_MS
    if noticed and not name.startswith("naive"):
        NOTICED.append(name)


def line(name: str, values: Iterable[object]) -> None:
    """Print a line of the table."""
    print(f"  {name:52}" + "".join(f"{value:>11}" for value in values), flush=True)


def release(words: list[str], code: int) -> None:
    """`corral release …`; ends the measurement when it does not end with that code."""
    done = subprocess.run(
        [CORRAL, "release", *words, "-e", LAB.environment], cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode != code:
        sys.exit(
            f"{done.stdout}{done.stderr}\nbench: `corral release {' '.join(words)}` gave {done.returncode}"
        )


def everywhere(command: str, linger: float = 0) -> None:
    """Run a command as root on all app servers at once; then wait so many seconds."""
    shells = [
        subprocess.Popen([CORRAL, "lab", "shell", one.instance_id, "--", "sh", "-c", command], cwd=ROOT)
        for one in members("app")
    ]
    for shell in shells:
        shell.wait()
    time.sleep(linger)


if __name__ == "__main__":
    main()
