//! The first half of an exchange: from the request to the first upstream call.
//!
//! Above the stages; the order of the stages is here: surface, snapshot, auth, wire, route, limit, attempt. What
//! must be waited for (a snapshot, a lease) ends this run; the request is kept, and the whole run is made again
//! when it is there, so that an exchange never mixes two versions of the configuration.

use super::accounts::LOOK_AGAIN;
use super::action::{Action, Pause, Request};
use super::describe;
use super::filtering::{Asked, Filtering};
use super::guarded;
use super::isolate::Isolate;
use super::kept::Parts;
use super::pass::Asking;
use super::prepare::Facts;
use super::running::Running;
use super::tokens;
use super::translated::Spoken;
use crate::auth::{self, AuthError, Presented};
use crate::error::WeirError;
use crate::id::{AccountId, RequestId};
use crate::limit::{Ask, LimitError, Reservation, Reserved, WaitId};
use crate::policy::{Lexicon, PolicyError};
use crate::reply;
use crate::route;
use crate::snapshot::index::SnapshotIndex;
use crate::snapshot::network::Barred;
use crate::snapshot::{DeploymentKind, Task};
use crate::surface::{self, Asks, DataRoute, Disposition, Header, Surface};
use crate::time::{Millis, UnixMillis};
use crate::translate::caller::CallerDialect;
use crate::wire::bounds::BODY_BYTES_MAX;
use crate::wire::envelope::Envelope;
use crate::wire::error::{WireError, echo};
use crate::wire::inference::Extra;
use crate::wire::invocations;
use alloc::borrow::{Cow, ToOwned};
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
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
    /// Whether the limits of the deployment that was asked for refused it, and another one takes it.
    pub(super) spilled: bool,
    /// Runs that ended in looking again later.
    pub(super) looks: u32,
}

/// A request that waits, with its own copy of what the driver had lent.
pub(super) struct Held {
    pub(super) admission: Admission,
    pub(super) parts: Rc<Parts>,
}

/// Why a run of the admission ended without an upstream call.
pub(super) enum Stop {
    Refuse(WeirError),
    Pause(Pause),
    /// The snapshot answers alone; the body.
    Answer(String),
    /// More of the caller's body must be read to know.
    More,
    /// More of its headers must be read.
    Headers,
}

