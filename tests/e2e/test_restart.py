"""The Worker is killed in the middle of a change and started again: the state is the old or the new, and serves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

import weir
import wire
from gate import Gate
from isolates import ADMIN, Isolates


@pytest.fixture(scope="module")
def running() -> Iterator[Isolates]:
    with Isolates(fronts=1) as server:
        yield server


@pytest.fixture
def gate() -> Iterator[Gate]:
    with Gate() as upstream:
        yield upstream


def manage(server: Isolates, method: str, target: str, body=None):
    answer = wire.send(server.urls[0], method, target, weir.bearer(ADMIN), body)
    assert 200 <= answer.status < 300, answer
    return answer.json()


def simulated(name: str) -> dict:
    return {"name": name, "external_model": {"name": name, "provider": "simulator", "task": "llm/v1/chat"}}


def real(name: str, gate: Gate, **config) -> dict:
    own = config or {"openai_api_key_plaintext": "sk-up"}
    model = {"name": name, "provider": "openai", "task": "llm/v1/chat", "openai_config": {"openai_api_base": gate.base, **own}}
    return {"name": name, "external_model": model}


def create(server: Isolates, entities: list[dict], **members) -> str:
    name = weir.fresh("rs")
    manage(server, "POST", weir.ENDPOINTS, {"name": name, "config": {"served_entities": entities, **members}})
    settled(server, name)
    return name


def shown(server: Isolates, name: str) -> dict:
    return manage(server, "GET", f"{weir.ENDPOINTS}/{name}")


def settled(server: Isolates, name: str, seconds: float = 15) -> dict:
    return weir.until(lambda: shown(server, name), lambda e: e["state"]["config_update"] != "IN_PROGRESS", seconds,
                      "the update has ended")


def ask(server: Isolates, name: str) -> wire.Answer:
    answer = wire.send(server.urls[0], "POST", f"/serving-endpoints/{name}/invocations", weir.bearer(ADMIN), weir.ask("one"))
    assert answer.status == 200, answer
    return answer


def served_by(server: Isolates, name: str) -> str:
    return ask(server, name).headers["served-model-name"]


def until_killed(server: Isolates, change: Callable[[int], None], seconds: float) -> int:
    """Makes one change after the other until the server is killed; the number of the last one that was acknowledged."""
    last = [0]

    def work() -> None:
        try:
            while True:
                change(last[0] + 1)
                last[0] += 1
        except (OSError, AssertionError):
            return

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(seconds)
    server.kill()
    thread.join(40)
    return last[0]


def test_an_update_goes_on_after_a_kill_and_the_old_configuration_serves_meanwhile(running, gate):
    name = create(running, [simulated("old")])
    gate.open.clear()
    answer = manage(running, "PUT", f"{weir.ENDPOINTS}/{name}/config", {"served_entities": [real("new", gate)]})
    assert answer["state"]["config_update"] == "IN_PROGRESS" and gate.probes == 1
    running.kill()
    running.start()
    assert served_by(running, name) == "old"
    now = shown(running, name)
    assert now["state"] == {"ready": "READY", "config_update": "IN_PROGRESS"}
    assert now["config"]["config_version"] == 1 and now["pending_config"]["config_version"] == 2
    weir.until(lambda: gate.probes, lambda n: n >= 2, 5, "the new upstream is probed again")
    gate.open.set()
    assert settled(running, name)["config"]["config_version"] == 2
    weir.until(lambda: served_by(running, name), lambda entity: entity == "new", 5, "the new configuration serves", every=0.2)


def test_an_update_goes_on_by_itself_when_nobody_asks(running, gate):
    """An alarm drives it on: after the restart no request is sent before the upstream was probed again."""
    name = create(running, [simulated("old")])
    gate.open.clear()
    manage(running, "PUT", f"{weir.ENDPOINTS}/{name}/config", {"served_entities": [real("new", gate)]})
    running.kill()
    running.start()
    weir.until(lambda: gate.probes, lambda n: n >= 2, 20, "the new upstream is probed again", every=0.2)
    gate.open.set()
    assert settled(running, name)["config"]["config_version"] == 2


def test_a_first_configuration_becomes_ready_after_a_kill(running, gate):
    gate.open.clear()
    name = weir.fresh("rs")
    body = {"name": name, "config": {"served_entities": [real("first", gate)]}}
    assert manage(running, "POST", weir.ENDPOINTS, body)["state"] == {"ready": "NOT_READY", "config_update": "IN_PROGRESS"}
    running.kill()
    gate.open.set()
    running.start()
    assert settled(running, name)["state"] == {"ready": "READY", "config_update": "NOT_UPDATING"}
    assert served_by(running, name) == "first"


def test_an_update_that_was_canceled_stays_canceled(running, gate):
    name = create(running, [simulated("old")])
    gate.open.clear()
    manage(running, "PUT", f"{weir.ENDPOINTS}/{name}/config", {"served_entities": [real("new", gate)]})
    manage(running, "POST", f"/api/weir/v1/serving-endpoints/{name}/cancel-update")
    running.kill()
    gate.open.set()
    running.start()
    assert shown(running, name)["state"] == {"ready": "READY", "config_update": "UPDATE_CANCELED"}
    assert served_by(running, name) == "old"


@pytest.mark.parametrize("seconds", [0.15, 0.4])
def test_a_secret_is_the_old_or_the_new_after_a_kill(running, gate, seconds):
    scope = weir.fresh("scope")
    manage(running, "POST", "/api/2.0/secrets/scopes/create", {"scope": scope})

    def change(number: int) -> None:
        manage(running, "POST", "/api/2.0/secrets/put", {"scope": scope, "key": "k", "string_value": f"sk-{number}"})

    change(0)
    name = create(running, [real("m", gate, openai_api_key=f"{{{{secrets/{scope}/k}}}}")])
    last = until_killed(running, change, seconds)
    running.start()
    ask(running, name)
    assert last > 0 and gate.credentials[-1] in (f"sk-{last}", f"sk-{last + 1}"), (last, gate.credentials)


@pytest.mark.parametrize("seconds", [0.15, 0.4])
def test_traffic_is_the_old_or_the_new_after_a_kill(running, seconds):
    routes = [{"served_entity_name": n, "traffic_percentage": p} for n, p in (("a", 100), ("b", 0))]
    name = create(running, [simulated("a"), simulated("b")], traffic_config={"routes": routes})

    def change(number: int) -> None:
        share = 100 if number % 2 == 0 else 0
        body = {"routes": [{"served_entity_name": "a", "traffic_percentage": share},
                           {"served_entity_name": "b", "traffic_percentage": 100 - share}]}
        manage(running, "PUT", f"{weir.ENDPOINTS}/{name}/config", {"traffic_config": body})

    last = until_killed(running, change, seconds)
    running.start()
    config = shown(running, name)["config"]
    version = config["config_version"] - 1
    assert last > 0 and version in (last, last + 1), (last, config)
    shares = [route["traffic_percentage"] for route in config["traffic_config"]["routes"]]
    assert shares == ([100, 0] if version % 2 == 0 else [0, 100])
    assert served_by(running, name) == ("a" if version % 2 == 0 else "b")
