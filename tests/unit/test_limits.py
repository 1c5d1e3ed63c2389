"""A bucket of tokens for each name: how many at once, how soon again, and that memory stays bounded."""

from __future__ import annotations

from belfry.limits import Limiter


def test_a_minutes_worth_may_come_at_once_and_the_next_waits() -> None:
    limiter = Limiter(3)
    assert [limiter.wait_seconds("u1", 0.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert limiter.wait_seconds("u1", 0.0) == 20.0


def test_who_waits_as_told_is_let_in_once() -> None:
    limiter = Limiter(3)
    for _ in range(3):
        limiter.wait_seconds("u1", 0.0)
    assert limiter.wait_seconds("u1", 20.0) == 0.0
    assert limiter.wait_seconds("u1", 20.0) == 20.0


def test_who_asks_too_early_waits_no_longer_for_it() -> None:
    limiter = Limiter(60)
    for _ in range(60):
        limiter.wait_seconds("u1", 0.0)
    assert [round(limiter.wait_seconds("u1", 0.5), 6) for _ in range(5)] == [0.5] * 5
    assert limiter.wait_seconds("u1", 1.0) == 0.0


def test_a_bucket_never_holds_more_than_a_minutes_worth() -> None:
    limiter = Limiter(2)
    limiter.wait_seconds("u1", 0.0)
    assert [limiter.wait_seconds("u1", 1e6) for _ in range(2)] == [0.0, 0.0]
    assert limiter.wait_seconds("u1", 1e6) > 0


def test_one_name_does_not_wait_for_another() -> None:
    limiter = Limiter(1)
    limiter.wait_seconds("u1", 0.0)
    assert limiter.wait_seconds("u1", 0.0) > 0
    assert limiter.wait_seconds("u2", 0.0) == 0.0


def test_nought_is_without_limit() -> None:
    limiter = Limiter(0)
    assert {limiter.wait_seconds("u1", 0.0) for _ in range(10_000)} == {0.0}


def test_names_that_ask_no_more_are_forgotten_and_busy_ones_are_not() -> None:
    limiter = Limiter(2, max_buckets=10)
    for number in range(9):
        limiter.wait_seconds(f"gone{number}", 0.0)
    for _ in range(2):
        limiter.wait_seconds("busy", 61.0)
    limiter.wait_seconds("new", 61.0)
    assert len(limiter._buckets) == 2
    assert limiter.wait_seconds("busy", 61.0) > 0


def test_a_crowd_of_names_takes_bounded_memory_and_those_who_wait_are_kept() -> None:
    limiter = Limiter(2, max_buckets=10)
    for _ in range(2):
        limiter.wait_seconds("busy", 0.0)
    for number in range(1000):
        limiter.wait_seconds(f"name{number}", 0.0)
    assert len(limiter._buckets) <= 10
    assert limiter.wait_seconds("busy", 0.0) > 0


def test_while_there_is_room_nobody_who_waits_is_let_in_by_another_that_is_forgotten() -> None:
    limiter = Limiter(1, max_buckets=4)
    limiter.wait_seconds("gone", 0.0)
    for name in ("u1", "u2", "u3", "new"):
        limiter.wait_seconds(name, 61.0)
    assert all(limiter.wait_seconds(name, 61.0) > 0 for name in ("u1", "u2", "u3", "new"))
