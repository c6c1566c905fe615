//! Inference tables in a bucket (`databricks.md`, 7.5): which objects are written, under which keys.
//!
//! An installation that has a bucket gets each batch's logged exchanges as objects of JSON lines, one for each table and
//! day: `{account}/{catalog}/{schema}/{table}/request_date={day}/{isolate}-{number}.jsonl`. The day is a partition in the
//! manner of Hive, as engines read it; isolate and number name the batch, so a batch that is sent again is the same
//! object.
//!
//! **What survives.** That an object is to be written is a row, stored in the transaction that stores the batch
//! ([`note`]); it goes when the object is there ([`Outgoing::done`]). The lines are made of the rows that the ledger keeps
//! anyway. Usage never waits for a bucket: one that fails is tried again every [`RETRY`], by an alarm as well. Decides
//! all of that; the driver only reads rows and puts objects.

use super::message::LoggedBodies;
use super::store::{LAST_KEY, one, put, read_row};
use super::tables::inference_line;
use super::{PAYLOADS_MAX, TABLE_OUTGOING, TABLE_PAYLOAD, TABLE_REQUEST_BODY, TABLE_RESPONSE_BODY, stamp};
use crate::account::record::UsageRecord;
use crate::ledger::calendar::format_rfc3339;
use crate::object::{Read, Row, Write};
use crate::sorted::SortedMap;
use crate::time::{Millis, UnixMillis};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// When an object that could not be put is tried again.
pub const RETRY: Millis = Millis::from_secs(30);
/// How many objects wait at most: no more exchanges are kept that they could hold.
const WAITING_MAX: u64 = PAYLOADS_MAX;

/// The keys of exchanges by the prefix of their objects: table and day.
pub(super) type Grouped = SortedMap<String, Vec<String>>;

/// An object that waits to be put, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Waiting {
    object: String,
    exchanges: Vec<String>,
}

/// An object that is to be put into the bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    row: String,
    waiting: Waiting,
}

/// The prefix of the object that a logged exchange belongs into. An isolate of an older version names no table: the
/// deployment's name is one then.
pub(super) fn prefix(payload: &LoggedBodies, record: &UsageRecord) -> String {
    let time = format_rfc3339(record.at);
    let day = time.get(..10).unwrap_or_default();
    let unnamed = || format!("unnamed/{}", record.deployment);
    format!("{}/request_date={day}", payload.table.clone().unwrap_or_else(unnamed))
}

/// The read that [`note`] needs.
pub(super) fn reads() -> Read {
    let limit = u32::try_from(WAITING_MAX).unwrap_or(u32::MAX);
    Read { table: TABLE_OUTGOING, from: String::new(), to: LAST_KEY.to_owned(), limit, descending: false }
}

/// Notes that the batch `number` of `isolate` is to be put; the oldest that waits makes room.
pub(super) fn note(
    now: UnixMillis,
    isolate: &str,
    number: u64,
    groups: &Grouped,
    waiting: &[Row],
    writes: &mut Vec<Write>,
) {
    let waits = u64::try_from(waiting.len().saturating_add(groups.len())).unwrap_or(u64::MAX);
    let above = waits.saturating_sub(WAITING_MAX);
    if above > 0 {
        let limit = u32::try_from(above).unwrap_or(u32::MAX);
        writes.push(Write::DeleteFirst { table: TABLE_OUTGOING, before: LAST_KEY.to_owned(), limit });
    }
    for (at, (prefix, exchanges)) in groups.iter().enumerate() {
        let object = format!("{prefix}/{isolate}-{number}.jsonl");
        let waiting = Waiting { object, exchanges: exchanges.clone() };
        writes.push(put(TABLE_OUTGOING, &format!("{}-{isolate}-{number}-{at:03}", stamp(now)), &waiting));
    }
}

/// Whether `writes` make an object wait.
pub fn is_noted(writes: &[Write]) -> bool {
    writes.iter().any(|write| matches!(write, Write::Put { table, .. } if *table == TABLE_OUTGOING))
}

/// The read whose row is the oldest object that waits, if one does.
pub fn oldest() -> Read {
    Read { limit: 1, ..reads() }
}

impl Outgoing {
    /// Reads a row of [`oldest`]. One that cannot be read names an object without exchanges, so that it goes.
    pub fn of(row: &Row) -> Self {
        let nothing = || Waiting { object: String::new(), exchanges: Vec::new() };
        Self { row: row.key.clone(), waiting: read_row(row).unwrap_or_else(nothing) }
    }

    /// Its key in the bucket.
    pub fn key(&self) -> &str {
        &self.waiting.object
    }

    /// The rows that [`body`](Self::body) must be given.
    pub fn reads(&self) -> Vec<Read> {
        let tables = [TABLE_PAYLOAD, TABLE_REQUEST_BODY, TABLE_RESPONSE_BODY];
        self.waiting.exchanges.iter().flat_map(|key| tables.map(|table| one(table, key))).collect()
    }

    /// Its content: a line of JSON for each exchange, with the columns of an inference table. None if the ledger keeps
    /// none of them any more.
    pub fn body(&self, rows: &[Vec<Row>]) -> Option<String> {
        let mut text = String::new();
        for rows in rows.chunks(3) {
            let value = |at: usize| Some(&rows.get(at)?.first()?.value);
            let Some(record) = value(0).and_then(|text| crate::json::read::<UsageRecord>(text).ok()) else {
                continue;
            };
            let body = |at: usize| value(at).cloned().filter(|body| !body.is_empty());
            text.push_str(&inference_line(&record, Some(&[body(1), body(2)])));
        }
        Some(text).filter(|text| !text.is_empty())
    }

