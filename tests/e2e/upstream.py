"""An OpenAI-compatible server that does what a script says, in a process of its own.

Decides how a well-behaved and a broken upstream look from the outside; knows nothing of Weir. Chat, text completions,
embeddings and the model list work unscripted. A script, posted per model name, changes the next answers of that
model: one step per request, the last step repeats.

    POST /script   {"model": "m", "steps": [{...}, ...]}
    POST /release  {"model": "m", "events": 1}      lets gated streams of the model send so many further events
    GET  /requests?model=m                          what was asked: method, path, headers, body, sent, closed_by_caller

Members of a step (all optional):

    status, headers, body      answer with exactly this (body: a JSON value, or text as it is)
    delay                      seconds before the answer's head
    never                      true: read the request, then say nothing until the caller leaves
    close                      true: read the request, then close without an answer
    text                       the model's words instead of an echo of the last message
    words                      so many words instead of an echo
    members                    members merged into every answer object and every stream event
    usage                      false: never report usage
    pace                       seconds between two events of a stream
    gated                      true: each event of a stream waits for /release
    cut_after, cut             stop a stream after so many events; cut: "reset", "close" (no last chunk), "clean"
                               (regular end of the body, without [DONE])
    error_after                an error event after so many events, then the body ends regularly
    garbage_after              bytes that are no event after so many events, then the body ends regularly

Source: OpenAI's API as spec'd by its clients; `OPENAI_KEY`, if set, is the only bearer token accepted.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import hashlib
import json
import os
import socket
import struct
import sys
import time
from collections import defaultdict
from typing import Any
from urllib.parse import parse_qs, urlsplit

import upstream_account
import upstream_safety

CREATED = 1_764_000_000
REASONS = {200: "OK", 302: "Found", 307: "Temporary Redirect", 400: "Bad Request", 401: "Unauthorized",
           404: "Not Found", 429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable"}

Json = dict[str, Any]


class State:
    """Scripts, recordings and gates; one per process, touched by one thread only."""

    def __init__(self) -> None:
        self.steps: dict[str, list[Json]] = {}
        self.taken: dict[str, int] = defaultdict(int)
        self.records: list[Json] = []
        self.released: dict[str, int] = defaultdict(int)
        self.moved = asyncio.Condition()

    def step(self, model: str) -> Json:
        """The step for the next request of `model`; the last one repeats."""
        steps = self.steps.get(model)
        if not steps:
            return {}
        index = self.taken[model]
        self.taken[model] += 1
        return steps[min(index, len(steps) - 1)]

    async def release(self, model: str, events: int) -> None:
        async with self.moved:
            self.released[model] += events
            self.moved.notify_all()

    async def pass_gate(self, model: str, event: int) -> None:
        async with self.moved:
            await self.moved.wait_for(lambda: self.released[model] > event)


STATE: State


class Exchange:
    """One request and the connection it came by."""

    def __init__(self, method: str, target: str, headers: Json, body: bytes, writer: asyncio.StreamWriter,
                 gone: asyncio.Event) -> None:
        self.method, self.target, self.headers, self.body = method, target, headers, body
        self.path = urlsplit(target).path
        self.query = parse_qs(urlsplit(target).query)
        self.writer, self.gone = writer, gone
        self.keep = True

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, status: int, body: Any, headers: Json | None = None) -> None:
        data = body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else json.dumps(body).encode()
        head = {"content-type": "application/json", **(headers or {}), "content-length": str(len(data))}
        await self.send(head_bytes(status, head) + data)

    def reset(self) -> None:
        """Ends the connection by a TCP reset."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
        self.keep = False

    def close(self) -> None:
        """Ends the connection without finishing the body."""
        self.writer.close()
        self.keep = False


def head_bytes(status: int, headers: Json) -> bytes:
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}", *(f"{k}: {v}" for k, v in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


# ---------------------------------------------------------------------------------------------------- the model


def text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return " ".join(part.get("text", "") for part in content if isinstance(part, dict))
    return ""


