"""Who may do what on Databricks' surface, by databricks-sdk as it is: SCIM, permissions, secrets, tokens, OAuth."""

from __future__ import annotations

import base64

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config
from databricks.sdk.errors import (BadRequest, InvalidParameterValue, NotFound, PermissionDenied, ResourceAlreadyExists,
                                   ResourceConflict, ResourceDoesNotExist)
from databricks.sdk.service import iam, serving as s, workspace as ws

import weir

HELLO = [s.ChatMessage(role=s.ChatMessageRole.USER, content="one two")]


@pytest.fixture(autouse=True)
def no_profile(monkeypatch, tmp_path):
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))


def client(**credentials: str) -> WorkspaceClient:
    return WorkspaceClient(config=Config(host=weir.URL, retry_timeout_seconds=10, **credentials))


@pytest.fixture(scope="module")
def admin() -> WorkspaceClient:
    return client(token=weir.ADMIN)


class User:
    """A user made by SCIM, with a token of its own."""

    def __init__(self, admin: WorkspaceClient) -> None:
        self.name = f"{weir.fresh('user')}@example.com"
        self.id = admin.users_v2.create(user_name=self.name, display_name="A User").id
        token = weir.done(weir.manage("POST", f"/api/weir/v1/principals/{self.id}/tokens", {}))["token"]
        self.token, self.client = token, client(token=token)

    def asks(self, endpoint: str) -> bool:
        """Whether the endpoint answers this user."""
        try:
            return bool(self.client.serving_endpoints.query(endpoint, messages=HELLO).choices)
        except PermissionDenied as error:
            assert f"User does not have permission 'Query' on Endpoint {endpoint}" in str(error)
            return False


@pytest.fixture
def user(admin):
    someone = User(admin)
    yield someone
    admin.users_v2.delete(someone.id)


def soon(read, wanted, what):
    return weir.until(read, lambda got: got == wanted, 5, what, every=0.2)


def acl(**entry: str) -> list[s.ServingEndpointAccessControlRequest]:
    level = s.ServingEndpointPermissionLevel(entry.pop("level"))
    return [s.ServingEndpointAccessControlRequest(permission_level=level, **entry)]


class TestScim:
    def test_users(self, admin, user):
        got = admin.users_v2.get(user.id)
        assert (got.user_name, got.display_name, got.active) == (user.name, "A User", True)
        assert [found.id for found in admin.users_v2.list(filter=f'userName eq "{user.name}"')] == [user.id]
        assert user.id in [found.id for found in admin.users_v2.list(attributes="id,userName", count=2)]
        with pytest.raises((ResourceConflict, ResourceAlreadyExists), match="already exists"):
            admin.users_v2.create(user_name=user.name.upper())
        admin.users_v2.update(user.id, user_name=user.name, display_name="Another")
        assert admin.users_v2.get(user.id).display_name == "Another"
        with pytest.raises(NotFound):
            admin.users_v2.get("nobody")
        assert user.client.current_user.me().user_name == user.name
        with pytest.raises(PermissionDenied):
            user.client.users_v2.create(user_name="x@example.com")

    def test_an_inactive_user_is_nobody(self, admin, user):
        off = iam.Patch(op=iam.PatchOp.REPLACE, value={"active": False})
        admin.users_v2.patch(user.id, operations=[off], schemas=[iam.PatchSchema.URN_IETF_PARAMS_SCIM_API_MESSAGES_2_0_PATCH_OP])
        with pytest.raises(PermissionDenied):
            user.client.current_user.me()

    def test_groups(self, admin, user):
        name = weir.fresh("group")
        group = admin.groups_v2.create(display_name=name, members=[iam.ComplexValue(value=user.id)])
        assert [m.value for m in group.members] == [user.id]
        assert [g.display for g in user.client.current_user.me().groups] == [name]
        gone = iam.Patch(op=iam.PatchOp.REMOVE, path=f'members[value eq "{user.id}"]')
        admin.groups_v2.patch(group.id, operations=[gone])
        assert not admin.groups_v2.get(group.id).members
        assert {"admins", "users", name} <= {g.display_name for g in admin.groups_v2.list()}
        admin.groups_v2.delete(group.id)
        with pytest.raises(NotFound):
            admin.groups_v2.get(group.id)


