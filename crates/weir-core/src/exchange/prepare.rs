//! What an admitted exchange will do: its limits, its plan, and what each served entity would be sent.
//!
//! Above the stages. Decides from a request, its deployment and the route; waits for nothing and asks nobody
//! (`admit` does).

use super::action::{Request, Send};
use super::admit::Admission;
use super::filtering::Filtering;
use super::running::{PreparedEntity, Running};
use super::tracking::Track;
use super::translated::{Spoken, Translation};
use crate::account::chars;
use crate::account::record::Tracked;
use crate::attempt::AttemptMachine;
use crate::attempt::health::HealthBook;
use crate::attempt::plan::AttemptPlan;
use crate::auth::Caller;
use crate::id::AccountId;
use crate::limit::{Ask, Quota, Reservation, estimate};
use crate::route::select::{self, Chance, Fitness, Pick, UNKNOWN, Why};
use crate::simulate;
use crate::snapshot::index::{self, ReadyDeployment, ReadyEntity, SnapshotIndex};
use crate::snapshot::{Limit, LimitScope, Meter, ServedEntity, Target, Task};
use crate::surface::{Asks, DataRoute, Header, Surface};
use crate::time::{Millis, UnixMillis};
use crate::wire::WireError;
use crate::wire::envelope::{Edit, Envelope, Rewrite};
use crate::wire::inference::Schema;
use alloc::borrow::{Cow, ToOwned};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// `max_tokens` of a serverless endpoint's `/v1` routes where the caller sets none (`azure.md`, A10).
const SERVERLESS_MAX_TOKENS: u64 = 16;

/// Longer tags of a caller are not recorded.
const USAGE_CONTEXT_BYTES_MAX: usize = 4_096;

/// One limit that an exchange is under.
pub(super) struct AppliedLimit {
    /// Name of its Limiter object.
    scope: String,
    meter: Meter,
    quota: Quota,
    cells: u64,
}

impl AppliedLimit {
    pub(super) fn ask(&self, facts: &Facts<'_>) -> Ask<'_> {
        Ask {
            scope: &self.scope,
            meter: self.meter,
            quota: self.quota,
            cells: self.cells,
            fail_open: facts.ready.deployment.limiter_fail_open,
        }
    }
}

/// What is known of a request once its deployment was found.
pub(super) struct Facts<'a> {
    pub(super) now: UnixMillis,
    pub(super) request: &'a Request<'a>,
    pub(super) route: &'a DataRoute<'a>,
    pub(super) admission: Admission,
    pub(super) task: Task,
    pub(super) caller: &'a Caller<'a>,
    pub(super) envelope: &'a Envelope<'a>,
    /// Members that are not passed on.
    pub(super) dropped: &'a [String],
    /// What stands where `extra_params` stands, if it is there and is not passed on as it is.
    pub(super) extras: Option<&'a str>,
    pub(super) ready: &'a ReadyDeployment,
    /// What the caller said, where `request` has a canonical body instead.
    pub(super) spoken: Option<&'a Spoken>,
    /// The token of each entity that asks for one, in their order; empty if none does.
    pub(super) bearers: &'a [Option<String>],
}

