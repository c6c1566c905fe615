//! What an isolate remembers of each served entity: how soon it speaks, how fast it goes on, how often it fails, what
//! is under way there; and for how long it is set aside.
//!
//! Stage 5. Decides an entity's [`Fitness`] from what it was told; who is called is `route::select`'s, what one entity's
//! numbers do is `gauge`'s. State in, state out: it reads no clock. Only deployments with several entities that stand
//! in for each other are remembered, because nobody else can choose.

use super::Outcome;
use super::gauge::{ASIDE_MAX, Gauge};
use super::quota::RemainingQuota;
use crate::route::select::{Fitness, UNKNOWN};
use crate::sorted::SortedMap;
use crate::time::{Millis, UnixMillis};
use alloc::borrow::ToOwned;
use alloc::string::String;

/// Deployments that are remembered.
const SCOPES_MAX: usize = 4_096;
/// What nobody called for so long is forgotten.
const FORGOTTEN_AFTER: Millis = Millis(15 * 60 * 1_000);

/// All entities that an isolate remembers, by deployment (`account/name`) and name.
#[derive(Debug, Default)]
pub struct HealthBook {
    scopes: SortedMap<String, SortedMap<String, Gauge>>,
}

impl HealthBook {
    /// What is known of an entity at `now`.
    pub fn fitness(&self, now: UnixMillis, scope: &str, name: &str) -> Fitness {
        let gauge = self.scopes.get(scope).and_then(|gauges| gauges.get(name));
        gauge.map_or(UNKNOWN, |gauge| gauge.fitness(now))
    }

    /// A call of the entity begins.
    pub fn began(&mut self, now: UnixMillis, scope: &str, name: &str) {
        self.gauge(scope, name).began(now);
    }

    /// A call said its first token `took` after it began.
    pub fn spoke(&mut self, now: UnixMillis, scope: &str, name: &str, took: Millis) {
        self.gauge(scope, name).spoke(now, took);
    }

    /// A stream came to its good end: `tokens` of it came within `span` after the first.
    pub fn streamed(&mut self, scope: &str, name: &str, span: Millis, tokens: u64) {
        self.gauge(scope, name).streamed(span, tokens);
    }

    /// A plain answer of `tokens` came `took` after the call began.
    pub fn answered(&mut self, now: UnixMillis, scope: &str, name: &str, took: Millis, tokens: u64) {
        self.gauge(scope, name).answered(now, took, tokens);
    }

    /// A call ended and tells nothing of the entity: the caller left, or asked for what cannot be. `spoke` says that
    /// it had said something.
    pub fn released(&mut self, now: UnixMillis, scope: &str, name: &str, spoke: bool) {
        self.gauge(scope, name).released(now, spoke);
    }

    /// A call was given up after it had been silent for `took`, because another one spoke.
    pub fn overtaken(&mut self, now: UnixMillis, scope: &str, name: &str, took: Millis) {
        self.gauge(scope, name).overtaken(now, took);
    }

    /// A call failed with `outcome`; `spoke` says that it had said something.
    pub fn failed(&mut self, now: UnixMillis, scope: &str, name: &str, outcome: &Outcome, spoke: bool) {
        let wait = match outcome {
            Outcome::Answered { retry_after, .. } => *retry_after,
            Outcome::Unreachable | Outcome::TimedOut | Outcome::Malformed | Outcome::BrokeOff => None,
        };
        let gauge = self.gauge(scope, name);
        gauge.failed(now, spoke);
        gauge.rest(now.plus(wait.unwrap_or_default().min(ASIDE_MAX)));
    }

    /// What the entity said of its remaining quota: with none left it rests until there is some.
    pub fn quota(&mut self, now: UnixMillis, scope: &str, name: &str, quota: &RemainingQuota) {
        if let Some(wait) = quota.spent_for() {
            self.gauge(scope, name).rest(now.plus(wait.min(ASIDE_MAX)));
        }
    }

    /// Forgets what nobody called for long.
    pub fn sweep(&mut self, now: UnixMillis) {
        self.scopes.retain(|_, gauges| gauges.values().any(|gauge| !gauge.is_idle(now, FORGOTTEN_AFTER)));
        if self.scopes.len() > SCOPES_MAX {
            self.scopes.clear();
        }
    }

    /// The deployments of an account, by name, with their entities.
    pub(super) fn of_account<'a>(
        &'a self,
        account: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a SortedMap<String, Gauge>)> + 'a {
        self.scopes.iter().filter_map(move |(scope, gauges)| {
            let name = scope.strip_prefix(account)?.strip_prefix('/')?;
            Some((name, gauges))
        })
    }

    /// The entity, made if it is new.
    pub(super) fn gauge(&mut self, scope: &str, name: &str) -> &mut Gauge {
        self.scopes.entry(scope.to_owned()).or_default().entry(name.to_owned()).or_default()
    }
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
