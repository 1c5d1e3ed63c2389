"""The tests of the routes run a whole server on a real Postgres."""

from __future__ import annotations

from streams import serve as serve
