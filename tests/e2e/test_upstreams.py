"""Upstreams that behave badly before the first byte: retried within bounds, then an error in the surface's own form."""

from __future__ import annotations

import json
import re
import time

import pytest

import weir

INTERNAL = re.compile(r"127\.0\.0\.1|localhost|sk-upstream|Traceback|panicked")


def check_error(surface: weir.Surface, answer, statuses: tuple[int, ...]) -> None:
    """The surface's own form, a request id, and nothing that is not the caller's business."""
    assert answer.status in statuses, (surface.name, answer)
    body = answer.json()
    if surface.form == "databricks":
        assert body["error_code"] and body["message"] and "error" not in body, answer
    elif surface.form == "databricks-openai":
        assert body["error_code"] and body["error"]["message"], answer
    elif surface.name == "model inference" and "status" in body:
        assert body["status"] == answer.status and body["message"], answer
    else:
        assert body["error"]["message"], answer
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.headers.get("x-request-id") or answer.headers.get("apim-request-id"), answer
    assert not INTERNAL.search(answer.text), answer


@pytest.mark.parametrize("surface", weir.SURFACES, ids=lambda s: s.name)
class TestEverySurface:
    def ask(self, surface, endpoint, **members):
        return weir.call(surface.chat(endpoint.name), weir.ask("one", endpoint.name, **members))

    @pytest.mark.parametrize("stream", [False, True])
    def test_a_503_is_retried(self, surface, endpoint, stream):
        endpoint.script({"status": 503}, {})
        answer = self.ask(surface, endpoint, stream=stream)
        assert answer.status == 200 and len(endpoint.requests()) == 2, answer

    def test_a_connection_that_is_closed_without_an_answer_is_retried(self, surface, endpoint):
        endpoint.script({"close": True}, {})
        assert self.ask(surface, endpoint).status == 200

    @pytest.mark.parametrize("stream", [False, True])
    def test_a_lasting_failure_is_bounded_and_told(self, surface, endpoint, stream):
        endpoint.script({"status": 500, "body": "<html>at 127.0.0.1: Traceback</html>"})
        began = time.monotonic()
        check_error(surface, self.ask(surface, endpoint, stream=stream), (500, 502, 503))
        assert time.monotonic() - began < 10 and len(endpoint.requests()) <= 6

    @pytest.mark.parametrize("body", ["<html>hello</html>", "", "{", "[]", "nul", '{"id":'])
    def test_garbage_is_a_502(self, surface, endpoint, body):
        endpoint.script({"body": body, "headers": {"content-type": "text/html"}})
        check_error(surface, self.ask(surface, endpoint), (502,))

    def test_a_stream_that_is_no_stream_is_a_502(self, surface, endpoint):
        endpoint.script({"body": "<html>hello</html>", "headers": {"content-type": "text/html"}})
        check_error(surface, self.ask(surface, endpoint, stream=True), (502,))

    @pytest.mark.parametrize("status", [301, 302, 307, 308])
    def test_a_redirect_is_never_followed(self, surface, endpoint, status):
        endpoint.script({"status": status, "headers": {"location": f"{endpoint.upstream.url}/v1/models"}, "body": ""})
        check_error(surface, self.ask(surface, endpoint), (502,))

    def test_a_refused_credential_is_a_502_without_the_credential(self, surface, endpoint):
        for status in (401, 403):
            endpoint.script({"status": status, "body": {"error": {"message": "Incorrect API key: sk-upstream"}}})
            check_error(surface, self.ask(surface, endpoint), (502,))

    def test_a_429_passes_with_its_retry_after(self, surface, endpoint):
        endpoint.script({"status": 429, "headers": {"retry-after": "9"}})
        answer = self.ask(surface, endpoint)
        check_error(surface, answer, (429,))
        assert answer.headers["retry-after"].isdigit() and 0 < int(answer.headers["retry-after"]) <= 9

    def test_a_400_passes_with_its_message(self, surface, endpoint):
        for status in (400, 422):
            endpoint.script({"status": status, "body": {"error": {"message": "top_p is odd", "param": "top_p"}}})
            answer = self.ask(surface, endpoint)
            check_error(surface, answer, (status, 400))
            assert "top_p is odd" in answer.text and "retry-after" not in answer.headers

    def test_unknown_members_survive_both_ways(self, surface, endpoint):
        endpoint.script({"members": {"x_new": {"deep": [1, 2.50, "ü"]}}})
        extra = {"x_asked": {"a": [1.10, None]}, "reasoning_effort": "low"}
        headers = {"extra-parameters": "pass-through"} if surface.name == "model inference" else {}
        for stream in (False, True):
            answer = weir.call(surface.chat(endpoint.name), weir.ask("one", endpoint.name, stream=stream, **extra),
                               **headers)
            sent = json.loads(endpoint.requests()[-1]["body"])
            assert {k: sent[k] for k in extra} == extra and sent["model"] == endpoint.name
            got = answer.events()[0] if stream else answer.json()
            assert got["x_new"] == {"deep": [1, 2.50, "ü"]}, answer


