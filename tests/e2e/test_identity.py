"""Principals, tokens and roles: who may manage and who may query, with the vendors' clients where they have a say."""

from __future__ import annotations

import json
import uuid

import openai
from azure.ai.inference import ChatCompletionsClient
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.mgmt.cognitiveservices import CognitiveServicesManagementClient
import pytest
from databricks.sdk import WorkspaceClient

import front
import weir
import wire

PRINCIPALS = "/api/weir/v1/principals"
GROUP = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/weir"
ROLE_VERSION = "api-version=2022-04-01"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
OPENAI_USER = "5e0bd9bd-7b93-4f28-af87-19fc36ad61bd"
SERVICES_USER = "a97b65f3-24c7-4388-baec-2e87135dc908"


class Person:
    """A principal with one token."""

    def __init__(self, kind: str = "user", account: str = "default") -> None:
        self.name = weir.fresh("person")
        made = weir.done(weir.manage("POST", f"{PRINCIPALS}?account={account}", {"name": self.name, "kind": kind}))
        self.id = made["id"]
        self.token = weir.done(weir.manage("POST", f"{PRINCIPALS}/{self.id}/tokens", {"comment": "test"}))["token"]

    def get_token(self, *_: str, **__: object) -> AccessToken:
        """What Azure's clients want of a credential."""
        return AccessToken(self.token, 2**31)

    def give(self, role: str, scope: str = GROUP) -> None:
        weir.done(assign(self.id, role, scope))

    def chat(self, target: str, body: object) -> wire.Answer:
        return weir.call(target, body, key=self.token)

    def manage(self, method: str, target: str, body: object = None) -> wire.Answer:
        return weir.manage(method, target, body, token=self.token)


def assign(principal: str, role: str, scope: str = GROUP, token: str = weir.ADMIN) -> wire.Answer:
    target = f"{scope}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}?{ROLE_VERSION}"
    body = {"properties": {"roleDefinitionId": f"{scope}/providers/Microsoft.Authorization/roleDefinitions/{role}",
                           "principalId": principal}}
    return weir.manage("PUT", target, body, token=token)


@pytest.fixture
def person():
    someone = Person()
    yield someone
    weir.manage("DELETE", f"{PRINCIPALS}/{someone.id}")


SURFACES = [surface for surface in weir.SURFACES if surface.form in ("azure", "openai")]


@pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.name)
def test_a_principal_without_a_data_action_is_refused_in_the_surfaces_form(surface, person, deployed):
    person.give(OWNER)
    answer = person.chat(surface.chat(deployed.name), weir.ask(model=deployed.name))
    if surface.form == "azure":
        assert answer.status == 401 and answer.json()["error"]["code"] == "PermissionDenied", answer
    else:
        assert answer.status == 403 and answer.json()["error"]["code"] == "permission_denied", answer


def test_a_role_at_the_group_lets_a_principal_query_within_five_seconds(person, deployed):
    target = f"/openai/deployments/{deployed.name}/chat/completions?api-version={weir.AZURE_VERSION}"
    assert person.chat(target, weir.ask()).status == 401
    person.give(OPENAI_USER)
    weir.until(lambda: person.chat(target, weir.ask()), lambda answer: answer.status == 200, 5, "the role holds")
    models = f"/models/chat/completions?api-version={weir.INFERENCE_VERSION}"
    refused = person.chat(models, weir.ask(model=deployed.name))
    assert refused.status == 401 and "MaaS" in refused.json()["error"]["message"], refused


def test_the_openai_client_works_with_a_token_as_entra_token(person, deployed):
    person.give(SERVICES_USER)
    client = openai.AzureOpenAI(azure_endpoint=weir.URL, azure_ad_token=person.token, api_version=weir.AZURE_VERSION,
                                max_retries=0)

    def attempt():
        try:
            return client.chat.completions.create(model=deployed.name, messages=[{"role": "user", "content": "hi"}])
        except openai.AuthenticationError as error:
            return error

    got = weir.until(attempt, lambda got: not isinstance(got, Exception), 5, "the role holds")
    assert got.choices[0].message.content
    client = openai.OpenAI(base_url=f"{weir.URL}/openai/v1", api_key=person.token, max_retries=0)
    assert client.chat.completions.create(model=deployed.name, messages=[{"role": "user", "content": "hi"}]).id


