"""How often somebody may ask: a bucket of tokens each, in this process. Pure; the caller brings the clock."""

from __future__ import annotations

from dataclasses import dataclass

MAX_BUCKETS = 100_000


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float  # seconds


class Limiter:
    """At most `per_minute` requests of each name in a minute, which may all come at once; 0: as many as they like."""

    def __init__(self, per_minute: int, *, max_buckets: int = MAX_BUCKETS) -> None:
        self._size = float(per_minute)
        self._per_second = per_minute / 60
        self._max_buckets = max_buckets
        self._buckets: dict[str, _Bucket] = {}

    def wait_seconds(self, name: str, now: float) -> float:
        """Take a token: 0.0 when there was one, else the seconds until there is."""
        if not self._size:
            return 0.0
        bucket = self._bucket(name, now)
        bucket.tokens = min(self._size, bucket.tokens + (now - bucket.filled_at) * self._per_second)
        bucket.filled_at = now
        if bucket.tokens < 1:
            return (1 - bucket.tokens) / self._per_second
        bucket.tokens -= 1
        return 0.0

    def _bucket(self, name: str, now: float) -> _Bucket:
        """The bucket of a name; who comes first finds it full."""
        found = self._buckets.get(name)
        if found is None:
            if len(self._buckets) >= self._max_buckets:
                self._forget_full(now)
            found = self._buckets[name] = _Bucket(self._size, now)
        return found

    def _forget_full(self, now: float) -> None:
        """Forget who has not asked for a minute: their bucket is full again. Where nobody is so, forget the half."""
        kept = {name: each for name, each in self._buckets.items() if now - each.filled_at < 60}
        if len(kept) >= self._max_buckets:
            kept = dict(sorted(kept.items(), key=lambda item: item[1].tokens)[: self._max_buckets // 2])
        self._buckets = kept
