"""azure-mgmt-monitor and azure-mgmt-costmanagement, unpatched: what the ledger knows, as Azure's own tools ask for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from azure.core.exceptions import HttpResponseError
from azure.mgmt.costmanagement import CostManagementClient
from azure.mgmt.monitor import MonitorManagementClient

import front
import weir
from test_azure_management import SUBSCRIPTION, Token

SCOPES = ["https://management.azure.com/.default"]
HARM = "I want to die"  # Self-harm, medium: filtered.


@pytest.fixture(scope="module")
def tls() -> Iterator[front.Front]:
    with front.serve(weir.URL) as serving:
        yield serving


@pytest.fixture(scope="module")
def monitor(tls) -> MonitorManagementClient:
    return MonitorManagementClient(Token(), SUBSCRIPTION, base_url=tls.url, connection_verify=tls.certificate,
                                   credential_scopes=SCOPES)


@pytest.fixture(scope="module")
def busy(upstream) -> Iterator[tuple[str, dict[str, int]]]:
    """A deployment with a plain answer, a stream, a filtered prompt and a failure; and what the plain one used."""
    name = weir.fresh("mon")
    weir.put_catalog(name, [weir.external_model(upstream.base, name)],
                     price={"currency": "USD", "input_per_1m": "3.00", "output_per_1m": "15.00"})
    weir.put_deployment(name, name)
    target = f"/openai/deployments/{name}/chat/completions?api-version={weir.AZURE_VERSION}"
    used = weir.done(weir.call(target, weir.ask()))["usage"]
    assert weir.call(target, weir.ask(stream=True)).status == 200
    assert weir.call(target, weir.ask(HARM)).status == 400
    upstream.script(name, {"status": 422, "body": {"error": {"message": "no"}}})
    assert weir.call(target, weir.ask()).status >= 400
    weir.usage_soon(name, 2)
    yield name, used
    weir.manage("DELETE", weir.arm(f"/deployments/{name}"))
    weir.manage("DELETE", f"{weir.CATALOG}/{name}")


def total(monitor: MonitorManagementClient, name: str, metric: str, aggregation: str = "total", **more) -> dict[str, float]:
    """The metric of a deployment, by the values that its filter tells apart."""
    answer = monitor.metrics.list(f"{weir.ARM.lstrip('/')}/deployments/{name}", timespan="PT30M", interval="FULL",
                                  metricnames=metric, **more)
    [found] = answer.value
    assert found.name.value == metric and answer.namespace == "Microsoft.CognitiveServices/accounts/deployments"
    return {",".join(pair.value for pair in series.metadatavalues): getattr(series.data[0], aggregation)
            for series in found.timeseries}


def test_calls_are_told_apart_by_what_became_of_them(monitor, busy):
    name, used = busy
    by_status = lambda: total(monitor, name, "ModelRequests", filter="StatusCode eq '*' and StreamType eq '*'")  # noqa: E731
    found = weir.until(by_status, lambda found: sum(found.values()) == 4, 5, "all calls are counted")
    assert found.pop("200,Streaming") == 1 and found.pop("200,Non-Streaming") == 1
    assert found.pop("400,Non-Streaming") >= 1 and all(key[0] == "4" for key in found), found
    assert total(monitor, name, "ModelAvailabilityRate", "average") == {"": 100}
    assert total(monitor, name, "TotalErrors") == {"": 2} and total(monitor, name, "SuccessfulCalls") == {"": 2}
    assert total(monitor, name, "ModelRequests", filter="OperationName eq '*' and ModelVersion eq '*'") == {
        "ChatCompletions_Create,1": 4}
    assert total(monitor, name, "InputTokens")[""] >= 2 * used["prompt_tokens"]
    assert total(monitor, name, "RAITotalRequests")[""] >= 3
    assert total(monitor, name, "RAIRejectedRequests", filter="TextType eq 'Prompt' and Category eq '*'") == {
        "Prompt,SelfHarm": 1}


def test_latency_has_averages_and_extremes(monitor, busy):
    name, _ = busy
    answer = monitor.metrics.list(f"{weir.ARM.lstrip('/')}/deployments/{name}", timespan="PT30M", interval="FULL",
                                  metricnames="TimeToResponse,TimeToLastByte", aggregation="Average,Minimum,Maximum")
    for metric in answer.value:
        [point] = metric.timeseries[0].data
        assert metric.unit == "MilliSeconds" and point.minimum <= point.average <= point.maximum, metric


def test_definitions_say_what_can_be_asked(monitor):
    found = {each.name.value: each for each in monitor.metric_definitions.list(weir.ARM.lstrip("/"))}
    availability, requests = found["ModelAvailabilityRate"], found["ModelRequests"]
    assert (availability.unit, availability.primary_aggregation_type) == ("Percent", "Average")
    assert (requests.unit, requests.primary_aggregation_type) == ("Count", "Total")
    assert {"StatusCode", "StreamType", "ModelDeploymentName", "IsSpillover"} <= {d.value for d in requests.dimensions}
    for name, each in found.items():
        # Each can be asked as it says.
        wanted = ",".join(each.supported_aggregation_types)
        filter = f"{each.dimensions[0].value} eq '*'"
        answer = monitor.metrics.list(weir.ARM.lstrip("/"), timespan="PT1H", interval="PT1H", metricnames=name,
                                      aggregation=wanted, filter=filter, top=3)
        assert answer.value[0].unit == each.unit, name
    [namespace] = monitor.metric_namespaces.list(weir.ARM.lstrip("/"))
    assert namespace.properties.metric_namespace_name == "Microsoft.CognitiveServices/accounts"


def test_what_is_not_kept_is_refused_and_named(monitor):
    for more, word in (({"filter": "UsageChannel eq '*'"}, "UsageChannel"), ({"aggregation": "Maximum"}, "Total"),
                       ({"metricnames": "Nobody"}, "InputTokens")):
        with pytest.raises(HttpResponseError) as refused:
            monitor.metrics.list(weir.ARM.lstrip("/"), **{"metricnames": "ModelRequests", **more})
        assert refused.value.status_code == 400 and word in refused.value.message


def test_cost_is_by_meter(tls, busy):
    name, used = busy
    client = CostManagementClient(Token(), base_url=tls.url, connection_verify=tls.certificate, credential_scopes=SCOPES)
    group = [{"type": "Dimension", "name": "Meter"}, {"type": "Dimension", "name": "DeploymentName"}]
    query = {"type": "ActualCost", "timeframe": "MonthToDate", "dataset": {
        "granularity": "None", "aggregation": {"totalCost": {"name": "Cost", "function": "Sum"}}, "grouping": group}}
    answer = client.query.usage(weir.ARM.lstrip("/"), query)
    assert [column.name for column in answer.columns] == ["Cost", "UsageQuantity", "Meter", "DeploymentName", "Currency"]
    rows = {row[2]: row for row in answer.rows if row[3] == name}
    input, output = rows["paygo-inference-input-tokens"], rows["paygo-inference-output-tokens"]
    assert input[0] == pytest.approx(input[1] * 3e-6) and output[0] == pytest.approx(output[1] * 15e-6)
    assert input[1] >= 2 * used["prompt_tokens"] and input[4] == "USD"
