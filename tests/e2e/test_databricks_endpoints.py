"""Databricks' management of serving endpoints by its own SDK, unpatched: every call, limits by user, foundation models."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config
from databricks.sdk.errors import (
    BadRequest,
    InvalidParameterValue,
    OperationFailed,
    ResourceAlreadyExists,
    ResourceConflict,
    ResourceDoesNotExist,
)
from databricks.sdk.service import serving as s

import weir
from gate import Gate


@pytest.fixture(scope="module")
def w() -> WorkspaceClient:
    return WorkspaceClient(config=Config(host=weir.URL, token=weir.ADMIN, retry_timeout_seconds=5))


@pytest.fixture
def gate() -> Iterator[Gate]:
    with Gate() as upstream:
        yield upstream


def external(name: str, base: str, task: str = "llm/v1/chat") -> s.ServedEntityInput:
    config = s.OpenAiConfig(openai_api_base=base, openai_api_key_plaintext="sk-up")
    return s.ServedEntityInput(name=name, external_model=s.ExternalModel(
        name=name, provider=s.ExternalModelProvider.OPENAI, task=task, openai_config=config))


def core(*entities: s.ServedEntityInput, **more) -> s.EndpointCoreConfigInput:
    return s.EndpointCoreConfigInput(name="", served_entities=list(entities), **more)


def routes(**shares: int) -> s.TrafficConfig:
    return s.TrafficConfig(routes=[s.Route(served_entity_name=n, served_model_name=n, traffic_percentage=p) for n, p in shares.items()])


def served_by(name: str, key: str = weir.KEY) -> str:
    answer = weir.call(f"/serving-endpoints/{name}/invocations", weir.ask("one"), key=key)
    assert answer.status == 200, answer
    return answer.headers["served-model-name"]


@pytest.fixture
def made(w, gate) -> Iterator[str]:
    name = weir.fresh("dbx")
    w.serving_endpoints.create_and_wait(name=name, config=core(external("one", gate.base)))
    yield name
    weir.delete_endpoint(name)


def test_every_member_is_there_and_plaintext_is_not(w, gate):
    name = weir.fresh("dbx")
    mails = s.EmailNotifications(on_update_success=["a@example.com"], on_update_failure=[])
    made = w.serving_endpoints.create_and_wait(
        name=name, config=core(external("one", gate.base)), tags=[s.EndpointTag(key="team", value="search")],
        description="for search", budget_policy_id="b-1", email_notifications=mails,
        rate_limits=[s.RateLimit(calls=100, key=s.RateLimitKey.USER, renewal_period=s.RateLimitRenewalPeriod.MINUTE)])
    assert (made.name, made.task, made.description, made.budget_policy_id) == (name, "llm/v1/chat", "for search", "b-1")
    assert len(made.id) == 32 and made.creator == "admin" and made.creation_timestamp <= made.last_updated_timestamp
    assert made.email_notifications.on_update_success == ["a@example.com"] and made.route_optimized is False
    assert made.permission_level == s.ServingEndpointDetailedPermissionLevel.CAN_MANAGE
    assert made.config.config_version == 1 and made.pending_config is None
    entity = made.config.served_entities[0]
    assert entity.external_model.openai_config.openai_api_key_plaintext is None
    assert entity.external_model.openai_config.openai_api_base == gate.base
    assert entity.state.deployment == s.ServedModelStateDeployment.DEPLOYMENT_READY and entity.creator == "admin"
    assert [r.traffic_percentage for r in made.config.traffic_config.routes] == [100]
    listed = next(e for e in w.serving_endpoints.list() if e.name == name)
    assert listed.id == made.id and listed.config.served_entities[0].external_model.name == "one"
    with pytest.raises(ResourceAlreadyExists):
        w.serving_endpoints.create(name=name, config=core(external("one", gate.base)))
    w.serving_endpoints.delete(name)
    with pytest.raises(ResourceDoesNotExist):
        w.serving_endpoints.get(name)


def test_tags_notifications_documents_logs_and_metrics(w, made):
    # SDK 0.156 wraps the answer in an object.
    tags = w.serving_endpoints.patch(made, add_tags=[s.EndpointTag(key="a", value="1"), s.EndpointTag(key="b")])
    assert [(t.key, t.value) for t in tags.tags] == [("a", "1"), ("b", None)]
    assert [t.key for t in w.serving_endpoints.patch(made, delete_tags=["a"]).tags] == ["b"]
    mails = s.EmailNotifications(on_update_failure=["b@example.com"])
    answer = w.serving_endpoints.update_notifications(made, email_notifications=mails)
    assert answer.name == made and answer.email_notifications.on_update_failure == ["b@example.com"]
    assert b'"openapi":"3.1.0"' in w.serving_endpoints.get_open_api(made).contents.read()
    assert "endpoint.config_ready" in w.serving_endpoints.logs(made, "one").logs
    assert "endpoint.create" in w.serving_endpoints.build_logs(made, "one").logs
    served_by(made)
    count = f'request_count_total{{endpoint_name="{made}"}} 1'
    weir.until(lambda: w.serving_endpoints.export_metrics(made).contents.read().decode(), lambda text: count in text, 3,
               "the request is counted")
    with pytest.raises(ResourceDoesNotExist):
        w.serving_endpoints.export_metrics(weir.fresh("none"))


def test_the_old_configuration_serves_until_the_new_one_is_ready(w, made, gate):
    gate.open.clear()
    pending = w.serving_endpoints.update_config(made, served_entities=[external("two", gate.base)]).response
    assert pending.state.config_update == s.EndpointStateConfigUpdate.IN_PROGRESS and pending.state.ready == s.EndpointStateReady.READY
    assert (pending.config.config_version, pending.pending_config.config_version) == (1, 2)
    with pytest.raises(ResourceConflict):
        w.serving_endpoints.update_config(made, served_entities=[external("three", gate.base)])
    assert served_by(made) == "one"
    gate.open.set()
    done = weir.until(lambda: w.serving_endpoints.get(made), lambda e: e.pending_config is None, 5, "the update is done")
    assert done.config.config_version == 2 and done.state.config_update == s.EndpointStateConfigUpdate.NOT_UPDATING
    weir.until(lambda: served_by(made), lambda entity: entity == "two", 5, "the new one serves", every=0.2)


def test_an_update_that_fails_says_why_and_one_can_be_canceled(w, made, gate):
    with pytest.raises(OperationFailed):
        w.serving_endpoints.update_config_and_wait(made, served_entities=[external("two", "http://127.0.0.1:1/v1")])
    failed = w.serving_endpoints.get(made)
    assert failed.pending_config.served_entities[0].state.deployment == s.ServedModelStateDeployment.DEPLOYMENT_FAILED
    assert "did not answer" in failed.pending_config.served_entities[0].state.deployment_state_message
    assert served_by(made) == "one"
    gate.open.clear()
    waiter = w.serving_endpoints.update_config(made, served_entities=[external("two", gate.base)])
    weir.done(weir.manage("POST", f"/api/weir/v1/serving-endpoints/{made}/cancel-update"))
    with pytest.raises(OperationFailed):
        waiter.result()
    assert w.serving_endpoints.get(made).state.config_update == s.EndpointStateConfigUpdate.UPDATE_CANCELED
    assert served_by(made) == "one" and weir.manage("POST", f"/api/weir/v1/serving-endpoints/{made}/cancel-update").status == 409


def test_who_asks_too_soon_waits_and_who_asks_in_vain_is_told(w, gate):
    """While the first configuration is being deployed the clients come again by themselves; one that failed is an error."""
    gate.open.clear()
    name, hello = weir.fresh("dbx"), [s.ChatMessage(role=s.ChatMessageRole.USER, content="one")]
    made = w.serving_endpoints.create(name=name, config=core(external("one", gate.base))).response
    assert (made.state.ready, made.config) == (s.EndpointStateReady.NOT_READY, None)
    assert made.state.config_update == s.EndpointStateConfigUpdate.IN_PROGRESS
    early = weir.call(f"/serving-endpoints/{name}/invocations", weir.ask("one"))
    assert (early.status, early.json()["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE"), early
    assert int(early.headers["retry-after"]) >= 1 and "being deployed" in early.json()["message"]
    opens = threading.Timer(0.5, gate.open.set)
    opens.start()
    assert w.serving_endpoints.query(name, messages=hello).choices[0].message.content == "from one"
    weir.delete_endpoint(name)
    name = weir.fresh("dbx")
    with pytest.raises(OperationFailed):
        w.serving_endpoints.create_and_wait(name=name, config=core(external("one", "http://127.0.0.1:1/v1")))
    with pytest.raises(BadRequest, match="could be deployed"):
        w.serving_endpoints.query(name, messages=hello)
    w.serving_endpoints.update_config_and_wait(name, served_entities=[external("one", gate.base)])
    weir.until(lambda: weir.call(f"/serving-endpoints/{name}/invocations", weir.ask("one")).status,
               lambda status: status == 200, 5, "its second configuration serves", every=0.2)
    weir.delete_endpoint(name)


def test_traffic_is_split_and_can_be_moved(w, gate):
    name = weir.fresh("dbx")
    config = core(external("a", gate.base), external("b", gate.base), traffic_config=routes(a=50, b=50))
    w.serving_endpoints.create_and_wait(name=name, config=config)
    assert {served_by(name) for _ in range(40)} == {"a", "b"}
    moved = w.serving_endpoints.update_config_and_wait(name, traffic_config=routes(a=0, b=100))
    assert [r.traffic_percentage for r in moved.config.traffic_config.routes] == [0, 100]
    weir.until(lambda: {served_by(name) for _ in range(10)}, lambda names: names == {"b"}, 6, "all goes to b", every=0.3)
    for wrong in (routes(a=50, b=49), routes(a=100, c=0), routes(a=101, b=-1)):
        with pytest.raises(InvalidParameterValue):
            w.serving_endpoints.update_config(name, traffic_config=wrong)
    weir.delete_endpoint(name)


def test_the_ai_gateway_is_stored_replaced_and_cleared(w, made):
    guard = s.AiGatewayGuardrailParameters(safety=True, pii=s.AiGatewayGuardrailPiiBehavior(behavior=s.AiGatewayGuardrailPiiBehaviorBehavior.NONE))
    limit = s.AiGatewayRateLimit(key=s.AiGatewayRateLimitKey.USER, calls=1000, tokens=100000, renewal_period=s.AiGatewayRateLimitRenewalPeriod.MINUTE)
    answer = w.serving_endpoints.put_ai_gateway(
        made, guardrails=s.AiGatewayGuardrails(input=guard), rate_limits=[limit],
        usage_tracking_config=s.AiGatewayUsageTrackingConfig(enabled=True), fallback_config=s.FallbackConfig(enabled=True))
    assert answer.guardrails.input.safety is True and answer.rate_limits[0].tokens == 100000 and answer.fallback_config.enabled
    assert w.serving_endpoints.get(made).ai_gateway.rate_limits[0].calls == 1000
    assert not w.serving_endpoints.put_ai_gateway(made).rate_limits
    assert w.serving_endpoints.get(made).ai_gateway is None


@pytest.mark.parametrize(("change", "error"), [
    (lambda e: e.external_model.__setattr__("task", "llm/v1/sing"), InvalidParameterValue),
    (lambda e: e.external_model.__setattr__("openai_config", None), InvalidParameterValue),
    (lambda e: e.external_model.__setattr__("anthropic_config", s.AnthropicConfig(anthropic_api_key_plaintext="k")), InvalidParameterValue),
    (lambda e: e.external_model.openai_config.__setattr__("openai_api_key", "sk-raw"), InvalidParameterValue),
    (lambda e: e.__setattr__("entity_name", "system.ai.x"), InvalidParameterValue),
    (lambda e: e.__setattr__("min_provisioned_throughput", 980), InvalidParameterValue),
    (lambda e: e.__setattr__("name", "a b"), InvalidParameterValue),
])
def test_what_is_not_valid_is_refused_whole(w, gate, change, error):
    entity, name = external("one", gate.base), weir.fresh("bad")
    change(entity)
    with pytest.raises(error):
        w.serving_endpoints.create(name=name, config=core(entity))
    with pytest.raises(ResourceDoesNotExist):
        w.serving_endpoints.get(name)


def test_foundation_models_exist_by_themselves_and_can_be_provisioned(w, gate):
    model = {"name": "up", "provider": "openai", "task": "llm/v1/chat",
             "openai_config": {"openai_api_base": gate.base, "openai_api_key_plaintext": "k"}}
    entry = "databricks-meta-llama-3-3-70b-instruct"
    weir.done(weir.manage("PUT", f"{weir.CATALOG}/{entry}", {"backends": [{"external_model": model}]}))
    found = w.serving_endpoints.get(entry)
    assert found.id is None and found.task == "llm/v1/chat" and found.state.ready == s.EndpointStateReady.READY
    assert found.config.served_entities[0].foundation_model.name == "system.ai.meta_llama_3_3_70b_instruct"
    assert [e.name for e in w.serving_endpoints.list()][0].startswith("databricks-")
    weir.until(lambda: weir.call(f"/serving-endpoints/{entry}/invocations", weir.ask("one")).status, lambda code: code == 200, 5, "it answers")
    client = w.serving_endpoints.get_open_ai_client()
    said = client.chat.completions.create(model=entry, messages=[{"role": "user", "content": "one"}])
    assert said.choices[0].message.content == "from up"
    for refused in (lambda: w.serving_endpoints.delete(entry), lambda: w.serving_endpoints.update_config(entry, served_entities=[external("x", gate.base)])):
        with pytest.raises(BadRequest):
            refused()
    minute = s.AiGatewayRateLimitRenewalPeriod.MINUTE
    w.serving_endpoints.put_ai_gateway(entry, rate_limits=[s.AiGatewayRateLimit(calls=0, renewal_period=minute)])
    weir.until(lambda: weir.call(f"/serving-endpoints/{entry}/invocations", weir.ask("one")).status, lambda code: code == 429, 6, "it is limited")
    w.serving_endpoints.put_ai_gateway(entry)

    name = weir.fresh("pt")
    info = weir.done(weir.manage("GET", f"{weir.ENDPOINTS}/get-model-optimization-info/system.ai.meta_llama_3_3_70b_instruct/1"))
    chunk = info["throughput_chunk_size"]
    entity = s.ServedEntityInput(entity_name="system.ai.meta_llama_3_3_70b_instruct", entity_version="1",
                                 min_provisioned_throughput=0, max_provisioned_throughput=2 * chunk)
    made = w.serving_endpoints.create_and_wait(name=name, config=core(entity))
    assert info["optimizable"] and made.config.served_entities[0].max_provisioned_throughput == 2 * chunk
    assert served_by(name) == made.config.served_entities[0].name
    w.serving_endpoints.delete(name)

    units = s.PtServedModel(entity_name="system.ai.meta_llama_3_3_70b_instruct", entity_version="1", provisioned_model_units=50)
    config = s.PtEndpointCoreConfig(served_entities=[units])
    made = w.serving_endpoints.create_provisioned_throughput_endpoint_and_wait(name=name, config=config)
    assert made.config.served_entities[0].provisioned_model_units == 50
    units.provisioned_model_units = 100
    made = w.serving_endpoints.update_provisioned_throughput_endpoint_config_and_wait(name, config=config)
    assert made.config.served_entities[0].provisioned_model_units == 100
    w.serving_endpoints.delete(name)
    weir.manage("DELETE", f"{weir.CATALOG}/{entry}")


def user(name: str) -> tuple[str, str, str]:
    """A user's id, a token and a key of theirs; a key queries every endpoint, a token what its user may."""
    principal = weir.done(weir.manage("POST", "/api/weir/v1/principals", {"name": name, "kind": "user"}))
    token = weir.done(weir.manage("POST", f"/api/weir/v1/principals/{principal['id']}/tokens", {}))["token"]
    key = weir.done(weir.manage("POST", "/api/weir/v1/keys", {"name": name, "principal_id": principal["id"]}))["key"]
    return principal["id"], token, key


