//! The leases that an isolate holds on all limits. Decides when the limiter is asked, for how much, and which
//! waiting exchange goes ahead; not what the limiter grants (`limiter`). Stage 4.
//!
//! Four kinds of method, in the order of an exchange's life:
//!
//! - [`LeaseBook::reserve`] asks for cells. Mostly they are at hand, or the limiter's last word says no.
//! - [`LeaseBook::poll_message`] gives what is to be sent, until it gives `None`; [`LeaseBook::wants_call`] and
//!   [`LeaseBook::due`] say when it has something. [`LeaseBook::answered`] takes what came back.
//! - [`LeaseBook::waited`] says what became of an exchange that waits. Ask it after an answer came, or again and
//!   again: it decides by itself after [`WAIT_MAX`].
//! - [`LeaseBook::settle`] ends a reservation; [`LeaseBook::abandon`] ends a wait.
//!
//! Everything in it may be lost at any time: that loses cells and gains none.

use super::LimitError;
use super::headers::Standing;
use super::message::{Answer, LimitMessage, Question};
use super::pool::Pool;
use super::reserve::{ASKS_MAX, Ask, Part, Reservation, Reserved, WaitId};
use super::scope::{Call, Scope};
use super::waiting::{Decided, NOTHING, Waiter, Wanted, needs};
use crate::id::IsolateId;
use crate::object::CallOutcome;
use crate::snapshot::Meter;
use crate::time::{Millis, UnixMillis};
use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use hashbrown::HashMap;

/// How long an exchange waits for the limiter, and a call for its answer.
pub const WAIT_MAX: Millis = Millis(2000);
/// How long an answer is still taken for what it grants.
const LATE_MAX: Millis = Millis(10_000);
/// Pause before a call that failed is made again.
const RETRY_DELAY: Millis = Millis(500);
/// How long exchanges are not made to wait after one has waited in vain.
const OUTAGE: Millis = Millis(1000);
/// How long the outcome of a wait is kept for an exchange that does not come for it.
const DECIDED_MAX: Millis = Millis(5000);
/// Exchanges that may wait for limiters at a time.
const WAITING_MAX: usize = 10_000;
/// Scopes that may be held at a time, and how long an idle one is kept.
const SCOPES_MAX: usize = 20_000;
const SCOPE_IDLE: Millis = Millis::from_secs(60);
/// Scopes below which no idle one is looked for.
const SCOPES_FEW: usize = 64;
/// A clock that goes back by less stands still instead; by more, all leases end.
const CLOCK_STEP_MAX: Millis = Millis(5);

/// The leases of one isolate.
#[derive(Debug)]
pub struct LeaseBook {
    now: UnixMillis,
    names: HashMap<String, u64>,
    scopes: BTreeMap<u64, Scope>,
    /// When which scope needs attention.
    agenda: BTreeSet<(UnixMillis, u64)>,
    calls: BTreeMap<u64, Call>,
    waiting: VecDeque<Waiter>,
    decided: BTreeMap<WaitId, Decided>,
    last_scope: u64,
    last_token: u64,
    last_wait: u64,
    prune_at: UnixMillis,
    fail_open_admissions: u64,
}

impl LeaseBook {
    /// An isolate's book, empty.
    pub fn new(isolate: IsolateId) -> Self {
        Self {
            now: UnixMillis::default(),
            names: HashMap::new(),
            scopes: BTreeMap::new(),
            agenda: BTreeSet::new(),
            calls: BTreeMap::new(),
            waiting: VecDeque::new(),
            decided: BTreeMap::new(),
            last_scope: 0,
            // Tokens of two isolates differ, so a trace that has both can be read.
            last_token: isolate.0 >> 1,
            last_wait: 0,
            prune_at: UnixMillis::default(),
            fail_open_admissions: 0,
        }
    }

