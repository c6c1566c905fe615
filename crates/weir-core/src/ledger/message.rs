//! What is said to and by one ledger object, as JSON.
//!
//! Decides shapes only. The answer to a batch is `account::batch::BatchAnswer`. Both sides are core of the same
//! build, but during a deployment of a new version the other side may be older: members may be added with a
//! default, never renamed.

use super::sums::Rollup;
use super::totals::Totals;
use crate::id::RequestId;
use crate::sorted::SortedMap;
use crate::time::UnixMillis;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A message to a ledger object.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Message<'a> {
    #[serde(borrow)]
    Batch(Batch<'a>),
    Usage(UsageAsk),
    Requests(RequestsAsk),
    Totals(TotalsAsk),
    Bodies(BodiesAsk),
}

/// Asks for the bodies of logged exchanges.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BodiesAsk {
    pub(super) keys: Vec<String>,
}

/// The answer to a [`BodiesAsk`]: what the caller sent and got, by key.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct BodiesPart {
    pub(super) bodies: SortedMap<String, [Option<String>; 2]>,
}

/// A logged exchange: stands among the records of a batch.
#[derive(Debug, Deserialize)]
pub(super) struct LoggedItem {
    pub(super) payload: LoggedBodies,
}

/// Its record and its bodies.
#[derive(Debug, Deserialize)]
pub(super) struct LoggedBodies {
    pub(super) record: Box<RawValue>,
    /// The inference table that it belongs into: account, catalog, schema and table, as a path.
    #[serde(default)]
    pub(super) table: Option<String>,
    pub(super) request: Option<String>,
    pub(super) response: Option<String>,
}

/// Asks for all counts since the ledger began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TotalsAsk {}

/// The answer to a [`TotalsAsk`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TotalsPart {
    pub(super) rows: SortedMap<String, Totals>,
    /// There are more than are shown.
    pub(super) more: bool,
}

/// Counts of exchanges without an answer, by deployment and word of the error: stands among the records of a batch.
#[derive(Debug, Deserialize)]
pub(super) struct Unanswered {
    pub(super) failed: SortedMap<String, SortedMap<String, u64>>,
    /// By deployment and model (`totals::key`), then by `record::CallKind`.
    #[serde(default)]
    pub(super) calls: SortedMap<String, SortedMap<String, u64>>,
    /// The same, by what a content policy found.
    #[serde(default)]
    pub(super) harms: SortedMap<String, SortedMap<String, u64>>,
}

/// Records of one isolate (`account::batch` writes this).
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Batch<'a> {
    /// 16 hex digits.
    pub(super) isolate: String,
    pub(super) seq: u64,
    /// Every lower number is acknowledged or given up.
    pub(super) floor: u64,
    #[serde(borrow)]
    pub(super) records: Vec<&'a RawValue>,
}

/// By what usage is told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Dimension {
    Deployment,
    Model,
    Principal,
    Key,
}

impl Dimension {
    /// All, in the order in which they stand in keys and rows.
    pub(super) const ALL: [Self; 4] = [Self::Deployment, Self::Model, Self::Principal, Self::Key];

    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::Model => "model",
            Self::Principal => "principal",
            Self::Key => "key",
        }
    }
}

/// The length of a row of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Interval {
    Minute,
    Hour,
    Day,
}

impl Interval {
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    const fn millis(self) -> u64 {
        match self {
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
        }
    }

    /// The start of the interval (UTC) that `at` is in.
    pub(super) const fn floor(self, at: UnixMillis) -> UnixMillis {
        let into = match at.0.checked_rem(self.millis()) {
            Some(into) => into,
            None => 0,
        };
        UnixMillis(at.0.saturating_sub(into))
    }

    /// The first start of an interval that is not before `at`.
    pub(super) fn ceil(self, at: UnixMillis) -> UnixMillis {
        let floor = self.floor(at);
        if floor == at { at } else { UnixMillis(floor.0.saturating_add(self.millis())) }
    }
}

/// Which sums are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Source {
    Minute,
    Hour,
}

/// Asks for sums: rows of `source` from key `from` to before key `to`, added up by `interval` and `group_by`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UsageAsk {
    pub(super) source: Source,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) interval: Interval,
    pub(super) group_by: Vec<Dimension>,
    /// Whether calls are told apart, and those that no model answered are told of.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub(super) calls: bool,
}

/// Part of the answer to a [`UsageAsk`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct UsagePart {
    pub(super) groups: Vec<PartGroup>,
    /// The first key that was not read; `None` if all was.
    pub(super) next: Option<String>,
}

/// Sums of one group, not yet complete.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PartGroup {
    pub(super) start: UnixMillis,
    /// Values of the dimensions asked for, in their order.
    pub(super) by: Vec<String>,
    pub(super) sums: Rollup,
}

/// Asks for single records, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RequestsAsk {
    /// Records with lower keys only.
    pub(super) before: Option<String>,
    /// How many are wanted.
    pub(super) limit: u32,
    /// In folded form.
    pub(super) deployment: Option<String>,
    pub(super) client_request_id: Option<String>,
    /// Only those whose bodies are logged.
    #[serde(default)]
    pub(super) logged: bool,
    /// Only those whose usage is tracked.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub(super) tracked: bool,
    /// Only those that began at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<UnixMillis>,
    /// The one exchange of this id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
}

/// Part of the answer to a [`RequestsAsk`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RequestsPart {
    pub(super) rows: Vec<PartRecord>,
    /// The lowest key that was looked at; `None` if there is nothing below.
    pub(super) next: Option<String>,
}

/// A record with its key in the shard.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PartRecord {
    pub(super) key: String,
    pub(super) record: Box<RawValue>,
}

/// The answer to a message that cannot be understood.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Refusal {
    pub(super) refused: String,
}

/// The key of a record: its time, then its id, so that keys are unique in the installation and in order of time.
pub(super) fn record_key(at: UnixMillis, id: RequestId) -> String {
    alloc::format!("{}-{:032x}", super::stamp(at), id.0)
}

/// JSON of a message. The shapes here have text keys only, so that writing them cannot fail.
pub(super) fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
