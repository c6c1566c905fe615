//! The limits of one scope, as an isolate holds them: what one message can speak about. Decides what a message
//! says; not when it is sent (`lease`). Stage 4.

use super::lease::WAIT_MAX;
use super::message::{Answer, MeterQuestion};
use super::pool::Pool;
use crate::snapshot::Meter;
use crate::time::{Millis, UnixMillis};
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

/// Pause of asking ahead after there was nothing to ask for.
const AHEAD_PAUSE: Millis = Millis(50);

/// A scope: its pools and its one call.
#[derive(Debug)]
pub(super) struct Scope {
    pub(super) name: String,
    requests: Option<Pool>,
    tokens: Option<Pool>,
    /// The call under way, and when it was made.
    pub(super) call: Option<(u64, UnixMillis)>,
    /// The last call whose answer was applied.
    heard: u64,
    /// Its entry in the agenda, `MAX` if none.
    pub(super) wake: UnixMillis,
    pub(super) used_at: UnixMillis,
    /// No call before this time.
    pub(super) retry_at: UnixMillis,
    /// No asking ahead before this time.
    pub(super) ahead_at: UnixMillis,
    /// Until then exchanges are not made to wait.
    pub(super) outage_until: UnixMillis,
}

/// A call under way.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) scope: u64,
    pub(super) sent: UnixMillis,
    /// Life of a lease of requests and of tokens, by the limits as they were sent.
    pub(super) lives: [Millis; 2],
}

impl Scope {
    pub(super) fn new(name: &str, now: UnixMillis) -> Self {
        Self {
            name: name.to_owned(),
            requests: None,
            tokens: None,
            call: None,
            heard: 0,
            wake: UnixMillis::MAX,
            used_at: now,
            retry_at: UnixMillis::default(),
            ahead_at: UnixMillis::default(),
            outage_until: UnixMillis::default(),
        }
    }

    pub(super) fn pool(&self, meter: Meter) -> Option<&Pool> {
        match meter {
            Meter::Requests => self.requests.as_ref(),
            Meter::Tokens => self.tokens.as_ref(),
        }
    }

    pub(super) fn pool_mut(&mut self, meter: Meter) -> &mut Option<Pool> {
        match meter {
            Meter::Requests => &mut self.requests,
            Meter::Tokens => &mut self.tokens,
        }
    }

    pub(super) fn pools(&self) -> impl Iterator<Item = &Pool> {
        self.requests.iter().chain(&self.tokens)
    }

    pub(super) fn pools_mut(&mut self) -> impl Iterator<Item = &mut Pool> {
        self.requests.iter_mut().chain(&mut self.tokens)
    }

    /// Until when no message may be sent: the answer to the last one is awaited, or it failed just now.
    pub(super) fn blocked_until(&self) -> UnixMillis {
        self.call.map_or(self.retry_at, |(_, sent)| sent.plus(WAIT_MAX))
    }

    /// What is to be said now, with the lives of the leases that are asked for; `None` if nothing is. `needs` tells
    /// for a meter with so many free cells what the waiting exchanges lack: the least that helps one, and all.
    pub(super) fn questions(
        &mut self,
        now: UnixMillis,
        needs: impl Fn(Meter, u64) -> (u64, u64),
    ) -> Option<(Vec<MeterQuestion>, [Millis; 2])> {
        let mut meters = Vec::new();
        let mut lives = [Millis(0); 2];
        let mut due = false;
        let ahead = self.ahead_at <= now;
        for (meter, life) in [Meter::Requests, Meter::Tokens].into_iter().zip(&mut lives) {
            let Some(pool) = self.pool_mut(meter) else { continue };
            pool.expire(now);
            *life = pool.quota().lease_life();
            let (least, need) = needs(meter, pool.free(now));
            let background = if need > 0 || ahead && pool.is_low(now) { pool.ahead(now) } else { 0 };
            let want = need.max(background);
            due |= want > 0 || pool.report_due(now).is_some_and(|at| at <= now);
            let quota = pool.quota();
            meters.push(MeterQuestion { meter, quota, least, want, settled: Vec::new(), debit: 0 });
        }
        if !due {
            self.ahead_at = now.plus(AHEAD_PAUSE);
            return None;
        }
        for question in &mut meters {
            if let Some(pool) = self.pool_mut(question.meter) {
                (question.settled, question.debit) = pool.report();
            }
        }
        Some((meters, lives))
    }

    /// Takes the leases of an answer, and its levels unless a later call was answered before.
    pub(super) fn apply(&mut self, now: UnixMillis, token: u64, call: &Call, answer: Answer) {
        let newest = token > self.heard;
        self.heard = self.heard.max(token);
        self.outage_until = UnixMillis::default();
        let [requests, tokens] = call.lives;
        for said in answer.meters {
            let life = if said.meter == Meter::Tokens { tokens } else { requests };
            let Some(pool) = self.pool_mut(said.meter) else { continue };
            if said.granted > 0 {
                pool.add(now, call.sent, life, said.lease, said.granted);
            }
            if newest {
                pool.learn(now, said.level);
            }
        }
    }
}
