"""What an OpenAI account has beside its models: images, audio, responses, files and what else is kept, by OpenAI's API.

Decides how these look from the outside, and keeps them in memory. `up` is the module `upstream`, as it runs.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from typing import Any

Json = dict[str, Any]
PASSED = ("images", "audio", "responses", "files", "batches", "assistants", "threads", "vector_stores", "fine_tuning")

def has(path: str) -> bool:
    """Whether a path is one of these."""
    return path.startswith("/v1/") and path.split("/")[2] in PASSED and not path.endswith("/embeddings")


KEPT: dict[str, Json] = {}
CONTENTS: dict[str, bytes] = {}


def form_of(x: Any) -> dict[str, bytes]:
    """The fields of a multipart form."""
    boundary = x.headers.get("content-type", "").partition("boundary=")[2].strip('"').encode()
    fields = {}
    for part in x.body.split(b"--" + boundary)[1:-1]:
        head, _, value = part.partition(b"\r\n\r\n")
        name = head.decode("latin-1").partition('name="')[2].partition('"')[0]
        fields[name] = value[:-2]
    return fields


def keep(kind: str, **members: Any) -> Json:
    number = len(KEPT) + 1
    thing = {"id": f"{kind}{'-' if kind == 'file' else '_'}kept{number:06d}", "created_at": 1_764_000_000, **members}
    KEPT[thing["id"]] = thing
    return thing


def response_of(asked: Json, step: Json) -> Json:
    text = asked["input"] if isinstance(asked["input"], str) else asked["input"][-1]["content"]
    text = step.get("text", f"echo: {text}")
    message = {"type": "message", "id": "msg_said00001", "status": "completed", "role": "assistant",
               "content": [{"type": "output_text", "text": text, "annotations": []}]}
    return keep("resp", object="response", status="completed", model=asked["model"], output=[message],
                parallel_tool_calls=True, tool_choice="auto", tools=[],
                previous_response_id=asked.get("previous_response_id"),
                usage={"input_tokens": 3, "output_tokens": 4, "total_tokens": 7,
                       "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}})


async def stream_response(x: Any, up: Any, step: Json, answer: Json) -> None:
    await x.send(up.head_bytes(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"}))
    [message] = answer["output"]
    [part] = message["content"]
    at = {"item_id": message["id"], "output_index": 0, "content_index": 0}
    pieces = re.findall(r"\S+\s*", part["text"])
    events = [("response.created", {"response": {**answer, "status": "in_progress", "output": []}}),
              ("response.output_item.added", {"output_index": 0, "item": {**message, "status": "in_progress", "content": []}}),
              ("response.content_part.added", {**at, "part": {**part, "text": ""}}),
              *[("response.output_text.delta", {**at, "delta": piece, "logprobs": []}) for piece in pieces],
              ("response.output_text.done", {**at, "text": part["text"], "logprobs": []}),
              ("response.content_part.done", {**at, "part": part}),
              ("response.output_item.done", {"output_index": 0, "item": message}),
              ("response.completed", {"response": answer})]
    for index, (kind, members) in enumerate(events):
        if index == step.get("cut_after"):
            return await up.cut(x, step.get("cut", "reset"))
        if step.get("pace"):
            await asyncio.sleep(step["pace"])
        data = json.dumps({"type": kind, "sequence_number": index, **members})
        await up.chunk(x, f"event: {kind}\ndata: {data}\n\n".encode())
    await up.last_chunk(x)


def record_passed(x: Any, up: Any, model: str | None, **members: Any) -> Json:
    record = {"model": model, "method": x.method, "path": x.target, "headers": x.headers, "size": len(x.body),
              "sha256": hashlib.sha256(x.body).hexdigest(), **members}
    up.STATE.records.append(record)
    return up.STATE.step(model or "")


async def tuned(x: Any, rest: list[str], asked: Json) -> None:
    """Fine-tuning jobs, which never end."""
    if not rest and x.method == "POST":
        return await x.answer(200, keep("ftjob", object="fine_tuning.job", status="running", result_files=[],
                                        hyperparameters={}, organization_id="o", seed=1, **asked))
    if not rest:
        jobs = [thing for thing in KEPT.values() if thing.get("object") == "fine_tuning.job"]
        return await x.answer(200, {"object": "list", "data": jobs, "has_more": False})
    if rest[0] not in KEPT:
        return await x.answer(404, {"error": {"message": f"No such job: {rest[0]}", "type": "invalid_request_error"}})
    if rest[1:] == ["events"]:
        event = {"id": "ftevent-kept01", "object": "fine_tuning.job.event", "created_at": 1, "level": "info", "message": "begun"}
        return await x.answer(200, {"object": "list", "data": [event], "has_more": False})
    if rest[1:] == ["cancel"]:
        KEPT[rest[0]]["status"] = "cancelled"
    await x.answer(200, KEPT[rest[0]])


async def passed(x: Any, up: Any) -> None:
    """Images, audio, responses and what is kept, by OpenAI's API reference."""
    parts = x.path.removeprefix("/v1/").split("/")
    if "multipart/" in x.headers.get("content-type", ""):
        form = form_of(x)
        model = form.get("model", b"").decode() or None
        file = form.get("file", form.get("image", b""))
        step = record_passed(x, up, model, file=hashlib.sha256(file).hexdigest())
        if parts[0] == "audio":
            return await x.answer(200, {"text": step.get("text", f"{len(file)} bytes"), "usage": {
                "type": "tokens", "input_tokens": 5, "output_tokens": 2, "total_tokens": 7}})
        if parts[0] == "images":
            return await x.answer(200, {"created": 1_764_000_000, "data": [{"b64_json": base64.b64encode(file[:9]).decode()}]})
        thing = keep("file", object="file", bytes=len(file), filename="f", purpose=form["purpose"].decode(),
                     status="processed")
        CONTENTS[thing["id"]] = file
        return await x.answer(200, thing)
    asked = json.loads(x.body) if x.body else {}
    step = record_passed(x, up, asked.get("model"), body=x.body.decode())
    if step.get("status"):
        return await x.answer(step["status"], step.get("body", {}))
    if parts[:2] == ["images", "generations"]:
        said = {"revised_prompt": step["text"]} if "text" in step else {}
        return await x.answer(200, {"created": 1_764_000_000, "data": [{"b64_json": "AAAA", **said}], "usage": {
            "input_tokens": 2, "output_tokens": 9, "total_tokens": 11}})
    if parts[:2] == ["audio", "speech"]:
        data = hashlib.sha256(asked["input"].encode()).digest() * 4096
        if step.get("cut_after"):
            await x.send(up.head_bytes(200, {"content-type": "audio/mpeg", "content-length": str(len(data))}) + data[:9000])
            return await up.cut(x, step.get("cut", "reset"))
        await x.send(up.head_bytes(200, {"content-type": "audio/mpeg", "transfer-encoding": "chunked"}))
        for at in range(0, len(data), 16384):
            await up.chunk(x, data[at:at + 16384])
        return await up.last_chunk(x)
    if parts == ["responses"]:
        answer = response_of(asked, step)
        return await (stream_response(x, up, step, answer) if asked.get("stream") else x.answer(200, answer))
    if parts[0] == "fine_tuning":
        return await tuned(x, parts[2:], asked)
    if x.method == "POST" and len(parts) == 1:
        kinds = {"batches": "batch", "assistants": "asst", "threads": "thread", "vector_stores": "vs"}
        return await x.answer(200, keep(kinds[parts[0]], object=parts[0], **asked))
    if len(parts) == 1:
        return await x.answer(200, {"object": "list", "has_more": False, "data": [
            thing for thing in KEPT.values() if thing.get("object") in (parts[0], "file") and parts[0] == "files"]})
    if parts[1] not in KEPT:
        return await x.answer(404, {"error": {"message": f"No such thing: {parts[1]}", "type": "invalid_request_error"}})
    if parts[2:] == ["content"]:
        return await x.answer(200, CONTENTS[parts[1]], {"content-type": "application/octet-stream"})
    if x.method == "DELETE":
        return await x.answer(200, {"id": KEPT.pop(parts[1])["id"], "object": "deleted", "deleted": True})
    if parts[2:] == ["messages"]:
        return await x.answer(200, keep("msg", object="thread.message", thread_id=parts[1], role=asked["role"], content=[]))
    if parts[2:] == ["input_items"]:
        return await x.answer(200, {"object": "list", "data": [], "has_more": False})
    await x.answer(200, KEPT[parts[1]])
