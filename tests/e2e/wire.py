"""HTTP/1.1 by hand: sends exactly the bytes given, and tells a body that ended from one that broke off.

Decides whether an answer is complete; clients that hide this (all of them) cannot be asked. Knows nothing of Weir.
"""

from __future__ import annotations

import json as jsonlib
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

TIMEOUT = 30.0


@dataclass
class Answer:
    """What came back. `complete`: the body reached its regular end (chunked end or its whole length)."""

    status: int
    headers: dict[str, str]
    body: bytes = b""
    complete: bool = False
    pieces: list[tuple[float, bytes]] = field(default_factory=list)

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return jsonlib.loads(self.body)

    def events(self) -> list[Any]:
        """The JSON values of a stream's `data:` lines, without `[DONE]`."""
        lines = [line[6:] for line in self.text.split("\n") if line.startswith("data: ")]
        return [jsonlib.loads(line) for line in lines if line != "[DONE]"]

    @property
    def looks_complete(self) -> bool:
        """Whether any client could take this stream for a whole one."""
        return self.complete and b"[DONE]" in self.body

    def __str__(self) -> str:
        return f"{self.status} {self.headers} {self.body[:2000]!r} complete={self.complete}"


class Exchange:
    """One request on a connection of its own."""

    def __init__(self, url: str, method: str, target: str, headers: dict[str, str], body: bytes | None) -> None:
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port or 80), TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        head = {"host": parts.netloc, **headers}
        if body is not None:
            head.setdefault("content-length", str(len(body)))
        lines = [f"{method} {target} HTTP/1.1", *(f"{k}: {v}" for k, v in head.items())]
        request = ("\r\n".join(lines) + "\r\n\r\n").encode() + (body or b"")
        try:
            self.socket.sendall(request)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the server answered before it had read everything; the answer may be there
        self.answer = self._head()

    def _fill(self) -> bool:
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)

    def _until(self, mark: bytes) -> bytes:
        while mark not in self.buffer:
            if not self._fill():
                raise ConnectionError(f"the connection ended within {self.buffer[:200]!r}")
        found, self.buffer = self.buffer.split(mark, 1)
        return found

    def _exactly(self, count: int) -> bytes:
        while len(self.buffer) < count:
            if not self._fill():
                raise ConnectionError("the connection ended within the body")
        found, self.buffer = self.buffer[:count], self.buffer[count:]
        return found

    def _head(self) -> Answer:
        while True:
            first, *lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
            status = int(first.split(" ", 2)[1])
            if status >= 200:
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
                return Answer(status, headers)

    def pieces(self) -> Iterator[bytes]:
        """The body's pieces as they come. Ends early, with `answer.complete` false, if the connection breaks."""
        try:
            yield from self._pieces()
            self.answer.complete = True
        except ConnectionError:
            pass
        finally:
            self.close()

    def _pieces(self) -> Iterator[bytes]:
        headers = self.answer.headers
        if "chunked" in headers.get("transfer-encoding", ""):
            while size := int(self._until(b"\r\n").split(b";")[0], 16):
                yield self._keep(self._exactly(size))
                self._until(b"\r\n")
            self._until(b"\r\n")
        elif "content-length" in headers:
            yield self._keep(self._exactly(int(headers["content-length"])))
        elif self.answer.status not in (204, 304):
            while self._fill():
                yield self._keep(self.buffer)
                self.buffer = b""

    def _keep(self, piece: bytes) -> bytes:
        self.answer.pieces.append((time.monotonic(), piece))
        self.answer.body += piece
        return piece

    def read(self) -> Answer:
        """The whole answer, or what there was of it."""
        for _ in self.pieces():
            pass
        return self.answer

    def close(self) -> None:
        self.socket.close()


def start(url: str, method: str, target: str, headers: dict[str, str] | None = None, body: Any = None) -> Exchange:
    """Sends a request and waits for the answer's head. A body that is not bytes is sent as JSON."""
    headers = {k.lower(): v for k, v in (headers or {}).items()}
    if body is not None and not isinstance(body, bytes):
        body = jsonlib.dumps(body).encode()
        headers.setdefault("content-type", "application/json")
    return Exchange(url, method, target, headers, body)


def send(url: str, method: str, target: str, headers: dict[str, str] | None = None, body: Any = None) -> Answer:
    """One whole exchange."""
    return start(url, method, target, headers, body).read()
