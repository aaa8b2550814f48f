"""Is every line there, how soon, and what does the forwarder take? Numbered lines, while things are killed.

bench/logs.py           needs the lab up (make up): from an app server's log to the log server
bench/logs.py --alone   without hosts: the stand-ins, and the real Elasticsearch, on this machine

First at 500 lines a second: from the moment in a line until a search finds it. Then at 200 a second, with
Elasticsearch and Logstash away for two minutes, but for a moment in which Logstash is there to be killed with
-9; so is the forwarder, and the file is rotated twice. Then every number must be there, once, in time order.
The stand-ins need less than the real programs.
"""

import sys
import time
import uuid
from collections import Counter
from itertools import pairwise

import elastic_transport
import elasticsearch
from _lab import say, wait_for
from _log_places import Place, place

from corral.logs.event import Event
from corral.logs.query import Query, Wanted, between, query
from corral.logs.store import INDEX

# Each line is opened for by itself, so that it goes into the new file once the old one was renamed.
WRITER = """
import json, sys, time
path, run, rate, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
began = time.monotonic()
for number in range(int(rate * seconds)):
    time.sleep(max(0.0, began + number / rate - time.monotonic()))
    now = time.time_ns() // 1_000_000
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 1000)) + ".%03dZ" % (now % 1000)
    line = {"@timestamp": moment, "log.level": "info", "message": "line %d of %s" % (number, run)}
    line.update({"service.name": "bench", "bench.run": run, "bench.number": number, "bench.more": "x" * 200})
    with open(path, "a") as file:
        file.write(json.dumps(line) + "\\n")
"""
SOON = (500, 60)  # lines a second, and for how many seconds
OUTAGE = (200, 200)
# Seconds after the first line, and what happens then.
EVENTS = (
    (20, "stop_store"),
    (20, "stop_logstash"),
    (40, "kill_forwarder"),
    (60, "rotate"),
    (75, "start_logstash"),
    (80, "kill_logstash"),
    (90, "stop_logstash"),
    (110, "rotate"),
    (140, "start_logstash"),
    (140, "start_store"),
)
AIM_SECONDS, AIM_MIB = 5.0, 50.0
PATIENCE = 300
# So long nothing new comes when nothing more does.
QUIET = 20
# What did not come up to its aim.
missed: list[str] = []


def main() -> None:
    """Measure both, and say what is missing."""
    with place("--alone" in sys.argv) as here:
        peaks = [latency(here), outage(here)]
    print(f"  most memory of the forwarder {max(peaks):22.1f} MiB   aim <= {AIM_MIB:.0f} MiB")
    if max(peaks) > AIM_MIB:
        missed.append("memory")
    if missed:
        sys.exit(f"missed: {', '.join(missed)}")


def latency(here: Place) -> float:
    """Print how soon lines are found; the forwarder's memory."""
    rate, seconds = SOON
    _warm_up(here)
    run, asked = _run()
    shown = here.store.heads({})
    say(f"{rate} lines a second for {seconds} s")
    writer = here.write(WRITER, here.path, run, rate, seconds)
    took: list[float] = []
    newest = time.monotonic()
    while len(took) < rate * seconds and (writer.poll() is None or time.monotonic() < newest + QUIET):
        known = here.store.heads(shown)
        if known == shown:
            time.sleep(0.05)
            continue
        newest = time.monotonic()
        found = list(here.store.lines(between(asked, shown, known)))
        now = time.time()
        took += [now - event.moment.timestamp() for event in found]
        shown = known
    writer.wait()
    took.sort()
    if len(took) != rate * seconds:
        missed.append(f"{rate * seconds - len(took)} lines within {QUIET} s")
    if not took:
        return here.forwarder_mib()
    if took[int(len(took) * 0.95)] > AIM_SECONDS:
        missed.append("p95")
    print(f"\n{len(took)} of {rate * seconds} lines, {rate} a second: from a line's moment until it is found")
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        aim = f"   aim <= {AIM_SECONDS:.0f} s" if name == "p95" else ""
        print(f"  {name:40}{took[int(len(took) * share)]:11.2f} s{aim}")
    print(f"  {'the last to come':40}{took[-1]:11.2f} s", flush=True)
    return here.forwarder_mib()


def _warm_up(here: Place) -> None:
    """The first line of all makes an index; and a new file is not looked at at once."""
    run, asked = _run()
    here.write(WRITER, here.path, run, 10, 2).wait()
    wait_for("the first lines are found", lambda: _count(here, asked) >= 20, PATIENCE)


def outage(here: Place) -> float:
    """Print what became of each line; the forwarder's memory, before it is killed and at the end."""
    rate, seconds = OUTAGE
    run, asked = _run()
    say(f"{rate} lines a second for {seconds} s")
    began = time.monotonic()
    writer = here.write(WRITER, here.path, run, rate, seconds)
    peaks = []
    for moment, event in EVENTS:
        time.sleep(max(0.0, began + moment - time.monotonic()))
        say(f"{moment} s: {event.replace('_', ' ')}")
        peaks.append(here.forwarder_mib())
        getattr(here, event)()
    back = time.monotonic()
    writer.wait()
    written = time.monotonic()
    total = rate * seconds
    wait_for("all lines in the store", lambda: _count(here, asked) >= total, PATIENCE)
    arrived = time.monotonic()
    # What would come twice has a while to come.
    time.sleep(10)
    _judge(list(here.store.lines(asked)), total)
    print(f"  all there, after the last was written   {max(0.0, arrived - written):11.1f} s")
    print(f"  and after Elasticsearch came back       {arrived - back:11.1f} s", flush=True)
    return max(*peaks, here.forwarder_mib())


def _count(here: Place, asked: Query) -> int:
    """Lines there are; none as long as Elasticsearch is not back."""
    try:
        return int(here.store.elastic.count(index=INDEX, query=asked)["count"])
    except (elastic_transport.TransportError, elasticsearch.ApiError):
        return 0


def _judge(events: list[Event], total: int) -> None:
    numbers = [int(event.get("line")["bench.number"]) for event in events]
    counted = Counter(numbers)
    missing = total - len(counted)
    twice = sum(count > 1 for count in counted.values())
    moments = {number: event.moment for number, event in zip(numbers, events, strict=True)}
    late = sum(after < before and moments[after] != moments[before] for before, after in pairwise(numbers))
    print(f"\n{total} lines, {OUTAGE[0]} a second; ELK away for two minutes, kill -9, two rotations")
    for name, count in (("missing", missing), ("there twice", twice), ("out of time order", late)):
        print(f"  {name:40}{count:11}     aim 0")
        if count:
            missed.append(f"{count} lines {name}")


def _run() -> tuple[str, Query]:
    run = uuid.uuid4().hex[:12]
    return run, query(Wanted(text=f"line.bench.run:{run}"))


if __name__ == "__main__":
    main()
