//! Rows instead of a prompt, on `…/invocations` (`databricks.md`, 10.2): they go on as they came to upstreams that take
//! them, and their answers come back as they are. So do conversations in the manner of agents (`input`, a list of
//! messages), where the upstream may be one; of models they ask for a response (`standins`, `passed`).
//!
//! Above the stages. Decides which upstreams take rows and at which address; what becomes of the answer is `passed`'s.

use super::action::Send;
use super::admit::{Admission, Stop};
use super::isolate::Isolate;
use super::pass::{Asking, LOGGED};
use super::passed::Passed;
use super::prepare::Facts;
use super::running::{PreparedEntity, Running};
use super::tracking::Track;
use crate::attempt::plan::AttemptPlan;
use crate::id::AccountId;
use crate::route::select::{self, Chance, Pick, UNKNOWN};
use crate::route::{self, RouteError};
use crate::snapshot::index::{self, ReadyDeployment, ReadyEntity};
use crate::snapshot::{ServedEntity, Target, Task, UpstreamPaths};
use crate::surface::{Asks, DataRoute, Matter, Passage};
use crate::translate::path_segment;
use crate::wire::envelope::{Envelope, Rewrite};
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The address at which an entity takes rows, if it does.
fn address(entity: &ServedEntity, ready: &ReadyEntity) -> Option<String> {
    let Target::Http(upstream) = &entity.target else { return None };
    if ready.fault.is_some() {
        return None;
    }
    match (entity.provider.as_str(), &upstream.paths) {
        ("custom", UpstreamPaths::Exact) => Some(upstream.base.clone()),
        ("custom", _) => Some(index::address(upstream, "invocations")),
        ("databricks-model-serving", _) => {
            let base = upstream.base.trim_end_matches('/');
            let base = base.strip_suffix("/serving-endpoints").unwrap_or(base);
            Some(format!("{base}/serving-endpoints/{}/invocations", path_segment(&entity.upstream_model)))
        }
        _ => None,
    }
}

/// Whether an entity may be an agent: what another workspace serves may be anything.
fn is_agent(entity: &ServedEntity) -> bool {
    entity.provider == "databricks-model-serving"
}

impl Isolate {
    /// The admission of a conversation (`input`, a list of messages). It goes on as it came to what may be an agent; of
    /// a model it asks for a response.
    pub(super) fn admit_conversation(
        &mut self,
        asking: &Asking<'_>,
        envelope: &Envelope<'_>,
        account: AccountId,
        admission: &mut Admission,
    ) -> Result<Running, Stop> {
        const PASSAGE: Passage<'_> =
            Passage { path: "responses", query: "", matter: Matter::Responses, makes: true, form: false };
        let (index, headers) = (asking.index, &asking.request.headers);
        let ready = match route::locate(index, asking.caller, asking.route, headers, &Envelope::empty()) {
            Ok(ready) => ready,
            Err(error) => return Err(self.doubted(asking.now, &account, admission, error.into())),
        };
        let (has, name) = (ready.deployment.task, ready.deployment.name.as_str().to_owned());
        if has != Task::Chat {
            return Err(RouteError::TaskMismatch { name, asked: Task::Chat, has }.into());
        }
        if ready.deployment.entities.iter().all(is_agent) {
            return self.admit_table(asking, ready, envelope, account, admission);
        }
        let route = DataRoute { asks: Asks::Pass(PASSAGE), name: Some(name.into()), ..asking.route.clone() };
        self.admit_passed(&Asking { route: &route, ..*asking }, &PASSAGE, account, admission)
    }

    /// The admission of rows, from their deployment on.
    pub(super) fn admit_table(
        &mut self,
        asking: &Asking<'_>,
        ready: &ReadyDeployment,
        envelope: &Envelope<'_>,
        account: AccountId,
        admission: &mut Admission,
    ) -> Result<Running, Stop> {
        let random = u64::try_from(admission.random & u128::from(u64::MAX)).unwrap_or(0);
        let chance = Chance { random, session: None, fitness: &|_| UNKNOWN };
        let order = select::order(&ready.deployment.entities, chance);
        let edits = envelope.edits(&Rewrite { drop: &LOGGED, ..Rewrite::default() });
        let prepared: Vec<PreparedEntity> = order
            .into_iter()
            .filter_map(|Pick { at, why }| {
                let (entity, own) = (ready.deployment.entities.get(at)?, ready.entities.get(at)?);
                let mut headers = Vec::from([("content-type".to_owned(), "application/json".to_owned())]);
                headers.extend_from_slice(own.headers());
                let send = Send {
                    url: address(entity, own)?,
                    headers,
                    edits: edits.clone(),
                    timeout: crate::time::Millis(0),
                    hedge: None,
                    head_first: true,
                    quota: false,
                    rest: false,
                    script: None,
                };
                Some(PreparedEntity {
                    name: entity.name.clone(),
                    why,
                    load: None,
                    price: entity.price.clone(),
                    send,
                    translation: None,
                    lenient: false,
                })
            })
            .take(if ready.deployment.fallback { usize::MAX } else { 1 })
            .collect();
        // A content policy does not read rows, so what it watches over does not take them.
        if prepared.is_empty() || ready.policy.is_some() {
            let name = ready.deployment.name.as_str().to_owned();
            return Err(RouteError::ProviderLacks { name, what: "Tabular input" }.into());
        }
        let facts = Facts {
            now: asking.now,
            request: asking.request,
            route: asking.route,
            admission: *admission,
            task: Task::Embeddings,
            caller: asking.caller,
            envelope,
            dropped: &[],
            extras: None,
            ready,
            spoken: None,
            bearers: &[],
        };
        let reserved = self.reserve(&facts, asking.index, &account, admission);
        let reservation = self.counted(&facts, &account, reserved)?;
        let mut running = facts.running_with(account, reservation, prepared, AttemptPlan::ATTEMPTS_MAX, None);
        running.sampling = ready.deployment.payload_sampling;
        // What rows take tells nothing of how soon a model speaks.
        running.track = Track::new(false, facts.explained());
        running.passed = Some(Box::new(Passed::rows()));
        Ok(running)
    }
}
