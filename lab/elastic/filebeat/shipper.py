"""The way of the events: from inputs, in batches, to the output, and into the registry.

Source of when a batch is full: "Configure the internal queue" of Filebeat's reference (queue.mem.flush).
One batch is under way at a time, and the inputs wait meanwhile: what isn't sent is in the files.
"""

import json
import socket
import time
import uuid
from pathlib import Path

from lab.elastic.filebeat.configuration import Configuration
from lab.elastic.filebeat.events import Agent, Event, finish
from lab.elastic.filebeat.filestream import Filestream, Log
from lab.elastic.filebeat.journald import Journald
from lab.elastic.filebeat.output import Output
from lab.elastic.filebeat.reference import VERSION
from lab.elastic.filebeat.registry import Registry

_KINDS: dict[str, type[Filestream] | type[Journald]] = {"filestream": Filestream, "journald": Journald}
_TICK = 0.1


class Shipper:
    """`data`: where the registry is, and who this host is."""

    def __init__(self, found: Configuration, data: Path, log: Log):
        main = found.main
        mode = int(main["filebeat.registry.file_permissions"], 8)
        self._main = main
        self._registry = Registry(data / main["filebeat.registry.path"] / "filebeat", mode)
        self._agent = Agent(main["name"] or socket.gethostname(), _identity(data), str(uuid.uuid4()), VERSION)
        self._inputs = [_KINDS[each["type"]](each, self._registry, log) for each in found.inputs]
        self._output = Output(main, log)
        self._most = min(main["queue.mem.events"], main["output.logstash.bulk_max_size"] or 2048)
        log(f"filebeat start running, {len(self._inputs)} inputs")

    def run(self) -> None:
        """For ever."""
        while True:
            self._publish(self._gather())

    def _gather(self) -> list[tuple[Event, bytes]]:
        """The next batch: when there are flush.min_events, or flush.timeout after the first one came."""
        batch: list[tuple[Event, bytes]] = []
        enough = max(1, min(self._main["queue.mem.flush.min_events"], self._most))
        first = 0.0
        while True:
            for source in self._inputs:
                for event in source.read(self._most - len(batch)):
                    batch.append((event, finish(event, [source.given, self._main], self._agent)))
            now = time.monotonic()
            first = first or (now if batch else 0.0)
            if len(batch) >= enough or (batch and now - first >= self._main["queue.mem.flush.timeout"]):
                return batch
            time.sleep(_TICK)

    def _publish(self, batch: list[tuple[Event, bytes]]) -> None:
        waiting = iter(batch)

        def acknowledged(count: int) -> None:
            done = (next(waiting)[0] for _ in range(count))
            self._registry.set({event.key: event.state for event in done})

        self._output.publish([wire for _, wire in batch], acknowledged)


def _identity(data: Path) -> str:
    """The id of this host's Filebeat, made once (libbeat: meta.json)."""
    path = data / "meta.json"
    if not path.exists():
        beside = path.with_suffix(".new")
        beside.write_text(json.dumps({"uuid": str(uuid.uuid4())}))
        beside.replace(path)
    return str(json.loads(path.read_text())["uuid"])
