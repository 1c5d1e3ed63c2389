"""The relay's tests run a whole server on a real Postgres."""

from __future__ import annotations

from streams import contents as contents
from streams import serve as serve
