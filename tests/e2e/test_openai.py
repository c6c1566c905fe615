"""openai (Python), unpatched: `OpenAI` on three base addresses and `AzureOpenAI`, on the simulator and on an upstream.

Decides that users of these clients get answers, streams, embeddings, tools and the errors they know.
"""

from __future__ import annotations

import json

import openai
import pytest

import weir

PLAIN = ["/v1", "/openai/v1", "/serving-endpoints"]
KINDS = [*PLAIN, "azure"]


def client(kind: str, key: str = weir.KEY, **options) -> openai.OpenAI:
    options = {"max_retries": 0, "timeout": 30, **options}
    if kind == "azure":
        return openai.AzureOpenAI(azure_endpoint=weir.URL, api_key=key, api_version=weir.AZURE_VERSION, **options)
    return openai.OpenAI(base_url=weir.URL + kind, api_key=key, **options)


def say(c: openai.OpenAI, model: str, text: str = "Name three rivers, please.", **members):
    return c.chat.completions.create(model=model, messages=[{"role": "user", "content": text}], **members)


@pytest.mark.parametrize("kind", KINDS)
class TestSimulator:
    def test_chat_answers_with_counts(self, kind):
        answer = say(client(kind), "demo-chat")
        assert answer.choices[0].message.content and answer.choices[0].finish_reason == "stop"
        assert "simulator" in answer.model and "simulator" in answer.system_fingerprint
        used = answer.usage
        assert used.prompt_tokens > 0 and used.completion_tokens > 0
        assert used.total_tokens == used.prompt_tokens + used.completion_tokens

    def test_a_stream_says_the_same_as_the_plain_answer(self, kind):
        c = client(kind)
        plain = say(c, "demo-chat")
        chunks = list(say(c, "demo-chat", stream=True))
        text = "".join(ch.choices[0].delta.content or "" for ch in chunks if ch.choices)
        assert text == plain.choices[0].message.content
        assert [ch.choices[0].finish_reason for ch in chunks if ch.choices][-1] == "stop"
        assert all(ch.usage is None for ch in chunks), "usage was not asked for"

    def test_a_stream_reports_usage_when_asked(self, kind):
        c = client(kind)
        plain = say(c, "demo-chat")
        chunks = list(say(c, "demo-chat", stream=True, stream_options={"include_usage": True}))
        assert chunks[-1].choices == [] and chunks[-1].usage.total_tokens == plain.usage.total_tokens

    def test_max_tokens_cuts(self, kind):
        answer = say(client(kind), "demo-chat", max_tokens=3)
        assert answer.choices[0].finish_reason == "length" and answer.usage.completion_tokens == 3

    def test_n_gives_so_many_choices(self, kind):
        assert [ch.index for ch in say(client(kind), "demo-chat", n=3).choices] == [0, 1, 2]

    def test_tools_are_called(self, kind):
        tool = {"type": "function", "function": {"name": "weather", "parameters": {
            "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}
        answer = say(client(kind), "demo-chat", tools=[tool], tool_choice="required")
        call = answer.choices[0].message.tool_calls[0]
        assert answer.choices[0].finish_reason == "tool_calls" and call.function.name == "weather"
        assert isinstance(json.loads(call.function.arguments)["city"], str)

    def test_json_is_json(self, kind):
        answer = say(client(kind), "demo-chat", response_format={"type": "json_object"})
        assert isinstance(json.loads(answer.choices[0].message.content), dict)

    def test_embeddings_in_the_clients_own_default_format(self, kind):
        c = client(kind)
        answer = c.embeddings.create(model="demo-embed", input=["a river", "a weir", "a river"])
        vectors = [item.embedding for item in answer.data]
        assert [item.index for item in answer.data] == [0, 1, 2]
        assert vectors[0] == vectors[2] != vectors[1] and all(isinstance(x, float) for x in vectors[0])
        assert answer.usage.prompt_tokens > 0
        floats = c.embeddings.create(model="demo-embed", input="a river", encoding_format="float").data[0].embedding
        assert floats == pytest.approx(vectors[0], abs=1e-6)

    def test_names_are_found_without_regard_to_case(self, kind):
        assert say(client(kind), "Demo-CHAT").choices[0].message.content


@pytest.mark.parametrize("kind", KINDS)
class TestUpstream:
    def test_chat(self, kind, endpoint):
        answer = say(client(kind), endpoint.name, "one two three")
        assert answer.choices[0].message.content == "echo: one two three"
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (3, 4)
        asked = endpoint.requests()[-1]
        assert asked["headers"]["authorization"] == "Bearer sk-upstream", "the upstream's key, not the caller's"

    def test_stream(self, kind, endpoint):
        chunks = list(say(client(kind), endpoint.name, "one two three", stream=True))
        assert "".join(ch.choices[0].delta.content or "" for ch in chunks) == "echo: one two three"
        assert json.loads(endpoint.requests()[-1]["body"])["stream_options"]["include_usage"] is True

    def test_tools_in_a_stream(self, kind, endpoint):
        tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
        chunks = list(say(client(kind), endpoint.name, tools=[tool], stream=True))
        calls = [call for ch in chunks for call in (ch.choices[0].delta.tool_calls or [])]
        assert calls[0].function.name == "weather"
        assert json.loads("".join(c.function.arguments or "" for c in calls)) == {"city": "Oslo"}

    def test_embeddings(self, kind, embedder):
        answer = client(kind).embeddings.create(model=embedder.name, input=["a b", "c"], dimensions=4)
        assert len(answer.data) == 2 and len(answer.data[0].embedding) == 4 and answer.usage.prompt_tokens == 3

    def test_an_account_deployment(self, kind, deployed):
        assert say(client(kind), deployed.name, "hi").choices[0].message.content == "echo: hi"
        chunks = list(say(client(kind), deployed.name, "hi", stream=True))
        assert "".join(ch.choices[0].delta.content or "" for ch in chunks if ch.choices) == "echo: hi"


@pytest.mark.parametrize("kind", KINDS)
class TestErrors:
    def test_a_wrong_key(self, kind):
        with pytest.raises(openai.AuthenticationError) as caught:
            say(client(kind, key="wrong"), "demo-chat")
        assert caught.value.status_code == 401 and "wrong" not in str(caught.value.body)
        assert caught.value.response.headers["x-request-id"]

    def test_an_unknown_deployment(self, kind):
        with pytest.raises(openai.NotFoundError) as caught:
            say(client(kind), "no-such-deployment")
        expected = {"azure": "DeploymentNotFound", "/openai/v1": "DeploymentNotFound", "/v1": "model_not_found"}
        if kind in expected:
            assert caught.value.code == expected[kind]

    def test_the_upstreams_400_is_the_callers(self, kind, endpoint):
        endpoint.script({"status": 400, "body": {"error": {"message": "temperature is too hot",
                                                           "type": "invalid_request_error", "param": "temperature"}}})
        with pytest.raises(openai.BadRequestError) as caught:
            say(client(kind), endpoint.name, temperature=1.9)
        assert "too hot" in str(caught.value)
        assert len(endpoint.requests()) == 1, "a caller's fault is not retried"

    def test_a_busy_upstream_says_when_to_come_back(self, kind, endpoint):
        endpoint.script({"status": 429, "headers": {"retry-after": "7"}})
        with pytest.raises(openai.RateLimitError) as caught:
            say(client(kind), endpoint.name)
        assert 0 < int(caught.value.response.headers["retry-after"]) <= 7

    def test_an_upstream_that_refuses_weirs_key_is_not_the_callers_fault(self, kind, endpoint):
        endpoint.script({"status": 401, "body": {"error": {"message": "Incorrect API key provided: sk-upstream"}}})
        with pytest.raises(openai.InternalServerError) as caught:
            say(client(kind), endpoint.name)
        assert caught.value.status_code == 502 and "sk-upstream" not in caught.value.response.text

    def test_the_client_retries_what_may_be_retried(self, kind, endpoint):
        endpoint.script(*[{"status": 503}] * 3, {})
        answer = say(client(kind, max_retries=3), endpoint.name, "still here")
        assert answer.choices[0].message.content == "echo: still here"


@pytest.mark.parametrize("kind", KINDS)
def test_an_asynchronous_client(kind):
    import asyncio

    async def talk() -> list[str]:
        options = {"api_key": weir.KEY, "max_retries": 0}
        c = (openai.AsyncAzureOpenAI(azure_endpoint=weir.URL, api_version=weir.AZURE_VERSION, **options)
             if kind == "azure" else openai.AsyncOpenAI(base_url=weir.URL + kind, **options))
        async with c:
            answers = await asyncio.gather(*(c.chat.completions.create(
                model="demo-chat", messages=[{"role": "user", "content": f"number {i}"}]) for i in range(8)))
        return [answer.choices[0].message.content for answer in answers]

    assert all(asyncio.run(talk()))
