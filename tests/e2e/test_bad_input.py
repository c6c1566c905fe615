"""Callers that send rubbish: one table per surface; each row gets an answer in the surface's own form, in bounds."""

from __future__ import annotations

import json
import socket
import time
from urllib.parse import urlsplit

import pytest

import weir
import wire
from test_upstreams import check_error

MIB = 1 << 20


def chat(name: str, **members) -> bytes:
    return json.dumps(weir.ask(model=name, **members)).encode()


def deep(depth: int) -> bytes:
    return b'{"model":"demo-chat","messages":' + b"[" * depth + b"]" * depth + b"}"


ROWS: list[tuple[str, bytes, tuple[int, ...]]] = [
    ("empty", b"", (400,)),
    ("not JSON", b"hello", (400,)),
    ("cut off", chat("demo-chat")[:-3], (400,)),
    ("bytes after the end", chat("demo-chat") + b"{}", (400,)),
    ("an array", b"[]", (400,)),
    ("a string", b'"hello"', (400,)),
    ("null", b"null", (400,)),
    ("invalid UTF-8", b'{"model":"demo-chat","messages":[{"role":"user","content":"\xff\xfe"}]}', (400,)),
    ("invalid UTF-8 in an unknown member", chat("demo-chat")[:-1] + b',"x":"\xc3\x28"}', (400,)),
    ("a member twice", b'{"model":"demo-chat","model":"demo-embed","messages":[{"role":"user","content":"x"}]}', (400,)),
    ("stream twice", chat("demo-chat")[:-1] + b',"stream":true,"stream":false}', (400,)),
    ("too deep", deep(5_000), (400,)),
    ("very much too deep", deep(1_000_000), (400,)),
    ("stream is a word", chat("demo-chat", stream="yes"), (400, 422)),
    ("stream is a number", chat("demo-chat", stream=1), (400, 422)),
    ("max_tokens is negative", chat("demo-chat", max_tokens=-1), (400, 422)),
    ("max_tokens is a word", chat("demo-chat", max_tokens="many"), (400, 422)),
    ("max_tokens is absurd", chat("demo-chat")[:-1] + b',"max_tokens":1e999}', (400, 422)),
    ("n is absurd", chat("demo-chat", n=10**30), (400, 422)),
    ("messages is a string", b'{"model":"demo-chat","messages":"hello"}', (400, 422)),
    ("messages is empty", b'{"model":"demo-chat","messages":[]}', (400, 422)),
    ("no messages", b'{"model":"demo-chat"}', (400,)),
    ("a BOM", b"\xef\xbb\xbf" + chat("demo-chat"), (400,)),
    ("a lone surrogate", b'{"model":"demo-chat","messages":[{"role":"user","content":"\\ud800"}]}', (200, 400)),
    ("NUL bytes", b"\x00" * 1000, (400,)),
]
NAMES: list[tuple[str, object, tuple[int, ...]]] = [
    ("a number", 7, (400, 422)), ("an object", {}, (400, 422)), ("empty", "", (400, 404)), ("long", "m" * 100_000, (400, 404)),
    ("a header", "demo-chat\r\nx-evil: 1", (400, 404)), ("NUL", "demo-chat\0", (400, 404)),
    ("a path", "../demo-chat", (400, 404)), ("an encoded path", "%2e%2e/demo-chat", (400, 404)),
    ("another script", "dемо-chat", (400, 404)), ("Turkish i", "DEMO-CHAT\u0130", (400, 404)),
]


