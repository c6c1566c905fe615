//! What an exchange tells the isolate's memory of its entities, and what it remembers of its own attempts.
//!
//! Above the stages. Decides which event of an exchange means what for `attempt::health`; only exchanges of deployments
//! whose entities stand in for each other tell anything.

use super::action::UpstreamHeaders;
use super::isolate::Isolate;
use super::running::Running;
use crate::account::record::Usage;
use crate::attempt::Outcome;
use crate::attempt::health::HealthBook;
use crate::attempt::quota::RemainingQuota;
use crate::time::{Millis, UnixMillis};
use alloc::string::String;

/// Attempts of one exchange that are remembered.
const TRIED_MAX: usize = 16;

/// How the call in flight is followed.
#[derive(Debug, Default)]
pub(super) struct Track {
    /// Whether health is remembered for the deployment.
    pub(super) on: bool,
    /// Whether the administrator asked how the exchange came about.
    pub(super) explained: bool,
    /// Whether a call is under way that was not told of as ended.
    open: bool,
    sent_at: UnixMillis,
    /// When it said its first token.
    spoke_at: Option<UnixMillis>,
}

/// One attempt, over.
#[derive(Clone, Debug)]
pub(super) struct Tried {
    /// Which of the plan's entities.
    pub(super) entity: u32,
    /// When it began, after the exchange did.
    pub(super) at: Millis,
    /// How long it took.
    pub(super) took: Millis,
    /// What became of it.
    /// None: the other call of two was first.
    pub(super) outcome: Option<Outcome>,
}

/// The name of the entity that is called.
fn called(running: &Running) -> Option<&str> {
    running.called().map(|entity| entity.name.as_str())
}

impl Track {
    /// Nothing is under way. `on`: something will be told; `explained`: the administrator will be, too.
    pub(super) fn new(on: bool, explained: bool) -> Self {
        Self { on, explained, ..Self::default() }
    }

    /// When the call began, after its exchange did, and how long it takes by now.
    pub(super) const fn span(&self, now: UnixMillis, began: UnixMillis) -> (Millis, Millis) {
        (self.sent_at.since(began), now.since(self.sent_at))
    }

    /// Swaps what is known of the calls of two legs of one exchange.
    pub(super) const fn swap_calls(&mut self, other: &mut Self) {
        core::mem::swap(&mut self.open, &mut other.open);
        core::mem::swap(&mut self.sent_at, &mut other.sent_at);
        core::mem::swap(&mut self.spoke_at, &mut other.spoke_at);
    }
}

impl Isolate {
    /// A call begins.
    pub(super) fn track_sent(&mut self, now: UnixMillis, running: &mut Running) {
        running.track.sent_at = now;
        running.track.spoke_at = None;
        if let Some(name) = called(running).filter(|_| running.track.on) {
            self.health.began(now, &running.scope, name);
            running.track.open = true;
        }
    }

    /// A call has an outcome: it failed, or what it gave is the answer.
    pub(super) fn track_outcome(&mut self, now: UnixMillis, running: &mut Running, outcome: &Outcome) {
        let good = matches!(outcome, Outcome::Answered { status: 200..=299, .. });
        if !good && running.tried.len() < TRIED_MAX {
            running.tried.push(Tried {
                entity: running.entity,
                at: running.track.sent_at.since(running.admission.began),
                took: now.since(running.track.sent_at),
                outcome: Some(outcome.clone()),
            });
        }
        if !running.track.open {
            return;
        }
        let Some(name) = called(running) else { return };
        let (health, scope) = (&mut self.health, &running.scope);
        match outcome {
            Outcome::Answered { status: 200..=299, .. } => {
                if running.streamed {
                    health.spoke(now, scope, name, now.since(running.track.sent_at));
                    running.track.spoke_at = Some(now);
                }
            }
            // What is the caller's tells nothing of the entity.
            Outcome::Answered { status: 400 | 404 | 405..=407 | 409..=428, .. } => {
                health.released(now, scope, name, false);
                running.track.open = false;
            }
            Outcome::Answered { .. }
            | Outcome::Unreachable
            | Outcome::TimedOut
            | Outcome::Malformed
            | Outcome::BrokeOff => {
                health.failed(now, scope, name, outcome, false);
                running.track.open = false;
            }
        }
    }

    /// The answer is over, and was good to its end.
    pub(super) fn track_good(&mut self, now: UnixMillis, running: &mut Running, used: &Usage) {
        let Some((health, scope, name)) = close(&mut self.health, running) else { return };
        match running.track.spoke_at {
            Some(spoke) => health.streamed(scope, name, now.since(spoke), used.output),
            None => health.answered(now, scope, name, now.since(running.track.sent_at), used.output),
        }
        running.track.open = false;
    }

    /// The answer broke off.
    pub(super) fn track_broken(&mut self, now: UnixMillis, running: &mut Running) {
        let spoke = running.track.spoke_at.is_some();
        let Some((health, scope, name)) = close(&mut self.health, running) else { return };
        health.failed(now, scope, name, &Outcome::BrokeOff, spoke);
        running.track.open = false;
    }

    /// The exchange is over and tells nothing of its entity.
    pub(super) fn track_left(&mut self, now: UnixMillis, running: &mut Running) {
        let spoke = running.track.spoke_at.is_some();
        let Some((health, scope, name)) = close(&mut self.health, running) else { return };
        health.released(now, scope, name, spoke);
        running.track.open = false;
    }

    /// Another call of the exchange was first: this one took at least so long.
    pub(super) fn track_overtaken(&mut self, now: UnixMillis, running: &mut Running) {
        let took = now.since(running.track.sent_at);
        let Some((health, scope, name)) = close(&mut self.health, running) else { return };
        health.overtaken(now, scope, name, took);
        running.track.open = false;
    }

    /// What the head of an answer tells of the entity's quota.
    pub(super) fn track_quota(&mut self, now: UnixMillis, running: &Running, headers: &UpstreamHeaders<'_>) {
        let Some(name) = called(running).filter(|_| running.track.on) else { return };
        let [requests, tokens, requests_reset, tokens_reset] = headers.quota;
        let quota = RemainingQuota::read(now, requests, tokens, requests_reset, tokens_reset);
        self.health.quota(now, &running.scope, name, &quota);
    }
}

/// The parts that are told, if a call is open.
fn close<'a>(
    health: &'a mut HealthBook,
    running: &'a Running,
) -> Option<(&'a mut HealthBook, &'a str, &'a str)> {
    let name = called(running).filter(|_| running.track.open)?;
    Some((health, running.scope.as_str(), name))
}

/// A short word for an outcome.
pub(super) fn label(outcome: Option<&Outcome>) -> String {
    let Some(outcome) = outcome else { return String::from("overtaken") };
    match outcome {
        Outcome::Answered { status, .. } => alloc::format!("status {status}"),
        Outcome::Unreachable => String::from("unreachable"),
        Outcome::TimedOut => String::from("timed out"),
        Outcome::Malformed => String::from("malformed"),
        Outcome::BrokeOff => String::from("broke off"),
    }
}
