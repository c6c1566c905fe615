//! Tests of the batches of one isolate.

use super::*;
use crate::account::record::{Tracked, Usage};
use crate::id::RequestId;
use alloc::string::ToString;
use alloc::vec;

const ISOLATE: IsolateId = IsolateId(7);
const WAIT_MAX_AT: UnixMillis = UnixMillis(WAIT_MAX.0);

fn account(name: &str) -> AccountId {
    AccountId::parse(name).unwrap()
}

fn record(id: u128) -> UsageRecord {
    UsageRecord {
        id: RequestId(id),
        at: UnixMillis(1_000),
        deployment: "demo-chat".to_string(),
        model: "m".to_string(),
        entity: "e".to_string(),
        principal: "p".to_string(),
        key: "k".to_string(),
        surface: "openai".to_string(),
        status: 200,
        streamed: false,
        complete: true,
        usage: Usage { input: 1, ..Usage::default() },
        cost: None,
        input_cost: None,
        currency: None,
        latency: Millis(1),
        time_to_first_byte: Millis(1),
        attempts: 1,
        client_request_id: None,
        usage_context: None,
        logged: None,
        explanation: None,
        tracked: None,
        judged: None,
        spilled: false,
        utilization: None,
        operation: String::new(),
        version: String::new(),
    }
}

fn ack(seq: u64) -> Vec<u8> {
    serde_json::to_vec(&BatchAnswer { ack: Some(seq), ..BatchAnswer::default() }).unwrap()
}

