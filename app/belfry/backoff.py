"""How long to wait before the next attempt. Pure."""

from __future__ import annotations

import random


class Backoff:
    """Doubles from `first_seconds` to at most `last_seconds`, with jitter after the cap, so that nobody is in step."""

    def __init__(self, first_seconds: float = 0.1, last_seconds: float = 1.0) -> None:
        self._first = first_seconds
        self._last = last_seconds
        self._next = first_seconds

    def next_seconds(self) -> float:
        """The next pause."""
        pause, self._next = self._next, min(self._next * 2, self._last)
        return pause * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """An attempt has succeeded."""
        self._next = self._first
