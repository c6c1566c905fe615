//! A second call beside one that is slow to speak: the first content of either is the answer.
//!
//! Above the stages. Decides what the two calls of one exchange do to each other. Each has a handle of its own, and of
//! each the driver performs the actions. The first call's [`Running`] has all that the caller is owed (its reservation,
//! its policy, its dialect); the second one's only what its call needs, and hands that over if it wins. Whoever speaks
//! first ends the other; whoever fails leaves the exchange to the other, and only the last one's failure is an
//! outcome. What the loser told of its usage is recorded apart.

use super::action::Action;
use super::isolate::Isolate;
use super::running::{PreparedEntity, Running};
use super::tracking::{Track, Tried};
use super::words::Words;
use crate::attempt::budget::RetryBudget;
use crate::attempt::plan::AttemptPlan;
use crate::attempt::{AttemptMachine, Outcome};
use crate::time::{Millis, UnixMillis};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Which of the two calls of an exchange it is.
pub(super) enum Leg {
    /// The first one. It may have failed and wait for what becomes of the other.
    First { other: u32, failed: Option<(Outcome, Option<Words>)> },
    /// The second one, of this entity of the first one's plan.
    Second { first: u32, entity: u32 },
}

impl Leg {
    /// Whether all that the caller is owed is the other one's.
    pub(super) const fn is_second(&self) -> bool {
        matches!(self, Self::Second { .. })
    }
}

impl Running {
    /// After which time a second call may be made beside the one that is about to be sent.
    pub(super) fn hedge_after(&self) -> Option<Millis> {
        let first = self.leg.is_none() && self.machine.made() == 1;
        self.hedge.filter(|_| first && self.machine.can_double())
    }

    /// What its call needs, for another call beside it.
    fn second(&self, first: u32, entity: u32, timeout: Millis, now: UnixMillis) -> Option<Self> {
        let prepared = self.entities.get(usize::try_from(entity).ok()?)?.again();
        let plan = AttemptPlan {
            entities: Vec::from([0]),
            sound: 1,
            attempts_max: 1,
            deadline: now.plus(timeout),
            timeout,
            retry_percent: 0,
            wait_max: Millis(0),
        };
        let place = (self.account.clone(), self.scope.clone());
        let asked = (self.surface, self.operation, self.task);
        let (machine, entities) = (AttemptMachine::new(plan), Vec::from([prepared]));
        Some(Self {
            model: self.model.clone(),
            version: self.version.clone(),
            prompt_chars: self.prompt_chars,
            streamed: true,
            usage_wanted: self.usage_wanted,
            body_bytes: self.body_bytes,
            leg: Some(Box::new(Leg::Second { first, entity })),
            track: Track::new(self.track.on, false),
            ..Self::bare(self.admission, place, asked, self.deadlines, machine, entities)
        })
    }

    /// Swaps the calls of two legs of one exchange. The exchange then goes on with a call of this entity of its plan; of
    /// the other one only what follows a call is right.
    fn exchange_calls(&mut self, other: &mut Self, entity: u32) {
        use core::mem::swap;
        swap(&mut self.relay, &mut other.relay);
        swap(&mut self.decoder, &mut other.decoder);
        swap(&mut self.held, &mut other.held);
        swap(&mut self.own_words, &mut other.own_words);
        swap(&mut self.until, &mut other.until);
        self.track.swap_calls(&mut other.track);
        if let Some((own, lost)) = other.entities.first_mut().zip(self.called()) {
            own.name.clone_from(&lost.name);
        }
        self.entity = entity;
    }
}

impl PreparedEntity {
    fn again(&self) -> Self {
        Self {
            name: self.name.clone(),
            why: self.why,
            load: self.load,
            price: self.price.clone(),
            send: self.send.clone(),
            translation: self.translation.clone(),
            lenient: self.lenient,
        }
    }
}

impl Isolate {
    /// Decides whether and when an exchange that begins may make a second call. Only streams do: a plain answer says nothing
    /// before it is whole, and how long that takes is how much it says. A call that is passed on may leave something behind
    /// at its upstream, which two would leave twice. One that may go to another deployment has a handle that must stay its
    /// own.
    pub(super) fn may_hedge(&mut self, running: &mut Running) {
        let Some(hedge) = running.hedging else { return };
        let apt = running.streamed
            && running.passed.is_none()
            && running.aside.is_none()
            && running.machine.is_ready()
            && !running.buffers()
            && running.kept.is_none();
        if apt {
            let hedging = self.hedges.entry(running.scope.clone()).or_default();
            running.hedge = hedging.begin(&hedge, running.prompt_chars);
        }
    }

