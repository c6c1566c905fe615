//! Taking in a batch of records, exactly once.
//!
//! Decides whether a batch is new, what is stored for it, and what old rows go (`design.md` section 6,
//! promise 2). A batch is known by its isolate and number: numbers that are stored are remembered until the
//! isolate says that it will not send them again (`floor`). So a batch that comes again, late or out of order,
//! changes nothing.

use super::message::{Batch, Interval, Unanswered, record_key};
use super::payloads::Payloads;
use super::sums::{self, Rollup};
use super::totals::{self, Totals};
use super::{
    HOURS_KEPT, ISOLATES_KEPT, MINUTES_KEPT, RECORDS_KEPT, RECORDS_MAX, TABLE_BATCH, TABLE_HOUR, TABLE_META,
    TABLE_MINUTE, TABLE_RECORD, TABLE_TOTAL, message, stamp,
};
use crate::account::batch::BatchAnswer;
use crate::account::record::UsageRecord;
use crate::object::{Handled, Read, Row, Write};
use crate::sorted::SortedMap;
use crate::time::{Millis, UnixMillis};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// The key of the number of records in [`TABLE_META`].
const RECORD_COUNT: &str = "records";
/// Above every key of every table: keys begin with a digit or a letter.
pub(super) const LAST_KEY: &str = "~";
/// How many old sums go beyond as many as come.
const PRUNED_MORE: u32 = 16;
/// How many of the oldest records are looked at for their age.
pub(super) const AGED: u32 = 8;
/// How many other isolates' rows are looked at to find those not heard of.
const NEIGHBOURS: u32 = 4;

/// A batch that was read.
#[derive(Debug)]
pub(super) struct Intake {
    now: UnixMillis,
    isolate: String,
    seq: u64,
    floor: u64,
    /// Key and JSON of each record.
    records: SortedMap<String, String>,
    unreadable: u64,
    minutes: SortedMap<String, Rollup>,
    hours: SortedMap<String, Rollup>,
    totals: SortedMap<String, Totals>,
    payloads: Payloads,
}

/// What is stored about an isolate.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Known {
    /// Lower numbers come no more.
    floor: u64,
    /// Numbers that are stored, from `floor` on.
    seen: Vec<u64>,
    /// When it was last heard of.
    at: UnixMillis,
}

