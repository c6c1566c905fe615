//! The end of an exchange: its reservation settled and its record written.
//!
//! Above the stages. Decides what a record says, also of one that was turned away; not when an exchange ends (`finish`,
//! `passed`).

use super::admit::Stop;
use super::isolate::Isolate;
use super::prepare::Facts;
use super::running::Running;
use crate::account::price;
use crate::account::record::{CallKind, Tracked, Usage, UsageRecord, harm_keys, model_key};
use crate::error::WeirError;
use crate::id::{AccountId, RequestId};
use crate::limit::Reservation;
use crate::limit::headers::Standing;
use crate::policy::{PolicyError, Side, harms};
use crate::reply;
use crate::surface::{Header, Surface};
use crate::time::UnixMillis;
use alloc::borrow::Cow;
use alloc::string::{String, ToString};

impl Isolate {
    /// The one way to the end of an exchange that was answered.
    pub(super) fn settle(
        &mut self,
        now: UnixMillis,
        mut running: Running,
        status: u16,
        used: Usage,
        complete: bool,
    ) {
        self.forget_asked(now, &mut running);
        self.track_good(now, &mut running, &used);
        let told = running.track.explained || !running.tried.is_empty();
        let explanation = told.then(|| self.explain(now, &running));
        let attempts = running.machine.made();
        let entity = usize::try_from(running.entity).ok().and_then(|at| running.entities.get(at));
        let price = entity.and_then(|entity| entity.price.as_ref());
        let began = running.admission.began;
        let judged = running.filtering.as_ref().map(|filtering| filtering.harms());
        let utilization = self.utilization(now, &running.reservation);
        let record = UsageRecord {
            id: running.admission.id,
            at: began,
            deployment: running.deployment,
            model: running.model,
            entity: entity.map(|entity| entity.name.clone()).unwrap_or_default(),
            principal: running.principal,
            key: running.key,
            surface: running.surface.label().to_string(),
            status,
            streamed: running.streamed,
            complete,
            cost: price.and_then(|price| price::cost(price, &used)),
            input_cost: price.and_then(|price| price::input_cost(price, &used)),
            currency: price.map(|price| price.currency.clone()),
            usage: used,
            latency: now.since(began),
            time_to_first_byte: running.head_at.unwrap_or(now).since(began),
            attempts,
            client_request_id: running.client_request_id,
            usage_context: running.usage_context,
            logged: None,
            explanation,
            tracked: running.tracked.map(|tracked| *tracked),
            judged,
            spilled: running.admission.spilled,
            utilization,
            operation: running.operation.to_string(),
            version: running.version,
        };
        self.end_log(running.log, &record);
        self.leases.settle(now, running.reservation, used.total());
        self.batches.push(now, &running.account, &record);
    }

    /// Percent of the reserved throughput that are in use, where some is reserved: tokens are counted then, and
    /// requests are not (`azure.md`, B4).
    fn utilization(&self, now: UnixMillis, reservation: &Reservation) -> Option<u64> {
        if !reservation.is_of_tokens_alone() {
            return None;
        }
        let standings = self.leases.standings(now, reservation);
        standings.first().map(Standing::percent)
    }

    /// Counts an exchange without an answer.
    pub(super) fn count_unanswered(&mut self, now: UnixMillis, account: &AccountId, of: &Unanswered<'_>) {
        let (surface, error) = (of.surface, of.error);
        self.batches.failed(now, account, of.deployment, error.label());
        let call = CallKind {
            surface: surface.label(),
            streamed: of.streamed,
            status: reply::status(error, surface),
            spilled: of.spilled,
            operation: of.operation,
            version: of.version,
        };
        let found = if let WeirError::Policy(PolicyError::PromptFiltered { results }) = error {
            Some(harms(Side::Prompt, results))
        } else if let WeirError::Policy(PolicyError::Guardrail { .. }) = error {
            Some(["harmful||Guardrail|", "rejected||Guardrail|"].map(String::from).to_vec())
        } else {
            None
        };
        let found = found.map(|found| harm_keys(surface.label(), &found)).unwrap_or_default();
        self.batches.unanswered(account, &model_key(of.deployment, of.model), call.key(), found);
    }
}

/// An exchange that no model answered.
pub(super) struct Unanswered<'a> {
    pub(super) deployment: &'a str,
    pub(super) model: &'a str,
    pub(super) version: &'a str,
    pub(super) operation: &'a str,
    pub(super) surface: Surface,
    pub(super) streamed: bool,
    pub(super) spilled: bool,
    pub(super) error: &'a WeirError,
}

impl Running {
    /// The exchange, as one without an answer.
    pub(super) fn unanswered<'a>(&'a self, error: &'a WeirError) -> Unanswered<'a> {
        Unanswered {
            deployment: &self.deployment,
            model: &self.model,
            version: &self.version,
            operation: self.operation,
            surface: self.surface,
            streamed: self.streamed,
            spilled: self.admission.spilled,
            error,
        }
    }
}

