//! Stage 5: which entity, when again, when to stop.
//!
//! Decides what follows from each outcome of an upstream call; it neither makes calls nor measures time. One
//! [`AttemptMachine`] lives as long as its exchange:
//!
//! ```text
//!            first()                    outcome: good
//!   Ready ───────────▶ Sending ───────────────────────────▶ Committed
//!                       ▲   │ outcome: may be tried again
//!            resume()   │   ▼
//!                     Waiting          outcome: final, plan or budget used up
//!                       Sending ───────────────────────────▶ Failed
//! ```
//!
//! It answers each event with exactly one [`Step`]. After `Committed` there is no further attempt (promise 4):
//! the state has no way out.

pub mod backoff;
pub mod board;
pub mod budget;
pub mod classify;
mod gauge;
pub mod health;
pub mod hedge;
pub mod plan;
pub mod quota;

use crate::time::{Millis, UnixMillis};
use alloc::string::String;
use backoff::delay;
use budget::RetryBudget;
use classify::{Verdict, classify};
use plan::AttemptPlan;

/// Why no upstream gave a usable answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttemptError {
    /// The upstream answered with an error status that is the caller's business.
    #[error("the model answered with status {status}")]
    UpstreamStatus {
        /// The upstream's status, 400..=599.
        status: u16,
        /// How long it asked to wait.
        retry_after: Option<Millis>,
        /// Its own words for the caller, bounded; `None` if it gave none that can be shown.
        message: Option<String>,
    },
    /// The prompt is longer than the model takes: the upstream's 400 says so.
    #[error("the prompt is longer than the model takes")]
    PromptTooLong {
        /// Its own words for the caller, bounded.
        message: String,
    },
    /// No connection, or it broke before an answer.
    #[error("the model could not be reached")]
    Unreachable,
    /// No answer in time.
    #[error("the model did not answer in time")]
    Timeout,
    /// Something that is not an answer of its dialect.
    #[error("the model's answer could not be understood")]
    Malformed,
    /// The upstream refused Weir's own credential.
    #[error("the model refused the gateway's credential")]
    BadCredential,
    /// The upstream answered with a redirect, which is never followed.
    #[error("the model answered with a redirect")]
    Redirect,
}

/// What became of one upstream call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A head arrived.
    Answered {
        /// HTTP status, 100..=599.
        status: u16,
        /// The wait that the upstream asked for, already bounded.
        retry_after: Option<Millis>,
        /// `x-should-retry`, which overrules the status.
        should_retry: Option<bool>,
    },
    /// No connection, or it broke before the head.
    Unreachable,
    /// No head, or no whole answer, within the time allowed.
    TimedOut,
    /// An answer that is not one of its dialect.
    Malformed,
    /// A stream that broke off before its first content.
    BrokeOff,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Call this entity.
    Send {
        /// Index into the deployment's entities.
        entity: u32,
        /// Give up on this call after so long.
        timeout: Millis,
    },
    /// Do nothing until then, and call [`AttemptMachine::resume`].
    Wait {
        /// When to go on.
        until: UnixMillis,
        /// Why, for logs.
        reason: &'static str,
    },
    /// The answer at hand is the exchange's answer.
    Deliver,
    /// There will be no answer.
    GiveUp(AttemptError),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ready,
    /// The entity at this position of the plan is called.
    Sending {
        position: u32,
    },
    Waiting {
        position: u32,
    },
    Committed,
    Failed,
}

/// The attempts of one exchange.
#[derive(Clone, Debug)]
pub struct AttemptMachine {
    plan: AttemptPlan,
    state: State,
    made: u32,
    /// The second entity was called beside the first.
    doubled: bool,
}

impl AttemptMachine {
    /// A machine that has made no attempt.
    pub const fn new(plan: AttemptPlan) -> Self {
        Self { plan, state: State::Ready, made: 0, doubled: false }
    }

    /// Upstream calls begun so far, at most [`AttemptPlan::attempts_max`].
    pub const fn made(&self) -> u32 {
        self.made
    }

    /// The first step: the first entity of the plan, or giving up if there is none or no time.
    pub fn first(&mut self, now: UnixMillis, budget: &mut RetryBudget) -> Step {
        match (self.state, self.plan.entities.is_empty()) {
            (State::Ready, false) => {
                budget.deposit(self.plan.retry_percent);
                self.send(now, 0)
            }
            (State::Ready, true) => self.fail(AttemptError::Unreachable),
            (State::Sending { .. } | State::Waiting { .. } | State::Committed | State::Failed, _) => {
                self.fail(AttemptError::Malformed)
            }
        }
    }

