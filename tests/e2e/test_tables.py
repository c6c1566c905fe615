"""What the ledger tells others: Prometheus, Databricks' tables, the costs of a subscription."""

from __future__ import annotations

import csv
import io
import json as jsonlib
import time
from datetime import datetime

import weir

TABLES = "/api/weir/v1/databricks"
#: The columns as Databricks documents them.
USAGE = ["account_id", "workspace_id", "client_request_id", "databricks_request_id", "requester", "status_code", "request_time",
         "input_token_count", "output_token_count", "input_character_count", "output_character_count", "usage_context",
         "request_streaming", "served_entity_id"]
ENTITIES = ["served_entity_id", "account_id", "workspace_id", "created_by", "endpoint_name", "endpoint_id", "served_entity_name",
            "entity_type", "entity_name", "entity_version", "endpoint_config_version", "task", "external_model_config",
            "foundation_model_config", "custom_model_config", "feature_spec_config", "change_time", "endpoint_delete_time"]
PAYLOADS = {"request_date", "databricks_request_id", "client_request_id", "request_time", "status_code", "sampling_fraction",
            "execution_duration_ms", "request", "response", "served_entity_id", "logging_error_codes", "requester"}


def metric(text: str, name: str, *parts: str) -> float | None:
    """The value of the one line of this name that has all these parts."""
    rows = [line for line in text.splitlines() if line.startswith(f"{name}{{") and all(part in line for part in parts)]
    assert len(rows) <= 1, rows
    return float(rows[0].rsplit(" ", 1)[1]) if rows else None


def scrape() -> str:
    answer = weir.manage("GET", "/metrics")
    assert answer.status == 200, answer
    assert dict(answer.headers)["content-type"].startswith("text/plain; version=0.0.4")
    return answer.body.decode()


def test_prometheus_reads_what_every_deployment_did(endpoint):
    ask = weir.ask("one two", endpoint.name)
    for _ in range(3):
        assert weir.call("/v1/chat/completions", ask).status == 200
    endpoint.script({"status": 400})
    assert weir.call("/v1/chat/completions", ask).status == 400
    weir.usage_soon(endpoint.name, 3)
    mine = f'deployment="{endpoint.name}"'
    failed = lambda: metric(scrape(), "weir_request_failures_total", mine, 'error_type="upstream_status"')
    weir.until(failed, lambda count: count == 1, 3, "the failure is counted")
    text = scrape()
    assert metric(text, "weir_requests_total", mine) == 3
    assert metric(text, "gen_ai_client_token_usage_sum", mine, 'gen_ai_token_type="input"') == 6
    assert metric(text, "gen_ai_client_token_usage_sum", mine, 'gen_ai_token_type="output"') == 9
    assert metric(text, "gen_ai_server_request_duration_seconds_count", mine) == 3
    assert 0 < metric(text, "gen_ai_server_request_duration_seconds_sum", mine) < 60
    assert weir.manage("GET", "/metrics", token=weir.KEY).status == 403


