"""Emulated providers that speak dialects of their own, strict about what they accept, in a process of its own.

Decides the HTTP around them; what each provider takes and answers is in `dialect_<provider>.py`. Knows nothing of Weir:
the vendors' own clients talk to it as well (`test_dialects.py`), so that it is not our imagination. What a model does is
asked for by the words of the last message:

    say <text>          the text instead of an echo
    call <arguments>    a call of the first tool with these arguments (JSON)
    think <text>        reasoning before the answer
    fail <status>       an error answer in the provider's form
    break <n>           a stream that reports an error after n events of content
    cut <n>             a stream whose connection ends regularly after n events of content
    short               the answer ends at its maximum of tokens

    GET /requests       what was asked so far: path, headers, body
    POST /public-key    the key that a service account's assertions are checked with, PEM as a JSON string
"""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Iterator

Json = dict[str, Any]
KEY = "sk-upstream"


class Refused(Exception):
    """What a provider refuses, with its status."""

    def __init__(self, status: int, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.kind = status, message, kind


def need(good: bool, message: str, status: int = 400) -> None:
    """Refuses unless `good`."""
    if not good:
        raise Refused(status, message)


def only(value: Any, known: set[str], where: str) -> None:
    """Refuses members that the provider does not know."""
    need(isinstance(value, dict), f"{where}: Input should be an object")
    for name in value:
        need(name in known, f"{where}.{name}: Extra inputs are not permitted")


class Wish:
    """What the last words ask the model to do."""

    def __init__(self, text: str) -> None:
        self.text = text
        word, _, rest = text.partition(" ")
        self.word, self.rest = word, rest

    def says(self) -> str:
        if self.word in ("say", "think"):
            return self.rest
        return self.text

    def number(self, word: str) -> int | None:
        return int(self.rest.split()[0]) if self.word == word else None

    def pieces(self) -> list[str]:
        """The answer in pieces, as a stream has them."""
        text = self.says()
        return [text[i:i + 5] for i in range(0, len(text), 5)] or [""]

    def fails(self) -> None:
        status = self.number("fail")
        if status is not None:
            raise Refused(status, f"asked to fail at https://internal.example/projects/secret with {status}")


class Reply:
    """A provider's answer: a JSON value, or the events of a stream (name and data), or bytes."""

    def __init__(self, body: Any = None, events: Iterator[tuple[str, Any]] | None = None, headers: Json | None = None,
                 raw: Iterator[bytes] | None = None, kind: str = "text/event-stream") -> None:
        self.body, self.events, self.headers, self.raw, self.kind = body, events, headers or {}, raw, kind


class Cut(Exception):
    """The stream ends here, without what should end it."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    records: list[Json] = []
    lock = threading.Lock()

    def log_message(self, *_: Any) -> None:
        pass

    def send(self, status: int, body: Any, headers: Json | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", "content-length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def stream(self, reply: Reply) -> None:
        self.send_response(200)
        for name, value in {"content-type": reply.kind, "transfer-encoding": "chunked", **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            if reply.raw is not None:
                for data in reply.raw:
                    self.chunk(data)
            for name, data in reply.events or ():
                line = f"event: {name}\n" if name else ""
                self.chunk(f"{line}data: {json.dumps(data)}\n\n".encode())
        except Cut:
            pass
        self.chunk(b"")

    def do_GET(self) -> None:
        if self.path == "/requests":
            with self.lock:
                return self.send(200, list(self.records))
        self.answer(b"")

    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers.get("content-length") or 0)))

    def answer(self, body: bytes) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            value = json.loads(body) if body else None
        except ValueError:
            value = body.decode(errors="replace")
        if self.path == "/public-key":
            dialect_gemini.PUBLIC[:] = [value]
            return self.send(200, {})
        with self.lock:
            self.records.append({"method": self.command, "path": self.path, "headers": headers, "body": value})
        for provider in PROVIDERS:
            if not provider.owns(self.path):
                continue
            try:
                reply = provider.answer(self.path, headers, value, body)
            except Refused as refused:
                status, body_, more = provider.error(refused)
                return self.send(status, body_, more)
            if reply.events is None and reply.raw is None:
                return self.send(200, reply.body, reply.headers)
            return self.stream(reply)
        self.send(404, {"message": f"no provider has {self.path}"})


sys.modules.setdefault("dialects", sys.modules[__name__])
import dialect_anthropic  # noqa: E402  The providers use what is above.
import dialect_cohere  # noqa: E402
import dialect_gemini  # noqa: E402

PROVIDERS: list[Any] = [dialect_anthropic, dialect_cohere, dialect_gemini]

if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(f"emulated providers on http://127.0.0.1:{server.server_port}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        sys.exit(0)
