"""openai (Python), unpatched, on `/responses` of every surface, in front of models that have no such API.

Decides that users of this client get responses, streams, parsed output, tools, pictures, reasoning and the errors they
know from any chat deployment: the simulator, emulated providers of other dialects, and servers of anyone's make.
"""

from __future__ import annotations

import json

import openai
import pydantic
import pytest
from openai.types.responses import Response

import weir
import wire
from test_passed import KINDS, responses_client
from test_providers import CONFIGS, KEY, model

TOOL = {"type": "function", "name": "weather", "description": "Get weather", "strict": False,
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}
PICTURE = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=", "detail": "auto"}


def strict(response) -> Response:
    """The response by the client's own types, which it does not enforce itself."""
    return Response.model_validate(response.model_dump())


class River(pydantic.BaseModel):
    name: str
    length: int


@pytest.fixture(scope="module", params=list(CONFIGS))
def served(request, providers):
    name = weir.fresh(f"r-{request.param}")
    weir.create_endpoint(name, [model(providers, request.param)])
    yield request.param, name
    weir.delete_endpoint(name)


@pytest.fixture(scope="module")
def custom(upstream):
    """A server of anyone's make."""
    name = weir.fresh("r-custom")
    weir.create_endpoint(name, [{"name": name, "provider": "custom", "task": "llm/v1/chat", "custom_provider_config": {
        "custom_provider_url": f"{upstream.base}/chat/completions", "bearer_token_auth": {"token_plaintext": KEY}}}])
    yield name
    weir.delete_endpoint(name)


def client() -> openai.OpenAI:
    return responses_client("/v1")


def ask(name: str, said, **members):
    return client().responses.create(model=name, input=said, **members)


@pytest.mark.parametrize("kind", [*KINDS, "/serving-endpoints", "/ai-gateway/mlflow/v1", "/ai-gateway/openai/v1"])
class TestEverySurface:
    def test_a_response_and_its_stream(self, kind):
        c = responses_client(kind)
        made = strict(c.responses.create(model="demo-chat", input="Name three rivers, please.", metadata={"a": "b"}))
        assert made.output_text and made.status == "completed" and made.id.startswith("resp_")
        assert made.usage.total_tokens == made.usage.input_tokens + made.usage.output_tokens > 0
        assert made.metadata == {"a": "b"} and made.created_at > 1_700_000_000
        with c.responses.stream(model="demo-chat", input="Name three rivers, please.") as stream:
            kinds = [event.type for event in stream]
            final = strict(stream.get_final_response())
        assert final.output_text == made.output_text and final.usage == made.usage
        assert kinds[:4] == ["response.created", "response.in_progress", "response.output_item.added", "response.content_part.added"]
        assert kinds[-4:] == ["response.output_text.done", "response.content_part.done", "response.output_item.done", "response.completed"]

    def test_what_was_made_is_not_stored(self, kind):
        c = responses_client(kind)
        made = c.responses.create(model="demo-chat", input="x", store=True)
        assert made.to_dict()["store"] is False
        here = {"extra_headers": {"x-weir-deployment": "demo-chat"}}
        for call in (c.responses.retrieve, c.responses.delete, c.responses.cancel):
            with pytest.raises(openai.NotFoundError, match="kept"):
                call(made.id, **here)
        with pytest.raises(openai.BadRequestError, match="not stored"):
            c.responses.create(model="demo-chat", input="x", previous_response_id=made.id)

    def test_errors_are_those_of_the_surface(self, kind):
        with pytest.raises(openai.NotFoundError):
            responses_client(kind).responses.create(model="no-such-model", input="x")
        with pytest.raises(openai.BadRequestError) as raised:
            responses_client(kind).responses.create(model="demo-chat", input="x", tools=[{"type": "web_search"}])
        assert "tools.0" in str(raised.value)
        with pytest.raises(openai.BadRequestError):
            responses_client(kind).responses.create(model="demo-embed", input="x")


def test_counts_and_a_stream_that_say_the_same(served):
    provider, name = served
    made = strict(ask(name, "say hello there"))
    used = made.usage
    assert made.output_text == "hello there"
    assert (used.input_tokens, used.output_tokens, used.input_tokens_details.cached_tokens) == CONFIGS[provider][1]
    events = list(ask(name, "say hello there", stream=True))
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "hello there"
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert strict(events[-1].response).usage == used
    assert weir.usage_soon(name, 2)["total_tokens"] == 2 * used.total_tokens


def test_a_tool_is_called_and_its_result_understood(served):
    _, name = served
    for stream in (False, True):
        history: list = [{"role": "user", "content": 'call {"city": "Faro"}'}]
        if stream:
            with client().responses.stream(model=name, input=history, tools=[TOOL]) as events:
                made = events.get_final_response()
        else:
            made = ask(name, history, tools=[TOOL])
        call = next(item for item in strict(made).output if item.type == "function_call")
        assert (call.name, json.loads(call.arguments)) == ("weather", {"city": "Faro"})
        history += [item.to_dict() for item in made.output]
        history.append({"type": "function_call_output", "call_id": call.call_id, "output": "21 degrees"})
        for item in history:
            item.pop("parsed_arguments", None)
        assert "21 degrees" in ask(name, history, tools=[TOOL]).output_text


