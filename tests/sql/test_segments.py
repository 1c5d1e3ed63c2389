"""Who is in a segment follows from traits and filters, both ways, set-based, and is told as any subscription is."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from calling import NO_NAMES, callers, changes, listed, nothing_is_left, refused, waiting
from psycopg.types.json import Jsonb

TABLES = ("traits", "segment", "subscription")
MANY = 20_000
COUNT_STATEMENTS = """
    CREATE TABLE counted (relation regclass);
    CREATE FUNCTION count_it() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
        'BEGIN INSERT INTO public.counted VALUES (TG_RELID::regclass); RETURN NULL; END';
    CREATE TRIGGER counting AFTER INSERT OR UPDATE ON belfry.subscription
        FOR EACH STATEMENT EXECUTE FUNCTION count_it();
    CREATE TRIGGER counting AFTER INSERT ON belfry.change FOR EACH STATEMENT EXECUTE FUNCTION count_it();
"""
MISTAKEN = """
    SELECT name, recipient FROM (
        SELECT 'segment:' || segment.name AS name, traits.recipient
        FROM belfry.segment JOIN belfry.traits ON traits.traits @> segment.filter) AS wanted
    FULL JOIN (SELECT topic AS name, recipient FROM belfry.subscription WHERE until IS NULL) AS there
        USING (name, recipient)
    WHERE wanted IS NULL OR there IS NULL
