//! Sums of usage: what is added up, under which key, and how two sums become one.
//!
//! Decides that sums never wrap (they stay at the largest number) and that amounts of different currencies are
//! never added. Source: `design.md` section 8, "Metering".

use super::message::{Dimension, Interval};
use crate::account::record::UsageRecord;
use crate::sorted::SortedMap;
use crate::time::UnixMillis;
use crate::units::Money;
use alloc::string::String;
use serde::{Deserialize, Serialize};

/// What some exchanges used together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
        self.0.entry(currency).or_default().add(&Sums {
            requests: 1,
            input: record.usage.input,
            cached_input: record.usage.cached_input,
            output: record.usage.output,
            reasoning: record.usage.reasoning,
            cost,
            input_cost: record.input_cost.unwrap_or_default(),
        });
    }
}

/// The key of the sums that `record` belongs to: the interval's start, then the dimensions as a JSON array (which
/// no two different lists of names share).
pub(super) fn key(interval: Interval, record: &UsageRecord) -> String {
    let by: [&str; 4] = [&record.deployment, &record.model, &record.principal, &record.key];
    let mut key = super::stamp(interval.floor(record.at));
    key.push_str(&serde_json::to_string(&by).unwrap_or_default());
    key
}

/// The interval's start and the dimensions that a key stands for; `None` if it is no such key.
pub(super) fn parse_key(key: &str) -> Option<(UnixMillis, SortedMap<Dimension, String>)> {
    let (start, by) = key.split_at_checked(16)?;
    let by: [String; 4] = crate::json::read(by).ok()?;
    Some((UnixMillis(start.parse().ok()?), Dimension::ALL.into_iter().zip(by).collect()))
}