    /// The time that [`super::Send::hedge`] names is over, and the call has not come to an action that ends it. Answers a
    /// handle and what to do for it beside the first call; [`Action::Abort`] if nothing.
    pub fn hedge(&mut self, now: UnixMillis, handle: u32) -> (u32, Action) {
        let nothing = (handle, Action::Abort(Vec::new()));
        let Some(mut first) = self.take(handle) else { return nothing };
        let open = first.hedge_after().is_some() && first.head_at.is_none();
        let affordable = open
            && self.hedges.get_mut(&first.scope).is_some_and(|hedging| hedging.withdraw(first.prompt_chars));
        let doubled = if affordable { first.machine.double(now) } else { None };
        let own = self.new_handle();
        let second = doubled.and_then(|(entity, timeout)| first.second(handle, entity, timeout, now));
        let Some(mut second) = second else {
            self.keep(now, handle, first);
            return nothing;
        };
        first.leg = Some(Box::new(Leg::First { other: own, failed: None }));
        self.keep(now, handle, first);
        let step = second.machine.first(now, &mut RetryBudget::default());
        (own, self.perform(now, own, second, step, None))
    }

    /// A call of two failed: the other one decides.
    pub(super) fn leg_failed(
        &mut self,
        now: UnixMillis,
        random: u64,
        handle: u32,
        mut running: Running,
        outcome: &Outcome,
        words: Option<Words>,
    ) -> Action {
        match running.leg.take().map(|leg| *leg) {
            Some(Leg::First { other, .. }) => {
                running.leg = Some(Box::new(Leg::First { other, failed: Some((outcome.clone(), words)) }));
                self.log_goes_on(&mut running, other);
                self.keep(now, handle, running);
                Action::Abort(Vec::new())
            }
            Some(Leg::Second { first, entity }) => {
                self.track_outcome(now, &mut running, outcome);
                let Some(mut rest) = self.take(first) else { return Action::Abort(Vec::new()) };
                rest.tried.extend(running.tried.into_iter().map(|tried| Tried { entity, ..tried }));
                if let Some(Leg::First { failed: Some((outcome, words)), .. }) =
                    rest.leg.take().map(|leg| *leg)
                {
                    return self.outcome(now, random, handle, rest, &outcome, words);
                }
                self.keep(now, first, rest);
                Action::Abort(Vec::new())
            }
            None => self.outcome(now, random, handle, running, outcome, words),
        }
    }

    /// The call's stream is about to be the answer: the other call is over. `None` if the exchange is.
    pub(super) fn won(&mut self, now: UnixMillis, handle: u32, mut running: Running) -> Option<Running> {
        let (_, took) = running.track.span(now, running.admission.began);
        if let Some(hedging) = self.hedges.get_mut(&running.scope) {
            hedging.saw(took);
        }
        match running.leg.take().map(|leg| *leg) {
            None => Some(running),
            Some(Leg::First { other, .. }) => {
                let Some(mut loser) = self.take(other) else { return Some(running) };
                if let Some(Leg::Second { entity, .. }) = loser.leg.take().map(|leg| *leg) {
                    self.overtaken(now, &mut loser, &mut running, entity);
                }
                Some(running)
            }
            Some(Leg::Second { first, entity }) => {
                let Some(mut whole) = self.take(first) else {
                    self.track_left(now, &mut running);
                    return None;
                };
                self.log_goes_on(&mut whole, handle);
                if let Some(Leg::First { failed: Some((outcome, _)), .. }) = whole.leg.take().map(|leg| *leg)
                {
                    self.track_outcome(now, &mut whole, &outcome);
                    whole.exchange_calls(&mut running, entity);
                } else {
                    // The first call becomes the loser, and the second one's what the exchange goes on with.
                    let lost = whole.entity;
                    whole.exchange_calls(&mut running, entity);
                    self.overtaken(now, &mut running, &mut whole, lost);
                }
                Some(whole)
            }
        }
    }

    /// The call of `loser`, of this entity of the plan of `whole`, is over because the other one spoke first. It was at
    /// least so slow; what it told of its usage has a record of its own.
    fn overtaken(&mut self, now: UnixMillis, loser: &mut Running, whole: &mut Running, entity: u32) {
        self.track_overtaken(now, loser);
        let (at, took) = loser.track.span(now, whole.admission.began);
        whole.tried.push(Tried { entity, at, took, outcome: None });
        let Some(used) = loser.relay.take().and_then(|relay| relay.observed().usage) else { return };
        self.spent(now, whole, entity, used, "overtaken");
    }
}
