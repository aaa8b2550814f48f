"""What a fleet's size costs an operator: the inventory and `corral status` of 20, 200 and 2000 hosts.

bench/fleet_size.py [HOSTS ...]     simulated, without lab and root, in an AWS API of its own; some minutes

Own: the CPU time of the process, which is all that corral and boto3 do. The API's: the rest, in which it
waited for answers: the simulated API's speed, not Amazon's. "By boto3" and "as corral does" read every report
with nothing else around it, side by side.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _lab import ROOT, say

sys.path.insert(0, str(ROOT))  # for what the tests simulate with

from tests.shared import simulated

SIZES = (20, 200, 2000)
AIM = 5.0  # seconds of one's own
# The most memory that a process ever had (proc(5), VmHWM), in KiB, as the last line of its stderr.
MEMORY = """
import atexit, re, sys
from pathlib import Path
most = lambda: re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]
atexit.register(lambda: print(most(), file=sys.stderr))
"""
INVENTORY = "import runpy; runpy.run_path('inventory/aws.py')"
# Listing and reading all reports: by boto3's GetObject, and as corral fetches them.
REPORTS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from corral import aws, reports, settings
from corral.releases.bucket import Bucket
from corral.reports.fetch import fetch
chosen = settings.load()
bucket = Bucket(aws.client(chosen, "s3"), chosen.releases_bucket, chosen.environment)
one = bucket.read if sys.argv[1] == "boto3" else lambda key: fetch(bucket, key, 1024 * 1024)
with ThreadPoolExecutor(aws.CONNECTIONS) as pool:
    read = list(pool.map(one, [each.key for each in reports.listed(bucket).values()]))
assert all(read), "not every report was read"
"""
STATUS = "import sys; from corral.cli import main; sys.argv = ['corral', 'status', *sys.argv[1:]]; main()"


def main() -> None:
    """Measure each size in a fleet of its own."""
    print(f"{'':34}{'total':>8}{'own':>8}{'the API':>9}{'memory':>9}{'aim':>10}")
    for size in [int(word) for word in sys.argv[1:]] or SIZES:
        with tempfile.TemporaryDirectory(prefix="corral-bench-") as scratch:
            measure(size, Path(scratch))


def measure(size: int, scratch: Path) -> None:
    """One size: every host has reported."""
    port = free_port()
    with (scratch / "log").open("w") as log:
        api = subprocess.Popen(
            [sys.executable, "-m", "lab.cloud", "--port", str(port)],
            cwd=ROOT,
            env=os.environ | {"CORRAL_LAB_STATE": str(scratch)},
            stdout=log,
            stderr=log,
        )
    try:
        while "listens" not in (scratch / "log").read_text():
            time.sleep(0.2)
        say(f"making a fleet of {size}")
        settings = simulated.environment(f"http://127.0.0.1:{port}", "test")
        simulated.populate(settings, size - 1)
        simulated.everyone_reports(settings)
        simulated.point(settings)
        keys = ROOT / ".corral/host_keys/test"
        for file in keys.glob("i-*"):
            file.unlink()
        for name, code, words in (
            ("reports, by boto3", REPORTS, ["boto3"]),
            ("reports, as corral does", REPORTS, ["corral"]),
            ("inventory, all hosts new", INVENTORY, []),
            ("inventory, all keys known", INVENTORY, []),
            ("corral status", STATUS, []),
            ("corral status --json", STATUS, ["--json"]),
            ("corral status --html", STATUS, ["--html", str(scratch / "page.html")]),
        ):
            row(f"{size} hosts: {name}", port, code, words)
    finally:
        api.terminate()
        api.wait()


def row(name: str, port: int, code: str, words: list[str]) -> None:
    """Run one command in a process of its own, and print what it took."""
    endpoint = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "CORRAL_ENV": "test"}
    keys = {"AWS_ACCESS_KEY_ID": "lab", "AWS_SECRET_ACCESS_KEY": "worth-nothing"}
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", MEMORY + code, *words],
        cwd=ROOT,
        env=os.environ | endpoint | keys,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    _, status, used = os.wait4(process.pid, 0)
    total = time.monotonic() - began
    said = process.stderr.read() if process.stderr else ""
    if os.waitstatus_to_exitcode(status):
        sys.exit(f"bench: {name} failed: {said}")
    own = used.ru_utime + used.ru_stime
    memory = int(said.split()[-1]) / 1024
    print(
        f"{name:34}{total:8.2f}{own:8.2f}{total - own:9.2f}{memory:6.0f} MB{f'<= {AIM:g} s':>10}", flush=True
    )


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


if __name__ == "__main__":
    main()
