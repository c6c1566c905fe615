"""Databricks' query plane and MLflow's own gateway: every route, with databricks-sdk, openai and mlflow as they are."""

from __future__ import annotations

import json

import mlflow.exceptions
import openai
import pytest
import requests
from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config
from databricks.sdk.errors import BadRequest, OperationFailed, ResourceDoesNotExist
from databricks.sdk.service import serving as s
from mlflow.deployments import get_deploy_client

import weir

HELLO = [{"role": "user", "content": "one two"}]
#: Bodies for models that are not generative.
ROWS = [{"dataframe_records": [{"a": 1}, {"a": 2}]}, {"dataframe_split": {"columns": ["a"], "data": [[1], [2]]}},
        {"instances": [1, 2]}, {"inputs": [[1], [2]]}]
BASES = ["/serving-endpoints", "/ai-gateway/mlflow/v1", "/ai-gateway/openai/v1"]


@pytest.fixture(autouse=True)
def host(monkeypatch, tmp_path):
    monkeypatch.setenv("DATABRICKS_HOST", weir.URL)
    monkeypatch.setenv("DATABRICKS_TOKEN", weir.ADMIN)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("MLFLOW_DEPLOYMENT_PREDICT_TOTAL_TIMEOUT", "20")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", weir.KEY)


@pytest.fixture(scope="module")
def workspace():
    return WorkspaceClient(config=Config(host=weir.URL, token=weir.ADMIN, retry_timeout_seconds=10))


def invoke(name: str, body: object) -> tuple[int, dict]:
    answer = weir.call(f"/serving-endpoints/{name}/invocations", body)
    return answer.status, answer.json()


def workspace_model(model: str, url: str, token: str, task: str = "llm/v1/chat") -> dict:
    """A serving endpoint of another workspace."""
    return {"name": model, "provider": "databricks-model-serving", "task": task, "databricks_model_serving_config": {
        "databricks_workspace_url": url, "databricks_api_token_plaintext": token}}


def sent(endpoint) -> dict:
    return json.loads(endpoint.requests()[-1]["body"])


