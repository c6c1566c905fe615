"""anthropic (Python), unpatched, on `/v1/messages` in front of any chat deployment.

Decides that users of this client get messages, streams, tools, counts and the errors they know, whatever the model's
provider speaks; with the key in either header, as the client's generations send it.
"""

from __future__ import annotations

import json

import anthropic
import pytest

import weir
from test_providers import CONFIGS, model

TOOL = {"name": "weather", "description": "Get weather",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}


def client(key: str = weir.KEY, **options) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key=key, base_url=weir.URL, max_retries=0, timeout=30, **options)


@pytest.fixture(scope="module", params=["cohere", "palm", "anthropic"])
def served(request, providers):
    name = weir.fresh(f"m-{request.param}")
    weir.create_endpoint(name, [model(providers, request.param)])
    yield name
    weir.delete_endpoint(name)


def ask(name: str, text: str, **members):
    return client().messages.create(model=name, max_tokens=64, messages=[{"role": "user", "content": text}], **members)


def test_the_simulator_answers_and_streams_the_same():
    message = ask("demo-chat", "Name three rivers, please.")
    assert message.content[0].text and message.stop_reason == "end_turn" and message.id.startswith("msg_")
    assert message.usage.input_tokens > 0 and message.usage.output_tokens > 0
    with client().messages.stream(model="demo-chat", max_tokens=64, messages=[
            {"role": "user", "content": "Name three rivers, please."}]) as stream:
        assert "".join(stream.text_stream) == message.content[0].text
        assert stream.get_final_message().usage.output_tokens == message.usage.output_tokens


def test_an_upstream_of_openais_dialect(endpoint):
    message = client().messages.create(model=endpoint.name, max_tokens=9, system="Be brief.", stop_sequences=["END"],
                                       messages=[{"role": "user", "content": [{"type": "text", "text": "one two"}]}])
    assert message.content[0].text == "echo: one two"
    sent = json.loads(endpoint.requests()[0]["body"])
    assert sent["messages"][0] == {"role": "system", "content": "Be brief."}
    assert sent["stop"] == ["END"] and sent["max_tokens"] == 9 and sent["model"] == endpoint.name
    with client().messages.stream(model=endpoint.name, max_tokens=9, messages=[{"role": "user", "content": "one two"}]) as stream:
        assert "".join(stream.text_stream) == "echo: one two"


def test_a_message_and_its_counts(served):
    message = ask(served, "say hello there")
    assert message.content[0].text == "hello there" and message.role == "assistant"
    used = message.usage
    whole = used.input_tokens + used.cache_read_input_tokens
    assert whole in {row[1][0] for row in CONFIGS.values()} and used.cache_read_input_tokens in (4, 5)


def test_a_stream_in_the_grammar_of_the_api(served):
    events = list(client().messages.create(model=served, max_tokens=64, stream=True,
                                           messages=[{"role": "user", "content": "say hello there"}]))
    kinds = [event.type for event in events]
    assert kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"]
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 1
    assert "".join(e.delta.text for e in events if e.type == "content_block_delta") == "hello there"
    assert events[-2].delta.stop_reason == "end_turn" and events[-2].usage.output_tokens > 0


def test_a_tool_is_called_and_its_result_understood(served):
    asked = {"model": served, "max_tokens": 64, "tools": [TOOL]}
    question = {"role": "user", "content": 'call {"city": "Faro"}'}
    with client().messages.stream(messages=[question], **asked) as stream:
        message = stream.get_final_message()
    call = next(block for block in message.content if block.type == "tool_use")
    assert (call.name, call.input, message.stop_reason) == ("weather", {"city": "Faro"}, "tool_use")
    back = [block.model_dump(exclude_none=True) for block in message.content if block.type in ("text", "tool_use")]
    known = {"text": ("type", "text"), "tool_use": ("type", "id", "name", "input")}
    back = [{name: block[name] for name in known[block["type"]]} for block in back]
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "21 degrees"}
    told = client().messages.create(messages=[question, {"role": "assistant", "content": back},
                                              {"role": "user", "content": [result]}], **asked)
    assert "21 degrees" in told.content[-1].text


def test_thinking_has_a_block_of_its_own(served):
    message = client().messages.create(model=served, max_tokens=4096, thinking={"type": "enabled", "budget_tokens": 1024},
                                       messages=[{"role": "user", "content": "think it is seven"}])
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert message.content[0].thinking == "Hm." and message.content[1].text == "it is seven"
    with client().messages.stream(model=served, max_tokens=4096, thinking={"type": "enabled", "budget_tokens": 1024},
                                  messages=[{"role": "user", "content": "think it is seven"}]) as stream:
        final = stream.get_final_message()
    assert [block.type for block in final.content] == ["thinking", "text"]


def test_tokens_are_counted(served):
    counted = client().messages.count_tokens(model=served, messages=[{"role": "user", "content": "a" * 400}])
    if "anthropic" in served:
        assert counted.input_tokens == 11, "its own service counts"
    else:
        assert 80 <= counted.input_tokens <= 120


def test_a_broken_stream_raises(served):
    for fault in ("break 1 of them", "cut 1 of them"):
        with pytest.raises((anthropic.APIError, anthropic.APIConnectionError)):
            with client().messages.stream(model=served, max_tokens=9, messages=[{"role": "user", "content": fault}]) as stream:
                stream.get_final_message()


def test_errors_are_those_of_the_api(served):
    with pytest.raises(anthropic.AuthenticationError):
        client("wrong").messages.create(model=served, max_tokens=9, messages=[{"role": "user", "content": "x"}])
    with pytest.raises(anthropic.NotFoundError) as raised:
        ask("no-such-model", "x")
    assert raised.value.body["type"] == "error" and raised.value.body["error"]["type"] == "not_found_error"
    with pytest.raises(anthropic.BadRequestError):
        ask(served, "x", extra_body={"unknown_member": 1})
    with pytest.raises(anthropic.RateLimitError):
        ask(served, "fail 429")


def test_both_headers_of_the_key(served):
    body = {"model": served, "max_tokens": 9, "messages": [{"role": "user", "content": "say hi"}]}
    for headers in ({"x-api-key": weir.KEY}, {"authorization": f"Bearer {weir.KEY}"}):
        import wire

        answer = wire.send(weir.URL, "POST", "/v1/messages",
                           {**headers, "content-type": "application/json", "anthropic-version": "2023-06-01"}, body)
        assert answer.status == 200 and answer.json()["content"][0]["text"] == "hi", answer
        assert answer.headers["request-id"]
