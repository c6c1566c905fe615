//! `GET /api/weir/v1/usage`: what was used and what it cost, summed over all ledger objects of an account.
//!
//! Decides the parameters, which sums are read, and the answer; not who may ask.
//!
//! # Parameters
//!
//! | name | value | if absent |
//! |---|---|---|
//! | `from` | RFC 3339 time, day (`2026-07-01`), or milliseconds since 1970; inclusive | 24 hours before `to` |
//! | `to` | the same; exclusive | now |
//! | `interval` | `minute`, `hour` or `day`, in UTC | `hour` |
//! | `group_by` | any of `deployment`, `model`, `principal`, `key`, `meter`, with commas between | one row an interval |
//! | `format` | `json` or `csv` | `json` |
//! | `limit` | about how many rows, 1 to 10 000 | 1 000; 10 000 for CSV |
//! | `cursor` | `next_cursor` of the page before | the first page |
//!
//! An exchange belongs to the time at which it began. Times are exact to the minute: `from` is rounded down and
//! `to` up, and the answer says the `from` and `to` that it is about; sums by minute are kept for 7 days, beyond
//! which both are rounded to the hour. Sums by hour are kept for 400 days. Intervals and groups in which nothing
//! was used have no row.
//!
//! # Answer
//!
//! ```json
//! {"from":"2026-07-01T00:00:00Z","to":"2026-07-01T10:15:00Z","interval":"hour",
//!  "rows":[{"start":"2026-07-01T09:00:00Z","deployment":"demo-chat","requests":2,"input_tokens":20,
//!    "cached_input_tokens":0,"output_tokens":14,"reasoning_tokens":0,"total_tokens":34,
//!    "cost":"0.00019","currency":"USD"}],
//!  "next_cursor":null}
//! ```
//!
//! Rows are in order of `start`, then of the members grouped by. `input_tokens` includes cached tokens,
//! `output_tokens` includes reasoning. `cost` is an exact decimal text of those exchanges whose price is known;
//! it and `currency` are null if none is. Grouped by `meter`, a row has `meter` and `quantity` instead of counts.
//! CSV has the same columns, with the cursor in the header `x-weir-next-cursor`. If a ledger object does not
//! answer, so does this: 503, never part of a sum.

use super::answer::Answer;
use super::message::{Dimension, Interval, Message, PartGroup, Source, UsageAsk, UsagePart, json};
use super::params::{Params, read_cursor, write_cursor};
use super::sums::Rollup;
use super::{MINUTES_KEPT, calendar, render, stamp};
use crate::account::batch::{SHARDS, object_name};
use crate::id::AccountId;
use crate::object::CallOutcome;
use crate::sorted::SortedMap;
use crate::time::{Millis, UnixMillis};
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::Serialize;

const PARAMETERS: [&str; 7] = ["from", "to", "interval", "group_by", "format", "limit", "cursor"];
const LIMIT: u32 = 1_000;
const LIMIT_MAX: u32 = 10_000;
/// The period that is meant when none is given.
const PERIOD: Millis = Millis::from_secs(86_400);
/// How many times all objects are asked for one answer. What is complete by then is a page.
const ROUNDS_MAX: u32 = 20;

/// A message that is to be sent to a ledger object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerAsk {
    /// Hand it back with the outcome.
    pub shard: u64,
    /// The object's name.
    pub object: String,
    /// The message, JSON.
    pub body: Vec<u8>,
}

/// A question about usage while its answer is gathered.
///
/// Send all of [`asks`](Self::asks), hand each outcome to [`answered`](Self::answered), and begin again, until
/// `asks` is empty; then [`answer`](Self::answer).
#[derive(Debug)]
pub struct UsageQuery {
    account: AccountId,
    from: UnixMillis,
    to: UnixMillis,
    interval: Interval,
    group_by: Vec<Dimension>,
    by_meter: bool,
    csv: bool,
    /// Groups of one page.
    limit: usize,
    after: Option<GroupKey>,
    /// What each shard still has to be asked for, in order of time.
    shards: Vec<VecDeque<Segment>>,
    /// The first groups known so far, one more than a page has.
    groups: SortedMap<GroupKey, Rollup>,
    rounds: u32,
    failed: bool,
    detail: Detail,
}

/// What is asked of sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Detail {
    /// What was used.
    Used,
    /// All calls, told apart.
    Calls,
}

/// A group: the start of its interval and its values of the dimensions grouped by.
type GroupKey = (UnixMillis, Vec<String>);

/// Keys of one table of sums.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Segment {
    source: Source,
    from: String,
    to: String,
}

