"""The doorbell's decisions: never asleep unless a writer would ring, never armed for nothing."""

from __future__ import annotations

import pytest

from belfry.doorbell import (
    BUSY_READS,
    BUSY_READS_PER_SECOND,
    LONGEST_POLL_SECONDS,
    QUIET_SECONDS,
    REST_SECONDS,
    Doorbell,
)

TICK = 1.0
QUIET = QUIET_SECONDS[1] + 0.001


def awake(now: float = 100.0) -> Doorbell:
    bell = Doorbell(TICK)
    bell.connected(now)
    return bell


def asleep(now: float = 100.0) -> Doorbell:
    bell = awake(now)
    bell.armed = True
    bell.may_sleep(True, now + QUIET)
    poll(bell, now + QUIET)
    assert bell.asleep
    return bell


def poll(bell: Doorbell, now: float, rows: int = 0, *, rung: bool = False, seconds: float = 0.0) -> None:
    bell.polled(rows, rung=rung, began=now, ended=now + seconds)


def test_it_sleeps_only_after_one_more_poll_begun_since_a_writer_would_ring():
    bell = awake()
    assert bell.wants_sleep(100.0 + QUIET)
    bell.may_sleep(True, 100.0 + QUIET)
    assert not bell.asleep
    assert bell.wait_seconds(100.0 + QUIET) == 0.0
    poll(bell, 100.0 + QUIET)
    assert bell.asleep
    assert bell.wait_seconds(100.0 + QUIET) == TICK


def test_it_never_sleeps_when_a_writer_would_not_ring():
    bell = awake()
    now = 100.0
    for _ in range(200):
        now += 0.05
        if bell.wants_sleep(now):
            bell.may_sleep(False, now)
        poll(bell, now)
        assert not bell.asleep
        assert bell.wait_seconds(now) <= 0.05


def test_a_silent_writer_makes_it_poll_slower_and_try_again_later():
    bell = awake()
    bell.may_sleep(False, 101.0)
    assert 0.02 <= bell.wait_seconds(101.0) <= 0.05
    assert not bell.wants_sleep(101.0 + QUIET_SECONDS[0] * 0.9)
    assert bell.wants_sleep(101.0 + QUIET)


def test_it_wants_to_sleep_only_after_a_time_without_rows():
    bell = awake()
    poll(bell, 100.5, rows=1)
    assert not bell.wants_sleep(100.5 + QUIET_SECONDS[0] * 0.9)
    assert bell.wants_sleep(100.5 + QUIET)


def test_asleep_or_about_to_be_it_does_not_ask_again():
    bell = awake()
    bell.may_sleep(True, 101.0)
    assert not bell.wants_sleep(102.0)
    poll(bell, 102.0)
    assert not bell.wants_sleep(110.0)


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.02, 0.5])
def test_a_poll_rests_at_least_twice_as_long_as_it_took(seconds: float):
    bell = awake()
    poll(bell, 100.0, rows=1, seconds=seconds)
    assert bell.wait_seconds(100.0 + seconds) >= max(0.005, 2 * seconds) - 1e-9
    assert bell.earliest() >= 100.0 + seconds + max(0.005, 2 * seconds) - 1e-9


def test_after_a_poll_in_which_the_process_was_stopped_it_does_not_rest_for_hours():
    bell = awake()
    poll(bell, 100.0, rows=1, seconds=7200.0)
    assert bell.wait_seconds(7300.0) <= REST_SECONDS
    assert bell.earliest() <= 7300.0 + REST_SECONDS


def test_under_load_it_polls_every_few_milliseconds():
    bell = awake()
    poll(bell, 100.0, rows=3, seconds=0.001)
    assert 0.005 <= bell.wait_seconds(100.001) <= 0.010


def load(bell: Doorbell, now: float, rate: float, seconds: float) -> tuple[float, float]:
    """Rows come evenly and each poll finds what came since the last; returns the time then, and the pause."""
    came, until = 0.0, now + seconds
    while now < until:
        pause = bell.wait_seconds(now)
        now, came = now + pause, came + rate * pause
        poll(bell, now, rows=int(came))
        came %= 1
    return now, bell.wait_seconds(now)


@pytest.mark.parametrize(("rate", "milliseconds"), [(200, 5), (1000, 25), (2000, 50), (5000, 80)])
def test_the_faster_rows_come_the_longer_it_pauses(rate: float, milliseconds: float):
    _, pause = load(awake(), 100.0, rate, seconds=2)
    assert 1000 * pause == pytest.approx(milliseconds, rel=0.25)


@pytest.mark.parametrize("before", [50, 20_000])
def test_how_long_it_pauses_does_not_depend_on_how_it_came_there(before: float):
    bell = awake()
    now, _ = load(bell, 100.0, before, seconds=1)
    _, pause = load(bell, now, 1500, seconds=2)
    assert pause == pytest.approx(0.0375, rel=0.25)


def test_one_full_poll_does_not_make_the_pause():
    bell = awake()
    now, _ = load(bell, 100.0, 200, seconds=1)
    poll(bell, now, rows=200)
    assert bell.wait_seconds(now) < LONGEST_POLL_SECONDS / 2
    _, pause = load(bell, now, 200, seconds=0.5)
    assert pause <= 0.010


def test_rows_that_come_too_fast_for_sleeping_overrun_it():
    bell = asleep()
    now = 200.0
    for _ in range(BUSY_READS - 1):
        now += 0.01
        poll(bell, now, rows=1, rung=True)
        assert not bell.overrun(now)
    poll(bell, now, rows=1, rung=True)
    assert bell.overrun(now)
    assert not bell.overrun(now + BUSY_READS / BUSY_READS_PER_SECOND)


def test_rows_that_come_slowly_do_not_overrun_it():
    bell = asleep()
    now = 200.0
    for _ in range(100):
        now += 1.2 / BUSY_READS_PER_SECOND
        poll(bell, now, rows=1, rung=True)
        assert not bell.overrun(now)


def test_wakes_without_rows_do_not_overrun_it():
    bell = asleep()
    now = 200.0
    for _ in range(100):
        now += 0.001
        poll(bell, now, rows=0, rung=True)
    assert not bell.overrun(now)


def test_when_told_that_the_bell_was_disarmed_it_polls_until_it_is_quiet_again():
    bell = asleep()
    bell.armed = False
    bell.wake_up(200.0)
    assert not bell.asleep
    assert bell.wait_seconds(200.0) <= 0.010
    assert not bell.wants_sleep(200.0 + QUIET_SECONDS[0] * 0.9)
    assert bell.wants_sleep(200.0 + QUIET)


def test_a_wake_up_while_it_was_about_to_sleep_is_heeded():
    bell = awake()
    bell.may_sleep(True, 101.0)
    bell.wake_up(101.0)
    poll(bell, 101.0)
    assert not bell.asleep


def test_a_new_connection_is_neither_armed_nor_asleep():
    bell = asleep()
    bell.connected(200.0)
    assert not bell.armed
    assert not bell.asleep
    poll(bell, 200.0)
    assert not bell.asleep
