"""The management slice over plain HTTP: catalog, ARM deployments and keys, Weir's keys, Databricks endpoints.

Decides statuses, shapes and effects on the data plane; the vendors' own clients are in their own files.
"""

from __future__ import annotations

import pytest

import weir

SECRET = "sk-upstream"


def chat_status(key: str, model: str = "demo-chat") -> int:
    return weir.call("/v1/chat/completions", weir.ask(model=model), key=key).status


def soon(key: str, status: int, model: str = "demo-chat") -> None:
    weir.until(lambda: chat_status(key, model), lambda s: s == status, 5.0, f"status {status} with this key", every=0.2)


class TestCatalog:
    def test_put_get_list_delete(self, upstream):
        name = weir.fresh("cat")
        model = weir.external_model(upstream.base, name)
        made = weir.put_catalog(name, [model], price={"currency": "USD", "input_per_1m": "2.50", "output_per_1m": "10"})
        assert made["task"] == "llm/v1/chat"
        got = weir.manage("GET", f"{weir.CATALOG}/{name}")
        assert got.status == 200 and SECRET not in got.text
        assert got.json()["backends"][0]["external_model"]["openai_config"]["openai_api_base"] == upstream.base
        listed = weir.manage("GET", weir.CATALOG)
        assert listed.status == 200 and name in listed.text and SECRET not in listed.text
        weir.done(weir.manage("DELETE", f"{weir.CATALOG}/{name}"))
        assert weir.manage("GET", f"{weir.CATALOG}/{name}").status == 404

    @pytest.mark.parametrize(("entry", "where"), [
        ({}, "task"),
        ({"task": "llm/v1/sing"}, "task"),
        ({"backends": []}, "backends"),
        ({"backends": "x"}, "backends"),
        ({"price": {"currency": "USD", "input_per_1m": "cheap", "output_per_1m": "1"}}, "price"),
        ({"backends": [{"external_model": {"name": "m", "provider": "nobody", "task": "llm/v1/chat"}}]}, "provider"),
    ])
    def test_a_bad_entry_is_refused_with_the_place_of_the_fault(self, entry, where, upstream):
        name = weir.fresh("bad")
        whole = {"format": "OpenAI", "publisher": "OpenAI", "task": "llm/v1/chat", "versions": ["1"],
                 "default_version": "1", "backends": [{"external_model": weir.external_model(upstream.base, "m")}]}
        body = {**whole, **entry} if entry else {k: v for k, v in whole.items() if k != "task"}
        answer = weir.manage("PUT", f"{weir.CATALOG}/{name}", body)
        assert answer.status == 400, answer
        error = answer.json()["error"]
        assert error["code"] and where in str(error), error
        assert weir.manage("GET", f"{weir.CATALOG}/{name}").status == 404, "refused whole"

    def test_bytes_that_are_no_json(self):
        answer = weir.manage("PUT", f"{weir.CATALOG}/x", b"{not json")
        assert answer.status == 400 and answer.json()["error"]["code"]