impl Isolate {
    /// Records what calls of an entity of the plan used that did not come to be the answer, beside the exchange's own record.
    pub(super) fn spent(
        &mut self,
        now: UnixMillis,
        running: &mut Running,
        entity: u32,
        used: Usage,
        word: &'static str,
    ) {
        let tracked = running.tracked.take();
        let base = refused(now, running, 200, word);
        running.tracked = tracked;
        let called = usize::try_from(entity).ok().and_then(|at| running.entities.get(at));
        let price = called.and_then(|called| called.price.as_ref());
        let record = UsageRecord {
            // Of each entity once.
            id: RequestId::from_random(!running.admission.random ^ u128::from(entity)),
            entity: called.map(|called| called.name.clone()).unwrap_or_default(),
            usage: used,
            cost: price.and_then(|price| price::cost(price, &used)),
            input_cost: price.and_then(|price| price::input_cost(price, &used)),
            currency: price.map(|price| price.currency.clone()),
            attempts: 1,
            ..base
        };
        self.batches.push(now, &running.account, &record);
    }
}

/// The record of an exchange without an answer, for the log of bodies and where usage is tracked.
pub(super) fn refused(
    now: UnixMillis,
    running: &mut Running,
    status: u16,
    word: &'static str,
) -> UsageRecord {
    let tracked = running.tracked.take();
    let began = running.admission.began;
    let entity = usize::try_from(running.entity).ok().and_then(|at| running.entities.get(at));
    UsageRecord {
        id: running.admission.id,
        at: began,
        deployment: running.deployment.clone(),
        model: running.model.clone(),
        entity: entity.map(|entity| entity.name.clone()).unwrap_or_default(),
        principal: running.principal.clone(),
        key: running.key.clone(),
        surface: running.surface.label().to_string(),
        status,
        streamed: running.streamed,
        complete: false,
        usage: Usage::default(),
        cost: None,
        input_cost: None,
        currency: None,
        latency: now.since(began),
        time_to_first_byte: now.since(began),
        attempts: running.machine.made(),
        client_request_id: running.client_request_id.clone(),
        usage_context: running.usage_context.clone(),
        logged: None,
        explanation: None,
        tracked: tracked.map(|tracked| Tracked { failure: Some(word.to_string()), ..*tracked }),
        judged: None,
        spilled: running.admission.spilled,
        utilization: None,
        operation: running.operation.to_string(),
        version: running.version.clone(),
    }
}

impl Isolate {
    /// Counts the refusal of a request whose deployment is known.
    pub(super) fn counted<T>(
        &mut self,
        facts: &Facts<'_>,
        account: &AccountId,
        outcome: Result<T, Stop>,
    ) -> Result<T, Stop> {
        if let Err(Stop::Refuse(error)) = &outcome {
            self.count_unanswered(facts.now, account, &facts.unanswered(error));
            if let Some(tracked) = facts.tracked() {
                let record = facts.turned_away(&tracked, error);
                self.batches.push_failure(facts.now, account, &record);
            }
            self.log_refused(facts, account, error);
        }
        outcome
    }
}

impl Facts<'_> {
    /// The request, as one that was not admitted.
    pub(super) fn unanswered<'a>(&'a self, error: &'a WeirError) -> Unanswered<'a> {
        Unanswered {
            deployment: self.ready.deployment.name.as_str(),
            model: &self.ready.deployment.model,
            version: &self.ready.deployment.version,
            operation: self.route.operation,
            surface: self.route.surface,
            streamed: self.envelope.stream,
            spilled: self.admission.spilled,
            error,
        }
    }

    /// The record of a request that was not admitted, where usage is tracked or bodies are logged.
    pub(super) fn turned_away(&self, tracked: &Tracked, error: &WeirError) -> UsageRecord {
        let deployment = &self.ready.deployment;
        let began = self.admission.began;
        let header = self.request.headers.get(Header::ClientRequestId).map(ToString::to_string);
        let member = || self.envelope.client_request_id().map(Cow::into_owned);
        UsageRecord {
            id: self.admission.id,
            at: began,
            deployment: deployment.name.to_string(),
            model: deployment.model.clone(),
            entity: String::new(),
            principal: self.caller.principal.to_string(),
            key: self.caller.key.to_string(),
            surface: self.route.surface.label().to_string(),
            status: reply::status(error, self.route.surface),
            streamed: self.envelope.stream,
            complete: false,
            usage: Usage::default(),
            cost: None,
            input_cost: None,
            currency: None,
            latency: self.now.since(began),
            time_to_first_byte: self.now.since(began),
            attempts: 0,
            client_request_id: header.or_else(member),
            usage_context: self.usage_context(),
            logged: None,
            explanation: None,
            tracked: Some(Tracked { failure: Some(error.label().to_string()), ..tracked.clone() }),
            judged: None,
            spilled: self.admission.spilled,
            utilization: None,
            operation: self.route.operation.to_string(),
            version: deployment.version.clone(),
        }
    }
}
