"""Is it up, can it serve, how is it doing: /live, /ready, /metrics."""

from __future__ import annotations

from collections.abc import Iterator

from litestar import MediaType, Response, get
from litestar.di import NamedDependency
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from belfry.relay import Relay
from belfry.replay import Replay


@get("/live", media_type=MediaType.TEXT, summary="Is the process up?", tags=["health"])
async def live() -> str:
    """Answers as long as the event loop turns."""
    return "ok"


@get("/ready", media_type=MediaType.TEXT, summary="Can it serve?", tags=["health"])
async def ready(relay: NamedDependency[Relay]) -> Response[str]:
    """200 while the relay reads the database; 503 while it cannot. Open streams stay open either way."""
    if relay.ready:
        return Response("ready")
    return Response("not ready: the database cannot be read", status_code=503)


@get("/metrics", media_type=MediaType.TEXT, summary="Prometheus metrics", tags=["health"])
async def metrics(relay: NamedDependency[Relay], replay: NamedDependency[Replay]) -> Response[bytes]:
    """Counters and gauges in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(RelayCollector(relay, replay))
    return Response(generate_latest(registry), media_type="text/plain; version=0.0.4; charset=utf-8")


class RelayCollector(Collector):
    """Reads the relay's own counts when asked, so that counting costs the hot path nothing."""

    def __init__(self, relay: Relay, replay: Replay) -> None:
        self._relay = relay
        self._replay = replay

    def collect(self) -> Iterator[Metric]:
        """The metrics, each with its unit in the name."""
        relay, hub = self._relay, self._relay.hub
        yield GaugeMetricFamily("belfry_streams", "Open streams", len(hub.streams))
        yield GaugeMetricFamily("belfry_position", "The highest id seen", relay.tracker.head)
        yield GaugeMetricFamily("belfry_gaps", "Ranges of ids below it that may still turn up", len(relay.tracker.gaps))
        yield GaugeMetricFamily("belfry_bell_armed", "Whether this relay holds the bell", int(relay.bell.armed))
        yield GaugeMetricFamily("belfry_asleep", "Whether this relay waits for the bell", int(relay.bell.asleep))
        yield CounterMetricFamily("belfry_deliveries", "Rows written to streams", hub.delivered)
        yield CounterMetricFamily(
            "belfry_row_queries",
            "Queries for rows: polls and pages of replays",
            relay.counts["row_queries"] + self._replay.counts["row_queries"],
        )
        yield CounterMetricFamily("belfry_changes", "Changes read by polls", relay.counts["changes"])
        yield CounterMetricFamily(
            "belfry_badge_queries", "Queries for counts: at most one a poll", relay.counts["badge_queries"]
        )
        yield CounterMetricFamily("belfry_wakes", "NOTIFYs that arrived", relay.counts["wakes"])
        yield CounterMetricFamily("belfry_listener_connects", "LISTEN connections made", relay.listener.connects)
        yield from self._labelled()

    def _labelled(self) -> Iterator[Metric]:
        relay, replay = self._relay.counts, self._replay.counts
        rows = CounterMetricFamily("belfry_rows", "Rows found, by what found them", labels=["source"])
        for source in ("bell", "poll", "tick", "attach"):
            rows.add_metric([source], relay[f"rows_{source}"])
        yield rows
        replays = CounterMetricFamily("belfry_replays", "Replays, by where the rows came from", labels=["source"])
        for source in ("none", "recent", "table", "rejoin"):
            replays.add_metric([source], replay[source])
        yield replays
        resets = CounterMetricFamily("belfry_resets", "Clients told that they missed something", labels=["reason"])
        for reason in ("pruned", "epoch", "malformed"):
            resets.add_metric([reason], replay[f"reset_{reason}"])
        yield resets
        ended = CounterMetricFamily("belfry_streams_ended", "Streams that the relay ended", labels=["reason"])
        for reason, count in sorted(self._relay.hub.ended.items()):
            ended.add_metric([reason], count)
        yield ended
