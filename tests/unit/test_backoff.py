"""Pauses between attempts: they double, they are bounded, and no two clients are in step."""

from __future__ import annotations

from belfry.backoff import Backoff


def test_pauses_double_up_to_the_last_one():
    backoff = Backoff(0.1, 1.0)
    for cap in (0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0):
        assert cap / 2 <= backoff.next_seconds() <= cap


def test_a_success_begins_anew():
    backoff = Backoff(0.1, 1.0)
    for _ in range(9):
        backoff.next_seconds()
    backoff.reset()
    assert backoff.next_seconds() <= 0.1


def test_at_the_cap_the_pauses_still_differ():
    backoff = Backoff(1.0, 1.0)
    pauses = {backoff.next_seconds() for _ in range(50)}
    assert len(pauses) > 40
    assert max(pauses) - min(pauses) > 0.3