def test_members_pass_byte_for_byte(endpoint):
    raw = (b'{ "model" : "NAME", "messages":[{"role":"user","content":"\\u0041 \\/ \xc3\xbc"}],\t'
           b'"x": 1.0E+2, "big": 123456789012345678901234567890, "model_x":"NAME" }').replace(b"NAME", endpoint.name.encode())
    assert weir.call("/v1/chat/completions", raw).status == 200
    assert endpoint.requests()[-1]["body"].encode() == raw


def test_the_callers_headers_stay_with_weir(endpoint):
    answer = weir.call("/v1/chat/completions", weir.ask("one", endpoint.name), **{
        "api-key": weir.KEY, "cookie": "a=b", "x-forwarded-for": "1.2.3.4", "x-secret": "s"})
    assert answer.status == 200
    headers = endpoint.requests()[-1]["headers"]
    assert not {"api-key", "cookie", "x-secret", "x-forwarded-for"} & set(headers)
    assert weir.KEY not in str(headers) and headers["authorization"] == "Bearer sk-upstream"
    assert headers["content-type"] == "application/json"


def test_the_upstreams_headers_stay_with_weir(endpoint):
    endpoint.script({"headers": {"set-cookie": "a=b", "server": "secret", "x-internal": "1"}})
    headers = weir.call("/v1/chat/completions", weir.ask("one", endpoint.name)).headers
    assert not {"set-cookie", "x-internal"} & set(headers) and headers.get("server") != "secret"


def test_a_large_answer_comes_through(endpoint):
    endpoint.script({"words": 1_000_000})
    answer = weir.call("/v1/chat/completions", weir.ask("one", endpoint.name))
    assert answer.status == 200 and answer.complete and len(answer.body) > 5_000_000
    assert answer.json()["usage"]["completion_tokens"] == 1_000_000
    assert weir.usage_soon(endpoint.name, 1)["output_tokens"] == 1_000_000


def test_an_upstream_that_went_away_is_a_502(upstream):
    """The server of this endpoint is started for its probe and stopped before it is asked."""
    import pathlib
    import subprocess
    import sys

    server = pathlib.Path(__file__).with_name("upstream.py")
    process = subprocess.Popen([sys.executable, str(server)], stdout=subprocess.PIPE, text=True)
    base = process.stdout.readline().split()[-1] + "/v1"
    name = weir.fresh("gone")
    try:
        weir.create_endpoint(name, [weir.external_model(base, name)])
    finally:
        process.terminate()
        process.wait()
    for surface in weir.SURFACES:
        for stream in (False, True):
            began = time.monotonic()
            answer = weir.call(surface.chat(name), weir.ask("one", name, stream=stream))
            check_error(surface, answer, (502, 503))
            assert time.monotonic() - began < 10
    weir.delete_endpoint(name)


def test_a_slow_upstream_does_not_hold_up_others(endpoint):
    from concurrent.futures import ThreadPoolExecutor

    endpoint.script({"never": True})
    with ThreadPoolExecutor(20) as pool:
        stuck = [pool.submit(_leave_after, endpoint.name, 1.5) for _ in range(20)]
        time.sleep(0.3)
        began = time.monotonic()
        assert weir.call("/v1/chat/completions", weir.ask(model="demo-chat")).status == 200
        assert time.monotonic() - began < 1
        for one in stuck:
            one.result()


def _leave_after(name: str, seconds: float) -> None:
    import socket
    from urllib.parse import urlsplit

    parts = urlsplit(weir.URL)
    data = json.dumps(weir.ask("one", name)).encode()
    with socket.create_connection((parts.hostname, parts.port), 5) as sock:
        sock.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nhost: {parts.netloc}\r\nauthorization: Bearer {weir.KEY}"
                     f"\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n".encode() + data)
        time.sleep(seconds)