def statuses(name: str, key: str, calls: int) -> list[int]:
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(weir.call, f"/serving-endpoints/{name}/invocations", weir.ask("one"), key) for _ in range(calls)]
        return [answer.result().status for answer in asked]


def test_two_users_at_once_have_each_their_own_limit_exactly(w, made):
    """10 calls per user and minute, one of the users with 25, both at once: neither takes from the other."""
    ana, ben = weir.fresh("ana"), weir.fresh("ben")
    (_, ana_key, _), (_, ben_key, _) = user(ana), user(ben)
    level = s.ServingEndpointPermissionLevel.CAN_QUERY
    w.serving_endpoints.update_permissions(w.serving_endpoints.get(made).id, access_control_list=[
        s.ServingEndpointAccessControlRequest(user_name=name, permission_level=level) for name in (ana, ben)])
    for key in (ana_key, ben_key):
        weir.until(lambda: weir.call(f"/serving-endpoints/{made}/invocations", weir.ask("one"), key=key).status,
                   lambda status: status == 200, 6, "the user may query", every=0.2)
    minute = s.AiGatewayRateLimitRenewalPeriod.MINUTE
    each = s.AiGatewayRateLimit(key=s.AiGatewayRateLimitKey.USER, calls=10, renewal_period=minute)
    own = s.AiGatewayRateLimit(key=s.AiGatewayRateLimitKey.USER, principal=ana, calls=25, renewal_period=minute)
    w.serving_endpoints.put_ai_gateway(made, rate_limits=[each, own])
    weir.until(lambda: weir.call(f"/serving-endpoints/{made}/invocations", weir.ask("one")).headers.get("x-ratelimit-limit-requests"),
               lambda shown: shown == "10", 6, "the limit is in force", every=0.2)
    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        of_ana, of_ben = pool.submit(statuses, made, ana_key, 60), pool.submit(statuses, made, ben_key, 60)
        of_ana, of_ben = of_ana.result(), of_ben.result()
    took = time.monotonic() - began
    assert set(of_ana) == set(of_ben) == {200, 429}
    # A lease of a cell may be a cell late; what refills meanwhile is allowed.
    assert 24 <= of_ana.count(200) <= 25 + took * 25 / 60 + 1, of_ana.count(200)
    assert 9 <= of_ben.count(200) <= 10 + took * 10 / 60 + 1, of_ben.count(200)
    refused = weir.call(f"/serving-endpoints/{made}/invocations", weir.ask("one"), key=ben_key)
    if refused.status == 429:
        assert refused.json()["error_code"] == "REQUEST_LIMIT_EXCEEDED" and int(refused.headers["retry-after"]) >= 1


