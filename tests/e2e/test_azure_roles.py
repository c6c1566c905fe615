"""azure-mgmt-authorization, unpatched: roles, assignments and permissions, and what they open for other clients."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from azure.ai.ml import MLClient
from azure.ai.ml.entities import MarketplaceSubscription, ServerlessEndpoint
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.mgmt.authorization import AuthorizationManagementClient
from azure.mgmt.cognitiveservices import CognitiveServicesManagementClient

import front
import weir
from test_azure_management import GROUP, SELLER, SUBSCRIPTION, Token, model_of
from test_identity import READER, Person

SCOPE = f"subscriptions/{SUBSCRIPTION}"
SCOPES = ["https://management.azure.com/.default"]
ML = "Microsoft.MachineLearningServices/workspaces"
# The permissions that the documents name for subscribing to offers and deploying them.
SUBSCRIBE = [
    "Microsoft.MarketplaceOrdering/agreements/offers/plans/read",
    "Microsoft.MarketplaceOrdering/agreements/offers/plans/sign/action",
    "Microsoft.MarketplaceOrdering/offerTypes/publishers/offers/plans/agreements/read",
    "Microsoft.Marketplace/offerTypes/publishers/offers/plans/agreements/read",
    "Microsoft.SaaS/register/action",
    "Microsoft.SaaS/resources/read",
    "Microsoft.SaaS/resources/write",
    f"{ML}/marketplaceModelSubscriptions/*",
    f"{ML}/serverlessEndpoints/*",
]


@pytest.fixture(scope="module")
def tls() -> Iterator[front.Front]:
    with front.serve(weir.URL) as serving:
        yield serving


@pytest.fixture
def person() -> Iterator[Person]:
    someone = Person()
    yield someone
    weir.manage("DELETE", f"/api/weir/v1/principals/{someone.id}")


def roles(tls: front.Front, who: object) -> AuthorizationManagementClient:
    return AuthorizationManagementClient(who, SUBSCRIPTION, base_url=tls.url, connection_verify=tls.certificate,
                                         credential_scopes=SCOPES, retry_total=0)


@pytest.fixture
def admin(tls) -> AuthorizationManagementClient:
    return roles(tls, Token())


@pytest.fixture
def custom(admin) -> Iterator:
    """Makes custom roles, which go with the test."""
    made: list[str] = []

    def make(**permissions: list[str]) -> str:
        guid = str(uuid.uuid4())
        definition = {"role_name": weir.fresh("role"), "description": "d", "assignable_scopes": [f"/{SCOPE}"],
                      "permissions": [permissions]}
        made.append(guid)
        return admin.role_definitions.create_or_update(SCOPE, guid, definition).id

    yield make
    for guid in made:
        for each in admin.role_assignments.list_for_subscription():
            if each.role_definition_id.endswith(guid):
                admin.role_assignments.delete_by_id(each.id.lstrip("/"))
        admin.role_definitions.delete(SCOPE, guid)


def assign(admin: AuthorizationManagementClient, person: Person, role: str, scope: str = SCOPE) -> str:
    body = {"role_definition_id": role, "principal_id": person.id, "principal_type": "User"}
    return admin.role_assignments.create(scope, str(uuid.uuid4()), body).id


def test_built_in_roles_are_listed_as_published(admin):
    listed = {role.role_name: role for role in admin.role_definitions.list(SCOPE, filter="type eq 'BuiltInRole'")}
    names = {"Owner", "Contributor", "Reader", "Azure AI Developer", "AzureML Data Scientist", "Cognitive Services User",
             "Cognitive Services OpenAI User", "Cognitive Services OpenAI Contributor", "Cognitive Services Contributor"}
    assert names <= set(listed)
    reader = admin.role_definitions.get_by_id(listed["Reader"].id.lstrip("/"))
    assert reader.name == READER and reader.permissions[0].actions == ["*/read"]
    assert listed["Owner"].permissions[0].actions == ["*"] and not listed["Owner"].permissions[0].data_actions
    assert list(admin.deny_assignments.list()) == []


def test_an_assignment_above_holds_below_and_ends_when_it_is_deleted(tls, admin, custom, person):
    accounts = CognitiveServicesManagementClient(person, SUBSCRIPTION, base_url=tls.url, connection_verify=tls.certificate,
                                                 credential_scopes=SCOPES, retry_total=0).accounts
    with pytest.raises(HttpResponseError) as denied:
        accounts.get(GROUP, "default")
    assert denied.value.status_code == 403 and denied.value.error.code == "AuthorizationFailed"
    assert "Microsoft.CognitiveServices/accounts/read" in denied.value.message and person.id in denied.value.message
    # A wildcard stands for text with slashes in it too; its own exceptions are taken off.
    role = custom(actions=["Microsoft.CognitiveServices/*"], not_actions=["Microsoft.CognitiveServices/accounts/listKeys/*"])
    assignment = assign(admin, person, role)
    assert accounts.get(GROUP, "default").name == "default"
    with pytest.raises(HttpResponseError):
        accounts.list_keys(GROUP, "default")
    [permission] = roles(tls, person).permissions.list_for_resource_group(GROUP)
    assert permission.actions == ["Microsoft.CognitiveServices/*"]
    assert permission.not_actions == ["Microsoft.CognitiveServices/accounts/listKeys/*"]
    assert [each.id for each in admin.role_assignments.list_for_resource_group(
        GROUP, filter=f"principalId eq '{person.id}'")] == [assignment]
    with pytest.raises(ResourceExistsError) as twice:
        assign(admin, person, role)
    assert twice.value.error.code == "RoleAssignmentExists"
    admin.role_assignments.delete_by_id(assignment.lstrip("/"))
    with pytest.raises(HttpResponseError):
        accounts.get(GROUP, "default")


def test_a_custom_role_is_changed_and_not_deleted_while_it_is_assigned(tls, admin, custom, person):
    role = custom(actions=["Microsoft.CognitiveServices/accounts/deployments/read"])
    assignment = assign(admin, person, role, f"{SCOPE}/resourceGroups/{GROUP}")
    client = CognitiveServicesManagementClient(person, SUBSCRIPTION, base_url=tls.url, connection_verify=tls.certificate,
                                               credential_scopes=SCOPES, retry_total=0)
    list(client.deployments.list(GROUP, "default"))
    with pytest.raises(HttpResponseError):
        client.accounts.get(GROUP, "default")
    guid = role.rsplit("/", 1)[1]
    with pytest.raises(HttpResponseError):
        admin.role_definitions.delete(SCOPE, guid)
    known = admin.role_definitions.get(SCOPE, guid)
    known.permissions[0].actions = ["Microsoft.CognitiveServices/accounts/read"]
    admin.role_definitions.create_or_update(SCOPE, guid, known)
    assert client.accounts.get(GROUP, "default").name == "default"
    with pytest.raises(HttpResponseError):
        list(client.deployments.list(GROUP, "default"))
    admin.role_assignments.delete_by_id(assignment.lstrip("/"))
    with pytest.raises(ResourceNotFoundError):
        admin.role_assignments.get_by_id(assignment.lstrip("/"))


def test_the_documented_custom_role_subscribes_and_deploys_and_nothing_else(tls, admin, custom, person, upstream, monkeypatch):
    monkeypatch.setenv("AZUREML_DEV_URL_MFE", tls.url)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", tls.certificate)
    model = weir.fresh("m")
    weir.put_catalog(model, [weir.external_model(upstream.base, model)], offer={**SELLER, "offer_id": model})
    project = MLClient(person, SUBSCRIPTION, GROUP, "default", enable_telemetry=False)
    wish = MarketplaceSubscription(name=weir.fresh("s"), model_id=model_of(model))
    with pytest.raises(HttpResponseError) as denied:
        project.marketplace_subscriptions.begin_create_or_update(wish)
    assert denied.value.status_code == 403 and "marketplaceModelSubscriptions/write" in denied.value.message
    assign(admin, person, custom(actions=SUBSCRIBE))
    assert project.marketplace_subscriptions.begin_create_or_update(wish).result().status == "subscribed"
    endpoint = ServerlessEndpoint(name=weir.fresh("e"), model_id=model_of(model), location="eastus2")
    made = project.serverless_endpoints.begin_create_or_update(endpoint).result()
    assert made.provisioning_state == "succeeded"
    assert project.serverless_endpoints.get_keys(made.name).primary_key
    for what in (lambda: project.workspaces.get("default"), lambda: project.connections.get("any")):
        with pytest.raises(HttpResponseError) as refused:
            what()
        assert refused.value.status_code == 403
    project.serverless_endpoints.begin_delete(made.name).result()
    project.marketplace_subscriptions.begin_delete(wish.name).result()
    weir.manage("DELETE", f"{weir.CATALOG}/{model}")
