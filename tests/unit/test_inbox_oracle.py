"""The judge of inboxes is judged: the model over committed facts, and the reducer that clients of the bench use."""

from __future__ import annotations

from typing import Any

import pytest

from bench.inbox_client import Reducer
from bench.inbox_facts import Change, Counts, Facts, Revision, Scope, Sent, Step, Window
from bench.inbox_oracle import Model

LONG_AGO, NOW, LATER = Window(1, 2), Window(10, 11), Window(20, 21)


def sent(id: int, recipient: str | None = "u1", topic: str | None = None, **more: Any) -> Sent:
    return Sent(id, None if topic else recipient, topic, **{"visible": LONG_AGO, **more})


def step(verb: str, position: int, **more: Any) -> Step:
    return Step(verb, "u1", **{"looked": NOW, "position": position, "earlier": position - 1, "xid": "7", **more})


def model(*facts: Facts) -> Model:
    made = Model(["u1", "u2"])
    for each in facts:
        made.absorb(each)
    return made


def counts(made: Model, **scope: Any) -> tuple[int, int, int]:
    found: Counts = made.counts("u1", 100, Scope(**scope))
    return found.unread, found.unseen, found.total


# --- the model -----------------------------------------------------------------------------------------------


def test_a_topic_reaches_whom_it_found_subscribed_by_position_and_everyone_is_bounded_by_first_contact() -> None:
    joined = [step("subscribe", 5, topic="team", result=5), step("unsubscribe", 9, topic="team", result=9)]
    rows = [sent(n, topic="team") for n in (4, 6, 10)] + [sent(2, topic="*"), sent(12, topic="*")]
    made = model(Facts(sent=rows, steps=joined, contacts={"u1": 3}))
    assert [item.sent.id for item in made.items("u1", 100)] == [12, 6]
    assert not made.items("u2", 100)
    assert not made.complaints


def test_what_was_committed_after_mark_all_read_stays_unread_whatever_its_id() -> None:
    late = sent(3, visible=LATER)
    made = model(Facts(sent=[late, sent(4)], steps=[step("mark_all_read", 6, result=1)]))
    assert counts(made) == (1, 1, 2)
    assert not made.complaints


def test_what_the_facts_do_not_tell_is_asked_of_the_change_row() -> None:
    rows = [sent(3, visible=Window(9, 12)), sent(4, visible=Window(9, 12)), sent(2)]
    told = [Change(7, "7", "read", "u1", ids=(3,), through=2)]
    made = model(Facts(sent=rows, steps=[step("mark_all_read", 7, result=2)], changes=told))
    assert counts(made) == (1, 1, 3)
    assert not made.complaints
    assert made.unsure == 2


def test_an_answer_that_cannot_be_is_a_complaint() -> None:
    assert model(Facts(sent=[sent(3)], steps=[step("mark_read", 7, ids=(3, 3, 99), result=1)])).complaints == []
    assert len(model(Facts(sent=[sent(3)], steps=[step("mark_read", 7, ids=(3,), result=0)])).complaints) == 1
    assert len(model(Facts(steps=[step("mark_read", 7, ids=(99,), result=1)])).complaints) == 1
    again = [step("subscribe", 5, topic="t", result=5), step("subscribe", 6, topic="t", result=6)]
    assert len(model(Facts(steps=again)).complaints) == 1


def test_an_own_row_of_the_same_transaction_is_seen_and_one_that_came_after_is_not() -> None:
    rows = [sent(3, xid="7", visible=LATER), sent(8, xid="7", visible=LATER)]
    assert counts(model(Facts(sent=rows, steps=[step("mark_all_read", 6, result=1)]))) == (1, 1, 2)


def test_a_snooze_that_is_over_comes_back_unread_between_the_calls_around_it() -> None:
    steps = [step("mark_read", 5, ids=(3,), result=1), step("snooze", 6, ids=(3,), until=50, result=1)]
    due = Change(8, "1000", "unsnoozed", "u1", ids=(3,), created_at=51)
    assert counts(model(Facts(sent=[sent(3)], steps=steps))) == (0, 0, 0)
    assert counts(model(Facts(sent=[sent(3)], steps=steps, changes=[due]))) == (1, 1, 1)
    then = step("mark_read", 9, ids=(3,), result=1)
    assert counts(model(Facts(sent=[sent(3)], steps=[*steps, then], changes=[due]))) == (0, 0, 1)
    early = Change(8, "1000", "unsnoozed", "u1", ids=(3,), created_at=40)
    assert len(model(Facts(sent=[sent(3)], steps=steps, changes=[early])).complaints) == 1


