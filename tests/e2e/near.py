"""Emulated providers whose dialect is nearly OpenAI's: Mistral, AI21, Databricks, Workers AI, and a careless server.

Each refuses what the provider refuses, in the provider's own form, and answers with its own peculiarities. All echo the
last message; with tools they call the first one, unless its result is there. Steps of a script: `fail`: a status;
`error_after`: an error after so many words of a stream; `cut_after`: the connection is reset there; `end_after`: the body
ends there.

Source: docs.mistral.ai/api, docs.ai21.com, docs.databricks.com, developers.cloudflare.com/workers-ai (2026-11).
"""

from __future__ import annotations

import json
import re
from typing import Any, Iterator
from urllib.parse import unquote

from bedrock import vector
from emulated import Call, Json, Provider, Refused

KEY = "near-key-emulated"


def text_of(content: Any) -> str:
    if isinstance(content, list):
        return " ".join(part.get("text", f"[{part['type']}]") for part in content)
    return content or ""


def thought_of(body: Json) -> tuple[str | None, Json | None]:
    """The words of the answer, or the call."""
    last = body["messages"][-1]
    if body.get("tools") and last["role"] != "tool":
        return None, {"name": body["tools"][0]["function"]["name"], "arguments": {"city": "Oslo"}}
    return f"echo: {text_of(last['content'])}", None


def usage_of(body: Json) -> Json:
    words = sum(len(text_of(m.get("content")).split()) for m in body.get("messages", []))
    return {"prompt_tokens": words, "completion_tokens": 2, "total_tokens": words + 2}


def event(body: Any) -> bytes:
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def guarded(step: Json, events: Iterator[Json], error: Json, done: bool = True) -> Iterator[bytes | None]:
    """The events as bytes, broken where the step says."""
    for at, item in enumerate(events):
        if at == step.get("error_after"):
            yield event(error)
            return
        if at == step.get("cut_after"):
            yield None
            return
        if at == step.get("end_after"):
            return
        yield event(item)
    if done:
        yield b"data: [DONE]\n\n"


class Near(Provider):
    """What these have in common: a bearer key, a body, a step."""

    def serve(self, call: Call) -> None:
        if call.headers.get("authorization") != f"Bearer {KEY}":
            raise Refused(401, {"detail": "Unauthorized"})
        if call.method == "GET":
            return call.answer(200, {"object": "list", "data": []})
        body = call.json()
        model = self.model_of(call, body)
        self.note(call, model, body)
        step = self.step(model)
        if "fail" in step:
            raise Refused(step["fail"], step.get("body", {"message": "scripted"}))
        self.perform(call, body, step)

    def model_of(self, call: Call, body: Json) -> str:
        return body.get("model", "")

    def perform(self, call: Call, body: Json, step: Json) -> None:
        raise NotImplementedError


def only(body: Json, names: set[str], where: str = "body") -> None:
    extra = sorted(set(body) - names)
    if extra:
        raise Refused(422, {"detail": [{"type": "extra_forbidden", "loc": [where, extra[0]], "msg": "Extra inputs are not permitted"}]})


