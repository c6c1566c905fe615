"""What goes on to an OpenAI-type upstream as it came: images, audio, responses, files and the like; openai (Python)."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os

import openai
import pytest

import weir
import wire
from test_openai import client

KINDS = ["/v1", "/openai/v1", "azure"]


@pytest.mark.parametrize("kind", KINDS)
class TestEveryClient:
    def test_images(self, kind, endpoint):
        c = client(kind)
        made = c.images.generate(model=endpoint.name, prompt="a river")
        assert made.data[0].b64_json == "AAAA"
        asked = endpoint.requests()[-1]
        assert json.loads(asked["body"]) == {"model": endpoint.name, "prompt": "a river"}
        assert asked["headers"]["authorization"] == "Bearer sk-upstream"
        changed = c.images.edit(model=endpoint.name, prompt="a weir", image=("a.png", b"\x89PNG12345rest", "image/png"))
        assert base64.b64decode(changed.data[0].b64_json) == b"\x89PNG12345"

    def test_transcription_of_a_large_file(self, kind, endpoint):
        sound = os.urandom(6 << 20)
        answer = client(kind).audio.transcriptions.create(model=endpoint.name, file=("a.wav", io.BytesIO(sound)))
        assert answer.text == f"{len(sound)} bytes"
        assert endpoint.requests()[-1]["file"] == hashlib.sha256(sound).hexdigest()

    def test_speech_comes_byte_for_byte(self, kind, endpoint):
        speech = client(kind).audio.speech.create(model=endpoint.name, voice="alloy", input="hello")
        assert speech.content == hashlib.sha256(b"hello").digest() * 4096
        assert speech.response.headers["content-type"] == "audio/mpeg"
        assert speech.response.headers["x-request-id"]

    def test_a_response_is_made_told_and_deleted(self, kind, endpoint):
        c = responses_client(kind)
        first = c.responses.create(model=endpoint.name, input="one")
        assert first.output_text == "echo: one" and first.usage.total_tokens == 7
        second = c.responses.create(model=endpoint.name, input="two", previous_response_id=first.id)
        assert second.previous_response_id == first.id
        sent = json.loads(endpoint.requests()[-1]["body"])["previous_response_id"]
        assert first.id.startswith(sent) and first.id != sent, "the id is marked for the caller only"
        assert c.responses.retrieve(second.id).id == second.id
        assert c.responses.input_items.list(second.id).data == []
        c.responses.delete(second.id)
        with pytest.raises(openai.NotFoundError):
            c.responses.retrieve(second.id)

    def test_a_stream_of_a_response(self, kind, endpoint):
        events = list(responses_client(kind).responses.create(model=endpoint.name, input="one", stream=True))
        assert [event.type for event in events][-1] == "response.completed"
        assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == "echo: one"
        assert weir.usage_soon(endpoint.name, 1)["total_tokens"] == 7

    def test_files_and_batches(self, kind, endpoint):
        c = client(kind, default_headers={"x-weir-deployment": endpoint.name})
        file = c.files.create(purpose="batch", file=("a.jsonl", b'{"custom_id":"1"}\n'))
        assert c.files.content(file.id).content == b'{"custom_id":"1"}\n'
        assert file.id in [each.id for each in c.files.list().data]
        batch = c.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
        assert batch.input_file_id == file.id, "the id that the client knows"
        assert client(kind).batches.retrieve(batch.id).id == batch.id, "an id finds its upstream alone"
        assert client(kind).files.delete(file.id).deleted

    def test_fine_tuning_jobs(self, kind, endpoint):
        c = client(kind, default_headers={"x-weir-deployment": endpoint.name})
        file = c.files.create(purpose="fine-tune", file=("a.jsonl", b'{"messages":[]}\n'))
        # The file says where; the model is the upstream's own, or the deployment's.
        for model, sent in (("gpt-4o-mini-2024-07-18", "gpt-4o-mini-2024-07-18"), (endpoint.name.upper(), endpoint.name)):
            job = client(kind).fine_tuning.jobs.create(model=model, training_file=file.id)
            assert job.status == "running" and job.training_file == file.id and job.model == sent
        jobs = client(kind).fine_tuning.jobs
        assert jobs.retrieve(job.id).id == job.id
        assert [event.message for event in jobs.list_events(job.id).data] == ["begun"]
        assert jobs.cancel(job.id).status == "cancelled"
        assert job.id in [each.id for each in c.fine_tuning.jobs.list().data]

    def test_threads_and_vector_stores(self, kind, endpoint):
        c = client(kind, default_headers={"x-weir-deployment": endpoint.name})
        thread = c.beta.threads.create()
        message = client(kind).beta.threads.messages.create(thread.id, role="user", content="hello")
        assert message.thread_id == thread.id
        assert any(r["headers"].get("openai-beta") == "assistants=v2" for r in all_requests(endpoint))
        store = c.vector_stores.create(name="s")
        assert client(kind).vector_stores.retrieve(store.id).id == store.id

    def test_a_simulated_model_has_none_of_it(self, kind):
        c = responses_client(kind)
        for call in (lambda: c.responses.compact(model="demo-chat", input="x"),
                     lambda: c.images.generate(model="demo-chat", prompt="x"),
                     lambda: c.fine_tuning.jobs.create(model="demo-chat", training_file="file-abcdef"),
                     lambda: c.audio.transcriptions.create(model="demo-chat", file=("a.wav", b"RIFF"))):
            with pytest.raises(openai.BadRequestError) as caught:
                call()
            assert "not supported" in str(caught.value)


def responses_client(kind: str) -> openai.OpenAI:
    """The dated API has responses in its later versions only."""
    if kind != "azure":
        return client(kind)
    return openai.AzureOpenAI(azure_endpoint=weir.URL, api_key=weir.KEY, api_version="2025-03-01-preview", max_retries=0)


def all_requests(endpoint) -> list:
    return wire.send(endpoint.upstream.url, "GET", "/requests").json()


def test_a_form_whose_file_comes_first(endpoint):
    """As the JavaScript client writes it: the model is found behind the file, and changed there."""
    sound = os.urandom(3 << 20)
    form = (b'--xx\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + sound +
            b'\r\n--xx\r\ncontent-disposition: form-data; name="model"\r\n\r\n' + endpoint.name.upper().encode() +
            b"\r\n--xx--\r\n")
    headers = {"content-type": "multipart/form-data; boundary=xx"}
    answer = weir.call("/v1/audio/transcriptions", form, **headers)
    assert answer.status == 200 and answer.json()["text"] == f"{len(sound)} bytes", answer
    asked = endpoint.requests()[-1]
    assert asked["file"] == hashlib.sha256(sound).hexdigest() and asked["model"] == endpoint.name
    assert weir.usage_soon(endpoint.name, 1)["total_tokens"] == 7


def test_a_file_is_streamed_and_not_kept_whole(endpoint):
    """More than any body that is read whole."""
    size = 40 << 20
    head = (b'--xx\r\ncontent-disposition: form-data; name="model"\r\n\r\n' + endpoint.name.encode() +
            b'\r\n--xx\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n')
    form = head + bytes(size) + b"\r\n--xx--\r\n"
    answer = weir.call("/v1/audio/transcriptions", form, **{"content-type": "multipart/form-data; boundary=xx"})
    assert answer.status == 200 and answer.json()["text"] == f"{size} bytes", answer
    assert endpoint.requests()[-1]["size"] == len(form)


def test_sound_of_a_known_length_that_breaks_off_does_not_look_whole(endpoint):
    endpoint.script({"cut_after": 1})
    answer = weir.call("/v1/audio/speech", {"model": endpoint.name, "voice": "v", "input": "x"})
    assert not answer.complete, (answer.status, len(answer.body))


def test_a_stream_of_a_response_that_breaks_off_is_an_error(endpoint):
    for after, words in ((2, "could not be reached"), (5, "broke off")):
        for cut in ("reset", "clean"):
            endpoint.script({"cut_after": after, "cut": cut})
            with pytest.raises(openai.APIError, match=words):
                for _ in client("/v1").responses.create(model=endpoint.name, input="one", stream=True):
                    pass


def test_an_unknown_id_and_a_wrong_key(endpoint):
    assert weir.call("/v1/files/file-abcdef-w0123456789", None, method="GET").status == 404
    assert weir.call("/v1/files", None, key="wrong", method="GET").status == 401
    assert weir.call("/v1/files/..%2fmodels", None, method="GET").status == 404


def test_models_are_listed():
    for kind in KINDS:
        names = [model.id for model in client(kind).models.list().data]
        assert "demo-chat" in names and "demo-embed" in names
        assert client(kind).models.retrieve("Demo-Chat").id == "demo-chat"
    with pytest.raises(openai.NotFoundError):
        client("/v1").models.retrieve("nobody")
    old = weir.call("/openai/deployments?api-version=2023-03-15-preview", None, method="GET").json()
    assert {"demo-chat", "demo-embed"} <= {row["id"] for row in old["data"]}


@pytest.mark.parametrize("kind", KINDS)
def test_text_completions(kind, endpoint):
    answer = client(kind).completions.create(model="demo-chat", prompt="a river", max_tokens=4)
    assert answer.object == "text_completion" and answer.usage.completion_tokens == 4
    chunks = list(client(kind).completions.create(model="demo-chat", prompt="a river", max_tokens=4, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == answer.choices[0].text
    upstream = client(kind).completions.create(model=endpoint.name, prompt="one two")
    assert upstream.choices[0].text == "echo: one two"
