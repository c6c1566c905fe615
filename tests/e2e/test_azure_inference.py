"""azure-ai-inference (Python), unpatched, on `/models`: its strict stream reader, both auth headers, its errors."""

from __future__ import annotations

import json

import pytest
from azure.ai.inference import ChatCompletionsClient, EmbeddingsClient
from azure.ai.inference.models import (ChatCompletionsToolDefinition, FunctionDefinition, SystemMessage, UserMessage)
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError, ResourceNotFoundError

import weir


def chat(key: str = weir.KEY, **options) -> ChatCompletionsClient:
    return ChatCompletionsClient(f"{weir.URL}/models", AzureKeyCredential(key), retry_total=0, **options)


def embed() -> EmbeddingsClient:
    return EmbeddingsClient(f"{weir.URL}/models", AzureKeyCredential(weir.KEY), retry_total=0)


def say(model: str, text: str = "Name three rivers.", client: ChatCompletionsClient | None = None, **members):
    messages = [SystemMessage("Be brief."), UserMessage(text)]
    return (client or chat()).complete(messages=messages, model=model, **members)


def text_of(stream) -> str:
    return "".join(ch.choices[0].delta.content or "" for ch in stream if ch.choices)


def test_the_simulator_answers_and_streams_the_same():
    plain = say("demo-chat")
    assert plain.choices[0].finish_reason == "stop" and plain.usage.completion_tokens > 0
    assert plain.created.year >= 2024, "`created` is a number of seconds"
    assert text_of(say("demo-chat", stream=True)) == plain.choices[0].message.content


def test_an_upstream_answers_and_streams(deployed, endpoint):
    for name in (deployed.name, endpoint.name):
        answer = say(name, "one two")
        assert answer.choices[0].message.content == "echo: one two"
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (4, 3)
        assert text_of(say(name, "one two", stream=True)) == "echo: one two"


def test_tools(endpoint):
    tool = ChatCompletionsToolDefinition(function=FunctionDefinition(name="weather", parameters={"type": "object"}))
    for name in ("demo-chat", endpoint.name):
        call = say(name, tools=[tool], tool_choice="required").choices[0].message.tool_calls[0]
        assert call.function.name == "weather" and isinstance(json.loads(call.function.arguments), dict)


def test_embeddings(deployed_embedder):
    simulated = embed().embed(input=["a river", "a weir"], model="demo-embed")
    assert len(simulated.data) == 2 and isinstance(simulated.data[0].embedding[0], float)
    answer = embed().embed(input=["a b", "c"], model=deployed_embedder.name, dimensions=4)
    assert [len(item.embedding) for item in answer.data] == [4, 4] and answer.usage.prompt_tokens == 3
    packed = embed().embed(input=["a b"], model=deployed_embedder.name, encoding_format="base64")
    assert isinstance(packed.data[0].embedding, str)


def test_a_wrong_key():
    with pytest.raises(ClientAuthenticationError) as caught:
        say("demo-chat", client=chat(key="wrong"))
    assert caught.value.status_code == 401
    assert "retry-after" not in caught.value.response.headers


def test_an_unknown_deployment():
    with pytest.raises(ResourceNotFoundError) as caught:
        say("no-such-deployment")
    assert caught.value.error.code == "DeploymentNotFound"


def test_no_model_named():
    with pytest.raises(HttpResponseError) as caught:
        chat().complete(messages=[UserMessage("hi")])
    assert caught.value.status_code == 400 and caught.value.error.code == "no_model_name"


def test_the_header_that_names_a_deployment():
    answer = chat().complete(messages=[UserMessage("hi")], headers={"x-ms-model-mesh-model-name": "demo-chat"})
    assert answer.choices[0].message.content


def test_a_busy_upstream_says_when_to_come_back(endpoint):
    endpoint.script({"status": 429, "headers": {"retry-after": "7"}})
    with pytest.raises(HttpResponseError) as caught:
        say(endpoint.name)
    assert caught.value.status_code == 429 and 0 < int(caught.value.response.headers["retry-after"]) <= 7


def test_extra_members_follow_their_header(endpoint):
    rows = [
        ({}, 400, None), ({"extra-parameters": "error"}, 400, None), ({"extra-parameters": "ignore"}, 400, None),
        ({"extra-parameters": "drop"}, 200, False), ({"extra-parameters": "pass-through"}, 200, True),
    ]
    for headers, status, kept in rows:
        body = weir.ask(model=endpoint.name, safe_prompt=True)
        answer = weir.call(weir.SURFACES[0].chat(endpoint.name), body, **headers)
        assert answer.status == status, (headers, answer)
        if status == 200:
            assert ("safe_prompt" in json.loads(endpoint.requests()[-1]["body"])) is kept, headers


def test_a_stream_that_breaks_is_an_error(endpoint):
    """The client ignores error events and takes any regular end for the end: a broken connection shows, or a line
    that its reader refuses."""
    for step in ({"cut_after": 2}, {"cut_after": 2, "cut": "close"}, {"cut_after": 2, "cut": "clean"},
                 {"error_after": 2}):
        endpoint.script({"words": 6, **step})
        with pytest.raises((AzureError, ValueError)):
            text_of(say(endpoint.name, stream=True))