@pytest.mark.parametrize("surface", weir.SURFACES, ids=lambda s: s.name)
class TestEverySurface:
    @pytest.mark.parametrize(("what", "body", "statuses"), ROWS, ids=[row[0] for row in ROWS])
    def test_a_bad_body(self, surface, what, body, statuses):
        headers = {"extra-parameters": "pass-through"} if surface.name == "model inference" else {}
        began = time.monotonic()
        answer = weir.call(surface.chat("demo-chat"), body, **headers)
        assert time.monotonic() - began < 5
        if answer.status != 200 or 200 not in statuses:
            check_error(surface, answer, statuses)

    @pytest.mark.parametrize(("what", "name", "statuses"), NAMES, ids=[row[0] for row in NAMES])
    def test_a_bad_name_in_the_body(self, surface, what, name, statuses):
        if surface.named_in_path:
            return
        answer = weir.call(surface.chat("x"), json.dumps({**weir.ask(), "model": name}).encode())
        check_error(surface, answer, statuses)
        assert "x-evil" not in answer.headers

    @pytest.mark.parametrize("name", ["..%2fdemo-chat", "demo-chat%00", "demo-chat%0d%0ax-evil:%201", "%ff", "a" * 5000,
                                      "%", "demo-chat%2f..", ";", "demo chat".replace(" ", "%20")])
    def test_a_bad_name_in_the_path(self, surface, name):
        if not surface.named_in_path:
            return
        answer = weir.call(surface.chat(name), weir.ask())
        check_error(surface, answer, (400, 404))
        assert "x-evil" not in answer.headers

    @pytest.mark.parametrize(("headers", "what"), [
        ({}, "no key"), ({"authorization": "Bearer wrong"}, "wrong"), ({"api-key": "wrong"}, "wrong api-key"),
        ({"authorization": "Bearer "}, "empty"), ({"authorization": "Basic d2VpcjprZXk="}, "basic"),
        ({"authorization": "Bearer " + "k" * 8000}, "long"), ({"authorization": "Bearer wk_default_x"}, "a forged tag"),
        ({"authorization": f"Bearer {weir.KEY}x"}, "nearly"), ({"authorization": "Bearer weir-dev-ke\xff"}, "bytes"),
    ])
    def test_keys(self, surface, headers, what):
        answer = wire.send(weir.URL, "POST", surface.chat("demo-chat"), headers, weir.ask(model="demo-chat"))
        assert answer.status in (401, 403) if surface.form.startswith("databricks") else answer.status == 401, answer
        assert answer.headers["content-type"].startswith("application/json") and answer.json()
        assert answer.headers.get("x-request-id") or answer.headers.get("apim-request-id")
        assert "retry-after" not in answer.headers

    def test_both_keys_at_once_are_fine(self, surface):
        answer = weir.call(surface.chat("demo-chat"), weir.ask(model="demo-chat"), **{"api-key": weir.KEY})
        assert answer.status == 200

    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
    def test_wrong_methods(self, surface, method):
        answer = weir.call(surface.chat("demo-chat"), None if method == "GET" else b"{}", method=method)
        check_error(surface, answer, (404, 405))

    def test_an_unknown_deployment(self, surface):
        check_error(surface, weir.call(surface.chat("nobody"), weir.ask(model="nobody")), (404,))

    def test_the_wrong_task(self, surface):
        answer = weir.call(surface.chat("demo-embed"), weir.ask(model="demo-embed"))
        check_error(surface, answer, (400, 404))

    def test_a_body_of_16_mib_passes_and_one_byte_more_does_not(self, surface):
        room = 16 * MIB - len(chat("demo-chat", x="")) if surface.name != "model inference" else None
        if room is not None:
            assert weir.call(surface.chat("demo-chat"), chat("demo-chat", x="a" * room)).status == 200
        content = "a" * (16 * MIB + 1 - len(json.dumps(weir.ask("", "demo-chat")).encode()))
        whole = json.dumps(weir.ask(content, "demo-chat")).encode()
        assert len(whole) == 16 * MIB + 1
        check_error(surface, weir.call(surface.chat("demo-chat"), whole), (413,))


@pytest.mark.parametrize(("method", "target", "status"), [
    ("GET", "/", (200, 404)), ("GET", "/nothing", (404,)), ("POST", "/v1/audio/speech", (400,)),
    ("POST", "/v1/messages", (400, 401, 404, 501)), ("POST", "//v1//chat/completions", (404,)),
    ("POST", "/v1/../v1/chat/completionsx", (404,)), ("POST", "/openai/deployments//chat/completions", (404,)),
    ("GET", "/%", (400, 404)), ("GET", "/" + "a" * 8000, (404, 414)),
])
def test_routes_that_are_not_there_answer_in_a_form(method, target, status):
    answer = wire.send(weir.URL, method, target, weir.bearer(weir.KEY), b"{}" if method == "POST" else None)
    assert answer.status in status and answer.headers["content-type"].startswith(("application/json", "text/html")), answer
    if answer.status >= 400:
        assert answer.json()


@pytest.mark.parametrize("query", ["", "?api-version=", "?api-version=0613", "?api-version=2024-10-21x", "?x=1"])
def test_azure_paths_without_a_known_version_are_not_found(query):
    for path in ("/openai/deployments/demo-chat/chat/completions", "/models/chat/completions"):
        answer = weir.call(path + query, weir.ask(model="demo-chat"))
        assert (answer.status, answer.json()["error"]["code"]) == (404, "404"), answer


def test_a_caller_that_sends_its_body_slowly_is_served():
    parts, data = urlsplit(weir.URL), chat("demo-chat")
    with socket.create_connection((parts.hostname, parts.port), 10) as sock:
        sock.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nhost: {parts.netloc}\r\nauthorization: Bearer {weir.KEY}\r\n"
                     f"content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n".encode())
        for i in range(0, len(data), 16):
            sock.sendall(data[i:i + 16])
            time.sleep(0.02)
        assert sock.recv(4096).startswith(b"HTTP/1.1 200")


def test_a_caller_that_never_finishes_its_body_harms_nobody():
    parts = urlsplit(weir.URL)
    half = [socket.create_connection((parts.hostname, parts.port), 10) for _ in range(50)]
    for sock in half:
        sock.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nhost: {parts.netloc}\r\nauthorization: Bearer {weir.KEY}\r\n"
                     "content-type: application/json\r\ncontent-length: 1000\r\n\r\n{".encode())
    assert weir.call("/v1/chat/completions", weir.ask(model="demo-chat")).status == 200
    for sock in half:
        sock.close()
    assert weir.call("/v1/chat/completions", weir.ask(model="demo-chat")).status == 200


def test_health():
    assert wire.send(weir.URL, "GET", "/healthz").status == 200
    assert wire.send(weir.URL, "GET", "/readyz").status == 200


def test_discovery_of_databricks_needs_no_key():
    answer = wire.send(weir.URL, "GET", "/.well-known/databricks-config")
    assert answer.status in (200, 404) and answer.json() is not None
