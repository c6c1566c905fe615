"""Providers' own dialects below Databricks' base: google-genai and anthropic, unpatched, as Databricks' documents set them up.

Decides that users of these clients get answers, streams, tools, counts and the errors they know, with the key in either
place that the clients have for it; and that what an endpoint's owner set (limits, guardrails) holds on these routes too.
"""

from __future__ import annotations

import anthropic
import httpx
import httpx2
import pytest
from google import genai
from google.genai import errors, types

import weir
from test_providers import model
from test_upstream_tokens import account, vertex  # noqa: F401  A fixture.

BASES = ["/serving-endpoints/gemini", "/ai-gateway/gemini", "/gateway/gemini"]
TOOL = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def client(base: str = BASES[0], key: str = weir.KEY, bearer: bool = True) -> genai.Client:
    headers = weir.bearer(key) if bearer else None
    options = types.HttpOptions(base_url=weir.URL + base, headers=headers, timeout=30_000)
    return genai.Client(api_key="databricks" if bearer else key, http_options=options)


@pytest.fixture(scope="module")
def served(providers):
    name = weir.fresh("gem")
    weir.create_endpoint(name, [model(providers, "palm")])
    yield name
    weir.delete_endpoint(name)


@pytest.mark.parametrize("base", BASES)
def test_an_answer_and_a_stream(base, served, providers):
    c = client(base)
    config = types.GenerateContentConfig(temperature=0.5, max_output_tokens=64, system_instruction="Be brief.")
    answer = c.models.generate_content(model=served, contents="say hello there", config=config)
    assert answer.text == "hello there" and answer.usage_metadata.prompt_token_count == 11
    asked = [r for r in providers.requests() if "generateContent" in r["path"]][-1]
    assert asked["path"] == "/v1beta/models/model-x:generateContent" and asked["headers"]["x-goog-api-key"] == "sk-upstream"
    assert asked["body"]["systemInstruction"]["parts"][0]["text"] == "Be brief." and "authorization" not in asked["headers"]
    pieces = list(c.models.generate_content_stream(model=served, contents="say hello there"))
    assert "".join(piece.text or "" for piece in pieces) == "hello there"
    assert pieces[-1].candidates[0].finish_reason == types.FinishReason.STOP and len(pieces) > 2
    assert c.models.count_tokens(model=served, contents="say hello there").total_tokens == 7


def test_what_was_used_is_counted_once(providers):
    name = weir.fresh("gem")
    weir.create_endpoint(name, [model(providers, "palm")])
    c = client()
    c.models.generate_content(model=name, contents="say hello there")
    list(c.models.generate_content_stream(model=name, contents="think hello there"))
    row = weir.usage_soon(name, 2)
    assert (row["requests"], row["input_tokens"], row["output_tokens"], row["reasoning_tokens"]) == (2, 22, 13, 7)
    weir.delete_endpoint(name)


def test_a_tool_is_called_and_its_result_understood(served):
    declared = types.FunctionDeclaration(name="weather", description="d", parameters_json_schema=TOOL)
    config = types.GenerateContentConfig(tools=[types.Tool(function_declarations=[declared])])
    c = client()
    ask = types.Content(role="user", parts=[types.Part(text='call {"city": "Faro"}')])
    answer = c.models.generate_content(model=served, contents=[ask], config=config)
    assert answer.function_calls[0].args == {"city": "Faro"}
    result = types.Part.from_function_response(name="weather", response={"sky": "blue"})
    turns = [ask, answer.candidates[0].content, types.Content(role="user", parts=[result])]
    assert "blue" in c.models.generate_content(model=served, contents=turns, config=config).text


def test_the_clients_own_header_holds_the_key(served):
    c, stranger = client(bearer=False), client(key="wrong", bearer=False)
    assert c.models.generate_content(model=served, contents="say hi").text == "hi"
    with pytest.raises(errors.ClientError) as wrong:
        stranger.models.generate_content(model=served, contents="say hi")
    assert (wrong.value.code, wrong.value.status) == (401, "UNAUTHENTICATED")


def test_errors_are_those_the_client_knows(served, endpoint):
    c = client()
    rows = [(served, "fail 400", 400, "INVALID_ARGUMENT"), (served, "fail 429", 429, "RESOURCE_EXHAUSTED"),
            ("nothing", "hi", 404, "NOT_FOUND"), (endpoint.name, "hi", 400, "INVALID_ARGUMENT")]
    for name, text, code, status in rows:
        with pytest.raises(errors.ClientError) as raised:
            c.models.generate_content(model=name, contents=text)
        assert (raised.value.code, raised.value.status) == (code, status) and raised.value.message, text
    with pytest.raises(errors.ServerError) as raised:
        c.models.generate_content(model=served, contents="fail 500")
    assert raised.value.code == 500


