"""What Prometheus is told. Everything is read when it is asked for, so that counting costs the hot path nothing."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Metric, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from psycopg_pool import AsyncConnectionPool

from belfry.observing import Observer
from belfry.pruning import Pruning
from belfry.relay import SOURCES, Relay
from belfry.replay import Replay

CONTENT_TYPE = "text/plain; version=0.0.4"
"""The framework adds the charset."""
REPLAY_SOURCES = ("none", "recent", "table", "rejoin")
RESETS = ("pruned", "epoch", "malformed")
ENDS = ("drain", "rotate", "expired", "lagging", "limit")


class Figures(Collector):
    """The figures of one relay, as metrics whose names tell their units."""

    def __init__(
        self,
        version: str,
        relay: Relay,
        replay: Replay,
        observer: Observer,
        pruning: Pruning | None,
        pools: Mapping[str, AsyncConnectionPool[Any]],
        max_streams: int,
    ) -> None:
        self._version = version
        self._relay = relay
        self._replay = replay
        self._observer = observer
        self._pruning = pruning
        self._pools = pools
        self._max_streams = max_streams
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """All of them in Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """All but those of the process."""
        yield from self._streams()
        yield from self._cursor()
        yield from self._waking()
        yield from self._reading()
        yield from self._database()
        yield from self._observer.delivery.collect()

    def _streams(self) -> Iterator[Metric]:
        relay, hub = self._relay, self._relay.hub
        yield _gauge("belfry_build_info", "Which Belfry this is", [((self._version,), 1)], "version")
        yield _gauge("belfry_ready", "Whether the relay reads the database", int(relay.ready))
        yield _gauge("belfry_streams", "Open streams", len(hub.streams))
        yield _gauge("belfry_streams_limit", "Streams that this relay may hold", self._max_streams)
        yield _gauge("belfry_streams_waiting", "Streams that wait to be let in", relay.load - len(hub.streams))
        yield _counter("belfry_deliveries", "Rows written to streams", hub.delivered)
        ended = [((reason,), hub.ended.get(reason, 0)) for reason in ENDS]
        yield _counter("belfry_streams_ended", "Streams that the relay ended", ended, "reason")

    def _cursor(self) -> Iterator[Metric]:
        tracker = self._relay.tracker
        yield _gauge("belfry_position", "The highest id seen", tracker.head)
        yield _gauge("belfry_settled_position", "Below this id no transaction is open", tracker.through)
        yield _gauge("belfry_gaps", "Ranges of ids below the highest that may still turn up", len(tracker.gaps))
        oldest = self._observer.ages.seconds(time.monotonic()) if tracker.gaps else 0.0
        yield _gauge("belfry_oldest_gap_seconds", "For how long the oldest of them has been waited for", oldest)

    def _waking(self) -> Iterator[Metric]:
        relay, counts = self._relay, self._relay.counts
        yield _gauge("belfry_bell_armed", "Whether this relay holds the bell", int(relay.bell.armed))
        yield _gauge("belfry_asleep", "Whether this relay waits for the bell", int(relay.bell.asleep))
        yield _counter("belfry_notifies", "NOTIFYs that arrived", counts["notifies"])
        turns = [((source,), counts[f"turns_{source}"]) for source in SOURCES]
        yield _counter("belfry_wakes", "Turns of the relay's loop, by what made them", turns, "source")
        rows = [((source,), counts[f"rows_{source}"]) for source in SOURCES]
        yield _counter("belfry_rows", "Rows found, by what found them", rows, "source")

    def _reading(self) -> Iterator[Metric]:
        relay, replay = self._relay.counts, self._replay.counts
        queries = relay["row_queries"] + replay["row_queries"]
        yield _counter("belfry_row_queries", "Queries for rows: polls and pages of replays", queries)
        yield _counter("belfry_badge_queries", "Queries for counts: at most one a poll", relay["badge_queries"])
        yield _counter("belfry_changes", "Changes read by polls", relay["changes"])
        replays = [((source,), replay[source]) for source in REPLAY_SOURCES]
        yield _counter("belfry_replays", "Replays, by where the rows came from", replays, "source")
        resets = [((reason,), replay[f"reset_{reason}"]) for reason in RESETS]
        yield _counter("belfry_resets", "Clients told that they missed something", resets, "reason")

    def _database(self) -> Iterator[Metric]:
        relay = self._relay
        yield _counter("belfry_relay_connects", "Connections made to poll on", relay.counts["connects"])
        yield _counter("belfry_listener_connects", "Connections made to LISTEN on", relay.listener.connects)
        yield _gauge("belfry_notify_queue_ratio", "How full Postgres' NOTIFY queue is", self._observer.queue_usage)
        yield _gauge(
            "belfry_overdue_seconds", "How late the next scheduled notification is", self._observer.overdue_seconds
        )
        yield _gauge(
            "belfry_failing_watches", "Watches that failed within the last hour", self._observer.failing_watches
        )
        yield from self._retention()
        yield from self._of_pools({name: pool.get_stats() for name, pool in self._pools.items()})

    def _retention(self) -> Iterator[Metric]:
        yield _gauge("belfry_oldest_seconds", "The age of the oldest notification", self._observer.oldest_seconds)
        if self._pruning is not None:
            kept, removed = self._pruning.age.total_seconds(), self._pruning.removed
            yield _gauge("belfry_retention_seconds", "For how long notifications are kept", kept)
            yield _counter("belfry_rows_pruned", "Rows removed by this relay because of their age", removed)

    def _of_pools(self, pools: Mapping[str, Mapping[str, float]]) -> Iterator[Metric]:
        idle = [((name, "idle"), stats.get("pool_available", 0)) for name, stats in pools.items()]
        busy = [
            ((name, "busy"), stats.get("pool_size", 0) - stats.get("pool_available", 0))
            for name, stats in pools.items()
        ]
        waiting = [((name,), stats.get("requests_waiting", 0)) for name, stats in pools.items()]
        waited = [((name,), stats.get("requests_wait_ms", 0) / 1000) for name, stats in pools.items()]
        failed = [((name,), stats.get("requests_errors", 0)) for name, stats in pools.items()]
        yield _gauge("belfry_pool_connections", "Connections to Postgres", busy + idle, "pool", "state")
        yield _gauge("belfry_pool_waiting", "Who waits for one", waiting, "pool")
        yield _counter("belfry_pool_wait_seconds", "Time spent waiting for one", waited, "pool")
        yield _counter("belfry_pool_timeouts", "Who waited for one in vain", failed, "pool")


Samples = float | Sequence[tuple[Sequence[str], float]]


def _gauge(name: str, what: str, value: Samples, *labels: str) -> Metric:
    return _filled(GaugeMetricFamily(name, what, labels=labels), value)


def _counter(name: str, what: str, value: Samples, *labels: str) -> Metric:
    return _filled(CounterMetricFamily(name, what, labels=labels), value)


def _filled(metric: GaugeMetricFamily | CounterMetricFamily, value: Samples) -> Metric:
    samples: Iterable[tuple[Sequence[str], float]] = value if isinstance(value, Sequence) else [((), value)]
    for labels, each in samples:
        metric.add_metric(labels, each)
    return metric