def test_databricks_usage_tables_have_the_callers_tags(upstream, endpoint):
    body = weir.ask("one two")
    assert weir.call(f"/serving-endpoints/{endpoint.name}/invocations", body).status == 200
    weir.usage_soon(endpoint.name, 1)
    answer = weir.done(weir.manage("GET", f"{TABLES}/endpoint_usage?deployment={endpoint.name}"))
    assert answer["rows"] == [], "usage is tracked where the gateway says so"
    gateway = {"usage_tracking_config": {"enabled": True}, "rate_limits": [{"calls": 2, "renewal_period": "minute"}]}
    endpoint.name, plain = weir.fresh("tracked"), endpoint.name
    weir.create_endpoint(endpoint.name, [weir.external_model(upstream.base, endpoint.name)], ai_gateway=gateway)
    body = weir.ask("one two", client_request_id="mine", usage_context={"team": "a"})
    assert weir.call(f"/serving-endpoints/{endpoint.name}/invocations", body).status == 200
    weir.usage_soon(endpoint.name, 1)
    rows = weir.done(weir.manage("GET", f"{TABLES}/endpoint_usage?deployment={endpoint.name}"))["rows"]
    assert len(rows) == 1
    row = rows[0]
    assert (row["input_character_count"], row["output_character_count"]) == (7, len("echo: one two"))
    assert (row["client_request_id"], row["usage_context"], row["status_code"]) == ("mine", {"team": "a"}, 200)
    assert (row["input_token_count"], row["output_token_count"], row["request_streaming"]) == (2, 3, False)
    assert set(row) == set(USAGE) and (row["account_id"], row["workspace_id"]) == ("default", "default")
    assert datetime.fromisoformat(row["request_time"]).timestamp() > time.time() - 60 and row["requester"]
    answer = weir.manage("GET", f"{TABLES}/endpoint_usage?deployment={endpoint.name}&format=csv")
    lines = csv.DictReader(io.StringIO(answer.body.decode()))
    told = lambda value: "" if value is None else jsonlib.dumps(value, separators=(",", ":")) if not isinstance(value, str) else value  # noqa: E731
    assert [dict(line) for line in lines] == [{column: told(row[column]) for column in USAGE}] and lines.fieldnames == USAGE
    entities = weir.done(weir.manage("GET", f"{TABLES}/served_entities"))["rows"]
    mine = [entity for entity in entities if entity["endpoint_name"] == endpoint.name]
    assert row["served_entity_id"] in [entity["served_entity_id"] for entity in mine]
    assert {(entity["endpoint_config_version"], entity["task"]) for entity in mine} == {("1", "llm/v1/chat")}
    assert set(mine[0]) == set(ENTITIES) and mine[0]["external_model_config"] == {"name": endpoint.name, "provider": "openai"}
    answer = weir.manage("GET", f"{TABLES}/served_entities?format=csv")
    lines = csv.DictReader(io.StringIO(answer.body.decode()))
    assert [line["served_entity_id"] for line in lines if line["endpoint_name"] == endpoint.name] == [row["served_entity_id"]]
    assert lines.fieldnames == ENTITIES
    endpoint.script({"status": 400})
    statuses = [weir.call(f"/serving-endpoints/{endpoint.name}/invocations", body).status for _ in range(2)]
    assert statuses == [400, 429]
    target = f"{TABLES}/endpoint_usage?deployment={endpoint.name}"
    rows = weir.until(lambda: weir.done(weir.manage("GET", target))["rows"], lambda rows: len(rows) == 3, 3, "failures are rows")
    assert [row["status_code"] for row in rows] == [429, 400, 200]
    assert {row["input_token_count"] for row in rows[:2]} == {0} and weir.usage_of(endpoint.name)["requests"] == 1
    weir.delete_endpoint(endpoint.name)
    endpoint.name = plain


def test_an_inference_table_has_the_bodies_of_an_endpoint_that_wants_it(upstream, endpoint):
    name = weir.fresh("logged")
    table = {"enabled": True, "catalog_name": "main", "schema_name": "serving"}
    weir.create_endpoint(name, [weir.external_model(upstream.base, name)], ai_gateway={"inference_table_config": table})
    target, body = f"{TABLES}/inference_table?deployment={name}", weir.ask("one two", client_request_id="mine")
    answers = [weir.call(f"/serving-endpoints/{name}/invocations", {**body, "stream": stream}) for stream in (False, True)]
    assert [answer.status for answer in answers] == [200, 200]
    assert weir.call(f"/serving-endpoints/{endpoint.name}/invocations", body).status == 200

    def logged() -> list[dict]:
        answer = weir.manage("GET", target)
        assert answer.status == 200, answer
        return [jsonlib.loads(line) for line in answer.text.splitlines()]

    rows = weir.until(logged, lambda rows: len(rows) == 2, 3, "both exchanges are in the table")
    assert {row["response"] for row in rows} == {answer.text for answer in answers}
    assert all(jsonlib.loads(row["request"])["client_request_id"] == "mine" for row in rows)
    assert {(row["status_code"], row["sampling_fraction"]) for row in rows} == {(200, 1.0)}
    assert all(set(row) == PAYLOADS and row["request_time"].startswith(row["request_date"]) for row in rows)
    assert weir.manage("GET", f"{TABLES}/inference_table?deployment={endpoint.name}").text == ""
    assert weir.manage("GET", target, token=weir.KEY).status == 403
    weir.delete_endpoint(name)