class TestDeployments:
    def test_put_get_list_delete(self, upstream):
        name = weir.fresh("arm")
        weir.put_catalog(name, [weir.external_model(upstream.base, name)])
        put = weir.manage("PUT", weir.arm(f"/deployments/{name}"), weir.arm_body(name, 3))
        assert put.status in (200, 201), put
        made = put.json()
        assert made["name"] == name and made["type"] == "Microsoft.CognitiveServices/accounts/deployments"
        assert made["id"].lower() == f"{weir.ARM}/deployments/{name}".lower()
        assert made["sku"] == {"name": "GlobalStandard", "capacity": 3}
        ready = weir.until(lambda: weir.done(weir.manage("GET", weir.arm(f"/deployments/{name}"))),
                           lambda d: d["properties"]["provisioningState"] == "Succeeded", 15, "ready")
        limits = {limit["key"]: limit for limit in ready["properties"]["rateLimits"]}
        assert limits["token"]["count"] == 3000 and limits["token"]["renewalPeriod"] == 60
        listed = weir.done(weir.manage("GET", weir.arm("/deployments")))
        assert name in [d["name"] for d in listed["value"]]
        assert chat_status(weir.KEY, name) == 200
        again = weir.manage("PUT", weir.arm(f"/deployments/{name}"), weir.arm_body(name, 4))
        assert again.status in (200, 201) and again.json()["sku"]["capacity"] == 4
        assert weir.manage("DELETE", weir.arm(f"/deployments/{name}")).status in (200, 202, 204)
        assert weir.manage("GET", weir.arm(f"/deployments/{name}")).status == 404
        soon(weir.KEY, 404, name)
        assert weir.manage("DELETE", weir.arm(f"/deployments/{name}")).status == 204, "deleting what is not there"
        weir.manage("DELETE", f"{weir.CATALOG}/{name}")

    def test_paths_are_found_without_regard_to_case(self):
        target = weir.arm("/deployments/DEMO-chat").replace("resourceGroups", "RESOURCEgroups")
        assert weir.done(weir.manage("GET", target))["name"] == "demo-chat"

    @pytest.mark.parametrize(("body", "status"), [
        ({"properties": {"model": {"format": "Weir", "name": "simulator-chat", "version": "1"}}}, 400),
        ({"sku": {"name": "GlobalStandard", "capacity": 1}, "properties": {}}, 400),
        ({"sku": {"name": "GlobalStandard", "capacity": -1}, "properties": {"model": {"name": "simulator-chat"}}}, 400),
        ({"sku": {"name": "GlobalStandard", "capacity": "many"}, "properties": {"model": {"name": "x"}}}, 400),
        ({"sku": {"name": "GlobalStandard", "capacity": 1},
          "properties": {"model": {"format": "Weir", "name": "no-such-model", "version": "1"}}}, 400),
        ([], 400), ("text", 400), (b"{", 400), (b"", 400),
    ])
    def test_a_bad_body(self, body, status):
        name = weir.fresh("bad")
        answer = weir.manage("PUT", weir.arm(f"/deployments/{name}"), body)
        assert answer.status == status, answer
        assert answer.json()["error"]["code"] and answer.json()["error"]["message"]
        assert weir.manage("GET", weir.arm(f"/deployments/{name}")).status == 404

    @pytest.mark.parametrize(("method", "target", "token", "status", "code"), [
        ("GET", f"{weir.ARM}/deployments", weir.ADMIN, 400, "MissingApiVersionParameter"),
        ("GET", f"{weir.ARM}/deployments?api-version=yesterday", weir.ADMIN, 400, "InvalidApiVersionParameter"),
        ("GET", weir.arm("/deployments/nobody"), weir.ADMIN, 404, None),
        ("GET", weir.arm("/deployments"), "wrong", 401, None),
        ("PUT", weir.arm("/deployments/x"), "wrong", 401, None),
        ("POST", weir.arm("/listKeys"), "wrong", 401, None),
        ("TRACE", weir.arm("/deployments/demo-chat"), weir.ADMIN, 405, None),
    ])
    def test_refusals(self, method, target, token, status, code):
        answer = weir.manage(method, target, {} if method == "PUT" else None, token)
        assert answer.status == status, answer
        error = answer.json()["error"]
        assert error["message"] and (code is None or error["code"] == code), error


class TestAccountKeys:
    def test_a_regenerated_key_works_at_once_and_the_old_one_stops(self):
        keys = weir.done(weir.manage("POST", weir.arm("/listKeys")))
        assert set(keys) == {"key1", "key2"} and keys["key1"] != keys["key2"]
        for name in ("key1", "key2"):
            assert chat_status(keys[name]) == 200, name
        renewed = weir.done(weir.manage("POST", weir.arm("/regenerateKey"), {"keyName": "Key1"}))
        assert renewed["key1"] != keys["key1"] and renewed["key2"] == keys["key2"]
        assert chat_status(renewed["key1"]) == 200, "a new key works at once"
        soon(keys["key1"], 401)
        assert chat_status(keys["key2"]) == 200

    @pytest.mark.parametrize("body", [{"keyName": "Key3"}, {}, [], {"keyName": 1}])
    def test_a_bad_key_name(self, body):
        assert weir.manage("POST", weir.arm("/regenerateKey"), body).status == 400


