//! Databricks' tables of requests, from whole exchanges to the ledger's answers: what is logged, recorded and counted.

use crate::exchanges::{Outcome, Row, World};
use serde_json::{Value, json};
use weir_core::id::AccountId;
use weir_core::ledger::question::{Asked, Question};
use weir_core::object::{CallOutcome, ObjectKind};

const NAME: &str = "logged";

fn row(name: &str, body: &Value, upstream: &Value) -> Row {
    let row = json!({"source": "tables", "request": format!("POST /serving-endpoints/{name}/invocations"),
        "headers": {"authorization": "Bearer K1"}, "body": body, "upstream": upstream, "status": 200});
    serde_json::from_value(row).unwrap()
}

fn good() -> Value {
    json!({"body": {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0,
        "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}}})
}

fn chat(more: &Value) -> Value {
    let mut body = json!({"messages": [{"role": "user", "content": "hello"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

/// Status, headers and text of an answer of the ledger.
fn ask(world: &mut World, path: &str, query: &str) -> (u16, String) {
    let (accounts, now) = ([AccountId::default_account()], world.now);
    let mut question = match Question::parse(&Asked {
        accounts: &accounts,
        base: "",
        path,
        query,
        body: "",
        now,
    })
    .unwrap()
    {
        Ok(question) => question,
        Err(answer) => return (answer.status, answer.body),
    };
    loop {
        let asks = question.asks();
        if asks.is_empty() {
            let answer = question.answer();
            return (answer.status, answer.body);
        }
        for ask in asks {
            let reply =
                world.objects.message(0, ObjectKind::Ledger, &ask.object, &ask.body, [0; 32], false).unwrap();
            question.answered(ask.shard, CallOutcome::Answered(&reply));
        }
    }
}

fn usage(world: &mut World) -> Vec<Value> {
    let (status, text) = ask(world, "/api/weir/v1/databricks/endpoint_usage", "");
    assert_eq!(status, 200, "{text}");
    serde_json::from_str::<Value>(&text).unwrap()["rows"].as_array().unwrap().clone()
}

fn logged(world: &mut World, query: &str) -> Vec<Value> {
    let query = format!("deployment={NAME}{query}");
    let (status, text) = ask(world, "/api/weir/v1/databricks/inference_table", &query);
    assert_eq!(status, 200, "{text}");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn run(world: &mut World, row: &Row) -> Outcome {
    let outcome = world.exchange(row);
    for _ in 0..5 {
        world.calls();
    }
    outcome
}

#[test]
fn an_exchange_is_in_the_usage_table_with_its_callers_tags_and_in_the_log_with_its_bodies() {
    let body = chat(&json!({"client_request_id": "mine", "usage_context": {"team": "a,b", "run": "7"}}));
    let row = row(NAME, &body, &good());
    let mut world = World::new(&row);
    let outcome = run(&mut world, &row);
    assert_eq!(outcome.status, 200);
    let rows = usage(&mut world);
    let expected = json!({"client_request_id": "mine", "requester": "K1", "status_code": 200, "input_token_count": 7,
        "output_token_count": 5, "usage_context": {"team": "a,b", "run": "7"}, "request_streaming": false,
        "served_entity_id": "logged/e0", "account_id": "default", "workspace_id": "default",
        "input_character_count": 5, "output_character_count": 2});
    assert_eq!(rows.len(), 1);
    for (column, value) in expected.as_object().unwrap() {
        assert_eq!(&rows[0][column], value, "{column}");
    }
    let lines = logged(&mut world, "");
    assert_eq!(lines.len(), 1);
    let line = &lines[0];
    assert_eq!(line["databricks_request_id"], rows[0]["databricks_request_id"]);
    assert_eq!(line["request"].as_str().unwrap(), body.to_string());
    assert_eq!(line["response"].as_str().unwrap().as_bytes(), outcome.body);
    assert_eq!((&line["status_code"], &line["sampling_fraction"]), (&json!(200), &json!(1.0)));
    assert_eq!((&line["requester"], &line["client_request_id"]), (&json!("K1"), &json!("mine")));
    assert_eq!(line["logging_error_codes"], json!([]));
    let (status, csv) = ask(&mut world, "/api/weir/v1/databricks/endpoint_usage", "format=csv");
    let mut lines = csv.split("\r\n");
    assert_eq!(status, 200);
    assert!(
        lines.next().unwrap().starts_with("account_id,workspace_id,client_request_id,databricks_request_id,")
    );
    assert!(lines.next().unwrap().contains(r#""{""run"":""7"",""team"":""a,b""}""#), "{csv}");
}

#[test]
fn a_stream_is_logged_as_the_caller_got_it() {
    let events = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let row = row(NAME, &chat(&json!({"stream": true})), &json!({"body": events}));
    let mut world = World::new(&row);
    let outcome = run(&mut world, &row);
    let lines = logged(&mut world, "");
    assert_eq!(lines[0]["response"].as_str().unwrap().as_bytes(), outcome.body);
    let rows = usage(&mut world);
    assert_eq!(
        (&rows[0]["request_streaming"], &rows[0]["output_character_count"]),
        (&json!(true), &json!(2))
    );
}

#[test]
fn a_failure_is_logged_and_counted_and_is_a_row_that_used_nothing() {
    let row =
        row(NAME, &chat(&json!({})), &json!({"status": 400, "body": {"error": {"message": "top_p is odd"}}}));
    let mut world = World::new(&row);
    let outcome = run(&mut world, &row);
    assert_eq!(outcome.status, 400);
    let lines = logged(&mut world, "");
    assert_eq!(lines[0]["status_code"], json!(400));
    assert_eq!(lines[0]["response"].as_str().unwrap().as_bytes(), outcome.body);
    let rows = usage(&mut world);
    let shown = |column: &str| rows[0][column].clone();
    assert_eq!((rows.len(), shown("status_code"), shown("input_token_count")), (1, json!(400), json!(0)));
    assert_eq!((shown("input_character_count"), shown("output_character_count")), (json!(5), Value::Null));
    let (_, sums) = ask(&mut world, "/api/weir/v1/usage", "group_by=deployment");
    assert_eq!(serde_json::from_str::<Value>(&sums).unwrap()["rows"], json!([]), "it is part of no sum");
    let (_, requests) = ask(&mut world, "/api/weir/v1/requests", "");
    assert!(requests.contains(r#""error":"upstream_status""#), "{requests}");
    let (_, text) = ask(&mut world, "/metrics", "");
    let line = r#"weir_request_failures_total{account="default",deployment="logged",error_type="upstream_status"} 1"#;
    assert!(text.lines().any(|other| other == line), "{text}");
}

#[test]
fn what_is_too_large_is_told_and_not_kept() {
    let body = chat(&json!({"padding": "x".repeat(1 << 20)}));
    let row = row(NAME, &body, &good());
    let mut world = World::new(&row);
    run(&mut world, &row);
    let lines = logged(&mut world, "");
    assert_eq!(lines[0]["request"], Value::Null);
    assert_eq!(lines[0]["logging_error_codes"], json!(["MAX_REQUEST_SIZE_EXCEEDED"]));
    assert!(lines[0]["response"].as_str().unwrap().contains("chat.completion"));
}

#[test]
fn pages_of_the_log_are_whole_and_in_order_and_other_deployments_are_not_in_it() {
    let own = row(NAME, &chat(&json!({})), &good());
    let other = row("up", &chat(&json!({})), &good());
    let mut world = World::new(&own);
    for _ in 0..5 {
        run(&mut world, &own);
        run(&mut world, &other);
    }
    assert_eq!(logged(&mut world, "").len(), 5);
    assert_eq!(usage(&mut world).len(), 5, "those whose usage is tracked");
    let since = world.now.0;
    assert_eq!(logged(&mut world, &format!("&since={since}")).len(), 0);
    assert_eq!(logged(&mut world, "&since=0").len(), 5);
    assert_eq!(ask(&mut world, "/api/weir/v1/databricks/inference_table", "deployment=x&since=x").0, 400);
    let two = logged(&mut world, "&limit=2");
    assert_eq!(two.len(), 2);
    assert_eq!(two, logged(&mut world, "")[..2]);
    assert_eq!(ask(&mut world, "/api/weir/v1/databricks/inference_table", "").0, 400, "which endpoint?");
    assert_eq!(ask(&mut world, "/api/weir/v1/databricks/inference_table", "deployment=x&limit=17").0, 400);
}

#[test]
fn what_is_turned_away_is_a_row_with_the_status_that_its_caller_got() {
    let body = chat(&json!({"client_request_id": "mine", "usage_context": {"team": "a"}}));
    let row = row("tracked", &body, &good());
    let mut world = World::new(&row);
    let statuses: Vec<u16> = (0..3).map(|_| run(&mut world, &row).status).collect();
    assert_eq!(statuses, [200, 200, 429]);
    let rows = usage(&mut world);
    let got: Vec<_> = rows.iter().map(|row| (&row["status_code"], &row["client_request_id"])).collect();
    assert_eq!(
        got,
        [(&json!(429), &json!("mine")), (&json!(200), &json!("mine")), (&json!(200), &json!("mine"))]
    );
    assert_eq!((&rows[0]["usage_context"], &rows[0]["requester"]), (&json!({"team": "a"}), &json!("K1")));
    let (_, sums) = ask(&mut world, "/api/weir/v1/usage", "group_by=deployment");
    assert_eq!(serde_json::from_str::<Value>(&sums).unwrap()["rows"][0]["requests"], json!(2));
}

#[test]
fn a_bucket_gets_each_exchange_once_under_its_table_and_day() {
    let row = row(NAME, &chat(&json!({"client_request_id": "mine"})), &good());
    let mut world = World::new(&row);
    world.objects.bucket = Some(weir_core::sorted::SortedMap::new());
    for _ in 0..3 {
        run(&mut world, &row);
    }
    let objects = world.objects.bucket.clone().unwrap();
    assert_eq!(objects.len(), 3, "a batch each");
    let table = logged(&mut world, "");
    let day = table[0]["request_date"].as_str().unwrap();
    let prefix = format!("default/main/serving/chats_payload/request_date={day}/");
    let mut lines: Vec<Value> = Vec::new();
    for (key, body) in &objects {
        assert!(key.strip_prefix(&prefix).is_some_and(|rest| rest.strip_suffix(".jsonl").is_some()), "{key}");
        lines.extend(body.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
    }
    assert_eq!(lines.len(), 3);
    for row in &table {
        assert!(lines.contains(row), "the bucket has the rows of the table: {row}");
    }
    let waiting = weir_core::ledger::TABLE_OUTGOING;
    assert!(world.objects.ledgers().all(|rows| rows.all(waiting).is_empty()), "nothing waits any more");
}

#[test]
fn a_prompt_that_is_stopped_is_logged_with_what_its_caller_read() {
    let name = "logged-guarded";
    let row =
        row(name, &json!({"messages": [{"role": "user", "content": "I want to kill myself"}]}), &good());
    let mut world = World::new(&row);
    let outcome = run(&mut world, &row);
    assert_eq!(outcome.status, 400);
    let (_, text) = ask(&mut world, "/api/weir/v1/databricks/inference_table", &format!("deployment={name}"));
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["status_code"]), (1, &json!(400)));
    assert_eq!(lines[0]["response"].as_str().unwrap().as_bytes(), outcome.body);
    assert!(lines[0]["request"].as_str().unwrap().contains("kill myself"));
    assert_eq!(usage(&mut world).len(), 0, "its usage is not tracked");
}