class TestInvocations:
    def test_the_sdk_asks_by_task(self, workspace, endpoint, embedder, upstream):
        message = s.ChatMessage(role=s.ChatMessageRole.USER, content="one two")
        answer = workspace.serving_endpoints.query(
            endpoint.name, messages=[message], temperature=0.5, max_tokens=9, n=1, stop=["x"],
            extra_params={"top_p": "0.25", "user": "17"}, client_request_id="mine", usage_context={"team": "a"})
        assert answer.choices[0].message.content == "echo: one two" and answer.served_model_name == "e0"
        assert answer.object == s.QueryEndpointResponseObject.CHAT_COMPLETION and answer.usage.total_tokens == 5
        asked = sent(endpoint)
        assert asked["top_p"] == 0.25 and asked["user"] == "17" and asked["model"] == endpoint.name
        assert not {"client_request_id", "usage_context", "extra_params"} & asked.keys()
        vectors = workspace.serving_endpoints.query(embedder.name, input=["a", "b"])
        assert len(vectors.data) == 2 and len(vectors.data[0].embedding) == 8
        name = weir.fresh("text")
        weir.create_endpoint(name, [weir.external_model(upstream.base, name, "llm/v1/completions")])
        assert workspace.serving_endpoints.query(name, prompt="a b").choices[0].text == "echo: a b"
        with pytest.raises(BadRequest, match="completions"):
            workspace.serving_endpoints.query(name, input="x")
        weir.delete_endpoint(name)

    @pytest.mark.parametrize("body", [
        {"input": "x"}, {"prompt": "x"}, {}, {"messages": []}, {"messages": HELLO, "temperature": 2.1},
        {"messages": HELLO, "n": 6}, {"messages": HELLO, "max_tokens": 0}, {"messages": HELLO, "top_p": 1.1},
        {"messages": HELLO, "stop": []}, {"messages": HELLO, "extra_params": {"model": "other"}},
        {"messages": HELLO, "top_p": 1, "extra_params": {"top_p": "0.5"}}, {"dataframe_records": [{"a": 1}]},
    ], ids=str)
    def test_what_the_endpoint_does_not_take_is_a_bad_request(self, endpoint, body):
        status, error = invoke(endpoint.name, body)
        assert status == 400 and error["error_code"] == "BAD_REQUEST" and error["message"] and "error" not in error
        assert endpoint.requests() == []

    def test_an_endpoint_that_there_is_not(self, workspace):
        with pytest.raises(ResourceDoesNotExist, match="Endpoint with name 'nothing' does not exist."):
            workspace.serving_endpoints.query("nothing", input="x")

    @pytest.mark.parametrize("rows", ROWS, ids=lambda rows: next(iter(rows)))
    def test_rows_go_on_to_models_that_take_them(self, upstream, rows):
        """To a custom server, to a workspace, and to a Weir that is the workspace of another one."""
        name, outer, plain = weir.fresh("rows"), weir.fresh("rows-outer"), weir.fresh("rows-dbx")
        weir.create_endpoint(name, [{"name": name, "provider": "custom", "task": "llm/v1/chat", "custom_provider_config": {
            "custom_provider_url": f"{upstream.url}/{name}", "bearer_token_auth": {"token_plaintext": "t"}}}])
        weir.create_endpoint(outer, [workspace_model(name, weir.URL, weir.ADMIN)])
        weir.create_endpoint(plain, [workspace_model(plain, upstream.url, "dapi")])
        for asked_of, seen_by, token in ((name, name, "t"), (outer, name, "t"), (plain, plain, "dapi")):
            before = len(upstream.requests(seen_by))
            status, answer = invoke(asked_of, {**rows, "client_request_id": "mine"})
            assert status == 200 and len(answer["predictions"]) == 2 and answer["id"] == "run-0123456789abcdef", asked_of
            asked = upstream.requests(seen_by)
            assert len(asked) == before + 1 and json.loads(asked[-1]["body"]) == rows
            assert asked[-1]["headers"]["authorization"] == f"Bearer {token}"
        for made in (name, outer, plain):
            weir.delete_endpoint(made)

    def test_a_weir_behind_a_weir_chats_streams_and_embeds(self, endpoint, embedder):
        outer, vectors = weir.fresh("outer"), weir.fresh("outer-emb")
        # A key queries and sees nothing of the endpoint: the workspace knows it, so it is ready.
        weir.create_endpoint(outer, [workspace_model(endpoint.name, weir.URL, weir.KEY)])
        weir.create_endpoint(vectors, [workspace_model(embedder.name, weir.URL, weir.ADMIN, "llm/v1/embeddings")])
        status, answer = invoke(outer, {"messages": HELLO})
        assert status == 200 and answer["choices"][0]["message"]["content"] == "echo: one two"
        stream = weir.call(f"/serving-endpoints/{outer}/invocations", {"messages": HELLO, "stream": True})
        assert stream.looks_complete
        text = "".join(c["delta"].get("content") or "" for e in stream.events() for c in e["choices"])
        assert text == "echo: one two"
        status, answer = invoke(vectors, {"input": ["a", "b"]})
        assert status == 200 and len(answer["data"]) == 2
        status, error = invoke(outer, {"messages": HELLO, "temperature": 3})
        assert status == 400 and error["error_code"] == "BAD_REQUEST"
        for made in (outer, vectors):
            weir.delete_endpoint(made)

    def test_a_token_that_the_workspace_does_not_know_fails_the_update(self, workspace, endpoint):
        name = weir.fresh("outer")
        entity = {"external_model": workspace_model(endpoint.name, weir.URL, "dapi-nobody")}
        weir.done(weir.manage("POST", weir.ENDPOINTS, {"name": name, "config": {"served_entities": [entity]}}))
        with pytest.raises(OperationFailed):
            workspace.serving_endpoints.wait_get_serving_endpoint_not_updating(name)
        failed = workspace.serving_endpoints.get(name).pending_config.served_entities[0].state
        assert "refused the configured credential" in failed.deployment_state_message
        weir.delete_endpoint(name)


