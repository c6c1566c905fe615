//! One ledger object in memory, and records to put into it, for the tests of this module.

use super::question::Asked;
use super::{Plan, TABLES};
use crate::account::batch::{LedgerMessage, SHARDS, UsageBatches};
use crate::account::record::{Usage, UsageRecord};
use crate::id::{AccountId, IsolateId, RequestId};
use crate::object::{CallOutcome, Row};
use crate::sorted::SortedMap;
use crate::time::{Millis, UnixMillis};
use crate::units::Money;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// A question of some accounts.
pub(crate) fn asked<'a>(
    accounts: &'a [AccountId],
    path: &'a str,
    query: &'a str,
    body: &'a str,
    now: UnixMillis,
) -> Asked<'a> {
    Asked { accounts, base: "https://weir.test", path, query, body, now }
}

/// Every ledger object, by name; each a set of tables. The flag: they have a bucket.
#[derive(Default)]
pub(crate) struct Objects(
    pub(crate) SortedMap<String, SortedMap<&'static str, SortedMap<String, String>>>,
    pub(crate) bool,
);

impl Objects {
    /// Does what a driver does with one message.
    pub(crate) fn call(&mut self, now: UnixMillis, object: &str, body: &[u8]) -> Vec<u8> {
        let tables = self.0.entry(object.to_string()).or_default();
        let plan = Plan::new(now, body, self.1);
        let read = |read: &crate::object::Read| {
            assert!(TABLES.contains(&read.table));
            if read.from >= read.to {
                return Vec::new();
            }
            let Some(table) = tables.get(read.table) else { return Vec::new() };
            let rows = table
                .range(read.from.clone()..read.to.clone())
                .map(|(key, value)| Row { key: key.clone(), value: value.clone() });
            let limit = usize::try_from(read.limit).unwrap();
            if read.descending { rows.rev().take(limit).collect() } else { rows.take(limit).collect() }
        };
        let rows: Vec<Vec<Row>> = plan.reads().iter().map(read).collect();
        let handled = plan.handle(&rows);
        for write in handled.writes {
            write.apply(tables);
        }
        handled.reply
    }

    pub(crate) fn rows(&self, object: &str, table: &str) -> SortedMap<String, String> {
        self.0.get(object).and_then(|tables| tables.get(table)).cloned().unwrap_or_default()
    }

    /// Stores `records` as an isolate of each shard in turn would.
    pub(crate) fn store(&mut self, account: &AccountId, records: &[UsageRecord]) {
        for shard in 0..SHARDS {
            let mut batches = UsageBatches::new(IsolateId(shard));
            let at = |index: &usize| u64::try_from(*index).unwrap() % SHARDS == shard;
            for (_, record) in records.iter().enumerate().filter(|(index, _)| at(index)) {
                batches.push(record.at, account, record);
            }
            while let Some(due) = batches.due(UnixMillis(0)) {
                let LedgerMessage { token, object, body } = batches.poll_message(due).unwrap();
                let reply = self.call(due, &object, &body);
                batches.answered(due, token, CallOutcome::Answered(&reply));
            }
            assert_eq!((batches.held(), batches.lost()), (0, 0));
        }
    }
}

/// A record that began at `at`, of deployment `d{who}` and so on.
pub(crate) fn record(id: u128, at: u64, who: u64, input: u64, output: u64) -> UsageRecord {
    UsageRecord {
        id: RequestId(id),
        at: UnixMillis(at),
        deployment: alloc::format!("Demo-{who}"),
        model: "gpt, \"4o\"".to_string(),
        entity: "e".to_string(),
        principal: alloc::format!("p{}", who % 2),
        key: "k".to_string(),
        surface: "openai".to_string(),
        status: 200,
        streamed: false,
        complete: true,
        usage: Usage { input, cached_input: input / 2, output, reasoning: output / 3, estimated: false },
        cost: (who > 0).then_some(Money(input.saturating_mul(2_500_000))),
        input_cost: (who > 0).then_some(Money(input.saturating_mul(2_000_000))),
        currency: (who > 0).then(|| "USD".to_string()),
        latency: Millis(12),
        time_to_first_byte: Millis(3),
        attempts: 1,
        client_request_id: (who == 2).then(|| alloc::format!("c{id}")),
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
