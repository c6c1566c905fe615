//! Counts of an account since its ledger began, by deployment and model: what `GET /metrics` shows.
//!
//! Decides what is counted and in which buckets; not how it is shown ([`super::scrape`]). Counts only grow. Buckets are
//! those of the OpenTelemetry conventions for generative AI.

use crate::account::record::{UsageRecord, model_key};
use crate::sorted::SortedMap;
use crate::units::Money;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Upper bounds of durations in milliseconds.
pub(super) const DURATIONS: [u64; 14] =
    [10, 20, 40, 80, 160, 320, 640, 1_280, 2_560, 5_120, 10_240, 20_480, 40_960, 81_920];
/// Upper bounds of the time to the first token in milliseconds.
pub(super) const FIRSTS: [u64; 16] =
    [1, 5, 10, 20, 40, 60, 80, 100, 250, 500, 750, 1_000, 2_500, 5_000, 7_500, 10_000];
/// Upper bounds of tokens of one exchange.
pub(super) const TOKENS: [u64; 14] =
    [1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864];

/// A histogram: the sum of what was seen, and how often it was within each bound but not the one before; the last
/// count is of what was beyond all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Histogram {
    pub(super) sum: u64,
    pub(super) counts: Vec<u64>,
}

impl Histogram {
    fn see(&mut self, bounds: &[u64], value: u64) {
        self.sum = self.sum.saturating_add(value);
        let at = bounds.iter().position(|bound| value <= *bound).unwrap_or(bounds.len());
        self.counts.resize(bounds.len().saturating_add(1), 0);
        if let Some(count) = self.counts.get_mut(at) {
            *count = count.saturating_add(1);
        }
    }

    fn add(&mut self, other: &Self) {
        self.sum = self.sum.saturating_add(other.sum);
        self.counts.resize(self.counts.len().max(other.counts.len()), 0);
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*more);
        }
    }
}

/// What was counted of one deployment with one model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Totals {
    /// Exchanges whose model answered.
    pub(super) requests: u64,
    /// Of these, those whose stream broke off.
    pub(super) incomplete: u64,
    /// Upstream calls beyond the first.
    pub(super) retries: u64,
    pub(super) input: Histogram,
    pub(super) output: Histogram,
    pub(super) cached_input: u64,
    pub(super) reasoning: u64,
    pub(super) duration: Histogram,
    /// Of streams.
    pub(super) first: Histogram,
    /// By currency.
    pub(super) cost: SortedMap<String, Money>,
    /// Exchanges without an answer, by the word of their error.
    pub(super) failed: SortedMap<String, u64>,
}

impl Totals {
    pub(super) fn add_record(&mut self, record: &UsageRecord) {
        self.requests = self.requests.saturating_add(1);
        self.incomplete = self.incomplete.saturating_add(u64::from(!record.complete));
        self.retries = self.retries.saturating_add(u64::from(record.attempts.saturating_sub(1)));
        self.input.see(&TOKENS, record.usage.input);
        self.output.see(&TOKENS, record.usage.output);
        self.cached_input = self.cached_input.saturating_add(record.usage.cached_input);
        self.reasoning = self.reasoning.saturating_add(record.usage.reasoning);
        self.duration.see(&DURATIONS, record.latency.0);
        if record.streamed {
            self.first.see(&FIRSTS, record.time_to_first_byte.0);
        }
        if let (Some(currency), Some(cost)) = (&record.currency, record.cost) {
            self.add_cost(currency, cost);
        }
    }

    pub(super) fn add_failed(&mut self, word: &str, many: u64) {
        let count = self.failed.entry(String::from(word)).or_default();
        *count = count.saturating_add(many);
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.incomplete = self.incomplete.saturating_add(other.incomplete);
        self.retries = self.retries.saturating_add(other.retries);
        self.input.add(&other.input);
        self.output.add(&other.output);
        self.cached_input = self.cached_input.saturating_add(other.cached_input);
        self.reasoning = self.reasoning.saturating_add(other.reasoning);
        self.duration.add(&other.duration);
        self.first.add(&other.first);
        for (currency, cost) in &other.cost {
            self.add_cost(currency, *cost);
        }
        for (word, many) in &other.failed {
            self.add_failed(word, *many);
        }
    }

    fn add_cost(&mut self, currency: &str, cost: Money) {
        let sum = self.cost.entry(String::from(currency)).or_default();
        *sum = Money(sum.0.saturating_add(cost.0));
    }
}

/// The key of a deployment's totals with a model.
pub(super) fn key(deployment: &str, model: &str) -> String {
    model_key(deployment, model)
}

/// Deployment and model of a key; `None` if it is none.
pub(super) fn parse_key(key: &str) -> Option<[String; 2]> {
    crate::json::read(key).ok()
}
