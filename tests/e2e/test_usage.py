"""What was used is in the ledger once, exactly, within 2 s; whatever the caller did."""

from __future__ import annotations

import csv
import io
import time

import weir
import wire


def counts(row: dict) -> tuple[int, int, int]:
    return row["requests"], row["input_tokens"], row["output_tokens"]


def test_plain_streamed_and_embedded_exchanges_are_counted_exactly(endpoint, embedder):
    for surface in weir.SURFACES:
        for stream in (False, True):
            body = weir.ask("one two three", endpoint.name, stream=stream)
            assert weir.call(surface.chat(endpoint.name), body).status == 200
        assert weir.call(surface.embeddings(embedder.name), {"model": embedder.name, "input": ["a b", "c"]}).status == 200
    count = len(weir.SURFACES)
    assert counts(weir.usage_soon(endpoint.name, 2 * count)) == (2 * count, 2 * count * 3, 2 * count * 4)
    row = weir.usage_soon(embedder.name, count)
    assert counts(row) == (count, 3 * count, 0) and row["total_tokens"] == 3 * count


def test_refused_and_failed_exchanges_are_not_counted(endpoint):
    endpoint.script({"status": 400}, {})
    ask = weir.ask("one", endpoint.name)
    assert weir.call("/v1/chat/completions", ask).status == 400
    assert weir.call("/v1/chat/completions", ask, key="wrong").status == 401
    assert weir.call("/v1/chat/completions", b"{").status == 400
    assert weir.call("/v1/chat/completions", ask).status == 200
    assert counts(weir.usage_soon(endpoint.name, 1)) == (1, 1, 2)
    time.sleep(1)
    assert counts(weir.usage_of(endpoint.name)) == (1, 1, 2)


def test_many_at_once_are_counted_once_each(endpoint):
    from concurrent.futures import ThreadPoolExecutor

    def one(i: int) -> int:
        return weir.call("/v1/chat/completions", weir.ask("one two", endpoint.name, stream=i % 2 == 0)).status

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(one, range(100))) == {200}
    assert counts(weir.usage_soon(endpoint.name, 100)) == (100, 200, 300)
    time.sleep(1)
    assert weir.usage_of(endpoint.name)["requests"] == 100


def test_a_caller_that_leaves_a_plain_call_is_still_metered(endpoint):
    endpoint.script({"delay": 0.6})
    exchange = weir.URL, "POST", "/v1/chat/completions", weir.bearer(weir.KEY), weir.ask("one two", endpoint.name)
    leave_before_the_answer(*exchange)
    weir.until(endpoint.requests, lambda r: r and r[0]["finished"], 3, "the upstream's answer was awaited")
    assert counts(weir.usage_soon(endpoint.name, 1)) == (1, 2, 3)


def leave_before_the_answer(url, method, target, headers, body) -> None:
    """Sends a request and closes the connection after 0.3 s without reading."""
    import json
    import socket
    from urllib.parse import urlsplit

    parts, data = urlsplit(url), json.dumps(body).encode()
    head = {**headers, "host": parts.netloc, "content-type": "application/json", "content-length": str(len(data))}
    lines = "".join(f"{k}: {v}\r\n" for k, v in head.items())
    with socket.create_connection((parts.hostname, parts.port), 5) as sock:
        sock.sendall(f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode() + data)
        time.sleep(0.3)


def test_cost_follows_the_price_of_the_catalog(upstream):
    name = weir.fresh("priced")
    weir.put_catalog(name, [weir.external_model(upstream.base, name)],
                     price={"currency": "USD", "input_per_1m": "2.50", "output_per_1m": "10.00"})
    weir.put_deployment(name, name)
    assert weir.call("/v1/chat/completions", weir.ask("one two three four", name)).status == 200
    row = weir.usage_soon(name, 1)
    assert row["currency"] == "USD" and abs(float(row["cost"]) - (4 * 2.5 + 5 * 10) / 1e6) < 1e-12
    weir.manage("DELETE", weir.arm(f"/deployments/{name}"))
    weir.manage("DELETE", f"{weir.CATALOG}/{name}")


def test_what_the_upstream_does_not_report_is_estimated(endpoint):
    endpoint.script({"usage": False})
    for stream in (False, True):
        assert weir.call("/v1/chat/completions", weir.ask("one two three", endpoint.name, stream=stream)).status == 200
    row = weir.usage_soon(endpoint.name, 2)
    assert row["input_tokens"] > 0 and row["output_tokens"] > 0


def test_groups_and_forms(endpoint):
    assert weir.call("/v1/chat/completions", weir.ask("one two", endpoint.name)).status == 200
    row = weir.usage_soon(endpoint.name, 1, "deployment,model,principal,key")
    assert row["model"] == endpoint.name and row["principal"] and row["key"] and row["start"]
    answer = weir.manage("GET", "/api/weir/v1/usage?interval=hour&group_by=deployment&format=csv")
    assert answer.status == 200 and "csv" in answer.headers["content-type"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [r["requests"] for r in rows if r["deployment"] == endpoint.name] == ["1"]
    meters = weir.done(weir.manage("GET", "/api/weir/v1/usage?interval=hour&limit=10000&group_by=deployment,meter"))["rows"]
    mine = {r["meter"]: r["quantity"] for r in meters if r["deployment"] == endpoint.name}
    assert (mine["requests"], mine["input_tokens"], mine["output_tokens"]) == (1, 2, 3)


def test_bad_questions():
    for query in ("interval=century", "group_by=colour", "from=yesterday", "format=xml"):
        answer = weir.manage("GET", f"/api/weir/v1/usage?{query}")
        assert answer.status == 400 and answer.json()["error"]["code"], (query, answer)
    assert wire.send(weir.URL, "GET", "/api/weir/v1/usage").status == 401
    assert weir.manage("GET", "/api/weir/v1/usage", token="wrong").status == 401
    assert weir.manage("GET", "/api/weir/v1/usage", token=weir.KEY).status == 403