impl UsageQuery {
    /// Understands the part of the address after `?`.
    ///
    /// # Errors
    /// The answer for the caller, with every fault.
    pub fn parse(account: &AccountId, query: &str, now: UnixMillis) -> Result<Self, Answer> {
        let mut params = Params::parse(query, &PARAMETERS);
        let to = params.read("to", now, calendar::parse);
        let from = params.read("from", to.minus(PERIOD), calendar::parse);
        if from >= to && params.faults.is_empty() {
            params.fault("from", "is not before to");
        }
        let interval = params.read("interval", Interval::Hour, |text| match text {
            "minute" => Ok(Interval::Minute),
            "hour" => Ok(Interval::Hour),
            "day" => Ok(Interval::Day),
            _ => Err("is none of minute, hour, day"),
        });
        let csv = params.read("format", false, |text| match text {
            "json" => Ok(false),
            "csv" => Ok(true),
            _ => Err("is neither json nor csv"),
        });
        let (group_by, by_meter) = params.read("group_by", (Vec::new(), false), group_by);
        let limit = params.limit(if csv { LIMIT_MAX } else { LIMIT }, LIMIT_MAX);
        let after: Option<GroupKey> = params.read("cursor", None, |text| read_cursor(text).map(Some));
        if after.as_ref().is_some_and(|(_, by)| by.len() != group_by.len()) {
            params.fault("cursor", "is of a list with another group_by");
        }
        if !params.faults.is_empty() {
            return Err(Answer::refused(&params.faults));
        }
        let (from, to) =
            (rounded(from, interval, now, Interval::floor), rounded(to, interval, now, Interval::ceil));
        let begin = after.as_ref().map_or(from, |(start, _)| from.max(*start));
        let segments = segments(begin, to, interval);
        let rows_of_group = if by_meter { render::METERS.len() } else { 1 };
        let limit =
            usize::try_from(limit).unwrap_or(usize::MAX).checked_div(rows_of_group).unwrap_or(1).max(1);
        Ok(Self {
            account: account.clone(),
            from,
            to,
            interval,
            group_by,
            by_meter,
            csv,
            limit,
            after,
            shards: (0..SHARDS).map(|_| segments.clone()).collect(),
            groups: SortedMap::new(),
            rounds: 0,
            failed: false,
            detail: Detail::Used,
        })
    }

    /// A question for the sums themselves, of at most [`LIMIT_MAX`] groups, for a sibling module's answer.
    pub(super) fn sums(
        account: &AccountId,
        (from, to): (UnixMillis, UnixMillis),
        interval: Interval,
        group_by: &[Dimension],
        now: UnixMillis,
    ) -> Self {
        let (from, to) =
            (rounded(from, interval, now, Interval::floor), rounded(to, interval, now, Interval::ceil));
        let segments = segments(from, to, interval);
        Self {
            account: account.clone(),
            from,
            to,
            interval,
            group_by: group_by.to_vec(),
            by_meter: false,
            csv: false,
            limit: usize::try_from(LIMIT_MAX).unwrap_or(usize::MAX),
            after: None,
            shards: (0..SHARDS).map(|_| segments.clone()).collect(),
            groups: SortedMap::new(),
            rounds: 0,
            failed: false,
            detail: Detail::Used,
        }
    }

    /// With all calls, told apart.
    #[must_use]
    pub(super) fn with_calls(self) -> Self {
        Self { detail: Detail::Calls, ..self }
    }

    /// All groups: start, values of the dimensions, sums by currency.
    ///
    /// # Errors
    /// 503 if an object did not answer, 400 if there are too many.
    pub(super) fn groups(&self) -> Result<impl Iterator<Item = (UnixMillis, &Vec<String>, &Rollup)>, Answer> {
        let whole = self.shards.iter().all(VecDeque::is_empty) && self.groups.len() <= self.limit;
        match (self.failed, whole) {
            (true, _) => Err(Answer::unavailable()),
            (false, false) => Err(Answer::too_large()),
            (false, true) => Ok(self.groups.iter().map(|((start, by), sums)| (*start, by, sums))),
        }
    }

    /// What is to be asked now; nothing when the answer is ready.
    pub fn asks(&mut self) -> Vec<LedgerAsk> {
        if self.failed || self.rounds >= ROUNDS_MAX || self.complete() > self.limit {
            return Vec::new();
        }
        self.rounds = self.rounds.saturating_add(1);
        let ask = |(shard, left): (u64, &VecDeque<Segment>)| {
            let segment = left.front()?;
            let message = Message::Usage(UsageAsk {
                source: segment.source,
                from: segment.from.clone(),
                to: segment.to.clone(),
                interval: self.interval,
                group_by: self.group_by.clone(),
                calls: self.detail == Detail::Calls,
            });
            Some(LedgerAsk::new(&self.account, shard, &message))
        };
        (0..SHARDS).zip(&self.shards).filter_map(ask).collect()
    }

