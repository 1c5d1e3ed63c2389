"""Frames as the HTML standard reads them."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from belfry import sse

data = st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.none(), st.lists(st.text())))


def test_the_frames_are_these_bytes():
    assert sse.retry(2400) == b"retry: 2400\n\n"
    assert sse.id_line("1042~3,8-9") == b"id: 1042~3,8-9\n"
    assert sse.notification(b'{"id":1}') == b'data: {"id":1}\n\n'
    assert sse.change(b'{"id":1}') == b'event: change\ndata: {"id":1}\n\n'
    assert sse.event("ready", {"cursor": "7"}, cursor="7") == b'id: 7\nevent: ready\ndata: {"cursor":"7"}\n\n'
    assert (
        sse.event("goodbye", {"reason": "drain"}, retry_milliseconds=5)
        == b'retry: 5\nevent: goodbye\ndata: {"reason":"drain"}\n\n'
    )


@given(data)
def test_any_data_is_one_line_of_utf_8_and_comes_back_as_it_was(given: dict[str, object]):
    frame = sse.event("ready", given, cursor="1")
    *lines, empty, end = frame.split(b"\n")
    assert (empty, end) == (b"", b"")
    assert [line.partition(b":")[0] for line in lines] == [b"id", b"event", b"data"]
    assert b"\r" not in frame
    assert json.loads(lines[-1].removeprefix(b"data: ")) == given


def test_the_headers_are_those_of_the_contract():
    assert dict(sse.HEADERS) == {
        b"content-type": b"text/event-stream; charset=utf-8",
        b"cache-control": b"no-cache, no-transform",
        b"x-accel-buffering": b"no",
    }


@given(st.binary(min_size=1, max_size=5000))
def test_a_chunk_is_its_length_in_hexadecimal_and_its_bytes(payload: bytes):
    size, _, rest = sse.chunk(payload).partition(b"\r\n")
    assert int(size, 16) == len(payload)
    assert rest == payload + b"\r\n"
