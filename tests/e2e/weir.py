"""The Weir under test: its address, its keys, its surfaces' routes, and how a test gives itself a deployment.

Decides where things are, from the environment that `run.py` sets; holds no expectation about answers.
"""

from __future__ import annotations

import itertools
import os
import time
from dataclasses import dataclass
from typing import Any, Callable

import wire

URL = os.environ.get("WEIR_URL", "http://127.0.0.1:8787").rstrip("/")
ADMIN = os.environ.get("WEIR_ADMIN_TOKEN", "weir-dev-admin-token")
KEY = os.environ.get("WEIR_KEY", "weir-dev-key")

ARM = ("/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/weir"
       "/providers/Microsoft.CognitiveServices/accounts/default")
ARM_VERSION = "api-version=2025-09-01"
ENDPOINTS = "/api/2.0/serving-endpoints"
CATALOG = "/api/weir/v1/catalog/models"
AZURE_VERSION = "2024-10-21"
INFERENCE_VERSION = "2024-05-01-preview"

RUN = f"{int(time.time()):x}"[-5:]
COUNT = itertools.count()


@dataclass(frozen=True)
class Surface:
    """One data surface: where chat and embeddings are, and in which form its errors come."""

    name: str
    chat: Callable[[str], str]
    embeddings: Callable[[str], str]
    form: str
    named_in_path: bool = False


SURFACES = [
    Surface("model inference", lambda d: f"/models/chat/completions?api-version={INFERENCE_VERSION}",
            lambda d: f"/models/embeddings?api-version={INFERENCE_VERSION}", "azure"),
    Surface("azure openai", lambda d: f"/openai/deployments/{d}/chat/completions?api-version={AZURE_VERSION}",
            lambda d: f"/openai/deployments/{d}/embeddings?api-version={AZURE_VERSION}", "azure", True),
    Surface("azure openai v1", lambda d: "/openai/v1/chat/completions", lambda d: "/openai/v1/embeddings", "azure"),
    Surface("openai", lambda d: "/v1/chat/completions", lambda d: "/v1/embeddings", "openai"),
    Surface("databricks invocations", lambda d: f"/serving-endpoints/{d}/invocations",
            lambda d: f"/serving-endpoints/{d}/invocations", "databricks", True),
    Surface("databricks openai", lambda d: "/serving-endpoints/chat/completions",
            lambda d: "/serving-endpoints/embeddings", "databricks-openai"),
]


def fresh(stem: str) -> str:
    """A name that no other test and no earlier run has used."""
    return f"{stem}-{RUN}-{next(COUNT)}"


def ask(text: str = "hello there", model: str | None = None, **members: Any) -> dict[str, Any]:
    """A chat request."""
    body: dict[str, Any] = {"messages": [{"role": "user", "content": text}], **members}
    return body if model is None else {"model": model, **body}


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def call(target: str, body: Any, key: str = KEY, method: str = "POST", **headers: str) -> wire.Answer:
    """One data exchange."""
    return wire.send(URL, method, target, {**bearer(key), "content-type": "application/json", **headers}, body)


def manage(method: str, target: str, body: Any = None, token: str = ADMIN) -> wire.Answer:
    """One management exchange, as the administrator unless another token is given."""
    return wire.send(URL, method, target, bearer(token), body)


def done(answer: wire.Answer) -> Any:
    """The value of a management answer that must have succeeded."""
    assert 200 <= answer.status < 300, answer
    return answer.json() if answer.body else None


def external_model(base: str, model: str, task: str = "llm/v1/chat", key: str = "sk-upstream") -> dict[str, Any]:
    """An OpenAI-compatible upstream in Databricks' words."""
    return {"name": model, "provider": "openai", "task": task,
            "openai_config": {"openai_api_base": base, "openai_api_key_plaintext": key}}


def create_endpoint(name: str, models: list[dict[str, Any]], **members: Any) -> Any:
    """A Databricks serving endpoint over external models, ready when this returns."""
    entities = [{"name": f"e{i}", "external_model": m} for i, m in enumerate(models)]
    done(manage("POST", ENDPOINTS, {"name": name, "config": {"served_entities": entities}, **members}))
    return ready_endpoint(name)


def ready_endpoint(name: str) -> Any:
    """The endpoint, once its configuration is in force."""
    return until(lambda: done(manage("GET", f"{ENDPOINTS}/{name}")),
                 lambda e: e["state"] == {"ready": "READY", "config_update": "NOT_UPDATING"}, 15, "the endpoint is ready")


def put_catalog(name: str, backends: list[dict[str, Any]], **members: Any) -> Any:
    """A catalog entry. Backends are external models."""
    entry = {"format": "OpenAI", "publisher": "OpenAI", "task": backends[0]["task"], "versions": ["1"],
             "default_version": "1", "registry_id": f"azureml://registries/weir/models/{name}", "offer": None,
             "backends": [{"external_model": m} for m in backends], **members}
    return done(manage("PUT", f"{CATALOG}/{name}", entry))


def arm(path: str = "") -> str:
    """The address of something in the default account."""
    return f"{ARM}{path}?{ARM_VERSION}"


def arm_body(model: str, capacity: int = 1000, **properties: Any) -> dict[str, Any]:
    return {"sku": {"name": "GlobalStandard", "capacity": capacity},
            "properties": {"model": {"format": "OpenAI", "name": model, "version": "1"}, **properties}}


def put_deployment(name: str, model: str, capacity: int = 1000) -> Any:
    """An Azure account deployment, ready when this returns."""
    done(manage("PUT", arm(f"/deployments/{name}"), arm_body(model, capacity)))
    return until(lambda: done(manage("GET", arm(f"/deployments/{name}"))),
                 lambda d: d["properties"]["provisioningState"] == "Succeeded", 15, "the deployment is ready")


def delete_endpoint(name: str) -> None:
    manage("DELETE", f"{ENDPOINTS}/{name}")


def until(read: Callable[[], Any], good: Callable[[Any], bool], seconds: float, what: str, every: float = 0.05) -> Any:
    """Reads until `good`; fails with the last value after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = read()
        if good(value):
            return value
        assert time.monotonic() < deadline, f"after {seconds} s not: {what}; last: {value}"
        time.sleep(every)


def usage_of(deployment: str, group_by: str = "deployment") -> dict[str, Any] | None:
    """The deployment's usage row, if there is one."""
    answer = done(manage("GET", f"/api/weir/v1/usage?interval=day&limit=10000&group_by={group_by}"))
    rows = [row for row in answer["rows"] if row.get("deployment") == deployment]
    return rows[0] if rows else None


def usage_soon(deployment: str, requests: int, group_by: str = "deployment") -> dict[str, Any]:
    """The deployment's usage row once it counts `requests`; it must within 2 s."""
    return until(lambda: usage_of(deployment, group_by), lambda row: row and row["requests"] >= requests, 2.0,
                 f"{requests} requests of {deployment} recorded")
