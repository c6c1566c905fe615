//! Tests of the question about single exchanges over all shards of an account.

use super::*;
use crate::ledger::question::Question;
use crate::ledger::testing::{Objects, asked, record};
use crate::time::UnixMillis;
use alloc::format;
use alloc::vec;
use proptest::prelude::{prop_assert, prop_assert_eq, proptest};
use serde_json::{Value, json};

const NOW: UnixMillis = UnixMillis(1_782_864_000_000);

fn ask(objects: &mut Objects, query: &str) -> Answer {
    let accounts = [AccountId::default_account()];
    let mut question =
        match Question::parse(&asked(&accounts, "/api/weir/v1/requests", query, "", NOW)).unwrap() {
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

fn body(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

/// All pages from the first to the last, as the numbers that ids were made of.
fn ids(objects: &mut Objects, query: &str) -> Vec<u128> {
    let (mut ids, mut cursor) = (vec![], String::new());
    loop {
        let body = body(&ask(objects, &format!("{query}&cursor={cursor}")));
        for row in body["rows"].as_array().unwrap() {
            let id = row["databricks_request_id"].as_str().unwrap().replace('-', "");
            ids.push(u128::from_str_radix(&id, 16).unwrap());
        }
        match body["next_cursor"].as_str() {
            Some(next) => cursor = next.to_string(),
            None => return ids,
        }
    }
}

#[test]
fn a_row_has_the_documented_columns() {
    let mut objects = Objects::default();
    objects.store(&AccountId::default_account(), &[record(0xab, NOW.0 - 5, 2, 10, 6)]);
    let body = body(&ask(&mut objects, ""));
    assert_eq!(
        body,
        json!({"rows": [{
            "account_id": "default", "workspace_id": "default",
            "databricks_request_id": "00000000-0000-0000-0000-0000000000ab", "client_request_id": "c171",
            "request_time": "2026-06-30T23:59:59.995Z", "requester": "p0", "key": "k", "deployment": "Demo-2",
            "model": "gpt, \"4o\"", "served_entity_id": "e", "surface": "openai", "status_code": 200,
            "request_streaming": false, "complete": true, "input_token_count": 10,
            "cached_input_token_count": 5, "output_token_count": 6, "reasoning_token_count": 2,
            "token_counts_estimated": false, "cost": "0.000025", "currency": "USD", "latency_ms": 12,
            "time_to_first_token_ms": 3, "attempts": 1,
        }], "next_cursor": null})
    );
}

#[test]
fn faults_are_named_and_a_silent_shard_is_said() {
    for (query, path) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("cursor=%21", "cursor"),
        ("from=5", "from"),
        ("deployment=a&deployment=b", "deployment"),
    ] {
        let answer = ask(&mut Objects::default(), query);
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((answer.status, &body["error"]["details"][0]["path"]), (400, &json!(path)), "{query}");
    }
    let mut question = RequestsQuery::parse(&AccountId::default_account(), View::Requests, "").unwrap();
    for ask in question.asks() {
        question.answered(ask.shard, CallOutcome::Lost);
    }
    assert!(question.asks().is_empty());
    assert_eq!(question.answer().status, 503);
}

#[test]
fn a_rare_record_is_found_below_what_one_message_looks_at() {
    let mut objects = Objects::default();
    let mut records: Vec<_> = (0..30_000u64).map(|n| record(u128::from(n), NOW.0 + n, 1, 1, 1)).collect();
    records[3].client_request_id = Some("a b".to_string());
    objects.store(&AccountId::default_account(), &records);
    assert_eq!(ids(&mut objects, "client_request_id=a%20b"), [3]);
    assert_eq!(ids(&mut objects, "client_request_id=a"), [0; 0]);
}

proptest! {
    #[test]
    fn pages_of_any_size_together_are_all_records_newest_first(
        times in proptest::collection::vec(0..40u64, 0..60),
        limit in 1..9usize,
    ) {
        let mut objects = Objects::default();
        let records: Vec<_> =
            times.iter().zip(0u128..).map(|(at, id)| record(id, NOW.0 + at, u64::try_from(id % 3).unwrap(), 1, 1)).collect();
        objects.store(&AccountId::default_account(), &records);
        let mut sorted: Vec<_> = records.iter().map(|record| (record.at.0, record.id.0)).collect();
        sorted.sort_unstable();
        let newest: Vec<u128> = sorted.iter().rev().map(|(_, id)| *id).collect();
        prop_assert_eq!(ids(&mut objects, &format!("limit={limit}")), &newest[..]);
        let ones: Vec<u128> = newest.iter().copied().filter(|id| id % 3 == 1).collect();
        prop_assert_eq!(ids(&mut objects, &format!("limit={limit}&deployment=dEMO-1")), ones);
        prop_assert!(body(&ask(&mut objects, "limit=3"))["rows"].as_array().unwrap().len() <= 3);
    }
}