def test_management_needs_a_role_and_says_who_did_it(person):
    account = weir.arm()
    denied = person.manage("GET", account)
    assert denied.status == 403 and denied.json()["error"]["code"] == "AuthorizationFailed", denied
    assert denied.headers["x-ms-failure-cause"] == "gateway"
    assert person.id in denied.json()["error"]["message"]
    assert weir.manage("GET", account, token="nobody's").status == 401
    assert weir.manage("GET", account, token=weir.KEY).status == 403
    person.give(CONTRIBUTOR)
    name = weir.fresh("by-person")
    made = person.manage("PUT", weir.arm(f"/deployments/{name}"), {
        "sku": {"name": "Standard", "capacity": 1},
        "properties": {"model": {"format": "Weir", "name": "simulator-chat"}}})
    assert made.status == 201 and made.json()["systemData"]["createdBy"] == person.name, made
    audit = weir.done(weir.manage("GET", "/api/weir/v1/audit?limit=5"))["rows"]
    assert any(row["actor"] == person.id and row["target"] == name for row in audit), audit
    assert assign(person.id, OWNER, token=person.token).status == 403
    assert person.manage("DELETE", weir.arm(f"/deployments/{name}")).status == 200


def test_roles_come_through_groups_and_end_with_membership(person):
    group = weir.done(weir.manage("POST", PRINCIPALS, {"name": weir.fresh("group"), "kind": "group", "members": [person.id]}))
    weir.done(assign(group["id"], READER))
    assert person.manage("GET", weir.arm()).status == 200
    weir.done(weir.manage("PUT", f"{PRINCIPALS}/{group['id']}", {"members": []}))
    assert person.manage("GET", weir.arm()).status == 403
    weir.done(weir.manage("DELETE", f"{PRINCIPALS}/{group['id']}"))


def test_the_databricks_client_makes_lists_and_revokes_tokens(person, deployed):
    person.give(SERVICES_USER)
    client = WorkspaceClient(host=weir.URL, token=person.token)
    made = client.tokens.create(comment="ci", lifetime_seconds=600)
    assert made.token_info.comment == "ci" and made.token_info.token_id
    assert {token.comment for token in client.tokens.list()} == {"test", "ci"}
    target = f"/openai/deployments/{deployed.name}/chat/completions?api-version={weir.AZURE_VERSION}"
    again = lambda: weir.call(target, weir.ask(), key=made.token_value)  # noqa: E731
    weir.until(again, lambda answer: answer.status == 200, 5, "the new token works")
    client.tokens.delete(made.token_info.token_id)
    weir.until(again, lambda answer: answer.status == 401, 5, "the revoked token stops")
    assert [token.comment for token in client.tokens.list()] == ["test"]


def test_a_key_of_a_principal_queries_its_deployments_and_manages_by_its_roles(person, deployed):
    key = weir.done(weir.manage("POST", "/api/weir/v1/keys", {
        "name": "k", "principal_id": person.id, "deployments": [deployed.name]}))
    target = f"/openai/deployments/{deployed.name}/chat/completions?api-version={weir.AZURE_VERSION}"
    assert weir.call(target, weir.ask(), key=key["key"]).status == 200
    assert weir.manage("GET", weir.arm(), token=key["key"]).status == 403
    person.give(READER)
    assert weir.manage("GET", weir.arm(), token=key["key"]).status == 200
    row = weir.usage_soon(deployed.name, 1, "deployment,principal")
    assert row
    weir.done(weir.manage("DELETE", f"/api/weir/v1/keys/{key['id']}"))


