//! Metrics over all shards of an account, from records and counts of failures to Azure Monitor's shape.

use super::super::answer::Answer;
use super::super::question::Question;
use super::super::testing::{Objects, asked, record};
use super::*;
use crate::account::batch::UsageBatches;
use crate::account::record::{CallKind, UsageRecord, harm_keys, model_key};
use crate::id::IsolateId;
use crate::object::CallOutcome;

/// 2026-07-01T00:00:00Z.
const DAY: u64 = 1_782_864_000_000;
const MINUTE: u64 = 60_000;
const NOW: UnixMillis = UnixMillis(DAY + 60 * MINUTE);
const ACCOUNT: &str =
    "/subscriptions/s/resourceGroups/g/providers/Microsoft.CognitiveServices/accounts/default";

fn plain() -> Objects {
    let records = [
        record(1, DAY + 1, 1, 10, 6),
        record(2, DAY + 2 * MINUTE, 2, 20, 9),
        record(3, DAY + 2 * MINUTE + 1, 1, 1, 1),
        record(4, DAY + 7 * MINUTE, 0, 100, 0),
    ];
    let mut objects = Objects::default();
    objects.store(&AccountId::default_account(), &records);
    objects
}

/// Of one deployment: two streams, one of them spilled over, under reserved throughput; four answers without a model,
/// of which a content filter gave one.
fn busy() -> Objects {
    let stream = |id, first, last, used, spilled| UsageRecord {
        streamed: true,
        time_to_first_byte: Millis(first),
        latency: Millis(last),
        utilization: Some(used),
        spilled,
        judged: Some(Vec::new()),
        ..record(id, DAY + 5, 1, 10, 20)
    };
    let found =
        ["harmful|Prompt|Hate|Low", "harmful|Completion|Violence|High", "rejected|Completion|Violence|High"];
    let judged =
        UsageRecord { judged: Some(found.map(String::from).to_vec()), ..record(3, DAY + 6, 1, 30, 4) };
    let account = AccountId::default_account();
    let mut objects = Objects::default();
    objects.store(&account, &[stream(1, 100, 500, 40, false), stream(2, 300, 900, 91, true), judged]);
    let mut batches = UsageBatches::new(IsolateId(7));
    let prompt = ["harmful|Prompt|SelfHarm|Medium", "rejected|Prompt|SelfHarm|Medium"].map(String::from);
    let prompt = harm_keys("openai", &prompt);
    for (status, harms) in [(429, Vec::new()), (429, Vec::new()), (503, Vec::new()), (400, prompt)] {
        batches.failed(UnixMillis(DAY), &account, "Demo-1", "word");
        let call = CallKind {
            surface: "azure_openai",
            streamed: false,
            status,
            spilled: false,
            operation: "ChatCompletions_Create",
            version: "1|2",
        };
        batches.unanswered(&account, &model_key("Demo-1", "gpt, \"4o\""), call.key(), harms);
    }
    while let Some(due) = batches.due(UnixMillis(DAY)) {
        let message = batches.poll_message(due).unwrap();
        let reply = objects.call(due, &message.object, &message.body);
        batches.answered(due, message.token, CallOutcome::Answered(&reply));
    }
    objects
}

fn ask(objects: &mut Objects, path: &str, query: &str) -> Answer {
    let account = AccountId::default_account();
    let mut question = match Question::parse(&asked(&[account], path, query, "", NOW)).unwrap() {
        Ok(question) => question,
        Err(answer) => return answer,
    };
    loop {
        let asks = question.asks();
        if asks.is_empty() {
            return question.answer();
        }
        for ask in asks {
            let reply = objects.call(NOW, &ask.object, &ask.body);
            question.answered(ask.shard, CallOutcome::Answered(&reply));
        }
    }
}

