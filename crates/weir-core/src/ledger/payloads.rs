//! Storing the bodies of logged exchanges (`databricks.md`, 7.5).
//!
//! Decides what is stored and how much is kept: the newest [`PAYLOADS_MAX`] of an object, for [`RECORDS_KEPT`]. A batch
//! without bodies reads and writes nothing here.

use super::message::{LoggedItem, record_key};
use super::outgoing;
use super::store::{AGED, LAST_KEY, one, put, read_row};
use super::{
    PAYLOADS_MAX, RECORDS_KEPT, TABLE_META, TABLE_PAYLOAD, TABLE_REQUEST_BODY, TABLE_RESPONSE_BODY, stamp,
};
use crate::account::record::UsageRecord;
use crate::object::{Read, Row, Write};
use crate::sorted::SortedMap;
use crate::time::UnixMillis;
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

/// The key of the number of logged exchanges in [`TABLE_META`].
const COUNT: &str = "payloads";
const ALL: [&str; 3] = [TABLE_PAYLOAD, TABLE_REQUEST_BODY, TABLE_RESPONSE_BODY];

/// The logged exchanges of one batch.
#[derive(Debug)]
pub(super) struct Payloads {
    /// Record, request and response by key.
    rows: SortedMap<String, [Option<String>; 3]>,
    /// The objects that they go into, where there is a bucket.
    objects: Option<outgoing::Grouped>,
}

impl Payloads {
    /// None yet. `bucket`: they go into one as well.
    pub(super) fn new(bucket: bool) -> Self {
        Self { rows: SortedMap::new(), objects: bucket.then(SortedMap::new) }
    }

    /// Reads an item; whether it could be.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let Ok(LoggedItem { payload }) = crate::json::read::<LoggedItem>(text) else { return false };
        let Ok(record) = crate::json::read::<UsageRecord>(payload.record.get()) else { return false };
        let key = record_key(record.at, record.id);
        if let Some(objects) = &mut self.objects {
            objects.entry(outgoing::prefix(&payload, &record)).or_default().push(key.clone());
        }
        let row = [Some(payload.record.get().to_owned()), payload.request, payload.response];
        self.rows.insert(key, row);
        true
    }

    /// How many there are, and some that are too old; nothing, if nothing comes.
    pub(super) fn reads(&self, now: UnixMillis) -> Vec<Read> {
        if self.rows.is_empty() {
            return Vec::new();
        }
        let to = stamp(now.minus(RECORDS_KEPT));
        let aged = Read { table: TABLE_PAYLOAD, from: String::new(), to, limit: AGED, descending: false };
        let waiting = self.objects.is_some().then(outgoing::reads);
        [one(TABLE_META, COUNT), aged].into_iter().chain(waiting).collect()
    }

    /// Notes the objects that they go into.
    pub(super) fn send<'r>(
        &self,
        now: UnixMillis,
        (isolate, number): (&str, u64),
        writes: &mut Vec<Write>,
        mut next: impl FnMut() -> &'r [Row],
    ) {
        if let Some(objects) = self.objects.as_ref().filter(|objects| !objects.is_empty()) {
            outgoing::note(now, isolate, number, objects, next(), writes);
        }
    }

    /// Stores them, and deletes what is too old or too many.
    pub(super) fn store<'r>(&self, writes: &mut Vec<Write>, mut next: impl FnMut() -> &'r [Row]) {
        if self.rows.is_empty() {
            return;
        }
        let stored: u64 = next().first().and_then(read_row).unwrap_or(0);
        let aged = u64::try_from(next().len()).unwrap_or(0);
        let coming = u64::try_from(self.rows.len()).unwrap_or(u64::MAX);
        let above = stored.saturating_add(coming).saturating_sub(PAYLOADS_MAX).min(stored);
        let going = above.max(aged);
        for table in ALL.into_iter().filter(|_| going > 0) {
            let limit = u32::try_from(going).unwrap_or(u32::MAX);
            writes.push(Write::DeleteFirst { table, before: LAST_KEY.to_owned(), limit });
        }
        for (key, row) in &self.rows {
            for (table, value) in ALL.into_iter().zip(row) {
                // Every table has every key, so that the first of each are of the same exchanges.
                let value = value.clone().unwrap_or_default();
                writes.push(Write::Put { table, key: key.clone(), value });
            }
        }
        writes.push(put(TABLE_META, COUNT, &stored.saturating_add(coming).saturating_sub(going)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::batch::UsageBatches;
    use crate::id::{AccountId, IsolateId};
    use crate::ledger::testing::{Objects, record};
    use crate::object::CallOutcome;
    use alloc::format;

    #[test]
    fn an_object_keeps_the_newest_and_forgets_the_old() {
        let account = AccountId::default_account();
        let (mut objects, mut batches) = (Objects::default(), UsageBatches::new(IsolateId(0)));
        let mut store = |first: u64, many: u64, at: u64| {
            for id in first..first + many {
                let record = serde_json::to_string(&record(u128::from(id), at + id, 1, 1, 1)).unwrap();
                let item =
                    format!(r#"{{"payload":{{"record":{record},"request":"q{id}","response":null}}}}"#);
                batches.push_text(UnixMillis(at), &account, item.as_bytes());
            }
            while let Some(due) = batches.due(UnixMillis(at)) {
                let message = batches.poll_message(due).unwrap();
                let reply = objects.call(due, &message.object, &message.body);
                batches.answered(due, message.token, CallOutcome::Answered(&reply));
            }
            let rows = |table| objects.rows("default/0", table);
            let [records, requests, responses] = ALL.map(rows);
            assert_eq!(batches.lost(), 0);
            assert!(records.keys().eq(requests.keys()) && records.keys().eq(responses.keys()));
            assert!(responses.values().all(String::is_empty));
            let count: u64 = rows(TABLE_META)[COUNT].parse().unwrap();
            assert_eq!(count, records.len() as u64);
            (records.len() as u64, requests.values().next().unwrap().clone())
        };
        let now = 1_782_864_000_000;
        assert_eq!(store(0, 700, now), (700, "q0".to_owned()));
        assert_eq!(store(700, 500, now), (PAYLOADS_MAX, "q200".to_owned()));
        let later = now + RECORDS_KEPT.0 + 10_000;
        let (left, oldest) = store(2_000, 3, later);
        assert!((left, oldest.as_str()) == (PAYLOADS_MAX - u64::from(AGED) + 3, "q208"), "{left} {oldest}");
    }
}
