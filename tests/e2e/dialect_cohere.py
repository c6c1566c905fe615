"""Cohere's API, version 2, as its service takes and answers it.

Sources: docs.cohere.com/reference/chat, /chat-stream, /embed; `v2/raw_client.py` and the types of PyPI cohere 7.3.1. Read
2026-11-22.
"""

from __future__ import annotations

import json
from typing import Any, Iterator

from dialects import KEY, Cut, Json, Refused, Reply, Wish, need, only

CHAT = {"model", "messages", "stream", "tools", "strict_tools", "documents", "citation_options", "response_format",
        "safety_mode", "max_tokens", "stop_sequences", "temperature", "seed", "frequency_penalty", "presence_penalty", "k",
        "p", "logprobs", "tool_choice", "thinking", "priority"}
EMBED = {"model", "texts", "images", "inputs", "input_type", "embedding_types", "output_dimension", "truncate", "max_tokens",
         "priority"}
KINDS = {"search_document", "search_query", "classification", "clustering", "image"}


def owns(path: str) -> bool:
    return path.startswith("/v2/")


def error(refused: Refused) -> tuple[int, Any, Json]:
    return refused.status, {"id": "err_1", "message": refused.message}, {"retry-after": "1"} if refused.status == 429 else {}


def answer(path: str, headers: Json, body: Any, _raw: bytes) -> Reply:
    need(headers.get("authorization") == f"Bearer {KEY}", "invalid api token", 401)
    need(isinstance(body, dict), "invalid request: not an object")
    if path == "/v2/embed":
        return embed(body)
    need(path == "/v2/chat", "not found", 404)
    check(body)
    wish = Wish(last_text(body))
    wish.fails()
    if body.get("stream"):
        return Reply(events=stream(body, wish))
    message: Json = {"role": "assistant"}
    if wish.word == "call":
        message |= {"tool_plan": "I look.", "tool_calls": [call(body, wish, wish.rest)]}
    else:
        thought = [{"type": "thinking", "thinking": "Hm."}] if wish.word == "think" else []
        message["content"] = [*thought, {"type": "text", "text": wish.says()}]
    return Reply({"id": "c14c80c3", "finish_reason": reason(wish), "message": message, "usage": usage(body, wish)})


def embed(body: Json) -> Reply:
    only(body, EMBED, "body")
    need(body.get("input_type") in KINDS, "valid input_type must be provided")
    texts = body.get("texts")
    need(isinstance(texts, list) and all(isinstance(text, str) for text in texts), "texts must be strings")
    need(1 <= len(texts) <= 96, "invalid request: total number of texts must be at most 96")
    need(body.get("embedding_types", ["float"]) == ["float"], "embedding_types")
    size = body.get("output_dimension", 4)
    vectors = [[0.5, -0.25, *[float(len(text))] * (size - 2)] for text in texts]
    return Reply({"id": "e1", "embeddings": {"float": vectors}, "texts": texts, "response_type": "embeddings_by_type",
                  "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": float(3 * len(texts))}}})


