"""Inference tables in a bucket: what an operator who binds one gets."""

from __future__ import annotations

import json

import weir
import wire
from bucket import ADMIN, Bucketed

HEAD = weir.bearer(ADMIN)


def test_a_bucket_has_the_rows_of_the_table_in_objects_by_table_and_day():
    with Bucketed() as server:
        name = weir.fresh("logged")
        model = {"name": name, "provider": "simulator", "task": "llm/v1/chat"}
        gateway = {"inference_table_config": {"enabled": True, "catalog_name": "main", "schema_name": "serving",
                                              "table_name_prefix": "chats"},
                   "guardrails": {"input": {"invalid_keywords": ["nimbus"]}}}
        body = {"name": name, "config": {"served_entities": [{"external_model": model}]}, "ai_gateway": gateway}
        weir.done(wire.send(server.url, "POST", weir.ENDPOINTS, HEAD, body))

        def ask(text: str, **more) -> wire.Answer:
            body = weir.ask(text, client_request_id=text, **more)
            return wire.send(server.url, "POST", f"/serving-endpoints/{name}/invocations", HEAD, body)

        answers = [ask("one"), ask("two", stream=True), ask("what of Nimbus?")]
        assert [answer.status for answer in answers] == [200, 200, 400]

        def rows() -> list[dict]:
            bodies = [text for key, text in server.objects().items() if "/chats_payload/" in key]
            return [json.loads(line) for text in bodies for line in text.splitlines()]

        weir.until(rows, lambda rows: len(rows) == 3, 10, "every exchange is in the bucket", every=0.2)
        by_id = {row["client_request_id"]: row for row in rows()}
        for text, answer in zip(["one", "two", "what of Nimbus?"], answers):
            row = by_id[text]
            assert (row["status_code"], row["response"]) == (answer.status, answer.text), text
            assert json.loads(row["request"])["client_request_id"] == text
        day = by_id["one"]["request_date"]
        assert all(key.startswith(f"default/main/serving/chats_payload/request_date={day}/") and key.endswith(".jsonl")
                   for key in server.objects()), server.objects().keys()
        target = f"/api/weir/v1/databricks/inference_table?deployment={name}"
        table = wire.send(server.url, "GET", target, HEAD).text
        shown = {row["databricks_request_id"]: row for row in map(json.loads, table.splitlines())}
        assert shown == {row["databricks_request_id"]: row for row in rows()}, "the ledger has its newest rows as well"
