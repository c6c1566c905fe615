"""MLflow's deployments client over Databricks' surface: every call of it, in its old and its new style."""

from __future__ import annotations

import pytest
import requests
from mlflow.deployments import get_deploy_client

import weir
from gate import Gate

HELLO = {"messages": [{"role": "user", "content": "one two"}]}
CALLS = [{"key": "user", "renewal_period": "minute", "calls": 500}]


@pytest.fixture(autouse=True)
def host(monkeypatch, tmp_path):
    monkeypatch.setenv("DATABRICKS_HOST", weir.URL)
    monkeypatch.setenv("DATABRICKS_TOKEN", weir.ADMIN)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("MLFLOW_DEPLOYMENT_PREDICT_TOTAL_TIMEOUT", "20")


@pytest.fixture
def client():
    return get_deploy_client("databricks")


def entity(upstream, name: str, entity: str = "a") -> dict:
    return {"name": entity, "external_model": weir.external_model(upstream.base, name)}


def test_the_new_style(client, upstream):
    name = weir.fresh("new")
    made = client.create_endpoint(config={
        "name": name, "config": {"served_entities": [entity(upstream, name)]}, "rate_limits": CALLS,
        "tags": [{"key": "team", "value": "a"}]})
    assert made.name == name and made.tags == [{"key": "team", "value": "a"}] and made.id and made.creator
    weir.ready_endpoint(name)
    changed = client.update_endpoint_config(endpoint=name, config={"served_entities": [entity(upstream, name, "b")]})
    assert changed.name == name
    assert weir.ready_endpoint(name)["config"]["served_entities"][0]["name"] == "b"
    tags = client.update_endpoint_tags(endpoint=name, config={"add_tags": [{"key": "x"}], "delete_tags": ["team"]})
    assert tags.tags == [{"key": "x"}]
    assert client.update_endpoint_rate_limits(endpoint=name, config={"rate_limits": CALLS}) == {"rate_limits": CALLS}
    gateway = client.update_endpoint_ai_gateway(endpoint=name, config={"usage_tracking_config": {"enabled": True}})
    assert gateway.usage_tracking_config == {"enabled": True}
    got = client.get_endpoint(endpoint=name)
    assert got.state["ready"] == "READY" and got.ai_gateway["usage_tracking_config"]["enabled"]
    assert name in [e["name"] for e in client.list_endpoints()]
    answer = client.predict(endpoint=name, inputs={**HELLO, "max_tokens": 2})
    assert answer["choices"][0]["message"]["content"] == "echo: one" and answer["usage"]["total_tokens"] == 4
    chunks = list(client.predict_stream(endpoint=name, inputs=HELLO))
    assert "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks) == "echo: one two"
    assert client.delete_endpoint(endpoint=name) == {}
    with pytest.raises(requests.HTTPError, match="404 .*does not exist"):
        client.get_endpoint(endpoint=name)


def test_the_old_style(client, upstream):
    name = weir.fresh("old")
    made = client.create_endpoint(name=name, config={
        "served_entities": [entity(upstream, name)], "rate_limits": CALLS, "tags": [{"key": "team"}]})
    assert made["name"] == name and made["tags"] == [{"key": "team"}]
    weir.ready_endpoint(name)
    limits = {"rate_limits": [{**CALLS[0], "calls": 7}]}
    assert client.update_endpoint(endpoint=name, config=limits) == limits
    assert client.update_endpoint(endpoint=name, config={"served_entities": [entity(upstream, name, "c")]})["name"] == name
    assert weir.ready_endpoint(name)["config"]["served_entities"][0]["name"] == "c"
    assert client.predict(endpoint=name, inputs=HELLO)["choices"][0]["message"]["content"] == "echo: one two"
    assert client.delete_endpoint(endpoint=name) == {}


@pytest.mark.parametrize(("config", "status"), [
    ({"name": "a b", "config": {"served_entities": []}}, 400),
    ({"name": "x", "config": {"served_entities": [{"external_model": {"provider": "nobody"}}]}}, 400),
], ids=["name", "provider"])
def test_a_bad_endpoint_keeps_its_status(client, config, status):
    with pytest.raises(requests.HTTPError, match=f"^{status} "):
        client.create_endpoint(config=config)


def test_errors_keep_their_statuses(client, upstream, monkeypatch):
    """11.4: of what the SDK below raises MLflow makes a status again, by the error's code."""
    name, user = weir.fresh("told"), weir.done(weir.manage("POST", "/api/weir/v1/principals", {"name": weir.fresh("user")}))
    config = {"name": name, "config": {"served_entities": [entity(upstream, name)]}}
    client.create_endpoint(config=config)
    weir.ready_endpoint(name)
    with pytest.raises(requests.HTTPError, match="^400 .*already exists"):
        client.create_endpoint(config=config)
    with Gate() as gate:
        gate.open.clear()
        other = {"served_entities": [{"name": "b", "external_model": weir.external_model(gate.base, name)}]}
        assert client.update_endpoint_config(endpoint=name, config=other).state["config_update"] == "IN_PROGRESS"
        with pytest.raises(requests.HTTPError, match="^409 .*currently updating"):
            client.update_endpoint_config(endpoint=name, config=other)
        gate.open.set()
        weir.ready_endpoint(name)
    token = weir.done(weir.manage("POST", f"/api/weir/v1/principals/{user['id']}/tokens", {}))["token"]
    monkeypatch.setenv("DATABRICKS_TOKEN", token)
    for call in (lambda: client.get_endpoint(endpoint=name), lambda: client.delete_endpoint(endpoint=name),
                 lambda: client.predict(endpoint=name, inputs=HELLO)):
        with pytest.raises(requests.HTTPError, match="^403 .*does not have permission"):
            call()
    weir.delete_endpoint(name)


def test_a_profile_of_the_configuration_file(monkeypatch, tmp_path):
    """The target that names a profile, and `databricks-sdk` with it."""
    (tmp_path / "profiles").write_text(f"[weir]\nhost = {weir.URL}\ntoken = {weir.ADMIN}\n")
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "profiles"))
    for name in ("DATABRICKS_HOST", "DATABRICKS_TOKEN"):
        monkeypatch.delenv(name)
    name = weir.fresh("profile")
    weir.create_endpoint(name, [{"name": name, "provider": "simulator", "task": "llm/v1/chat"}])
    client = get_deploy_client("databricks://weir")
    assert name in [e["name"] for e in client.list_endpoints()] and client.get_endpoint(endpoint=name)["name"] == name
    weir.delete_endpoint(name)


def test_what_the_endpoint_does_not_take_keeps_its_status(client, endpoint):
    with pytest.raises(requests.HTTPError, match="^400 .*embeddings"):
        client.predict(endpoint=endpoint.name, inputs={"input": "x"})
