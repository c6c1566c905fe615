"""Tokens of an OpenID Connect issuer: whose are believed, and what their principals may."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Iterator

import jwt
import openai
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

import weir
import wire
from isolates import ADMIN, Isolates
from issuer import AUDIENCE, Issuer

GROUP = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/weir"
SERVICES_USER = "a97b65f3-24c7-4388-baec-2e87135dc908"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"


class House:
    """A Weir of two isolates that believes an issuer."""

    def __init__(self, fronts: Isolates, issuer: Issuer) -> None:
        self.urls, self.issuer = fronts.urls, issuer
        self.name = "oidc-chat"
        self.manage("PUT", weir.arm(f"/deployments/{self.name}"), {
            "sku": {"name": "Standard", "capacity": 1000},
            "properties": {"model": {"format": "Weir", "name": "simulator-chat"}}})
        self.give("anybody", SERVICES_USER)

    def manage(self, method: str, target: str, body=None, token: str = ADMIN) -> wire.Answer:
        return wire.send(self.urls[0], method, target, weir.bearer(token), body)

    def give(self, principal: str, role: str) -> None:
        target = f"{GROUP}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}?api-version=2022-04-01"
        body = {"properties": {"roleDefinitionId": f"/providers/Microsoft.Authorization/roleDefinitions/{role}",
                               "principalId": principal}}
        weir.done(self.manage("PUT", target, body))

    def chat(self, token: str, front: int = 0) -> wire.Answer:
        target = f"/openai/deployments/{self.name}/chat/completions?api-version={weir.AZURE_VERSION}"
        return wire.send(self.urls[front], "POST", target, {**weir.bearer(token), "content-type": "application/json"},
                         weir.ask())

    def may_soon(self, token: str) -> None:
        for front in range(len(self.urls)):
            weir.until(lambda: self.chat(token, front), lambda answer: answer.status == 200, 5, "the token may query")


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with Issuer() as issuer, Isolates(fronts=2, WEIR_OIDC_ISSUER=issuer.url, WEIR_OIDC_AUDIENCES="api://weir") as fronts:
        yield House(fronts, issuer)


@pytest.mark.parametrize("kid", ["rsa-1", "ec-1"])
def test_a_token_may_what_its_principal_was_given(house, kid):
    oid = str(uuid.uuid4())
    token = house.issuer.token(kid, oid=oid)
    refused = house.chat(token)
    assert refused.status == 401 and refused.json()["error"]["code"] == "PermissionDenied", refused
    house.give(oid, SERVICES_USER)
    house.may_soon(token)
    client = openai.AzureOpenAI(azure_endpoint=house.urls[1], azure_ad_token=token, api_version=weir.AZURE_VERSION)
    assert client.chat.completions.create(model=house.name, messages=[{"role": "user", "content": "hi"}]).id


def test_groups_of_the_token_count(house):
    group = str(uuid.uuid4())
    house.give(group, SERVICES_USER)
    house.may_soon(house.issuer.token(oid=str(uuid.uuid4()), groups=[str(uuid.uuid4()), group]))


@pytest.mark.parametrize("audience", ["https://ai.azure.com", "https://ml.azure.com/", "api://weir", ["x", AUDIENCE]])
def test_audiences(house, audience):
    house.may_soon(house.issuer.token(oid="anybody", aud=audience))


def forged(house: House, change) -> str:
    """A good token with other claims under the old signature."""
    header, claims, signature = house.issuer.token(oid="anybody").split(".")
    said = json.loads(base64.urlsafe_b64decode(claims + "=="))
    said.update(change)
    claims = base64.urlsafe_b64encode(json.dumps(said).encode()).rstrip(b"=").decode()
    return ".".join([header, claims, signature])


@pytest.mark.parametrize("name", ["audience", "issuer", "expired", "early", "no end", "another's key", "changed",
                                  "none", "hmac with the public key", "cut signature"])
def test_what_is_not_the_issuers_is_refused(house, name):
    house.may_soon(house.issuer.token(oid="anybody"))
    now = int(time.time())
    tokens = {
        "audience": lambda: house.issuer.token(oid="anybody", aud="https://graph.microsoft.com"),
        "issuer": lambda: house.issuer.token(oid="anybody", iss="https://login.example"),
        "expired": lambda: house.issuer.token(oid="anybody", exp=now - 1),
        "early": lambda: house.issuer.token(oid="anybody", nbf=now + 600),
        "no end": lambda: house.issuer.token(oid="anybody", exp=None),
        "another's key": lambda: house.issuer.token(oid="anybody", key=rsa.generate_private_key(65537, 2048)),
        "changed": lambda: forged(house, {"oid": "admin2"}),
        "none": lambda: jwt.encode({"iss": house.issuer.url, "aud": AUDIENCE, "exp": now + 60, "oid": "anybody"}, None, "none"),
        "hmac with the public key": lambda: jwt.encode({"iss": house.issuer.url, "aud": AUDIENCE, "exp": now + 60,
                                                         "oid": "anybody"}, "k" * 64, "HS256", {"kid": "rsa-1"}),
        "cut signature": lambda: house.issuer.token(oid="anybody")[:-8],
    }
    answer = house.chat(tokens[name]())
    assert answer.status == 401 and answer.json()["statusCode"] == 401, answer


def test_an_issuers_token_manages_by_its_roles(house):
    oid = str(uuid.uuid4())
    for audience in (AUDIENCE, "https://management.azure.com"):
        token = house.issuer.token(oid=oid, aud=audience, preferred_username="ana@example.com")
        denied = house.manage("GET", weir.arm(), token=token)
        assert denied.status == 403 and "ana@example.com" in denied.json()["error"]["message"], denied
    house.give(oid, READER)
    assert house.manage("GET", weir.arm(), token=token).status == 200
    assert house.manage("GET", weir.arm(), token=house.issuer.token(oid=oid, exp=1)).status == 401
    assert house.manage("GET", "/api/weir/v1/principals", token=house.issuer.token(oid="admin")).status == 401


def test_a_new_key_works_and_an_issuer_that_is_down_keeps_nobody_out(house):
    token = house.issuer.token(oid="anybody", jti="before")
    house.may_soon(token)
    house.issuer.up = False
    try:
        assert house.chat(token).status == 200
        assert house.chat(house.issuer.token(oid="anybody", jti="during")).status == 200, "its key is known"
    finally:
        house.issuer.up = True


def test_a_verdict_is_asked_for_once(house):
    token = house.issuer.token(oid="anybody", jti="once")
    house.may_soon(token)
    asked = len(house.issuer.asked)
    for _ in range(20):
        assert house.chat(token).status == 200
    assert len(house.issuer.asked) == asked
