//! Tests of the usage question over all shards of an account.

use super::*;
use crate::account::record::UsageRecord;
use crate::ledger::question::Question;
use crate::ledger::testing::{Objects, asked, record};
use alloc::string::ToString;
use alloc::vec;
use proptest::prelude::{Strategy, prop_assert, prop_assert_eq, proptest};
use serde_json::{Value, json};

/// 2026-07-01T00:00:00Z.
const DAY: u64 = 1_782_864_000_000;
const HOUR: u64 = 3_600_000;

fn account() -> AccountId {
    AccountId::default_account()
}

fn ask(objects: &mut Objects, query: &str, now: UnixMillis) -> Answer {
    let mut question =
        match Question::parse(&asked(&[account()], "/api/weir/v1/usage", query, "", now)).unwrap() {
            Ok(question) => question,
            Err(answer) => return answer,
        };
    loop {
        let asks = question.asks();
        if asks.is_empty() {
            return question.answer();
        }
        for ask in asks {
            let reply = objects.call(now, &ask.object, &ask.body);
            question.answered(ask.shard, CallOutcome::Answered(&reply));
        }
    }
}

fn body(answer: &Answer) -> Value {
    assert_eq!((answer.status, answer.headers[0].1.as_str()), (200, "application/json"), "{}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

fn some_records() -> Vec<UsageRecord> {
    vec![
        record(1, DAY + 10, 1, 10, 6),
        record(2, DAY + HOUR - 1, 2, 20, 9),
        record(3, DAY + HOUR, 1, 1, 1),
        record(4, DAY + HOUR + 60_000, 0, 100, 0),
        record(5, DAY + HOUR + 60_001, 1, 4, 0),
    ]
}

#[test]
fn the_answer_has_the_documented_shape() {
    let mut objects = Objects::default();
    objects.store(&account(), &some_records());
    let now = UnixMillis(DAY + 2 * HOUR);
    let answer = ask(&mut objects, "", now);
    assert_eq!(
        body(&answer),
        json!({
            "from": "2026-06-30T02:00:00Z", "to": "2026-07-01T02:00:00Z", "interval": "hour",
            "rows": [
                {"start": "2026-07-01T00:00:00Z", "requests": 2, "input_tokens": 30, "cached_input_tokens": 15,
                 "output_tokens": 15, "reasoning_tokens": 5, "total_tokens": 45, "cost": "0.000075",
                 "currency": "USD"},
                {"start": "2026-07-01T01:00:00Z", "requests": 3, "input_tokens": 105, "cached_input_tokens": 52,
                 "output_tokens": 1, "reasoning_tokens": 0, "total_tokens": 106, "cost": "0.0000125",
                 "currency": "USD"},
            ],
            "next_cursor": null,
        })
    );
    let answer = ask(&mut objects, "interval=day&group_by=deployment,principal", now);
    let rows = body(&answer)["rows"].as_array().unwrap().clone();
    let by: Vec<_> =
        rows.iter().map(|row| (&row["deployment"], &row["principal"], &row["requests"])).collect();
    assert_eq!(
        by,
        [
            (&json!("Demo-0"), &json!("p0"), &json!(1)),
            (&json!("Demo-1"), &json!("p1"), &json!(3)),
            (&json!("Demo-2"), &json!("p0"), &json!(1)),
        ]
    );
    assert_eq!((&rows[0]["cost"], &rows[0]["currency"]), (&Value::Null, &Value::Null));
    assert!(rows[0].get("model").is_none() && rows[0].get("key").is_none() && rows[0].get("meter").is_none());
}

#[test]
fn times_are_exact_to_the_minute_and_intervals_begin_where_they_begin() {
    let mut objects = Objects::default();
    objects.store(&account(), &some_records());
    let now = UnixMillis(DAY + 2 * HOUR);
    let rows: &[(&str, &[(&str, u64)])] = &[
        ("from=2026-07-01&interval=minute", &[("T00:00", 1), ("T00:59", 1), ("T01:00", 1), ("T01:01", 2)]),
        ("from=2026-07-01&to=2026-07-01T01:00:00Z", &[("T00:00", 2)]),
        ("from=2026-07-01T00:01:00Z&to=2026-07-01T01:01:00Z", &[("T00:00", 1), ("T01:00", 1)]),
        ("from=2026-07-01T00:00:30Z&to=2026-07-01T01:00:01Z", &[("T00:00", 2), ("T01:00", 1)]),
        ("from=2026-07-01T01:01:00Z&to=2026-07-01T01:30:00Z", &[("T01:00", 2)]),
        ("from=2026-07-01T01:00:00Z&to=2026-07-01T03:00:00Z&interval=day", &[("T00:00", 3)]),
        ("from=2026-07-01T00:30:00Z&interval=day", &[("T00:00", 4)]),
        ("from=2026-07-01T02:00:00%2B02:00&to=1782867600000", &[("T00:00", 2)]),
        ("from=2026-07-01T01:02:00Z", &[]),
        ("from=2027-07-01&to=2027-07-02", &[]),
    ];
    for (query, expected) in rows {
        let body = body(&ask(&mut objects, query, now));
        let found: Vec<_> = body["rows"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| {
                let start = row["start"].as_str().unwrap();
                (&start[10..16], row["requests"].as_u64().unwrap())
            })
            .collect();
        assert_eq!(found, *expected, "{query}");
    }
    // A month later the minutes are gone: whole hours, and the answer says so.
    let body = body(&ask(
        &mut objects,
        "from=2026-07-01T00:01:00Z&to=2026-07-01T00:58:00Z",
        UnixMillis(DAY + 720 * HOUR),
    ));
    assert_eq!(
        (&body["from"], &body["to"]),
        (&json!("2026-07-01T00:00:00Z"), &json!("2026-07-01T01:00:00Z"))
    );
    assert_eq!(body["rows"][0]["requests"], 2);
}

#[test]
fn by_meter_a_row_is_one_quantity() {
    let mut objects = Objects::default();
    objects.store(&account(), &some_records());
    let answer =
        ask(&mut objects, "interval=day&group_by=meter,deployment&limit=6", UnixMillis(DAY + 2 * HOUR));
    let body = body(&answer);
    assert_eq!(body["rows"].as_array().unwrap().len(), 6);
    assert_eq!(
        body["rows"][1],
        json!({"start": "2026-07-01T00:00:00Z", "deployment": "Demo-0", "meter": "input_tokens", "quantity": 100,
            "cost": null, "currency": null})
    );
    assert!(body["next_cursor"].is_string());
    let answer = ask(&mut objects, "interval=day&group_by=meter,deployment", UnixMillis(DAY + 2 * HOUR));
    let rows = serde_json::from_str::<Value>(&answer.body).unwrap()["rows"].as_array().unwrap().clone();
    let cost = |meter: &str| {
        let row = rows.iter().find(|row| row["deployment"] == "Demo-1" && row["meter"] == meter).unwrap();
        (row["cost"].as_str().map(ToString::to_string), row["currency"].clone())
    };
    assert_eq!(cost("input_tokens"), (Some("0.00003".to_string()), json!("USD")));
    assert_eq!(cost("output_tokens"), (Some("0.0000075".to_string()), json!("USD")));
    assert_eq!(cost("requests"), (None, Value::Null));
}

#[test]
fn csv_has_the_same_columns() {
    let mut objects = Objects::default();
    objects.store(&account(), &some_records());
    let now = UnixMillis(DAY + 2 * HOUR);
    let answer = ask(&mut objects, "interval=day&group_by=model,deployment&format=csv&limit=2", now);
    assert_eq!(
        answer.body,
        "start,deployment,model,requests,input_tokens,cached_input_tokens,output_tokens,reasoning_tokens,\
         total_tokens,cost,currency\r\n\
         2026-07-01T00:00:00Z,Demo-0,\"gpt, \"\"4o\"\"\",1,100,50,0,0,100,,\r\n\
         2026-07-01T00:00:00Z,Demo-1,\"gpt, \"\"4o\"\"\",3,15,7,7,2,22,0.0000375,USD\r\n"
    );
    assert_eq!(answer.headers[1].0, "x-weir-next-cursor");
    let query = format!("interval=day&group_by=model,deployment&format=csv&cursor={}", answer.headers[1].1);
    let answer = ask(&mut objects, &query, now);
    assert_eq!((answer.body.lines().count(), answer.headers.len()), (2, 1));
    let answer = ask(&mut objects, "group_by=meter&format=csv&interval=day", now);
    assert!(
        answer
            .body
            .starts_with("start,meter,quantity,cost,currency\r\n2026-07-01T00:00:00Z,requests,5,,\r\n")
    );
}

#[test]
fn currencies_are_never_added() {
    let mut objects = Objects::default();
    let mut records = some_records();
    records[4].currency = Some("EUR".to_string());
    objects.store(&account(), &records);
    let body = body(&ask(&mut objects, "interval=day", UnixMillis(DAY + 2 * HOUR)));
    let rows: Vec<_> = body["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (&row["currency"], &row["requests"], &row["cost"]))
        .collect();
    assert_eq!(
        rows,
        [
            (&Value::Null, &json!(1), &Value::Null),
            (&json!("EUR"), &json!(1), &json!("0.00001")),
            (&json!("USD"), &json!(3), &json!("0.0000775")),
        ]
    );
}

#[test]
fn every_fault_is_named_with_its_parameter() {
    let rows: &[(&str, &[(&str, &str)])] = &[
        ("from=yesterday", &[("from", "is neither an RFC 3339 time")]),
        ("from=2026-02-30&to=x", &[("to", "is neither"), ("from", "is not a day and time that exist")]),
        ("from=2026-07-02&to=2026-07-01", &[("from", "is not before to")]),
        ("from=5&to=5", &[("from", "is not before to")]),
        (
            "interval=week&format=xml",
            &[("interval", "is none of minute"), ("format", "is neither json nor csv")],
        ),
        ("group_by=color", &[("group_by", "has \"color\", which is none of deployment")]),
        ("group_by=key,key", &[("group_by", "has key twice")]),
        ("group_by=meter,meter", &[("group_by", "has meter twice")]),
        ("group_by=,", &[("group_by", "has \"\"")]),
        ("limit=0", &[("limit", "is not a whole number from 1 to 10000")]),
        ("limit=10001", &[("limit", "is not a whole number")]),
        ("limit=-1", &[("limit", "is not a whole number")]),
        ("cursor=!", &[("cursor", "is not a cursor")]),
        ("cursor=e30", &[("cursor", "is not a cursor")]),
        ("cursor=WzAsW11d&group_by=key", &[("cursor", "is of a list with another group_by")]),
        ("interval=hour&interval=day", &[("interval", "is given twice")]),
        ("form=1", &[("form", "is not a parameter here; there are from, to")]),
        ("from=%zz", &[("query", "has a malformed percent escape")]),
        ("from=%ff", &[("query", "has a malformed percent escape")]),
        ("from=%f", &[("query", "has a malformed percent escape")]),
    ];
    for (query, faults) in rows {
        let answer = ask(&mut Objects::default(), query, UnixMillis(DAY));
        assert_eq!(answer.status, 400, "{query}");
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(body["error"]["code"], "invalid_request");
        let details = body["error"]["details"].as_array().unwrap();
        assert_eq!(details.len(), faults.len(), "{query}: {details:?}");
        for (detail, (path, problem)) in details.iter().zip(*faults) {
            assert_eq!(detail["path"], *path, "{query}");
            assert!(detail["problem"].as_str().unwrap().starts_with(problem), "{query}: {detail}");
        }
    }
    for fine in ["", "from=&to=&group_by=", "&&", "group_by=key%2Cmodel", "from=2026-06-30T02:00:00+02:00"] {
        assert_eq!(ask(&mut Objects::default(), fine, UnixMillis(DAY)).status, 200, "{fine}");
    }
}

#[test]
fn a_part_of_a_sum_is_never_shown_as_the_whole() {
    for outcome in
        [CallOutcome::Lost, CallOutcome::Answered(b""), CallOutcome::Answered(br#"{"refused":"x"}"#)]
    {
        let mut question = UsageQuery::parse(&account(), "", UnixMillis(DAY + 5)).unwrap();
        let asks = question.asks();
        assert_eq!(
            asks.iter().map(|ask| ask.object.as_str()).collect::<Vec<_>>(),
            ["default/0", "default/1", "default/2", "default/3"]
        );
        for ask in &asks {
            let empty = CallOutcome::Answered(br#"{"groups":[],"next":null}"#);
            question.answered(ask.shard, if ask.shard == 2 { outcome } else { empty });
        }
        assert!(question.asks().is_empty());
        let answer = question.answer();
        assert_eq!(answer.status, 503);
        assert!(answer.headers.contains(&("retry-after", "2".to_string())));
    }
}

#[test]
fn a_shard_with_more_rows_than_one_message_reads_is_asked_again() {
    let mut objects = Objects::default();
    let records: Vec<_> = (0..45_000u64)
        .map(|n| UsageRecord { key: format!("k{n}"), ..record(u128::from(n), DAY + n, 1, 1, 1) })
        .collect();
    objects.store(&account(), &records);
    let now = UnixMillis(DAY + 2 * HOUR);
    let body = body(&ask(&mut objects, "interval=day", now));
    assert_eq!(body["rows"][0]["requests"], 45_000);
    assert_eq!(body["rows"].as_array().unwrap().len(), 1);
}

fn any_records() -> impl Strategy<Value = Vec<UsageRecord>> {
    let one = (0..3 * HOUR, 0..4u64, 0..50u64, 0..50u64);
    proptest::collection::vec(one, 0..60).prop_map(|rows| {
        let rows = rows.into_iter().zip(0u128..);
        rows.map(|((at, who, input, output), id)| record(id, DAY - HOUR + at, who, input, output)).collect()
    })
}

proptest! {
    #[test]
    fn pages_of_any_size_together_are_the_sums_of_the_records(records in any_records(), limit in 1..7u32, unit in 0..3usize) {
        let (interval, unit) = [("minute", 60_000), ("hour", HOUR), ("day", 24 * HOUR)][unit];
        let mut objects = Objects::default();
        objects.store(&account(), &records);
        let mut expected: SortedMap<(u64, &str, &str), (u64, u64)> = SortedMap::new();
        for record in &records {
            let sum = expected.entry((record.at.0 / unit * unit, &record.deployment, &record.principal)).or_default();
            *sum = (sum.0 + 1, sum.1 + record.usage.total());
        }
        let expected: Vec<_> = expected
            .into_iter()
            .map(|((start, deployment, principal), (requests, total))| {
                json!([calendar::format_rfc3339(UnixMillis(start)), deployment, principal, requests, total])
            })
            .collect();
        let (mut found, mut cursor) = (vec![], String::new());
        loop {
            let query = format!("interval={interval}&group_by=principal,deployment&limit={limit}&cursor={cursor}");
            let body = body(&ask(&mut objects, &query, UnixMillis(DAY + 2 * HOUR)));
            let rows = body["rows"].as_array().unwrap();
            prop_assert!(rows.len() <= usize::try_from(limit).unwrap());
            for row in rows {
                let row = ["start", "deployment", "principal", "requests", "total_tokens"].map(|member| row[member].clone());
                found.push(Value::from(row.to_vec()));
            }
            match body["next_cursor"].as_str() {
                Some(next) => cursor = next.to_string(),
                None => break,
            }
            prop_assert!(!rows.is_empty());
        }
        prop_assert_eq!(found, expected);
    }
}