class TestKeys:
    def test_made_shown_once_confined_rotated_deleted(self):
        made = weir.done(weir.manage("POST", "/api/weir/v1/keys", {"name": "team", "deployments": ["Demo-Chat"]}))
        key, at = made["key"], f"/api/weir/v1/keys/{made['id']}"
        assert chat_status(key) == 200, "a new key works at once"
        other = weir.call("/v1/embeddings", {"model": "demo-embed", "input": "x"}, key=key)
        assert other.status in (401, 403, 404), other
        listed = weir.manage("GET", "/api/weir/v1/keys")
        assert made["id"] in listed.text and key not in listed.text
        assert weir.manage("GET", weir.CATALOG, token=key).status in (401, 403), "no role, no management"
        assert weir.manage("GET", weir.arm("/deployments"), token=key).status in (401, 403)
        rotated = weir.done(weir.manage("POST", f"{at}/rotate"))
        assert rotated["key"] != key and chat_status(rotated["key"]) == 200
        soon(key, 401)
        weir.done(weir.manage("DELETE", at))
        soon(rotated["key"], 401)
        assert weir.manage("DELETE", at).status == 404

    def test_an_expired_key_is_refused(self):
        made = weir.manage("POST", "/api/weir/v1/keys", {"name": "old", "expires_at": "2020-01-01T00:00:00Z"})
        assert made.status == 400 or chat_status(made.json()["key"]) == 401

    @pytest.mark.parametrize("body", [{}, {"name": 1}, {"name": ""}, {"name": "x", "deployments": "demo-chat"},
                                      {"name": "x", "expires_at": "soon"}, [], b"{"])
    def test_a_bad_body(self, body):
        answer = weir.manage("POST", "/api/weir/v1/keys", body)
        assert answer.status == 400 and answer.json()["error"]["code"], answer