    /// The change after which it waits no more.
    pub fn done(&self) -> Write {
        Write::Delete { table: TABLE_OUTGOING, key: self.row.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::record::UsageRecord;
    use crate::ledger::testing::{Objects, record};
    use alloc::string::ToString;
    use alloc::vec;

    const NOW: u64 = 1_782_864_000_000;
    const DAY: u64 = 86_400_000;
    const LEDGER: &str = "default/0";

    fn item(record: &UsageRecord, table: Option<&str>, request: Option<&str>) -> String {
        let record = serde_json::to_string(record).unwrap();
        let text = |text: Option<&str>| serde_json::to_string(&text).unwrap();
        let table = table.map_or(String::new(), |table| format!(r#""table":"{table}","#));
        format!(r#"{{"payload":{{"record":{record},{table}"request":{},"response":"a"}}}}"#, text(request))
    }

    fn batch(seq: u64, items: &[String]) -> String {
        format!(
            r#"{{"batch":{{"isolate":"00000000000000ab","seq":{seq},"floor":1,"records":[{}]}}}}"#,
            items.join(",")
        )
    }

    /// Keys and bodies of what waits, oldest first.
    fn waiting(objects: &Objects) -> Vec<(String, Option<String>)> {
        let rows = objects.rows(LEDGER, TABLE_OUTGOING);
        let made = |(key, value): (&String, &String)| {
            let object = Outgoing::of(&Row { key: key.clone(), value: value.clone() });
            let one = |read: &Read| {
                let rows = objects.rows(LEDGER, read.table);
                let range = rows.range(read.from.clone()..read.to.clone());
                range.map(|(key, value)| Row { key: key.clone(), value: value.clone() }).collect::<Vec<_>>()
            };
            let rows: Vec<Vec<Row>> = object.reads().iter().map(one).collect();
            (object.key().to_owned(), object.body(&rows))
        };
        rows.iter().map(made).collect()
    }

    #[test]
    fn a_batch_is_an_object_for_each_table_and_day_and_the_same_when_it_comes_again() {
        let mut objects = Objects(SortedMap::new(), true);
        let items = [
            item(&record(1, NOW, 1, 1, 1), Some("a/c/s/t_payload"), Some("one")),
            item(&record(2, NOW + 5, 1, 1, 1), Some("a/c/s/t_payload"), None),
            item(&record(3, NOW + DAY, 1, 1, 1), Some("a/c/s/t_payload"), Some("three")),
            item(&record(4, NOW, 2, 1, 1), None, Some("four")),
        ];
        for _ in 0..2 {
            objects.call(UnixMillis(NOW), LEDGER, batch(7, &items).as_bytes());
        }
        let got = waiting(&objects);
        let keys: Vec<&str> = got.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "a/c/s/t_payload/request_date=2026-07-01/00000000000000ab-7.jsonl",
                "a/c/s/t_payload/request_date=2026-07-02/00000000000000ab-7.jsonl",
                "unnamed/Demo-2/request_date=2026-07-01/00000000000000ab-7.jsonl",
            ]
        );
        let lines = |at: usize| -> Vec<serde_json::Value> {
            let body = got[at].1.clone().unwrap();
            body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        let requests: Vec<_> = lines(0).iter().map(|line| line["request"].clone()).collect();
        assert_eq!(requests, vec![serde_json::json!("one"), serde_json::Value::Null]);
        assert_eq!((lines(1)[0]["request"].as_str(), lines(2).len()), (Some("three"), 1));
    }

    #[test]
    fn what_no_bucket_takes_waits_within_bounds_and_usage_does_not_wait_for_it() {
        let mut objects = Objects(SortedMap::new(), true);
        for seq in 1..=WAITING_MAX + 20 {
            let items = [item(&record(u128::from(seq), NOW + seq, 1, 1, 1), Some("t"), Some("x"))];
            let reply = objects.call(UnixMillis(NOW + seq), LEDGER, batch(seq, &items).as_bytes());
            assert!(String::from_utf8(reply).unwrap().contains(&format!(r#""ack":{seq}"#)));
        }
        let got = waiting(&objects);
        assert_eq!(got.len() as u64, WAITING_MAX);
        assert!(got.iter().all(|(_, body)| body.is_some()), "their exchanges are kept");
        assert!(got[0].0.ends_with("-21.jsonl"), "the oldest made room: {}", got[0].0);
    }

    #[test]
    fn without_a_bucket_nothing_waits() {
        let mut objects = Objects::default();
        let items = [item(&record(1, NOW, 1, 1, 1), Some("t"), Some("x"))];
        objects.call(UnixMillis(NOW), LEDGER, batch(1, &items).as_bytes());
        assert!(waiting(&objects).is_empty() && objects.rows(LEDGER, TABLE_PAYLOAD).len() == 1);
        let broken = Outgoing::of(&Row { key: "k".to_string(), value: "?".to_string() });
        assert_eq!((broken.body(&[]), broken.reads().len()), (None, 0), "it goes without an object");
    }
}
