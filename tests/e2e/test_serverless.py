"""Serverless endpoints and the model inference API in detail: azure-ai-inference and openai (Python), unpatched."""

from __future__ import annotations

import openai
import pytest
from azure.ai.inference import ChatCompletionsClient, EmbeddingsClient, ImageEmbeddingsClient, load_client
from azure.ai.inference.models import ImageEmbeddingInput, UserMessage
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

import weir

KEY = AzureKeyCredential(weir.KEY)


def base(name: str) -> str:
    return f"{weir.URL}/serverless/{name}"


def test_load_client_finds_what_the_endpoint_is():
    chat = load_client(base("demo-chat"), KEY)
    assert isinstance(chat, ChatCompletionsClient)
    info = chat.get_model_info()
    assert info.model_type == "chat-completions" and info.model_name and info.model_provider_name
    assert chat.complete(messages=[UserMessage("hi")]).choices[0].message.content
    assert isinstance(load_client(base("demo-embed"), KEY), EmbeddingsClient)


def test_chat_and_stream(endpoint):
    chat = ChatCompletionsClient(base(endpoint.name), KEY, retry_total=0)
    assert chat.complete(messages=[UserMessage("one two")]).choices[0].message.content == "echo: one two"
    words = chat.complete(messages=[UserMessage("one two")], stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in words if c.choices) == "echo: one two"


def test_extras_of_the_client_pass_through(endpoint):
    chat = ChatCompletionsClient(base(endpoint.name), KEY, retry_total=0)
    chat.complete(messages=[UserMessage("hi")], model_extras={"safe_prompt": True})
    assert '"safe_prompt":true' in endpoint.requests()[-1]["body"].replace(" ", "")


def test_a_value_that_is_not_supported():
    chat = ChatCompletionsClient(base("demo-chat"), KEY, retry_total=0)
    with pytest.raises(HttpResponseError) as caught:
        chat.complete(messages=[UserMessage("hi")], temperature=7)
    assert caught.value.status_code == 422 and caught.value.error.code == "parameter_not_supported"
    assert caught.value.response.headers["x-ms-error-code"] == "parameter_not_supported"
    assert caught.value.response.headers["x-ms-region"]


def test_the_clients_own_request_id_comes_back():
    seen = {}
    chat = ChatCompletionsClient(base("demo-chat"), KEY, retry_total=0)
    chat.complete(messages=[UserMessage("hi")], raw_response_hook=lambda r: seen.update(
        sent=r.http_request.headers.get("x-ms-client-request-id"), got=dict(r.http_response.headers)))
    got = {name.lower(): value for name, value in seen["got"].items()}
    assert got["apim-request-id"] and got["x-ms-client-request-id"] == seen["sent"]


def test_images_are_embedded(embedder):
    images = [ImageEmbeddingInput(image="data:image/png;base64,AAAA", text="a river")]
    for name in ("demo-embed", embedder.name):
        for client in (ImageEmbeddingsClient(base(name), KEY), ImageEmbeddingsClient(f"{weir.URL}/models", KEY)):
            answer = client.embed(input=images, model=name)
            assert len(answer.data) == 1 and answer.data[0].embedding
    assert embedder.requests()[-1]["path"] == "/v1/images/embeddings"


def test_an_unknown_endpoint_and_no_key():
    with pytest.raises(ResourceNotFoundError):
        ChatCompletionsClient(base("nobody"), KEY, retry_total=0).complete(messages=[UserMessage("hi")])
    answer = weir.call("/serverless/nobody/chat/completions", weir.ask())
    assert answer.status == 404 and answer.json() == {"status": "Serverless endpoint not found"}
    answer = weir.wire.send(weir.URL, "POST", "/serverless/demo-chat/chat/completions", {}, weir.ask())
    assert answer.status == 401 and answer.json()["status"].startswith("Auth token must be passed")


def test_openai_on_the_endpoint(endpoint):
    client = openai.OpenAI(base_url=f"{base(endpoint.name)}/v1", api_key=weir.KEY, max_retries=0)
    answer = client.chat.completions.create(model="azureai", messages=[{"role": "user", "content": "one two"}])
    assert answer.choices[0].message.content == "echo: one two"
    assert '"max_tokens":16' in endpoint.requests()[-1]["body"].replace(" ", ""), "documented for these routes"
    assert client.completions.create(model="x", prompt="one").choices[0].text == "echo: one"
    assert [model.id for model in client.models.list().data] == [endpoint.name]


def test_the_document():
    document = weir.call("/serverless/demo-chat/swagger.json", None, method="GET").json()
    assert document["openapi"].startswith("3.") and "/chat/completions" in document["paths"]


def test_hosts_name_endpoints_and_accounts():
    for host, target in [("demo-chat.eastus2.models.localhost", "/chat/completions"),
                         ("default.services.ai.localhost", f"/models/chat/completions?api-version={weir.INFERENCE_VERSION}"),
                         ("default.openai.localhost", "/openai/v1/chat/completions")]:
        answer = weir.call(target, weir.ask(model="demo-chat"), host=host)
        assert answer.status == 200, (host, answer)
