"""azure-ai-ml and azure-mgmt-cognitiveservices, unpatched, behind a TLS front: endpoints, subscriptions, accounts.

Decides what these clients must be able to do and what their callers then see on the data plane; shapes that no client
reads are in the vectors of `control`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from azure.ai.ml import MLClient
from azure.ai.ml.entities import MarketplaceSubscription, ServerlessConnection, ServerlessEndpoint, Workspace
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.mgmt.cognitiveservices import CognitiveServicesManagementClient

import front
import weir
import wire

SUBSCRIPTION, GROUP = "00000000-0000-0000-0000-000000000000", "weir"
SELLER = {"publisher_id": "acme", "offer_id": "acme-offer", "plan_id": "acme-plan"}


class Token:
    """A token of Weir where a client wants a credential of Entra."""

    def __init__(self, text: str = weir.ADMIN) -> None:
        self.text = text

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return AccessToken(self.text, 2**31)


@pytest.fixture(scope="module")
def tls() -> Iterator[front.Front]:
    with front.serve(weir.URL) as serving:
        yield serving


@pytest.fixture
def project(tls, monkeypatch) -> MLClient:
    """The workspace `default`."""
    return workspace(tls, monkeypatch, "default")


def workspace(tls: front.Front, monkeypatch: pytest.MonkeyPatch, name: str) -> MLClient:
    monkeypatch.setenv("AZUREML_DEV_URL_MFE", tls.url)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", tls.certificate)
    return MLClient(Token(), SUBSCRIPTION, GROUP, name, enable_telemetry=False)


@pytest.fixture
def azure(tls, monkeypatch) -> CognitiveServicesManagementClient:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", tls.certificate)
    return CognitiveServicesManagementClient(Token(), SUBSCRIPTION, base_url=tls.url)


def model_of(name: str) -> str:
    return f"azureml://registries/weir/models/{name}"


def offered(base: str, offer: dict[str, str] | None = None) -> str:
    """A model of the catalog over the scriptable server; answers its registry id."""
    name = weir.fresh("m")
    weir.put_catalog(name, [weir.external_model(base, name)], offer=offer and {**offer, "offer_id": name})
    return model_of(name)


def create(project: MLClient, model: str, **members: Any) -> ServerlessEndpoint:
    name = weir.fresh("e")
    return project.serverless_endpoints.begin_create_or_update(ServerlessEndpoint(name=name, model_id=model, **members)).result()


def ask(endpoint: ServerlessEndpoint, key: str, path: str = "/v1/chat/completions") -> wire.Answer:
    """A chat at the endpoint's own address; the front in it is Weir's address here."""
    target = "/" + endpoint.scoring_uri.split("/", 3)[3]
    return weir.call(target + path, weir.ask("one two"), key=key)


def soon(endpoint: ServerlessEndpoint, key: str, status: int) -> None:
    weir.until(lambda: ask(endpoint, key), lambda answer: answer.status == status, 5.0, f"status {status}", every=0.2)


class TestServerless:
    def test_create_get_list_call_delete(self, project, upstream):
        endpoint = create(project, offered(upstream.base), tags={"team": "rivers"})
        assert endpoint.provisioning_state == "succeeded" and endpoint.auth_mode == "Key"
        assert endpoint.location == "eastus2" and endpoint.tags == {"team": "rivers"}
        assert endpoint.as_dict()["system_data"]["created_by"] == "admin"
        assert project.serverless_endpoints.get(endpoint.name).scoring_uri == endpoint.scoring_uri
        assert endpoint.name in [e.name for e in project.serverless_endpoints.list()]
        keys = project.serverless_endpoints.get_keys(endpoint.name)
        for key in (keys.primary_key, keys.secondary_key):
            answer = ask(endpoint, key)
            assert answer.status == 200 and answer.json()["choices"][0]["message"]["content"] == "echo: one two"
        assert weir.call("/v1/chat/completions", weir.ask(model="demo-chat"), key=keys.primary_key).status in (401, 403)
        project.serverless_endpoints.begin_delete(endpoint.name).result()
        soon(endpoint, keys.primary_key, 401)
        with pytest.raises(ResourceNotFoundError):
            project.serverless_endpoints.get(endpoint.name)

    def test_a_regenerated_key_stops_within_five_seconds(self, project, upstream):
        endpoint = create(project, offered(upstream.base))
        old = project.serverless_endpoints.get_keys(endpoint.name)
        assert ask(endpoint, old.primary_key).status == 200
        path = endpoint.id + "/regenerateKeys?api-version=2024-04-01"
        new = weir.done(weir.manage("POST", path, {"keyType": "Primary", "keyValue": old.primary_key}))
        assert new["primaryKey"] != old.primary_key and new["secondaryKey"] == old.secondary_key
        soon(endpoint, old.primary_key, 401)
        assert ask(endpoint, new["primaryKey"]).status == 200 and ask(endpoint, old.secondary_key).status == 200
        project.serverless_endpoints.begin_delete(endpoint.name).result()

    def test_the_default_limits_can_be_changed_for_one_endpoint(self, project, upstream):
        endpoint = create(project, offered(upstream.base))
        key = project.serverless_endpoints.get_keys(endpoint.name).primary_key

        def limits() -> tuple[str | None, str | None]:
            headers = ask(endpoint, key).headers
            return headers.get("x-ratelimit-limit-requests"), headers.get("x-ratelimit-limit-tokens")

        assert limits() == ("1000", "200000")
        try:
            for requests, tokens in ((1, 200_000), (5_000, 900_000)):
                own = {"requests_per_minute": requests, "tokens_per_minute": tokens}
                weir.done(weir.manage("PUT", "/api/weir/v1/defaults", {"endpoints": {endpoint.name: own}}))
                soon(endpoint, key, 429 if requests == 1 else 200)
            weir.until(limits, lambda found: found == ("5000", "900000"), 5.0, "the new limits are told")
        finally:
            weir.done(weir.manage("PUT", "/api/weir/v1/defaults", {}))
        project.serverless_endpoints.begin_delete(endpoint.name).result()

    def test_the_subscription_of_an_offer_opens_and_closes_its_endpoints(self, project, upstream):
        model = offered(upstream.base, SELLER)
        with pytest.raises(HttpResponseError) as refused:
            create(project, model)
        assert refused.value.error.code == "UserError" and "subscription" in refused.value.message
        wish = MarketplaceSubscription(name=weir.fresh("s"), model_id=model)
        subscription = project.marketplace_subscriptions.begin_create_or_update(wish).result()
        assert subscription.status == "subscribed" and subscription.marketplace_plan.publisher_id == "acme"
        assert wish.name in [s.name for s in project.marketplace_subscriptions.list()]
        endpoint = create(project, model)
        key = project.serverless_endpoints.get_keys(endpoint.name).primary_key
        assert ask(endpoint, key).status == 200
        project.marketplace_subscriptions.begin_delete(wish.name).result()
        soon(endpoint, key, 403)
        project.marketplace_subscriptions.begin_create_or_update(wish).result()
        soon(endpoint, key, 200)
        project.serverless_endpoints.begin_delete(endpoint.name).result()
        project.marketplace_subscriptions.begin_delete(wish.name).result()

    def test_one_endpoint_for_each_model_and_one_name_in_each_region(self, project, tls, monkeypatch, upstream):
        model = offered(upstream.base)
        endpoint = create(project, model)
        with pytest.raises(ResourceExistsError):
            create(project, model)
        # Another workspace, another catalog, the same region: the name is taken there too.
        other = weir.fresh("w")
        entry = {"format": "x", "publisher": "x", "task": "llm/v1/chat", "registry_id": model_of("theirs"),
                 "backends": [{"external_model": weir.external_model(upstream.base, "theirs")}]}
        weir.done(weir.manage("PUT", f"{weir.CATALOG}/theirs?account={other}", entry))
        theirs = workspace(tls, monkeypatch, other).serverless_endpoints
        wish = ServerlessEndpoint(name=endpoint.name.upper(), model_id=model_of("theirs"))
        with pytest.raises(ResourceExistsError) as refused:
            theirs.begin_create_or_update(wish).result()
        assert "not available" in refused.value.message
        project.serverless_endpoints.begin_delete(endpoint.name).result()
        made = theirs.begin_create_or_update(wish).result()
        assert ask(made, theirs.get_keys(made.name).primary_key).status == 200
        theirs.begin_delete(made.name).result()

    def test_a_model_without_a_backend_or_unknown_is_refused_in_words(self, project):
        for model, word in (("azureml://registries/azureml-cohere/models/Cohere-command-r", "backends"),
                            (model_of("nobody-has-it"), "catalog")):
            with pytest.raises(HttpResponseError) as refused:
                create(project, model)
            assert refused.value.status_code == 400 and word in refused.value.message


class TestWorkspaces:
    def test_a_closed_workspace_closes_its_endpoints(self, project, upstream):
        endpoint = create(project, offered(upstream.base))
        key = project.serverless_endpoints.get_keys(endpoint.name).primary_key
        resource = endpoint.id.rsplit("/serverlessEndpoints", 1)[0] + "?api-version=2024-04-01"
        try:
            weir.done(weir.manage("PATCH", resource, {"properties": {"publicNetworkAccess": "Disabled"}}))
            assert project.workspaces.get("default").public_network_access == "Disabled"
            soon(endpoint, key, 403)
            # Before the credential is looked at, and with the header that says by what.
            refused = ask(endpoint, "no key at all")
            assert refused.status == 403 and refused.headers["policy-id"] and refused.json()["error"]["code"] == "403"
            assert weir.call("/v1/chat/completions", weir.ask(model="demo-chat")).status == 200
        finally:
            weir.done(weir.manage("PATCH", resource, {"properties": {"publicNetworkAccess": "Enabled"}}))
        soon(endpoint, key, 200)
        project.serverless_endpoints.begin_delete(endpoint.name).result()

    def test_a_connection_lets_another_project_consume_an_endpoint(self, project, tls, monkeypatch, upstream):
        endpoint = create(project, offered(upstream.base))
        key = project.serverless_endpoints.get_keys(endpoint.name).primary_key
        other = workspace(tls, monkeypatch, weir.fresh("w"))
        wish = ServerlessConnection(name="llama", endpoint=endpoint.scoring_uri, api_key=key)
        made = other.connections.create_or_update(wish)
        assert made.name == "llama"
        got = other.connections.get("llama", populate_secrets=True)
        assert got.endpoint == endpoint.scoring_uri and got.api_key == key
        assert other.connections.get("llama").api_key != key
        assert "llama" in [c.name for c in other.connections.list()]
        assert ask(endpoint, got.api_key).status == 200
        other.connections.delete("llama")
        with pytest.raises(ResourceNotFoundError):
            other.connections.get("llama")
        project.serverless_endpoints.begin_delete(endpoint.name).result()


class TestAccounts:
    def test_create_update_list_delete(self, azure):
        name = weir.fresh("acct")
        with pytest.raises(ResourceNotFoundError):
            azure.accounts.get(GROUP, name)
        wish = {"location": "westus", "kind": "AIServices", "sku": {"name": "S0"}, "properties": {}}
        made = azure.accounts.begin_create(GROUP, name, wish).result()
        assert made.properties.provisioning_state == "Succeeded" and made.location == "westus"
        assert name in [a.name for a in azure.accounts.list_by_resource_group(GROUP)]
        assert {"default", name} <= {a.name for a in azure.accounts.list()}
        azure.accounts.begin_update(GROUP, name, {"tags": {"a": "b"}}).result()
        assert azure.accounts.get(GROUP, name).tags == {"a": "b"}
        first = azure.accounts.list_keys(GROUP, name)
        second = azure.accounts.regenerate_key(GROUP, name, "Key2")
        assert first.key1 == second.key1 and first.key2 != second.key2
        azure.accounts.begin_delete(GROUP, name).result()
        assert name not in [a.name for a in azure.accounts.list()]
        with pytest.raises(ResourceNotFoundError):
            azure.accounts.get(GROUP, name)

    def test_a_deleted_account_is_restored_or_purged(self, azure):
        name = weir.fresh("acct")
        wish = {"location": "westus", "kind": "AIServices", "sku": {"name": "S0"}, "tags": {"a": "b"}, "properties": {}}
        azure.accounts.begin_create(GROUP, name, wish).result()
        deployment = {"sku": {"name": "Standard", "capacity": 7},
                      "properties": {"model": {"format": "Weir", "name": "simulator-chat"}}}
        azure.deployments.begin_create_or_update(GROUP, name, "chat", deployment).result()
        key = azure.accounts.list_keys(GROUP, name).key1
        target = f"/openai/deployments/chat/chat/completions?api-version={weir.AZURE_VERSION}"
        served = lambda: weir.call(target, weir.ask(), key=key).status  # noqa: E731
        weir.until(served, lambda status: status == 200, 5, "it is served")
        azure.accounts.begin_delete(GROUP, name).result()
        weir.until(served, lambda status: status == 401, 5, "it is not served")
        assert name in [account.name for account in azure.deleted_accounts.list()]
        deleted = azure.deleted_accounts.get("westus", GROUP, name)
        assert deleted.tags == {"a": "b"} and deleted.properties.scheduled_purge_date > deleted.properties.deletion_date
        with pytest.raises(ResourceExistsError) as refused:
            azure.accounts.begin_create(GROUP, name, wish).result()
        assert refused.value.error.code == "FlagMustBeSetForRestore"
        restored = azure.accounts.begin_create(GROUP, name, {**wish, "properties": {"restore": True}}).result()
        assert restored.tags == {"a": "b"} and azure.deployments.get(GROUP, name, "chat").sku.capacity == 7
        weir.until(served, lambda status: status == 200, 5, "it is served again, under its old key")
        assert name not in [account.name for account in azure.deleted_accounts.list()]
        azure.accounts.begin_delete(GROUP, name).result()
        azure.deleted_accounts.begin_purge("westus", GROUP, name).result()
        with pytest.raises(ResourceNotFoundError):
            azure.deleted_accounts.get("westus", GROUP, name)
        azure.accounts.begin_create(GROUP, name, wish).result()
        assert list(azure.deployments.list(GROUP, name)) == []
        azure.accounts.begin_delete(GROUP, name).result()

    def test_what_an_account_has_nothing_of_is_empty_and_says_why(self, azure):
        assert azure.private_endpoint_connections.list(GROUP, "default").value == []
        assert azure.private_link_resources.list(GROUP, "default").value == []
        for empty in (azure.commitment_plans.list(GROUP, "default"), azure.commitment_tiers.list("eastus2"),
                      azure.encryption_scopes.list(GROUP, "default"), azure.rai_topics.list(GROUP, "default"),
                      azure.projects.list(GROUP, "default"), azure.commitment_plans.list_plans_by_subscription()):
            assert list(empty) == []
        connection = {"properties": {"privateLinkServiceConnectionState": {"status": "Approved"}}}
        with pytest.raises(HttpResponseError) as refused:
            azure.private_endpoint_connections.begin_create_or_update(GROUP, "default", "x", connection).result()
        assert refused.value.error.code == "OperationNotSupported" and "networkAcls" in refused.value.message
        azure.private_endpoint_connections.begin_delete(GROUP, "default", "x").result()
        assert [sku.name for sku in azure.resource_skus.list()] == ["S0"]

    def test_an_account_has_connections(self, azure):
        wish = {"properties": {"category": "ApiKey", "target": "https://x.example", "authType": "ApiKey",
                               "credentials": {"key": "secret"}}}
        made = azure.account_connections.create(GROUP, "default", "search", wish)
        assert made.properties.target == "https://x.example" and not made.properties.credentials
        assert "search" in [each.name for each in azure.account_connections.list(GROUP, "default")]
        azure.account_connections.delete(GROUP, "default", "search")
        with pytest.raises(ResourceNotFoundError):
            azure.account_connections.get(GROUP, "default", "search")

    def test_network_rules_hold_before_any_key(self, azure, upstream):
        name = weir.fresh("net")
        azure.accounts.begin_create(GROUP, name, {"location": "westus", "properties": {}}).result()
        key = azure.accounts.list_keys(GROUP, name).key1

        def status(key: str = key, **headers: str) -> int:
            return weir.call("/models/chat/completions?api-version=2024-05-01-preview", weir.ask(model="none"), key=key,
                             **headers).status

        def rules(*addresses: str, access: str = "Enabled") -> None:
            acls = {"defaultAction": "Deny", "ipRules": [{"value": address} for address in addresses]}
            azure.accounts.begin_update(GROUP, name, {"properties": {"publicNetworkAccess": access, "networkAcls": acls}}).result()

        def soon(expected: int, **headers: str) -> None:
            weir.until(lambda: status(**headers), lambda got: got == expected, 5.0, f"status {expected}", every=0.2)

        assert status() == 404
        rules("203.0.113.0/24")
        soon(403)
        assert status(**{"x-forwarded-for": "203.0.113.1"}) == 403
        rules("203.0.113.0/24", "127.0.0.1", "::1")
        soon(404)
        rules("127.0.0.1", access="Disabled")
        soon(403)
        with pytest.raises(HttpResponseError) as refused:
            rules("10.0.0.0/33")
        assert refused.value.error.details[0].target == "properties.networkAcls.ipRules[0].value"
        azure.accounts.begin_delete(GROUP, name).result()


class TestDeployments:
    def test_create_get_list_update_delete(self, azure, upstream):
        model, name = weir.fresh("m"), weir.fresh("d")
        weir.put_catalog(model, [weir.external_model(upstream.base, model)])
        wish = {"sku": {"name": "Standard", "capacity": 7}, "properties": {"model": {"format": "OpenAI", "name": model}}}
        made = azure.deployments.begin_create_or_update(GROUP, "default", name, wish).result()
        assert made.properties.provisioning_state == "Succeeded" and made.properties.model.version == "1"
        limits = {limit.key: (limit.count, limit.renewal_period) for limit in made.properties.rate_limits}
        assert limits == {"request": (7, 10), "token": (7000, 60)}
        assert made.properties.capabilities == {"chatCompletion": "true"}
        assert name in [d.name for d in azure.deployments.list(GROUP, "default")]
        patched = azure.deployments.begin_update(GROUP, "default", name, {"sku": {"name": "Standard", "capacity": 9}}).result()
        assert patched.sku.capacity == 9 and patched.etag != made.etag
        assert "Standard" in [s.sku.name for s in azure.deployments.list_skus(GROUP, "default", name)]
        assert model in [m.name for m in azure.accounts.list_models(GROUP, "default")]
        used = {u.name.value: u.current_value for u in azure.accounts.list_usages(GROUP, "default").value}
        assert used[f"OpenAI.Standard.{model}"] == 9
        azure.deployments.begin_delete(GROUP, "default", name).result()
        with pytest.raises(ResourceNotFoundError):
            azure.deployments.get(GROUP, "default", name)

    def test_a_quota_bounds_the_capacity_of_a_model(self, azure, upstream):
        model, name = weir.fresh("m"), weir.fresh("d")
        weir.put_catalog(model, [weir.external_model(upstream.base, model)])
        weir.done(weir.manage("PUT", "/api/weir/v1/defaults", {"quotas": [{"model": model, "capacity": 5}]}))
        wish = {"sku": {"name": "Standard", "capacity": 6}, "properties": {"model": {"format": "OpenAI", "name": model}}}
        with pytest.raises(HttpResponseError) as refused:
            azure.deployments.begin_create_or_update(GROUP, "default", name, wish).result()
        assert refused.value.status_code == 400 and refused.value.error.code == "InsufficientQuota"
        wish["sku"]["capacity"] = 5
        azure.deployments.begin_create_or_update(GROUP, "default", name, wish).result()
        azure.deployments.begin_delete(GROUP, "default", name).result()
        weir.done(weir.manage("PUT", "/api/weir/v1/defaults", {}))

    def test_what_reserved_throughput_refuses_spills_over(self, azure, upstream):
        model, reserved, standard = weir.fresh("m"), weir.fresh("ptu"), weir.fresh("std")
        weir.put_catalog(model, [weir.external_model(upstream.base, model)])
        deploy = azure.deployments.begin_create_or_update
        properties = {"model": {"format": "OpenAI", "name": model}}
        deploy(GROUP, "default", standard, {"sku": {"name": "GlobalStandard", "capacity": 100}, "properties": properties}).result()
        spilling = {**properties, "spilloverDeploymentName": standard}
        made = deploy(GROUP, "default", reserved, {"sku": {"name": "ProvisionedManaged", "capacity": 1}, "properties": spilling}).result()
        assert made.properties.spillover_deployment_name == standard
        # 2 500 tokens a minute are reserved: the second call is estimated above that.
        for max_tokens in (100, 3000):
            assert weir.call("/v1/chat/completions", weir.ask(model=reserved, max_tokens=max_tokens)).status == 200
        assert weir.usage_soon(reserved, 1)["requests"] == 1 and weir.usage_soon(standard, 1)["requests"] == 1
        azure.deployments.begin_delete(GROUP, "default", reserved).result()
        azure.deployments.begin_delete(GROUP, "default", standard).result()

    def test_if_match_guards_a_deployment(self, upstream):
        model, name = weir.fresh("m"), weir.fresh("d")
        weir.put_catalog(model, [weir.external_model(upstream.base, model)])
        made = weir.done(weir.manage("PUT", weir.arm(f"/deployments/{name}"), weir.arm_body(model)))

        def put(etag: str) -> int:
            headers = {**weir.bearer(weir.ADMIN), "if-match": etag}
            return wire.send(weir.URL, "PUT", weir.arm(f"/deployments/{name}"), headers, weir.arm_body(model, 2)).status

        assert put('"0"') == 412 and put(made["etag"]) == 200 and put(made["etag"]) == 412
        weir.manage("DELETE", weir.arm(f"/deployments/{name}"))


def test_a_long_list_comes_in_pages(project, upstream):
    model = offered(upstream.base)
    weir.done(weir.manage("PUT", "/api/weir/v1/defaults", {"serverless": {"endpoints_per_model": 1000}}))
    names = [create(project, model).name for _ in range(103)]
    listed = [endpoint.name for endpoint in project.serverless_endpoints.list()]
    assert set(names) <= set(listed) and len(listed) == len(set(listed))
    for name in names:
        project.serverless_endpoints.begin_delete(name)
    weir.done(weir.manage("PUT", "/api/weir/v1/defaults", {}))