    /// What a ledger object answered to the ask that named `shard`, once for each ask.
    pub fn answered(&mut self, shard: u64, outcome: CallOutcome<'_>) {
        let part = match outcome {
            CallOutcome::Answered(body) => serde_json::from_slice::<UsagePart>(body).ok(),
            CallOutcome::Lost => None,
        };
        let left = usize::try_from(shard).ok().and_then(|shard| self.shards.get_mut(shard));
        let (Some(part), Some(left)) = (part, left) else {
            self.failed = true;
            return;
        };
        match (part.next, left.front_mut()) {
            (Some(next), Some(segment)) if next > segment.from => segment.from = next,
            (Some(_), _) => self.failed = true,
            (None, _) => {
                left.pop_front();
            }
        }
        for PartGroup { start, by, sums } in part.groups {
            let key = (start, by);
            if self.after.as_ref().is_none_or(|after| key > *after) {
                self.groups.entry(key).or_default().add(&sums);
            }
        }
        // Later groups than one page and one more cannot come into the page: nothing before them goes away.
        while self.groups.len() > self.limit.saturating_add(1) {
            self.groups.pop_last();
        }
    }

    /// The answer, when [`asks`](Self::asks) is empty.
    pub fn answer(&self) -> Answer {
        if self.failed {
            return Answer::unavailable();
        }
        let complete = self.complete();
        let all = self.shards.iter().all(VecDeque::is_empty);
        if complete == 0 && !all {
            return Answer::too_large();
        }
        let page: Vec<_> = self.groups.iter().take(complete.min(self.limit)).collect();
        let more = !all || complete > self.limit;
        let next_cursor = page.last().filter(|_| more).map(|(key, _)| write_cursor(key));
        let rows = page
            .iter()
            .flat_map(|((start, by), sums)| render::rows(*start, &self.group_by, by, sums, self.by_meter));
        if self.csv {
            let mut body = render::csv_head(&self.group_by, self.by_meter);
            rows.for_each(|row| body.push_str(&render::csv_row(&row)));
            let mut answer = Answer::new(200, "text/csv; charset=utf-8; header=present", body);
            answer.headers.extend(next_cursor.map(|cursor| ("x-weir-next-cursor", cursor)));
            return answer;
        }
        Answer::json(&Body {
            from: calendar::format_rfc3339(self.from),
            to: calendar::format_rfc3339(self.to),
            interval: self.interval.label(),
            rows: rows.collect(),
            next_cursor,
        })
    }

    /// How many of the groups are complete: those that start before what any shard has yet to be asked for.
    fn complete(&self) -> usize {
        let start_of = |segment: &Segment| segment.from.get(..16)?.parse().ok().map(UnixMillis);
        let horizon = self.shards.iter().filter_map(|left| left.front().and_then(start_of)).min();
        let Some(horizon) = horizon.map(|at| self.interval.floor(at)) else { return self.groups.len() };
        self.groups.range(..(horizon, Vec::new())).count()
    }
}

#[derive(Serialize)]
struct Body<'a> {
    from: String,
    to: String,
    interval: &'static str,
    rows: Vec<render::UsageRow<'a>>,
    next_cursor: Option<String>,
}

/// Reads `group_by`: the dimensions in their own order, and whether `meter` is among them.
fn group_by(text: &str) -> Result<(Vec<Dimension>, bool), String> {
    let (mut dimensions, mut by_meter) = (Vec::new(), false);
    for word in text.split(',').map(str::trim) {
        let dimension = Dimension::ALL.into_iter().find(|dimension| dimension.label() == word);
        let twice = match dimension {
            Some(dimension) if !dimensions.contains(&dimension) => {
                dimensions.push(dimension);
                false
            }
            None if word == "meter" => core::mem::replace(&mut by_meter, true),
            None => {
                let word: String = word.chars().take(40).collect();
                return Err(format!(
                    "has {word:?}, which is none of deployment, model, principal, key, meter"
                ));
            }
            Some(_) => true,
        };
        if twice {
            return Err(format!("has {word} twice"));
        }
    }
    dimensions.sort_unstable();
    Ok((dimensions, by_meter))
}

/// `at`, rounded to the minute, or to the hour where sums by minute are no longer kept.
fn rounded(
    at: UnixMillis,
    interval: Interval,
    now: UnixMillis,
    round: fn(Interval, UnixMillis) -> UnixMillis,
) -> UnixMillis {
    let kept = at >= now.minus(MINUTES_KEPT) || interval == Interval::Minute;
    round(if kept { Interval::Minute } else { Interval::Hour }, at)
}

/// The sums that make up `from..to`: whole hours from the hours, the rest from the minutes, in order of time.
fn segments(from: UnixMillis, to: UnixMillis, interval: Interval) -> VecDeque<Segment> {
    let (first, last) = match interval {
        Interval::Minute => (to, to),
        Interval::Hour | Interval::Day => {
            let first = Interval::Hour.ceil(from).min(to);
            (first, Interval::Hour.floor(to).max(first))
        }
    };
    let parts = [(Source::Minute, from, first), (Source::Hour, first, last), (Source::Minute, last, to)];
    let parts = parts.into_iter().filter(|(_, from, to)| from < to);
    parts.map(|(source, from, to)| Segment { source, from: stamp(from), to: stamp(to) }).collect()
}

impl LedgerAsk {
    /// For questions of a sibling module.
    pub(super) fn new(account: &AccountId, shard: u64, message: &Message<'_>) -> Self {
        Self { shard, object: object_name(account, shard), body: json(message) }
    }
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;