class TestPermissions:
    def test_levels_and_their_enforcement(self, admin, user, endpoint):
        w, name = user.client.serving_endpoints, endpoint.name
        identity = admin.serving_endpoints.get(name).id
        levels = admin.serving_endpoints.get_permission_levels(identity).permission_levels
        assert [level.permission_level.value for level in levels] == ["CAN_VIEW", "CAN_QUERY", "CAN_MANAGE"]
        with pytest.raises(PermissionDenied, match=f"User does not have permission 'View' on Endpoint {name}"):
            w.get(name)
        assert name not in [e.name for e in w.list()] and not user.asks(name)
        given = admin.serving_endpoints.update_permissions(identity, access_control_list=acl(user_name=user.name, level="CAN_VIEW"))
        assert given.object_id.endswith(identity) and given.object_type == "serving-endpoint"
        assert w.get(name).permission_level == s.ServingEndpointDetailedPermissionLevel.CAN_VIEW
        assert name in [e.name for e in w.list()] and not user.asks(name)
        admin.serving_endpoints.update_permissions(identity, access_control_list=acl(user_name=user.name, level="CAN_QUERY"))
        soon(lambda: user.asks(name), True, "the user may query")
        with pytest.raises(PermissionDenied, match=f"'Manage' on Endpoint {name}"):
            w.patch(name, add_tags=[s.EndpointTag(key="a")])
        admin.serving_endpoints.update_permissions(identity, access_control_list=acl(user_name=user.name, level="CAN_MANAGE"))
        assert w.patch(name, add_tags=[s.EndpointTag(key="a")]).tags[0].key == "a"
        shown = {a.user_name or a.group_name: a for a in w.get_permissions(identity).access_control_list}
        assert [p.permission_level.value for p in shown[user.name].all_permissions] == ["CAN_MANAGE"]
        assert shown["admins"].all_permissions[0].inherited and not shown["admin"].all_permissions[0].inherited
        left = admin.serving_endpoints.set_permissions(identity, access_control_list=[]).access_control_list
        assert [a.group_name for a in left] == ["admins"]
        soon(lambda: user.asks(name), False, "the user may not query any more")

    def test_a_group_and_a_service_principal(self, admin, user, endpoint):
        identity = admin.serving_endpoints.get(endpoint.name).id
        group = admin.groups_v2.create(display_name=weir.fresh("team"), members=[iam.ComplexValue(value=user.id)])
        robot = admin.service_principals_v2.create(display_name=weir.fresh("robot"))
        made = admin.token_management.create_obo_token(robot.application_id, comment="ci", lifetime_seconds=600)
        assert admin.token_management.get(made.token_info.token_id).token_info.comment == "ci"
        assert made.token_info.token_id in [info.token_id for info in admin.token_management.list()]
        entries = acl(group_name=group.display_name, level="CAN_QUERY")
        entries += acl(service_principal_name=robot.application_id, level="CAN_QUERY")
        admin.serving_endpoints.set_permissions(identity, access_control_list=entries)
        soon(lambda: user.asks(endpoint.name), True, "a member may query")
        w = client(token=made.token_value)
        assert w.current_user.me().user_name == robot.application_id
        assert w.serving_endpoints.query(endpoint.name, messages=HELLO).choices
        listed = weir.done(weir.manage("GET", (
            f"{weir.ARM}/deployments/{endpoint.name}/providers/Microsoft.Authorization/roleAssignments"
            "?api-version=2022-04-01&$filter=atScope()")))["value"]
        assert {group.id, robot.id} <= {row["properties"]["principalId"] for row in listed}, "one store, two views"
        admin.token_management.delete(made.token_info.token_id)
        admin.groups_v2.delete(group.id)
        soon(lambda: user.asks(endpoint.name), False, "the group is gone")
        admin.service_principals_v2.delete(robot.id)
        with pytest.raises(PermissionDenied):
            w.current_user.me()