def test_a_group_shares_a_limit_and_a_member_with_a_limit_of_its_own_does_not(w, made):
    (ana, _, ana_key), (ben, _, ben_key), (_, _, eve_key) = (user(weir.fresh(n)) for n in ("ana", "ben", "eve"))
    group = weir.fresh("analysts")
    weir.done(weir.manage("POST", "/api/weir/v1/principals", {"name": group, "kind": "group", "members": [ana, ben]}))
    minute = s.AiGatewayRateLimitRenewalPeriod.MINUTE
    shared = s.AiGatewayRateLimit(key=s.AiGatewayRateLimitKey.USER_GROUP, principal=group, calls=6, renewal_period=minute)
    own = s.AiGatewayRateLimit(key=s.AiGatewayRateLimitKey.USER, principal=ben, calls=12, renewal_period=minute)
    w.serving_endpoints.put_ai_gateway(made, rate_limits=[shared, own])
    time.sleep(2.5)
    assert 5 <= statuses(made, ana_key, 20).count(200) <= 8
    assert 11 <= statuses(made, ben_key, 20).count(200) <= 14, "the member's own limit stands instead of the group's"
    assert statuses(made, eve_key, 20).count(200) == 20, "who is not in the group is not limited"


def test_both_families_hold_at_once_and_tokens_count(w, made):
    """4 calls for everybody by the old family; a service principal has 600 tokens by the new one."""
    robot = w.service_principals_v2.create(display_name=weir.fresh("robot"))
    key = weir.done(weir.manage("POST", "/api/weir/v1/keys", {"name": "robot", "principal_id": robot.id}))["key"]
    minute = s.AiGatewayRateLimitRenewalPeriod.MINUTE
    own = s.AiGatewayRateLimit(key=s.AiGatewayRateLimitKey.SERVICE_PRINCIPAL, principal=robot.application_id,
                               tokens=600, renewal_period=minute)
    w.serving_endpoints.put_ai_gateway(made, rate_limits=[own])
    w.serving_endpoints.put(made, rate_limits=[
        s.RateLimit(calls=4, key=s.RateLimitKey.ENDPOINT, renewal_period=s.RateLimitRenewalPeriod.MINUTE)])
    time.sleep(2.5)
    ask = lambda most: weir.call(f"/serving-endpoints/{made}/invocations", weir.ask("one", max_tokens=most), key=key)  # noqa: E731
    large = ask(5000)
    assert (large.status, large.json()["error_code"]) == (400, "BAD_REQUEST"), "it can never fit, and costs no call"
    asked = [ask(100).status for _ in range(6)]
    # An answer uses 3 tokens: the estimates of the ones before were given back.
    assert asked[:4] == [200] * 4 and 429 in asked[4:], asked
    w.service_principals_v2.delete(robot.id)
