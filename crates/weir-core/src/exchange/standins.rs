//! Responses where some entities of a deployment have the API and others do not, or none has it.
//!
//! Above the stages. Decides that those that have it are called first, as the call came: what they make is stored where
//! they are. The others stand in for them by way of a chat, as far as the deployment has a fallback and the request can
//! be said so; where none has it, the request is a chat from the beginning. A content policy reads the answer in the form
//! of the entity that gives it.

use super::action::Request;
use super::admit::{Admission, Stop};
use super::filtering::{Asked, Filtering, Form, Part};
use super::isolate::Isolate;
use super::pass::Asking;
use super::passed::Passed;
use super::prepare::Facts;
use super::running::{PreparedEntity, Running};
use super::tracking::Track;
use super::translated::Spoken;
use crate::attempt::plan::AttemptPlan;
use crate::id::AccountId;
use crate::limit::Reservation;
use crate::route::select::Why;
use crate::snapshot::Task;
use crate::snapshot::index::ReadyDeployment;
use crate::surface::{DataRoute, Matter};
use crate::translate::caller::CallerDialect;
use crate::wire::envelope::{Edit, Envelope};
use crate::wire::marks::Mark;
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// The chat by which entities are asked that do not have the API.
pub(super) struct StandIn {
    spoken: Spoken,
    bearers: Vec<Option<alloc::string::String>>,
}

/// What a passed call will do, beside its facts.
pub(super) struct PassPlan {
    pub(super) matter: Matter,
    /// The calls of the entities that have the API.
    pub(super) prepared: Vec<(PreparedEntity, Mark)>,
    pub(super) standin: Option<StandIn>,
    /// Whether it asks a model for something.
    pub(super) generates: bool,
    /// Whether it may be made once only.
    pub(super) once: bool,
    /// Whether another deployment takes what this one refuses.
    pub(super) spills: bool,
}

impl StandIn {
    /// What follows from the chat, its facts beside those of the call as it came.
    fn with<T>(&self, facts: &Facts<'_>, then: impl FnOnce(&Facts<'_>) -> T) -> T {
        let request = Request { body: self.spoken.canonical(), ..*facts.request };
        // It was written here, so it can be read.
        let envelope = Envelope::parse(request.body, Some(Task::Chat)).unwrap_or_else(|_| Envelope::empty());
        let route = DataRoute { task: Some(Task::Chat), ..facts.route.clone() };
        let (spoken, bearers) = (Some(&self.spoken), self.bearers.as_slice());
        let (request, envelope, route) = (&request, &envelope, &route);
        then(&Facts { request, envelope, route, task: Task::Chat, spoken, bearers, ..*facts })
    }
}

impl Running {
    /// The entity at this place is called next: with the call as it came, if it has the API.
    pub(super) fn turn_to(&mut self, entity: u32) {
        let aside = self.aside.is_some();
        let Some(mut passed) = self.passed.take().or_else(|| self.aside.take()) else { return };
        let as_it_came = passed.begin(entity);
        if aside == as_it_came
            && let Some(filtering) = &mut self.filtering
        {
            filtering.turn_to(if as_it_came { Form::Response } else { Form::Chat });
        }
        let place = if as_it_came { &mut self.passed } else { &mut self.aside };
        *place = Some(passed);
    }
}

impl Isolate {
    /// The admission of a response that no entity of `ready` gives but by way of a chat.
    pub(super) fn admit_translated(
        &mut self,
        asking: &Asking<'_>,
        ready: &ReadyDeployment,
        account: AccountId,
        admission: &mut Admission,
    ) -> Result<Running, Stop> {
        let spoken = Spoken::read(CallerDialect::Responses, asking.request.body)?;
        let name = Some(Cow::Borrowed(ready.deployment.name.as_str()));
        let route = DataRoute { task: Some(Task::Chat), name, ..asking.route.clone() };
        self.admit_spoken(&Asking { route: &route, ..*asking }, account, admission, &spoken)
    }

    /// The chat by which the entities without the API are asked, if there are some besides `having` of them and the
    /// request is no more than a chat.
    pub(super) fn standin(
        &mut self,
        facts: &Facts<'_>,
        account: &AccountId,
        having: usize,
    ) -> Result<Option<StandIn>, Stop> {
        let deployment = &facts.ready.deployment;
        let chats = deployment.task == Task::Chat && deployment.fallback;
        if !chats || deployment.entities.len() <= having {
            return Ok(None);
        }
        let Ok(spoken) = Spoken::read(CallerDialect::Responses, facts.request.body) else { return Ok(None) };
        match self.bearers(facts.now, account, facts.ready, &facts.admission) {
            Ok(bearers) => Ok(Some(StandIn { spoken, bearers })),
            Err(stop @ Stop::Pause(_)) => Err(stop),
            Err(_) => Ok(None),
        }
    }

    /// The exchange of a passed call.
    pub(super) fn begin_passed(
        &self,
        facts: &Facts<'_>,
        plan: PassPlan,
        account: AccountId,
        reservation: Reservation,
        filtering: Option<Box<Filtering>>,
    ) -> Running {
        let PassPlan { matter, prepared, standin, generates, once, spills } = plan;
        let hidden = filtering.as_ref().map(|filtering| filtering.mask.as_slice()).unwrap_or_default();
        let mut calls: Vec<(PreparedEntity, Option<Mark>)> =
            prepared.into_iter().map(|(entity, mark)| (entity, Some(mark))).collect();
        for edits in calls.iter_mut().map(|(entity, _)| &mut entity.send.edits).filter(|_| !hidden.is_empty())
        {
            edits.extend_from_slice(hidden);
            edits.sort_by_key(|edit| (edit.start, edit.end));
        }
        if let Some(standin) = &standin {
            let others = standin.with(facts, |chat| {
                let asked = Asked::of(Task::Chat, chat.envelope);
                let mask = asked
                    .parts
                    .iter()
                    .filter(|_| !hidden.is_empty())
                    .flat_map(Part::mask)
                    .collect::<Vec<_>>();
                if mask.is_empty() {
                    return chat.prepare(&account, &self.health);
                }
                chat.prepare_masked(&Edit::apply(chat.request.body, &mask), &account, &self.health)
            });
            let mut others: Vec<PreparedEntity> = others.unwrap_or_default();
            others.retain(|other| calls.iter().all(|(having, _)| having.name != other.name));
            calls.extend(others.into_iter().map(|entity| (entity, None)));
            calls.sort_by_key(|(entity, mark)| (entity.why == Why::Out, mark.is_none()));
        }
        let (entities, marks): (Vec<PreparedEntity>, Vec<Option<Mark>>) = calls.into_iter().unzip();
        let most = AttemptPlan::ATTEMPTS_MAX.max(u32::try_from(entities.len()).unwrap_or(0));
        let attempts = if once { 1 } else { most };
        let passed = Passed::new(marks, matter, generates);
        let mut running = facts.running_with(account, reservation, entities, attempts, filtering);
        running.spills = spills;
        // What an image or a file takes tells nothing of how soon a model speaks.
        running.track = Track::new(false, facts.explained());
        running.passed = Some(Box::new(passed));
        if let Some(standin) = &standin {
            running.usage_wanted = true;
            running.teller = standin.with(facts, |chat| chat.teller().map(Box::new));
        }
        running
    }
}
