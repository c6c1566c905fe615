"""Streams over raw sockets: the first event is not held back, a broken stream never looks whole, leaving aborts."""

from __future__ import annotations

import time

import pytest

import weir
import wire

SURFACES = weir.SURFACES


def open_stream(surface: weir.Surface, name: str, **members) -> wire.Exchange:
    headers = {**weir.bearer(weir.KEY), "content-type": "application/json"}
    return wire.start(weir.URL, "POST", surface.chat(name), headers, weir.ask("one", name, stream=True, **members))


def check_broken(surface: weir.Surface, answer: wire.Answer) -> None:
    """A stream that broke off says so: no `[DONE]`, and an end that the surface's clients notice.

    The model inference client ignores error events and takes any regular end for the end. Weir breaks the connection;
    where the server in front of it ends the body regularly all the same (workerd's own HTTP/1.1 server does), an
    `event:` line, which that client's strict reader refuses, is what remains.
    """
    assert not answer.looks_complete and b"[DONE]" not in answer.body, answer
    if surface.name == "model inference":
        assert not answer.complete or b"\nevent: error\n" in answer.body, answer
    else:
        assert not answer.complete or '"error"' in answer.text, answer


def texts(answer: wire.Answer) -> str:
    return "".join(c["delta"].get("content") or "" for e in answer.events() for c in e.get("choices", []))


# A stream whose caller asked for the usage event needs no change, so it may take another way through Weir.
ASKED = {"stream_options": {"include_usage": True}}
CALLERS = [pytest.param(s, {}, id=s.name) for s in SURFACES] + [
    pytest.param(s, ASKED, id=f"{s.name}, usage asked") for s in SURFACES if s.name != "model inference"
]


@pytest.mark.parametrize("surface, members", CALLERS)
class TestEverySurface:
    def test_a_whole_stream_is_whole(self, surface, members, endpoint):
        answer = open_stream(surface, endpoint.name, **members).read()
        assert answer.status == 200 and answer.headers["content-type"].startswith("text/event-stream")
        assert answer.looks_complete and answer.body.endswith(b"data: [DONE]\n\n") and texts(answer) == "echo: one"
        lines = answer.body.split(b"\n")
        assert all(line == b"" or line.startswith(b"data: ") for line in lines), "only what strict readers accept"
        assert b"\r" not in answer.body

    def test_the_first_event_arrives_before_the_second_is_sent(self, surface, members, endpoint):
        endpoint.script({"gated": True, "words": 3})
        endpoint.release(2)
        exchange = open_stream(surface, endpoint.name, **members)
        pieces = exchange.pieces()
        seen = b""
        while b'"w0"' not in seen:
            seen += next(pieces)
        assert endpoint.requests()[0]["sent"] == 2, "the upstream waits for its third event's release"
        endpoint.release(10)
        for _ in pieces:
            pass
        assert exchange.answer.looks_complete

    def test_each_event_arrives_before_the_next_is_sent(self, surface, members, endpoint):
        endpoint.script({"gated": True, "words": 4})
        endpoint.release(2)
        exchange = open_stream(surface, endpoint.name, **members)
        pieces, seen = exchange.pieces(), b""
        for word in range(4):
            while f'"w{word}'.encode() not in seen and f'" w{word}'.encode() not in seen:
                seen += next(pieces)
            assert endpoint.requests()[0]["sent"] == word + 2
            time.sleep(0.6)
            endpoint.release(1 if word < 3 else 10)
        for _ in pieces:
            pass
        assert exchange.answer.looks_complete

    @pytest.mark.parametrize("cut", ["reset", "close", "clean"])
    @pytest.mark.parametrize("after", [1, 3, 7])
    def test_a_stream_cut_upstream_never_looks_whole(self, surface, members, endpoint, cut, after):
        endpoint.script({"words": 6, "cut_after": after, "cut": cut, "pace": 0.02})
        answer = open_stream(surface, endpoint.name, **members).read()
        if answer.status == 200:
            check_broken(surface, answer)
        else:
            assert answer.status in (502, 503, 504), answer

    def test_an_error_event_never_becomes_a_regular_end(self, surface, members, endpoint):
        endpoint.script({"words": 6, "error_after": 3, "pace": 0.02})
        check_broken(surface, open_stream(surface, endpoint.name, **members).read())

    def test_leaving_aborts_the_upstream_call_and_is_metered(self, surface, members, endpoint):
        endpoint.script({"words": 2000, "pace": 0.02})
        exchange = open_stream(surface, endpoint.name, **members)
        pieces = exchange.pieces()
        seen = b""
        while seen.count(b'"content": "') + seen.count(b'"content":"') < 4:
            seen += next(pieces)
        exchange.close()
        record = weir.until(lambda: endpoint.requests()[0], lambda r: r["closed_by_caller"], 5.0,
                            "the upstream saw the caller leave")
        assert record["sent"] < 1000
        row = weir.usage_soon(endpoint.name, 1)
        assert row["requests"] == 1 and row["output_tokens"] >= 2, row


def test_garbage_in_mid_stream_never_looks_whole(endpoint):
    for surface in SURFACES:
        for members in ({}, ASKED) if surface.name != "model inference" else ({},):
            endpoint.script({"words": 6, "garbage_after": 3, "pace": 0.02})
            check_broken(surface, open_stream(surface, endpoint.name, **members).read())


def test_a_cut_stream_is_charged_by_what_was_counted(endpoint):
    endpoint.script({"words": 50, "cut_after": 11, "pace": 0.01})
    answer = open_stream(SURFACES[3], endpoint.name).read()
    assert not answer.looks_complete
    row = weir.usage_soon(endpoint.name, 1)
    assert row["requests"] == 1 and 5 <= row["output_tokens"] <= 30, row


def test_paced_events_come_one_by_one(endpoint):
    endpoint.script({"words": 5, "pace": 0.15})
    answer = open_stream(SURFACES[3], endpoint.name).read()
    times = [at for at, _ in answer.pieces]
    assert answer.looks_complete and times[-1] - times[0] > 0.5, "events were gathered"
    assert len(times) >= 5


def test_usage_is_withheld_from_callers_who_did_not_ask(endpoint):
    for surface in SURFACES:
        plain = open_stream(surface, endpoint.name).read()
        assert all(not e.get("usage") and e["choices"] for e in plain.events()), surface.name
        if surface.name != "model inference":
            asked = open_stream(surface, endpoint.name, stream_options={"include_usage": True}).read()
            assert asked.events()[-1]["usage"]["total_tokens"] == 3, surface.name


def test_a_long_stream_comes_through_whole_and_counted(endpoint):
    endpoint.script({"words": 5000})
    began = time.monotonic()
    answer = open_stream(SURFACES[3], endpoint.name).read()
    assert answer.looks_complete and len(texts(answer).split()) == 5000
    assert time.monotonic() - began < 20
    assert weir.usage_soon(endpoint.name, 1)["output_tokens"] == 5000


def test_a_hundred_streams_at_once(endpoint):
    from concurrent.futures import ThreadPoolExecutor

    endpoint.script({"words": 20, "pace": 0.01})
    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda _: open_stream(SURFACES[3], endpoint.name).read(), range(100)))
    assert all(a.looks_complete and len(texts(a).split()) == 20 for a in answers)
    assert weir.usage_soon(endpoint.name, 100)["output_tokens"] == 100 * 20