def test_an_inference_table_is_for_who_manages_the_endpoint(upstream):
    """Users make endpoints, and read what was said to theirs alone, since they made them."""
    def user() -> str:
        made = weir.done(weir.manage("POST", "/api/weir/v1/principals", {"name": weir.fresh("user")}))
        return weir.done(weir.manage("POST", f"/api/weir/v1/principals/{made['id']}/tokens", {}))["token"]

    ana, ben, name = user(), user(), weir.fresh("owned")
    table = {"enabled": True, "catalog_name": "main", "schema_name": "serving"}
    entity = {"name": "a", "external_model": weir.external_model(upstream.base, name)}
    body = {"name": name, "config": {"served_entities": [entity]}, "ai_gateway": {"inference_table_config": table}}
    target = f"{TABLES}/inference_table?deployment={name}"

    def made_by(token: str) -> None:
        assert weir.manage("POST", weir.ENDPOINTS, body, token=token).status == 200
        weir.ready_endpoint(name)
        asked = lambda: weir.call(f"/serving-endpoints/{name}/invocations", weir.ask("one"), key=token).status  # noqa: E731
        weir.until(asked, lambda status: status == 200, 6, "its maker may query it", every=0.2)

    def lines(token: str) -> int:
        answer = weir.manage("GET", target, token=token)
        assert answer.status == 200, answer
        return len(answer.text.splitlines())

    made_by(ana)
    weir.until(lambda: lines(ana), lambda many: many >= 1, 3, "the exchange is in the table")
    assert weir.manage("GET", target, token=ben).status == 403
    assert weir.manage("GET", f"{weir.ENDPOINTS}/{name}", token=ben).status == 403
    assert weir.manage("DELETE", f"{weir.ENDPOINTS}/{name}", token=ben).status == 403
    before = lines(weir.ADMIN)
    assert weir.manage("DELETE", f"{weir.ENDPOINTS}/{name}", token=ana).status == 200
    assert weir.manage("GET", target, token=ana).status == 403
    made_by(ben)
    weir.until(lambda: lines(ben), lambda many: many >= 1, 3, "the exchange is in the table")
    assert lines(weir.ADMIN) - lines(ben) == before, "what was said to the endpoint before is not for its new maker"
    weir.delete_endpoint(name)


def test_costs_of_a_subscription_are_those_of_its_accounts():
    subscription, account = weir.fresh("sub"), weir.fresh("acct")
    path = f"/subscriptions/{subscription}/resourceGroups/rg/providers/Microsoft.CognitiveServices/accounts/{account}"
    deployment = {"sku": {"name": "Standard", "capacity": 100},
                  "properties": {"model": {"format": "Weir", "name": "simulator-chat"}}}
    version = "?api-version=2025-09-01"
    weir.done(weir.manage("PUT", f"{path}/deployments/d{version}", deployment))
    key = weir.done(weir.manage("POST", f"{path}/listKeys{version}"))["key1"]
    assert weir.call("/v1/chat/completions", weir.ask("one two", "d"), key=key).status == 200
    query = {"type": "Usage", "timeframe": "MonthToDate", "dataset": {"granularity": "None", "grouping": [
        {"type": "Dimension", "name": "AccountName"}, {"type": "Dimension", "name": "Meter"}]}}
    target = f"/subscriptions/{subscription}/providers/Microsoft.CostManagement/query?api-version=2023-03-01"
    rows = lambda: weir.done(weir.manage("POST", target, query))["properties"]["rows"]
    found = weir.until(rows, lambda rows: len(rows) == 2, 3, "the exchange is in the ledger")
    assert {row[2] for row in found} == {account}
    assert {row[3] for row in found} == {"paygo-inference-input-tokens", "paygo-inference-output-tokens"}
    assert all(row[1] > 0 for row in found)
