//! Metrics and cost in Azure's shapes, over all shards of an account.

use super::answer::Answer;
use super::question::{Extension, Question, extension};
use super::testing::{Objects, asked, record};
use crate::id::AccountId;
use crate::object::CallOutcome;
use crate::time::UnixMillis;
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use serde_json::{Value, json};

/// 2026-07-01T00:00:00Z.
const DAY: u64 = 1_782_864_000_000;
const MINUTE: u64 = 60_000;
const NOW: UnixMillis = UnixMillis(DAY + 60 * MINUTE);
const ACCOUNT: &str =
    "/subscriptions/s/resourceGroups/g/providers/Microsoft.CognitiveServices/accounts/default";

fn ask(path: &str, query: &str, body: &str) -> Answer {
    let account = AccountId::default_account();
    let mut objects = Objects::default();
    let records = [
        record(1, DAY + 1, 1, 10, 6),
        record(2, DAY + 2 * MINUTE, 2, 20, 9),
        record(3, DAY + 2 * MINUTE + 1, 1, 1, 1),
        record(4, DAY + 7 * MINUTE, 0, 100, 0),
    ];
    objects.store(&account, &records);
    let mut question = match Question::parse(&asked(&[account], path, query, body, NOW)).unwrap() {
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

#[test]
fn cost_is_by_meter_input_and_output_apart() {
    let path = format!("{ACCOUNT}/providers/Microsoft.CostManagement/query");
    let query = |grouping: Value, granularity: &str| {
        let body = json!({"type": "ActualCost", "timeframe": "Custom",
            "timePeriod": {"from": "2026-07-01T00:00:00Z", "to": "2026-07-02T00:00:00Z"},
            "dataset": {"granularity": granularity, "aggregation": {"totalCost": {"name": "Cost", "function": "Sum"}},
                "grouping": grouping}});
        let answer = ask(&path, "api-version=2023-03-01", &format!("{body}"));
        assert_eq!(answer.status, 200, "{}", answer.body);
        serde_json::from_str::<Value>(&answer.body).unwrap()["properties"].clone()
    };
    let all = query(
        json!([{"type": "Dimension", "name": "Meter"}, {"type": "Dimension", "name": "DeploymentName"}]),
        "None",
    );
    let names: Vec<&str> =
        all["columns"].as_array().unwrap().iter().map(|column| column["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Cost", "UsageQuantity", "Meter", "DeploymentName", "Currency"]);
    let (input, output) = ("paygo-inference-input-tokens", "paygo-inference-output-tokens");
    assert_eq!(
        all["rows"],
        json!([
            [0, 100, input, "Demo-0", ""],
            [0.000_022, 11, input, "Demo-1", "USD"],
            [0.000_04, 20, input, "Demo-2", "USD"],
            [0, 0, output, "Demo-0", ""],
            [0.000_005_5, 7, output, "Demo-1", "USD"],
            [0.000_01, 9, output, "Demo-2", "USD"],
        ])
    );
    let daily = query(json!([]), "Daily");
    assert_eq!(daily["rows"], json!([[0, 100, 20_260_701, ""], [0.000_077_5, 47, 20_260_701, "USD"]]));
    for body in [
        "",
        "[]",
        r#"{"type":"X"}"#,
        r#"{"type":"Usage","timeframe":"Never"}"#,
        r#"{"type":"Usage","dataset":{"grouping":[{"name":"Color"}]}}"#,
        r#"{"type":"Usage","dataset":{"filter":{}}}"#,
    ] {
        assert_eq!(ask(&path, "", body).status, 400, "{body}");
    }
}

#[test]
fn costs_of_a_subscription_are_those_of_its_accounts_by_pages() {
    let accounts: Vec<AccountId> = (0..10).map(|at| AccountId::parse(&format!("a{at}")).unwrap()).collect();
    let mut objects = Objects::default();
    for (at, account) in (1u64..).zip(&accounts) {
        objects.store(account, &[record(u128::from(at), DAY + 1, 1, at, 0)]);
    }
    let path = "/subscriptions/s/providers/Microsoft.CostManagement/query";
    let body = json!({"type": "Usage", "timeframe": "Custom",
        "timePeriod": {"from": "2026-07-01T00:00:00Z", "to": "2026-07-02T00:00:00Z"},
        "dataset": {"granularity": "None", "grouping": [{"type": "Dimension", "name": "AccountName"}]}});
    let mut page = |query: &str| {
        let body = body.to_string();
        let mut question = Question::parse(&asked(&accounts, path, query, &body, NOW)).unwrap().unwrap();
        loop {
            let asks = question.asks();
            if asks.is_empty() {
                break;
            }
            for ask in asks {
                let reply = objects.call(NOW, &ask.object, &ask.body);
                question.answered(ask.shard, CallOutcome::Answered(&reply));
            }
        }
        let answer: Value = serde_json::from_str(&question.answer().body).unwrap();
        let rows = answer["properties"]["rows"].as_array().unwrap();
        let inputs = rows
            .iter()
            .filter(|row| row[1] != json!(0))
            .map(|row| row[1].as_u64().unwrap())
            .collect::<Vec<_>>();
        (inputs, answer["properties"]["nextLink"].clone())
    };
    let (inputs, next) = page("api-version=2023-03-01");
    assert_eq!(inputs, [1, 2, 3, 4, 5, 6, 7, 8]);
    let next = next.as_str().unwrap();
    assert_eq!(next, format!("https://weir.test{path}?api-version=2023-03-01&%24skiptoken=8"));
    let (inputs, next) = page(next.split_once('?').unwrap().1);
    assert_eq!((inputs, next), (Vec::from([9, 10]), Value::Null));
    let wrong = Question::parse(&asked(&accounts, path, "$skiptoken=x", r#"{"type":"Usage"}"#, NOW)).unwrap();
    assert_eq!(wrong.unwrap_err().status, 400);
}

#[test]
fn extensions_are_known_by_the_end_of_the_path() {
    let rows = [
        ("/a/providers/Microsoft.Insights/metrics", Some(("/a", Extension::Metrics))),
        ("/a/providers/MICROSOFT.INSIGHTS/METRICS/", Some(("/a", Extension::Metrics))),
        ("/providers/Microsoft.CostManagement/query", Some(("", Extension::Cost))),
        ("/a/providers/Microsoft.Insights/metrics/x", None),
        ("/api/weir/v1/usage", None),
    ];
    for (path, expected) in rows {
        assert_eq!(extension(path), expected, "{path}");
    }
}
