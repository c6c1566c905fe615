//! Counting the tokens of a message: asked of an upstream that can (Anthropic's own), else estimated.
//!
//! Above the stages. Decides who is asked, and that nobody is left without a count because an upstream is: only that it
//! refuses the message is told. A count takes nothing from limits and has no price. Source: `providers.md`, 4.

use super::action::Action;
use super::admit::Stop;
use super::filtering::{Asked, Form};
use super::isolate::Isolate;
use super::passed::Passed;
use super::prepare::Facts;
use super::running::Running;
use super::tracking::Track;
use crate::attempt::AttemptError;
use crate::error::WeirError;
use crate::id::AccountId;
use crate::limit::Reservation;
use crate::reply::{self, Reply};
use crate::snapshot::index::SnapshotIndex;
use crate::time::UnixMillis;
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;

/// Calls that are made for one count.
const ATTEMPTS_MAX: u32 = 2;

impl Isolate {
    /// The question for a count to those of the deployment's entities that speak the caller's dialect; `estimate` is the
    /// answer where there are none, or where a policy does more with a prompt than to look it up in lists.
    pub(super) fn admit_count(
        &mut self,
        facts: &Facts<'_>,
        account: AccountId,
        index: &Rc<SnapshotIndex>,
        estimate: String,
    ) -> Result<Box<Running>, Stop> {
        let mut entities = facts.prepare(&account, &self.health).unwrap_or_default();
        entities.retain(|entity| entity.translation.as_ref().is_some_and(|own| own.is_own_words()));
        let asked = Asked { form: Form::Unread, ..Asked::of(facts.task, facts.envelope) };
        let judged = self.judge(facts, Some(asked), Reservation::default(), index).map_err(Stop::from);
        let (reservation, filtering) = self.counted(facts, &account, judged)?;
        let changes =
            filtering.is_some_and(|policy| !policy.mask.is_empty() || policy.classifier().is_some());
        if entities.is_empty() || changes {
            return Err(Stop::Answer(estimate));
        }
        let mut running = facts.running_with(account, reservation, entities, ATTEMPTS_MAX, None);
        running.spills = false;
        running.track = Track::new(false, facts.explained());
        running.passed = Some(Box::new(Passed::counting(estimate)));
        Ok(running)
    }

    /// The estimate instead of an upstream's count, which there is none of; nothing if it said that the message is no good.
    pub(super) fn estimated(
        &mut self,
        now: UnixMillis,
        running: &mut Running,
        error: &WeirError,
    ) -> Option<Action> {
        let refused = matches!(
            error,
            WeirError::Attempt(
                AttemptError::UpstreamStatus { status: 400 | 413, .. } | AttemptError::PromptTooLong { .. }
            )
        );
        let estimate = running.passed.as_mut().filter(|_| !refused)?.estimate.take()?;
        self.leases.settle(now, core::mem::take(&mut running.reservation), 0);
        let Reply { status, mut headers, body } =
            reply::found(estimate, running.surface, running.admission.id);
        self.dress(&mut headers, running.surface, running.client_request_id.as_deref());
        Some(Action::Reply(Reply { status, headers, body }))
    }
}
