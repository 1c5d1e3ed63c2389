"""How many clients come in with one poll: as many as the server counts for in a moment."""

from __future__ import annotations

from belfry.reading import FEWEST_CLIENTS, FIRST_CLIENTS, LET_IN_SECONDS, MOST_CLIENTS, Pace


def test_as_many_come_in_as_are_counted_for_in_a_moment():
    pace = Pace()
    pace.took(FIRST_CLIENTS, 2 * LET_IN_SECONDS)
    assert pace.clients == FIRST_CLIENTS // 2
    pace.took(100, LET_IN_SECONDS / 3)
    assert pace.clients == 300


def test_it_grows_by_steps_and_stays_within_bounds():
    pace = Pace()
    pace.took(FIRST_CLIENTS, 0.0)
    assert pace.clients == 2 * FIRST_CLIENTS
    for _ in range(10):
        pace.took(100, 0.0)
    assert pace.clients == MOST_CLIENTS
    pace.took(100, 60.0)
    assert pace.clients == FEWEST_CLIENTS
