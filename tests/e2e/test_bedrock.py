"""Amazon Bedrock: the emulated service satisfies AWS's own client, and Weir in front of it the clients of its callers."""

from __future__ import annotations

import base64
import json

import boto3
import openai
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

import bedrock
import weir

TOOL = {"type": "function", "function": {"name": "weather", "description": "Get it", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}
SPEC = {"toolSpec": {"name": "weather", "inputSchema": {"json": {"type": "object"}}}}
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(20)).decode()


@pytest.fixture(scope="module")
def service():
    service = bedrock.Bedrock()
    yield service
    service.close()


def aws(service, secret: str = bedrock.SECRET, access: str = bedrock.ACCESS, token: str | None = None):
    return boto3.client("bedrock-runtime", region_name=bedrock.REGION, endpoint_url=service.url,
                        aws_access_key_id=access, aws_secret_access_key=secret, aws_session_token=token,
                        config=Config(retries={"max_attempts": 0}))


def turn(text: str, role: str = "user"):
    return {"role": role, "content": [{"text": text}]}


class TestTheVendorsClient:
    """boto3, unpatched, against the emulated service: that is what the emulation is worth."""

    def test_converse_answers(self, service):
        answer = aws(service).converse(modelId="amazon.nova-lite-v1:0", messages=[turn("one two")],
                                       inferenceConfig={"maxTokens": 2})
        assert answer["output"]["message"]["content"] == [{"text": "echo: one"}] and answer["stopReason"] == "max_tokens"
        assert answer["usage"]["inputTokens"] == 2

    def test_converse_streams(self, service):
        stream = aws(service).converse_stream(modelId="m", messages=[turn("Hi")], toolConfig={"tools": [SPEC]})["stream"]
        events = list(stream)
        assert [next(iter(event)) for event in events][:1] == ["messageStart"]
        given = "".join(e["contentBlockDelta"]["delta"].get("toolUse", {}).get("input", "") for e in events
                        if "contentBlockDelta" in e)
        assert json.loads(given) == {"city": "Oslo"} and "metadata" in events[-1]

    def test_an_image_is_bytes(self, service):
        block = {"image": {"format": "png", "source": {"bytes": base64.b64decode(PNG)}}}
        answer = aws(service).converse(modelId="m", messages=[{"role": "user", "content": [block]}])
        assert answer["output"]["message"]["content"][0]["text"] == "echo: [png of 28 bytes]"

    def test_an_exception_event_is_raised(self, service):
        service.script("exc", {"exception_after": 1})
        with pytest.raises(EventStreamError, match="modelStreamErrorException"):
            list(aws(service).converse_stream(modelId="exc", messages=[turn("one two")])["stream"])

    def test_errors_have_their_kinds(self, service):
        service.script("slow", {"fail": "ThrottlingException"})
        with pytest.raises(ClientError) as raised:
            aws(service).converse(modelId="slow", messages=[turn("Hi")])
        assert raised.value.response["Error"]["Code"] == "ThrottlingException"
        with pytest.raises(ClientError) as raised:
            aws(service, "wrong").converse(modelId="m", messages=[turn("Hi")])
        assert raised.value.response["Error"]["Code"] == "InvalidSignatureException"
        with pytest.raises(ClientError) as raised:
            aws(service).converse(modelId="m", messages=[turn("Hi"), turn("again")])
        assert raised.value.response["Error"]["Code"] == "ValidationException"

    def test_temporary_keys_need_their_token(self, service):
        answer = aws(service, access=bedrock.TEMPORARY, token=bedrock.TOKEN).converse(modelId="m", messages=[turn("Hi")])
        assert answer["output"]["message"]["content"] == [{"text": "echo: Hi"}]
        for token in (None, "another"):
            with pytest.raises(ClientError, match="security token"):
                aws(service, access=bedrock.TEMPORARY, token=token).converse(modelId="m", messages=[turn("Hi")])

    def test_titan_embeds(self, service):
        body = json.dumps({"inputText": "one two", "dimensions": 3})
        answer = aws(service).invoke_model(modelId="amazon.titan-embed-text-v2:0", body=body)
        assert json.loads(answer["body"].read())["inputTextTokenCount"] == 2


def external(service, model: str, task: str = "llm/v1/chat", **members):
    config = {"aws_region": bedrock.REGION, "bedrock_provider": "amazon", "bedrock_api_base": service.url,
              "aws_access_key_id_plaintext": bedrock.ACCESS, "aws_secret_access_key_plaintext": bedrock.SECRET, **members}
    config = {name: value for name, value in config.items() if value is not None}
    return {"name": model, "provider": "amazon-bedrock", "task": task, "amazon_bedrock_config": config}


