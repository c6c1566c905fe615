//! `GET /api/2.0/serving-endpoints/{name}/metrics`: an endpoint's counters as Prometheus' text (`databricks.md`, M10).
//!
//! Decides which counters there are and since when they count: since midnight, in UTC, so that a reader sees a counter
//! that is reset once a day. Requests are those whose upstream answered. Not whether there is such an endpoint.

use super::answer::Answer;
use super::message::{Dimension, Interval};
use super::query::UsageQuery;
use super::sums::Sums;
use crate::id::AccountId;
use crate::time::UnixMillis;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;

const DAY_MILLIS: u64 = 86_400_000;

/// A counter: its name, what it says, and what it counts.
type Counter = (&'static str, &'static str, fn(&Sums) -> u64);

const COUNTERS: [Counter; 3] = [
    ("request_count_total", "Requests that a model answered, since midnight UTC", |sums| sums.requests),
    ("input_token_count_total", "Input tokens, since midnight UTC", |sums| sums.input),
    ("output_token_count_total", "Output tokens, since midnight UTC", |sums| sums.output),
];

/// A question about an endpoint's metrics while its answer is gathered.
#[derive(Debug)]
pub struct EndpointQuery {
    pub(super) usage: UsageQuery,
    name: String,
}

impl EndpointQuery {
    /// The question for the endpoint `name`, without regard to case.
    pub(super) fn new(account: &AccountId, name: &str, now: UnixMillis) -> Self {
        let midnight = UnixMillis(now.0.saturating_sub(now.0.checked_rem(DAY_MILLIS).unwrap_or(0)));
        let usage = UsageQuery::sums(account, (midnight, now), Interval::Day, &[Dimension::Deployment], now);
        Self { usage, name: name.to_owned() }
    }

    /// The answer, once all sums are there.
    pub(super) fn answer(&self) -> Answer {
        let groups = match self.usage.groups() {
            Ok(groups) => groups,
            Err(answer) => return answer,
        };
        let mut sum = Sums::default();
        let own = |by: &[String]| by.first().is_some_and(|name| name.eq_ignore_ascii_case(&self.name));
        for (_, _, rollup) in groups.filter(|(_, by, _)| own(by)) {
            rollup.0.values().for_each(|sums| sum.add(sums));
        }
        let lines = |(name, about, count): &Counter| {
            let sample = format!("{name}{{endpoint_name=\"{}\"}} {}", self.name, count(&sum));
            format!("# HELP {name} {about}.\n# TYPE {name} counter\n{sample}\n")
        };
        let text: String = COUNTERS.iter().map(lines).collect();
        Answer::new(200, "text/plain; version=0.0.4; charset=utf-8", text)
    }
}
