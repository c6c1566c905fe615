//! Answering questions from the rows of one ledger object.
//!
//! Decides how much is read for one message and what of it is answered; not how the parts of several objects make
//! one answer ([`super::query`], [`super::requests`]).

use super::message::{
    BodiesAsk, BodiesPart, PartGroup, PartRecord, RequestsAsk, RequestsPart, Source, TotalsPart, UsageAsk,
    UsagePart, json,
};
use super::scrape::ROWS_MAX;
use super::store::one;
use super::sums::{self, Rollup};
use super::{
    TABLE_HOUR, TABLE_MINUTE, TABLE_PAYLOAD, TABLE_RECORD, TABLE_REQUEST_BODY, TABLE_RESPONSE_BODY,
    TABLE_TOTAL,
};
use crate::account::record::UsageRecord;
use crate::object::{Handled, Read, Row};
use crate::sorted::SortedMap;
use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde_json::value::RawValue;

/// Rows of sums that are read for one message (about 3 MB).
pub(super) const SUMS_MAX: u32 = 10_000;
/// Exchanges whose bodies are read for one message (at most 32 MiB).
pub(super) const BODIES_MAX: usize = 16;
/// Records that are looked at for one message when only some are wanted (about 3 MB).
pub(super) const RECORDS_SCANNED_MAX: u32 = 5_000;

/// The rows of sums from the asked key on.
pub(super) fn usage_reads(ask: &UsageAsk) -> Vec<Read> {
    let table = match ask.source {
        Source::Minute => TABLE_MINUTE,
        Source::Hour => TABLE_HOUR,
    };
    // One more, whose key is where the next message goes on.
    let limit = SUMS_MAX.saturating_add(1);
    alloc::vec![Read { table, from: ask.from.clone(), to: ask.to.clone(), limit, descending: false }]
}

/// Adds up the rows by interval and dimension.
pub(super) fn usage(ask: &UsageAsk, rows: &[Vec<Row>]) -> Handled {
    let rows = rows.first().map_or(&[][..], Vec::as_slice);
    let max = usize::try_from(SUMS_MAX).unwrap_or(usize::MAX);
    let mut groups: SortedMap<(_, Vec<String>), Rollup> = SortedMap::new();
    for row in rows.iter().take(max) {
        let Some((start, mut by)) = sums::parse_key(&row.key) else { continue };
        let Ok(sums) = crate::json::read::<Rollup>(&row.value) else { continue };
        let Some(sums) = (if ask.calls { Some(sums) } else { sums.used() }) else { continue };
        let by = ask.group_by.iter().filter_map(|dimension| by.remove(dimension)).collect();
        groups.entry((ask.interval.floor(start), by)).or_default().add(&sums);
    }
    let part = UsagePart {
        groups: groups.into_iter().map(|((start, by), sums)| PartGroup { start, by, sums }).collect(),
        next: rows.get(max).map(|row| row.key.clone()),
    };
    Handled { reply: json(&part), writes: Vec::new() }
}

/// The bodies that are asked for.
pub(super) fn bodies_reads(ask: &BodiesAsk) -> Vec<Read> {
    let keys = ask.keys.iter().take(BODIES_MAX);
    keys.flat_map(|key| [TABLE_REQUEST_BODY, TABLE_RESPONSE_BODY].map(|table| one(table, key))).collect()
}

/// The bodies that were read; an empty one is one that was not kept.
pub(super) fn bodies(ask: &BodiesAsk, rows: &[Vec<Row>]) -> Handled {
    let body = |rows: Option<&Vec<Row>>| {
        let row = rows.and_then(|rows| rows.first())?;
        Some(row.value.clone()).filter(|body| !body.is_empty())
    };
    let bodies = ask.keys.iter().zip(rows.chunks(2));
    let bodies = bodies.map(|(key, rows)| (key.clone(), [body(rows.first()), body(rows.get(1))])).collect();
    Handled { reply: json(&BodiesPart { bodies }), writes: Vec::new() }
}

/// All counts, and one more.
pub(super) fn totals_reads() -> Vec<Read> {
    let (from, to) = (String::new(), "~".to_owned());
    alloc::vec![Read { table: TABLE_TOTAL, from, to, limit: ROWS_MAX.saturating_add(1), descending: false }]
}

/// The counts that were read.
pub(super) fn totals(rows: &[Vec<Row>]) -> Handled {
    let rows = rows.first().map_or(&[][..], Vec::as_slice);
    let max = usize::try_from(ROWS_MAX).unwrap_or(usize::MAX);
    let read = |row: &Row| Some((row.key.clone(), crate::json::read(&row.value).ok()?));
    let part = TotalsPart { rows: rows.iter().take(max).filter_map(read).collect(), more: rows.len() > max };
    Handled { reply: json(&part), writes: Vec::new() }
}

/// The newest records below the asked key.
pub(super) fn requests_reads(ask: &RequestsAsk) -> Vec<Read> {
    let to = ask.before.clone().unwrap_or_else(|| "~".to_owned());
    let table = if ask.logged { TABLE_PAYLOAD } else { TABLE_RECORD };
    let from = ask.since.map(super::stamp).unwrap_or_default();
    alloc::vec![Read { table, from, to, limit: scanned(ask), descending: true }]
}

/// How many records are looked at.
fn scanned(ask: &RequestsAsk) -> u32 {
    let all = ask.deployment.is_none() && ask.client_request_id.is_none() && ask.id.is_none() && !ask.tracked;
    if all { ask.limit.clamp(1, RECORDS_SCANNED_MAX) } else { RECORDS_SCANNED_MAX }
}

/// Those records that are asked for, newest first.
pub(super) fn requests(ask: &RequestsAsk, rows: &[Vec<Row>]) -> Handled {
    let rows = rows.first().map_or(&[][..], Vec::as_slice);
    let limit = usize::try_from(ask.limit).unwrap_or(usize::MAX);
    let all = rows.len() < usize::try_from(scanned(ask)).unwrap_or(usize::MAX);
    let mut part = RequestsPart { rows: Vec::new(), next: None };
    for row in rows {
        if part.rows.len() >= limit {
            part.next = part.rows.last().map(|last: &PartRecord| last.key.clone());
            return Handled { reply: json(&part), writes: Vec::new() };
        }
        let wanted = crate::json::read::<UsageRecord>(&row.value).is_ok_and(|record| wants(ask, &record));
        if let Some(record) = wanted.then(|| RawValue::from_string(row.value.clone()).ok()).flatten() {
            part.rows.push(PartRecord { key: row.key.clone(), record });
        }
    }
    part.next = rows.last().filter(|_| !all).map(|row| row.key.clone());
    Handled { reply: json(&part), writes: Vec::new() }
}

fn wants(ask: &RequestsAsk, record: &UsageRecord) -> bool {
    ask.deployment.as_ref().is_none_or(|name| record.deployment.eq_ignore_ascii_case(name))
        && ask.client_request_id.as_ref().is_none_or(|id| record.client_request_id.as_ref() == Some(id))
        && (!ask.tracked || record.tracked.is_some())
        && ask.id.as_ref().is_none_or(|id| record.id.to_string() == *id)
}