impl Intake {
    /// Reads a batch. A record that cannot be read is counted and left out.
    pub(super) fn new(now: UnixMillis, batch: &Batch<'_>, bucket: bool) -> Result<Self, &'static str> {
        let hex = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
        if batch.isolate.len() != 16 || !batch.isolate.bytes().all(hex) {
            return Err("an isolate is 16 lower-case hex digits");
        }
        let mut intake = Self {
            now,
            isolate: batch.isolate.clone(),
            seq: batch.seq,
            floor: batch.floor.min(batch.seq),
            records: SortedMap::new(),
            unreadable: 0,
            minutes: SortedMap::new(),
            hours: SortedMap::new(),
            totals: SortedMap::new(),
            payloads: Payloads::new(bucket),
        };
        for raw in &batch.records {
            if raw.get().starts_with("{\"failed\"") {
                intake.count_failed(raw.get());
                continue;
            }
            if raw.get().starts_with("{\"payload\"") {
                let lost = u64::from(!intake.payloads.take(raw.get()));
                intake.unreadable = intake.unreadable.saturating_add(lost);
                continue;
            }
            let Ok(record) = crate::json::read::<UsageRecord>(raw.get()) else {
                intake.unreadable = intake.unreadable.saturating_add(1);
                continue;
            };
            let failed = record.tracked.as_ref().is_some_and(|tracked| tracked.failure.is_some());
            if failed {
                intake.records.insert(record_key(record.at, record.id), raw.get().to_owned());
                continue;
            }
            intake.minutes.entry(sums::key(Interval::Minute, &record)).or_default().add_record(&record);
            intake.hours.entry(sums::key(Interval::Hour, &record)).or_default().add_record(&record);
            let of = totals::key(&record.deployment, &record.model);
            intake.totals.entry(of).or_default().add_record(&record);
            intake.records.insert(record_key(record.at, record.id), raw.get().to_owned());
        }
        Ok(intake)
    }

    fn count_failed(&mut self, text: &str) {
        let Ok(Unanswered { failed, calls, mut harms }) = crate::json::read::<Unanswered>(text) else {
            return;
        };
        for (model, calls) in &calls {
            let Some([deployment, name]) = totals::parse_key(model) else { continue };
            let harms = harms.remove(model).unwrap_or_default();
            // When each was is not told; counts travel within a second.
            let key = |interval| sums::key_of(interval, self.now, [&deployment, &name, "", ""]);
            self.minutes.entry(key(Interval::Minute)).or_default().add_failed(calls, &harms);
            self.hours.entry(key(Interval::Hour)).or_default().add_failed(calls, &harms);
        }
        for (deployment, words) in failed {
            let totals = self.totals.entry(totals::key(&deployment, "")).or_default();
            for (word, many) in words {
                totals.add_failed(&word, many);
            }
        }
    }

    /// The isolate's row with some after it, how many records there are, the records that are too old, and the
    /// sums that grow.
    pub(super) fn reads(&self) -> Vec<Read> {
        let mut reads =
            Vec::with_capacity(3usize.saturating_add(self.minutes.len()).saturating_add(self.hours.len()));
        reads.push(Read {
            table: TABLE_BATCH,
            from: self.isolate.clone(),
            to: LAST_KEY.to_owned(),
            limit: NEIGHBOURS.saturating_add(1),
            descending: false,
        });
        reads.push(one(TABLE_META, RECORD_COUNT));
        reads.push(Read {
            table: TABLE_RECORD,
            from: String::new(),
            to: stamp(self.now.minus(RECORDS_KEPT)),
            limit: AGED,
            descending: false,
        });
        reads.extend(self.minutes.keys().map(|key| one(TABLE_MINUTE, key)));
        reads.extend(self.hours.keys().map(|key| one(TABLE_HOUR, key)));
        reads.extend(self.totals.keys().map(|key| one(TABLE_TOTAL, key)));
        reads.extend(self.payloads.reads(self.now));
        reads
    }

    /// Stores the batch if it is new, and acknowledges it.
    pub(super) fn handle(self, rows: &[Vec<Row>]) -> Handled {
        let answer = BatchAnswer { ack: Some(self.seq), unreadable: self.unreadable, refused: None };
        let reply = message::json(&answer);
        let mut rows = rows.iter().map(Vec::as_slice);
        let mut next = || rows.next().unwrap_or_default();
        let (isolates, count, aged) = (next(), next(), next());
        let mut known: Known =
            isolates.first().filter(|row| row.key == self.isolate).and_then(read_row).unwrap_or_default();
        if self.seq < known.floor || known.seen.contains(&self.seq) {
            return Handled { reply, writes: Vec::new() };
        }
        known.floor = known.floor.max(self.floor);
        known.seen.retain(|&seq| seq >= known.floor);
        known.seen.push(self.seq);
        known.at = known.at.max(self.now);

        let mut writes = self.forget_isolates(isolates);
        writes.push(put(TABLE_BATCH, &self.isolate, &known));
        writes.push(self.prune(TABLE_MINUTE, MINUTES_KEPT, self.minutes.len()));
        writes.push(self.prune(TABLE_HOUR, HOURS_KEPT, self.hours.len()));
        self.keep_records(&mut writes, count.first().and_then(read_row).unwrap_or(0), aged);
        for (table, sums) in [(TABLE_MINUTE, &self.minutes), (TABLE_HOUR, &self.hours)] {
            for (key, sum) in sums {
                let mut stored: Rollup = next().first().and_then(read_row).unwrap_or_default();
                stored.add(sum);
                writes.push(put(table, key, &stored));
            }
        }
        for (key, totals) in &self.totals {
            let mut stored: Totals = next().first().and_then(read_row).unwrap_or_default();
            stored.add(totals);
            writes.push(put(TABLE_TOTAL, key, &stored));
        }
        self.payloads.store(&mut writes, &mut next);
        self.payloads.send(self.now, (&self.isolate, self.seq), &mut writes, next);
        Handled { reply, writes }
    }

    /// Deletes what is known of isolates that were not heard of for [`ISOLATES_KEPT`]. Isolates' numbers are
    /// random, so that looking at a few neighbours with each batch comes to all of them in time.
    fn forget_isolates(&self, isolates: &[Row]) -> Vec<Write> {
        let oldest = self.now.minus(ISOLATES_KEPT);
        let old = |row: &&Row| {
            row.key != self.isolate && read_row::<Known>(row).is_none_or(|known| known.at < oldest)
        };
        isolates
            .iter()
            .filter(old)
            .map(|row| Write::Delete { table: TABLE_BATCH, key: row.key.clone() })
            .collect()
    }

    /// Deletes sums that are older than `age`: more than come, so that a backlog ends.
    fn prune(&self, table: &'static str, age: Millis, coming: usize) -> Write {
        let limit = u32::try_from(coming).unwrap_or(u32::MAX).saturating_add(PRUNED_MORE);
        Write::DeleteFirst { table, before: stamp(self.now.minus(age)), limit }
    }

    /// Stores the records, deletes the oldest above [`RECORDS_MAX`] and those of `aged`, which are older than
    /// [`RECORDS_KEPT`], and notes how many there are.
    fn keep_records(&self, writes: &mut Vec<Write>, stored: u64, aged: &[Row]) {
        let coming = u64::try_from(self.records.len()).unwrap_or(u64::MAX);
        let above = stored.saturating_add(coming).saturating_sub(RECORDS_MAX).min(stored);
        let going = above.max(u64::try_from(aged.len()).unwrap_or(0));
        if going > 0 {
            let limit = u32::try_from(going).unwrap_or(u32::MAX);
            writes.push(Write::DeleteFirst { table: TABLE_RECORD, before: LAST_KEY.to_owned(), limit });
        }
        for (key, value) in &self.records {
            writes.push(Write::Put { table: TABLE_RECORD, key: key.clone(), value: value.clone() });
        }
        let count = stored.saturating_add(coming).saturating_sub(going);
        writes.push(put(TABLE_META, RECORD_COUNT, &count));
    }
}

/// The one row with this key.
pub(super) fn one(table: &'static str, key: &str) -> Read {
    Read { table, from: key.to_string(), to: format!("{key}\0"), limit: 1, descending: false }
}

pub(super) fn read_row<T: for<'a> Deserialize<'a>>(row: &Row) -> Option<T> {
    crate::json::read(&row.value).ok()
}

pub(super) fn put<T: Serialize>(table: &'static str, key: &str, value: &T) -> Write {
    Write::Put { table, key: key.to_owned(), value: serde_json::to_string(value).unwrap_or_default() }
}
