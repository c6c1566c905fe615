"""The Gemini API and Gemini at Vertex AI as their services take and answer them; and Google's and Microsoft's tokens.

Sources: ai.google.dev/api/generate-content, /embeddings; cloud.google.com/vertex-ai/docs/reference/rest; the client of PyPI
google-genai 3.4.0; developers.google.com/identity/protocols/oauth2/service-account; learn.microsoft.com/entra, client
credentials. Read 2026-11-22.
"""

from __future__ import annotations

import json
import re
import time
from typing import Any, Iterator
from urllib.parse import parse_qs, urlsplit

from dialects import KEY, Cut, Json, Refused, Reply, Wish, need, only

MEMBERS = {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings", "cachedContent", "labels"}
CONFIG = {"temperature", "topP", "topK", "maxOutputTokens", "stopSequences", "seed", "presencePenalty", "frequencyPenalty",
          "candidateCount", "responseMimeType", "responseSchema", "responseJsonSchema", "thinkingConfig", "responseLogprobs",
          "logprobs", "responseModalities"}
STATUS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
          429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED"}
MODEL = re.compile(r"/(v1|v1beta)/(?:projects/(?P<project>[^/]+)/locations/[^/]+/publishers/google/)?models/(?P<model>[^/:]+):(?P<method>\w+)")
#: Tokens that were given out, with when they end. The key of the service account is the test's: any signature of it will do.
TOKENS: dict[str, float] = {}


def owns(path: str) -> bool:
    return MODEL.match(path) is not None or path.endswith("/token")


def error(refused: Refused) -> tuple[int, Any, Json]:
    if refused.kind == "oauth":
        return refused.status, {"error": "invalid_grant", "error_description": refused.message}, {}
    details: list[Json] = []
    status = refused.status
    if refused.kind == "key":
        details.append({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"})
    if status == 429:
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.2s"})
    return status, {"error": {"code": status, "message": refused.message, "status": STATUS.get(status, "UNKNOWN"),
                              "details": details}}, {}


def answer(path: str, headers: Json, body: Any, raw: bytes) -> Reply:
    if path.endswith("/token"):
        return token(raw)
    found = MODEL.match(path)
    assert found is not None
    if found["project"]:
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        need(given(bearer), "Request had invalid authentication credentials.", 401)
    elif headers.get("x-goog-api-key") != KEY:
        raise Refused(400, "API key not valid. Please pass a valid API key.", "key")
    need(isinstance(body, dict), "Invalid JSON payload received.")
    body = camel(body)
    method = found["method"]
    if method == "batchEmbedContents":
        return embed(body)
    if method == "predict":
        return predict(body)
    if method == "countTokens":
        need(bool(body.get("contents")), "contents is not specified")
        return Reply({"totalTokens": 7})
    need(method in ("generateContent", "streamGenerateContent"), f"unknown method {method}", 404)
    check(body, bool(found["project"]))
    wish = Wish(last_text(body))
    wish.fails()
    if method == "streamGenerateContent":
        if parse_qs(urlsplit(path).query).get("alt") == ["sse"]:
            return Reply(events=stream(body, wish))
        return Reply([data for _, data in stream(body, wish)])
    return Reply(whole(body, wish, parts(body, wish), reason(wish)))


def given(bearer: str) -> bool:
    """Whether a token was given out and has not ended."""
    return TOKENS.get(bearer, 0) > time.time()


def token(raw: bytes) -> Reply:
    form = {name: values[0] for name, values in parse_qs(raw.decode()).items()}
    if form.get("grant_type") == "client_credentials":
        if form.get("client_secret") != KEY or not form.get("scope", "").endswith("/.default"):
            raise Refused(401, "AADSTS7000215: Invalid client secret provided.", "oauth")
    elif form.get("grant_type") == "urn:ietf:params:oauth:grant-type:jwt-bearer":
        signed(form["assertion"])
    else:
        raise Refused(400, "unsupported_grant_type", "oauth")
    name = f"ya29.{len(TOKENS)}"
    TOKENS[name] = time.time() + 3599
    return Reply({"access_token": name, "expires_in": 3599, "token_type": "Bearer"})


def signed(assertion: str) -> None:
    """Checks a service account's assertion as Google does; the public key is the one of the test's account."""
    import jwt

    try:
        claims = jwt.decode(assertion, PUBLIC[0], algorithms=["RS256"], options={"verify_aud": False}, leeway=60)
    except jwt.PyJWTError as fault:
        raise Refused(400, f"Invalid JWT Signature. {fault}", "oauth") from fault
    good = claims["iss"].endswith("gserviceaccount.com") and claims["exp"] - claims["iat"] <= 3600
    if not good or claims["scope"] != "https://www.googleapis.com/auth/cloud-platform" or not claims["aud"].endswith("/token"):
        raise Refused(400, "Invalid JWT: claims", "oauth")


PUBLIC: list[str] = []


def camel(value: Any) -> Any:
    """JSON of protocol buffers: both spellings of a name are one."""
    if isinstance(value, list):
        return [camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    same = {"args", "response", "parametersJsonSchema", "parameters_json_schema", "responseJsonSchema", "response_json_schema", "labels"}
    return {re.sub(r"_(\w)", lambda found: found[1].upper(), name): (inner if name in same else camel(inner))
            for name, inner in value.items()}


def check(body: Json, vertex: bool) -> None:
    only(body, MEMBERS, "body")
    config = body.get("generationConfig", {})
    only(config, CONFIG, "generationConfig")
    need(0 <= config.get("temperature", 1) <= 2, "temperature must be in the range [0.0, 2.0]")
    need(len(config.get("stopSequences", [])) <= 5, "too many stop sequences")
    need("responseJsonSchema" not in config or config.get("responseMimeType") == "application/json", "responseMimeType")
    thinking = config.get("thinkingConfig", {})
    need(not {"thinkingLevel", "thinkingBudget"} <= set(thinking), "thinking_budget and thinking_level are not supported together")
    for tool in body.get("tools", []):
        for function in tool.get("functionDeclarations", []):
            only(function, {"name", "description", "parameters", "parametersJsonSchema", "response", "behavior"}, "functionDeclarations")
    calling = body.get("toolConfig", {}).get("functionCallingConfig", {})
    need(calling.get("mode", "AUTO") in ("AUTO", "ANY", "NONE"), "mode")
    contents = body.get("contents")
    need(isinstance(contents, list) and bool(contents), "contents is not specified")
    last = None
    open_calls = 0
    for content in contents:
        role = content.get("role")
        need(role in ("user", "model") or (role is None and not vertex), "Please use a valid role: user, model.")
        need(role != last or role is None, "Please ensure that multiturn requests alternate between user and model.")
        last = role
        need(bool(content.get("parts")), "contents.parts must not be empty.")
        answered = sum("functionResponse" in part for part in content["parts"])
        need(answered == open_calls, "the number of function response parts should be equal to the number of function call parts")
        open_calls = sum("functionCall" in part for part in content["parts"])
        for part in content["parts"]:
            only(part, {"text", "inlineData", "fileData", "functionCall", "functionResponse", "thoughtSignature", "thought"}, "part")
            if "functionResponse" in part:
                need(isinstance(part["functionResponse"]["response"], dict), "function_response.response must be a struct")
                need(bool(part["functionResponse"]["name"]), "function_response.name is required")
            if "functionCall" in part:
                need(isinstance(part["functionCall"]["args"], dict), "function_call.args must be a struct")
                need(part.get("thoughtSignature") == "SIGN", "Function call is missing a thought_signature in functionCall parts.")


def last_text(body: Json) -> str:
    part = body["contents"][-1]["parts"][-1]
    if "functionResponse" in part:
        return "result " + json.dumps(part["functionResponse"]["response"])
    return part.get("text", "")


def parts(body: Json, wish: Wish) -> list[Json]:
    if wish.word == "call":
        name = body["tools"][0]["functionDeclarations"][0]["name"]
        return [{"functionCall": {"name": name, "args": json.loads(wish.rest)}, "thoughtSignature": "SIGN"}]
    thought = [{"text": "Hm.", "thought": True}] if wish.word == "think" else []
    return [*thought, {"text": wish.says()}]


def reason(wish: Wish) -> str:
    return "MAX_TOKENS" if wish.word == "short" else "STOP"


def whole(body: Json, wish: Wish, content: list[Json], finish: str | None) -> Json:
    out = len(wish.pieces())
    used = {"promptTokenCount": 10 + len(body["contents"]), "candidatesTokenCount": out, "cachedContentTokenCount": 4,
            "totalTokenCount": 10 + len(body["contents"]) + out}
    if wish.word == "think":
        used |= {"thoughtsTokenCount": 7, "totalTokenCount": used["totalTokenCount"] + 7}
    candidate = {"content": {"role": "model", "parts": content}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "usageMetadata": used, "modelVersion": "gemini-x-001", "responseId": "resp1"}


def stream(body: Json, wish: Wish) -> Iterator[tuple[str, Any]]:
    sent = 0
    for part in parts(body, wish):
        text = part.get("text")
        if text is None or part.get("thought"):
            yield "", whole(body, wish, [part], None)
            continue
        for at in range(0, len(text), 5):
            if sent == wish.number("break"):
                yield "", {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}
                return
            if sent == wish.number("cut"):
                raise Cut
            sent += 1
            yield "", whole(body, wish, [{"text": text[at:at + 5]}], None)
    yield "", whole(body, wish, [{"text": ""}], reason(wish))


def embed(body: Json) -> Reply:
    only(body, {"requests"}, "body")
    vectors = []
    for request in body["requests"]:
        only(request, {"model", "content", "taskType", "title", "outputDimensionality"}, "requests")
        need(request["model"].startswith("models/"), "model")
        vectors.append({"values": [0.5, -0.25, *[1.0] * (request.get("outputDimensionality", 2) - 2)]})
    need(1 <= len(vectors) <= 100, "at most 100 requests can be in one batch")
    return Reply({"embeddings": vectors})


def predict(body: Json) -> Reply:
    only(body, {"instances", "parameters"}, "body")
    only(body.get("parameters", {}), {"outputDimensionality", "autoTruncate"}, "parameters")
    for instance in body["instances"]:
        only(instance, {"content", "task_type", "taskType", "title"}, "instances")
    one = {"embeddings": {"values": [0.5, -0.25], "statistics": {"token_count": 3, "truncated": False}}}
    return Reply({"predictions": [one for _ in body["instances"]]})
