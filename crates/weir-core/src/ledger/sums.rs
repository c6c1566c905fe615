//! Sums of usage: what is added up, under which key, and how two sums become one.
//!
//! Decides that sums never wrap (they stay at the largest number) and that amounts of different currencies are
//! never added. Source: `design.md` section 8, "Metering".

use super::calls::Calls;
use super::message::{Dimension, Interval};
use crate::account::record::{CallKind, UsageRecord, harm_keys};
use crate::sorted::SortedMap;
use crate::time::UnixMillis;
use crate::units::Money;
use alloc::string::String;
use serde::{Deserialize, Serialize};

/// What some exchanges used together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Sums {
    pub(super) requests: u64,
    pub(super) input: u64,
    pub(super) cached_input: u64,
    pub(super) output: u64,
    pub(super) reasoning: u64,
    pub(super) cost: Money,
    /// Of this, what the input cost.
    pub(super) input_cost: Money,
    /// All calls, those that no model answered as well, by `record::CallKind`.
    #[serde(skip_serializing_if = "SortedMap::is_empty")]
    pub(super) calls: SortedMap<String, Calls>,
    /// Calls by what a content policy made of them: the surface, then `judged|||`, `harmful|||`, `rejected|||`, or one of
    /// the last two with text type, category and severity.
    #[serde(skip_serializing_if = "SortedMap::is_empty")]
    pub(super) harms: SortedMap<String, u64>,
}

impl Sums {
    pub(super) fn add(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.input = self.input.saturating_add(other.input);
        self.cached_input = self.cached_input.saturating_add(other.cached_input);
        self.output = self.output.saturating_add(other.output);
        self.reasoning = self.reasoning.saturating_add(other.reasoning);
        self.cost = Money(self.cost.0.saturating_add(other.cost.0));
        self.input_cost = Money(self.input_cost.0.saturating_add(other.input_cost.0));
        for (key, calls) in &other.calls {
            self.calls.entry(key.clone()).or_default().add(calls);
        }
        for (key, many) in &other.harms {
            self.add_harm(key, *many);
        }
    }

    fn add_harm(&mut self, key: &str, many: u64) {
        let count = self.harms.entry(String::from(key)).or_default();
        *count = count.saturating_add(many);
    }

    fn add_call(&mut self, key: String, calls: &Calls) {
        self.calls.entry(key).or_default().add(calls);
    }
}

/// Sums by currency; exchanges whose price is unknown are under the empty text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Rollup(pub(super) SortedMap<String, Sums>);

impl Rollup {
    pub(super) fn add(&mut self, other: &Self) {
        for (currency, sums) in &other.0 {
            self.0.entry(currency.clone()).or_default().add(sums);
        }
    }

    pub(super) fn add_record(&mut self, record: &UsageRecord) {
        let (currency, cost) = match (&record.currency, record.cost) {
            (Some(currency), Some(cost)) => (currency.clone(), cost),
            (Some(_), None) | (None, _) => (String::new(), Money(0)),
        };
        let sums = self.0.entry(currency).or_default();
        let kind = CallKind {
            surface: &record.surface,
            streamed: record.streamed,
            status: record.status,
            spilled: record.spilled,
            operation: &record.operation,
            version: &record.version,
        };
        sums.add_call(kind.key(), &Calls::of(record));
        if let Some(found) = &record.judged {
            for key in harm_keys(&record.surface, found) {
                sums.add_harm(&key, 1);
            }
        }
        sums.add(&Sums {
            requests: 1,
            input: record.usage.input,
            cached_input: record.usage.cached_input,
            output: record.usage.output,
            reasoning: record.usage.reasoning,
            cost,
            input_cost: record.input_cost.unwrap_or_default(),
            ..Sums::default()
        });
    }

    /// Counts exchanges that no model answered.
    pub(super) fn add_failed(&mut self, calls: &SortedMap<String, u64>, harms: &SortedMap<String, u64>) {
        let sums = self.0.entry(String::new()).or_default();
        for (key, many) in calls {
            sums.add_call(key.clone(), &Calls::failed(*many));
        }
        for (key, many) in harms {
            sums.add_harm(key, *many);
        }
    }

    /// Leaves out what only metrics are made of; `None` if nothing is left.
    pub(super) fn used(mut self) -> Option<Self> {
        self.0.retain(|_, sums| sums.requests > 0);
        for sums in self.0.values_mut() {
            sums.calls.clear();
            sums.harms.clear();
        }
        (!self.0.is_empty()).then_some(self)
    }
}

/// The key of the sums that `record` belongs to: the interval's start, then the dimensions as a JSON array (which
/// no two different lists of names share).
pub(super) fn key(interval: Interval, record: &UsageRecord) -> String {
    key_of(interval, record.at, [&record.deployment, &record.model, &record.principal, &record.key])
}

/// The key of the sums of what these names did at a time.
pub(super) fn key_of(interval: Interval, at: UnixMillis, by: [&str; 4]) -> String {
    let mut key = super::stamp(interval.floor(at));
    key.push_str(&serde_json::to_string(&by).unwrap_or_default());
    key
}

/// The interval's start and the dimensions that a key stands for; `None` if it is no such key.
pub(super) fn parse_key(key: &str) -> Option<(UnixMillis, SortedMap<Dimension, String>)> {
    let (start, by) = key.split_at_checked(16)?;
    let by: [String; 4] = crate::json::read(by).ok()?;
    Some((UnixMillis(start.parse().ok()?), Dimension::ALL.into_iter().zip(by).collect()))
}
