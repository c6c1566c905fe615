"""Providers of other dialects behind Weir, asked by clients that know nothing of them: openai, azure-ai-inference, mlflow.

Decides that users of these clients get answers, streams, tools, counts and errors as from any other model. The providers
are emulated (`dialects.py`) and refuse what the real ones refuse.
"""

from __future__ import annotations

import json

import openai
import pytest
from azure.ai.inference import ChatCompletionsClient
from azure.ai.inference.models import UserMessage
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError

import weir

KEY = "sk-upstream"
#: Provider, config and the counts of `say hello there`: input, output, cached input.
CONFIGS = {
    "anthropic": (lambda url: {"anthropic_config": {"anthropic_api_key_plaintext": KEY, "anthropic_api_base": url}}, (16, 4, 5)),
    "cohere": (lambda url: {"cohere_config": {"cohere_api_key_plaintext": KEY, "cohere_api_base": url}}, (11, 3, 4)),
    "palm": (lambda url: {"palm_config": {"palm_api_key_plaintext": KEY, "palm_api_base": url}}, (11, 3, 4)),
}
TOOL = {"type": "function", "function": {"name": "weather", "description": "Get weather", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}


def model(providers, provider: str, task: str = "llm/v1/chat") -> dict:
    return {"name": "model-x", "provider": provider, "task": task, **CONFIGS[provider][0](providers.url)}


@pytest.fixture(scope="module", params=list(CONFIGS))
def served(request, providers):
    name = weir.fresh(request.param)
    weir.create_endpoint(name, [model(providers, request.param)])
    yield request.param, name
    weir.delete_endpoint(name)


@pytest.fixture(scope="module", params=["cohere", "palm"])
def embedder(request, providers):
    name = weir.fresh(request.param)
    weir.create_endpoint(name, [model(providers, request.param, "llm/v1/embeddings")])
    yield name
    weir.delete_endpoint(name)


def client() -> openai.OpenAI:
    return openai.OpenAI(base_url=weir.URL + "/v1", api_key=weir.KEY, max_retries=0, timeout=30)


def ask(name: str, text: str, **members):
    return client().chat.completions.create(model=name, messages=[{"role": "user", "content": text}], **members)


def test_an_answer_with_its_counts(served):
    provider, name = served
    answer = ask(name, "say hello there", temperature=0.5, max_tokens=64)
    choice = answer.choices[0]
    assert (choice.message.content, choice.finish_reason) == ("hello there", "stop")
    used = answer.usage
    assert (used.prompt_tokens, used.completion_tokens, used.prompt_tokens_details.cached_tokens) == CONFIGS[provider][1]
    assert answer.created > 1_700_000_000 and answer.object == "chat.completion"
    assert weir.usage_soon(name, 1)["input_tokens"] >= used.prompt_tokens


def test_a_stream_says_the_same(served):
    provider, name = served
    chunks = list(ask(name, "say hello there", stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "hello there"
    assert chunks[0].choices[0].delta.role == "assistant" and len({c.id for c in chunks}) == 1
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == ["stop"]
    assert not chunks[-1].choices and chunks[-1].usage.prompt_tokens == CONFIGS[provider][1][0]
    assert all(c.usage is None for c in ask(name, "say hello there", stream=True)), "usage was not asked for"


def test_a_tool_is_called_and_its_result_understood(served):
    _, name = served
    for stream in (False, True):
        if stream:
            with client().chat.completions.stream(model=name, tools=[TOOL], messages=[
                    {"role": "user", "content": 'call {"city": "Faro"}'}]) as events:
                message = events.get_final_completion().choices[0].message
        else:
            answer = ask(name, 'call {"city": "Faro"}', tools=[TOOL])
            message = answer.choices[0].message
            assert answer.choices[0].finish_reason == "tool_calls"
        call = message.tool_calls[0]
        assert call.function.name == "weather" and json.loads(call.function.arguments) == {"city": "Faro"}
        back = message.model_dump(exclude_none=True, exclude={"parsed"})
        for made in back["tool_calls"]:
            made["function"].pop("parsed_arguments", None)
            made.pop("index", None)
        history = [{"role": "user", "content": 'call {"city": "Faro"}'}, back,
                   {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}]
        told = client().chat.completions.create(model=name, tools=[TOOL], messages=history)
        assert "21 degrees" in told.choices[0].message.content


def test_reasoning_is_not_content(served):
    _, name = served
    answer = ask(name, "think it is seven", reasoning_effort="low")
    assert answer.choices[0].message.content == "it is seven" and answer.choices[0].message.reasoning_content == "Hm."
    chunks = list(ask(name, "think it is seven", reasoning_effort="low", stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == "it is seven"


def test_json_by_a_schema_and_a_picture(served):
    _, name = served
    schema = {"type": "object", "properties": {"b": {"type": "string"}}, "required": ["b"]}
    answer = ask(name, "say ok", response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": schema}})
    assert answer.choices[0].message.content == "ok"
    content = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}, {"type": "text", "text": "say seen"}]
    assert ask(name, content).choices[0].message.content == "seen"
    assert ask(name, "short").choices[0].finish_reason == "length"


def test_what_a_provider_has_no_equivalent_for_is_told(served):
    _, name = served
    raw = client().chat.completions.with_raw_response.create(
        model=name, messages=[{"role": "user", "content": "say hi"}], logit_bias={"5": 1}, user="u1", top_p=1.0)
    assert "logit_bias" in raw.headers["x-weir-dropped"] and raw.parse().choices[0].message.content == "hi"
    with pytest.raises(openai.BadRequestError):
        ask(name, "hi", n=99)


@pytest.mark.parametrize("status, seen", [(400, 400), (401, 502), (404, 404), (429, 429), (500, 500), (503, 503)])
def test_errors_have_the_callers_form_and_no_names(served, status, seen):
    _, name = served
    for stream in (False, True):
        with pytest.raises(openai.APIStatusError) as raised:
            list(ask(name, f"fail {status}", stream=True)) if stream else ask(name, f"fail {status}")
        assert raised.value.status_code == seen
        text = raised.value.response.text
        assert "internal.example" not in text and "projects/" not in text and KEY not in text
        assert json.loads(text)["error"]["message"]


@pytest.mark.parametrize("fault", ["break 1 of them", "cut 1 of them", "break 0", "cut 0"])
def test_a_broken_stream_is_never_whole(served, fault):
    _, name = served
    with pytest.raises((openai.APIError, openai.APIConnectionError)):
        list(ask(name, fault, stream=True))


def test_a_text_completion_is_a_chat_of_one_turn(served):
    _, name = served
    answer = client().completions.create(model=name, prompt="say upon a time")
    assert (answer.choices[0].text, answer.object) == ("upon a time", "text_completion")
    chunks = list(client().completions.create(model=name, prompt="say upon a time", stream=True))
    assert "".join(c.choices[0].text for c in chunks if c.choices) == "upon a time"


@pytest.mark.parametrize("form", ["float", "base64"])
def test_embeddings(embedder, form):
    answer = client().embeddings.create(model=embedder, input=["one river", "two rivers"], encoding_format=form)
    vectors = [item.embedding for item in answer.data]
    if form == "float":
        assert [vector[:2] for vector in vectors] == [[0.5, -0.25]] * 2
    assert len(vectors) == 2 and answer.usage.prompt_tokens > 0
    # The client asks for base64 and decodes it where nothing is said.
    assert client().embeddings.create(model=embedder, input="a").data[0].embedding[:2] == [0.5, -0.25]


def test_many_texts_at_once(embedder, providers):
    """More than one call of the provider takes, and it refuses more: several calls, one answer."""
    gone_by = len(providers.requests())
    answer = client().embeddings.create(model=embedder, input=[f"text {at}" for at in range(250)])
    assert [item.index for item in answer.data] == list(range(250))
    assert len(providers.requests()) - gone_by == 3 and answer.usage.prompt_tokens >= 250


def test_azures_client_on_models(providers):
    name = weir.fresh("az")
    weir.put_catalog(name, [model(providers, "anthropic")])
    weir.put_deployment(name, name)
    azure = ChatCompletionsClient(f"{weir.URL}/models", AzureKeyCredential(weir.KEY), retry_total=0)
    answer = azure.complete(model=name, messages=[UserMessage("say hello there")], temperature=0.5)
    assert answer.choices[0].message.content == "hello there" and answer.usage.prompt_tokens == 16
    stream = azure.complete(model=name, messages=[UserMessage("say hello there")], stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in stream if c.choices) == "hello there"
    # This surface refuses what the model does not know; dropping must be asked for.
    with pytest.raises(HttpResponseError) as raised:
        azure.complete(model=name, messages=[UserMessage("hi")], seed=7)
    assert raised.value.status_code == 422
    weir.manage("DELETE", weir.arm(f"/deployments/{name}"))
    weir.manage("DELETE", f"{weir.CATALOG}/{name}")


def test_mlflows_client(served, monkeypatch, tmp_path):
    from mlflow.deployments import get_deploy_client

    monkeypatch.setenv("DATABRICKS_HOST", weir.URL)
    monkeypatch.setenv("DATABRICKS_TOKEN", weir.ADMIN)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))
    _, name = served
    asked = {"messages": [{"role": "user", "content": "say one two"}]}
    mlflow = get_deploy_client("databricks")
    assert mlflow.predict(endpoint=name, inputs=asked)["choices"][0]["message"]["content"] == "one two"
    chunks = list(mlflow.predict_stream(endpoint=name, inputs=asked))
    assert "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"]) == "one two"