fn of(objects: &mut Objects, resource: &str, query: &str) -> (u16, Value) {
    let answer = ask(objects, &format!("{resource}/providers/Microsoft.Insights/metrics"), query);
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

fn metrics(resource: &str, query: &str) -> (u16, Value) {
    of(&mut plain(), resource, query)
}

/// Totals of each series of a metric, with the values that tell the series apart.
fn totals(metric: &Value) -> Vec<(String, Vec<u64>)> {
    let series = metric["timeseries"].as_array().unwrap().iter();
    let points = |series: &Value| {
        series["data"].as_array().unwrap().iter().map(|point| point["total"].as_u64().unwrap()).collect()
    };
    let name = |series: &Value| {
        series["metadatavalues"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pair| pair["value"].as_str().unwrap())
            .collect()
    };
    series.map(|series| (name(series), points(series))).collect()
}

#[test]
fn metrics_have_azure_monitors_shape() {
    let (status, body) = metrics(
        ACCOUNT,
        "api-version=2023-10-01&timespan=2026-07-01T00:00:00Z/2026-07-01T00:10:00Z&interval=PT5M&metricnames=TotalTokens,ModelRequests",
    );
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["namespace"], "Microsoft.CognitiveServices/accounts");
    assert_eq!(body["timespan"], "2026-07-01T00:00:00Z/2026-07-01T00:10:00Z");
    let metric = &body["value"][0];
    assert_eq!(metric["id"], format!("{ACCOUNT}/providers/Microsoft.Insights/metrics/TotalTokens"));
    assert_eq!(metric["name"], json!({"value": "TotalTokens", "localizedValue": "TotalTokens"}));
    assert_eq!((&metric["type"], &metric["unit"]), (&json!("Microsoft.Insights/metrics"), &json!("Count")));
    assert_eq!(
        metric["timeseries"],
        json!([{"metadatavalues": [], "data": [
            {"timeStamp": "2026-07-01T00:00:00Z", "total": 47}, {"timeStamp": "2026-07-01T00:05:00Z", "total": 100}]}])
    );
    assert_eq!(totals(&body["value"][1]), [(String::new(), [3, 1].to_vec())]);
}

#[test]
fn metrics_are_filtered_and_told_apart() {
    let of = |resource: &str, more: &str| {
        let query = format!(
            "timespan=2026-07-01T00:00:00Z%2F2026-07-01T00:10:00Z&interval=PT5M&metricnames=inputtokens&{more}"
        );
        let (status, body) = metrics(resource, &query);
        assert_eq!(status, 200, "{body}");
        totals(&body["value"][0])
    };
    let row = |name: &str, totals: [u64; 2]| (String::from(name), totals.to_vec());
    assert_eq!(of(ACCOUNT, ""), [row("", [31, 100])]);
    assert_eq!(
        of(ACCOUNT, "$filter=ModelDeploymentName eq '*'"),
        [row("Demo-0", [0, 100]), row("Demo-1", [11, 0]), row("Demo-2", [20, 0])]
    );
    assert_eq!(of(ACCOUNT, "%24filter=ModelDeploymentName+eq+'demo-1'"), [row("Demo-1", [11, 0])]);
    let two = "$filter=ModelDeploymentName eq 'demo-1' or ModelDeploymentName eq 'DEMO-2'&aggregation=total";
    assert_eq!(of(ACCOUNT, two), [row("Demo-1", [11, 0]), row("Demo-2", [20, 0])]);
    assert_eq!(of(ACCOUNT, &format!("{two}&rollupby=ModelDeploymentName")), [row("", [31, 0])]);
    let but = "$filter=ModelDeploymentName ne 'demo-1' and ModelDeploymentName sw 'DEMO'";
    assert_eq!(of(ACCOUNT, but), [row("Demo-0", [0, 100]), row("Demo-2", [20, 0])]);
    assert_eq!(of(ACCOUNT, "$filter=ModelDeploymentName eq 'nobody'"), []);
    assert_eq!(of(&format!("{ACCOUNT}/deployments/demo-2"), ""), [row("", [20, 0])]);
    assert_eq!(of(&format!("{ACCOUNT}/deployments/nobody"), ""), [row("", [0, 0])]);
    let hour = metrics(ACCOUNT, "timespan=PT1H&interval=PT1H&metricnames=GeneratedTokens").1;
    assert_eq!(totals(&hour["value"][0]), [(String::new(), [16].to_vec())]);
}

#[test]
fn what_metrics_cannot_answer_is_refused() {
    for query in [
        "metricnames=Nobody",
        "interval=PT2M",
        "aggregation=Maximum",
        "aggregation=Average,Some",
        "metricnames=ModelAvailabilityRate&aggregation=Total",
        "metricnames=RAITotalRequests&$filter=StatusCode eq '*'",
        "metricnames=RAITotalRequests&$filter=Category eq '*'",
        "metricnames=ModelRequests,RAIHarmfulRequests&$filter=Category eq '*'",
        "$filter=UsageChannel eq '*'",
        "$filter=ModelName like 'x'",
        "top=0",
        "orderby=colour",
        "orderby=sum up",
        "resultType=Everything",
        "metricnamespace=Microsoft.Other/accounts",
        "timespan=yesterday",
        "timespan=2026-07-02/2026-07-01",
        "timespan=P30D&interval=PT1M",
        "$filter=Color eq 'red'",
    ] {
        let (status, body) = metrics(ACCOUNT, query);
        assert_eq!((status, body["error"]["code"].as_str()), (400, Some("BadRequest")), "{query}");
    }
}

