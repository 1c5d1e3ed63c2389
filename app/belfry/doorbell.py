"""When to poll, when to sleep, and who arms the bell: decisions only, no I/O.

A writer's trigger tries to share the bell's lock. Where it gets it, it stays silent; where a relay holds the lock,
the bell is armed and the writer rings (NOTIFY). So a relay may sleep only while a writer would ring, by whoever's
arming, and only after one more poll begun since (`docs/decisions/doorbell.md`).
"""

from __future__ import annotations

import math
import random
from collections import deque

BUSY_READS_PER_SECOND = 50
BUSY_READS = 4  # few, because until the bell is disarmed every commit waits its turn to ring
POLL_SECONDS, LONGEST_POLL_SECONDS = 0.005, 0.080
LONGEST_FROM_RATE = 3200  # rows a second
"""A turn costs as much as some hundred rows: the faster they come, the longer the pause, in proportion."""
RATE_SECONDS = 0.25  # how far back the rate of rows looks: so far that one poll, full or empty, does not make it
SLOW_POLL_SECONDS = (0.020, 0.050)
QUIET_SECONDS = (0.100, 0.250)
REST_SECONDS = 1.0  # at most, and so below the lease: a process that was stopped meanwhile measures hours


class Doorbell:
    """Asleep (interrupts) or awake (polling), like a network card's driver."""

    def __init__(self, tick_seconds: float) -> None:
        self.mode = "auto"
        self.armed = False  # this relay's present connection holds the bell
        self.asleep = False
        self._tick_seconds = tick_seconds
        self._confirming = False  # a writer would ring; one more poll, then sleep
        self._refused = False  # a silent writer is open: poll slowly
        self._last_row_at = 0.0
        self._quiet_seconds = 0.0
        self._poll_ended_at = 0.0
        self._rest_seconds = 0.0
        self._poll_began_at = 0.0
        self._rate = 0.0  # rows a second
        self._rung: deque[float] = deque(maxlen=BUSY_READS)

    def connected(self, now: float) -> None:
        """A new connection holds no lock."""
        self.armed = self.asleep = self._confirming = self._refused = False
        self._saw_rows(now)

    def wait_seconds(self, now: float) -> float:
        """How long to wait for a wake before the next poll."""
        if self.asleep:
            return self._tick_seconds
        if self._confirming:
            return 0.0
        if self._refused or self.wants_sleep(now):
            pause = random.uniform(*SLOW_POLL_SECONDS)
        else:
            pause = max(POLL_SECONDS, LONGEST_POLL_SECONDS * min(self._rate / LONGEST_FROM_RATE, 1))
        return max(pause, self._rest_seconds)

    def earliest(self) -> float:
        """The monotonic second before which a wake causes no poll: a poll rests twice as long as it takes."""
        return self._poll_ended_at + max(POLL_SECONDS, self._rest_seconds)

    def polled(self, rows: int, *, rung: bool, began: float, ended: float) -> None:
        """A poll has ended."""
        self._rest_seconds = min(2 * (ended - began), REST_SECONDS)
        faded = math.exp((self._poll_began_at - began) / RATE_SECONDS)
        self._rate = self._rate * faded + rows / RATE_SECONDS
        self._poll_began_at, self._poll_ended_at = began, ended
        if rows:
            self._saw_rows(ended)
            if rung:
                self._rung.append(ended)
        if self._confirming:
            self._confirming, self.asleep = False, True

    def overrun(self, now: float) -> bool:
        """Whether rows come faster than sleeping is worth: the last few wakes that found some lie close together."""
        busy = len(self._rung) == BUSY_READS and now - self._rung[0] < (BUSY_READS - 1) / BUSY_READS_PER_SECOND
        return self.asleep and busy

    def wake_up(self, now: float) -> None:
        """Poll from now on."""
        self.asleep = self._confirming = False
        self._rung.clear()
        self._saw_rows(now)

    def wants_sleep(self, now: float) -> bool:
        """Whether it has been quiet long enough to try to arm."""
        if self.asleep or self._confirming:
            return False
        return now - self._last_row_at >= self._quiet_seconds

    def may_sleep(self, would_ring: bool, now: float) -> None:
        """What the database said: whether a writer would ring now."""
        self._confirming, self._refused = would_ring, not would_ring
        if not would_ring:
            self._last_row_at, self._quiet_seconds = now, random.uniform(*QUIET_SECONDS)

    def _saw_rows(self, now: float) -> None:
        self._last_row_at = now
        self._quiet_seconds = random.uniform(*QUIET_SECONDS)
        self._refused = False
