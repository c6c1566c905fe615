"""What every test may ask for: a scriptable upstream, and deployments over it that are gone afterwards.

Decides lifetimes only.
"""

from __future__ import annotations

import pathlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import weir
import wire

HERE = pathlib.Path(__file__).parent


class Upstream:
    """The scriptable server (`upstream.py`), seen from a test."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.base = f"{url}/v1"

    def script(self, model: str, *steps: dict[str, Any]) -> None:
        assert wire.send(self.url, "POST", "/script", body={"model": model, "steps": list(steps)}).status == 200

    def release(self, model: str, events: int = 1) -> None:
        assert wire.send(self.url, "POST", "/release", body={"model": model, "events": events}).status == 200

    def requests(self, model: str) -> list[dict[str, Any]]:
        """What was asked of `model` (model calls only), oldest first."""
        return wire.send(self.url, "GET", f"/requests?model={model}").json()


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    process = subprocess.Popen([sys.executable, str(HERE / "upstream.py")], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield Upstream(process.stdout.readline().split()[-1])
    finally:
        process.terminate()
        process.wait()


class Providers:
    """The emulated providers; one process for all tests."""

    def __init__(self, url: str) -> None:
        self.url = url

    def requests(self) -> list[dict[str, Any]]:
        return wire.send(self.url, "GET", "/requests").json()


@pytest.fixture(scope="session")
def providers() -> Iterator[Providers]:
    process = subprocess.Popen([sys.executable, str(HERE / "dialects.py")], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield Providers(process.stdout.readline().split()[-1])
    finally:
        process.terminate()
        process.wait()


class Endpoint:
    """A serving endpoint of a test's own, over one scripted model of the same name."""

    def __init__(self, upstream: Upstream, name: str) -> None:
        self.upstream, self.name = upstream, name

    def script(self, *steps: dict[str, Any]) -> None:
        self.upstream.script(self.name, *steps)

    def release(self, events: int = 1) -> None:
        self.upstream.release(self.name, events)

    def requests(self) -> list[dict[str, Any]]:
        return self.upstream.requests(self.name)


@pytest.fixture
def endpoint(upstream: Upstream) -> Iterator[Endpoint]:
    name = weir.fresh("e")
    weir.create_endpoint(name, [weir.external_model(upstream.base, name)])
    yield Endpoint(upstream, name)
    weir.delete_endpoint(name)


@pytest.fixture
def embedder(upstream: Upstream) -> Iterator[Endpoint]:
    name = weir.fresh("emb")
    weir.create_endpoint(name, [weir.external_model(upstream.base, name, "llm/v1/embeddings")])
    yield Endpoint(upstream, name)
    weir.delete_endpoint(name)


@pytest.fixture(scope="session")
def deployed(upstream: Upstream) -> Iterator[Endpoint]:
    """An Azure account deployment over the scriptable server, by way of a catalog entry."""
    name = weir.fresh("d")
    weir.put_catalog(name, [weir.external_model(upstream.base, name)])
    weir.put_deployment(name, name)
    yield Endpoint(upstream, name)
    weir.manage("DELETE", weir.arm(f"/deployments/{name}"))
    weir.manage("DELETE", f"{weir.CATALOG}/{name}")


@pytest.fixture(scope="session")
def deployed_embedder(upstream: Upstream) -> Iterator[Endpoint]:
    name = weir.fresh("demb")
    weir.put_catalog(name, [weir.external_model(upstream.base, name, "llm/v1/embeddings")])
    weir.put_deployment(name, name)
    yield Endpoint(upstream, name)
    weir.manage("DELETE", weir.arm(f"/deployments/{name}"))
    weir.manage("DELETE", f"{weir.CATALOG}/{name}")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--real-server", action="store_true", help="also the server that is built once (minutes)")