def words_in(asked: Json) -> int:
    """Input tokens: the words of all messages, of the prompt, or of all inputs."""
    if "messages" in asked:
        return sum(len(text_of(m.get("content")).split()) for m in asked["messages"])
    source = asked.get("prompt", asked.get("input", ""))
    return sum(len(str(text).split()) for text in (source if isinstance(source, list) else [source]))


def answer_words(asked: Json, step: Json) -> list[str]:
    """The model's words: scripted, else an echo of the last message or the prompt; `max_tokens` cuts it."""
    if "text" in step:
        words = step["text"].split()
    elif "words" in step:
        words = [f"w{i}" for i in range(step["words"])]
    elif "messages" in asked:
        words = ["echo:", *text_of(asked["messages"][-1].get("content")).split()]
    else:
        words = ["echo:", *str(asked.get("prompt", "")).split()]
    limit = asked.get("max_completion_tokens") or asked.get("max_tokens")
    return words[:limit] if limit else words


def finish(asked: Json, step: Json, words: list[str]) -> str:
    whole = answer_words({k: v for k, v in asked.items() if k not in ("max_tokens", "max_completion_tokens")}, step)
    return "stop" if len(whole) == len(words) else "length"


def usage_of(asked: Json, words: list[str]) -> Json:
    prompt = words_in(asked)
    return {"prompt_tokens": prompt, "completion_tokens": len(words), "total_tokens": prompt + len(words)}


def tool_call(asked: Json) -> Json:
    name = asked["tools"][0]["function"]["name"]
    return {"id": "call_1", "type": "function", "function": {"name": name, "arguments": '{"city":"Oslo"}'}}


def chat_answer(asked: Json, step: Json) -> Json:
    words = answer_words(asked, step)
    if asked.get("tools"):
        message: Json = {"role": "assistant", "content": None, "tool_calls": [tool_call(asked)]}
        reason = "tool_calls"
    else:
        message, reason = {"role": "assistant", "content": " ".join(words)}, finish(asked, step, words)
    answer = {"id": "chatcmpl-up", "object": "chat.completion", "created": CREATED, "model": asked["model"],
              "choices": [{"index": 0, "message": message, "finish_reason": reason}]}
    return with_extras(answer, asked, step, words)


def text_answer(asked: Json, step: Json) -> Json:
    words = answer_words(asked, step)
    answer = {"id": "cmpl-up", "object": "text_completion", "created": CREATED, "model": asked["model"],
              "choices": [{"index": 0, "text": " ".join(words), "finish_reason": finish(asked, step, words)}]}
    return with_extras(answer, asked, step, words)


def with_extras(answer: Json, asked: Json, step: Json, words: list[str]) -> Json:
    if step.get("usage", True):
        answer["usage"] = usage_of(asked, words)
    return {**answer, **step.get("members", {})}


def vector(text: str, dimensions: int) -> list[float]:
    digest = hashlib.sha256(text.encode()).digest()
    return [digest[i % 32] / 256 for i in range(dimensions)]


def embeddings_answer(asked: Json, step: Json) -> Json:
    inputs = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
    data = []
    for index, text in enumerate(inputs):
        floats = vector(str(text), asked.get("dimensions", 8))
        packed = base64.b64encode(struct.pack(f"<{len(floats)}f", *floats)).decode()
        data.append({"object": "embedding", "index": index,
                     "embedding": packed if asked.get("encoding_format") == "base64" else floats})
    prompt = words_in(asked)
    answer: Json = {"object": "list", "model": asked["model"], "data": data}
    if step.get("usage", True):
        answer["usage"] = {"prompt_tokens": prompt, "total_tokens": prompt}
    return {**answer, **step.get("members", {})}


