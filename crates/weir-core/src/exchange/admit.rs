//! The first half of an exchange: from the request to the first upstream call.
//!
//! Above the stages; the order of the stages is here: surface, snapshot, auth, wire, route, limit, attempt. What
//! must be waited for (a snapshot, a lease) ends this run; the request is kept, and the whole run is made again
//! when it is there, so that an exchange never mixes two versions of the configuration.

use super::accounts::LOOK_AGAIN;
use super::action::{Action, Pause, Request, Send};
use super::finish::{PreparedEntity, Running};
use super::isolate::Isolate;
use crate::attempt::plan::AttemptPlan;
use crate::attempt::{AttemptError, AttemptMachine};
use crate::auth::{self, AuthError, Caller, Presented};
use crate::error::WeirError;
use crate::id::{AccountId, RequestId};
use crate::limit::{Ask, Quota, Reservation, Reserved, WaitId, estimate};
use crate::reply;
use crate::route::{self, RouteError};
use crate::simulate;
use crate::snapshot::index::ReadyDeployment;
use crate::snapshot::{LimitScope, Meter, ServedEntity, Target, Task};
use crate::surface::{self, DataRoute, Disposition, HEADER_COUNT, Header, HeaderValues, Surface};
use crate::time::{Millis, UnixMillis};
use crate::wire::bounds::BODY_BYTES_MAX;
use crate::wire::envelope::{Edit, Envelope, Rewrite};
use crate::wire::error::WireError;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What stays the same over all runs of an exchange's admission.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admission {
    pub(super) id: RequestId,
    pub(super) began: UnixMillis,
    pub(super) random: u128,
    /// Whether an unknown key or name already forced a refresh.
    pub(super) refreshed: bool,
    /// Whether an unknown token or a missing right already forced a refresh of the directory.
    pub(super) asked_directory: bool,
    /// The wait for leases, if it came that far.
    pub(super) wait: Option<WaitId>,
    /// Runs that ended in looking again later.
    pub(super) looks: u32,
}

/// A request that waits, with its own copy of what the driver had lent.
pub(super) struct Held {
    pub(super) admission: Admission,
    parts: Rc<Parts>,
}

struct Parts {
    method: String,
    url: String,
    headers: [Option<String>; HEADER_COUNT],
    body: Vec<u8>,
    length: u64,
}

/// Why a run of the admission ended without an upstream call.
pub(super) enum Stop {
    Refuse(WeirError),
    Pause(Pause),
}

impl<E: Into<WeirError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Refuse(error.into())
    }
}

impl Admission {
    /// A run of the admission costs a parse of the body, so looking again becomes rarer: after 1, 2, 4, 8,
    /// 16, then every 32 ms.
    fn patience(&mut self, pause: Pause) -> Pause {
        match pause {
            Pause::For(span) if span == LOOK_AGAIN => {
                let doubled = span.0 << self.looks.min(5);
                self.looks = self.looks.saturating_add(1);
                Pause::For(Millis(doubled))
            }
            Pause::For(_) | Pause::Calls => pause,
        }
    }
}

impl Parts {
    fn keep(request: &Request<'_>) -> Self {
        Self {
            method: request.method.to_owned(),
            url: request.url.to_owned(),
            headers: Header::ALL.map(|header| request.headers.get(header).map(ToOwned::to_owned)),
            body: request.body.to_vec(),
            length: request.length,
        }
    }

    fn lend(&self) -> Request<'_> {
        let mut values = [None; HEADER_COUNT];
        for (value, kept) in values.iter_mut().zip(&self.headers) {
            *value = kept.as_deref();
        }
        Request {
            method: &self.method,
            url: &self.url,
            headers: HeaderValues::new(values),
            body: &self.body,
            length: self.length,
        }
    }
}

impl Isolate {
    /// The first run for a request that the driver lends.
    pub(super) fn admit(
        &mut self,
        now: UnixMillis,
        handle: u32,
        request: &Request<'_>,
        admission: Admission,
    ) -> Action {
        self.run(now, handle, request, admission, None)
    }

    /// A further run for a request that was kept.
    pub(super) fn admit_held(&mut self, now: UnixMillis, handle: u32, held: &Held) -> Action {
        self.run(now, handle, &held.parts.lend(), held.admission, Some(&held.parts))
    }