#[test]
fn a_batch_leaves_50_ms_after_its_first_record_and_is_kept_until_acknowledged() {
    let mut batches = UsageBatches::new(ISOLATE);
    let a = account("default");
    assert_eq!(batches.due(UnixMillis(0)), None);
    batches.push(UnixMillis(1_000), &a, &record(1));
    batches.push(UnixMillis(1_049), &a, &record(2));
    assert_eq!(batches.due(UnixMillis(0)), Some(UnixMillis(1_050)));
    assert_eq!(batches.poll_message(UnixMillis(1_049)), None);

    let first = batches.poll_message(UnixMillis(1_050)).unwrap();
    assert_eq!(first.object, "default/3");
    let text = core::str::from_utf8(&first.body).unwrap();
    assert!(
        text.starts_with(r#"{"batch":{"isolate":"0000000000000007","seq":1,"floor":1,"records":[{"id":1,"#)
    );
    assert_eq!(batches.poll_message(UnixMillis(1_050)), None);
    assert_eq!((batches.due(UnixMillis(0)), batches.held()), (Some(UnixMillis(3_050)), 2));

    let again = batches.poll_message(UnixMillis(3_050)).unwrap();
    assert_eq!((&again.body, &again.object), (&first.body, &first.object), "identical content");
    assert_ne!(again.token, first.token);

    // The first sending failing late changes nothing; its late answer is as good as any.
    batches.answered(UnixMillis(3_060), first.token, CallOutcome::Lost);
    assert_eq!(batches.due(UnixMillis(0)), Some(UnixMillis(7_050)));
    batches.answered(UnixMillis(3_070), first.token, CallOutcome::Answered(&ack(1)));
    assert_eq!((batches.due(UnixMillis(0)), batches.held(), batches.lost()), (None, 0, 0));
    batches.answered(UnixMillis(3_080), again.token, CallOutcome::Answered(&ack(1)));
    assert_eq!((batches.held(), batches.lost()), (0, 0));
}

#[test]
fn two_hundred_records_leave_at_once() {
    let mut batches = UsageBatches::new(ISOLATE);
    let a = account("default");
    for id in 0..199 {
        batches.push(UnixMillis(0), &a, &record(id));
    }
    assert_eq!(batches.poll_message(UnixMillis(0)), None);
    batches.push(UnixMillis(0), &a, &record(199));
    assert!(batches.poll_message(UnixMillis(0)).is_some());
}

#[test]
fn a_flood_of_failures_does_not_fill_a_batch() {
    let mut batches = UsageBatches::new(ISOLATE);
    let a = account("default");
    let failure = Tracked { failure: Some("rate_limited".to_string()), ..Tracked::default() };
    for id in 0..100 {
        batches.push_failure(
            UnixMillis(0),
            &a,
            &UsageRecord { tracked: Some(failure.clone()), ..record(id) },
        );
        batches.push_failure(UnixMillis(0), &a, &record(1_000 + id));
    }
    batches.push(UnixMillis(0), &a, &record(200));
    assert_eq!(batches.held(), FAILURES_MAX + 1, "untracked ones are no rows at all");
    assert!(batches.poll_message(WAIT_MAX_AT).is_some());
    batches.push_failure(WAIT_MAX_AT, &a, &UsageRecord { tracked: Some(failure), ..record(300) });
    assert_eq!(batches.held(), FAILURES_MAX + 2, "the next batch takes some again");
}

#[test]
fn a_failed_call_is_made_again_ever_more_slowly() {
    let mut batches = UsageBatches::new(ISOLATE);
    batches.push(UnixMillis(0), &account("default"), &record(1));
    let mut now = UnixMillis(50);
    let mut delays = vec![];
    for _ in 0..9 {
        let message = batches.poll_message(now).unwrap();
        batches.answered(now, message.token, CallOutcome::Lost);
        let due = batches.due(UnixMillis(0)).unwrap();
        delays.push(due.since(now).0);
        now = due;
    }
    assert_eq!(delays, [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 16_000, 16_000]);
}

#[test]
fn an_answer_that_is_no_acknowledgement_is_a_lost_one() {
    for answer in [&b""[..], b"[]", b"{}", b"{\"ack\":2}", b"null", b"\xff"] {
        let mut batches = UsageBatches::new(ISOLATE);
        batches.push(UnixMillis(0), &account("default"), &record(1));
        let message = batches.poll_message(UnixMillis(50)).unwrap();
        batches.answered(UnixMillis(60), message.token, CallOutcome::Answered(answer));
        assert_eq!((batches.held(), batches.due(UnixMillis(0))), (1, Some(UnixMillis(310))), "{answer:?}");
    }
}

#[test]
fn what_the_ledger_refuses_is_counted_and_not_sent_again() {
    for (answer, lost) in [(&br#"{"refused":"no"}"#[..], 2), (br#"{"ack":1,"unreadable":1}"#, 1)] {
        let mut batches = UsageBatches::new(ISOLATE);
        batches.push(UnixMillis(0), &account("default"), &record(1));
        batches.push(UnixMillis(0), &account("default"), &record(2));
        let message = batches.poll_message(UnixMillis(50)).unwrap();
        batches.answered(UnixMillis(60), message.token, CallOutcome::Answered(answer));
        assert_eq!((batches.held(), batches.lost(), batches.due(UnixMillis(0))), (0, lost, None));
    }
}

#[test]
fn while_the_ledger_is_away_few_calls_are_open_and_memory_is_bounded() {
    let mut batches = UsageBatches::new(ISOLATE);
    let (a, b) = (account("aa"), account("bb"));
    let mut open = 0u64;
    for id in 0..u128::from(HELD_RECORDS_MAX) + 500 {
        let now = UnixMillis(u64::try_from(id).unwrap() / 100);
        batches.push(now, if id % 10 == 0 { &a } else { &b }, &record(id));
        while batches.poll_message(now).is_some() {
            open += 1;
        }
    }
    // Four batches of each account, and one more for each that was given up.
    assert!(open <= 2 * 4 + 5, "{open} calls");
    assert!(batches.held() <= HELD_RECORDS_MAX && batches.held_bytes <= HELD_BYTES_MAX);
    assert!(batches.lost() >= 500 && batches.lost() <= 500 + BATCH_RECORDS_MAX, "{}", batches.lost());
    assert_eq!(batches.held() + batches.lost(), HELD_RECORDS_MAX + 500);
}

#[test]
fn many_accounts_with_one_record_each_are_bounded_too() {
    let mut batches = UsageBatches::new(ISOLATE);
    for id in 0..u128::from(HELD_RECORDS_MAX) + 10 {
        batches.push(UnixMillis(0), &account(&format!("a{id}")), &record(id));
    }
    assert_eq!((batches.held(), batches.lost()), (HELD_RECORDS_MAX, 10));
    while let Some(message) = batches.poll_message(UnixMillis(50)) {
        batches.answered(UnixMillis(50), message.token, CallOutcome::Answered(&ack(message.token >> 16)));
    }
    assert_eq!(
        (batches.held(), batches.due(UnixMillis(0)), batches.lanes.len(), batches.owners.len()),
        (0, None, 0, 0)
    );
    assert_eq!(batches.held_bytes, 0);
}
