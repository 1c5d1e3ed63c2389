"""The tests of the routes run a whole server on a real Postgres."""

from __future__ import annotations

from asking import api as api
from asking import refusing as refusing
from streams import serve as serve
