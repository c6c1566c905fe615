"""What emulated providers have in common: a server in a thread of the test's own, scripts, and what was asked.

Decides how a provider's server is run; what it accepts and answers is in the provider's own file. A script is a list of
steps for one model, one a request, the last one repeats; an empty step is an answer as usual.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]


class Refused(Exception):
    """What the provider would not take: status, body, headers."""

    def __init__(self, status: int, body: Any, headers: Json | None = None) -> None:
        super().__init__(f"{status} {body}")
        self.status, self.body, self.headers = status, body, headers or {}


class Call:
    """One request, and how to answer it."""

    def __init__(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        self.handler, self.body = handler, body
        self.method, self.target = handler.command, handler.path
        self.headers = {k.lower(): v for k, v in handler.headers.items()}

    def json(self) -> Json:
        try:
            value = json.loads(self.body)
        except ValueError:
            raise Refused(400, {"message": "the body is not JSON"}) from None
        if not isinstance(value, dict):
            raise Refused(400, {"message": "the body is not an object"})
        return value

    def answer(self, status: int, body: Any, headers: Json | None = None) -> None:
        data = json.dumps(body).encode()
        self.handler.send_response(status)
        for name, value in {"content-type": "application/json", **(headers or {}), "content-length": len(data)}.items():
            self.handler.send_header(name, str(value))
        self.handler.end_headers()
        self.handler.wfile.write(data)

    def stream(self, content_type: str, pieces: Any) -> None:
        """Sends the pieces as they come; one that is None resets the connection."""
        self.handler.send_response(200)
        self.handler.send_header("content-type", content_type)
        self.handler.send_header("transfer-encoding", "chunked")
        self.handler.end_headers()
        for piece in pieces:
            if piece is None:
                self.handler.close_connection = True
                self.handler.connection.close()
                return
            self.handler.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            self.handler.wfile.flush()
        self.handler.wfile.write(b"0\r\n\r\n")


class Provider:
    """A provider's server. Its own class has `serve(call)`, which answers or raises `Refused`."""

    def __init__(self) -> None:
        self.scripts: dict[str, list[Json]] = {}
        self.taken: dict[str, int] = defaultdict(int)
        self.asked: list[Json] = []
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                call = Call(self, self.rfile.read(int(self.headers.get("content-length") or 0)))
                try:
                    provider.serve(call)
                except Refused as refused:
                    call.answer(refused.status, refused.body, refused.headers)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            do_GET = do_POST = handle_any

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def script(self, model: str, *steps: Json) -> None:
        self.scripts[model], self.taken[model] = list(steps), 0

    def step(self, model: str) -> Json:
        steps = self.scripts.get(model) or [{}]
        at, self.taken[model] = self.taken[model], self.taken[model] + 1
        return steps[min(at, len(steps) - 1)]

    def note(self, call: Call, model: str, body: Any) -> None:
        self.asked.append({"model": model, "target": call.target, "headers": call.headers, "body": body})

    def requests(self, model: str) -> list[Json]:
        return [asked for asked in self.asked if asked["model"] == model]

    def serve(self, call: Call) -> None:
        raise NotImplementedError