def test_reasoning_is_an_item_and_comes_back_whole(served):
    _, name = served
    question = {"role": "user", "content": "think it is seven"}
    made = strict(ask(name, [question], reasoning={"effort": "low"}))
    assert [item.type for item in made.output] == ["reasoning", "message"] and made.output_text == "it is seven"
    assert made.output[0].summary[0].text == "Hm."
    with client().responses.stream(model=name, input=[question], reasoning={"effort": "low"}) as stream:
        kinds = [event.type for event in stream]
        final = strict(stream.get_final_response())
    assert "response.reasoning_summary_text.delta" in kinds and final.output[0].summary[0].text == "Hm."
    again = [question, *(item.to_dict() for item in made.output), {"role": "user", "content": "say thanks"}]
    assert ask(name, again, reasoning={"effort": "low"}).output_text == "thanks"


def test_a_schema_and_a_picture(served):
    _, name = served
    said = ask(name, [{"role": "user", "content": [PICTURE, {"type": "input_text", "text": "say seen"}]}], text={"format": {
        "type": "json_schema", "name": "s", "schema": {"type": "object", "properties": {"b": {"type": "string"}}, "required": ["b"]}}})
    assert said.output_text == "seen"
    parsed = client().responses.parse(model=name, input='say {"name": "Tejo", "length": 1007}', text_format=River)
    assert parsed.output_parsed == River(name="Tejo", length=1007)
    short = strict(ask(name, "short"))
    assert (short.status, short.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert list(ask(name, "short", stream=True))[-1].type == "response.incomplete"


def test_a_broken_stream_raises(served):
    _, name = served
    for fault in ("break 1 of them", "cut 1 of them"):
        with pytest.raises(openai.APIError):
            for event in ask(name, fault, stream=True):
                assert event.type != "response.completed"


def test_errors_of_the_provider(served):
    _, name = served
    with pytest.raises(openai.RateLimitError):
        ask(name, "fail 429")
    with pytest.raises(openai.BadRequestError) as raised:
        ask(name, "fail 400")
    assert "internal.example" not in str(raised.value)


def test_the_simulator_calls_tools_and_fills_schemas():
    made = strict(ask("demo-chat", "What is the weather in Faro?", tools=[TOOL], tool_choice="required"))
    call = made.output[-1]
    assert call.type == "function_call" and "city" in json.loads(call.arguments)
    parsed = client().responses.parse(model="demo-chat", input="A river.", text_format=River)
    assert isinstance(parsed.output_parsed, River)
    short = ask("demo-chat", "Name three rivers, please.", max_output_tokens=2)
    assert short.usage.output_tokens == 2 and short.status == "incomplete"


def test_a_server_of_anyones_make_is_asked_for_a_chat(custom, upstream):
    made = strict(ask(custom, "one two", instructions="Be brief.", max_output_tokens=9, truncation="auto"))
    assert made.output_text == "echo: one two" and made.instructions == "Be brief."
    sent = upstream.requests(custom)[-1]
    body = json.loads(sent["body"])
    assert sent["path"].endswith("/chat/completions")
    assert body["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "one two"}]
    assert body["max_tokens"] == 9 and "input" not in body and "store" not in body
    dropped = client().responses.with_raw_response.create(model=custom, input="x", truncation="auto")
    assert dropped.headers["x-weir-dropped"] == "truncation"
    for step in ({"cut_after": 2}, {"cut_after": 2, "cut": "clean"}):
        upstream.script(custom, step)
        with pytest.raises(openai.APIError):
            for event in ask(custom, "one two three", stream=True):
                assert event.type != "response.completed"


def test_tokens_are_counted():
    counted = client().responses.input_tokens.count(model="demo-chat", input="a" * 400)
    assert 80 <= counted.input_tokens <= 120


def test_the_bytes_of_a_broken_stream(custom, upstream):
    upstream.script(custom, {"cut_after": 2, "cut": "clean"})
    answer = wire.send(weir.URL, "POST", "/v1/responses",
                       {"authorization": f"Bearer {weir.KEY}", "content-type": "application/json"},
                       {"model": custom, "input": "one two three", "stream": True})
    events = [event for event in answer.body.decode().split("\n\n") if event]
    assert events[-1].startswith("event: error\n") and "[DONE]" not in answer.body.decode()
    last = json.loads(events[-1].partition("data: ")[2])
    assert last["type"] == "error" and last["sequence_number"] == len(events) - 1 and last["error"]["message"]
