//! Tests of `GET /metrics` over all ledger objects of some accounts.

use super::*;
use crate::account::batch::UsageBatches;
use crate::id::IsolateId;
use crate::ledger::question::Question;
use crate::ledger::testing::{Objects, asked, record};
use crate::time::UnixMillis;
use alloc::vec;

const NOW: UnixMillis = UnixMillis(1_782_864_000_000);

fn account(name: &str) -> AccountId {
    AccountId::parse(name).unwrap()
}

fn scrape(objects: &mut Objects, accounts: &[AccountId], lose: bool) -> Answer {
    let mut question = Question::parse(&asked(accounts, "/metrics", "", "", NOW)).unwrap().unwrap();
    loop {
        let asks = question.asks();
        if asks.is_empty() {
            return question.answer();
        }
        for (at, ask) in asks.iter().enumerate() {
            let reply = objects.call(NOW, &ask.object, &ask.body);
            let silent = lose && at == 1;
            question
                .answered(ask.shard, if silent { CallOutcome::Lost } else { CallOutcome::Answered(&reply) });
        }
    }
}

/// The value of the one line that begins so.
fn value<'a>(text: &'a str, start: &str) -> &'a str {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(start));
    let value = lines.next().unwrap_or_else(|| panic!("no line begins with {start}:\n{text}"));
    assert_eq!(lines.next(), None, "{start}");
    value.trim()
}

fn world() -> Objects {
    let mut objects = Objects::default();
    objects.store(
        &account("aa"),
        &[record(1, NOW.0, 1, 10, 6), record(2, NOW.0, 1, 300, 7), record(3, NOW.0, 2, 5, 0)],
    );
    objects.store(&account("bb"), &[record(4, NOW.0, 1, 1, 1)]);
    let mut batches = UsageBatches::new(IsolateId(77));
    for (deployment, word) in
        [("Demo-1", "limit_exceeded"), ("Demo-1", "limit_exceeded"), ("o\"d\\d", "upstream_timeout")]
    {
        batches.failed(NOW, &account("aa"), deployment, word);
    }
    let due = batches.due(NOW).unwrap();
    let message = batches.poll_message(due).unwrap();
    // Twice on its way, counted once.
    for _ in 0..2 {
        let reply = objects.call(due, &message.object, &message.body);
        batches.answered(due, message.token, CallOutcome::Answered(&reply));
    }
    assert_eq!((batches.due(NOW), batches.held(), batches.lost()), (None, 0, 0));
    objects
}

#[test]
fn every_deployment_of_every_account_is_shown_once() {
    let answer = scrape(&mut world(), &[account("aa"), account("bb"), account("empty")], false);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(
        answer.headers,
        vec![("content-type", String::from("text/plain; version=0.0.4; charset=utf-8"))]
    );
    let text = answer.body.as_str();
    let of = |account: &str, deployment: &str| {
        let start = format!("weir_requests_total{{account=\"{account}\",deployment=\"{deployment}\"");
        text.lines().find(|line| line.starts_with(&start)).and_then(|line| line.rsplit(' ').next())
    };
    assert_eq!(
        (of("aa", "Demo-1"), of("aa", "Demo-2"), of("bb", "Demo-1")),
        (Some("2"), Some("1"), Some("1"))
    );
    assert_eq!(
        value(
            text,
            r#"weir_request_failures_total{account="aa",deployment="Demo-1",error_type="limit_exceeded"}"#
        ),
        "2"
    );
    let odd =
        r#"weir_request_failures_total{account="aa",deployment="o\"d\\d",error_type="upstream_timeout"}"#;
    assert_eq!(value(text, odd), "1");
    let sums: Vec<&str> = text
        .lines()
        .filter(|line| {
            line.starts_with("gen_ai_client_token_usage_sum")
                && line.contains("account=\"aa\",deployment=\"Demo-1\"")
        })
        .filter_map(|line| line.rsplit(' ').next())
        .collect();
    assert_eq!(sums, ["310", "13"], "input and output apart");
    assert_eq!(value(text, "weir_metrics_accounts_left_out "), "0");
}

#[test]
fn the_text_is_what_prometheus_reads() {
    let answer = scrape(&mut world(), &[account("aa")], false);
    let mut families: Vec<&str> = Vec::new();
    for line in answer.body.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(!families.contains(&name), "{name} is there twice");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            families.push(name);
        } else if !line.starts_with("# HELP ") {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok_and(f64::is_finite), "{line}");
            let family = name.split('{').next().unwrap();
            let base = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| family.strip_suffix(end))
                .unwrap_or(family);
            assert!(families.last() == Some(&family) || families.last() == Some(&base), "{line}");
        }
    }
    // Buckets grow up to the count.
    let counts: Vec<u64> = answer
        .body
        .lines()
        .filter(|line| {
            line.starts_with("gen_ai_server_request_duration_seconds_bucket") && line.contains("Demo-1")
        })
        .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!((counts.len(), counts.last()), (DURATIONS.len() + 1, Some(&2)));
    assert!(counts.is_sorted());
}

#[test]
fn a_counter_never_goes_backwards_because_an_object_is_silent() {
    assert_eq!(scrape(&mut world(), &[account("aa")], true).status, 503);
    let many: Vec<AccountId> = (0..70).map(|at| account(&format!("a{at}"))).collect();
    let answer = scrape(&mut world(), &many, false);
    assert_eq!(value(&answer.body, "weir_metrics_accounts_left_out "), "6");
}
