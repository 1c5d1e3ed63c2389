"""The demo page at `/`, in development mode alone: it hands out credentials to whoever asks."""

from __future__ import annotations

from importlib.resources import files
from typing import Annotated, Any

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from belfry import auth, config, errors
from belfry.logs import redact

TTL_SECONDS = 3600
KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
CSP = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'"


@get("/", include_in_schema=False)
async def page() -> Response[bytes]:
    """The page."""
    return _file("index.html")


@get("/demo/{name:str}", include_in_schema=False)
async def asset(name: FromPath[str]) -> Response[bytes]:
    """A file of the page."""
    return _file(name)


@get("/demo/session", include_in_schema=False)
async def session(
    config: NamedDependency[config.Config],
    dev_api_key: NamedDependency[str],
    recipient: Annotated[str, QueryParameter(min_length=1, max_length=255)] = "demo",
) -> dict[str, Any]:
    """Credentials for the page: a token and a ticket of that recipient, and the development API key."""
    return {
        "recipient": recipient,
        "token": auth.mint(config, recipient, TTL_SECONDS),
        "ticket": auth.mint(config, recipient, TTL_SECONDS, ticket=True),
        "api_key": dev_api_key,
        "cursor": None,
        "database_url": _shown(config.database_url),
    }


def _shown(url: str | None) -> str | None:
    """The database's URL for the page's examples, unless it holds a password."""
    return url if url and redact(url) == url else None


def _file(name: str) -> Response[bytes]:
    kind = KINDS.get(name.rpartition(".")[2])
    path = files("belfry") / "demo" / name
    if kind is None or not path.is_file():
        raise errors.NotFound(f"the demo has no file {name}")
    headers = {"Content-Security-Policy": CSP, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}
    return Response(path.read_bytes(), media_type=f"{kind}; charset=utf-8", headers=headers)