class Mistral(Near):
    """Unknown members are refused; ids of calls have nine letters and digits; thoughts are among the content."""

    CHAT = {"model", "messages", "temperature", "top_p", "max_tokens", "stream", "stop", "random_seed", "response_format",
            "tools", "tool_choice", "presence_penalty", "frequency_penalty", "n", "prediction", "parallel_tool_calls",
            "prompt_mode", "safe_prompt"}
    MESSAGE = {"system": {"role", "content"}, "user": {"role", "content"},
               "assistant": {"role", "content", "tool_calls", "prefix"}, "tool": {"role", "content", "tool_call_id", "name"}}

    def perform(self, call: Call, body: Json, step: Json) -> None:
        if call.target == "/v1/embeddings":
            only(body, {"model", "input", "output_dimension", "output_dtype"})
            data = [{"object": "embedding", "index": i, "embedding": vector(text, body.get("output_dimension", 4))}
                    for i, text in enumerate(body["input"] if isinstance(body["input"], list) else [body["input"]])]
            return call.answer(200, {"id": "e", "object": "list", "model": body["model"], "data": data,
                                     "usage": {"prompt_tokens": 3, "total_tokens": 3, "completion_tokens": 0}})
        if call.target != "/v1/chat/completions":
            raise Refused(404, {"message": "no Route matched with those values"})
        only(body, self.CHAT)
        self.check(body["messages"])
        if body.get("tool_choice") not in (None, "auto", "none", "any") and not isinstance(body["tool_choice"], dict):
            raise Refused(422, {"detail": [{"loc": ["body", "tool_choice"], "msg": "bad choice", "type": "enum"}]})
        words, tool = thought_of(body)
        base = {"id": "cmpl-1", "created": 5, "model": body["model"]}
        calls = [{"id": "D681PevKs", "function": {"name": tool["name"], "arguments": json.dumps(tool["arguments"])}, "index": 0}] if tool else None
        reason = "tool_calls" if tool else "stop"
        thinking = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": words}]
        content: Any = thinking if body.get("prompt_mode") == "reasoning" else words or ""
        if not body.get("stream"):
            message = {"role": "assistant", "content": content, "tool_calls": calls}
            return call.answer(200, {**base, "object": "chat.completion", "usage": usage_of(body),
                                     "choices": [{"index": 0, "message": message, "finish_reason": reason}]})

        def events() -> Iterator[Json]:
            chunk = lambda delta, end=None, **more: {**base, "object": "chat.completion.chunk", "p": "abc", **more,
                                                     "choices": [{"index": 0, "delta": delta, "finish_reason": end}]}
            yield chunk({"role": "assistant", "content": ""})
            if tool:
                yield chunk({"content": "", "tool_calls": calls}, reason, usage=usage_of(body))
                return
            if content is thinking:
                yield chunk({"content": thinking[:1]})
            for i, word in enumerate((words or "").split(" ")):
                yield chunk({"content": word if i == 0 else f" {word}"})
            yield chunk({"content": ""}, reason, usage=usage_of(body))

        call.stream("text/event-stream; charset=utf-8", guarded(step, events(), {"object": "error", "message": "Service unavailable.", "type": "internal_server_error"}))

    def check(self, messages: list[Json]) -> None:
        waiting: set[str] = set()
        before = None
        for at, message in enumerate(messages):
            role = message.get("role")
            if role not in self.MESSAGE:
                raise Refused(422, {"detail": [{"loc": ["body", "messages", at], "msg": f"no role {role}", "type": "enum"}]})
            only(message, self.MESSAGE[role], f"messages.{at}")
            if before == "tool" and role not in ("tool", "assistant"):
                raise flat(400, f"Unexpected role '{role}' after role 'tool'")
            if role == "assistant" and not message.get("content") and not message.get("tool_calls"):
                raise flat(400, "Assistant message must have either content or tool_calls, but not none.")
            for asked in message.get("tool_calls") or []:
                if not re.fullmatch(r"[a-zA-Z0-9]{9}", asked["id"]):
                    raise flat(400, "Tool call id must be a-z, A-Z, 0-9, with a length of 9.")
                waiting.add(asked["id"])
            if role == "tool":
                if message["tool_call_id"] not in waiting:
                    raise flat(400, "Unexpected tool call id")
                waiting.discard(message["tool_call_id"])
            before = role


def flat(status: int, message: str) -> Refused:
    return Refused(status, {"object": "error", "message": message, "type": "invalid_request_message_order", "param": None, "code": "3230"})


