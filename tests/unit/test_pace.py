"""The pace of pruning: batches that take half of the wanted time to all of it, and rests that leave room for others."""

from __future__ import annotations

from belfry.pruning import BATCH_SECONDS, FEWEST_ROWS, FIRST_ROWS, MOST_REST_SECONDS, MOST_ROWS, REST, Pace


def test_a_quick_batch_is_followed_by_a_larger_one_and_a_slow_one_by_a_smaller_one() -> None:
    pace = Pace()
    pace.took(BATCH_SECONDS / 10)
    assert pace.rows == 2 * FIRST_ROWS
    pace.took(BATCH_SECONDS * 0.7)
    assert pace.rows == 2 * FIRST_ROWS, "that was just right"
    pace.took(BATCH_SECONDS * 1.1)
    assert pace.rows == FIRST_ROWS


def test_batches_stay_within_bounds() -> None:
    pace = Pace()
    for _ in range(20):
        pace.took(0.0)
    assert pace.rows == MOST_ROWS
    for _ in range(20):
        pace.took(60.0)
    assert pace.rows == FEWEST_ROWS


def test_it_rests_in_proportion_to_what_a_batch_took() -> None:
    pace = Pace()
    for seconds in (0.02, 0.5):
        pace.took(seconds)
        assert pace.rest_seconds == REST * seconds
    assert REST >= 2, "others get most of the time"
    pace.took(300.0)
    assert pace.rest_seconds == MOST_REST_SECONDS, "it waited for five minutes, and worked for none"


def test_a_batch_that_takes_any_time_for_its_rows_settles_at_the_wanted_one() -> None:
    for seconds_a_row in (5e-6, 2e-5, 1e-4, 5e-4):
        pace = Pace()
        for _ in range(20):
            pace.took(seconds_a_row * pace.rows)
        assert seconds_a_row * pace.rows <= BATCH_SECONDS
        assert pace.rows == MOST_ROWS or seconds_a_row * pace.rows >= BATCH_SECONDS / 4
