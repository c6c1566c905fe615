"""The emulated providers under their vendors' own clients, so that what Weir is tested against is not our imagination."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request

import pytest

TOOL = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


class TestAnthropic:
    @pytest.fixture
    def client(self, providers):
        anthropic = pytest.importorskip("anthropic")
        return anthropic.Anthropic(api_key="sk-upstream", base_url=providers.url, max_retries=0)

    def ask(self, client, text, **members):
        return client.messages.create(model="claude-x", max_tokens=64, messages=[{"role": "user", "content": text}], **members)

    def test_a_message_and_a_stream(self, client):
        message = self.ask(client, "say hello there")
        assert message.content[0].text == "hello there" and message.stop_reason == "end_turn"
        with client.messages.stream(model="claude-x", max_tokens=64, messages=[{"role": "user", "content": "say hello there"}]) as stream:
            assert "".join(stream.text_stream) == "hello there"
            assert stream.get_final_message().usage.cache_read_input_tokens == 5

    def test_tools(self, client):
        message = self.ask(client, 'call {"city": "Faro"}', tools=[{"name": "weather", "input_schema": TOOL}])
        assert message.content[-1].input == {"city": "Faro"} and message.stop_reason == "tool_use"

    def test_what_it_refuses(self, client):
        import anthropic

        with pytest.raises(anthropic.BadRequestError):
            self.ask(client, "hi", extra_body={"seed": 1})
        with pytest.raises(anthropic.BadRequestError, match="strictly|range|version"):
            self.ask(client, "hi", extra_body={"temperature": 1.5})
        with pytest.raises(anthropic.RateLimitError):
            self.ask(client, "fail 429")
        with pytest.raises(anthropic.APIStatusError) as raised:
            self.ask(client, "fail 529")
        assert raised.value.status_code == 529


@pytest.fixture(scope="module")
def token(providers) -> str:
    """A token of Google's, as the emulation gives them out."""
    form = {"grant_type": "client_credentials", "client_secret": "sk-upstream", "scope": "https://x/.default"}
    with urllib.request.urlopen(f"{providers.url}/token", urllib.parse.urlencode(form).encode()) as answer:
        return json.load(answer)["access_token"]


class TestVertex:
    """Both makers' own clients of Vertex AI."""

    def test_claude(self, providers, token):
        anthropic = pytest.importorskip("anthropic")

        def client(token: str):
            return anthropic.AnthropicVertex(region="eu", project_id="proj", access_token=token, base_url=f"{providers.url}/v1",
                                             max_retries=0)

        asked = {"model": "claude-x", "max_tokens": 64, "messages": [{"role": "user", "content": "say hello there"}]}
        assert client(token).messages.create(**asked).content[0].text == "hello there"
        with client(token).messages.stream(**asked) as stream:
            assert "".join(stream.text_stream) == "hello there"
        with pytest.raises(anthropic.AuthenticationError):
            client("another").messages.create(**asked)
        with pytest.raises(anthropic.BadRequestError):
            client(token).messages.create(**asked, extra_body={"seed": 1})

    def test_gemini(self, providers, token):
        genai = pytest.importorskip("google.genai")
        from google.oauth2.credentials import Credentials

        client = genai.Client(vertexai=True, project="proj", location="eu", credentials=Credentials(token=token),
                              http_options={"base_url": providers.url, "api_version": "v1"})
        assert client.models.generate_content(model="gemini-x", contents="say hello there").text == "hello there"
        pieces = list(client.models.generate_content_stream(model="gemini-x", contents="say hello there"))
        assert "".join(piece.text or "" for piece in pieces) == "hello there"
        answer = client.models.embed_content(model="text-embedding-x", contents="a")
        assert answer.embeddings[0].values == [0.5, -0.25] and answer.embeddings[0].statistics.token_count == 3


class TestCohere:
    @pytest.fixture
    def client(self, providers):
        cohere = pytest.importorskip("cohere")
        return cohere.ClientV2(api_key="sk-upstream", base_url=providers.url)

    def test_a_chat_and_a_stream(self, client):
        ask = {"model": "command-x", "messages": [{"role": "user", "content": "say hello there"}]}
        answer = client.chat(**ask)
        assert answer.message.content[0].text == "hello there" and answer.finish_reason == "COMPLETE"
        events = list(client.chat_stream(**ask))
        assert "".join(e.delta.message.content.text for e in events if e.type == "content-delta") == "hello there"
        assert events[-1].delta.usage.tokens.input_tokens == 11

    def test_tools(self, client):
        tool = {"type": "function", "function": {"name": "weather", "description": "d", "parameters": TOOL}}
        answer = client.chat(model="c", messages=[{"role": "user", "content": 'call {"city": "Faro"}'}], tools=[tool])
        assert answer.message.tool_calls[0].function.arguments == '{"city": "Faro"}'

    def test_embeddings_and_what_it_refuses(self, client):
        import cohere

        answer = client.embed(model="e", texts=["a"], input_type="search_query", embedding_types=["float"])
        assert answer.embeddings.float_[0][:2] == [0.5, -0.25]
        with pytest.raises(cohere.BadRequestError):
            client.chat(model="c", messages=[{"role": "user", "content": "x"}], p=1.0)


class TestGemini:
    @pytest.fixture
    def client(self, providers):
        genai = pytest.importorskip("google.genai")
        return genai.Client(api_key="sk-upstream", http_options={"base_url": providers.url})

    def test_content_and_a_stream(self, client):
        answer = client.models.generate_content(model="gemini-x", contents="say hello there")
        assert answer.text == "hello there" and answer.usage_metadata.prompt_token_count == 11
        pieces = list(client.models.generate_content_stream(model="gemini-x", contents="say hello there"))
        assert "".join(piece.text or "" for piece in pieces) == "hello there"

    def test_tools(self, client):
        from google.genai import types

        declared = types.FunctionDeclaration(name="weather", description="d", parameters_json_schema=TOOL)
        config = types.GenerateContentConfig(tools=[types.Tool(function_declarations=[declared])])
        answer = client.models.generate_content(model="g", contents='call {"city": "Faro"}', config=config)
        assert answer.function_calls[0].args == {"city": "Faro"}

    def test_embeddings_and_what_it_refuses(self, client):
        from google.genai import errors

        assert client.models.embed_content(model="e", contents="a").embeddings[0].values == [0.5, -0.25]
        with pytest.raises(errors.ClientError):
            client.models.generate_content(model="g", contents="a", config={"temperature": 3})