def stream_events(asked: Json, step: Json, chat: bool) -> list[Json]:
    words = answer_words(asked, step)
    base = {"id": "chatcmpl-up", "object": "chat.completion.chunk" if chat else "text_completion",
            "created": CREATED, "model": asked["model"]}

    def event(delta: Json, text: str, reason: str | None) -> Json:
        choice = {"index": 0, "delta": delta} if chat else {"index": 0, "text": text}
        return {**base, "choices": [{**choice, "finish_reason": reason}], **step.get("members", {})}

    if chat and asked.get("tools"):
        call = tool_call(asked)
        head = {**call, "function": {**call["function"], "arguments": ""}}
        events = [event({"role": "assistant", "content": None, "tool_calls": [{"index": 0, **head}]}, "", None)]
        events += [event({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}, "", None)
                   for piece in ('{"city"', ':"Oslo"}')]
        events.append(event({}, "", "tool_calls"))
    else:
        events = [event({"role": "assistant", "content": ""}, "", None)] if chat else []
        events += [event({"content": w if i == 0 else f" {w}"}, w if i == 0 else f" {w}", None)
                   for i, w in enumerate(words)]
        events.append(event({}, "", finish(asked, step, words)))
    if (asked.get("stream_options") or {}).get("include_usage") and step.get("usage", True):
        events.append({**base, "choices": [], "usage": usage_of(asked, words)})
    return events


# --------------------------------------------------------------------------------------------------- performing


async def stream(x: Exchange, record: Json, asked: Json, step: Json, chat: bool) -> None:
    head = {"content-type": "text/event-stream", "transfer-encoding": "chunked", **step.get("headers", {})}
    await x.send(head_bytes(200, head))
    for index, event in enumerate(stream_events(asked, step, chat)):
        if index == step.get("cut_after"):
            return await cut(x, step.get("cut", "reset"))
        if index == step.get("error_after"):
            await chunk(x, b'data: {"error":{"message":"the model broke","type":"server_error","code":"boom"}}\n\n')
            return await last_chunk(x)
        if index == step.get("garbage_after"):
            await chunk(x, b"<html>Bad Gateway</html>\n\n")
            return await last_chunk(x)
        if step.get("gated") and not await first(STATE.pass_gate(asked["model"], index), x.gone):
            return x.close()
        if index and step.get("pace") and not await first(asyncio.sleep(step["pace"]), x.gone):
            return x.close()
        if x.gone.is_set():
            return x.close()
        await chunk(x, b"data: " + json.dumps(event).encode() + b"\n\n")
        record["sent"] += 1
    await chunk(x, b"data: [DONE]\n\n")
    await last_chunk(x)
    record["finished"] = True


