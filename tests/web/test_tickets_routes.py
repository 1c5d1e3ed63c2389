"""A ticket: what opens the stream and nothing else."""

from __future__ import annotations

from asking import Api


async def test_a_ticket_opens_the_stream_and_nothing_else(api: Api):
    answer = await api.as_recipient("POST", "/v1/tickets")
    assert answer.status_code == 201
    ticket = answer.json()["ticket"]
    assert 0 < answer.json()["expires_in"] <= 600
    client = await api.belfry.open(headers={}, query=[("ticket", ticket)])
    assert (await client.next()).data["recipient"] == "u1"
    assert (await api.as_recipient("GET", "/v1/inbox", token=ticket)).status_code == 401
    assert (await api.http.get(f"/v1/inbox?ticket={ticket}")).status_code == 401


async def test_a_ticket_keeps_what_narrows_the_token_and_never_outlives_it(api: Api):
    token = api.belfry.token(seconds=30, topics=["t"], tenant="acme")
    answer = (await api.as_recipient("POST", "/v1/tickets", token=token)).json()
    credential = api.belfry.app.state.verifier.recipient(answer["ticket"], ticket=True)
    whole = api.belfry.app.state.verifier.recipient(token)
    assert (credential.topics, credential.tenant) == (frozenset({"t"}), "acme")
    assert credential.expires_at <= whole.expires_at
    assert answer["expires_in"] <= 30