@pytest.mark.parametrize("text", ["cut 2 of all these words", "break 2 of all these words"])
def test_a_stream_that_breaks_off_does_not_look_complete(served, text):
    seen, c = [], client()
    with pytest.raises((errors.APIError, ValueError, httpx.HTTPError, httpx2.HTTPError)):
        for piece in c.models.generate_content_stream(model=served, contents=text):
            seen.append(piece)
    assert 1 <= len(seen) <= 2 and all(piece.candidates[0].finish_reason is None for piece in seen)


@pytest.mark.parametrize("text", ["cut 0", "break 0"])
def test_a_stream_that_fails_before_it_says_anything_is_an_error(served, text):
    c = client()
    with pytest.raises(errors.ServerError):
        list(c.models.generate_content_stream(model=served, contents=text))


def test_a_list_of_pieces_where_no_events_are_asked_for(served):
    target = f"{BASES[0]}/v1beta/models/{served}:streamGenerateContent"
    answer = weir.call(target, {"contents": [{"role": "user", "parts": [{"text": "say hello there"}]}]})
    assert answer.status == 200
    texts = [part["text"] for piece in answer.json() for part in piece["candidates"][0]["content"]["parts"]]
    assert "".join(texts) == "hello there"


def test_gemini_at_vertex_with_a_token(providers, account):  # noqa: F811
    name = weir.fresh("vertex")
    weir.create_endpoint(name, [vertex(providers, account, "gemini-x")])
    c = client()
    assert c.models.generate_content(model=name, contents="say hello there").text == "hello there"
    pieces = list(c.models.generate_content_stream(model=name, contents="say hello there"))
    assert "".join(piece.text or "" for piece in pieces) == "hello there"
    weir.delete_endpoint(name)


def test_limits_and_guardrails_hold_here_too(providers):
    name = weir.fresh("gem")
    guard = {"input": {"invalid_keywords": ["nimbus"]}}
    limit = [{"key": "endpoint", "calls": 2, "renewal_period": "minute"}]
    weir.create_endpoint(name, [model(providers, "palm")], ai_gateway={"guardrails": guard, "rate_limits": limit})
    c = client()
    with pytest.raises(errors.ClientError) as stopped:
        c.models.generate_content(model=name, contents="what of Nimbus?")
    assert stopped.value.code == 400
    assert c.models.generate_content(model=name, contents="say hi").text == "hi"
    with pytest.raises(errors.ClientError) as limited:
        c.models.generate_content(model=name, contents="say hi")
    assert (limited.value.code, limited.value.status) == (429, "RESOURCE_EXHAUSTED")
    weir.delete_endpoint(name)
    answers = weir.fresh("gem")
    weir.create_endpoint(answers, [model(providers, "palm")],
                         ai_gateway={"guardrails": {"output": {"pii": {"behavior": "BLOCK"}}}})
    with pytest.raises(errors.ServerError) as refused:
        c.models.generate_content(model=answers, contents="say hi")
    assert (refused.value.code, refused.value.status) == (501, "UNIMPLEMENTED")
    weir.delete_endpoint(answers)


@pytest.mark.parametrize("base", ["/serving-endpoints/anthropic", "/ai-gateway/anthropic", "/gateway/anthropic"])
def test_anthropics_client_below_databricks_base(base, providers, endpoint):
    name = weir.fresh("claude")
    weir.create_endpoint(name, [model(providers, "anthropic")])
    c = anthropic.Anthropic(api_key="unused", base_url=weir.URL + base, default_headers=weir.bearer(weir.KEY), max_retries=0)
    for one in (name, endpoint.name):
        members = {"model": one, "max_tokens": 64, "messages": [{"role": "user", "content": "say hello there"}]}
        assert "hello there" in c.messages.create(**members).content[0].text
        with c.messages.stream(**members) as stream:
            assert "hello there" in "".join(stream.text_stream)
    with pytest.raises(anthropic.NotFoundError):
        c.messages.create(model="nothing", max_tokens=1, messages=[{"role": "user", "content": "x"}])
    weir.delete_endpoint(name)
