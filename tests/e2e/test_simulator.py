"""The simulator's directives, as an application's developer uses them to try out faults."""

from __future__ import annotations

import time
from typing import Any

import pytest

import weir
import wire
from test_streams import check_broken


@pytest.fixture
def simulate():
    """Makes a deployment of the simulator with directives; gives its name."""
    names: list[str] = []

    def make(task: str = "llm/v1/chat", **directives: Any) -> str:
        name = weir.fresh("sim")
        model = {"name": name, "provider": "simulator", "task": task, "simulator_config": directives}
        weir.create_endpoint(name, [model])
        names.append(name)
        return name

    yield make
    for name in names:
        weir.delete_endpoint(name)


def ask(name: str, surface: weir.Surface = weir.SURFACES[3], **members: Any) -> wire.Answer:
    return weir.call(surface.chat(name), weir.ask("one two", name, **members))


def test_it_says_what_it_is_told(simulate):
    name = simulate(reply="the weir holds")
    assert ask(name).json()["choices"][0]["message"]["content"] == "the weir holds"


def test_it_is_as_long_as_it_is_told(simulate):
    name = simulate(reply_tokens=40, chunk_tokens=10)
    assert ask(name).json()["usage"]["completion_tokens"] == 40
    with_text = [e for e in ask(name, stream=True).events() if e["choices"] and e["choices"][0]["delta"].get("content")]
    assert len(with_text) == 4


def test_it_is_as_slow_as_it_is_told(simulate):
    name = simulate(reply_tokens=5, first_token_ms=300, token_ms=100)
    began = time.monotonic()
    answer = ask(name, stream=True)
    assert answer.looks_complete and 0.6 <= time.monotonic() - began < 3
    assert answer.pieces[-1][0] - answer.pieces[0][0] > 0.25, "events come one by one"


@pytest.mark.parametrize("surface", weir.SURFACES, ids=lambda s: s.name)
def test_a_stream_that_breaks_never_looks_whole(simulate, surface):
    name = simulate(reply_tokens=20, break_after_events=4)
    answer = ask(name, surface, stream=True)
    assert answer.status == 200
    check_broken(surface, answer)


def test_it_fails_as_it_is_told(simulate):
    rows: list[tuple[dict[str, Any], tuple[int, ...]]] = [
        ({"fail": {"status": 400, "message": "told to"}}, (400,)),
        ({"fail": {"status": 500}}, (500, 502)),
        ({"fail": {"status": 503}}, (502, 503)),
        ({"rate_limit": {"retry_after_s": 9}}, (429,)),
        ({"garbage": True}, (502,)),
        ({"context_tokens": 1}, (400,)),
    ]
    for directives, statuses in rows:
        name = simulate(**directives)
        for stream in (False, True):
            answer = ask(name, stream=stream)
            assert answer.status in statuses and answer.json()["error"]["message"], (directives, answer)
            if answer.status == 429:
                assert 0 < int(answer.headers["retry-after"]) <= 9


def test_embeddings_have_the_size_that_was_asked_for(simulate):
    name = simulate("llm/v1/embeddings", dimensions=12)
    for asked, size in (({}, 12), ({"dimensions": 7}, 7)):
        answer = weir.call("/v1/embeddings", {"model": name, "input": "a river", **asked})
        assert len(answer.json()["data"][0]["embedding"]) == size, answer


@pytest.mark.parametrize("directives", [
    {"unheard_of": 1}, {"reply_tokens": 0}, {"reply_tokens": "many"}, {"token_ms": 10**9}, {"fail": {"status": 200}},
    {"fail": 3}, {"jitter_percent": 101}, {"reply": ""},
])
def test_directives_that_make_no_sense_are_refused(directives):
    model = {"name": "m", "provider": "simulator", "task": "llm/v1/chat", "simulator_config": directives}
    body = {"name": weir.fresh("bad"), "config": {"served_entities": [{"name": "a", "external_model": model}]}}
    answer = weir.manage("POST", weir.ENDPOINTS, body)
    assert (answer.status, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), answer