"""


async def set_traits(connection: Any, recipient: str, **traits: Any) -> None:
    await connection.execute("SELECT belfry.set_traits(%s, %s)", (recipient, Jsonb(traits)))


async def define(connection: Any, name: str, **contained: Any) -> None:
    await connection.execute("SELECT belfry.define_segment(%s, %s::jsonb)", (name, Jsonb(contained)))


async def members(ask: Any, connection: Any, name: str = "pro") -> list[str]:
    query = "SELECT recipient FROM belfry.subscription WHERE topic = 'segment:' || %s AND until IS NULL ORDER BY 1"
    return await ask.column(connection, query, name)


# --- refusals ----------------------------------------------------------------------------------------------


async def test_bad_arguments_are_refused_by_name_and_nothing_is_left(connect: Any, ask: Any) -> None:
    connection = await connect()
    for name in NO_NAMES:
        assert (await refused(connection, "SELECT belfry.set_traits(%s, '{}')", name))[0] == "BF001"
    for traits in (None, "null", "[]", '"pro"', "7", '[{"plan": "pro"}]'):
        given = (await refused(connection, "SELECT belfry.set_traits('u1', %s::jsonb)", traits), traits)
        assert given == (("BF010", "traits"), traits)
        given = (await refused(connection, "SELECT belfry.define_segment('pro', %s::jsonb)", traits), traits)
        assert given == (("BF010", "filter"), traits)
    for name in (None, "", "a/b", "a\nb", "a\x85b", "x" * 201):
        for filter_ in ("'{}'::jsonb", "'plan:pro'"):
            statement = f"SELECT belfry.define_segment(%s, {filter_})"
            assert await refused(connection, statement, name) == ("BF010", "name")
    await nothing_is_left(ask, connection, *TABLES)


NO_FILTERS = [None, "", " ", "plan", "plan:", ":pro", "plan: ", "plan:pro,", ",plan:pro", "plan:pro,role", "[1]", '"x"']
NO_FILTERS += ["plan:pro,plan:free", "plan:pro, plan :pro"]
NO_FILTERS += ["{", "{plan:pro}", '{"plan": "pro"', '{"plan": "pro"} x', "null"]


async def test_text_that_is_no_filter_is_refused_by_name(connect: Any, ask: Any) -> None:
    connection = await connect()
    for text in NO_FILTERS:
        told = await refused(connection, "SELECT belfry.define_segment('pro', %s::text)", text)
        assert told == ("BF010", "filter"), text
    await nothing_is_left(ask, connection, *TABLES)


async def test_nobody_subscribes_to_a_segment_by_hand_or_leaves_it(connect: Any, ask: Any) -> None:
    connection = await connect()
    await define(connection, "pro", plan="pro")
    await set_traits(connection, "u1", plan="pro")
    for function in ("subscribe", "unsubscribe"):
        for topic in ("segment:pro", "segment:none", "segment:"):
            statement = f"SELECT belfry.{function}('u1', %s)"
            assert await refused(connection, statement, topic) == ("BF002", "topic")
    assert await members(ask, connection) == ["u1"]
    assert await ask.call(connection, "subscribe", recipient="u2", topic="segments") is not None


# --- filters -----------------------------------------------------------------------------------------------

FILTERS: list[tuple[str, dict[str, Any]]] = [
    ("plan:pro", {"plan": "pro"}),
    ("plan:pro,role:admin", {"plan": "pro", "role": "admin"}),
    (" plan : pro , role : a b ", {"plan": "pro", "role": "a b"}),
    ("url:http://example.com:80", {"url": "http://example.com:80"}),
    ('{"plan": "pro", "seats": 5}', {"plan": "pro", "seats": 5}),
    (' {"roles": ["admin"]}', {"roles": ["admin"]}),
    ("{}", {}),
    ("seats:5", {"seats": "5"}),  # a text, as all that is not given as JSON
]


async def test_a_filter_is_pairs_or_an_object_as_text(connect: Any, ask: Any) -> None:
    connection = await connect()
    for text, contained in FILTERS:
        await connection.execute("SELECT belfry.define_segment('pro', %s::text)", (text,))
        assert [row["filter"] for row in await ask.rows(connection, "segment")] == [contained]


async def test_who_is_in_it_has_traits_that_contain_the_filter(connect: Any, ask: Any) -> None:
    connection = await connect()
    people: dict[str, dict[str, Any]] = {
        "exact": {"plan": "pro", "seats": 5},
        "more": {"plan": "pro", "seats": 5, "roles": ["admin", "owner"]},
        "text": {"plan": "pro", "seats": "5"},
        "deeper": {"in": {"plan": "pro", "seats": 5}},
        "none": {},
    }
    for recipient, traits in people.items():
        await set_traits(connection, recipient, **traits)
    await define(connection, "pro", plan="pro", seats=5)
    await define(connection, "admins", roles=["admin"])
    await define(connection, "everyone")
    assert await members(ask, connection) == ["exact", "more"]
    assert await members(ask, connection, "admins") == ["more"]
    assert await members(ask, connection, "everyone") == sorted(people)


# --- following ---------------------------------------------------------------------------------------------


async def test_traits_are_replaced_and_membership_follows_both_ways_and_is_told_in_order(
    connect: Any, ask: Any
) -> None:
    connection = await connect()
    await define(connection, "pro", plan="pro")
    await define(connection, "admins", role="admin")
    await set_traits(connection, "u1", plan="pro", role="admin")
    await set_traits(connection, "u1", role="admin", plan="pro")  # the same, said otherwise: no change
    await set_traits(connection, "u1", role="admin")
    await set_traits(connection, "u1", plan="pro")
    await set_traits(connection, "u1")
    assert [told[1:3] for told in await changes(ask, connection)] == [
        ("segment:admins", "subscribed"),
        ("segment:pro", "subscribed"),
        ("segment:pro", "unsubscribed"),
        ("segment:pro", "subscribed"),
        ("segment:admins", "unsubscribed"),
        ("segment:pro", "unsubscribed"),
    ]
    told = {row["id"] for row in await ask.rows(connection, "change")}
    stays = await ask.rows(connection, "subscription")
    assert {row["since"] for row in stays} | {row["until"] for row in stays} == told


async def test_a_new_filter_takes_in_some_and_lets_others_go(connect: Any, ask: Any) -> None:
    connection = await connect()
    for recipient, plan in (("u1", "pro"), ("u2", "free"), ("u3", "pro")):
        await set_traits(connection, recipient, plan=plan)
    await define(connection, "pro", plan="pro")
    await define(connection, "pro", plan="pro")
    assert len(await changes(ask, connection)) == 2
    await define(connection, "pro", plan="free")
    assert await members(ask, connection) == ["u2"]
    assert sorted((told[0], told[2]) for told in (await changes(ask, connection))[2:]) == [
        ("u1", "unsubscribed"),
        ("u2", "subscribed"),
        ("u3", "unsubscribed"),
    ]


async def test_a_segment_gets_one_row_which_only_its_members_have(connect: Any, ask: Any) -> None:
    connection = await connect()
    early = await ask.call(connection, "publish", topic="segment:pro", kind="k")
    await define(connection, "pro", plan="pro")
    for recipient, plan in (("u1", "pro"), ("u2", "free"), ("u3", "pro")):
        await set_traits(connection, recipient, plan=plan)
    sent = await ask.call(connection, "publish", topic="segment:pro", kind="k")
    await set_traits(connection, "u1", plan="free")
    late = await ask.call(connection, "publish", topic="segment:pro", kind="k")
    assert [row["id"] for row in await ask.rows(connection)] == [early, sent, late]
    assert await listed(ask, connection, "u1") == [sent]
    assert await listed(ask, connection, "u2") == []
    assert await listed(ask, connection, "u3") == [sent, late]


async def test_a_dropped_segment_ends_and_leaves_what_was_sent(connect: Any, ask: Any) -> None:
    connection = await connect()
    await define(connection, "pro", plan="pro")
    await define(connection, "prose", plan="pro")
    await set_traits(connection, "u1", plan="pro")
    await ask.call(connection, "subscribe", recipient="u1", topic="pro")
    sent = await ask.call(connection, "publish", topic="segment:pro", kind="k")
    assert [await ask.call(connection, "drop_segment", name=name) for name in ("pro", "pro", None, "")] == [
        True,
        False,
        False,
        False,
    ]
    assert await changes(ask, connection, "unsubscribed") == [("u1", "segment:pro", "unsubscribed", None)]
    await ask.call(connection, "publish", topic="segment:pro", kind="k")
    assert await listed(ask, connection) == [sent]
    open_now = "SELECT topic FROM belfry.subscription WHERE until IS NULL ORDER BY 1"
    assert await ask.column(connection, open_now) == ["pro", "segment:prose"]
    await set_traits(connection, "u1", plan="pro", more=True)
    assert await ask.column(connection, open_now) == ["pro", "segment:prose"]
    await define(connection, "pro", plan="pro")
    assert await members(ask, connection) == ["u1"]


async def test_twenty_thousand_recipients_come_and_go_in_one_statement_each(connect: Any, ask: Any) -> None:
    connection = await connect()
    await connection.execute(COUNT_STATEMENTS)
    await connection.execute(
        "INSERT INTO belfry.traits SELECT 'u' || n, jsonb_build_object('plan', CASE WHEN n % 2 = 0 THEN 'pro' END)"
        f" FROM generate_series(1, {2 * MANY}) AS n".encode()
    )
    await connection.execute("SET statement_timeout = '8s'")  # also while nobody has analyzed the tables
    counted = "SELECT count(*) FROM counted"
    await define(connection, "pro", plan="pro")
    assert (await ask.value(connection, counted), len(await members(ask, connection))) == (2, MANY)
    await define(connection, "pro", plan=None)
    assert (await ask.value(connection, counted), len(await members(ask, connection))) == (6, MANY)
    assert await ask.call(connection, "drop_segment", name="pro")
    assert (await ask.value(connection, counted), await members(ask, connection)) == (8, [])
    assert await ask.value(connection, "SELECT count(*) FROM belfry.change") == 4 * MANY


# --- at the same time --------------------------------------------------------------------------------------


async def test_a_definition_waits_for_traits_that_are_being_set_and_takes_them_in(
    connect: Any, ask: Any, until_it_waits: Any
) -> None:
    one, other = await connect(), await connect()
    await one.execute("BEGIN")
    await set_traits(one, "u1", plan="pro")
    async with waiting(until_it_waits, other, "SELECT belfry.define_segment('pro', 'plan:pro')"):
        await one.execute("COMMIT")
    assert await members(ask, one) == ["u1"]


async def test_traits_of_one_person_that_wait_for_others_of_theirs_see_what_these_did(
    connect: Any, ask: Any, until_it_waits: Any
) -> None:
    one, other = await connect(), await connect()
    await define(one, "pro", plan="pro")
    await one.execute("BEGIN")
    await set_traits(one, "u1", plan="pro")
    async with waiting(until_it_waits, other, """SELECT belfry.set_traits('u1', '{"plan": "free"}')"""):
        await one.execute("COMMIT")
    assert await members(ask, one) == []
    assert [told[2] for told in await changes(ask, one)] == ["subscribed", "unsubscribed"]


async def test_traits_of_two_people_do_not_wait_for_each_other(connect: Any, ask: Any) -> None:
    one, other = await connect(), await connect()
    await define(one, "pro", plan="pro")
    await one.execute("BEGIN")
    await set_traits(one, "u1", plan="pro")
    await other.execute("SET statement_timeout = '5s'")
    await set_traits(other, "u2", plan="pro")
    await one.execute("ROLLBACK")
    assert await members(ask, one) == ["u2"]


async def test_whatever_is_said_at_once_the_members_are_those_of_the_filter(connect: Any, ask: Any) -> None:
    connections = [await connect() for _ in range(6)]

    async def work(number: int, connection: Any) -> None:
        chance = random.Random(number)
        for _ in range(25):
            name, plan = chance.choice("ab"), chance.choice(["pro", "free"])
            if number > 1:
                await set_traits(connection, f"u{chance.randint(1, 5)}", plan=plan)
            elif chance.random() < 0.8:
                await define(connection, name, plan=plan)
            else:
                await ask.call(connection, "drop_segment", name=name)

    await asyncio.gather(*(work(number, connection) for number, connection in enumerate(connections)))
    await define(connections[0], "a", plan="pro")
    assert len(await ask.rows(connections[0], "traits")) == 5
    assert await ask.column(connections[0], MISTAKEN) == []


async def test_who_may_say_what_people_are(connect: Any, ask: Any) -> None:
    connection = await connect()
    for function in ("set_traits", "define_segment", "drop_segment"):
        assert await callers(ask, connection, function) == ["belfry_relay", "belfry_sender"], function
    for function in ("enroll", "dismiss", "require_read_committed"):
        assert await callers(ask, connection, function) == [], function
    await connection.execute("SET ROLE belfry_sender")
    await set_traits(connection, "u1", plan="pro")
    await connection.execute("SELECT belfry.define_segment('pro', 'plan:pro')")
    assert await ask.call(connection, "drop_segment", name="pro")