    /// What follows from the outcome of the call in flight. `random` spreads the waits of exchanges that fail
    /// together. An outcome that no call is waiting for changes nothing.
    pub fn outcome(
        &mut self,
        now: UnixMillis,
        random: u64,
        outcome: &Outcome,
        budget: &mut RetryBudget,
    ) -> Step {
        let State::Sending { position } = self.state else {
            return Step::GiveUp(AttemptError::Malformed);
        };
        match classify(outcome) {
            Verdict::Good => {
                self.state = State::Committed;
                Step::Deliver
            }
            Verdict::Final(error) => self.fail(error),
            Verdict::Elsewhere(error) => match self.onward(now, position, budget) {
                Some(next) => self.send(now, next),
                None => self.fail(error),
            },
            Verdict::Again { after, error } => match self.onward(now, position, budget) {
                Some(next) => self.send(now, next),
                None => self.again(now, random, position, after, error, budget),
            },
        }
    }

    /// The call in flight was a part of what its entity is to do, and good: the next part. Time may be over.
    pub fn go_on(&mut self, now: UnixMillis) -> Step {
        let State::Sending { position } = self.state else {
            return Step::GiveUp(AttemptError::Malformed);
        };
        let timeout = self.plan.span(position, now);
        match self.plan.entity(position).filter(|_| timeout.0 > 0) {
            Some(entity) => Step::Send { entity, timeout },
            None => self.fail(AttemptError::Timeout),
        }
    }

    /// Ends a wait that [`Step::Wait`] asked for.
    pub fn resume(&mut self, now: UnixMillis) -> Step {
        match self.state {
            State::Waiting { position } => self.send(now, position),
            State::Ready | State::Sending { .. } | State::Committed | State::Failed => {
                Step::GiveUp(AttemptError::Malformed)
            }
        }
    }

    /// Whether nothing was called yet, and there are at least two that are expected to work.
    pub const fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready) && self.plan.sound > 1
    }

    /// Whether a second call may be made beside the first one, of an entity that is expected to work.
    pub const fn can_double(&self) -> bool {
        let first = matches!(self.state, State::Sending { position: 0 }) && self.made == 1;
        first && self.plan.sound > 1 && self.made < self.plan.attempts_max
    }

    /// Makes it: the second entity of the plan, and how long its call may take. `None` if it may not be.
    pub fn double(&mut self, now: UnixMillis) -> Option<(u32, Millis)> {
        let timeout = self.plan.deadline.since(now).min(self.plan.timeout);
        let entity = self.plan.entity(1).filter(|_| self.can_double() && timeout.0 > 0)?;
        (self.made, self.doubled) = (self.made.saturating_add(1), true);
        Some((entity, timeout))
    }

    /// The position behind `position` that was not called yet.
    const fn next(&self, position: u32) -> u32 {
        let skips = if self.doubled && position == 0 { 2 } else { 1 };
        position.saturating_add(skips)
    }

    /// Whether a failure now would lead to another entity: a stream that only keeps itself alive may be given up.
    pub fn has_onward(&self, now: UnixMillis) -> bool {
        let State::Sending { position } = self.state else { return false };
        self.made < self.plan.attempts_max
            && now < self.plan.deadline
            && self.plan.entity(self.next(position)).is_some()
    }

    /// The position to go on to at once, if there is one that can be afforded.
    fn onward(&self, now: UnixMillis, position: u32, budget: &mut RetryBudget) -> Option<u32> {
        let next = self.next(position);
        let open = self.has_onward(now);
        (open && (next < self.plan.sound || self.afford(budget))).then_some(next)
    }

    fn afford(&self, budget: &mut RetryBudget) -> bool {
        self.plan.retry_percent > 0 && budget.withdraw()
    }

    /// The one entity once more, after a wait, if attempts, time and budget allow. Several entities are called once
    /// each: another round would double the wait of a caller whose every upstream fails.
    fn again(
        &mut self,
        now: UnixMillis,
        random: u64,
        position: u32,
        after: Option<Millis>,
        error: AttemptError,
        budget: &mut RetryBudget,
    ) -> Step {
        let wait = after.unwrap_or_else(|| delay(self.made, random));
        let until = now.plus(wait);
        // A wait that would use up the caller's time helps nobody: the caller may come again itself.
        let open = self.plan.is_single()
            && self.made < self.plan.attempts_max
            && wait <= self.plan.wait_max
            && until < self.plan.deadline;
        if !open || !self.afford(budget) {
            return self.fail(error);
        }
        self.state = State::Waiting { position };
        Step::Wait { until, reason: "the upstream asked for time, or failed in a way that passes" }
    }

    fn send(&mut self, now: UnixMillis, position: u32) -> Step {
        let timeout = self.plan.span(position, now);
        let Some(entity) = self.plan.entity(position).filter(|_| timeout.0 > 0) else {
            return self.fail(AttemptError::Timeout);
        };
        self.made = self.made.saturating_add(1);
        self.state = State::Sending { position };
        Step::Send { entity, timeout }
    }

    fn fail(&mut self, error: AttemptError) -> Step {
        self.state = State::Failed;
        Step::GiveUp(error)
    }
}

#[cfg(test)]
mod tests;