@pytest.mark.parametrize("accept", ["*/*", "text/plain", "text/event-stream", "application/json"])
def test_nothing_depends_on_what_clients_send_beside(endpoint, accept):
    headers = {"accept": accept, "x-databricks-workspace-id": "7", "x-databricks-org-id": "7",
               "x-databricks-endpoints-api-client": "Databricks Deployment Client"}
    answer = weir.call(f"/serving-endpoints/{endpoint.name}/invocations", {"messages": HELLO}, **headers)
    assert answer.status == 200 and answer.json()["object"] == "chat.completion"


@pytest.mark.parametrize("fallback", [False, True])
def test_another_entity_stands_in_only_if_the_gateway_says_so(upstream, fallback):
    name, first, second = weir.fresh("fb"), weir.fresh("fb-a"), weir.fresh("fb-b")
    entities = [{"name": model, "external_model": weir.external_model(upstream.base, model)} for model in (first, second)]
    routes = [{"served_entity_name": first, "traffic_percentage": 100}, {"served_entity_name": second, "traffic_percentage": 0}]
    config = {"served_entities": entities, "traffic_config": {"routes": routes}}
    gateway = {"fallback_config": {"enabled": fallback}}
    weir.done(weir.manage("POST", weir.ENDPOINTS, {"name": name, "config": config, "ai_gateway": gateway}))
    weir.ready_endpoint(name)
    upstream.script(first, {"status": 500})
    answer = weir.call(f"/serving-endpoints/{name}/invocations", {"messages": HELLO})
    if fallback:
        assert answer.status == 200 and answer.headers["served-model-name"] == second
    else:
        assert answer.status == 500 and answer.json()["error_code"] == "INTERNAL_ERROR"
    assert len(upstream.requests(second)) == int(fallback)
    weir.delete_endpoint(name)


@pytest.mark.parametrize("base", BASES)
class TestOpenAiRoutes:
    def client(self, base: str) -> openai.OpenAI:
        return openai.OpenAI(base_url=weir.URL + base, api_key=weir.KEY, max_retries=0)

    def test_chat_embeddings_responses_and_models(self, base, endpoint, embedder):
        c = self.client(base)
        answer = c.chat.completions.with_raw_response.create(model=endpoint.name, messages=HELLO)
        assert answer.parse().choices[0].message.content == "echo: one two"
        assert answer.headers["served-model-name"] == "e0"
        chunks = list(c.chat.completions.create(model=endpoint.name, messages=HELLO, stream=True))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "echo: one two"
        assert len(c.embeddings.create(model=embedder.name, input="x").data[0].embedding) == 8
        assert c.completions.create(model=endpoint.name, prompt="a").choices[0].text == "echo: a"
        assert c.responses.create(model=endpoint.name, input="one").output_text == "echo: one"
        assert endpoint.name in [model.id for model in c.models.list()]

    def test_errors_are_read_by_the_client(self, base, endpoint):
        c = self.client(base)
        with pytest.raises(openai.NotFoundError) as unknown:
            c.chat.completions.create(model="nothing", messages=HELLO)
        assert unknown.value.code == "RESOURCE_DOES_NOT_EXIST" and "does not exist" in unknown.value.message
        assert unknown.value.response.json()["error_code"] == "RESOURCE_DOES_NOT_EXIST"
        with pytest.raises(openai.BadRequestError) as wrong:
            c.embeddings.create(model=endpoint.name, input="x")
        assert wrong.value.code == "BAD_REQUEST" and wrong.value.type == "invalid_request_error"


def test_the_sdks_own_openai_client(workspace, endpoint):
    answer = workspace.serving_endpoints.get_open_ai_client().chat.completions.create(model=endpoint.name, messages=HELLO)
    assert answer.choices[0].message.content == "echo: one two"