    fn run(
        &mut self,
        now: UnixMillis,
        handle: u32,
        request: &Request<'_>,
        mut admission: Admission,
        kept: Option<&Rc<Parts>>,
    ) -> Action {
        let (surface, operation, outcome) = match surface::classify(request.method, request.url) {
            Disposition::Data(route) => {
                let outcome = self.try_admit(now, request, &route, &mut admission);
                (route.surface, route.operation, outcome)
            }
            Disposition::Refused { surface, operation, error } => (surface, operation, Err(error.into())),
            Disposition::Management(route) => (
                route.surface,
                surface::OTHER,
                Err(WeirError::Bug { what: "a management route on the data path" }.into()),
            ),
            Disposition::Infra(_) => (
                Surface::Weir,
                surface::OTHER,
                Err(WeirError::Bug { what: "an infrastructure route on the data path" }.into()),
            ),
        };
        match outcome {
            Ok(mut running) => {
                let budget = self.retries.entry(running.scope.clone()).or_default();
                let step = running.machine.first(now, budget);
                self.perform(now, handle, running, step, None)
            }
            Err(Stop::Pause(pause)) => {
                let pause = admission.patience(pause);
                let parts = kept.map_or_else(|| Rc::new(Parts::keep(request)), Rc::clone);
                self.hold(now, handle, Held { admission, parts });
                Action::Pause(pause)
            }
            Err(Stop::Refuse(error)) => {
                if let Some(wait) = admission.wait {
                    self.leases.abandon(now, wait);
                }
                Action::Reply(reply::render(&error, surface, operation, admission.id))
            }
        }
    }

    /// All stages in their order.
    fn try_admit(
        &mut self,
        now: UnixMillis,
        request: &Request<'_>,
        route: &DataRoute<'_>,
        admission: &mut Admission,
    ) -> Result<Running, Stop> {
        if request.length > u64::from(BODY_BYTES_MAX) {
            return Err(WireError::BodyTooLarge { max: BODY_BYTES_MAX }.into());
        }
        let presented = Presented::of(&request.headers);
        let account = account_of(route, &presented)?;
        let index = match self.snapshot(now, &account) {
            Ok(index) => index,
            Err(Some(pause)) => return Err(Stop::Pause(pause)),
            Err(None) => return Err(WeirError::ConfigurationUnavailable.into()),
        };
        let admin = self.settings.admin_token_hash;
        let found = auth::authenticate(&index, admin.as_ref(), &presented, now);
        let directory = self.directory(now, &account, found.as_ref().err())?;
        let caller = match (found, &directory) {
            (Err(AuthError::UnknownKey), Some(directory)) => {
                auth::authenticate_token(directory, &presented, now)
            }
            (found, _) => found,
        };
        let caller = match caller {
            Err(AuthError::UnknownKey) => {
                return Err(self.refresh_both_or(now, &account, admission, AuthError::UnknownKey));
            }
            caller => caller?,
        };
        let envelope = Envelope::parse(request.body, route.task)?;
        let ready = match route::find(&index, &caller, route, &request.headers, &envelope) {
            Err(error @ RouteError::Lacks(_)) => {
                return Err(self.refresh_both_or(now, &account, admission, error));
            }
            Err(error @ RouteError::UnknownDeployment { .. }) => {
                return Err(self.refresh_or(now, &account, admission, error));
            }
            ready => ready?,
        };
        if ready.entities.iter().all(|entity| entity.fault.is_some()) {
            return Err(AttemptError::BadCredential.into());
        }
        let task = route.task.unwrap_or(ready.deployment.task);
        let facts = Facts {
            now,
            request,
            route,
            admission: *admission,
            task,
            caller: &caller,
            envelope: &envelope,
            ready,
        };
        let reservation = self.reserve(&facts, &account, admission)?;
        Ok(facts.running(account, reservation))
    }

    /// Sets aside cells of every applicable limit, all or nothing.
    fn reserve(
        &mut self,
        facts: &Facts<'_>,
        account: &AccountId,
        admission: &mut Admission,
    ) -> Result<Reservation, Stop> {
        let now = facts.now;
        let reserved = if let Some(wait) = admission.wait.take() {
            self.leases.waited(now, wait)
        } else {
            let limits = facts.limits(account);
            let asks: Vec<Ask<'_>> = limits.iter().map(|limit| limit.ask(facts)).collect();
            self.leases.reserve(now, &asks)
        };
        match reserved {
            Reserved::Ready(reservation) => Ok(reservation),
            Reserved::Refused(error) => Err(error.into()),
            Reserved::Wait(wait) => {
                admission.wait = Some(wait);
                Err(Stop::Pause(self.lease_pause(now)))
            }
        }
    }
}

/// One limit that an exchange is under.
struct AppliedLimit {
    /// Name of its Limiter object.
    scope: String,
    meter: Meter,
    quota: Quota,
    cells: u64,
}

