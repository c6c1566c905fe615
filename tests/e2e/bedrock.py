"""An emulated Amazon Bedrock: Converse, ConverseStream and InvokeModel for embeddings, as strict as the service.

Signatures are checked by AWS's own code (botocore, `SigV4Auth`), bodies against AWS's own description of the service
(botocore's service model: required members, types, lengths; an unknown member is refused). What that description does not
say is said here: turns alternate and begin with the user, texts are not blank, turns with tools need a tool
configuration, each call has its result. `test_bedrock.py` shows that AWS's client, unpatched, is content with it.

Steps of a script: `text`; `reasoning`; `throttle`, `fail`: an error's status and kind; `exception_after`: an exception
event (`exception`: of this kind) after so many text events; `cut_after`: the connection is reset there; `end_after`: the body ends there.

Source: AWS API reference of bedrock-runtime; botocore 1.44.5.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import struct
import zlib
from typing import Any, Iterator
from urllib.parse import unquote

import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.validate import ParamValidator

from emulated import Call, Json, Provider, Refused

ACCESS, SECRET, REGION = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "us-east-1"
API_KEY = "bedrock-api-key-emulated"
# Keys for a while: no call of theirs is taken without their token, and the token is signed.
TEMPORARY, TOKEN = "ASIAEXAMPLE", "IQoJb3JpZ2luX2VjE-emulated//session+token=="
STATUS = {"ThrottlingException": 429, "ModelTimeoutException": 408, "ModelErrorException": 424,
          "InternalServerException": 500, "ServiceUnavailableException": 503, "ValidationException": 400,
          "AccessDeniedException": 403, "ResourceNotFoundException": 404, "ServiceQuotaExceededException": 400}
SERVICE = botocore.session.get_session().get_service_model("bedrock-runtime")


def refuse(kind: str, message: str, status: int | None = None) -> Refused:
    return Refused(status or STATUS[kind], {"message": message}, {"x-amzn-errortype": f"{kind}:http://internal.amazon.com/x/"})


def invalid(message: str) -> Refused:
    return refuse("ValidationException", message)


# ------------------------------------------------------------------------------------------------------ who calls


class SignedAt(SigV4Auth):
    """AWS's signer, at the time that the request names instead of now."""

    def __init__(self, stamp: str) -> None:
        super().__init__(Credentials(ACCESS, SECRET), "bedrock", REGION)
        self.stamp = stamp

    def signature_of(self, request: AWSRequest) -> str:
        request.context["timestamp"] = self.stamp
        canonical = self.canonical_request(request)
        return self.signature(self.string_to_sign(request, canonical), request)


def authenticate(call: Call) -> None:
    shown = call.headers.get("authorization", "")
    if shown == f"Bearer {API_KEY}":
        return
    if not shown.startswith("AWS4-HMAC-SHA256 "):
        raise refuse("UnrecognizedClientException", "Missing Authentication Token", 403)
    parts = dict(part.strip().split("=", 1) for part in shown.removeprefix("AWS4-HMAC-SHA256 ").split(","))
    stamp = call.headers.get("x-amz-date", "")
    access = parts["Credential"].partition("/")[0]
    if parts["Credential"] != f"{access}/{stamp[:8]}/{REGION}/bedrock/aws4_request" or access not in (ACCESS, TEMPORARY):
        raise refuse("UnrecognizedClientException", "The security token included in the request is invalid.", 403)
    when = datetime.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
    if abs((datetime.datetime.now(datetime.timezone.utc) - when).total_seconds()) > 300:
        raise refuse("InvalidSignatureException", "Signature expired", 403)
    names = parts["SignedHeaders"].split(";")
    token = call.headers.get("x-amz-security-token")
    if (token, "x-amz-security-token" in names) != ((TOKEN, True) if access == TEMPORARY else (None, False)):
        raise refuse("UnrecognizedClientException", "The security token included in the request is invalid.", 403)
    if "host" not in names or "x-amz-date" not in names:
        raise refuse("InvalidSignatureException", "'Host' must be a 'SignedHeader' in the AWS Authorization.", 403)
    request = AWSRequest(call.method, f"http://{call.headers['host']}{call.target}", data=call.body,
                         headers={name: call.headers[name] for name in names if name != "host"})
    if SignedAt(stamp).signature_of(request) != parts["Signature"]:
        raise refuse("InvalidSignatureException", "The request signature we calculated does not match.", 403)


# ------------------------------------------------------------------------------------------------- what is accepted