@pytest.mark.parametrize("target", ["/serving-endpoints/{}/invocations", "/endpoints/{}/invocations"])
def test_streams_have_data_lines_only(endpoint, target):
    with requests.post(weir.URL + target.format(endpoint.name), json={"messages": HELLO, "stream": True}, stream=True,
                       headers={**weir.bearer(weir.KEY), "accept": "*/*"}) as answer:
        lines = [line for line in answer.text.split("\n") if line]
    assert answer.status_code == 200 and answer.headers["content-type"] == "text/event-stream"
    assert all(line.startswith("data: ") for line in lines), lines
    ends = target.startswith("/serving-endpoints")
    assert (lines[-1] == "data: [DONE]") == ends and lines.count("data: [DONE]") == ends
    assert all(json.loads(line[6:])["object"] == "chat.completion.chunk" for line in lines if "[DONE]" not in line)


class TestMlflowGateway:
    def test_the_generic_client_lists_gets_and_asks(self, endpoint, embedder):
        weir.done(weir.manage("PUT", f"{weir.ENDPOINTS}/{endpoint.name}/rate-limits", {
            "rate_limits": [{"calls": 1000, "key": "endpoint", "renewal_period": "minute"}]}))
        c = get_deploy_client(weir.URL)
        listed = weir.until(lambda: {e.name: e for e in c.list_endpoints()}, lambda names: embedder.name in names, 5, "it is listed")
        assert listed[embedder.name].endpoint_type == "llm/v1/embeddings" and listed[embedder.name].limit is None
        got = c.get_endpoint(endpoint.name)
        assert (got.endpoint_type, got.model.provider) == ("llm/v1/chat", "openai") and got.model.name == endpoint.name
        assert got.endpoint_url == f"{weir.URL}/gateway/{endpoint.name}/invocations"
        weir.until(lambda: c.get_endpoint(endpoint.name).limit, lambda limit: limit and limit.calls == 1000, 5, "the limit shows")
        assert c.predict(endpoint=endpoint.name, inputs={"messages": HELLO})["choices"][0]["message"]["content"]
        assert len(c.predict(endpoint=embedder.name, inputs={"input": ["a"]})["data"]) == 1
        with pytest.raises(requests.HTTPError, match="404"):
            c.get_endpoint("nothing")

    @pytest.mark.parametrize(("target", "body", "status"), [
        ("/gateway/{}/invocations", {"messages": HELLO}, 200),
        ("/gateway/{}/invocations", {"messages": HELLO, "model": "x"}, 422),
        ("/gateway/{}/invocations", {"messages": HELLO, "temperature": 3}, 422),
        ("/gateway/{}/invocations", {"input": "x"}, 400),
        ("/gateway/nothing/invocations", {"messages": HELLO}, 404),
        ("/api/2.0/gateway/routes/{}", None, 200),
        ("/api/2.0/gateway/routes/", None, 200),
        ("/api/3.0/gateway/endpoint/{}", None, 200),
        ("/api/2.0/endpoints/limits/{}", None, 501),
        ("/health", None, 200),
    ], ids=str)
    def test_its_other_routes(self, endpoint, target, body, status):
        answer = weir.call(target.format(endpoint.name), body, method="POST" if body else "GET")
        assert answer.status == status, answer
        assert status == 200 or isinstance(answer.json()["detail"], str), answer
        if "routes/{}" in target:
            assert answer.json() == {
                "name": endpoint.name, "route_type": "llm/v1/chat", "limit": None,
                "model": {"name": endpoint.name, "provider": "openai"}, "route_url": f"/gateway/{endpoint.name}/invocations"}

    def test_a_caller_without_a_key(self, endpoint, monkeypatch):
        monkeypatch.delenv("MLFLOW_TRACKING_TOKEN")
        with pytest.raises((requests.HTTPError, mlflow.exceptions.MlflowException), match="401"):
            get_deploy_client(weir.URL).get_endpoint(endpoint.name)
