"""Mistral, AI21, Databricks and Workers AI as providers, and servers that only claim to be OpenAI-compatible."""

from __future__ import annotations

import json

import openai
import pytest

import near
import weir

TOOL = {"type": "function", "function": {"name": "weather", "description": "Get it", "strict": True, "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}}}


def model_of(provider, model: str, task: str = "llm/v1/chat"):
    url, key = provider.url, near.KEY
    name, member, config = {
        near.Mistral: ("mistral", "mistral_config", {"mistral_api_base": url, "mistral_api_key_plaintext": key}),
        near.Ai21: ("ai21labs", "ai21labs_config", {"ai21labs_api_base": f"{url}/studio", "ai21labs_api_key_plaintext": key}),
        near.Databricks: ("databricks-model-serving", "databricks_model_serving_config",
                          {"databricks_workspace_url": url, "databricks_api_token_plaintext": key}),
        near.WorkersAi: ("workers-ai", "workers_ai_config",
                         {"account_id": "a" * 32, "workers_ai_api_base": f"{url}/ai", "api_token_plaintext": key}),
        near.Careless: ("custom", "custom_provider_config",
                        {"custom_provider_url": f"{url}/v1", "bearer_token_auth": {"token_plaintext": key}}),
    }[type(provider)]
    if model.startswith("@native"):
        model, config["workers_ai_api_base"] = model.replace("@native", "@cf"), f"{url}/ai/run"
    return {"name": model, "provider": name, "task": task, member: config}


KINDS = {"mistral": (near.Mistral, "mistral-x"), "ai21": (near.Ai21, "jamba-x"), "databricks": (near.Databricks, "claude-x"),
         "workers-ai": (near.WorkersAi, "@cf/meta/x"), "workers-ai-native": (near.WorkersAi, "@native/meta/x"),
         "careless": (near.Careless, "local-x")}


class Served:
    def __init__(self, kind: str) -> None:
        make, model = KINDS[kind]
        self.kind, self.provider = kind, make()
        self.model = model.replace("@native", "@cf")
        self.name = weir.fresh(f"near-{kind}")
        weir.create_endpoint(self.name, [model_of(self.provider, model)])

    def close(self) -> None:
        weir.delete_endpoint(self.name)
        self.provider.close()


@pytest.fixture(scope="module", params=KINDS)
def served(request):
    served = Served(request.param)
    yield served
    served.close()


@pytest.fixture(autouse=True)
def plain(request):
    if "served" in request.fixturenames:
        served = request.getfixturevalue("served")
        served.provider.script(served.model, {})


def client() -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{weir.URL}/v1", api_key=weir.KEY, max_retries=0, timeout=20)


def said(chunks) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


class TestEach:
    def test_chat(self, served):
        answer = client().chat.completions.create(
            model=served.name, max_tokens=50, temperature=0.5, user="u", seed=3,
            messages=[{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "one two é"}])
        choice = answer.choices[0]
        assert choice.message.content == "echo: one two é" and choice.finish_reason == "stop" and choice.index == 0
        assert choice.message.role == "assistant" and answer.id and answer.created and answer.model
        assert answer.object == "chat.completion"

    def test_a_stream(self, served):
        chunks = list(client().chat.completions.create(
            model=served.name, stream=True, stream_options={"include_usage": True},
            messages=[{"role": "user", "content": "one two é"}]))
        assert said(chunks) == "echo: one two é"
        choices = [c.choices[0] for c in chunks if c.choices]
        assert choices[0].delta.role == "assistant"
        assert [c.finish_reason for c in choices if c.finish_reason] == ["stop"]
        assert all(c.id and c.created and c.object == "chat.completion.chunk" for c in chunks)
        if served.kind != "careless":
            assert chunks[-1].usage.total_tokens > 2 and chunks[-1].choices == []

    def test_a_tools_loop(self, served):
        messages = [{"role": "user", "content": "Weather?"}]
        answer = client().chat.completions.create(model=served.name, messages=messages, tools=[TOOL])
        call = answer.choices[0].message.tool_calls[0]
        assert call.id and call.type == "function" and json.loads(call.function.arguments) == {"city": "Oslo"}
        long = "call_abcdefghijklmnopqrstuvwx"
        turn = {"role": "assistant", "content": None, "tool_calls": [{"id": long, "type": "function", "function": {
            "name": "weather", "arguments": call.function.arguments}}]}
        messages += [turn, {"role": "tool", "tool_call_id": long, "content": "Sunny"}]
        answer = client().chat.completions.create(model=served.name, messages=messages, tools=[TOOL])
        assert answer.choices[0].message.content == "echo: Sunny"

    def test_a_streamed_call(self, served):
        with client().chat.completions.stream(
                model=served.name, messages=[{"role": "user", "content": "Weather?"}], tools=[TOOL]) as stream:
            choice = stream.get_final_completion().choices[0]
        call = choice.message.tool_calls[0]
        assert call.function.name == "weather" and json.loads(call.function.arguments) == {"city": "Oslo"} and call.id
        assert choice.finish_reason in ("tool_calls", "stop")

    @pytest.mark.parametrize("step", [{"error_after": 1}, {"cut_after": 1}, {"end_after": 1}], ids=lambda s: next(iter(s)))
    def test_a_broken_stream_never_looks_whole(self, served, step):
        served.provider.script(served.model, step)
        answer = weir.call("/v1/chat/completions", weir.ask("one two three", served.name, stream=True))
        assert not answer.looks_complete, answer

    def test_an_error_is_told(self, served):
        served.provider.script(served.model, {"fail": 429, "body": {"message": "slow down"}}, {})
        assert client().chat.completions.create(model=served.name, messages=[{"role": "user", "content": "Hi"}])
        served.provider.script(served.model, {"fail": 422, "body": {"detail": [{"loc": ["x"], "msg": "too odd", "type": "t"}]}})
        with pytest.raises(openai.APIStatusError) as raised:
            client().chat.completions.create(model=served.name, messages=[{"role": "user", "content": "Hi"}])
        assert raised.value.status_code in (400, 422)


@pytest.fixture
def fresh():
    made = []

    def make(kind: str) -> Served:
        made.append(Served(kind))
        return made[-1]

    yield make
    for served in made:
        served.close()


def test_mistral_thinks_among_the_content(fresh):
    served = fresh("mistral")
    ask = weir.ask("Hi", served.name, prompt_mode="reasoning")
    message = weir.call("/v1/chat/completions", ask).json()["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == ("echo: Hi", "Hm.")
    deltas = [e["choices"][0]["delta"] for e in weir.call("/v1/chat/completions", {**ask, "stream": True}).events() if e["choices"]]
    assert "".join(d.get("reasoning_content", "") for d in deltas) == "Hm."
    assert "".join(d.get("content") or "" for d in deltas) == "echo: Hi"


def test_databricks_thinks_among_the_content_and_counts_it(fresh):
    served = fresh("databricks")
    answer = weir.call("/v1/chat/completions", weir.ask("Hi", served.name, thinking={"type": "enabled"})).json()
    assert answer["choices"][0]["message"]["reasoning_content"] == "Hm."
    assert answer["usage"]["completion_tokens_details"]["reasoning_tokens"] == 1


def test_dropped_members_are_told(fresh):
    served = fresh("mistral")
    answer = weir.call("/v1/chat/completions", weir.ask("Hi", served.name, user="u", logit_bias={"1": 1}))
    assert set(answer.headers["x-weir-dropped"].split(", ")) == {"user", "logit_bias"}
    strict = weir.call(f"/models/chat/completions?api-version={weir.INFERENCE_VERSION}", weir.ask("Hi", served.name))
    assert strict.status == 200


def test_no_such_model_of_workers_ai(fresh):
    provider = near.WorkersAi()
    name = weir.fresh("nosuch")
    weir.create_endpoint(name, [model_of(provider, "nosuch")])
    answer = weir.call("/v1/chat/completions", weir.ask("Hi", name))
    assert answer.status == 404 and "No such model" in answer.json()["error"]["message"], answer
    weir.delete_endpoint(name)
    provider.close()


@pytest.mark.parametrize("kind", ["mistral", "databricks", "workers-ai", "workers-ai-native"])
def test_embeddings(kind):
    make, model = KINDS[kind]
    provider, name = make(), weir.fresh("embed")
    weir.create_endpoint(name, [model_of(provider, model, "llm/v1/embeddings")])
    answer = client().embeddings.create(model=name, input=["one", "two"])
    assert [row.embedding for row in answer.data] == [pytest.approx(near.vector(text, 4)) for text in ("one", "two")]
    if kind.startswith("workers-ai"):
        texts = [f"text {at}" for at in range(101)]
        answer = client().embeddings.create(model=name, input=texts)
        assert [row.embedding for row in answer.data] == [pytest.approx(near.vector(text, 4)) for text in texts]
    weir.delete_endpoint(name)
    provider.close()


class TestTheEmulations:
    """The vendors' clients, or OpenAI's where the vendor offers no other, on the emulated providers themselves."""

    @pytest.mark.parametrize(("kind", "base"), [("mistral", "/v1"), ("ai21", "/studio/v1"), ("workers-ai", "/ai/v1")])
    def test_openais_client(self, kind, base):
        make, model = KINDS[kind]
        provider = make()
        direct = openai.OpenAI(base_url=f"{provider.url}{base}", api_key=near.KEY, max_retries=0, timeout=20)
        ask = {"model": model, "messages": [{"role": "user", "content": "one two"}]}
        assert direct.chat.completions.create(**ask).choices[0].message.content == "echo: one two"
        assert said(direct.chat.completions.create(**ask, stream=True)) == "echo: one two"
        call = direct.chat.completions.create(**ask, tools=[TOOL]).choices[0].message.tool_calls[0]
        assert json.loads(call.function.arguments) == {"city": "Oslo"}
        with pytest.raises(openai.AuthenticationError):
            direct.with_options(api_key="another").chat.completions.create(**ask)
        provider.close()

    def test_databricks_client(self, monkeypatch, tmp_path):
        from databricks.sdk import WorkspaceClient
        from databricks.sdk.service.serving import ChatMessage, ChatMessageRole

        monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))
        provider = near.Databricks()
        workspace = WorkspaceClient(host=provider.url, token=near.KEY)
        answer = workspace.serving_endpoints.query("claude-x", messages=[ChatMessage(role=ChatMessageRole.USER, content="one two")])
        assert answer.choices[0].message.content == "echo: one two" and answer.usage.total_tokens > 2
        provider.close()


def test_unknown_members_of_a_careless_server_stay(fresh):
    served = fresh("careless")
    answer = weir.call("/v1/chat/completions", weir.ask("Hi", served.name)).json()
    assert answer["timings"] == {"x": 1} and answer["choices"][0]["message"]["reasoning"] == "Hm."
    assert answer["choices"][0]["message"]["reasoning_content"] == "Hm."


class TestOpenAi:
    """Peculiarities of OpenAI itself."""

    @pytest.mark.parametrize(("model", "member"), [("o3-mini", "max_completion_tokens"), ("gpt-5", "max_completion_tokens"),
                                                   ("gpt-4o", "max_tokens"), ("omni", "max_tokens")])
    def test_reasoning_models_have_another_word_for_the_maximum(self, upstream, model, member):
        name, model = weir.fresh("reason"), f"{model}-{weir.fresh('x')}"
        weir.create_endpoint(name, [weir.external_model(upstream.base, model)])
        assert weir.call("/v1/chat/completions", weir.ask("a b c", name, max_tokens=2)).status == 200
        asked = json.loads(upstream.requests(model)[-1]["body"])
        assert asked[member] == 2 and len({"max_tokens", "max_completion_tokens"} & set(asked)) == 1
        weir.delete_endpoint(name)

    @pytest.mark.parametrize(("status", "code", "calls"), [(429, "insufficient_quota", 1), (402, "billing", 1), (429, "rate_limit_exceeded", 2)])
    def test_a_quota_that_is_used_up_is_not_tried_again(self, endpoint, status, code, calls):
        endpoint.script({"status": status, "body": {"error": {"message": "x", "type": code, "param": None, "code": code}}})
        answer = weir.call("/v1/chat/completions", weir.ask("Hi", endpoint.name))
        assert answer.status == 429 and (len(endpoint.requests()) == 1) == (calls == 1), answer