#[test]
fn definitions_name_every_metric() {
    let answer = ask(&mut plain(), &format!("{ACCOUNT}/providers/microsoft.insights/metricDefinitions"), "");
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    let names: Vec<&str> =
        body["value"].as_array().unwrap().iter().map(|row| row["name"]["value"].as_str().unwrap()).collect();
    for name in [
        "InputTokens",
        "OutputTokens",
        "TotalTokens",
        "ModelRequests",
        "ProcessedPromptTokens",
        "GeneratedTokens",
        "AzureOpenAIRequests",
    ] {
        assert!(names.contains(&name), "{name}");
    }
}

/// The series of one metric over an hour: the values that tell it apart, and its point.
fn busy_series(query: &str) -> Vec<(String, Value)> {
    let query = format!("timespan=2026-07-01T00:00:00Z/2026-07-01T01:00:00Z&interval=FULL&{query}");
    let (status, body) = of(&mut busy(), ACCOUNT, &query);
    assert_eq!(status, 200, "{query}: {body}");
    let mut series = Vec::new();
    for one in body["value"][0]["timeseries"].as_array().unwrap() {
        let values: Vec<&str> = one["metadatavalues"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pair| pair["value"].as_str().unwrap())
            .collect();
        let mut point = one["data"][0].as_object().unwrap().clone();
        assert_eq!(point.remove("timeStamp").unwrap(), "2026-07-01T00:00:00Z");
        series.push((values.join(","), Value::Object(point)));
    }
    series
}

#[test]
fn each_metric_is_worth_what_happened() {
    let all = "Average,Minimum,Maximum,Count";
    let rows = [
        ("ModelRequests", "", json!({"total": 7})),
        ("ModelRequests", "Total,Average,Count", json!({"total": 7, "average": 1, "count": 7})),
        ("AzureOpenAIRequests", "", json!({"total": 7})),
        ("SuccessfulCalls", "", json!({"total": 3})),
        ("TotalErrors", "", json!({"total": 4})),
        ("ClientErrors", "", json!({"total": 3})),
        ("ServerErrors", "", json!({"total": 1})),
        ("BlockedCalls", "", json!({"total": 2})),
        ("ModelAvailabilityRate", "", json!({"average": 85.714})),
        ("SuccessRate", "", json!({"average": 42.857})),
        ("TotalTokens", "", json!({"total": 94})),
        ("ActiveTokens", "", json!({"total": 69})),
        ("AzureOpenAIContextTokensCacheMatchRate", "", json!({"average": 50})),
        ("TimeToResponse", all, json!({"average": 134.333, "minimum": 3, "maximum": 300, "count": 3})),
        ("AzureOpenAITTLTInMS", all, json!({"average": 470.666, "minimum": 12, "maximum": 900, "count": 3})),
        ("NormalizedTimeToFirstToken", "", json!({"average": 8.06})),
        ("NormalizedTimeBetweenTokens", "", json!({"average": 25})),
        ("TokensPerSecond", "", json!({"average": 40})),
        ("ProvisionedUtilization", all, json!({"average": 65.5, "minimum": 40, "maximum": 91, "count": 2})),
        ("RAITotalRequests", "", json!({"total": 4})),
        ("RAIHarmfulRequests", "", json!({"total": 2})),
        ("RAIRejectedRequests", "", json!({"total": 2})),
    ];
    for (name, aggregation, expected) in rows {
        let got = busy_series(&format!("metricnames={name}&aggregation={aggregation}"));
        assert_eq!(got, [(String::new(), expected)], "{name} {aggregation}");
    }
    let nothing =
        of(&mut Objects::default(), ACCOUNT, "metricnames=TimeToResponse,TotalTokens&interval=FULL").1;
    let point = |at: usize| nothing["value"][at]["timeseries"][0]["data"][0].as_object().unwrap().len();
    assert_eq!([point(0), point(1)], [1, 2], "nothing has no average, and a sum of zero");
}

#[test]
fn dimensions_tell_calls_and_findings_apart() {
    let row = |values: &str, total: u64| (String::from(values), json!({"total": total}));
    let requests = |filter: &str| busy_series(&format!("metricnames=ModelRequests&$filter={filter}"));
    assert_eq!(requests("StatusCode eq '*'"), [row("200", 3), row("400", 1), row("429", 2), row("503", 1)]);
    assert_eq!(requests("StatusCode sw '4'"), [row("400", 1), row("429", 2)]);
    assert_eq!(requests("StreamType eq 'streaming'"), [row("Streaming", 2)]);
    assert_eq!(requests("IsSpillover eq 'true' and StatusCode eq '*'"), [row("True,200", 1)]);
    assert_eq!(
        requests("ApiName eq '*' and Region eq '*'"),
        [row("azure_openai,global", 4), row("openai,global", 3)]
    );
    assert_eq!(requests("ModelName eq 'gpt, \"4o\"'"), [row("gpt, \"4o\"", 7)], "failures have their model");
    assert_eq!(requests("OperationName eq 'chatcompletions_create'"), [row("ChatCompletions_Create", 4)]);
    assert_eq!(requests("ModelVersion eq '*'"), [row("", 3), row("1|2", 4)]);
    let found = |name: &str, filter: &str| busy_series(&format!("metricnames={name}&$filter={filter}"));
    assert_eq!(
        found("RAIHarmfulRequests", "TextType eq '*' and Category eq '*' and Severity eq '*'"),
        [row("Completion,Violence,High", 1), row("Prompt,Hate,Low", 1), row("Prompt,SelfHarm,Medium", 1)]
    );
    assert_eq!(found("RAIRejectedRequests", "Severity eq 'High' or Severity eq 'Low'"), [row("High", 1)]);
    assert_eq!(found("RAITotalRequests", "ModelDeploymentName eq '*'"), [row("Demo-1", 4)]);
}