def known(value: Any, shape: Any, path: str = "") -> Any:
    """The value as AWS's validator takes it (blobs as bytes); a member that the shape does not know is refused."""
    if shape.type_name == "structure" and not getattr(shape, "is_document_type", False):
        if not isinstance(value, dict):
            raise invalid(f"{path}: not an object")
        for name in value:
            if name not in shape.members:
                raise invalid(f"extraneous key [{name}] is not permitted at {path or '#'}")
        return {name: known(inner, shape.members[name], f"{path}/{name}") for name, inner in value.items()}
    if shape.type_name == "list":
        if not isinstance(value, list):
            raise invalid(f"{path}: not a list")
        return [known(inner, shape.member, f"{path}/{at}") for at, inner in enumerate(value)]
    if shape.type_name == "blob":
        return base64.b64decode(value, validate=True)
    if getattr(shape, "enum", None) and value not in shape.enum:
        raise invalid(f"{path}: {value!r} is none of {shape.enum}")
    return value


def check(operation: str, model: str, body: Json) -> None:
    shape = SERVICE.operation_model(operation).input_shape
    report = ParamValidator().validate(known({**body, "modelId": model}, shape), shape)
    if report.has_errors():
        raise invalid(report.generate_report())
    messages = body.get("messages") or []
    if not messages or messages[0]["role"] != "user":
        raise invalid("A conversation must start with a user message.")
    waiting: set[str] = set()
    uses_tools = False
    for before, message in zip([{"role": "assistant"}, *messages], messages):
        if before["role"] == message["role"]:
            raise invalid("A conversation must alternate between user and assistant roles.")
        if not message["content"]:
            raise invalid("The content field in the Message object is empty.")
        given = {block["toolResult"]["toolUseId"] for block in message["content"] if "toolResult" in block}
        if message["role"] == "user" and given != waiting:
            raise invalid(f"Expected toolResult blocks for {waiting}, got {given}.")
        waiting = {block["toolUse"]["toolUseId"] for block in message["content"] if "toolUse" in block}
        uses_tools = uses_tools or bool(given or waiting)
        for block in message["content"]:
            if len(block) != 1:
                raise invalid("A content block must have exactly one member.")
            if not block.get("text", "x").strip():
                raise invalid("The text field in the ContentBlock object is blank.")
            reasoning = block.get("reasoningContent", {}).get("reasoningText")
            if reasoning and reasoning.get("signature") != sign(reasoning["text"]):
                raise invalid("Invalid `signature` in `thinking` block")
    if uses_tools and not body.get("toolConfig"):
        raise invalid("The toolConfig field must be defined when using toolUse and toolResult content blocks.")
    limits = body.get("inferenceConfig", {})
    for name in ("temperature", "topP"):
        if not 0 <= limits.get(name, 0) <= 1:
            raise invalid(f"The value of {name} is out of range.")


def sign(reasoning: str) -> str:
    return base64.b64encode(hashlib.sha256(reasoning.encode()).digest()).decode()


# ------------------------------------------------------------------------------------------------- what is answered


def blocks_of(body: Json, step: Json) -> tuple[list[Json], str]:
    """The model's blocks and why it stopped: an echo of the last turn, or the first tool, if none was used just now."""
    blocks: list[Json] = []
    if step.get("reasoning"):
        text = {"text": step["reasoning"], "signature": sign(step["reasoning"])}
        blocks.append({"reasoningContent": {"reasoningText": text}})
    last = body["messages"][-1]["content"]
    config = body.get("toolConfig")
    if config and not any("toolResult" in block for block in last):
        spec = config["tools"][0]["toolSpec"]
        use = {"toolUseId": "tooluse_1", "name": spec["name"], "input": {"city": "Oslo"}}
        return [*blocks, {"text": "Let me look."}, {"toolUse": use}], "tool_use"
    seen = [described(block) for block in last]
    words = str(step.get("text") or " ".join(["echo:", *seen])).split()
    limit = body.get("inferenceConfig", {}).get("maxTokens")
    cut = limit is not None and limit < len(words)
    return [*blocks, {"text": " ".join(words[:limit])}], "max_tokens" if cut else "end_turn"


def described(block: Json) -> str:
    if "text" in block:
        return block["text"]
    if "image" in block:
        return f"[{block['image']['format']} of {len(base64.b64decode(block['image']['source']['bytes']))} bytes]"
    if "toolResult" in block:
        return "result: " + " ".join(part.get("text", "") for part in block["toolResult"]["content"])
    return f"[{next(iter(block))}]"


def usage_of(body: Json, blocks: list[Json]) -> Json:
    words = sum(len(described(block).split()) for message in body["messages"] for block in message["content"])
    cached = 3 if any("cachePoint" in block for message in body["messages"] for block in message["content"]) else 0
    out = sum(len(json.dumps(block).split()) for block in blocks)
    return {"inputTokens": words, "outputTokens": out, "totalTokens": words + out + cached,
            "cacheReadInputTokens": cached, "cacheWriteInputTokens": 0}