@pytest.fixture
def endpoint(service):
    name, model = weir.fresh("bedrock"), f"amazon.{weir.fresh('nova')}-v1:0"
    weir.create_endpoint(name, [external(service, model)])
    yield name, model
    weir.delete_endpoint(name)


def client() -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{weir.URL}/v1", api_key=weir.KEY, max_retries=0, timeout=20)


def said(chunks) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


class TestThroughWeir:
    def test_chat(self, service, endpoint):
        name, model = endpoint
        answer = client().chat.completions.create(
            model=name, max_tokens=3, temperature=1.5, stop=["END"], seed=7,
            messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "one two three"}])
        assert answer.choices[0].message.content == "echo: one two" and answer.choices[0].finish_reason == "length"
        assert answer.usage.prompt_tokens == 3 and answer.model == model and answer.id
        asked = service.requests(model)[-1]
        assert "/model/amazon.nova" in asked["target"] and "%3A0/converse" in asked["target"]
        assert asked["body"]["system"] == [{"text": "Be brief."}]
        assert asked["body"]["inferenceConfig"] == {"maxTokens": 3, "temperature": 1, "stopSequences": ["END"]}
        raw = weir.call("/v1/chat/completions", weir.ask("x", name, seed=1, temperature=2))
        assert raw.headers["x-weir-adjusted"] == "temperature" and raw.headers["x-weir-dropped"] == "seed"

    def test_a_stream(self, service, endpoint):
        name, model = endpoint
        service.script(model, {"reasoning": "Hm."})
        chunks = list(client().chat.completions.create(
            model=name, stream=True, stream_options={"include_usage": True},
            messages=[{"role": "user", "content": "one two é"}]))
        assert said(chunks) == "echo: one two é"
        assert "".join((c.choices[0].delta.model_extra or {}).get("reasoning_content", "") for c in chunks if c.choices) == "Hm."
        assert chunks[-1].usage.prompt_tokens == 3 and chunks[-2].choices[0].finish_reason == "stop"

    def test_a_tools_loop_with_reasoning(self, service, endpoint):
        name, model = endpoint
        service.script(model, {"reasoning": "I must look."})
        messages = [{"role": "user", "content": "Weather?"}]
        answer = client().chat.completions.create(model=name, messages=messages, tools=[TOOL])
        call = answer.choices[0].message.tool_calls[0]
        assert answer.choices[0].finish_reason == "tool_calls" and json.loads(call.function.arguments) == {"city": "Oslo"}
        # The signed reasoning goes back with the turn, or the service would refuse it.
        messages += [answer.choices[0].message.model_dump(exclude_none=True),
                     {"role": "tool", "tool_call_id": call.id, "content": "Sunny"}]
        answer = client().chat.completions.create(model=name, messages=messages, tools=[TOOL])
        assert answer.choices[0].message.content == "echo: result: Sunny"

    def test_a_streamed_call(self, service, endpoint):
        name, _ = endpoint
        with client().chat.completions.stream(model=name, messages=[{"role": "user", "content": "Hi"}], tools=[TOOL]) as stream:
            message = stream.get_final_completion().choices[0].message
        assert message.content == "Let me look." and json.loads(message.tool_calls[0].function.arguments) == {"city": "Oslo"}

    def test_an_image(self, service, endpoint):
        part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
        answer = client().chat.completions.create(model=endpoint[0], messages=[{"role": "user", "content": [part]}])
        assert answer.choices[0].message.content == "echo: [png of 28 bytes]"
        part["image_url"]["url"] = "https://example.com/a.png"
        with pytest.raises(openai.BadRequestError, match="messages.0.content.0"):
            client().chat.completions.create(model=endpoint[0], messages=[{"role": "user", "content": [part]}])

    def test_a_text_completion(self, service, endpoint):
        answer = client().completions.create(model=endpoint[0], prompt="one two", max_tokens=2)
        assert answer.choices[0].text == "echo: one" and answer.choices[0].finish_reason == "length"

    def test_what_the_service_refuses_is_the_callers(self, service, endpoint):
        messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "x", "thinking_blocks": [
            {"type": "thinking", "thinking": "forged", "signature": "no"}]}, {"role": "user", "content": "So?"}]
        with pytest.raises(openai.BadRequestError, match="Invalid `signature`"):
            client().chat.completions.create(model=endpoint[0], messages=messages)

    def test_throttling_is_tried_again_then_told(self, service, endpoint):
        name, model = endpoint
        service.script(model, {"fail": "ThrottlingException"}, {})
        assert said_once(name) == "echo: Hi"
        service.script(model, {"fail": "ThrottlingException"})
        with pytest.raises(openai.RateLimitError) as raised:
            said_once(name)
        assert "arn:aws" not in str(raised.value) and "127.0.0.1" not in str(raised.value)

    @pytest.mark.parametrize("step", [{"exception_after": 2}, {"cut_after": 2}, {"end_after": 2}], ids=lambda s: next(iter(s)))
    def test_a_broken_stream_never_looks_whole(self, service, endpoint, step):
        name, model = endpoint
        service.script(model, step)
        answer = weir.call("/v1/chat/completions", weir.ask("one two three", name, stream=True))
        assert not answer.looks_complete and b"10.0.0.7" not in answer.body, answer
        stream = client().chat.completions.create(model=name, stream=True, messages=[{"role": "user", "content": "a b c"}])
        with pytest.raises(openai.APIError):
            list(stream)

    def test_a_wrong_secret_is_the_gateways_fault(self, service):
        name = weir.fresh("wrong")
        weir.create_endpoint(name, [external(service, "m", aws_secret_access_key_plaintext="wrong")])
        answer = weir.call("/v1/chat/completions", weir.ask("Hi", name))
        assert answer.status == 502 and "wrong" not in answer.json()["error"]["message"], answer
        weir.delete_endpoint(name)

    def test_temporary_keys(self, service):
        for token, status in ((bedrock.TOKEN, 200), ("another", 502)):
            name = weir.fresh("temporary")
            weir.create_endpoint(name, [external(service, "m", aws_access_key_id_plaintext=bedrock.TEMPORARY,
                                                 aws_session_token_plaintext=token)])
            answer = weir.call("/v1/chat/completions", weir.ask("Hi", name))
            assert answer.status == status and token.encode() not in answer.body, answer
            weir.delete_endpoint(name)

    @pytest.mark.parametrize(("step", "status"), [({"exception_after": 0, "exception": "throttlingException"}, 429),
                                                  ({"exception_after": 0, "exception": "validationException"}, 400),
                                                  ({"exception_after": 0}, 502), ({"fail": "ServiceQuotaExceededException"}, 429)])
    def test_what_fails_before_it_says_anything_has_the_status_of_its_kind(self, service, endpoint, step, status):
        name, model = endpoint
        service.script(model, step)
        answer = weir.call("/v1/chat/completions", weir.ask("one", name, stream=True))
        assert answer.status == status and b"arn:" not in answer.body and b"10.0.0.7" not in answer.body, answer

    def test_an_api_key_instead(self, service):
        name = weir.fresh("key")
        weir.create_endpoint(name, [external(service, "m", aws_access_key_id_plaintext=None, aws_secret_access_key_plaintext=None,
                                             bedrock_api_key_plaintext=bedrock.API_KEY)])
        assert said_once(name) == "echo: Hi"
        weir.delete_endpoint(name)

    @pytest.mark.parametrize("model", ["amazon.titan-embed-text-v2:0", "cohere.embed-english-v3"])
    def test_embeddings(self, service, model):
        name = weir.fresh("embed")
        weir.create_endpoint(name, [external(service, model, "llm/v1/embeddings")])
        answer = client().embeddings.create(model=name, input="one two")
        assert answer.data[0].embedding == pytest.approx(bedrock.vector("one two", 8 if "titan" in model else 4))
        floats = client().embeddings.create(model=name, input=["one two", "three"], encoding_format="float")
        assert floats.data[0].embedding == answer.data[0].embedding and len(floats.data) == 2
        assert floats.data[1].embedding == pytest.approx(bedrock.vector("three", 8 if "titan" in model else 4))
        weir.delete_endpoint(name)

    def test_databricks_clients(self, service, endpoint, monkeypatch, tmp_path):
        from databricks.sdk import WorkspaceClient
        from databricks.sdk.service import serving as s

        monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))
        w = WorkspaceClient(host=weir.URL, token=weir.ADMIN)
        message = s.ChatMessage(role=s.ChatMessageRole.USER, content="one two")
        answer = w.serving_endpoints.query(name=endpoint[0], messages=[message], max_tokens=2)
        assert answer.choices[0].message.content == "echo: one"
        stored = w.serving_endpoints.get(endpoint[0]).as_dict()
        assert bedrock.SECRET not in json.dumps(stored) and bedrock.ACCESS not in json.dumps(stored)


def said_once(name: str) -> str:
    answer = client().chat.completions.create(model=name, messages=[{"role": "user", "content": "Hi"}])
    return answer.choices[0].message.content
