"""Upstreams that ask for short-lived tokens: Vertex AI with a service account, Azure OpenAI with a client of Entra.

Decides that a token is fetched once for many calls, with an assertion that the issuer's own check accepts.
"""

from __future__ import annotations

import json

import anthropic
import openai
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

import weir
import wire


def client() -> openai.OpenAI:
    return openai.OpenAI(base_url=weir.URL + "/v1", api_key=weir.KEY, max_retries=0, timeout=30)


def say(name: str, text: str, **members):
    return client().chat.completions.create(model=name, messages=[{"role": "user", "content": text}], **members)


@pytest.fixture(scope="module")
def account(providers) -> str:
    """A service account's JSON whose public key the emulation knows."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert wire.send(providers.url, "POST", "/public-key", {"content-type": "application/json"}, public.decode()).status == 200
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return json.dumps({"type": "service_account", "client_email": "weir@proj.iam.gserviceaccount.com", "private_key_id": "k1",
                       "private_key": private.decode(), "token_uri": f"{providers.url}/token"})


def vertex(providers, secret: str, model: str, task: str = "llm/v1/chat") -> dict:
    return {"name": model, "provider": "google-cloud-vertex-ai", "task": task, "google_cloud_vertex_ai_config": {
        "project_id": "proj", "region": "us-central1", "private_key_plaintext": secret, "vertex_api_base": providers.url}}


def test_vertex_by_a_service_account(providers, account):
    name = weir.fresh("vertex")
    weir.create_endpoint(name, [vertex(providers, account, "gemini-x")])
    before, gone_by = len([r for r in providers.requests() if r["path"] == "/token"]), len(providers.requests())
    for _ in range(3):
        assert say(name, "say hello there").choices[0].message.content == "hello there"
    chunks = list(say(name, "say hello there", stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "hello there"
    model = "/projects/proj/locations/us-central1/publishers/google/models/gemini-x"
    asked = [r for r in providers.requests()[gone_by:] if model in r["path"]]
    assert len(asked) == 4
    assert len([r for r in providers.requests() if r["path"] == "/token"]) - before == 1, "one token serves many calls"
    with pytest.raises(openai.APIStatusError) as raised:
        say(name, "fail 404")
    assert "projects/" not in raised.value.response.text
    weir.delete_endpoint(name)
    name = weir.fresh("vertex")
    weir.create_endpoint(name, [vertex(providers, account, "text-embedding-x", "llm/v1/embeddings")])
    answer = client().embeddings.create(model=name, input=["a", "b"])
    assert answer.data[1].embedding == [0.5, -0.25] and answer.usage.prompt_tokens == 6
    weir.delete_endpoint(name)


def test_claude_at_vertex_for_both_dialects(providers, account):
    name = weir.fresh("vertex")
    weir.create_endpoint(name, [vertex(providers, account, "claude-x")])
    gone_by = len(providers.requests())
    assert say(name, "say hello there", temperature=0.5).choices[0].message.content == "hello there"
    chunks = list(say(name, "say hello there", stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "hello there"
    claude = anthropic.Anthropic(api_key=weir.KEY, base_url=weir.URL, max_retries=0, timeout=30)
    asked = {"model": name, "max_tokens": 64, "messages": [{"role": "user", "content": "think hello there"}], "container": "c1"}
    message = claude.messages.create(**asked)
    assert message.content[-1].text == "hello there" and message.id == "msg_1"
    with claude.messages.stream(**asked) as stream:
        assert "".join(stream.text_stream) == "hello there"
        assert stream.get_final_message().usage.cache_read_input_tokens == 5
    sent = [r for r in providers.requests()[gone_by:] if "/publishers/anthropic/models/claude-x:" in r["path"]]
    methods = [r["path"].rpartition(":")[2] for r in sent]
    assert methods == ["rawPredict", "streamRawPredict", "rawPredict", "streamRawPredict"]
    # What only this dialect has goes on as it came.
    assert [r["body"].get("container") for r in sent] == [None, None, "c1", "c1"]
    with pytest.raises(anthropic.RateLimitError):
        claude.messages.create(model=name, max_tokens=9, messages=[{"role": "user", "content": "fail 429"}])
    weir.delete_endpoint(name)


def test_a_refused_account_is_the_operators_fault(providers, account):
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = other.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    wrong = json.dumps({**json.loads(account), "private_key": pem.decode()})
    name = weir.fresh("vertex")
    weir.create_endpoint(name, [vertex(providers, wrong, "gemini-x")])
    with pytest.raises(openai.APIStatusError) as raised:
        say(name, "say hi")
    assert raised.value.status_code == 502 and "credential" in raised.value.message
    weir.delete_endpoint(name)


def test_azure_openai_by_a_client_of_entra(providers, upstream):
    name = weir.fresh("entra")
    config = {"openai_api_type": "azuread", "openai_api_base": upstream.url, "openai_api_version": "2024-10-21",
              "openai_deployment_name": name, "microsoft_entra_tenant_id": "tenant-1", "microsoft_entra_client_id": "client-1",
              "microsoft_entra_client_secret_plaintext": "sk-upstream", "microsoft_entra_authority": providers.url}
    weir.create_endpoint(name, [{"name": name, "provider": "openai", "task": "llm/v1/chat", "openai_config": config}])
    assert say(name, "one two").choices[0].message.content == "echo: one two"
    asked = upstream.requests(name)[0]
    assert asked["path"].startswith(f"/openai/deployments/{name}/chat/completions") and asked["headers"]["authorization"].startswith("Bearer ya29.")
    assert [r["path"] for r in providers.requests() if "tenant-1" in r["path"]] == ["/tenant-1/oauth2/v2.0/token"]
    weir.delete_endpoint(name)
