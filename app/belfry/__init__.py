"""Belfry: in-app notifications from the Postgres you already have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["__version__", "create_app"]

if TYPE_CHECKING:
    from belfry.server import create_app as create_app


def __getattr__(name: str) -> Any:
    """`belfry.create_app`, loaded when asked for: `belfry --help` need not import a server."""
    if name == "create_app":
        from belfry.server import create_app

        return create_app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
