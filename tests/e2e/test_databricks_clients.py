"""databricks-sdk and mlflow deployments, unpatched: a small smoke test of management and queries."""

from __future__ import annotations

import pytest

import weir


@pytest.fixture(autouse=True)
def host(monkeypatch, tmp_path):
    monkeypatch.setenv("DATABRICKS_HOST", weir.URL)
    monkeypatch.setenv("DATABRICKS_TOKEN", weir.ADMIN)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("MLFLOW_DEPLOYMENT_PREDICT_TOTAL_TIMEOUT", "20")


def test_databricks_sdk_creates_asks_and_deletes(upstream):
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.errors import ResourceDoesNotExist
    from databricks.sdk.service import serving as s

    w = WorkspaceClient(host=weir.URL, token=weir.ADMIN)
    name = weir.fresh("sdk")
    model = s.ExternalModel(name=name, provider=s.ExternalModelProvider.OPENAI, task="llm/v1/chat",
                            openai_config=s.OpenAiConfig(openai_api_base=upstream.base, openai_api_key_plaintext="k"))
    config = s.EndpointCoreConfigInput(name=name, served_entities=[s.ServedEntityInput(name="a", external_model=model)])
    made = w.serving_endpoints.create_and_wait(name=name, config=config)
    assert made.name == name and made.state.ready == s.EndpointStateReady.READY
    assert name in [e.name for e in w.serving_endpoints.list()]
    message = s.ChatMessage(role=s.ChatMessageRole.USER, content="one two")
    answer = w.serving_endpoints.query(name=name, messages=[message])
    assert answer.choices[0].message.content == "echo: one two" and answer.served_model_name == "a"
    limits = w.serving_endpoints.put(name, rate_limits=[
        s.RateLimit(calls=100, key=s.RateLimitKey.ENDPOINT, renewal_period=s.RateLimitRenewalPeriod.MINUTE)])
    assert limits.rate_limits[0].calls == 100
    w.serving_endpoints.delete(name)
    with pytest.raises(ResourceDoesNotExist):
        w.serving_endpoints.get(name)


def test_mlflow_deployments_creates_asks_streams_and_deletes(upstream):
    from mlflow.deployments import get_deploy_client

    client = get_deploy_client("databricks")
    name = weir.fresh("mlflow")
    config = {"served_entities": [{"name": "a", "external_model": weir.external_model(upstream.base, name)}]}
    assert client.create_endpoint(name=name, config={"name": name, "config": config})["name"] == name
    assert name in [e["name"] for e in client.list_endpoints()]
    asked = {"messages": [{"role": "user", "content": "one two"}]}
    assert client.predict(endpoint=name, inputs=asked)["choices"][0]["message"]["content"] == "echo: one two"
    chunks = list(client.predict_stream(endpoint=name, inputs=asked))
    assert "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks) == "echo: one two"
    limits = {"rate_limits": [{"key": "user", "renewal_period": "minute", "calls": 3}]}
    assert client.update_endpoint(endpoint=name, config=limits) == limits
    assert client.delete_endpoint(endpoint=name) == {}
