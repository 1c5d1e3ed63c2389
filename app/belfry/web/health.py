"""Is it up, can it serve, how is it doing: /live, /ready, /metrics."""

from __future__ import annotations

from litestar import MediaType, Response, route
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec

from belfry.access import SAFE_METHODS
from belfry.figures import CONTENT_TYPE, Figures
from belfry.relay import Relay


# Uptime monitors ask with HEAD, on the port of those who watch too.
@route("/live", http_method=SAFE_METHODS, media_type=MediaType.TEXT, summary="Is the process up?", tags=["health"])
async def live() -> str:
    """Answers as long as the event loop turns."""
    return "ok"


@route(
    "/ready",
    http_method=SAFE_METHODS,
    media_type=MediaType.TEXT,
    summary="Can it serve?",
    tags=["health"],
    responses={503: ResponseSpec(str, media_type=MediaType.TEXT, description="The database cannot be read")},
)
async def ready(relay: NamedDependency[Relay]) -> Response[str]:
    """200 while the relay reads the database; 503 while it cannot. Open streams stay open either way."""
    if relay.ready:
        return Response("ready")
    return Response("not ready: the database cannot be read", status_code=503)


@route("/metrics", http_method=SAFE_METHODS, media_type=MediaType.TEXT, summary="Prometheus metrics", tags=["health"])
async def metrics(figures: NamedDependency[Figures]) -> Response[bytes]:
    """Counters, gauges and a histogram in Prometheus' text format."""
    return Response(figures.text(), media_type=CONTENT_TYPE)
