"""What callers see when the Wasm module panics: an answer at once, no hang, and a new instance for the next request."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

import weir
import wire
from isolates import ADMIN, Isolates
from test_isolates import ask, create, manage, new_key

CHAT = "/v1/chat/completions"
AT_ONCE = 2.0


@pytest.fixture(scope="module")
def front() -> Iterator[str]:
    with Isolates(fronts=1, WEIR_TEST_PANICS="true") as running:
        yield running.urls[0]


def timed(url: str, method: str, target: str, key: str, body=None) -> tuple[wire.Answer, float]:
    began = time.monotonic()
    answer = wire.send(url, method, target, weir.bearer(key), body)
    return answer, time.monotonic() - began


def panic(url: str, where: str, name: str, key: str) -> tuple[wire.Answer, float]:
    if where == "data":
        return timed(url, "POST", f"{CHAT}?weir-test-panic", key, weir.ask("one two", name))
    return timed(url, "GET", "/api/weir/v1/keys?weir-test-panic=1", ADMIN)


def slow(url: str, **directives: int) -> str:
    """A model whose answer takes a while."""
    name = weir.fresh("slow")
    model = {"name": name, "provider": "simulator", "task": "llm/v1/chat", "simulator_config": directives}
    manage(url, "POST", weir.ENDPOINTS, {"name": name, "config": {"served_entities": [{"name": "a", "external_model": model}]}})
    return name


@pytest.mark.parametrize("where", ["data", "management"])
def test_a_panic_is_a_500_at_once_and_the_next_request_is_served(front, where):
    name, key = create(front), new_key(front)["key"]
    assert ask(front, name, key).status == 200
    for _ in range(3):
        answer, took = panic(front, where, name, key)
        error = answer.json()["error"]
        assert (answer.status, error["code"], answer.headers["content-type"]) == (500, "InternalServerError", "application/json")
        assert answer.headers["x-request-id"] in error["message"] and took < AT_ONCE, took
        # A new instance, over the same objects: key and deployment made before are there.
        answer, took = timed(front, "POST", CHAT, key, weir.ask("one two", name))
        assert answer.status == 200 and took < AT_ONCE, (answer, took)
    assert manage(front, "GET", f"{weir.ENDPOINTS}/{name}")["name"] == name


@pytest.mark.parametrize("where", ["data", "management"])
@pytest.mark.parametrize("served_meanwhile", [False, True])
def test_other_exchanges_end_when_one_panics(front, where, served_meanwhile):
    """Exchanges under way, on the data path, fail or are answered in their time; none hangs or disturbs others."""
    delay = 0.8
    name, key = create(front), new_key(front)["key"]
    waiting = slow(front, first_token_ms=int(delay * 1000))
    assert ask(front, waiting, key).status == 200
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(timed, front, "POST", CHAT, key, weir.ask("one two", waiting, stream=i % 2 == 1))
                 for i in range(6)]
        time.sleep(delay / 4)
        assert panic(front, where, name, key)[0].status == 500
        if served_meanwhile:
            assert ask(front, name, key).status == 200
        for call in calls:
            answer, took = call.result(timeout=10)
            assert took < delay + AT_ONCE, took
            assert answer.status == 200 or answer.json()["error"]["code"] == "InternalServerError", answer
    assert ask(front, name, key).status == 200


@pytest.mark.parametrize("served_meanwhile", [False, True])
def test_a_stream_under_way_breaks_off_when_another_exchange_panics(front, served_meanwhile):
    name, key = create(front), new_key(front)["key"]
    streaming = slow(front, reply_tokens=30, token_ms=50)
    stream = wire.start(front, "POST", CHAT, weir.bearer(key), weir.ask("one two", streaming, stream=True))
    pieces = stream.pieces()
    assert stream.answer.status == 200 and next(pieces)
    assert panic(front, "data", name, key)[0].status == 500
    if served_meanwhile:
        assert ask(front, name, key).status == 200
    began = time.monotonic()
    for _ in pieces:
        pass
    # The runtime ends the connection regularly; the error event and the missing `[DONE]` tell.
    assert not stream.answer.looks_complete and b"\nevent: error\n" in stream.answer.body, stream.answer
    assert time.monotonic() - began < AT_ONCE
    assert ask(front, name, key).status == 200


@pytest.mark.parametrize("target", [f"{CHAT}?other=weir-test-panic", f"{CHAT}?weir-test-panics"])
def test_only_the_query_member_asks_for_it(front, target):
    name, key = create(front), new_key(front)["key"]
    assert wire.send(front, "POST", target, weir.bearer(key), weir.ask("one two", name)).status == 200


def test_without_the_variable_nothing_panics():
    with Isolates(fronts=1) as running:
        url = running.urls[0]
        name, key = create(url), new_key(url)["key"]
        assert panic(url, "data", name, key)[0].status == 200
        assert panic(url, "management", name, key)[0].status == 200