def test_metrics_and_cost_come_from_what_was_used(person, upstream):
    name = weir.fresh("metered")
    weir.put_catalog(name, [weir.external_model(upstream.base, name)],
                     price={"currency": "USD", "input_per_1m": "3.00", "output_per_1m": "15.00"})
    weir.put_deployment(name, name)
    target = f"/openai/deployments/{name}/chat/completions?api-version={weir.AZURE_VERSION}"
    used = weir.done(weir.call(target, weir.ask()))["usage"]
    weir.usage_soon(name, 1)
    metrics = (f"{weir.ARM}/deployments/{name}/providers/Microsoft.Insights/metrics?api-version=2023-10-01"
               "&metricnames=InputTokens,OutputTokens,ModelRequests&interval=PT1M&timespan=PT30M")
    assert person.manage("GET", metrics).status == 403
    person.give(READER)
    value = weir.done(person.manage("GET", metrics))["value"]
    totals = [sum(point["total"] for point in metric["timeseries"][0]["data"]) for metric in value]
    assert totals == [used["prompt_tokens"], used["completion_tokens"], 1], value
    query = {"type": "ActualCost", "timeframe": "MonthToDate", "dataset": {
        "granularity": "None", "grouping": [{"type": "Dimension", "name": "Meter"}, {"type": "Dimension", "name": "DeploymentName"}]}}
    answer = weir.done(weir.manage("POST", f"{weir.ARM}/providers/Microsoft.CostManagement/query?api-version=2023-03-01", query))
    rows = {row[2]: row for row in answer["properties"]["rows"] if row[3] == name}
    assert rows["paygo-inference-input-tokens"][0] == pytest.approx(used["prompt_tokens"] * 3e-6)
    assert rows["paygo-inference-output-tokens"][0] == pytest.approx(used["completion_tokens"] * 15e-6)
    weir.manage("DELETE", weir.arm(f"/deployments/{name}"))
    weir.manage("DELETE", f"{weir.CATALOG}/{name}")


@pytest.fixture(scope="module")
def tls():
    with front.serve(weir.URL) as running:
        yield running


def test_the_inference_client_works_with_a_token_credential(person, deployed, tls):
    with ChatCompletionsClient(f"{tls.url}/models", person, credential_scopes=["https://cognitiveservices.azure.com/.default"],
                               connection_verify=tls.certificate, retry_total=0) as client:
        with pytest.raises(ClientAuthenticationError, match="lacks the required data action"):
            client.complete(model=deployed.name, messages=[{"role": "user", "content": "hi"}])
        person.give(SERVICES_USER)
        models = f"/models/chat/completions?api-version={weir.INFERENCE_VERSION}"
        weir.until(lambda: person.chat(models, weir.ask(model=deployed.name)), lambda a: a.status == 200, 5, "the role holds")
        answer = client.complete(model=deployed.name, messages=[{"role": "user", "content": "hi"}])
        assert answer.choices[0].message.content


def test_a_principal_deploys_in_another_account_with_the_management_client(tls):
    account = weir.fresh("acct")
    someone = Person(account=account)
    client = CognitiveServicesManagementClient(
        someone, "00000000-0000-0000-0000-000000000000", base_url=tls.url, connection_verify=tls.certificate,
        retry_total=0, credential_scopes=["https://management.azure.com/.default"])
    body = {"sku": {"name": "Standard", "capacity": 10},
            "properties": {"model": {"format": "Weir", "name": "simulator-chat", "version": "1"}}}
    with pytest.raises(HttpResponseError) as denied:
        client.deployments.begin_create_or_update("weir", account, "d", json.loads(json.dumps(body)))
    assert denied.value.status_code == 403 and denied.value.error.code == "AuthorizationFailed"
    someone.give(CONTRIBUTOR)
    made = client.deployments.begin_create_or_update("weir", account, "d", body).result()
    assert made.name == "d" and made.system_data.created_by == someone.name
    assert client.accounts.list_keys("weir", account).key1
    # The token names its account, the directory its principal.
    target = f"/openai/deployments/d/chat/completions?api-version={weir.AZURE_VERSION}"
    refused = someone.chat(target, weir.ask())
    assert refused.status == 401 and refused.json()["error"]["code"] == "PermissionDenied", refused
    someone.give(SERVICES_USER)
    weir.until(lambda: someone.chat(target, weir.ask()), lambda answer: answer.status == 200, 5, "the role holds")
    client.deployments.begin_delete("weir", account, "d").result()