class TestSecrets:
    def test_scopes_secrets_and_permissions(self, admin, user):
        scope = weir.fresh("scope")
        admin.secrets.create_scope(scope)
        with pytest.raises((ResourceAlreadyExists, BadRequest), match="already exists"):
            admin.secrets.create_scope(scope)
        assert scope in [found.name for found in admin.secrets.list_scopes()]
        admin.secrets.put_secret(scope, "text", string_value="v")
        admin.secrets.put_secret(scope, "bytes", bytes_value=base64.b64encode(b"v").decode())
        assert [found.key for found in admin.secrets.list_secrets(scope)] == ["bytes", "text"]
        with pytest.raises(BadRequest):
            admin.secrets.get_secret(scope, "text")
        with pytest.raises(PermissionDenied, match="READ"):
            list(user.client.secrets.list_secrets(scope))
        admin.secrets.put_acl(scope, user.name, ws.AclPermission.READ)
        assert admin.secrets.get_acl(scope, user.name).permission == ws.AclPermission.READ
        assert len(list(user.client.secrets.list_secrets(scope))) == 2
        with pytest.raises(PermissionDenied, match="WRITE"):
            user.client.secrets.put_secret(scope, "k", string_value="v")
        admin.secrets.put_acl(scope, user.name, ws.AclPermission.MANAGE)
        assert {item.principal for item in user.client.secrets.list_acls(scope)} == {"admin", user.name}
        user.client.secrets.delete_secret(scope, "text")
        with pytest.raises(ResourceDoesNotExist):
            user.client.secrets.delete_secret(scope, "text")
        admin.secrets.delete_acl(scope, user.name)
        with pytest.raises(PermissionDenied, match="MANAGE"):
            user.client.secrets.delete_scope(scope)
        admin.secrets.delete_scope(scope)

    def test_a_secret_is_used_never_shown_and_followed(self, admin, upstream):
        scope, name = weir.fresh("llm"), weir.fresh("ref")
        reference = f"{{{{secrets/{scope}/openai}}}}"
        model = s.ExternalModel(name=name, provider=s.ExternalModelProvider.OPENAI, task="llm/v1/chat",
                                openai_config=s.OpenAiConfig(openai_api_base=upstream.base, openai_api_key=reference))
        config = s.EndpointCoreConfigInput(name=name, served_entities=[s.ServedEntityInput(name="a", external_model=model)])
        admin.secrets.create_scope(scope)
        with pytest.raises((InvalidParameterValue, ResourceDoesNotExist), match="does not exist"):
            admin.serving_endpoints.create(name, config=config)
        admin.secrets.put_secret(scope, "openai", string_value="sk-first")
        made = admin.serving_endpoints.create_and_wait(name, config=config)
        assert made.config.served_entities[0].external_model.openai_config.openai_api_key == reference
        assert "sk-first" not in weir.manage("GET", f"{weir.ENDPOINTS}/{name}").text

        def key() -> str:
            admin.serving_endpoints.query(name, messages=HELLO)
            return upstream.requests(name)[-1]["headers"]["authorization"]

        soon(key, "Bearer sk-first", "the secret is used")
        admin.secrets.put_secret(scope, "openai", string_value="sk-second")
        soon(key, "Bearer sk-second", "the new secret is used")
        admin.serving_endpoints.delete(name)
        admin.secrets.delete_scope(scope)


