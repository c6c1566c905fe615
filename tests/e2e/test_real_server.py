"""openai (Python) through Weir to llama-cpp-python: a server that nobody here wrote. Runs with `run.py --real-server`."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

import real_server
import weir

KINDS = ["/v1", "/openai/v1", "/serving-endpoints", "azure"]
MESSAGES = [{"role": "user", "content": "the river"}]


@pytest.fixture(scope="module")
def real(request) -> Iterator[dict[str, str]]:
    if not request.config.getoption("--real-server"):
        pytest.skip("without --real-server")
    real_server.prepare()
    with real_server.Server() as server:
        names = {"chat": weir.fresh("real"), "embed": weir.fresh("real-embed")}
        weir.create_endpoint(names["chat"], [weir.external_model(server.base, real_server.MODEL)])
        weir.create_endpoint(names["embed"], [weir.external_model(server.base, real_server.MODEL, "llm/v1/embeddings")])
        yield names
        for name in names.values():
            weir.delete_endpoint(name)


def client(kind: str) -> openai.OpenAI:
    options = {"api_key": weir.KEY, "max_retries": 0, "timeout": 60}
    if kind == "azure":
        return openai.AzureOpenAI(azure_endpoint=weir.URL, api_version=weir.AZURE_VERSION, **options)
    return openai.OpenAI(base_url=weir.URL + kind, **options)


def readable(text: str) -> str:
    """The ASCII part. The model's bytes are random, and the server's streams lose characters of several bytes."""
    return "".join(c for c in text if c.isascii())


@pytest.mark.parametrize("kind", KINDS)
class TestRealServer:
    def test_chat_and_its_stream(self, kind, real):
        c = client(kind)
        members = {"model": real["chat"], "messages": MESSAGES, "max_tokens": 12, "temperature": 0, "seed": 1}
        plain = c.chat.completions.create(**members)
        assert plain.model == real_server.MODEL and plain.usage.completion_tokens > 0
        assert plain.choices[0].finish_reason == "length"
        chunks = list(c.chat.completions.create(**members, stream=True))
        streamed = "".join(ch.choices[0].delta.content or "" for ch in chunks if ch.choices)
        assert readable(streamed) == readable(plain.choices[0].message.content)
        assert [ch.choices[0].finish_reason for ch in chunks if ch.choices][-1] == "length"

    def test_embeddings(self, kind, real):
        answer = client(kind).embeddings.create(model=real["embed"], input=["the river", "a stone"])
        assert len(answer.data) == 2 and len(answer.data[0].embedding) == real_server.WIDTH
        assert answer.usage.prompt_tokens > 0


def test_usage_is_recorded(real):
    before = (weir.usage_of(real["chat"]) or {"requests": 0})["requests"]
    answer = client("/v1").chat.completions.create(model=real["chat"], messages=MESSAGES, max_tokens=5, temperature=0)
    assert answer.usage.completion_tokens > 0
    assert weir.usage_soon(real["chat"], before + 1)["output_tokens"] >= answer.usage.completion_tokens