def message(kind: str, name: str, payload: Json) -> bytes:
    """One message of the binary stream."""
    headers = b""
    for key, value in ((f":{kind}-type", name), (":content-type", "application/json"), (":message-type", kind)):
        headers += bytes([len(key)]) + key.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
    data = json.dumps(payload).encode()
    prelude = struct.pack(">II", len(headers) + len(data) + 16, len(headers))
    whole = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + data
    return whole + struct.pack(">I", zlib.crc32(whole))


def events_of(body: Json, step: Json) -> Iterator[bytes | None]:
    blocks, reason = blocks_of(body, step)
    padded = lambda payload: {**payload, "p": "abcdefgh"}
    yield message("event", "messageStart", padded({"role": "assistant"}))
    sent = 0
    for index, block in enumerate(blocks):
        at = {"contentBlockIndex": index}
        deltas: list[Json] = []
        if "text" in block:
            words = block["text"].split(" ")
            deltas = [{"text": word if i == 0 else f" {word}"} for i, word in enumerate(words)]
        elif "reasoningContent" in block:
            text = block["reasoningContent"]["reasoningText"]
            deltas = [{"reasoningContent": {"text": text["text"]}}, {"reasoningContent": {"signature": text["signature"]}}]
        else:
            use = block["toolUse"]
            start = {"toolUse": {"toolUseId": use["toolUseId"], "name": use["name"]}}
            yield message("event", "contentBlockStart", padded({**at, "start": start}))
            whole = json.dumps(use["input"])
            deltas = [{"toolUse": {"input": piece}} for piece in (whole[:5], whole[5:])]
        for delta in deltas:
            if sent == step.get("exception_after"):
                kind = step.get("exception", "modelStreamErrorException")
                yield message("exception", kind, {"message": "The model broke at 10.0.0.7"})
                return
            if sent == step.get("cut_after"):
                yield None
                return
            if sent == step.get("end_after"):
                return
            sent += 1
            yield message("event", "contentBlockDelta", padded({**at, "delta": delta}))
        yield message("event", "contentBlockStop", padded(at))
    yield message("event", "messageStop", padded({"stopReason": reason}))
    yield message("event", "metadata", padded({"usage": usage_of(body, blocks), "metrics": {"latencyMs": 5}}))


def vector(text: str, size: int) -> list[float]:
    digest = hashlib.sha256(text.encode()).digest()
    return [digest[i % 32] / 256 for i in range(size)]


def embedded(model: str, body: Json) -> Json:
    if model.startswith("cohere."):
        if set(body) - {"texts", "input_type", "truncate", "embedding_types", "output_dimension"}:
            raise invalid(f"extraneous keys {sorted(body)}")
        if body.get("input_type") not in ("search_document", "search_query", "classification", "clustering"):
            raise invalid("required key [input_type] not found")
        return {"id": "e", "texts": body["texts"], "embeddings": [vector(text, 4) for text in body["texts"]],
                "response_type": "embeddings_floats"}
    if set(body) - {"inputText", "dimensions", "normalize", "embeddingTypes"} or not body.get("inputText"):
        raise invalid("Malformed input request, please reformat your input and try again.")
    return {"embedding": vector(body["inputText"], body.get("dimensions", 8)),
            "inputTextTokenCount": len(body["inputText"].split())}


class Bedrock(Provider):
    def serve(self, call: Call) -> None:
        parts = call.target.split("/")
        if call.method != "POST" or len(parts) != 4 or parts[1] != "model":
            raise refuse("UnknownOperationException", "Unknown operation", 404)
        authenticate(call)
        model, verb = unquote(parts[2]), parts[3]
        if ":" in parts[2]:
            raise invalid("the model's name is not encoded")
        body = call.json()
        self.note(call, model, body)
        step = self.step(model)
        if "fail" in step:
            raise refuse(step["fail"], f"{step['fail']} at arn:aws:bedrock:us-east-1:123456789012:x")
        if verb == "invoke":
            return call.answer(200, embedded(model, body))
        check({"converse": "Converse", "converse-stream": "ConverseStream"}[verb], model, body)
        if verb == "converse-stream":
            return call.stream("application/vnd.amazon.eventstream", events_of(body, step))
        blocks, reason = blocks_of(body, step)
        call.answer(200, {"output": {"message": {"role": "assistant", "content": blocks}}, "stopReason": reason,
                          "usage": usage_of(body, blocks), "metrics": {"latencyMs": 5}}, {"x-amzn-requestid": "r-1"})