def test_oauth_of_a_service_principal(admin, endpoint):
    robot = admin.service_principals_v2.create(display_name=weir.fresh("m2m"))
    secret = admin.service_principal_secrets_proxy.create(robot.id, lifetime="3600s")
    assert secret.status == "ACTIVE" and [row.id for row in admin.service_principal_secrets_proxy.list(robot.id)] == [secret.id]
    identity = admin.serving_endpoints.get(endpoint.name).id
    admin.serving_endpoints.update_permissions(
        identity, access_control_list=acl(service_principal_name=robot.application_id, level="CAN_QUERY"))
    w = client(client_id=robot.application_id, client_secret=secret.secret)
    assert w.config.auth_type == "oauth-m2m" and w.current_user.me().id == robot.id
    assert w.serving_endpoints.get(endpoint.name).permission_level == s.ServingEndpointDetailedPermissionLevel.CAN_QUERY
    token = w.config.oauth_token().access_token
    asked = lambda: weir.call(f"/serving-endpoints/{endpoint.name}/invocations", weir.ask(), key=token).status  # noqa: E731
    soon(asked, 200, "the access token queries")
    row = weir.usage_soon(endpoint.name, 1, "deployment,principal")
    assert row["principal"] == robot.id
    assert weir.call(f"/serving-endpoints/{endpoint.name}/invocations", weir.ask(), key=token[:-4] + "AAAA").status == 401
    admin.service_principal_secrets_proxy.delete(robot.id, secret.id)
    soon(asked, 401, "the token ends with its secret")
    with pytest.raises(PermissionDenied):
        w.current_user.me()
    with pytest.raises(Exception, match="(?i)client id or secret"):
        client(client_id=robot.application_id, client_secret=secret.secret).current_user.me()
    admin.service_principals_v2.delete(robot.id)


def test_answers_that_say_nothing_are_objects():
    """MLflow reads every answer as an object: nothing is empty (13.6)."""
    scope, name = weir.fresh("scope"), weir.fresh("gone")
    weir.create_endpoint(name, [{"name": name, "provider": "simulator", "task": "llm/v1/chat"}])
    calls = [("POST", "/api/2.0/secrets/scopes/create", {"scope": scope}),
             ("POST", "/api/2.0/secrets/put", {"scope": scope, "key": "k", "string_value": "v"}),
             ("POST", "/api/2.0/secrets/acls/put", {"scope": scope, "principal": "users", "permission": "READ"}),
             ("POST", "/api/2.0/secrets/acls/delete", {"scope": scope, "principal": "users"}),
             ("POST", "/api/2.0/secrets/delete", {"scope": scope, "key": "k"}),
             ("POST", "/api/2.0/secrets/scopes/delete", {"scope": scope}),
             ("DELETE", f"{weir.ENDPOINTS}/{name}", None)]
    for method, target, body in calls:
        answer = weir.manage(method, target, body)
        assert (answer.status, answer.json()) == (200, {}), target


@pytest.mark.parametrize(("method", "target", "body"), [
    ("POST", weir.ENDPOINTS, {"name": "x", "config": {"served_entities": []}}),
    ("GET", "/api/2.0/token-management/tokens", None),
    ("GET", weir.arm("/deployments"), None),
    ("POST", weir.arm("/listKeys"), {}),
    ("GET", "/api/weir/v1/keys", None),
    ("PUT", "/api/weir/v1/defaults", {}),
    ("GET", "/api/weir/v1/usage", None),
    ("GET", "/metrics", None),
], ids=str)
def test_a_key_that_queries_may_not_manage(method, target, body):
    """It is known, so this is no 401; each surface says so in its own form."""
    answer = weir.manage(method, target, body, token=weir.KEY)
    error = answer.json()
    code = error.get("error_code") or error["error"]["code"]
    assert (answer.status, code) in [(403, "PERMISSION_DENIED"), (403, "AuthorizationFailed"), (403, "Forbidden")], answer


def test_discovery_needs_no_token():
    import wire
    found = wire.send(weir.URL, "GET", "/.well-known/databricks-config", {}).json()
    assert found["oidc_endpoint"] == f"{weir.URL}/oidc"
    metadata = wire.send(weir.URL, "GET", "/oidc/.well-known/oauth-authorization-server", {}).json()
    assert metadata["token_endpoint"] == f"{weir.URL}/oidc/v1/token"