class Ai21(Near):
    """Text only; time, object and model are not told."""

    CHAT = {"model", "messages", "max_tokens", "temperature", "top_p", "stop", "n", "stream", "tools", "tool_choice",
            "response_format", "documents", "seed"}

    def perform(self, call: Call, body: Json, step: Json) -> None:
        if call.target != "/studio/v1/chat/completions":
            raise Refused(404, {"detail": "Not Found"})
        only(body, self.CHAT)
        for message in body["messages"]:
            if message["role"] not in ("system", "user", "assistant", "tool") or not isinstance(message.get("content"), str | None):
                raise Refused(422, {"detail": "content must be a string"})
        if body.get("n", 1) > 1 and body.get("stream"):
            raise Refused(422, {"detail": "n > 1 is not supported with stream"})
        words, tool = thought_of(body)
        calls = [{"id": "c1", "type": "function", "function": {"name": tool["name"], "arguments": json.dumps(tool["arguments"])}}] if tool else None
        reason = "tool_calls" if tool else "stop"
        if not body.get("stream"):
            choices = [{"index": i, "message": {"role": "assistant", "content": words, "tool_calls": calls}, "finish_reason": reason}
                       for i in range(body.get("n", 1))]
            return call.answer(200, {"id": "c1", "choices": choices, "usage": usage_of(body)})
        chunk = lambda delta, end=None, **more: {"id": "c1", "choices": [{"index": 0, "delta": delta, "finish_reason": end}], **more}
        events = [chunk({"role": "assistant"}), chunk({"content": words} if words else {"tool_calls": [{"index": 0, **calls[0]}]}),
                  chunk({"content": ""}, reason, usage=usage_of(body))]
        call.stream("text/event-stream", guarded(step, iter(events), {"error": {"message": "internal"}}))


