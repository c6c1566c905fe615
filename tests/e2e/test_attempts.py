"""Several upstreams behind one name, as the unpatched OpenAI client meets them over real connections.

Decides what a caller sees when one of two upstreams fails before or after its first content, how the traffic is split,
that a session stays where it is, and that the administrator is told how an answer came about. Every other cell of the
fault matrix is a native test (`docs/faults.md`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import openai
import pytest

import weir
import wire


class Pair:
    """A deployment over two scripted models; `models` in the order of the catalog entry."""

    def __init__(self, upstream, name: str) -> None:
        self.upstream, self.name, self.models = upstream, name, [f"{name}-a", f"{name}-b"]
        self.backends = [weir.external_model(upstream.base, model) for model in self.models]

    def deploy(self, backends: list[dict] | None = None, **members) -> Pair:
        rows = [{"external_model": m} for m in self.backends] if backends is None else backends
        entry = {"format": "OpenAI", "publisher": "OpenAI", "task": "llm/v1/chat", "versions": ["1"],
                 "default_version": "1", "registry_id": f"azureml://registries/weir/models/{self.name}",
                 "backends": rows, **members}
        weir.done(weir.manage("PUT", f"{weir.CATALOG}/{self.name}", entry))
        weir.put_deployment(self.name, self.name)
        return self

    def script(self, which: int, *steps) -> None:
        self.upstream.script(self.models[which], *steps)

    def calls(self) -> list[int]:
        return [len(self.upstream.requests(model)) for model in self.models]


@pytest.fixture
def pair(upstream) -> Iterator[Pair]:
    pair = Pair(upstream, weir.fresh("pair"))
    yield pair
    weir.manage("DELETE", weir.arm(f"/deployments/{pair.name}"))
    weir.manage("DELETE", f"{weir.CATALOG}/{pair.name}")


def client(**options) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{weir.URL}/v1", api_key=weir.KEY, max_retries=0, timeout=20, **options)


def streamed(name: str) -> str:
    stream = client().chat.completions.create(model=name, messages=[{"role": "user", "content": "one"}], stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def test_an_upstream_that_fails_before_its_first_content_gives_way(pair):
    pair.deploy(routing={"deadlines": {"first_token_ms": 6000}})
    pair.script(1, {"text": "the other one"})
    faults = [{"status": 503, "body": {"error": {"message": "busy"}}}, {"close": True}, {"cut_after": 1},
              {"cut_after": 1, "cut": "clean"}, {"error_after": 1}, {"garbage_after": 1}]
    for fault in faults:
        pair.script(0, fault)
        assert streamed(pair.name) == "the other one", fault
    plain = client().chat.completions.create(model=pair.name, messages=[{"role": "user", "content": "one"}])
    assert plain.choices[0].message.content == "the other one"


def test_an_upstream_that_says_nothing_is_given_up_in_time_for_the_other(pair):
    pair.deploy(routing={"deadlines": {"first_token_ms": 4000}})
    pair.script(0, {"never": True})
    began = time.monotonic()
    assert streamed(pair.name) == "echo: one"
    assert time.monotonic() - began < 4, "half of the time is the other one's"


def test_after_the_first_content_there_is_no_other_attempt(pair):
    pair.deploy()
    for fault in ({"words": 5, "cut_after": 3}, {"words": 5, "error_after": 3}, {"words": 5, "garbage_after": 3}):
        pair.script(0, fault)
        with pytest.raises(Exception) as caught:
            streamed(pair.name)
        assert not isinstance(caught.value, AssertionError)
    assert pair.calls() == [3, 0]


def test_with_nobody_else_a_stream_that_never_began_is_an_honest_status(endpoint):
    endpoint.script({"error_after": 1})
    with pytest.raises(openai.APIStatusError) as caught:
        streamed(endpoint.name)
    assert caught.value.status_code >= 500


def test_whoever_asks_for_time_gets_it_and_the_callers_fault_is_the_callers(pair):
    pair.deploy()
    pair.script(0, {"status": 429, "headers": {"retry-after": "30"}, "body": {"error": {"message": "slow down"}}})
    for _ in range(4):
        assert streamed(pair.name) == "echo: one"
    assert pair.calls() == [1, 4]
    pair.script(1, {"status": 400, "body": {"error": {"message": "no such thing"}}})
    with pytest.raises(openai.BadRequestError):
        streamed(pair.name)


def test_shares_are_as_configured(pair):
    models = pair.backends
    pair.deploy([{"external_model": models[0], "weight": 80}, {"external_model": models[1], "weight": 20}])
    for _ in range(60):
        assert weir.call("/v1/chat/completions", weir.ask("one", pair.name)).status == 200
    first, second = pair.calls()
    assert first + second == 60 and 35 <= first <= 58, (first, second)


def test_a_session_stays_with_one_upstream(pair):
    pair.deploy([{"external_model": m, "priority": 1} for m in pair.backends], routing={"affinity": True})
    # Until the isolate has the new deployment it does not read the header.
    weir.call("/v1/chat/completions", weir.ask("one", pair.name))
    before = pair.calls()
    for _ in range(12):
        answer = weir.call("/v1/chat/completions", weir.ask("one", pair.name), **{"x-weir-session": "s1"})
        assert answer.status == 200
    after = pair.calls()
    assert 0 in (after[0] - before[0], after[1] - before[1]), (before, after)
    for _ in range(12):
        assert weir.call("/v1/chat/completions", weir.ask("one", pair.name, prompt_cache_key="k1")).status == 200
    last = pair.calls()
    assert 0 in (last[0] - after[0], last[1] - after[1]), (after, last)


def test_a_slow_one_is_overtaken_by_a_second_call_and_given_up(pair):
    backends = [{"external_model": model, "priority": at} for at, model in enumerate(pair.backends)]
    pair.deploy(backends, routing={"hedge": {"after_ms": 300, "max_percent": 100}})
    pair.script(0, {"delay": 8})
    streamed(pair.name)
    began = time.monotonic()
    assert streamed(pair.name) == "echo: one"
    assert time.monotonic() - began < 4
    assert pair.calls() == [2, 2]
    weir.until(lambda: [row["closed_by_caller"] for row in pair.upstream.requests(pair.models[0])],
               lambda left: all(left), 5, "the loser is cancelled")
    pair.script(0, {"text": "quick"})
    assert streamed(pair.name) == "quick" and pair.calls() == [3, 2]
    pair.script(0, {"delay": 1, "status": 503, "body": {"error": {"message": "busy"}}})
    pair.script(1, {"delay": 2, "text": "late"})
    assert streamed(pair.name) == "late", "whoever fails leaves it to the other"


def explained(name: str, **members) -> wire.Answer:
    return weir.call("/v1/chat/completions", weir.ask("one", name, **members), key=weir.ADMIN, **{"x-weir-explain": "1"})


def test_the_administrator_is_told_how_an_answer_came_about(pair):
    pair.deploy()
    pair.script(0, {"status": 500, "body": {"error": {"message": "no"}}})
    for members in ({}, {"stream": True}):
        answer = explained(pair.name, **members)
        assert answer.status == 200
        told = json.loads(answer.headers["x-weir-explain"])
        assert told["failed"][0]["outcome"] == "status 500" and told["attempts_made"] == 2, told
        assert [row["why"] for row in told["order"]][0] in ("load", "fallback"), told
        assert {row["meter"] for row in told["limits"]} == {"requests", "tokens"}, told
        assert "127.0.0.1" not in answer.headers["x-weir-explain"] and "sk-upstream" not in str(told)
        kept = weir.until(lambda: weir.manage("GET", f"/api/weir/v1/requests/{answer.headers['x-request-id']}"),
                          lambda row: row.status == 200, 3, "the exchange is kept").json()
        assert kept["explanation"]["failed"][0]["outcome"] == "status 500" and kept["attempts"] == 2, kept
    mine = weir.call("/v1/chat/completions", weir.ask("one", pair.name), **{"x-weir-explain": "1"})
    assert mine.status == 200 and "x-weir-explain" not in mine.headers
    assert weir.manage("GET", "/api/weir/v1/requests/00000000000000000000000000000000").status == 404
