"""Anthropic Messages as its service takes and answers it, and as Vertex AI does, which has the model in the path.

Sources: platform.claude.com/docs/en/api/messages, /errors, /versioning, /claude-on-vertex-ai; the types of PyPI anthropic 2.12.0.
Read 2026-11-22.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any, Iterator

from dialects import KEY, Cut, Json, Refused, Reply, Wish, need, only

MEMBERS = {"model", "max_tokens", "messages", "system", "stream", "temperature", "top_p", "top_k", "stop_sequences",
           "metadata", "tools", "tool_choice", "thinking", "output_config", "service_tier", "container", "mcp_servers"}
MEDIA = {"image/jpeg", "image/png", "image/gif", "image/webp"}
TYPES = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
         413: "request_too_large", 429: "rate_limit_error", 500: "api_error", 504: "timeout_error", 529: "overloaded_error"}


VERTEX = re.compile(r"/v1/projects/[^/]+/locations/[^/]+/publishers/anthropic/models/(?P<model>[^/:]+):(?P<method>rawPredict|streamRawPredict)$")


def owns(path: str) -> bool:
    return path.startswith("/v1/messages") or VERTEX.match(path) is not None


def error(refused: Refused) -> tuple[int, Any, Json]:
    kind = TYPES.get(refused.status, "api_error")
    headers = {"request-id": "req_1", **({"retry-after": "1"} if refused.status == 429 else {})}
    return refused.status, {"type": "error", "error": {"type": kind, "message": refused.message}, "request_id": "req_1"}, headers


def answer(path: str, headers: Json, body: Any, _raw: bytes) -> Reply:
    found = VERTEX.match(path)
    if found is not None:
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        need(sys.modules["dialect_gemini"].given(bearer), "Request had invalid authentication credentials.", 401)
        need(isinstance(body, dict) and "model" not in body, "model: Extra inputs are not permitted")
        body = dict(body)
        version = {"vertex-2023-10-16": "2023-06-01", "2026-10-21": "2026-10-21"}.get(body.pop("anthropic_version", ""))
        need(version is not None, "anthropic_version: Field required")
        need(bool(body.get("stream")) == (found["method"] == "streamRawPredict"), "stream does not fit the method")
        body, headers = {**body, "model": found["model"]}, {"anthropic-version": version, "x-api-key": KEY}
    version = headers.get("anthropic-version")
    need(version in ("2023-06-01", "2026-10-21"), "anthropic-version: header is required")
    key = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
    need(key == KEY, "invalid x-api-key", 401)
    need(isinstance(body, dict), "The request body is not valid JSON")
    counting = path.startswith("/v1/messages/count_tokens")
    check(body, version, counting)
    if counting:
        return Reply({"input_tokens": tokens_in(body)})
    wish = Wish(last_text(body))
    wish.fails()
    if body.get("stream"):
        return Reply(events=stream(body, wish), headers={"request-id": "req_1"})
    content = blocks(body, wish)
    return Reply({"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"], "content": content,
                  "stop_reason": reason(wish, content), "stop_sequence": None, "usage": usage(body, wish)},
                 headers={"request-id": "req_1"})


def check(body: Json, version: str, counting: bool) -> None:
    only(body, MEMBERS, "body")
    need(isinstance(body.get("model"), str) and body["model"], "model: Field required")
    if not counting:
        limit = body.get("max_tokens")
        need(type(limit) is int and limit >= 1, "max_tokens: Field required")
    sampling = [name for name in ("temperature", "top_p", "top_k") if name in body]
    need(not (version == "2026-10-21" and sampling), f"{sampling}: not supported in this version")
    need(0 <= body.get("temperature", 0) <= 1, "temperature: range: 0..1")
    need(not {"temperature", "top_p"} <= set(body), "`temperature` and `top_p` cannot both be specified for this model.")
    need(all(isinstance(word, str) and word.strip() for word in body.get("stop_sequences", [])),
         "stop_sequences: each stop sequence must contain non-whitespace")
    for tool in body.get("tools", []):
        only(tool, {"name", "description", "input_schema", "strict", "cache_control", "type"}, "tools.0")
        need(tool.get("input_schema", {}).get("type") == "object", "tools.0.input_schema.type: Input should be 'object'")
    choice = body.get("tool_choice")
    if choice is not None:
        need(bool(body.get("tools")), "tool_choice may only be specified while providing tools")
        only(choice, {"type", "name", "disable_parallel_tool_use"}, "tool_choice")
        need(choice.get("type") in ("auto", "any", "tool", "none"), "tool_choice.type")
    thinking = body.get("thinking")
    if thinking and thinking["type"] == "enabled":
        need(1024 <= thinking["budget_tokens"] < body["max_tokens"], "thinking.budget_tokens: 1024 to max_tokens")
        need(body.get("temperature", 1) == 1, "`temperature` may only be set to 1 when thinking is enabled.")
        need(not choice or choice["type"] in ("auto", "none"), "Thinking may not be enabled when tool_choice forces tool use.")
    if "output_config" in body:
        only(body["output_config"], {"format", "effort"}, "output_config")
        if "format" in body["output_config"]:
            closed(body["output_config"]["format"]["schema"])
    system = body.get("system", "x")
    need(bool(system) and isinstance(system, (str, list)), "system: text content blocks must be non-empty")
    check_messages(body.get("messages"))


def closed(schema: Any) -> None:
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            need(schema.get("additionalProperties") is False,
                 "output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false")
        for value in schema.values():
            closed(value)


def check_messages(messages: Any) -> None:
    need(isinstance(messages, list) and bool(messages), "messages: at least one message is required")
    need(messages[0].get("role") == "user", "messages: first message must use the \"user\" role")
    open_calls: set[str] = set()
    for at, message in enumerate(messages):
        only(message, {"role", "content"}, f"messages.{at}")
        need(message["role"] in ("user", "assistant"), f"messages.{at}.role: Input should be 'user' or 'assistant'")
        content = message["content"]
        if isinstance(content, str):
            need(bool(content), f"messages.{at}: all messages must have non-empty content")
            content = [{"type": "text", "text": content}]
        need(bool(content), f"messages.{at}: all messages must have non-empty content")
        results = {block["tool_use_id"] for block in content if block["type"] == "tool_result"}
        need(open_calls == results, f"messages.{at}: `tool_use` ids were found without `tool_result` blocks, or the other way round")
        open_calls = set()
        for place, block in enumerate(content):
            check_block(message["role"], block, f"messages.{at}.content.{place}")
            if block["type"] == "tool_use":
                open_calls.add(block["id"])
            if block["type"] == "tool_result":
                need(all(other["type"] == "tool_result" for other in content[:place]),
                     f"messages.{at}: tool_result blocks must come first")


def check_block(role: str, block: Json, where: str) -> None:
    kind = block.get("type")
    if kind == "text":
        only(block, {"type", "text", "cache_control", "citations"}, where)
        need(bool(block["text"]), "text content blocks must be non-empty")
    elif kind == "image":
        only(block, {"type", "source", "cache_control"}, where)
        source = block["source"]
        need(source["type"] == "url" or source.get("media_type") in MEDIA, f"{where}.source.media_type")
    elif kind == "document":
        need(role == "user", f"{where}: documents are for users")
    elif kind == "tool_use":
        need(role == "assistant" and isinstance(block["input"], dict), f"{where}.input: Input should be a valid dictionary")
        need(bool(block["id"]) and bool(block["name"]), where)
    elif kind == "tool_result":
        only(block, {"type", "tool_use_id", "content", "is_error", "cache_control"}, where)
        need(role == "user", where)
        inner = block.get("content", "x")
        need(isinstance(inner, str) or all(part["type"] != "text" or part["text"] for part in inner), where)
    elif kind in ("thinking", "redacted_thinking"):
        need(role == "assistant" and (kind != "thinking" or block.get("signature") == "SIG="), f"{where}: Invalid `signature`")
    else:
        need(False, f"{where}.type: unknown {kind}")


def last_text(body: Json) -> str:
    content = body["messages"][-1]["content"]
    if isinstance(content, str):
        return content
    for block in reversed(content):
        if block["type"] == "text":
            return block["text"]
        if block["type"] == "tool_result":
            inner = block.get("content", "")
            return "result " + (inner if isinstance(inner, str) else "".join(part.get("text", "") for part in inner))
    return ""


def tokens_in(body: Json) -> int:
    return 10 + len(body["messages"])


def usage(body: Json, wish: Wish) -> Json:
    used = {"input_tokens": tokens_in(body), "cache_creation_input_tokens": 0, "cache_read_input_tokens": 5,
            "output_tokens": len(wish.pieces()) + 1, "service_tier": "standard"}
    if wish.word == "think":
        used["output_tokens_details"] = {"thinking_tokens": 1}
    return used


def blocks(body: Json, wish: Wish) -> list[Json]:
    if wish.word == "call":
        call = {"type": "tool_use", "id": "toolu_1", "name": body["tools"][0]["name"], "input": json.loads(wish.rest)}
        return [{"type": "text", "text": "I look."}, call]
    thought = [{"type": "thinking", "thinking": "Hm.", "signature": "SIG="}] if wish.word == "think" else []
    return [*thought, {"type": "text", "text": wish.says()}]


def reason(wish: Wish, content: list[Json]) -> str:
    if wish.word == "short":
        return "max_tokens"
    return "tool_use" if content[-1]["type"] == "tool_use" else "end_turn"


def stream(body: Json, wish: Wish) -> Iterator[tuple[str, Any]]:
    def event(kind: str, **members: Any) -> tuple[str, Any]:
        return kind, {"type": kind, **members}

    begun = {**usage(body, wish), "output_tokens": 1}
    yield event("message_start", message={"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"],
                                          "content": [], "stop_reason": None, "stop_sequence": None, "usage": begun})
    yield event("ping")
    sent = 0
    content = blocks(body, wish)
    for index, block in enumerate(content):
        kind = block["type"]
        empty = {"text": {"type": "text", "text": ""}, "thinking": {"type": "thinking", "thinking": "", "signature": ""},
                 "tool_use": {**block, "input": {}}}[kind]
        yield event("content_block_start", index=index, content_block=empty)
        if kind == "thinking":
            yield event("content_block_delta", index=index, delta={"type": "thinking_delta", "thinking": block["thinking"]})
            yield event("content_block_delta", index=index, delta={"type": "signature_delta", "signature": "SIG="})
        text = json.dumps(block["input"]) if kind == "tool_use" else block.get("text", "")
        for at in range(0, len(text), 5):
            if sent == wish.number("break"):
                yield "error", {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
                return
            if sent == wish.number("cut"):
                raise Cut
            piece = text[at:at + 5]
            delta = ({"type": "input_json_delta", "partial_json": piece} if kind == "tool_use"
                     else {"type": "text_delta", "text": piece})
            yield event("content_block_delta", index=index, delta=delta)
            sent += 1
        yield event("content_block_stop", index=index)
    yield event("message_delta", delta={"stop_reason": reason(wish, content), "stop_sequence": None}, usage=usage(body, wish))
    yield event("message_stop")