#[test]
fn series_come_in_an_order_and_no_more_than_wanted() {
    let names = |more: &str| {
        let query = format!("metricnames=ModelRequests&$filter=StatusCode eq '*'&{more}");
        busy_series(&query).into_iter().map(|(values, _)| values).collect::<Vec<_>>()
    };
    assert_eq!(names("orderby=sum desc"), ["200", "429", "400", "503"]);
    assert_eq!(names("orderby=sum asc"), ["400", "503", "429", "200"]);
    assert_eq!(names("top=2"), ["200", "429"]);
    assert_eq!(names("top=1&orderby=sum asc"), ["400"]);
    assert_eq!(names("rollupby=StatusCode"), [""]);
    let records: Vec<UsageRecord> = (0..30).map(|at| record(u128::from(at), DAY + 1, at, at, 0)).collect();
    let mut objects = Objects::default();
    objects.store(&AccountId::default_account(), &records);
    let query = "timespan=PT1H&interval=PT1H&metricnames=InputTokens&$filter=ModelDeploymentName eq '*'";
    let series = |objects: &mut Objects, query: &str| {
        of(objects, ACCOUNT, query).1["value"][0]["timeseries"].as_array().unwrap().clone()
    };
    let ten = series(&mut objects, query);
    assert_eq!((ten.len(), &ten[0]["metadatavalues"][0]["value"]), (10, &json!("Demo-29")));
    assert_eq!(series(&mut objects, &format!("{query}&top=100")).len(), 30);
    let names = series(&mut objects, &format!("{query}&top=3&resultType=metadata"));
    let name = json!({"name": {"value": "modeldeploymentname", "localizedValue": "modeldeploymentname"}, "value": "Demo-29"});
    assert_eq!(names[0], json!({"metadatavalues": [name]}));
}

#[test]
fn failures_are_no_usage() {
    let (mut objects, account) = (busy(), AccountId::default_account());
    let asked =
        asked(core::slice::from_ref(&account), "/api/weir/v1/usage", "group_by=model,principal", "", NOW);
    let mut question = Question::parse(&asked).unwrap().unwrap();
    for ask in question.asks() {
        let reply = objects.call(NOW, &ask.object, &ask.body);
        question.answered(ask.shard, CallOutcome::Answered(&reply));
    }
    let body: Value = serde_json::from_str(&question.answer().body).unwrap();
    let rows = body["rows"].as_array().unwrap();
    assert_eq!((rows.len(), &rows[0]["requests"], &rows[0]["principal"]), (1, &json!(3), &json!("p1")));
    assert_eq!(rows[0]["input_tokens"], 50);
}

#[test]
fn what_was_counted_before_calls_were_is_counted() {
    let mut objects = plain();
    for tables in objects.0.values_mut() {
        for table in ["minute", "hour"] {
            for text in tables.get_mut(table).into_iter().flat_map(SortedMap::values_mut) {
                let mut row: Value = serde_json::from_str(text).unwrap();
                row.as_object_mut()
                    .unwrap()
                    .values_mut()
                    .for_each(|sums| _ = sums.as_object_mut().unwrap().remove("calls"));
                *text = row.to_string();
            }
        }
    }
    let query = "timespan=PT1H&interval=PT1H&metricnames=ModelRequests,TotalTokens,TimeToResponse";
    let (_, body) = of(&mut objects, ACCOUNT, query);
    let point = |at: usize| body["value"][at]["timeseries"][0]["data"][0].clone();
    assert_eq!(
        (&point(0)["total"], &point(1)["total"], &point(2)["average"]),
        (&json!(4), &json!(147), &Value::Null)
    );
}

#[test]
fn a_resource_has_one_namespace() {
    let path = format!("{ACCOUNT}/deployments/d/providers/microsoft.insights/metricNamespaces");
    let body: Value = serde_json::from_str(&ask(&mut plain(), &path, "").body).unwrap();
    assert_eq!(
        body["value"][0]["properties"],
        json!({"metricNamespaceName": "Microsoft.CognitiveServices/accounts/deployments"})
    );
}