impl AppliedLimit {
    fn ask(&self, facts: &Facts<'_>) -> Ask<'_> {
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
struct Facts<'a> {
    now: UnixMillis,
    request: &'a Request<'a>,
    route: &'a DataRoute<'a>,
    admission: Admission,
    task: Task,
    caller: &'a Caller<'a>,
    envelope: &'a Envelope<'a>,
    ready: &'a ReadyDeployment,
}

impl Facts<'_> {
    /// The limits that apply to this caller: a principal's own stands instead of every principal's.
    fn limits(&self, account: &AccountId) -> Vec<AppliedLimit> {
        let deployment = &self.ready.deployment;
        let principal = self.caller.principal;
        let own = |meter: Meter| {
            deployment.limits.iter().any(|limit| {
                limit.meter == meter
                    && matches!(&limit.scope, LimitScope::Principal(id) if id.as_str() == principal)
            })
        };
        let answers = self.envelope.n.max(self.envelope.best_of);
        let tokens =
            || estimate::tokens(self.task, self.envelope.prompt_chars(), self.envelope.max_tokens, answers);
        let mut applied = Vec::with_capacity(deployment.limits.len());
        for limit in &deployment.limits {
            let shared = match &limit.scope {
                LimitScope::Deployment => true,
                LimitScope::EachPrincipal if !own(limit.meter) => false,
                LimitScope::Principal(id) if id.as_str() == principal => false,
                LimitScope::EachPrincipal | LimitScope::Principal(_) => continue,
            };
            let scope = if shared {
                format!("{account}/{}", self.ready.folded)
            } else {
                format!("{account}/{}/{principal}", self.ready.folded)
            };
            let quota = Quota::new(limit.amount, limit.per, limit.burst);
            let cells = match limit.meter {
                Meter::Requests => 1,
                Meter::Tokens => tokens(),
            };
            applied.push(AppliedLimit { scope, meter: limit.meter, quota, cells });
        }
        applied
    }

    fn running(&self, account: AccountId, reservation: Reservation) -> Running {
        let deployment = &self.ready.deployment;
        let entities = self.prepare();
        let plan = AttemptPlan {
            entities: (0..u32::try_from(entities.len()).unwrap_or(u32::MAX)).collect(),
            attempts_max: AttemptPlan::ATTEMPTS_MAX,
            deadline: self.admission.began.plus(deployment.deadlines.total),
            timeout: Millis(u64::MAX),
            wait_max: AttemptPlan::WAIT_MAX,
        };
        let header = self.request.headers.get(Header::ClientRequestId);
        let member = || self.envelope.client_request_id();
        Running {
            admission: self.admission,
            scope: format!("{account}/{}", self.ready.folded),
            account,
            surface: self.route.surface,
            operation: self.route.operation,
            task: self.task,
            deployment: deployment.name.to_string(),
            model: deployment.model.clone(),
            principal: self.caller.principal.to_owned(),
            key: self.caller.key.to_owned(),
            deadlines: deployment.deadlines,
            machine: AttemptMachine::new(plan),
            entities,
            entity: 0,
            reservation,
            prompt_chars: self.envelope.prompt_chars(),
            streamed: self.envelope.stream,
            usage_wanted: self.envelope.include_usage,
            client_request_id: header.map(ToOwned::to_owned).or_else(|| member().map(Into::into)),
            relay: None,
            head_at: None,
        }
    }

    /// What each usable entity would be sent, the preferred one first.
    fn prepare(&self) -> Vec<PreparedEntity> {
        let deployment = &self.ready.deployment;
        let usable = |at: &usize| self.ready.entities.get(*at).is_some_and(|entity| entity.fault.is_none());
        // The upper half of the random word names the exchange; the lower half chooses.
        let random = u64::try_from(self.admission.random & u128::from(u64::MAX)).unwrap_or(0);
        let order = route::select::order(&deployment.entities, random);
        order
            .into_iter()
            .filter(usable)
            .filter_map(|at| Some((deployment.entities.get(at)?, self.ready.entities.get(at)?)))
            .map(|(entity, ready)| PreparedEntity {
                name: entity.name.clone(),
                price: entity.price.clone(),
                send: Send {
                    url: ready.url(self.task).to_owned(),
                    headers: headers(ready.headers()),
                    edits: self.edits(entity),
                    timeout: Millis(0),
                    head_first: self.envelope.stream,
                    script: self.script(entity, random),
                },
            })
            .collect()
    }

    fn edits(&self, entity: &ServedEntity) -> Vec<Edit> {
        let drop: &[&str] = match self.route.surface {
            Surface::ServingEndpoints | Surface::MlflowGateway => &["client_request_id", "usage_context"],
            Surface::ModelInference
            | Surface::AzureOpenAi
            | Surface::AzureOpenAiV1
            | Surface::Serverless
            | Surface::OpenAi
            | Surface::Anthropic
            | Surface::Arm
            | Surface::DatabricksApi
            | Surface::Weir => &[],
        };
        self.envelope.edits(&Rewrite {
            model: Some(&entity.upstream_model),
            include_usage: self.envelope.stream,
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

/// What every call sends, and what its upstream needs.
fn headers(own: &[(String, String)]) -> Vec<(String, String)> {
    let mut headers = Vec::with_capacity(own.len().saturating_add(1));
    headers.push(("content-type".to_owned(), "application/json".to_owned()));
    headers.extend_from_slice(own);
    headers
}

/// The account that host or key name; `default` otherwise. A text that is no account's name is an unknown key.
fn account_of(route: &DataRoute<'_>, presented: &Presented<'_>) -> Result<AccountId, AuthError> {
    match route.account.or_else(|| auth::account_hint(presented)) {
        None => Ok(AccountId::default_account()),
        Some(name) => AccountId::parse(name).map_err(|_| AuthError::UnknownKey),
    }
}