impl Stop {
    /// Whether a limit stands against the request, so that another deployment may take it.
    pub(super) const fn is_full(&self) -> bool {
        matches!(
            self,
            Self::Refuse(WeirError::Limit(LimitError::Exceeded { .. } | LimitError::NeverFits { .. }))
        )
    }
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
                self.begin_log(handle, &mut running, request);
                if running.spills && !admission.spilled {
                    running.kept = Some(kept.map_or_else(|| Rc::new(Parts::keep(request)), Rc::clone));
                }
                self.ask_or_start(now, handle, running)
            }
            Err(Stop::Pause(pause)) => {
                let pause = admission.patience(pause);
                let parts = kept.map_or_else(|| Rc::new(Parts::keep(request)), Rc::clone);
                self.hold(now, handle, Held { admission, parts });
                Action::Pause(pause)
            }
            Err(Stop::More) => Action::ReadMore,
            Err(Stop::Headers) => Action::ReadHeaders,
            Err(Stop::Answer(body)) => {
                let mut reply = reply::found(body, surface, admission.id);
                self.dress(&mut reply.headers, surface, request.headers.get(Header::ClientRequestId));
                Action::Reply(reply)
            }
            Err(Stop::Refuse(error)) => {
                if let Some(wait) = admission.wait {
                    self.leases.abandon(now, wait);
                }
                let mut reply = reply::render(&error, surface, operation, admission.id);
                self.dress(&mut reply.headers, surface, request.headers.get(Header::ClientRequestId));
                Action::Reply(reply)
            }
        }
    }

    /// The first upstream call.
    pub(super) fn start(&mut self, now: UnixMillis, handle: u32, mut running: Running) -> Action {
        self.may_hedge(&mut running);
        let budget = self.retries.entry(running.scope.clone()).or_default();
        let step = running.machine.first(now, budget);
        self.perform(now, handle, running, step, None)
    }

    /// All stages in their order.
    fn try_admit(
        &mut self,
        now: UnixMillis,
        request: &Request<'_>,
        route: &DataRoute<'_>,
        admission: &mut Admission,
    ) -> Result<Running, Stop> {
        let streams = matches!(&route.asks, Asks::Pass(passage) if passage.form);
        if request.length > u64::from(BODY_BYTES_MAX) && !streams {
            return Err(WireError::BodyTooLarge { max: BODY_BYTES_MAX }.into());
        }
        let presented = Presented::of(&request.headers);
        let account = account_of(route, &presented)?;
        let index = match self.snapshot(now, &account) {
            Ok(index) => index,
            Err(Some(pause)) => return Err(Stop::Pause(pause)),
            Err(None) => return Err(WeirError::ConfigurationUnavailable.into()),
        };
        let serverless = route.surface == Surface::Serverless;
        admit_address(&index, serverless, request)?;
        let admin = self.settings.admin_token_hash;
        let found = auth::authenticate(&index, admin.as_ref(), &presented, now);
        let directory = self.directory(now, &account, found.as_ref().err())?;
        let found = match (found, &directory) {
            (Err(AuthError::UnknownKey), Some(directory)) => {
                auth::authenticate_token(directory, &presented, now)
            }
            (found, _) => found,
        };
        let roles = directory.as_ref().unwrap_or(&index);
        let found = match found {
            Err(AuthError::UnknownKey) => {
                auth::authenticate_client(roles, &presented, self.settings.seal_key.as_ref(), now)
            }
            found => found,
        };
        let bearer = match found {
            Err(AuthError::UnknownKey) => self.bearer_of_token(now, roles, &presented, admission)?,
            Ok(_) | Err(_) => None,
        };
        let caller = match &bearer {
            Some(who) => Ok(auth::Caller::of_token(roles, &who.id, &who.groups)),
            None => found,
        };
        let caller = match caller {
            Err(AuthError::UnknownKey) => {
                return Err(self.refresh_both_or(now, &account, admission, AuthError::UnknownKey));
            }
            caller => caller?,
        };
        // Nobody else may ask for an explanation, so nobody else pays for the header.
        if caller.admin && !request.all_headers {
            return Err(Stop::Headers);
        }
        let asking = Asking { now, request, route, caller: &caller, index: &index };
        self.admit_known(&asking, account, admission)
    }

    /// The stages from the caller on.
    fn admit_known(
        &mut self,
        asking: &Asking<'_>,
        account: AccountId,
        admission: &mut Admission,
    ) -> Result<Running, Stop> {
        let Asking { now, request, route, caller, index } = *asking;
        if let Asks::Pass(passage) = &route.asks {
            return self.admit_passed(asking, passage, account, admission);
        }
        match describe::answer(index, caller, route, &request.headers) {
            Ok(None) => {}
            Ok(Some(body)) => return Err(Stop::Answer(body)),
            Err(error) => return Err(self.doubted(now, &account, admission, error)),
        }
        if let Asks::Gemini(ask) = route.asks {
            return self.admit_gemini(asking, ask, account, admission);
        }
        if !matches!(route.asks, Asks::Messages { .. }) {
            return self.admit_asked(asking, account, admission, None);
        }
        let spoken = Spoken::read(CallerDialect::Messages, request.body)?;
        self.admit_spoken(asking, account, admission, &spoken)
    }

    /// As [`Self::admit_asked`], of what a caller said in another dialect.
    pub(super) fn admit_spoken(
        &mut self,
        asking: &Asking<'_>,
        account: AccountId,
        admission: &mut Admission,
        spoken: &Spoken,
    ) -> Result<Running, Stop> {
        let request = Request { body: spoken.canonical(), ..*asking.request };
        let admitted =
            self.admit_asked(&Asking { request: &request, ..*asking }, account, admission, Some(spoken));
        admitted.map_err(|stop| spoken.placed(stop))
    }

    /// The stages from a canonical body on. `spoken` is what the caller said, where that is another.
    fn admit_asked(
        &mut self,
        asking: &Asking<'_>,
        account: AccountId,
        admission: &mut Admission,
        spoken: Option<&Spoken>,
    ) -> Result<Running, Stop> {
        let Asking { now, request, route, caller, index } = *asking;
        let mut envelope = Envelope::parse(request.body, route.task)?;
        if route.task.is_none() && invocations::is_conversation(&envelope) {
            return self.admit_conversation(asking, &envelope, account, admission);
        }
        let ready = match route::find(index, caller, route, &request.headers, &envelope) {
            Ok(ready) => ready,
            Err(error) => return Err(self.doubted(now, &account, admission, error.into())),
        };
        // Every surface leads to every deployment, so its own rule holds beside the surface's.
        admit_address(index, ready.deployment.kind == DeploymentKind::Serverless, request)?;
        tokens::callable(ready)?;
        let bearers = self.bearers(now, &account, ready, admission)?;
        let task = route.task.unwrap_or(ready.deployment.task);
        let extras = match route.task {
            Some(_) => None,
            None if invocations::is_table(&envelope) => {
                return self.admit_table(asking, ready, &envelope, account, admission);
            }
            None => invoked(route.surface, &envelope, task)?,
        };
        let dropped = dropped(request, route, &envelope)?;
        envelope.forget(&dropped);
        let mut facts = Facts {
            now,
            request,
            route,
            admission: *admission,
            task,
            caller,
            envelope: &envelope,
            dropped: &dropped,
            extras: extras.as_deref(),
            ready,
            spoken,
            bearers: &bearers,
        };
        if let Some(spoken) = spoken.filter(|_| route.asks.counts()) {
            return self.admit_count(&facts, account, index, spoken.counted(&envelope));
        }
        let reserved = self.reserve_or_spill(index, &mut facts, &account, admission);
        let judged = reserved.and_then(|reservation| Ok(self.judge(&facts, None, reservation, index)?));
        let (reservation, filtering) = self.counted(&facts, &account, judged)?;
        let prepared = match guarded::seen(filtering.as_deref(), request.body) {
            Cow::Borrowed(_) => facts.prepare(&account, &self.health),
            Cow::Owned(masked) => facts.prepare_masked(&masked, &account, &self.health),
        };
        match prepared {
            Ok(entities) => Ok(facts.running(account, reservation, entities, filtering)),
            Err(error) => {
                self.leases.settle(now, reservation, 0);
                self.counted(&facts, &account, Err(error.into()))
            }
        }
    }

    /// Judges the prompt, if the deployment has a content policy: what is `asked`, else what the task's member of the
    /// body holds. A request whose prompt is filtered counts; its tokens do not.
    pub(super) fn judge(
        &mut self,
        facts: &Facts<'_>,
        asked: Option<Asked<'_>>,
        reservation: Reservation,
        index: &Rc<SnapshotIndex>,
    ) -> Result<(Reservation, Option<Box<Filtering>>), PolicyError> {
        let Some(policy) = &facts.ready.policy else { return Ok((reservation, None)) };
        // Guardrails are for text that is asked for (`databricks.md`, 7.2).
        if policy.guard().is_some() && facts.ready.deployment.task == Task::Embeddings {
            return Ok((reservation, None));
        }
        let lexicon = self.lexicon.get_or_insert_with(|| Rc::new(Lexicon::built_in()));
        let asked = asked.unwrap_or_else(|| Asked::of(facts.task, facts.envelope));
        match Filtering::begin(policy, lexicon, facts.route.surface, &asked) {
            Ok(mut filtering) => {
                filtering.index = filtering.asks_deployment().then(|| Rc::clone(index));
                Ok((reservation, Some(Box::new(filtering))))
            }
            Err(error) => {
                self.leases.settle(facts.now, reservation, 0);
                Err(error)
            }
        }
    }

    /// As [`Isolate::reserve`]. What the limits of a deployment refuse that spills over, the other deployment takes
    /// under its own limits (`azure.md`, C3).
    fn reserve_or_spill<'f>(
        &mut self,
        index: &'f SnapshotIndex,
        facts: &mut Facts<'f>,
        account: &AccountId,
        admission: &mut Admission,
    ) -> Result<Reservation, Stop> {
        let target = facts.ready.deployment.spillover.as_deref().and_then(|name| index.find(name));
        let Some(target) = target else { return self.reserve(facts, index, account, admission) };
        if !admission.spilled {
            match self.reserve(facts, index, account, admission) {
                Err(stop) if stop.is_full() => admission.spilled = true,
                reserved => return reserved,
            }
        }
        facts.ready = target;
        self.reserve(facts, index, account, admission)
    }

    /// Sets aside cells of every applicable limit, all or nothing.
    pub(super) fn reserve(
        &mut self,
        facts: &Facts<'_>,
        index: &SnapshotIndex,
        account: &AccountId,
        admission: &mut Admission,
    ) -> Result<Reservation, Stop> {
        let now = facts.now;
        let reserved = if let Some(wait) = admission.wait.take() {
            self.leases.waited(now, wait)
        } else {
            let limits = facts.limits(account, index);
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

/// Network rules, before any credential is looked at. An address that was not read, because no rule was known yet
/// ([`Isolate::wanted`]), is read for the caller's next try.
pub(super) fn admit_address(
    index: &SnapshotIndex,
    serverless: bool,
    request: &Request<'_>,
) -> Result<(), WeirError> {
    match auth::admit_address(index, serverless, &request.headers) {
        Err(AuthError::Barred(Barred::Unseen)) => Err(WeirError::ConfigurationUnavailable),
        outcome => Ok(outcome?),
    }
}

/// The members that are not passed on: what the schema of the route does not know, if the caller said so.
fn dropped(
    request: &Request<'_>,
    route: &DataRoute<'_>,
    envelope: &Envelope<'_>,
) -> Result<Vec<String>, WireError> {
    match route.asks {
        Asks::Schema(schema) => {
            schema.check(envelope, Extra::parse(request.headers.get(Header::ExtraParameters))?)
        }
        Asks::Answer
        | Asks::Messages { .. }
        | Asks::Gemini(_)
        | Asks::Models { .. }
        | Asks::Info
        | Asks::Document
        | Asks::Pass(_) => Ok(Vec::new()),
    }
}

/// What `extra_params` of a body for `…/invocations` come to, once it was found good.
fn invoked(surface: Surface, envelope: &Envelope<'_>, task: Task) -> Result<Option<String>, WireError> {
    if let Some(model) = envelope.model.filter(|_| surface == Surface::MlflowGateway) {
        return Err(WireError::NotSupported {
            member: "model".to_owned(),
            expected: "absent, because the address names the endpoint".to_owned(),
            got: Some(echo(model.raw)),
        });
    }
    invocations::check(envelope, task)?;
    invocations::extras(envelope)
}

/// The account that host or key name; `default` otherwise. A text that is no account's name is an unknown key.
fn account_of(route: &DataRoute<'_>, presented: &Presented<'_>) -> Result<AccountId, AuthError> {
    match route.account.or_else(|| auth::account_hint(presented)) {
        None => Ok(AccountId::default_account()),
        Some(name) => AccountId::parse(name).map_err(|_| AuthError::UnknownKey),
    }
}
