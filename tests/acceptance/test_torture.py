"""Nothing lost, nothing twice: the short form of `make torture`, and that its judge can go red."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import oracle, postgres, sse_client, torture
from bench.oracle import Observed, Row, Stay, Table

SHORT = torture.Options(seconds=7, max_hold_seconds=1.5, settle_seconds=20, faults=())
TABLE = Table(
    rows=[
        Row(1, None, "*"),
        Row(3, "u1", None),
        Row(5, None, "team"),
        Row(6, "u2", None),
        Row(9, None, "team"),
        Row(10, None, "*"),
    ],
    stays=[Stay("u1", "team", since=4, until=8)],
    contacts={"u1": 2},
)


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Cluster]:
    """A server that may be killed."""
    with postgres.cluster() as cluster:
        yield cluster


def watched(*ids: int, topic: str | None = None) -> Observed:
    """What a client of u1 saw."""
    seen = Observed("u1")
    for id in ids:
        seen.notification(id, topic)
    return seen


# --- the runs ------------------------------------------------------------------------------------------------


@pytest.mark.timeout(180)
@pytest.mark.majors
def test_every_stream_gets_each_committed_row_once_whatever_breaks(server: postgres.Cluster, tmp_path: Path) -> None:
    faults = ("listener", "poller", "relay", "postgres")
    outcome = torture.run(torture.replaced(SHORT, seconds=15, faults=faults, log_directory=tmp_path), server)
    assert outcome.clean, outcome
    assert outcome.committed > 300
    assert outcome.counts["reconnects"] > 50
    assert outcome.counts["postgres killed"] == outcome.counts["relay killed"] == 1


@pytest.mark.timeout(120)
@pytest.mark.parametrize("mode", ["poll", "notify"])
def test_the_other_wake_modes_keep_the_same_promise(mode: str, server: postgres.Cluster, tmp_path: Path) -> None:
    outcome = torture.run(torture.replaced(SHORT, wake_mode=mode, faults=("listener",), log_directory=tmp_path), server)
    assert outcome.clean, outcome
    assert mode != "poll" or (outcome.counts["prepared committed late"] > 0 and "failed 0A000" not in outcome.counts)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("fault", ["ignore-gaps", "drop-one-more-poll", "leave-contents-out"])
def test_a_relay_that_is_broken_on_purpose_loses_rows_and_is_found_out(
    fault: str, server: postgres.Cluster, tmp_path: Path
) -> None:
    serve = ("-m", "bench.broken", fault, "serve")
    outcome = torture.run(torture.replaced(SHORT, serve=serve, settle_seconds=1, log_directory=tmp_path), server)
    assert outcome.verdict.lost > 0


# --- the judge -----------------------------------------------------------------------------------------------


def test_what_is_owed_is_the_direct_rows_the_stays_and_everything_since_first_contact() -> None:
    assert TABLE.owed("u1") == {3, 5, 10}
    assert oracle.judge(TABLE, [watched(3, 5, 10)]).clean


def test_a_missing_row_is_lost() -> None:
    assert oracle.judge(TABLE, [watched(3, 10)]).lost == 1


def test_a_row_that_comes_again_is_repeated() -> None:
    assert oracle.judge(TABLE, [watched(3, 5, 10, 5)]).repeated == 1


@pytest.mark.parametrize("row", [1, 6, 9])
def test_a_row_of_somebody_else_or_of_before_or_after_is_foreign(row: int) -> None:
    assert oracle.judge(TABLE, [watched(3, 5, 10, row)]).foreign == 1


def test_a_late_unsubscribed_takes_back_what_came_above_it() -> None:
    seen = watched(3, 5, 10)
    seen.notification(9, "team")
    seen.unsubscribed(8, "team", None)
    assert oracle.judge(TABLE, [seen]).clean


def test_rows_of_one_transaction_must_come_in_order_unless_a_late_subscription_brings_them() -> None:
    late, wrong = Observed("u1"), Observed("u1")
    for seen in (late, wrong):
        seen.notification(10, "*", "one")
    late.subscribed("team")
    for seen in (late, wrong):
        seen.notification(5, "team", "one")
    assert (late.disordered, wrong.disordered) == (0, 1)


def test_the_raw_client_reads_frames_however_they_are_cut() -> None:
    body = b"retry: 7\n\nid: 4~1\ndata: a\n\nid: 5\r\nevent: change\r\ndata: b\r\n\r\n"
    wire = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:9], body[9:30], body[30:]))
    for size in range(1, len(wire)):
        chunks, parser = sse_client.Dechunker(), sse_client.Parser()
        frames = [frame for at in range(0, len(wire), size) for frame in parser.feed(chunks.feed(wire[at : at + size]))]
        assert [(frame.id, frame.event, frame.data) for frame in frames] == [
            ("", "", ""),
            ("4~1", "message", "a"),
            ("5", "change", "b"),
        ]


def test_a_frame_that_was_cut_in_the_middle_does_not_move_the_cursor() -> None:
    parser = sse_client.Parser("3")
    parser.feed(b"id: 4\ndata: whole\n\nid: 5\ndata: cut he")
    assert parser.last_id == "4"


def test_a_cursor_covers_what_is_below_its_head_but_for_its_gaps() -> None:
    cursor = sse_client.parse_cursor("abc123.42~3,8-9")
    assert [position for position in range(30, 44) if not cursor.covers(position)] == [33, 34, 39, 43]
