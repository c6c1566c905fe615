"""Guardrails of serving endpoints, by Databricks' own SDK and over the wire (`databricks.md`, 7.1 to 7.3)."""

from __future__ import annotations

import json

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import BadRequest
from databricks.sdk.service import serving

import weir

MAIL = "mail jane@example.org"


@pytest.fixture(scope="module")
def client() -> WorkspaceClient:
    return WorkspaceClient(host=weir.URL, token=weir.ADMIN, auth_type="pat")


def guard(client: WorkspaceClient, name: str, **sides: serving.AiGatewayGuardrailParameters) -> None:
    client.serving_endpoints.put_ai_gateway(name, guardrails=serving.AiGatewayGuardrails(**sides))
    # A change is seen everywhere within five seconds.
    weir.time.sleep(5)


def params(behavior: str = "NONE", **members) -> serving.AiGatewayGuardrailParameters:
    pii = serving.AiGatewayGuardrailPiiBehavior(behavior=serving.AiGatewayGuardrailPiiBehaviorBehavior(behavior))
    return serving.AiGatewayGuardrailParameters(pii=pii, **members)


def ask(client: WorkspaceClient, name: str, text: str):
    message = serving.ChatMessage(role=serving.ChatMessageRole.USER, content=text)
    return client.serving_endpoints.query(name, messages=[message])


def test_personal_data_and_safety_are_stopped(client, endpoint):
    guard(client, endpoint.name, input=params("BLOCK", safety=True, invalid_keywords=["nimbus"]), output=params("BLOCK"))
    with pytest.raises(BadRequest) as caught:
        ask(client, endpoint.name, MAIL)
    told = json.loads(str(caught.value))
    assert told["finishReason"] == "input_guardrail_triggered"
    assert told["input_guardrail"][0] == {
        "flagged": False, "categories": None, "category_scores": None, "pii_detection": True,
        "anonymized_input": [{"role": "user", "content": "mail <EMAIL_ADDRESS>"}]}
    for text, category in [("I want to die", "self_harm"), ("what of Nimbus?", "invalid_keywords")]:
        with pytest.raises(BadRequest) as caught:
            ask(client, endpoint.name, text)
        told = json.loads(str(caught.value))["input_guardrail"][0]
        assert told["flagged"] is True and told["categories"][category] is True and told["pii_detection"] is False
    assert endpoint.requests() == [], "the model is not asked"
    endpoint.script({"text": MAIL})
    with pytest.raises(BadRequest) as caught:
        ask(client, endpoint.name, "hello")
    told = json.loads(str(caught.value))
    assert told["finishReason"] == "output_guardrail_triggered" and told["usage"]["total_tokens"] > 0
    answer = weir.call(f"/serving-endpoints/{endpoint.name}/invocations", weir.ask("hello", stream=True))
    assert answer.status == 400 and json.loads(answer.json()["message"])["output_guardrail"]
    endpoint.script({"text": "one two three"})
    answer = weir.call(f"/serving-endpoints/{endpoint.name}/invocations", weir.ask("hello", stream=True))
    assert answer.looks_complete
    text = "".join((c.get("delta") or {}).get("content") or "" for e in answer.events() for c in e["choices"])
    assert text == "one two three"


def test_personal_data_is_masked(client, endpoint):
    guard(client, endpoint.name, input=params("MASK"), output=params("MASK"))
    endpoint.script({"text": "write to joe@example.org or pay by 4111 1111 1111 1111 now"})
    answer = ask(client, endpoint.name, MAIL)
    masked = "write to <EMAIL_ADDRESS> or pay by <CREDIT_CARD> now"
    assert answer.choices[0].message.content == masked
    assert json.loads(endpoint.requests()[-1]["body"])["messages"][0]["content"] == "mail <EMAIL_ADDRESS>"
    stream = weir.call(f"/serving-endpoints/{endpoint.name}/invocations", weir.ask("hello", stream=True))
    text = "".join((c.get("delta") or {}).get("content") or "" for e in stream.events() for c in e["choices"])
    assert text == masked and stream.looks_complete


def test_topics_need_a_model_that_understands(client, endpoint):
    answer = weir.manage("PUT", f"{weir.ENDPOINTS}/{endpoint.name}/ai-gateway",
                         {"guardrails": {"input": {"valid_topics": ["rivers"]}}})
    assert answer.status == 400 and "valid_topics" in answer.text
