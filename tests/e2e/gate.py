"""An OpenAI-compatible upstream whose model list answers only when the test says so: readiness at will.

Decides nothing about Weir; counts who asked, and remembers with which credential.
"""

from __future__ import annotations

import http.server
import json
import threading
from typing import Any


class Gate:
    """A context manager. `base`: its address. `probes`: how often the model list was asked for."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.probes = 0
        self.credentials: list[str] = []

    def __enter__(self) -> Gate:
        gate = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                gate.probes += 1
                gate.open.wait(30)
                self.answer({"object": "list", "data": []})

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
                gate.credentials.append(self.headers.get("authorization", "").removeprefix("Bearer "))
                message = {"role": "assistant", "content": f"from {asked['model']}"}
                self.answer({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": asked["model"],
                             "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                             "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}})

            def answer(self, body: Any) -> None:
                data = json.dumps(body).encode()
                try:
                    self.send_response(200)
                    self.send_header("content-type", "application/json")
                    self.send_header("content-length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:
                    pass  # Who asked is gone: that is what is being tested.

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.base = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        return self

    def __exit__(self, *_: object) -> None:
        self.open.set()
        self.server.shutdown()
        self.server.server_close()
