"""What an environment's Elasticsearch is asked, by Elastic's own client."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import elastic_transport
import elasticsearch
from elasticsearch import Elasticsearch

from corral.errors import CorralError
from corral.logs.event import Event
from corral.logs.query import SEE, Heads, Query, not_before
from corral.logs.show import SHOWN

INDEX = "logs-*"
# Lines a request, of which 10,000 is the most (index.max_result_window).
PAGE = 1000
# Seconds between attempts when it can't: a part of it that was just made is not there for a moment.
PAUSES = (0.2, 0.5, 1.0, 2.0)
# For so long Elasticsearch keeps what a search began with, from one page to the next: somebody may read them.
KEPT = "15m"
# In time order; lines of one moment as they stand in their file. A stream that has no line with such a field
# yet has no such field.
SORT = [
    {"@timestamp": {"order": "asc", "unmapped_type": "date"}},
    {"host.name": {"order": "asc", "unmapped_type": "keyword"}},
    {"log.file.path": {"order": "asc", "unmapped_type": "keyword"}},
    {"log.offset": {"order": "asc", "unmapped_type": "long"}},
]
BACKWARDS = [{name: how | {"order": "desc"} for name, how in each.items()} for each in SORT]

# It tells of each retry, and has no other way than the terminal; what comes of it is said here.
logging.getLogger("elastic_transport").addHandler(logging.NullHandler())


class UnreachableError(CorralError):
    """Elasticsearch does not answer."""


class BusyError(UnreachableError):
    """It answers that it can't now."""


@dataclass(frozen=True)
class Store:
    """`environment`: as -e names it. Raises CorralError, and UnreachableError where nothing answers."""

    elastic: Elasticsearch
    environment: str

    def lines(self, query: Query, whole: bool = True) -> Iterator[Event]:
        """All lines, in time order, page by page. `whole`: with all of their fields."""
        with self._explained():
            kept = self.elastic.open_point_in_time(index=INDEX, keep_alive=KEPT)["id"]
        after: Any = None
        try:
            while True:
                pit = {"id": kept, "keep_alive": KEPT}
                answer = self._search(query, whole, pit=pit, sort=SORT, size=PAGE, search_after=after)
                hits = answer["hits"]["hits"]
                yield from map(Event.of, hits)
                if len(hits) < PAGE:
                    return
                kept, after = answer["pit_id"], hits[-1]["sort"]
        finally:
            # Else it is gone in a while by itself.
            with suppress(elasticsearch.ApiError, elastic_transport.TransportError):
                self.elastic.close_point_in_time(id=kept)

    def last(self, query: Query, count: int, whole: bool = True) -> list[Event]:
        """The newest lines, at most so many and 10,000, in time order."""
        answer = self._search(query, whole, index=INDEX, sort=BACKWARDS, size=count)
        return [Event.of(hit) for hit in reversed(answer["hits"]["hits"])]

    def heads(self, known: Heads) -> Heads:
        """Of each index the sequence number of its newest line; `known`: what it answered last, or {}."""
        newest = {"newest": {"max": {"field": "_seq_no"}}}
        by_index = {"indexes": {"terms": {"field": "_index", "size": PAGE}, "aggs": newest}}
        answer = self._search(not_before(known), index=INDEX, size=0, aggs=by_index)
        buckets = answer.get("aggregations", {}).get("indexes", {}).get("buckets", [])
        return {bucket["key"]: int(bucket["newest"]["value"]) for bucket in buckets}

    def _search(self, query: Query, whole: bool = True, **more: Any) -> Any:
        for pause in PAUSES:
            with suppress(BusyError):
                return self._answer(query, whole, **more)
            time.sleep(pause)
        return self._answer(query, whole, **more)

    def _answer(self, query: Query, whole: bool, **more: Any) -> Any:
        fields = None if whole else {"includes": SHOWN}
        with self._explained():
            return self.elastic.search(
                query=query,
                source=fields,
                track_total_hits=False,
                # Without the lines of a part that failed it would look like all of them.
                allow_partial_search_results=False,
                **more,
            )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except elastic_transport.TlsError as error:
            # Nothing that passes by itself: who follows need not wait for it.
            raise CorralError(
                f"Elasticsearch of environment {self.environment} shows a certificate that is not to be"
                f" trusted: {error}",
                "If the environment's authority was made anew, let the log server get a certificate of it:"
                " systemctl restart corral-certificate",
                f"{SEE}#certificates",
            ) from error
        except elastic_transport.TransportError as error:
            raise UnreachableError(
                f"Elasticsearch of environment {self.environment} does not answer: {error}",
                f"Is its host well? corral status -e {self.environment}",
                SEE,
            ) from error
        except elasticsearch.ApiError as error:
            raise _refused(self.environment, error) from error


def _refused(environment: str, error: elasticsearch.ApiError) -> CorralError:
    reason = _reason(error.body)
    if isinstance(error, elasticsearch.BadRequestError) and _is_query(error.body):
        remedy = "Put what is no syntax in quotes, as in 'message:\"a (b\"'."
        return CorralError(f"That is no query: {reason}", remedy, SEE)
    if isinstance(error, elasticsearch.AuthenticationException):
        problem = f"Elasticsearch of environment {environment} does not know the account's password."
        remedy = "When the secret has just changed, it knows the new one after its host's next converge."
        return CorralError(problem, remedy, SEE)
    if error.status_code in (429, 502, 503, 504):
        return BusyError(f"Elasticsearch can't answer now: {reason}", "Try again.", SEE)
    return CorralError(f"Elasticsearch refuses this ({error.status_code}): {reason}", see=SEE)


def _is_query(body: Any) -> bool:
    """Whether the words of whoever asked are what is refused."""
    return "query_shard_exception" in str(body)


def _reason(body: Any) -> str:
    """The innermost words of an error, which say most."""
    try:
        error = body["error"]
        causes = error.get("failed_shards") or [{"reason": error}]
        reason = causes[0]["reason"]
        inner = reason.get("caused_by") or {}
        said = " ".join(filter(None, (reason.get("reason"), inner.get("reason"))))
        return said.partition("\n")[0]
    except (TypeError, KeyError, IndexError, AttributeError):
        return str(body)[:500]