def test_muting_concerns_what_has_a_higher_id_and_a_required_kind_is_never_muted() -> None:
    own = [step("set_preference", 5, kind="*", enabled=False), step("set_preference", 9, kind="b", enabled=True)]
    said = [Change(5, "7", "preference", "u1", kind="*"), Change(9, "7", "preference", "u1", kind="b")]
    rows = [sent(4, kind="a"), sent(6, kind="a"), sent(7, kind="b"), sent(10, kind="b"), sent(11, kind="c")]
    made = model(Facts(sent=rows, steps=own, changes=said))
    assert [item.sent.id for item in made.items("u1", 100)] == [10, 4]
    required = Step("declare_kind", "", NOW, 2, 1, "8", kind="c", required=True, enabled=True)
    declared = Change(2, "8", "declared", None, "*", kind="c")
    made = model(Facts(sent=rows, steps=[required, *own], changes=[declared, *said]))
    assert [item.sent.id for item in made.items("u1", 100)] == [11, 10, 4]


def test_what_is_retracted_or_expired_is_in_no_list_and_what_is_revised_shows_its_new_content() -> None:
    rows = [sent(3), sent(4, expires_at=50.0), sent(5, title="old")]
    made = model(Facts(sent=rows, retracted={3: 9.0}, revised=[Revision(5, title="new")]))
    assert counts(made) == (1, 1, 1)
    assert made.listing("u1", 100)[0].title == "new"


def test_a_group_collapses_within_one_audience_and_one_state() -> None:
    rows = [sent(3, group="g"), sent(4, group="g"), sent(5, topic="*", group="g"), sent(6)]
    made = model(Facts(sent=rows, contacts={"u1": 1}))
    assert [(line.id, line.group) for line in made.listing("u1", 100)] == [(6, (6,)), (5, (5,)), (4, (4, 3))]
    made.absorb(Facts(steps=[step("mark_read", 9, ids=(4,), result=1)]))
    assert [(line.id, line.group) for line in made.listing("u1", 100, "unread")] == [(6, (6,)), (5, (5,)), (3, (3,))]


def test_a_scope_narrows_the_rows_of_topics_and_every_row_by_tenant() -> None:
    rows = [sent(3), sent(4, topic="*", tenant="acme"), sent(5, tenant="acme")]
    made = model(Facts(sent=rows, contacts={"u1": 1}))
    assert counts(made, topics=["team"]) == (2, 2, 2)
    assert counts(made, tenant="acme") == (2, 2, 2)
    assert counts(made, tenant="acme", topics=[]) == (1, 1, 1)


# --- the reducer ---------------------------------------------------------------------------------------------


def frame(id: int, topic: str | None = None, kind: str = "a") -> dict[str, Any]:
    return {"id": id, "topic": topic, "kind": kind, "title": f"title {id}"}


def reduced(*frames: tuple[str, dict[str, Any]]) -> Reducer:
    state = Reducer()
    for event, data in frames:
        state.take(event, data)
    return state


def test_a_notification_adds_one_once_and_absolute_counts_replace() -> None:
    state = reduced(("ready", {"unread": 4, "unseen": 2}), ("message", frame(3)), ("message", frame(3)))
    assert (state.unread, state.unseen) == (5, 3)
    state.take("change", {"id": 9, "verb": "read", "ids": [3], "unread": 4, "unseen": 2})
    assert (state.unread, state.unseen) == (4, 2)
    state.take("change", {"id": 10, "verb": "archived", "ids": [3]})
    assert (state.unread, state.unseen) == (4, 2)


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ({"verb": "unsubscribed", "topic": "team"}, [3, 6, 7]),
        ({"verb": "retracted", "ids": [3]}, [5, 6, 7]),
        ({"verb": "expired", "ids": [6]}, [3, 5, 7]),
    ],
)
def test_a_change_that_comes_late_drops_what_came_above_it(change: dict[str, Any], left: list[int]) -> None:
    rows = [frame(3, "team"), frame(5, "team"), frame(6), frame(7, kind="b")]
    state = reduced(*(("message", row) for row in rows), ("change", {"id": 4, **change}))
    assert sorted(state.items) == left


def test_marks_go_by_ids_and_by_position_and_a_dropped_row_may_come_again() -> None:
    state = reduced(*(("message", frame(id)) for id in (3, 5, 8)))
    state.take("change", {"id": 9, "verb": "read", "ids": [8], "through": 3})
    assert [item.read for item in state.items.values()] == [True, False, True]
    assert state.derived() == (1, 1)
    state.take("change", {"id": 10, "verb": "snoozed", "ids": [5]})
    assert state.derived() == (0, 0)
    state.take("change", {"id": 11, "verb": "retracted", "ids": [5]})
    state.take("message", frame(5))
    assert state.derived() == (1, 1)
    assert state.notes["repeated"] == 0