def check(body: Json) -> None:
    only(body, CHAT, "body")
    need(isinstance(body.get("model"), str), "model is required")
    need(0.01 <= body.get("p", 0.75) <= 0.99, "p must be between 0.01 and 0.99")
    need(len(body.get("stop_sequences", [])) <= 5, "too many stop sequences")
    need(not (body.get("frequency_penalty") and body.get("presence_penalty")), "cannot specify both penalties")
    need(isinstance(body.get("logprobs", False), bool), "logprobs must be a boolean")
    need(body.get("tool_choice") in (None, "REQUIRED", "NONE"), "invalid tool_choice")
    need(not body.get("tool_choice") or bool(body.get("tools")), "tool_choice without tools")
    for tool in body.get("tools", []):
        only(tool, {"type", "function"}, "tools")
        only(tool["function"], {"name", "description", "parameters"}, "tools.function")
        need(isinstance(tool["function"].get("parameters"), dict), "tools.function.parameters is required")
    form = body.get("response_format", {})
    need(form.get("type", "text") in ("text", "json_object"), "invalid response_format.type")
    only(form, {"type", "json_schema"}, "response_format")
    messages = body.get("messages")
    need(isinstance(messages, list) and bool(messages), "messages is required")
    calls: set[str] = set()
    for at, message in enumerate(messages):
        role = message.get("role")
        known = {"system": {"content"}, "user": {"content"}, "assistant": {"content", "tool_calls", "tool_plan"},
                 "tool": {"content", "tool_call_id"}}
        need(role in known, f"messages[{at}].role: unknown {role}")
        only(message, {"role", *known[role]}, f"messages[{at}]")
        content = message.get("content")
        need(content is not None or (role == "assistant" and message.get("tool_calls")), f"messages[{at}]: no content")
        for part in content if isinstance(content, list) else []:
            need(part["type"] in ("text", "image_url", "document", "thinking"), f"messages[{at}]: content type")
        for made in message.get("tool_calls", []):
            need(isinstance(json.loads(made["function"]["arguments"]), dict), "arguments must be an object")
            calls.add(made["id"])
        need(role != "tool" or message["tool_call_id"] in calls, f"messages[{at}]: unknown tool_call_id")


def last_text(body: Json) -> str:
    content = body["messages"][-1]["content"]
    text = content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
    return f"result {text}" if body["messages"][-1]["role"] == "tool" else text


def call(body: Json, wish: Wish, arguments: str) -> Json:
    return {"id": "weather_1", "type": "function", "function": {"name": body["tools"][0]["function"]["name"], "arguments": arguments}}


def reason(wish: Wish) -> str:
    return {"call": "TOOL_CALL", "short": "MAX_TOKENS"}.get(wish.word, "COMPLETE")


def usage(body: Json, wish: Wish) -> Json:
    tokens = {"input_tokens": 10.0 + len(body["messages"]), "output_tokens": float(len(wish.pieces()))}
    return {"billed_units": {"input_tokens": 5.0, "output_tokens": 1.0}, "tokens": tokens, "cached_tokens": 4.0}


def stream(body: Json, wish: Wish) -> Iterator[tuple[str, Any]]:
    def event(kind: str, **members: Any) -> tuple[str, Any]:
        return kind, {"type": kind, **members}

    def message(**members: Any) -> Json:
        return {"message": members}

    yield event("message-start", id="29f14a5a", delta=message(role="assistant", content=[], tool_plan="", tool_calls=[]))
    if wish.word == "call":
        yield event("tool-plan-delta", delta=message(tool_plan="I look."))
        yield event("tool-call-start", index=0, delta=message(tool_calls=call(body, wish, "")))
        for at in range(0, len(wish.rest), 4):
            yield event("tool-call-delta", index=0, delta=message(tool_calls={"function": {"arguments": wish.rest[at:at + 4]}}))
        yield event("tool-call-end", index=0)
    else:
        index = 0
        if wish.word == "think":
            yield event("content-start", index=0, delta=message(content={"type": "thinking", "thinking": ""}))
            yield event("content-delta", index=0, delta=message(content={"thinking": "Hm."}))
            yield event("content-end", index=0)
            index = 1
        yield event("content-start", index=index, delta=message(content={"type": "text", "text": ""}))
        for sent, piece in enumerate(wish.pieces()):
            if sent == wish.number("break"):
                yield event("message-end", delta={"finish_reason": "ERROR", "error": "model failure", "usage": usage(body, wish)})
                return
            if sent == wish.number("cut"):
                raise Cut
            yield event("content-delta", index=index, delta=message(content={"text": piece}))
        yield event("content-end", index=index)
    yield event("message-end", id="29f14a5a", delta={"finish_reason": reason(wish), "usage": usage(body, wish)})
