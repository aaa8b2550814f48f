"""A pipeline: its inputs fill the queue; filters and outputs work on what comes out of it, batch by batch.

Source: "Execution Model" of Logstash's reference.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab.elastic.logstash import beats, filters
from lab.elastic.logstash.beats import Beats
from lab.elastic.logstash.conditions import holds
from lab.elastic.logstash.dead_letters import DeadLetters
from lab.elastic.logstash.elasticsearch import Elasticsearch, Stopping
from lab.elastic.logstash.event import Event
from lab.elastic.logstash.language import Branch, LanguageError, Plugin, Statement
from lab.elastic.logstash.options import checked
from lab.elastic.logstash.parser import parse
from lab.elastic.logstash.queues import MemoryQueue, PersistentQueue, Queue

Log = Callable[[str], None]
# A branch with the plugins in it built: the first way whose condition holds.
Step = Any


class Pipeline:
    """The pipeline `main`. Making it checks all of its text and options; `run` opens files and ports."""

    def __init__(self, text: str, settings: dict[str, Any], log: Log):
        self._settings, self._log = settings, log
        self._stop = threading.Event()
        self._letters: DeadLetters | None = None
        self.counts = {"in": 0, "filtered": 0, "out": 0}
        sections = parse(text)
        if not sections["input"] or not sections["output"]:
            raise LanguageError("the lab's stand-in needs an input and an output")
        self._inputs = []
        for each in sections["input"]:
            if not isinstance(each, Plugin):
                raise LanguageError("an input stands in no condition")
            self._inputs.append(checked(each))
            beats.check(self._inputs[-1])
        self._filters = [self._built(each) for each in sections["filter"]]
        self._outputs = [self._built(each) for each in sections["output"]]

    def run(self) -> None:
        """Until `stop`; what is in the queue on disk then stays there."""
        settings = self._settings
        data = Path(settings["path.data"])
        if settings["dead_letter_queue.enable"]:
            self._letters = DeadLetters(
                Path(settings["path.dead_letter_queue"] or data / "dead_letter_queue") / "main",
                settings["dead_letter_queue.max_bytes"],
                settings["dead_letter_queue.storage_policy"],
                settings["dead_letter_queue.retain.age"],
            )
        self.queue = _queue(settings, data)
        listeners = [Beats(options, self.queue, self._log) for options in self._inputs]
        for each in listeners:
            threading.Thread(target=each.serve_forever, daemon=True).start()
        self._log("Pipeline started {'pipeline.id' => 'main'}")
        try:
            while not self._stop.is_set():
                if batch := self.queue.get(settings["pipeline.batch.size"], 0.2):
                    self._work(batch)
                    self.queue.acknowledge()
        except Stopping:
            self._log("Pipeline terminated with events in its queue")
        for each in listeners:
            each.shutdown()
        self.queue.close()

    def stop(self) -> None:
        """Let `run` return."""
        self._stop.set()

    def status(self) -> dict[str, Any]:
        """What the API says of the pipeline."""
        count, size = self.queue.sizes()
        letters = self._letters
        return {
            "events": self.counts,
            "queue": {
                "type": self._settings["queue.type"],
                "events_count": count,
                "queue_size_in_bytes": size,
                "max_queue_size_in_bytes": self._settings["queue.max_bytes"],
            },
            "dead_letter_queue": letters
            and {"queue_size_in_bytes": letters.size(), "dropped_events": letters.dropped},
        }

    def _work(self, batch: list[dict[str, Any]]) -> None:
        self.counts["in"] += len(batch)
        events = []
        for event in map(Event, batch):
            for step in self._filters:
                _filter(step, event)
            if not event.cancelled:
                events.append(event)
        self.counts["filtered"] += len(batch)
        for step in self._outputs:
            _send(step, events)
        self.counts["out"] += len(events)

    def _built(self, statement: Statement) -> Step:
        if isinstance(statement, Branch):
            return [(way, [self._built(each) for each in body]) for way, body in statement.ways]
        options = checked(statement)
        if statement.section == "filter":
            return filters.build(statement.name, options)
        return Elasticsearch(options, self._never, self._log, self._stop)

    def _never(self, event: Event, reason: str) -> None:
        if self._letters:
            self._letters.write(event.data, "elasticsearch", reason)
        else:
            self._log(reason)


def _filter(step: Step, event: Event) -> None:
    if event.cancelled:
        return
    if not isinstance(step, list):
        step(event)
        return
    for way, body in step:
        if way is None or holds(way, event):
            for inner in body:
                _filter(inner, event)
            return


def _send(step: Step, events: list[Event]) -> None:
    if isinstance(step, Elasticsearch):
        step.send(events)
        return
    rest = events
    for way, body in step:
        chosen = [event for event in rest if way is None or holds(way, event)]
        rest = [event for event in rest if not any(event is each for each in chosen)]
        for inner in body:
            _send(inner, chosen)


def _queue(settings: dict[str, Any], data: Path) -> Queue:
    if settings["queue.type"] == "memory":
        return MemoryQueue(settings["pipeline.batch.size"] * 2)
    return PersistentQueue(
        Path(settings["path.queue"] or data / "queue") / "main",
        settings["queue.max_bytes"],
        settings["queue.page_capacity"],
        settings["queue.checkpoint.acks"],
        settings["queue.checkpoint.writes"],
    )