impl Facts<'_> {
    /// The limits that apply to this caller: a principal's own stand instead of every principal's and of groups'.
    pub(super) fn limits(&self, account: &AccountId, index: &SnapshotIndex) -> Vec<AppliedLimit> {
        let (deployment, caller) = (&self.ready.deployment, self.caller);
        let is_own =
            |limit: &Limit| matches!(&limit.scope, LimitScope::Principal(who) if caller.is(who, index));
        let own = deployment.limits.iter().any(is_own);
        let answers = self.envelope.n.max(self.envelope.best_of);
        let max_tokens = self.envelope.max_tokens.or(self.max_tokens());
        let tokens = || estimate::tokens(self.task, self.envelope.prompt_chars(), max_tokens, answers);
        let mut applied: Vec<AppliedLimit> = Vec::with_capacity(deployment.limits.len());
        for limit in &deployment.limits {
            let met = match &limit.scope {
                LimitScope::Deployment => true,
                LimitScope::EachPrincipal => !own,
                LimitScope::Group(group) => !own && caller.is_in(group, index),
                LimitScope::Principal(_) => is_own(limit),
            };
            if !met {
                continue;
            }
            let mut scope = format!("{account}/{}", self.ready.folded);
            match &limit.scope {
                LimitScope::Deployment => {}
                LimitScope::EachPrincipal | LimitScope::Principal(_) => {
                    scope.extend(["/", caller.principal]);
                }
                // No principal's id has a colon in it.
                LimitScope::Group(group) => scope.extend(["/group:", &group.to_lowercase()]),
            }
            let quota = Quota::new(limit.amount, limit.per, limit.burst);
            let cells = match limit.meter {
                Meter::Requests => 1,
                Meter::Tokens => tokens(),
            };
            // A principal that is named by its id and by its name has one bucket: the smaller limit stands.
            let same = |other: &&mut AppliedLimit| other.meter == limit.meter && other.scope == scope;
            if let Some(other) = applied.iter_mut().find(same) {
                if quota.amount() < other.quota.amount() {
                    other.quota = quota;
                }
                continue;
            }
            applied.push(AppliedLimit { scope, meter: limit.meter, quota, cells });
        }
        applied
    }

    pub(super) fn running(
        &self,
        account: AccountId,
        reservation: Reservation,
        entities: Vec<PreparedEntity>,
        filtering: Option<Box<Filtering>>,
    ) -> Running {
        let attempts_max = AttemptPlan::ATTEMPTS_MAX.max(u32::try_from(entities.len()).unwrap_or(0));
        let running = self.running_with(account, reservation, entities, attempts_max, filtering);
        Running { sampling: self.ready.deployment.payload_sampling, ..running }
    }

    /// The exchange with one call, without a policy: what a filter asks of a deployment.
    pub(super) fn running_once(&self, account: AccountId) -> Option<Running> {
        let entities = self.prepare(&account, &HealthBook::default()).ok()?;
        Some(self.running_with(account, Reservation::default(), entities, 1, None))
    }

    /// The exchange with these calls, in their order, at most `attempts_max` of them.
    pub(super) fn running_with(
        &self,
        account: AccountId,
        reservation: Reservation,
        entities: Vec<PreparedEntity>,
        attempts_max: u32,
        filtering: Option<Box<Filtering>>,
    ) -> Running {
        let deployment = &self.ready.deployment;
        let word = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let total = deployment.deadlines.total;
        // What is read whole first has the time of a plain answer.
        let streamed =
            self.envelope.stream && !filtering.as_ref().is_some_and(|filtering| filtering.buffers());
        // A stream's first content must be there by the same time, whoever gives it.
        let first = if streamed { deployment.deadlines.first_event.min(total) } else { total };
        let plan = AttemptPlan {
            entities: (0..word(entities.len())).collect(),
            sound: word(entities.iter().filter(|entity| entity.why != Why::Out).count()),
            attempts_max,
            deadline: self.admission.began.plus(first),
            timeout: if streamed { first } else { deployment.deadlines.plain },
            retry_percent: deployment.routing.retry_percent,
            wait_max: AttemptPlan::WAIT_MAX,
        };
        let header = self.request.headers.get(Header::ClientRequestId);
        let member = || self.envelope.client_request_id();
        let scope = format!("{account}/{}", self.ready.folded);
        let asked = (self.route.surface, self.route.operation, self.task);
        let (deadlines, machine) = (deployment.deadlines, AttemptMachine::new(plan));
        Running {
            deployment: deployment.name.to_string(),
            model: deployment.model.clone(),
            version: deployment.version.clone(),
            principal: self.caller.principal.to_owned(),
            key: self.caller.key.to_owned(),
            reservation,
            prompt_chars: self.envelope.prompt_chars(),
            streamed: self.envelope.stream,
            usage_wanted: self.envelope.include_usage || self.spoken.is_some(),
            client_request_id: header.map(ToOwned::to_owned).or_else(|| member().map(Into::into)),
            teller: self.teller().map(Box::new),
            filtering,
            usage_context: self.usage_context(),
            tracked: self.tracked().map(Box::new),
            spills: deployment.spillover.is_some(),
            body_bytes: self.body_bytes(),
            hedging: deployment.routing.hedge.filter(|_| self.remembers()),
            track: Track::new(self.remembers(), self.explained()),
            ..Running::bare(self.admission, (account, scope), asked, deadlines, machine, entities)
        }
    }

    /// What is tracked of the exchange, if the deployment's usage is.
    pub(super) fn tracked(&self) -> Option<Tracked> {
        let tracked = self.ready.deployment.usage_tracking;
        tracked.then(|| Tracked { input_chars: chars::of_prompt(self.envelope), ..Tracked::default() })
    }

    /// The caller's tags (`databricks.md`, 7.6), if they are an object of a size that is kept.
    pub(super) fn usage_context(&self) -> Option<String> {
        let raw = self.envelope.usage_context.map(|field| field.raw)?;
        (raw.starts_with('{') && raw.len() <= USAGE_CONTEXT_BYTES_MAX).then(|| raw.to_owned())
    }

    /// What each usable entity would be sent, the preferred one first.
    ///
    /// # Errors
    /// [`WireError::NotSupported`] if no entity's dialect can say what is asked for; one that cannot is passed over.
    pub(super) fn prepare(
        &self,
        account: &AccountId,
        health: &HealthBook,
    ) -> Result<Vec<PreparedEntity>, WireError> {
        let deployment = &self.ready.deployment;
        let usable = |at: &usize| {
            let entity = self.ready.entities.get(*at);
            let tokened = |entity: &ReadyEntity| entity.token.is_none() || self.bearer(*at).is_some();
            entity.is_some_and(|entity| entity.fault.is_none() && tokened(entity))
        };
        // The upper half of the random word names the exchange; the lower half chooses.
        let random = u64::try_from(self.admission.random & u128::from(u64::MAX)).unwrap_or(0);
        let known = self.fitness(account, health);
        let fitness = |at: usize| known.get(at).copied().unwrap_or(UNKNOWN);
        let chance = Chance { random, session: self.session(), fitness: &fitness };
        let order = select::order(&deployment.entities, chance);
        let mut prepared = Vec::with_capacity(order.len());
        let mut refused = None;
        for Pick { at, why } in order.into_iter().filter(|pick| usable(&pick.at)) {
            let pair = deployment.entities.get(at).zip(self.ready.entities.get(at));
            let Some((entity, ready)) = pair else { continue };
            match self.prepare_one(entity, ready, (why, self.bearer(at)), random) {
                Ok(entity) => prepared.push(PreparedEntity { load: fitness(at).load, ..entity }),
                Err(error) => refused = refused.or(Some(error)),
            }
            if !deployment.fallback && !prepared.is_empty() {
                break;
            }
        }
        refused.filter(|_| prepared.is_empty()).map_or(Ok(prepared), Err)
    }

    fn bearer(&self, at: usize) -> Option<&str> {
        self.bearers.get(at)?.as_deref()
    }

    fn prepare_one(
        &self,
        entity: &ServedEntity,
        ready: &ReadyEntity,
        (why, bearer): (Why, Option<&str>),
        random: u64,
    ) -> Result<PreparedEntity, WireError> {
        let mut head = headers(ready.headers());
        if let Some(token) = bearer {
            head.push(("authorization".to_owned(), format!("Bearer {token}")));
        }
        let translated = match &entity.target {
            Target::Http(upstream) => {
                let own = Translation::in_own_words(self, entity, upstream, &head);
                if own.is_none() {
                    self.sayable()?;
                    Translation::begin(self, entity, upstream, ready, &head)?
                } else {
                    own
                }
            }
            Target::Simulator(_) => {
                self.sayable()?;
                None
            }
        };
        let (translation, send) = translated.map_or_else(
            || {
                let send = Send {
                    url: self.url(entity, ready),
                    headers: head.clone(),
                    edits: self.changes(entity),
                    timeout: Millis(0),
                    hedge: None,
                    head_first: self.envelope.stream,
                    quota: self.remembers(),
                    rest: false,
                    script: self.script(entity, random),
                };
                (None, send)
            },
            |(translation, send)| (Some(Box::new(translation)), send),
        );
        let lenient = entity.provider == "custom";
        let (name, price) = (entity.name.clone(), entity.price.clone());
        Ok(PreparedEntity { name, why, load: None, price, send, translation, lenient })
    }

    /// Whether an upstream of another dialect than the caller's can be asked for this.
    fn sayable(&self) -> Result<(), WireError> {
        self.spoken.and_then(|spoken| spoken.unsayable()).map_or(Ok(()), |error| Err(error.clone()))
    }

    /// Whether the administrator asks how the answer comes about.
    pub(super) fn explained(&self) -> bool {
        self.caller.admin && self.request.headers.get(Header::Explain).is_some()
    }

    /// Whether the health of the deployment's entities is remembered: where another can stand in.
    pub(super) fn remembers(&self) -> bool {
        self.ready.entities.len() > 1 && self.ready.deployment.fallback
    }

    /// What is known of each entity. Where no other may stand in, an entity's health changes nothing.
    pub(super) fn fitness(&self, account: &AccountId, health: &HealthBook) -> Vec<Fitness> {
        if !self.remembers() {
            return Vec::new();
        }
        let scope = format!("{account}/{}", self.ready.folded);
        let of = |(entity, ready): (&ServedEntity, &ReadyEntity)| {
            let known = health.fitness(self.now, &scope, &entity.name);
            Fitness { out: known.out || ready.fault.is_some(), ..known }
        };
        self.ready.deployment.entities.iter().zip(&self.ready.entities).map(of).collect()
    }

    /// The caller's session, hashed with the principal so that two callers' sessions of one name are two. The header
    /// `x-weir-session` names it; else, where the deployment says so, the body's `prompt_cache_key`, else its `user`.
    pub(super) fn session(&self) -> Option<u64> {
        if self.ready.entities.len() < 2 {
            return None;
        }
        let of_body = || {
            let affine = self.ready.deployment.routing.affinity;
            let text = |name: &str| self.envelope.text_of(name).filter(|text| !text.is_empty());
            if affine { text("prompt_cache_key").or_else(|| text("user")) } else { None }
        };
        let session = self.request.headers.get(Header::Session).map(Cow::Borrowed).or_else(of_body)?;
        let hash =
            |seed: u64, text: &str| text.bytes().fold(seed, |hash, byte| select::mix(hash ^ u64::from(byte)));
        Some(hash(hash(0, self.caller.principal), &session))
    }

    /// The maximum of output tokens that the route sets where the caller does not (`azure.md`, A10).
    fn max_tokens(&self) -> Option<u64> {
        let sets = self.route.surface == Surface::Serverless && self.route.asks == Asks::Answer;
        (sets && self.task != Task::Embeddings).then_some(SERVERLESS_MAX_TOKENS)
    }

    /// The address of the call at an entity.
    fn url(&self, entity: &ServedEntity, ready: &ReadyEntity) -> String {
        match (&self.route.asks, &entity.target) {
            (Asks::Schema(Schema::ImageEmbeddings), Target::Http(upstream)) => {
                index::address(upstream, "images/embeddings")
            }
            _ => ready.url(self.task).to_owned(),
        }
    }

    /// What is changed in the body that the driver has.
    fn changes(&self, entity: &ServedEntity) -> Vec<Edit> {
        let edits = self.edits(entity);
        if self.spoken.is_none() {
            return edits;
        }
        let with = Edit::apply(self.request.body, &edits);
        Vec::from([Edit { start: 0, end: self.body_bytes(), with }])
    }

    /// What is changed in the canonical body for an entity of the canonical dialect.
    pub(super) fn edits(&self, entity: &ServedEntity) -> Vec<Edit> {
        let dropped: Vec<&str> = self.dropped.iter().map(String::as_str).collect();
        let drop: &[&str] = match self.route.surface {
            Surface::ServingEndpoints | Surface::MlflowGateway if self.extras == Some("") => {
                &["client_request_id", "usage_context", "extra_params"]
            }
            Surface::ServingEndpoints | Surface::MlflowGateway => &["client_request_id", "usage_context"],
            Surface::ModelInference
            | Surface::AzureOpenAi
            | Surface::AzureOpenAiV1
            | Surface::Serverless
            | Surface::OpenAi
            | Surface::Anthropic
            | Surface::Gemini
            | Surface::Arm
            | Surface::DatabricksApi
            | Surface::Weir => &dropped,
        };
        self.envelope.edits(&Rewrite {
            model: Some(&entity.upstream_model),
            include_usage: self.envelope.stream,
            max_tokens: self.max_tokens(),
            extras: self.extras.filter(|text| !text.is_empty()),
            completion_tokens: entity.provider == "openai" && is_reasoning(&entity.upstream_model),
            drop,
        })
    }

    fn script(&self, entity: &ServedEntity, random: u64) -> Option<simulate::Script> {
        match &entity.target {
            Target::Http(_) => None,
            Target::Simulator(config) => {
                let body = Edit::apply(self.request.body, &self.edits(entity));
                Some(simulate::answer(config, &entity.upstream_model, self.task, &body, self.now, random))
            }
        }
    }
}

/// Whether a model of `OpenAI` reasons: `o1`, `o3-mini` and so on, and the family of GPT-5 (`providers.md`, 2.2).
fn is_reasoning(model: &str) -> bool {
    let numbered = model.strip_prefix('o').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    numbered || model.starts_with("gpt-5")
}

/// What every call sends, and what its upstream needs.
fn headers(own: &[(String, String)]) -> Vec<(String, String)> {
    let mut headers = Vec::with_capacity(own.len().saturating_add(1));
    headers.push(("content-type".to_owned(), "application/json".to_owned()));
    headers.extend_from_slice(own);
    headers
}
