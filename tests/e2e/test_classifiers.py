"""External classifiers of content policies: Azure AI Content Safety, OpenAI's moderation and a deployment of Weir,
each emulated (`upstream_safety.py`), with Azure's and OpenAI's clients in front.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import openai
import pytest

import weir

CLASSIFIERS = "/api/weir/v1/classifiers"
HIGH = {"filtered": True, "severity": "high"}


def azure() -> openai.AzureOpenAI:
    return openai.AzureOpenAI(azure_endpoint=weir.URL, api_key=weir.KEY, api_version=weir.AZURE_VERSION, max_retries=0)


def say(name: str, text: str = "one two", **members):
    return azure().chat.completions.create(model=name, messages=[{"role": "user", "content": text}], **members)


class Judged:
    """A deployment whose policy names a classifier."""

    def __init__(self, upstream, service: str, classifier: dict, mode: str = "Default") -> None:
        self.upstream, self.name = upstream, weir.fresh("cl")
        weir.put_catalog(self.name, [weir.external_model(upstream.base, self.name)])
        if service == "deployment":
            self.guard = self.name + "-guard"
            weir.create_endpoint(self.guard, [weir.external_model(upstream.base, self.guard)])
            classifier = {"deployment": self.guard, **classifier}
        made = weir.manage("PUT", f"{CLASSIFIERS}/{self.name}", {"service": service, **classifier})
        assert made.status == 201, made
        assert "sk-safety" not in made.text
        properties = {"basePolicyName": "Microsoft.DefaultV2", "mode": mode, "weirClassifier": self.name}
        weir.done(weir.manage("PUT", weir.arm(f"/raiPolicies/{self.name}"), {"properties": properties}))
        weir.done(weir.manage("PUT", weir.arm(f"/deployments/{self.name}"),
                              weir.arm_body(self.name, raiPolicyName=self.name)))

    def asked(self, model: str = "safety") -> list:
        return [r for r in self.upstream.requests(model) if r["at"]]

    def delete(self) -> None:
        weir.manage("DELETE", weir.arm(f"/deployments/{self.name}"))
        weir.manage("DELETE", weir.arm(f"/raiPolicies/{self.name}"))
        weir.manage("DELETE", f"{CLASSIFIERS}/{self.name}")
        weir.manage("DELETE", f"{weir.CATALOG}/{self.name}")
        if hasattr(self, "guard"):
            weir.delete_endpoint(self.guard)


@pytest.fixture(scope="module")
def safety(upstream) -> Iterator[Judged]:
    own = Judged(upstream, "azure-content-safety", {"endpoint": upstream.url, "api_key_plaintext": "sk-safety"})
    yield own
    own.delete()


@pytest.fixture(scope="module")
def moderation(upstream) -> Iterator[Judged]:
    own = Judged(upstream, "openai-moderation",
                 {"endpoint": upstream.base, "api_key_plaintext": "sk-safety", "on_failure": "open", "deadline_ms": 500},
                 mode="Asynchronous_filter")
    yield own
    own.delete()


@pytest.fixture(scope="module")
def guarded(upstream) -> Iterator[Judged]:
    own = Judged(upstream, "deployment", {})
    yield own
    own.delete()


class TestContentSafety:
    def test_prompts_and_attacks(self, safety):
        with pytest.raises(openai.BadRequestError) as caught:
            say(safety.name, "a FORBIDDEN thing")
        result = caught.value.body["innererror"]["content_filter_result"]
        assert result["violence"] == HIGH and result["jailbreak"]["filtered"] is False
        with pytest.raises(openai.BadRequestError) as caught:
            say(safety.name, "an ATTACK")
        assert caught.value.body["innererror"]["content_filter_result"]["jailbreak"] == {"filtered": True, "detected": True}
        assert safety.upstream.requests(safety.name) == [], "the model is not asked"
        asked = safety.asked()[-1]
        assert asked["headers"]["ocp-apim-subscription-key"] == "sk-safety"
        assert asked["path"] == "/contentsafety/text:shieldPrompt?api-version=2024-09-01"

    def test_a_whole_answer(self, safety):
        safety.upstream.script(safety.name, {"text": "so FORBIDDEN it is"})
        choice = say(safety.name).choices[0]
        assert choice.finish_reason == "content_filter" and not choice.message.content
        assert choice.content_filter_results["violence"] == HIGH

    def test_a_stream_goes_on_window_by_window(self, safety):
        words = " ".join(f"word{i}" for i in range(150))
        safety.upstream.script(safety.name, {"text": f"{words} FORBIDDEN tail", "pace": 0.002})
        answer = weir.call(weir.SURFACES[1].chat(safety.name), weir.ask("one", stream=True))
        assert answer.looks_complete, answer
        text = "".join((c.get("delta") or {}).get("content") or "" for e in answer.events() for c in e["choices"])
        assert text.startswith("word0 word1") and words.startswith(text) and "FORBIDDEN" not in answer.text
        assert answer.events()[-1]["choices"][0]["finish_reason"] == "content_filter"
        safety.upstream.script(safety.name, {"text": words})
        plain = "".join(c.choices[0].delta.content or "" for c in say(safety.name, stream=True) if c.choices)
        assert plain == words

    def test_its_failure_closes(self, safety):
        with pytest.raises(openai.InternalServerError) as caught:
            say(safety.name, "UNWELL")
        assert caught.value.status_code == 503 and caught.value.code == "content_filter_error"
        safety.upstream.script(safety.name, {"text": "so UNWELL it is"})
        answer = weir.call(weir.SURFACES[1].chat(safety.name), weir.ask("one", stream=True))
        assert not answer.looks_complete and "content_filter_error" in answer.text and "UNWELL" not in answer.text


def respond(name: str, text: str = "one two", **members):
    client = openai.OpenAI(base_url=f"{weir.URL}/openai/v1", api_key=weir.KEY, max_retries=0)
    return client.responses.create(model=name, input=text, **members)


class TestResponses:
    """Calls that go on as they came."""

    def test_prompts_and_whole_answers(self, safety):
        with pytest.raises(openai.BadRequestError) as caught:
            respond(safety.name, "a FORBIDDEN thing")
        assert caught.value.body["content_filters"][0]["content_filter_results"]["violence"] == HIGH
        safety.upstream.script(safety.name, {"text": "such a FORBIDDEN answer"}, {"text": "so UNWELL it is"})
        left = respond(safety.name)
        assert left.incomplete_details.reason == "content_filter" and left.output_text == ""
        assert left.model_dump()["content_filters"][1]["content_filter_results"]["violence"] == HIGH
        with pytest.raises(openai.InternalServerError) as caught:
            respond(safety.name)
        assert caught.value.code == "content_filter_error"

    def test_streams(self, safety):
        words = " ".join(f"word{i}" for i in range(150))
        safety.upstream.script(safety.name, {"text": f"{words} FORBIDDEN tail", "pace": 0.002}, {"text": words},
                               {"text": "so UNWELL it is"})
        events = list(respond(safety.name, stream=True))
        text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
        assert text.startswith("word0 word1") and words.startswith(text.rstrip()) and "FORBIDDEN" not in text
        assert events[-1].type == "response.incomplete"
        events = list(respond(safety.name, stream=True))
        assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == words
        assert events[-1].type == "response.completed"
        with pytest.raises(openai.APIError) as caught:
            list(respond(safety.name, stream=True))
        assert caught.value.code == "content_filter_error"


class TestModeration:
    def test_prompts(self, moderation):
        with pytest.raises(openai.BadRequestError) as caught:
            say(moderation.name, "a FORBIDDEN thing")
        assert caught.value.body["innererror"]["content_filter_result"]["violence"] == HIGH
        asked = moderation.asked()[-1]
        assert asked["headers"]["authorization"] == "Bearer sk-safety" and asked["path"] == "/v1/moderations"
        assert '"model":"omni-moderation-latest"' in asked["body"]

    def test_a_stream_with_the_filter_beside_it(self, moderation):
        words = " ".join(f"word{i}" for i in range(150))
        moderation.upstream.script(moderation.name, {"text": f"{words} FORBIDDEN tail tail", "pace": 0.002})
        events = weir.call(weir.SURFACES[1].chat(moderation.name), weir.ask("one", stream=True)).events()
        text = "".join((c.get("delta") or {}).get("content") or "" for e in events for c in e["choices"])
        assert text.startswith(words)
        last = events[-1]["choices"][0]
        assert last["finish_reason"] == "content_filter" and last["content_filter_results"]["violence"] == HIGH

    def test_its_failure_opens_and_is_told(self, moderation):
        moderation.upstream.script(moderation.name, {"text": "fine"})
        for prompt in ("UNWELL", "SLOW"):
            answer = say(moderation.name, prompt).model_dump()
            assert answer["choices"][0]["message"]["content"] == "fine"
            results = answer["prompt_filter_results"][0]["content_filter_results"]
            assert results["error"]["code"] == "content_filter_error", prompt


class TestDeployment:
    def test_a_guard_model_judges_and_is_metered(self, guarded):
        guarded.upstream.script(guarded.guard, {"text": "unsafe S1,S10"})
        with pytest.raises(openai.BadRequestError) as caught:
            say(guarded.name, "whatever")
        result = caught.value.body["innererror"]["content_filter_result"]
        assert result["violence"] == HIGH and result["hate"] == HIGH and result["sexual"]["filtered"] is False
        guarded.upstream.script(guarded.guard, {"text": "safe"}, {"text": "unsafe S11"})
        choice = say(guarded.name, "whatever").choices[0]
        assert choice.finish_reason == "content_filter" and choice.content_filter_results["self_harm"] == HIGH
        shown = guarded.upstream.requests(guarded.guard)[-1]["body"]
        assert '"role":"assistant"' in shown and '"model":"' + guarded.guard in shown
        row = weir.usage_soon(guarded.guard, 3)
        assert row["total_tokens"] > 0

    def test_a_stream(self, guarded):
        guarded.upstream.script(guarded.guard, {"text": "safe"})
        guarded.upstream.script(guarded.name, {"text": "one two three"})
        plain = "".join(c.choices[0].delta.content or "" for c in say(guarded.name, stream=True) if c.choices)
        assert plain == "one two three"


WORKSPACE = ("/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/weir/providers"
             "/Microsoft.MachineLearningServices/workspaces/default/serverlessEndpoints")


def test_a_serverless_endpoint_names_its_own(safety):
    """`contentSafety.weirClassifier`; the classifier named `default` is not asked for it."""
    model = json.loads(weir.manage("GET", f"{weir.CATALOG}/{safety.name}").text)["registry_id"]
    at = f"{WORKSPACE}/{safety.name}-sl?api-version=2024-10-01"
    body = {"location": "eastus2", "sku": {"name": "Consumption"}, "properties": {
        "modelSettings": {"modelId": model}, "contentSafety": {"weirClassifier": safety.name}}}
    refused = weir.manage("PUT", at, {**body, "properties": {**body["properties"], "contentSafety": {"weirClassifier": "nobody"}}})
    assert refused.status == 400 and "properties.contentSafety.weirClassifier" in refused.text
    try:
        made = weir.done(weir.manage("PUT", at, body))
        assert made["properties"]["contentSafety"] == {"contentSafetyStatus": "Enabled", "weirClassifier": safety.name}
        key = weir.done(weir.manage("POST", at.replace("?", "/listKeys?"), {}))["primaryKey"]
        client = openai.OpenAI(base_url=f"{weir.URL}/serverless/{safety.name}-sl/v1", api_key=key, max_retries=0)
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(model="x", messages=[{"role": "user", "content": "a FORBIDDEN thing"}])
        assert caught.value.body["innererror"]["content_filter_result"]["violence"] == HIGH
        safety.upstream.script(safety.name, {"text": "such a FORBIDDEN answer"})
        choice = client.chat.completions.create(model="x", messages=[{"role": "user", "content": "one"}]).choices[0]
        assert choice.finish_reason == "content_filter" and not choice.message.content
    finally:
        weir.manage("DELETE", at)


class TestManagement:
    def test_what_is_wrong_is_named(self):
        name = weir.fresh("bad")
        rows = [({}, "service"), ({"service": "x"}, "service"),
                ({"service": "openai-moderation"}, "api_key"),
                ({"service": "openai-moderation", "api_key_plaintext": "k", "deployment": "d"}, "deployment"),
                ({"service": "azure-content-safety", "api_key_plaintext": "k"}, "endpoint"),
                ({"service": "azure-content-safety", "endpoint": "http://169.254.169.254", "api_key_plaintext": "k"}, "endpoint"),
                ({"service": "deployment", "deployment": "nowhere"}, "deployment"),
                ({"service": "deployment", "deployment": "demo-chat", "hazards": {"S2": "gore"}}, "hazards.S2"),
                ({"service": "deployment", "deployment": "demo-chat", "deadline_ms": 5}, "deadline_ms"),
                ({"service": "deployment", "deployment": "demo-chat", "on_failure": "maybe"}, "on_failure")]
        for body, path in rows:
            answer = weir.manage("PUT", f"{CLASSIFIERS}/{name}", body)
            assert answer.status == 400 and path in [d["path"] for d in answer.json()["error"]["details"]], (body, answer)
        assert weir.manage("GET", f"{CLASSIFIERS}/{name}").status == 404
        policy = {"properties": {"weirClassifier": name}}
        answer = weir.manage("PUT", weir.arm(f"/raiPolicies/{name}"), policy)
        assert answer.status == 400 and "properties.weirClassifier" in answer.text

    def test_one_that_is_used_stays(self, safety):
        assert weir.manage("DELETE", f"{CLASSIFIERS}/{safety.name}").status == 409
        shown = weir.done(weir.manage("GET", f"{CLASSIFIERS}/{safety.name}"))
        assert shown["on_failure"] == "closed" and shown["deadline_ms"] == 2000 and "api_key_plaintext" not in shown
        assert safety.name in [c["name"] for c in weir.done(weir.manage("GET", CLASSIFIERS))["classifiers"]]