class Databricks(Near):
    """A serving endpoint that is asked by its name in the path: Claude behind it."""

    def model_of(self, call: Call, body: Json) -> str:
        parts = call.target.split("/")
        if len(parts) != 4 or parts[1] != "serving-endpoints" or parts[3] != "invocations":
            raise Refused(404, {"error_code": "ENDPOINT_NOT_FOUND", "message": call.target})
        return unquote(parts[2])

    def perform(self, call: Call, body: Json, step: Json) -> None:
        bad = lambda message: Refused(400, {"error_code": "BAD_REQUEST", "message": message})
        if "model" in body:
            raise bad("Extra member model")
        if "input" in body:
            if "encoding_format" in body:
                raise bad("encoding_format is not supported")
            texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
            data = [{"object": "embedding", "index": i, "embedding": vector(text, 4)} for i, text in enumerate(texts)]
            return call.answer(200, {"object": "list", "model": "gte", "data": data, "usage": {"prompt_tokens": 3, "total_tokens": 3}})
        for message in body["messages"]:
            if message["role"] == "assistant" and message.get("tool_calls") and not message.get("content"):
                raise bad("messages: text content blocks must be non-empty")
        if any("strict" in tool["function"] for tool in body.get("tools", [])):
            raise bad("tools.0.strict: Extra inputs are not permitted")
        words, tool = thought_of(body)
        base = {"id": "msg_1", "created": 5, "model": "claude"}
        made = {"id": "toolu_1", "type": "function", "function": {"name": tool["name"], "arguments": json.dumps(tool["arguments"])}} if tool else None
        usage = {**usage_of(body), "reasoning_tokens": 1}
        content: Any = [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}, {"type": "text", "text": words}] if body.get("thinking") else words
        if not body.get("stream"):
            message = {"role": "assistant", "content": content, **({"tool_calls": [made]} if made else {})}
            return call.answer(200, {**base, "object": "chat.completion", "usage": usage,
                                     "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if tool else "stop"}]})

        def events() -> Iterator[Json]:
            chunk = lambda delta, end=None: {**base, "object": "chat.completion.chunk", "usage": usage,
                                             "choices": [{"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": end}]}
            if made:
                function = {**made["function"], "arguments": "{}"}
                yield chunk({"content": None, "tool_calls": [{"index": 0, **made, "function": function}]})
                for piece in (made["function"]["arguments"][:4], made["function"]["arguments"][4:]):
                    yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
                yield chunk({}, "tool_calls")
                return
            if body.get("thinking"):
                yield chunk({"content": content[:1]})
            for i, word in enumerate((words or "").split(" ")):
                yield chunk({"content": word if i == 0 else f" {word}"})
            yield chunk({}, "stop")

        call.stream("text/event-stream", guarded(step, events(), {"error_code": "INTERNAL_ERROR", "message": "boom", "error": {"message": "boom"}}))


class WorkersAi(Near):
    """The REST routes: OpenAI's form under /ai/v1, the native one in an envelope under /ai/run."""

    def model_of(self, call: Call, body: Json) -> str:
        if call.target.startswith("/ai/run/"):
            return call.target.removeprefix("/ai/run/")
        return body.get("model", "")

    def perform(self, call: Call, body: Json, step: Json) -> None:
        model = self.model_of(call, body)
        if not model.startswith("@cf/"):
            raise Refused(400, {"result": {}, "success": False, "messages": [], "errors": [{"code": 5007, "message": f"No such model {model} or task"}]})
        native = call.target.startswith("/ai/run/")
        if "text" in body or "input" in body:
            texts = body.get("text", body.get("input"))
            rows = [vector(text, 4) for text in (texts if isinstance(texts, list) else [texts])]
            if len(rows) > 100:
                raise Refused(400, {"result": {}, "success": False, "messages": [], "errors": [{"code": 5006, "message": "Error: too many texts"}]})
            if native:
                return call.answer(200, {"result": {"shape": [len(rows), 4], "data": rows}, "success": True, "errors": [], "messages": []})
            data = [{"object": "embedding", "index": i, "embedding": row} for i, row in enumerate(rows)]
            return call.answer(200, {"object": "list", "model": model, "data": data, "usage": {"prompt_tokens": 0, "total_tokens": 0}})
        if native and "model" in body:
            raise Refused(400, {"success": False, "errors": [{"code": 5006, "message": "Error: unexpected model"}]})
        words, tool = thought_of(body)
        usage = usage_of(body)
        error = {"errors": [{"code": 3040, "message": "Capacity temporarily exceeded"}]}
        if native:
            calls = [{"name": tool["name"], "arguments": tool["arguments"]}] if tool else []
            if not body.get("stream"):
                return call.answer(200, {"result": {"response": words, "tool_calls": calls, "usage": usage}, "success": True, "errors": [], "messages": []})
            pieces = [{"response": word if i == 0 else f" {word}", "p": "abc"} for i, word in enumerate((words or "").split(" "))]
            if tool:
                pieces = [{"response": None, "tool_calls": calls}]
            return call.stream("text/event-stream", guarded(step, iter([*pieces, {"response": "", "usage": usage}]), error))
        message = {"role": "assistant", "content": words}
        if tool:
            message["tool_calls"] = [{"id": "c1", "type": "function", "function": {"name": tool["name"], "arguments": json.dumps(tool["arguments"])}}]
        reason = "tool_calls" if tool else "stop"
        if not body.get("stream"):
            return call.answer(200, {"id": "id-1", "object": "chat.completion", "created": 5, "model": model, "usage": usage,
                                     "choices": [{"index": 0, "message": message, "finish_reason": reason}]})
        chunk = lambda delta, end=None: {"id": "id-1", "object": "chat.completion.chunk", "created": 5, "model": model,
                                         "choices": [{"index": 0, "delta": delta, "finish_reason": end}]}
        events = [chunk({"role": "assistant", "content": words[: len(words) // 2]}), chunk({"content": words[len(words) // 2:]})] if words else [
            chunk({"role": "assistant", "tool_calls": [{"index": 0, **message["tool_calls"][0]}]})]
        call.stream("text/event-stream", guarded(step, iter([*events, chunk({}, reason), {**chunk({}), "choices": [], "usage": usage}]), error))


class Careless(Near):
    """A server that only claims to be OpenAI-compatible: what section 13 of the field's experience has collected."""

    def perform(self, call: Call, body: Json, step: Json) -> None:
        words, tool = thought_of(body)
        calls = [{"function": {"name": tool["name"], "arguments": tool["arguments"]}}] if tool else None
        if not body.get("stream"):
            message = {"content": words, "reasoning": "Hm.", "tool_calls": calls}
            return call.answer(200, {"choices": [{"message": message, "finish_reason": "eos"}], "usage": None, "timings": {"x": 1}})
        pieces: list[Json] = [{"content": word if i == 0 else f" {word}"} for i, word in enumerate((words or "").split(" "))]
        if calls:
            pieces = [{"tool_calls": calls}]
        events = [{"choices": [{"delta": piece, "finish_reason": ""}]} for piece in pieces]
        events.append({"choices": [{"delta": {}, "finish_reason": "eos_token"}]})
        stream = guarded(step, iter(events), {"error": {"message": "boom"}}, done=False)
        call.stream("text/event-stream", (piece if piece is None else b": PROCESSING\n\n" + piece for piece in stream))