class TestServingEndpoints:
    @pytest.mark.parametrize("slash", ["", "/"])
    def test_create_list_get_delete(self, upstream, slash):
        name = weir.fresh("se")
        config = {"served_entities": [{"name": "a", "external_model": weir.external_model(upstream.base, name)}]}
        created = weir.manage("POST", weir.ENDPOINTS + slash, {"name": name, "config": config,
                                                               "tags": [{"key": "team", "value": "search"}]})
        made = weir.done(created)
        assert created.status == 200 and SECRET not in created.text
        assert made["name"] == name and len(made["id"]) == 32 and made["task"] == "llm/v1/chat"
        assert made["state"]["config_update"] in ("IN_PROGRESS", "NOT_UPDATING")
        made = weir.ready_endpoint(name)
        assert made["config"]["traffic_config"]["routes"][0]["traffic_percentage"] == 100
        assert made["config"]["config_version"] == 1 and made["tags"] == [{"key": "team", "value": "search"}]
        listed = weir.manage("GET", weir.ENDPOINTS + slash)
        assert name in [e["name"] for e in listed.json()["endpoints"]] and SECRET not in listed.text
        assert weir.done(weir.manage("GET", f"{weir.ENDPOINTS}/{name}"))["id"] == made["id"]
        assert chat_status(weir.KEY, name) == 200
        again = weir.manage("POST", weir.ENDPOINTS, {"name": name, "config": config})
        assert (again.status, again.json()["error_code"]) == (409, "RESOURCE_ALREADY_EXISTS")
        deleted = weir.manage("DELETE", f"{weir.ENDPOINTS}/{name}")
        assert (deleted.status, deleted.json()) == (200, {})
        gone = weir.manage("GET", f"{weir.ENDPOINTS}/{name}")
        assert (gone.status, gone.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
        soon(weir.KEY, 404, name)

    def test_a_new_config_replaces_the_old_one(self, endpoint):
        model = weir.fresh("m")
        body = {"served_entities": [{"name": "b", "external_model": weir.external_model(endpoint.upstream.base, model)}]}
        weir.done(weir.manage("PUT", f"{weir.ENDPOINTS}/{endpoint.name}/config", body))
        made = weir.until(lambda: weir.done(weir.manage("GET", f"{weir.ENDPOINTS}/{endpoint.name}")),
                          lambda e: e["state"]["config_update"] == "NOT_UPDATING", 15, "the update is done")
        assert made["config"]["config_version"] == 2
        ask = weir.ask(model=endpoint.name)
        weir.until(lambda: weir.call("/v1/chat/completions", ask).json()["model"], lambda m: m == model, 5.0,
                   "the new model answers", every=0.2)

    def test_an_upstream_that_is_not_there_fails_the_update_and_the_old_config_serves(self, endpoint):
        body = {"served_entities": [{"name": "b", "external_model": weir.external_model("http://127.0.0.1:1/v1", "m")}]}
        answer = weir.manage("PUT", f"{weir.ENDPOINTS}/{endpoint.name}/config", body)
        if answer.status == 200:
            made = weir.until(lambda: weir.done(weir.manage("GET", f"{weir.ENDPOINTS}/{endpoint.name}")),
                              lambda e: e["state"]["config_update"] != "IN_PROGRESS", 20, "the update has ended")
            assert made["state"]["config_update"] == "UPDATE_FAILED" and made["config"]["config_version"] == 1
        else:
            assert (answer.status, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), answer
        assert chat_status(weir.KEY, endpoint.name) == 200

    def test_rate_limits_are_echoed_replaced_and_removed(self, endpoint):
        at = f"{weir.ENDPOINTS}/{endpoint.name}/rate-limits"
        for limits in ([{"calls": 3, "key": "user", "renewal_period": "minute"}], []):
            assert weir.done(weir.manage("PUT", at, {"rate_limits": limits})) == {"rate_limits": limits}

    @pytest.mark.parametrize("change", [
        {"name": ""}, {"name": "has space"}, {"name": "ü"}, {"name": "a/b"}, {"name": "databricks-x"}, {"name": 7},
        {"name": "pt"}, {"config": {}}, {"config": {"served_entities": []}}, {"config": 1}, {"config": None},
        {"config": {"served_entities": [{"name": "a"}]}},
        {"rate_limits": [{"calls": -1, "renewal_period": "minute"}]},
        {"rate_limits": [{"calls": 1, "renewal_period": "hour"}]},
        {"rate_limits": [{"calls": 1, "key": "planet", "renewal_period": "minute"}]},
    ])
    def test_a_bad_endpoint(self, upstream, change):
        name = weir.fresh("bad")
        config = {"served_entities": [{"name": "a", "external_model": weir.external_model(upstream.base, "m")}]}
        answer = weir.manage("POST", weir.ENDPOINTS, {"name": name, "config": config, **change})
        assert (answer.status, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), answer
        assert weir.manage("GET", f"{weir.ENDPOINTS}/{name}").status == 404

    @pytest.mark.parametrize("change", [
        {"provider": "nobody"}, {"task": "llm/v1/sing"}, {"task": None}, {"name": None}, {"openai_config": None},
        {"openai_config": {"openai_api_base": "http://127.0.0.1:9/v1"}},
        {"openai_config": {"openai_api_base": "not a url", "openai_api_key_plaintext": "k"}},
        {"openai_config": {"openai_api_base": "file:///etc/passwd", "openai_api_key_plaintext": "k"}},
        {"openai_config": {"openai_api_base": "http://169.254.169.254/v1", "openai_api_key_plaintext": "k"}},
        {"openai_config": {"openai_api_base": "http://127.0.0.1:9/v1", "openai_api_key_plaintext": "a\r\nx: y"}},
        {"openai_config": {"openai_api_key": "sk-raw"}},
    ])
    def test_a_bad_external_model(self, upstream, change):
        model = {k: v for k, v in {**weir.external_model(upstream.base, "m"), **change}.items() if v is not None}
        body = {"name": weir.fresh("bad"), "config": {"served_entities": [{"name": "a", "external_model": model}]}}
        answer = weir.manage("POST", weir.ENDPOINTS, body)
        assert (answer.status, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), answer

    @pytest.mark.parametrize(("method", "target", "token", "status", "code"), [
        ("GET", weir.ENDPOINTS, "wrong", (401, 403), {"UNAUTHENTICATED", "PERMISSION_DENIED"}),
        ("GET", f"{weir.ENDPOINTS}/nobody", weir.ADMIN, (404,), {"RESOURCE_DOES_NOT_EXIST"}),
        ("DELETE", f"{weir.ENDPOINTS}/nobody", weir.ADMIN, (404,), {"RESOURCE_DOES_NOT_EXIST"}),
        ("PUT", f"{weir.ENDPOINTS}/nobody/config", weir.ADMIN, (404,), {"RESOURCE_DOES_NOT_EXIST"}),
        ("PUT", f"{weir.ENDPOINTS}/nobody/rate-limits", weir.ADMIN, (404,), {"RESOURCE_DOES_NOT_EXIST"}),
        ("POST", "/api/2.0/no-such-thing", weir.ADMIN, (404, 501), {"ENDPOINT_NOT_FOUND", "NOT_IMPLEMENTED"}),
    ])
    def test_refusals(self, method, target, token, status, code):
        body = {"served_entities": [], "rate_limits": []} if method in ("PUT", "POST") else None
        answer = weir.manage(method, target, body, token)
        assert answer.status in status and answer.json()["error_code"] in code, answer