async def first(work: Any, gone: asyncio.Event) -> bool:
    """Waits for `work` or for the caller to leave; true if the work was done."""
    tasks = [asyncio.ensure_future(work), asyncio.ensure_future(gone.wait())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    done = tasks[0].done()
    for task in tasks:
        task.cancel()
    return done


async def chunk(x: Exchange, data: bytes) -> None:
    await x.send(f"{len(data):x}\r\n".encode() + data + b"\r\n")


async def last_chunk(x: Exchange) -> None:
    await x.send(b"0\r\n\r\n")


async def cut(x: Exchange, how: str) -> None:
    if how == "clean":
        await last_chunk(x)
    elif how == "close":
        x.close()
    else:
        x.reset()


async def model_call(x: Exchange, task: str) -> None:
    try:
        asked = json.loads(x.body)
    except ValueError:
        return await x.answer(400, {"error": {"message": "the body is not JSON", "type": "invalid_request_error"}})
    step = STATE.step(asked.get("model", ""))
    record = {"model": asked.get("model"), "method": x.method, "path": x.target, "headers": x.headers,
              "body": x.body.decode(), "at": time.time(), "sent": 0, "finished": False, "closed_by_caller": None}
    STATE.records.append(record)
    watch = asyncio.ensure_future(note_departure(x, record))
    try:
        await perform(x, record, asked, step, task)
    finally:
        if not x.gone.is_set():
            watch.cancel()


async def rows_call(x: Exchange) -> None:
    """A model that is not generative: one prediction a row. Recorded under the segment before `/invocations`."""
    model = x.path.split("/")[-2]
    STATE.records.append({"model": model, "method": x.method, "path": x.target, "headers": x.headers,
                          "body": x.body.decode()})
    asked = json.loads(x.body)
    rows = asked.get("dataframe_records") or asked.get("instances") or asked.get("inputs") or asked["dataframe_split"]["data"]
    await x.answer(200, {"predictions": [str(row) for row in rows], "id": "run-0123456789abcdef"})


async def note_departure(x: Exchange, record: Json) -> None:
    await x.gone.wait()
    if not record["finished"]:
        record["closed_by_caller"] = time.time()


async def perform(x: Exchange, record: Json, asked: Json, step: Json, task: str) -> None:
    key = os.environ.get("OPENAI_KEY")
    if key and x.headers.get("authorization") != f"Bearer {key}":
        return await x.answer(401, {"error": {"message": f"Incorrect API key provided: {x.headers.get('authorization')}",
                                              "type": "invalid_request_error", "param": None, "code": "invalid_api_key"}})
    if step.get("never"):
        await x.gone.wait()
        return x.close()
    if step.get("delay") and not await first(asyncio.sleep(step["delay"]), x.gone):
        return x.close()
    if step.get("close"):
        return x.close()
    if "status" in step or "body" in step:
        body = step.get("body", {"error": {"message": "scripted", "type": "server_error", "param": None, "code": None}})
        await x.answer(step.get("status", 200), body, step.get("headers"))
    elif asked.get("stream") and task != "embeddings":
        return await stream(x, record, asked, step, chat=task == "chat")
    else:
        answer = {"chat": chat_answer, "completions": text_answer, "embeddings": embeddings_answer}[task]
        await x.answer(200, answer(asked, step), step.get("headers"))
    record["finished"] = True


async def route(x: Exchange) -> None:
    if upstream_account.has(x.path):
        return await upstream_account.passed(x, sys.modules[__name__])
    if upstream_safety.has(x.path):
        return await upstream_safety.judge(x, STATE)
    if x.path.endswith("/chat/completions"):
        return await model_call(x, "chat")
    if x.path.endswith("/completions"):
        return await model_call(x, "completions")
    if x.path.endswith("/embeddings"):
        return await model_call(x, "embeddings")
    if x.path.endswith("/invocations"):
        return await rows_call(x)
    if x.path.endswith("/models"):
        return await x.answer(200, {"object": "list", "data": [{"id": "m", "object": "model", "owned_by": "weir"}]})
    if x.path == "/script":
        asked = json.loads(x.body)
        STATE.steps[asked["model"]] = asked["steps"]
        STATE.taken[asked["model"]] = 0
        return await x.answer(200, {})
    if x.path == "/release":
        asked = json.loads(x.body)
        await STATE.release(asked["model"], asked.get("events", 1))
        return await x.answer(200, {})
    if x.path == "/requests":
        models = x.query.get("model")
        return await x.answer(200, [r for r in STATE.records if not models or r["model"] in models])
    await x.answer(404, {"error": {"message": "no such route", "type": "invalid_request_error"}})


async def read_request(reader: asyncio.StreamReader) -> tuple[str, str, Json, bytes] | None:
    head = await reader.readuntil(b"\r\n\r\n")
    first_line, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first_line.split(" ", 2)
    headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines if line)}
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int((await reader.readline()).strip(), 16):
            body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return method, target, headers, body


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection. A reader of its own notices the caller's departure while an answer is under way."""
    queue: asyncio.Queue[Any] = asyncio.Queue()
    gone = asyncio.Event()

    async def pump() -> None:
        try:
            while True:
                await queue.put(await read_request(reader))
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            pass
        finally:
            gone.set()
            await queue.put(None)

    pumping = asyncio.ensure_future(pump())
    try:
        while request := await queue.get():
            x = Exchange(*request, writer, gone)
            with contextlib.suppress(ConnectionError):
                await route(x)
            if not x.keep:
                break
    finally:
        pumping.cancel()
        writer.close()


async def main(port: int) -> None:
    global STATE
    STATE = State()
    server = await asyncio.start_server(serve, "127.0.0.1", port, limit=64 << 20)
    print(f"upstream is ready on http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A scriptable OpenAI-compatible server.")
    parser.add_argument("--port", type=int, default=0)
    asyncio.run(main(parser.parse_args().port))