    /// Sets aside the cells of all `asks`, or of none. More than [`ASKS_MAX`] asks are refused as unavailable.
    pub fn reserve(&mut self, now: UnixMillis, asks: &[Ask<'_>]) -> Reserved {
        let now = self.tick(now);
        if let Some(error) = asks.iter().find_map(Ask::hopeless) {
            return Reserved::Refused(error);
        }
        let mut wanted = [NOTHING; ASKS_MAX];
        for (place, ask) in wanted.iter_mut().zip(asks) {
            let Some(scope) = self.scope_id(now, ask.scope) else {
                return Reserved::Refused(LimitError::Unavailable);
            };
            *place = Wanted { scope, meter: ask.meter, cells: ask.cells, fail_open: ask.fail_open };
            if let Some(scope) = self.scopes.get_mut(&scope) {
                let pool = scope.pool_mut(ask.meter).get_or_insert_with(|| Pool::new(ask.quota));
                pool.set_quota(ask.quota);
                pool.expire(now);
                pool.note(now, ask.cells);
                scope.used_at = now;
            }
        }
        let Some(wanted) = wanted.get(..asks.len()) else {
            return Reserved::Refused(LimitError::Unavailable);
        };
        if let Some(reservation) = self.take(now, wanted) {
            return Reserved::Ready(reservation);
        }
        if let Some(error) = self.refusal(now, wanted) {
            return Reserved::Refused(error);
        }
        let lacking = wanted.iter().filter(|want| self.lacks(now, wanted, want));
        let outage = lacking
            .clone()
            .any(|want| self.scopes.get(&want.scope).is_some_and(|scope| now < scope.outage_until));
        if outage || self.waiting.len() >= WAITING_MAX {
            return Reserved::from(self.go_open(now, wanted));
        }
        self.last_wait = self.last_wait.saturating_add(1);
        let id = WaitId(self.last_wait);
        self.wait(now, Waiter { id, since: now, wanted: wanted.to_vec() });
        Reserved::Wait(id)
    }

    /// Ends the reservation of an exchange that used `tokens`. Its request counts. Tokens that were not used serve
    /// other exchanges or go back; what was used beyond the estimate is charged afterwards.
    pub fn settle(&mut self, now: UnixMillis, reservation: Reservation, tokens: u64) {
        self.end(now, reservation, |meter, reserved| match meter {
            Meter::Requests => reserved,
            Meter::Tokens => tokens,
        });
    }

    /// Ends a reservation whose use is unknown: it counts in full.
    pub fn settle_as_reserved(&mut self, now: UnixMillis, reservation: Reservation) {
        self.end(now, reservation, |_, reserved| reserved);
    }

    /// Ends the reservation of an exchange that never went ahead: nothing of it counts.
    pub fn release(&mut self, now: UnixMillis, reservation: Reservation) {
        self.end(now, reservation, |_, _| 0);
    }

    /// The next message to send, if there is one.
    pub fn poll_message(&mut self, now: UnixMillis) -> Option<LimitMessage> {
        if !self.wants_call(now) {
            return None;
        }
        let now = self.tick(now);
        while let Some(&(at, id)) = self.agenda.first()
            && at <= now
        {
            self.agenda.pop_first();
            if let Some(scope) = self.scopes.get_mut(&id) {
                scope.wake = UnixMillis::MAX;
            }
            let message = self.compose(now, id);
            self.plan(now, id);
            if message.is_some() {
                return message;
            }
        }
        None
    }

    /// What became of a message. An answer that comes late still counts as far as its leases live.
    pub fn answered(&mut self, now: UnixMillis, token: u64, outcome: CallOutcome<'_>) {
        let now = self.tick(now);
        let Some(call) = self.calls.remove(&token) else { return };
        let answer = match outcome {
            CallOutcome::Answered(body) => serde_json::from_slice::<Answer>(body).ok(),
            CallOutcome::Lost => None,
        };
        let Some(scope) = self.scopes.get_mut(&call.scope) else { return };
        if scope.call.is_some_and(|(under_way, _)| under_way == token) {
            scope.call = None;
        }
        match answer {
            Some(answer) => scope.apply(now, token, &call, answer),
            None => scope.retry_at = now.plus(RETRY_DELAY),
        }
        self.decide(now);
        self.plan(now, call.scope);
    }

    /// What became of an exchange that waits: `Wait` with the same name while it is open. Each outcome is told
    /// once; a name that is not known is refused as unavailable.
    pub fn waited(&mut self, now: UnixMillis, id: WaitId) -> Reserved {
        let now = self.tick(now);
        if let Some(Decided { waiter, outcome, .. }) = self.decided.remove(&id) {
            match outcome {
                // It comes too late for what was set aside for it: that must not be used any more.
                Ok(reservation) if reservation.expires.is_some_and(|expires| expires <= now) => {
                    self.release(now, reservation);
                    self.wait(now, waiter);
                }
                outcome => return Reserved::from(outcome),
            }
        }
        let Some(at) = self.waiting.iter().position(|waiter| waiter.id == id) else {
            return Reserved::Refused(LimitError::Unavailable);
        };
        if self.waiting.get(at).is_some_and(|waiter| now < waiter.since.plus(WAIT_MAX)) {
            return Reserved::Wait(id);
        }
        let wanted = self.waiting.remove(at).map(|waiter| waiter.wanted).unwrap_or_default();
        match self.take(now, &wanted) {
            Some(reservation) => Reserved::Ready(reservation),
            None => Reserved::from(self.outage(now, &wanted)),
        }
    }

    /// Ends a wait: its exchange was given up.
    pub fn abandon(&mut self, now: UnixMillis, id: WaitId) {
        self.waiting.retain(|waiter| waiter.id != id);
        if let Some(Decided { outcome: Ok(reservation), .. }) = self.decided.remove(&id) {
            self.release(now, reservation);
        }
    }

    /// Whether [`LeaseBook::poll_message`] may have something to send now.
    pub fn wants_call(&self, now: UnixMillis) -> bool {
        self.due().is_some_and(|due| due <= now.max(self.now))
    }

    /// When [`LeaseBook::poll_message`] next has something to send; `None` if only after another call.
    pub fn due(&self) -> Option<UnixMillis> {
        self.agenda.first().map(|(at, _)| *at)
    }

    /// How the limits of a reservation stand now, as far as this isolate knows: one for each meter, that of the
    /// limit with the least left.
    pub fn standings(&self, now: UnixMillis, reservation: &Reservation) -> Vec<Standing> {
        let now = now.max(self.now);
        let mut standings: Vec<Standing> = Vec::with_capacity(2);
        for held in reservation.held() {
            let pool = self.scopes.get(&held.scope).and_then(|scope| scope.pool(held.meter()));
            let Some(standing) = pool.and_then(|pool| pool.standing(now, held.meter())) else { continue };
            match standings.iter_mut().find(|other| other.meter == standing.meter) {
                Some(other) if other.remaining <= standing.remaining => {}
                Some(other) => *other = standing,
                None => standings.push(standing),
            }
        }
        standings
    }

    /// How one limit stands now, as far as this isolate knows; `None` before the limiter's first word.
    pub fn standing(&self, now: UnixMillis, scope: &str, meter: Meter) -> Option<Standing> {
        let pool = self.scopes.get(self.names.get(scope)?)?.pool(meter)?;
        pool.standing(now.max(self.now), meter)
    }

    /// Exchanges that were admitted unmetered because the limiter could not be reached.
    pub const fn fail_open_admissions(&self) -> u64 {
        self.fail_open_admissions
    }

    /// How many scopes are held in memory.
    pub fn scopes_held(&self) -> usize {
        self.scopes.len()
    }

    /// The event's time, or the last one's if that was a little later.
    fn tick(&mut self, now: UnixMillis) -> UnixMillis {
        if self.now.since(now) > CLOCK_STEP_MAX {
            self.now = now;
            for scope in self.scopes.values_mut() {
                scope.pools_mut().for_each(|pool| pool.expire_all(now));
                (scope.retry_at, scope.ahead_at, scope.outage_until) = (now, now, now);
                scope.call = None;
            }
            self.calls.clear();
            self.waiting.iter_mut().for_each(|waiter| waiter.since = now);
            let all: Vec<u64> = self.scopes.keys().copied().collect();
            for id in all {
                self.wake(id, now);
            }
        }
        self.now = self.now.max(now);
        self.now
    }

    /// Ends a reservation; `actual` says how much of a meter was used where so much was reserved.
    #[expect(clippy::needless_pass_by_value, reason = "a reservation ends once")]
    fn end(&mut self, now: UnixMillis, reservation: Reservation, actual: impl Fn(Meter, u64) -> u64) {
        let now = self.tick(now);
        for (ask, held) in reservation.held().iter().enumerate() {
            let Some(scope) = self.scopes.get_mut(&held.scope) else { continue };
            let Some(pool) = scope.pool_mut(held.meter()) else { continue };
            let mut left = actual(held.meter(), held.cells);
            for part in reservation.parts().filter(|part| part.ask == ask) {
                let used = left.min(part.cells);
                left = left.saturating_sub(used);
                pool.settle(now, part.lease, used, part.cells.saturating_sub(used));
            }
            if left > 0 {
                pool.overuse(now, left);
            }
            if let Some(due) = pool.report_due(now) {
                self.wake(held.scope, due);
            }
        }
    }

    /// Reserves all of `wanted` if it is at hand.
    fn take(&mut self, now: UnixMillis, wanted: &[Wanted]) -> Option<Reservation> {
        if wanted.iter().any(|want| self.lacks(now, wanted, want)) {
            return None;
        }
        let mut reservation = Reservation::default();
        for (ask, want) in wanted.iter().enumerate() {
            let scope = self.scopes.get_mut(&want.scope)?;
            let ahead_at = scope.ahead_at;
            let pool = scope.pool_mut(want.meter).as_mut()?;
            reservation.hold(want.scope, want.meter, want.cells);
            pool.draw(now, want.cells, |lease, cells, expires| {
                reservation.push(Part { ask, lease, cells }, expires);
            });
            if ahead_at <= now && pool.is_low(now) {
                self.wake(want.scope, now);
            }
        }
        Some(reservation)
    }

    /// Whether a pool has too little for `want` and the asks of the same exchange on the same limit.
    fn lacks(&self, now: UnixMillis, wanted: &[Wanted], want: &Wanted) -> bool {
        let same = wanted.iter().filter(|other| other.scope == want.scope && other.meter == want.meter);
        let cells = same.fold(0u64, |sum, other| sum.saturating_add(other.cells));
        self.pool(want).is_none_or(|pool| pool.free(now) < cells)
    }

    /// The refusal that the limiter's last word amounts to, if it does.
    fn refusal(&self, now: UnixMillis, wanted: &[Wanted]) -> Option<LimitError> {
        let waits = wanted.iter().filter_map(|want| {
            let wait = self.pool(want)?.refused(now, want.cells);
            (wait > Millis(0)).then_some((wait, want.meter))
        });
        waits
            .max_by_key(|(wait, _)| *wait)
            .map(|(retry_after, meter)| LimitError::Exceeded { meter, retry_after })
    }

    /// Lets an exchange wait for the scopes that have too little for it.
    fn wait(&mut self, now: UnixMillis, waiter: Waiter) {
        for want in &waiter.wanted {
            if self.lacks(now, &waiter.wanted, want) {
                self.wake(want.scope, now);
            }
        }
        let place = self.waiting.partition_point(|other| other.since <= waiter.since);
        self.waiting.insert(place, waiter);
    }

    /// Looks through the waiting exchanges, in the order in which they came.
    fn decide(&mut self, now: UnixMillis) {
        while let Some(entry) = self.decided.first_entry()
            && entry.get().at.plus(DECIDED_MAX) < now
        {
            if let Ok(reservation) = entry.remove().outcome {
                self.release(now, reservation);
            }
        }
        for waiter in core::mem::take(&mut self.waiting) {
            let outcome = match self.take(now, &waiter.wanted) {
                Some(reservation) => Some(Ok(reservation)),
                None => self.refusal(now, &waiter.wanted).map(Err),
            };
            match outcome {
                Some(outcome) => {
                    self.decided.insert(waiter.id, Decided { at: now, waiter, outcome });
                }
                None => self.waiting.push_back(waiter),
            }
        }
    }

    /// The limiter did not answer in time: notes it and decides without it.
    fn outage(&mut self, now: UnixMillis, wanted: &[Wanted]) -> Result<Reservation, LimitError> {
        for want in wanted {
            if self.lacks(now, wanted, want)
                && let Some(scope) = self.scopes.get_mut(&want.scope)
            {
                scope.outage_until = now.plus(OUTAGE);
            }
        }
        self.go_open(now, wanted)
    }

    /// Admits what is lacking unmetered, if each of its asks allows that.
    fn go_open(&mut self, now: UnixMillis, wanted: &[Wanted]) -> Result<Reservation, LimitError> {
        let mut met = wanted.to_vec();
        for (place, want) in met.iter_mut().zip(wanted) {
            if self.lacks(now, wanted, want) {
                if !want.fail_open {
                    return Err(LimitError::Unavailable);
                }
                place.cells = 0;
            }
        }
        self.fail_open_admissions = self.fail_open_admissions.saturating_add(1);
        self.take(now, &met).ok_or(LimitError::Unavailable)
    }

    /// The message that a scope has to send now, if any.
    fn compose(&mut self, now: UnixMillis, id: u64) -> Option<LimitMessage> {
        let waiting = &self.waiting;
        let scope = self.scopes.get_mut(&id)?;
        if scope.blocked_until() > now {
            return None;
        }
        let (meters, lives) = scope.questions(now, |meter, free| needs(waiting, id, meter, free))?;
        self.last_token = self.last_token.saturating_add(1);
        let token = self.last_token;
        scope.call = Some((token, now));
        let object = scope.name.clone();
        let oldest = now.minus(LATE_MAX);
        self.calls.retain(|_, call| call.sent >= oldest);
        self.calls.insert(token, Call { scope: id, sent: now, lives });
        let body = serde_json::to_vec(&Question { meters }).unwrap_or_default();
        Some(LimitMessage { token, object, body })
    }

    /// Puts the scope on the agenda for when it next needs attention.
    fn plan(&mut self, now: UnixMillis, id: u64) {
        let Some(scope) = self.scopes.get(&id) else { return };
        let returns = scope.pools().filter_map(|pool| pool.report_due(now).or_else(|| pool.next_expiry()));
        let mut next = returns.min();
        let lacking = self.waiting.iter().any(|waiter| {
            let lacks = |want: &Wanted| want.scope == id && self.lacks(now, &waiter.wanted, want);
            waiter.wanted.iter().any(lacks)
        });
        if lacking {
            next = Some(now);
        }
        let blocked = scope.blocked_until();
        if let Some(next) = next {
            self.wake(id, next.max(blocked));
        }
    }

    /// Sees to it that a scope gets attention at `at` or before.
    fn wake(&mut self, id: u64, at: UnixMillis) {
        if let Some(scope) = self.scopes.get_mut(&id)
            && at < scope.wake
        {
            self.agenda.remove(&(scope.wake, id));
            self.agenda.insert((at, id));
            scope.wake = at;
        }
    }

    fn pool(&self, want: &Wanted) -> Option<&Pool> {
        self.scopes.get(&want.scope)?.pool(want.meter)
    }

    /// The scope's number, a new one if it is not known; `None` if there are too many.
    fn scope_id(&mut self, now: UnixMillis, name: &str) -> Option<u64> {
        if let Some(id) = self.names.get(name) {
            return Some(*id);
        }
        if self.scopes.len() >= SCOPES_FEW && self.prune_at <= now {
            self.prune(now);
        }
        if self.scopes.len() >= SCOPES_MAX {
            return None;
        }
        self.last_scope = self.last_scope.saturating_add(1);
        self.names.insert(name.to_owned(), self.last_scope);
        self.scopes.insert(self.last_scope, Scope::new(name, now));
        Some(self.last_scope)
    }

    /// Forgets scopes that nobody uses.
    fn prune(&mut self, now: UnixMillis) {
        let (names, agenda) = (&mut self.names, &mut self.agenda);
        self.scopes.retain(|id, scope| {
            scope.pools_mut().for_each(|pool| pool.expire(now));
            let idle = now.since(scope.used_at) >= SCOPE_IDLE && scope.pools().all(Pool::is_idle);
            if idle {
                names.remove(&scope.name);
                agenda.remove(&(scope.wake, *id));
            }
            !idle
        });
        self.prune_at = now.plus(Millis(SCOPE_IDLE.0 / 4));
    }
}
