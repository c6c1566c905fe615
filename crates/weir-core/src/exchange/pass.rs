//! Calls that go on to the upstream as they came (`surface::passage`): to which one, and with what changed.
//!
//! Above the stages. Decides the deployment and its served entity: by the address, by the mark on an id, by the
//! body's `model`, by the header `x-weir-deployment`, else the first that can. Only the model's name and the marks
//! (`wire::marks`) are changed in a body; a form is read until its `model` is known and streamed from there.

mod prompt;

use super::action::{Request, Send};
use super::admit::{Admission, Stop, admit_address};
use super::isolate::Isolate;
use super::prepare::Facts;
use super::running::{PreparedEntity, Running};
use super::standins::PassPlan;
use crate::attempt::AttemptError;
use crate::auth::Caller;
use crate::error::WeirError;
use crate::id::AccountId;
use crate::route::select::{self, Chance, Pick, UNKNOWN, Why};
use crate::route::{self, RouteError};
use crate::snapshot::index::{self, ReadyDeployment, ReadyEntity, SnapshotIndex};
use crate::snapshot::{DeploymentKind, ServedEntity, Target, Task, UpstreamPaths};
use crate::surface::{DataRoute, Header, INVOCATIONS, Matter, Passage, query_without_version};
use crate::time::UnixMillis;
use crate::wire::bounds::{BODY_BYTES_MAX, FORM_BYTES_MAX};
use crate::wire::envelope::{Edit, Envelope, Rewrite};
use crate::wire::error::WireError;
use crate::wire::form;
use crate::wire::marks::{self, Mark};
use alloc::borrow::{Cow, ToOwned};
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

/// Providers whose API is the one that is passed through (`design.md`, 8, "Tasks"); a custom one is compatible by
/// its own word.
const PROVIDERS: [&str; 3] = ["openai", "azure-openai", "custom"];

/// Members of bodies on `…/invocations` that are for the log alone (`databricks.md`, 10.2).
pub(super) const LOGGED: [&str; 2] = ["client_request_id", "usage_context"];

/// A request, and who asks.
#[derive(Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) now: UnixMillis,
    pub(super) request: &'a Request<'a>,
    pub(super) route: &'a DataRoute<'a>,
    pub(super) caller: &'a Caller<'a>,
    pub(super) index: &'a Rc<SnapshotIndex>,
}

/// A call's body, as far as it matters.
enum Body<'a> {
    None,
    Json(Envelope<'a>),
    /// A form, and its field `model`.
    Form {
        boundary: &'a str,
        model: form::Field,
    },
}

/// A passed call, read.
struct Call<'a> {
    passage: &'a Passage<'a>,
    body: Body<'a>,
    /// Path and query for the upstream.
    path: Cow<'a, str>,
    query: Cow<'a, str>,
    /// What takes the marks off the body.
    edits: Vec<Edit>,
    mark: Option<Mark>,
}

/// The mark of a served entity: the same as long as deployment and entity keep their names.
fn mark_of(ready: &ReadyDeployment, entity: &ServedEntity) -> Mark {
    Mark::of(&[&ready.folded, &entity.name])
}

/// Whether an entity can be sent a call about `matter` as it came. Servers of anyone's make speak chat; a response they
/// are asked for by way of it.
fn passes(entity: &ServedEntity, matter: Matter) -> bool {
    let addressed = match &entity.target {
        Target::Http(upstream) => !matches!(upstream.paths, UpstreamPaths::Exact | UpstreamPaths::Native(_)),
        Target::Simulator(_) => false,
    };
    let chats = matter == Matter::Responses && entity.provider == "custom";
    addressed && !chats && PROVIDERS.contains(&entity.provider.as_str())
}

/// Whether a call about `matter` can be sent to the entity at hand, with what it needs.
fn is_able((entity, own): (&ServedEntity, &ReadyEntity), matter: Matter) -> bool {
    passes(entity, matter) && own.fault.is_none() && own.token.is_none()
}

/// Why no entity of a deployment can be sent a call.
fn unable(ready: &ReadyDeployment, call: &Call<'_>) -> WeirError {
    let passage = call.passage;
    if ready.deployment.entities.iter().any(|entity| passes(entity, passage.matter)) {
        return AttemptError::BadCredential.into();
    }
    if call.asks_for_kept() {
        return RouteError::UnknownId.into();
    }
    let name = ready.deployment.name.as_str().to_owned();
    RouteError::ProviderLacks { name, what: passage.what() }.into()
}

/// The deployment that the caller's own header names.
fn of_header<'a>(facts: &Asking<'a>) -> Option<Cow<'a, str>> {
    facts.request.headers.get(Header::Deployment).map(Cow::Borrowed)
}

impl<'a> Call<'a> {
    fn read(facts: &Asking<'a>, passage: &'a Passage<'a>) -> Result<Self, Stop> {
        let (path, of_path) = marks::unmark(passage.path);
        let (query, of_query) = marks::unmark(passage.query);
        let query = match query {
            Cow::Borrowed(query) => query_without_version(query),
            Cow::Owned(query) => Cow::Owned(query_without_version(&query).into_owned()),
        };
        let body = Self::body(facts, passage)?;
        let (edits, of_body) = match &body {
            Body::Json(_) => marks::unmark_body(core::str::from_utf8(facts.request.body).unwrap_or_default()),
            Body::None | Body::Form { .. } => (Vec::new(), None),
        };
        let mark = of_path.or(of_query).or(of_body);
        Ok(Self { passage, body, path, query, edits, mark })
    }

    fn body(facts: &Asking<'a>, passage: &Passage<'_>) -> Result<Body<'a>, Stop> {
        let (bytes, length) = (facts.request.body, facts.request.length);
        let read = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if !passage.makes || length == 0 {
            return Ok(Body::None);
        }
        let content_type = facts.request.headers.get(Header::ContentType).unwrap_or_default();
        let Some(boundary) = form::boundary(content_type) else {
            // JSON where a form was possible is read whole, within the bound of JSON.
            if length > u64::from(BODY_BYTES_MAX) {
                return Err(WireError::BodyTooLarge { max: BODY_BYTES_MAX }.into());
            }
            return if read < length {
                Err(Stop::More)
            } else {
                Ok(Body::Json(Envelope::parse_open(bytes)?))
            };
        };
        let model = if passage.matter == Matter::Kept {
            form::Field::Absent
        } else {
            form::find(bytes, boundary, "model", read >= length)
        };
        match model {
            form::Field::Broken => Err(WireError::BrokenForm.into()),
            form::Field::More if read >= u64::from(FORM_BYTES_MAX) => {
                Err(WireError::FormTooLong { max: FORM_BYTES_MAX }.into())
            }
            form::Field::More => Err(Stop::More),
            form::Field::At { .. } | form::Field::Absent => Ok(Body::Form { boundary, model }),
        }
    }

    /// Whether it asks a model for something, so that the upstream must be told which.
    fn generates(&self) -> bool {
        let made = match self.passage.matter {
            Matter::Images | Matter::Audio => true,
            Matter::Responses => self.passage.responds(),
            Matter::Kept => false,
        };
        self.passage.makes && made
    }

    /// Whether `ready` is asked for a response, and none of its models gives one but by way of a chat.
    fn is_translated(&self, ready: &ReadyDeployment) -> bool {
        let matter = self.passage.matter;
        let asks = self.passage.responds() || self.passage.counts();
        let mut pairs = ready.deployment.entities.iter().zip(&ready.entities);
        asks && !pairs.any(|pair| is_able(pair, matter))
    }

    /// Whether it is about a response that was made before. Those of translated models are not kept.
    fn asks_for_kept(&self) -> bool {
        let about = !self.passage.makes || self.path.ends_with("/cancel");
        self.passage.matter == Matter::Responses && about
    }

    /// The deployment's name, where the call has one.
    fn name(&self, facts: &Asking<'a>) -> Option<Cow<'a, str>> {
        if let Some(name) = &facts.route.name {
            return Some(Cow::Owned(name.clone().into_owned()));
        }
        let of_body = match &self.body {
            Body::Json(envelope) => envelope.model.and_then(|field| field.text()),
            Body::Form { model: form::Field::At { start, end }, .. } => facts
                .request
                .body
                .get(*start..*end)
                .and_then(|bytes| core::str::from_utf8(bytes).ok())
                .map(Cow::Borrowed),
            Body::Form { .. } | Body::None => None,
        };
        of_body.filter(|name| !name.is_empty()).or_else(|| of_header(facts))
    }

    /// Whether something beside the body's `model` says whose upstream it is.
    fn is_placed(&self, facts: &Asking<'a>) -> bool {
        self.mark.is_some() || of_header(facts).is_some()
    }

    /// The deployment that takes the call.
    fn deployment(&self, facts: &Asking<'a>) -> Result<&'a ReadyDeployment, RouteError> {
        let index = facts.index;
        let located = |name: Cow<'a, str>| {
            let route = DataRoute { name: Some(name), ..facts.route.clone() };
            route::locate(index, facts.caller, &route, &facts.request.headers, &Envelope::empty())
        };
        if let Some(name) = self.name(facts) {
            match located(name) {
                // The model to begin with may be the upstream's own; then its file says where.
                Err(RouteError::UnknownDeployment { .. })
                    if self.passage.tunes() && self.is_placed(facts) => {}
                found => return found,
            }
        }
        if let Some(name) = of_header(facts).filter(|_| self.passage.tunes()) {
            return located(name);
        }
        if let Some(mark) = self.mark {
            let marked = |ready: &&ReadyDeployment| {
                ready.deployment.entities.iter().any(|entity| mark_of(ready, entity) == mark)
            };
            let ready = index.deployments().iter().find(marked).ok_or(RouteError::UnknownId)?;
            return located(Cow::Borrowed(ready.deployment.name.as_str()));
        }
        if self.generates() {
            return Err(RouteError::NoModel);
        }
        let matter = self.passage.matter;
        let can =
            |ready: &&ReadyDeployment| ready.deployment.entities.iter().any(|entity| passes(entity, matter));
        let mut able: Vec<_> = index.deployments().iter().filter(can).collect();
        able.sort_unstable_by(|one, other| one.folded.cmp(&other.folded));
        let mut refused = None;
        for ready in able {
            match located(Cow::Borrowed(ready.deployment.name.as_str())) {
                Ok(ready) => return Ok(ready),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        if self.asks_for_kept() {
            return Err(refused.unwrap_or(RouteError::UnknownId));
        }
        Err(refused.unwrap_or(RouteError::NowhereKept { what: self.passage.what() }))
    }

    /// The deployment that takes what the limits or the upstream of `ready` refuse (`azure.md`, C3). What is kept at an
    /// upstream is there and nowhere else.
    fn spillover(&self, facts: &Asking<'a>, ready: &ReadyDeployment) -> Option<&'a ReadyDeployment> {
        let bound = self.mark.is_some() || !self.generates();
        let target = ready.deployment.spillover.as_deref().filter(|_| !bound)?;
        let matter = self.passage.matter;
        facts
            .index
            .find(target)
            .filter(|ready| ready.deployment.entities.iter().any(|entity| passes(entity, matter)))
    }

    /// What each entity that can would be sent, the preferred one first.
    fn prepare(
        &self,
        facts: &Asking<'a>,
        ready: &ReadyDeployment,
        chance: Chance<'_>,
        rest: bool,
    ) -> Vec<(PreparedEntity, Mark)> {
        let entities = &ready.deployment.entities;
        let order = if self.generates() {
            select::order(entities, chance)
        } else {
            // What is kept is looked for where it was put.
            (0..entities.len()).map(|at| Pick { at, why: Why::Fallback }).collect()
        };
        let able = order.into_iter().filter_map(|Pick { at, why }| {
            let (entity, own) = (entities.get(at)?, ready.entities.get(at)?);
            let load = (chance.fitness)(at).load;
            is_able((entity, own), self.passage.matter).then_some((why, load, entity, own))
        });
        let mut prepared: Vec<_> = able
            .map(|(why, load, entity, own)| {
                let send = Send {
                    url: self.url(entity),
                    headers: self.headers(facts, own.headers()),
                    edits: self.changes(facts, ready, entity),
                    timeout: crate::time::Millis(0),
                    hedge: None,
                    head_first: true,
                    quota: false,
                    rest,
                    script: None,
                };
                let (price, mark) = (entity.price.clone(), mark_of(ready, entity));
                let name = entity.name.clone();
                let entity =
                    PreparedEntity { name, why, load, price, send, translation: None, lenient: false };
                (entity, mark)
            })
            .collect();
        if let Some(at) = prepared.iter().position(|(_, mark)| Some(*mark) == self.mark) {
            prepared = prepared.into_iter().skip(at).take(1).collect();
        }
        if !ready.deployment.fallback {
            prepared.truncate(1);
        }
        prepared
    }

    fn url(&self, entity: &ServedEntity) -> String {
        let Target::Http(upstream) = &entity.target else { return String::new() };
        let url = index::passed_address(upstream, &self.path, self.passage.is_of_deployment());
        match (self.query.as_ref(), url.contains('?')) {
            ("", _) => url,
            (query, true) => format!("{url}&{query}"),
            (query, false) => format!("{url}?{query}"),
        }
    }

    fn headers(&self, facts: &Asking<'a>, own: &[(String, String)]) -> Vec<(String, String)> {
        let mut headers = Vec::with_capacity(own.len().saturating_add(2));
        let mut pass = |name: &str, header: Header| {
            let legal =
                |value: &&str| value.len() <= 512 && value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
            if let Some(value) = facts.request.headers.get(header).filter(legal) {
                headers.push((name.to_owned(), value.to_owned()));
            }
        };
        if !matches!(self.body, Body::None) {
            pass("content-type", Header::ContentType);
        }
        pass("openai-beta", Header::OpenAiBeta);
        headers.extend_from_slice(own);
        headers
    }

    /// The model's name and the marks.
    fn changes(&self, facts: &Asking<'a>, ready: &ReadyDeployment, entity: &ServedEntity) -> Vec<Edit> {
        let model = index::model_for(entity);
        match &self.body {
            Body::Json(envelope) => {
                let own = ready.deployment.name.as_str();
                let is_own = |name: Cow<'_, str>| !self.passage.tunes() || name.eq_ignore_ascii_case(own);
                let named = envelope.model.is_some_and(|field| field.text().is_none_or(is_own));
                let model = (self.generates() || named).then_some(model);
                let drop: &[&str] = if facts.route.operation == INVOCATIONS { &LOGGED } else { &[] };
                let mut edits = envelope.edits(&Rewrite { model, drop, ..Rewrite::default() });
                edits.extend(self.edits.iter().cloned());
                edits.sort_by_key(|edit| (edit.start, edit.end));
                edits
            }
            Body::Form { model: form::Field::At { start, end }, .. } => {
                let word = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
                let same = facts.request.body.get(*start..*end) == Some(model.as_bytes());
                let edit = Edit { start: word(*start), end: word(*end), with: model.as_bytes().to_vec() };
                if same { Vec::new() } else { Vec::from([edit]) }
            }
            Body::Form { boundary, .. } if self.generates() => {
                let part = format!(
                    "--{boundary}\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n{model}\r\n"
                );
                Vec::from([Edit { start: 0, end: 0, with: part.into_bytes() }])
            }
            Body::None | Body::Form { .. } => Vec::new(),
        }
    }
}

impl Isolate {
    /// The admission of a passed call, from its body on.
    pub(super) fn admit_passed(
        &mut self,
        facts: &Asking<'_>,
        passage: &Passage<'_>,
        account: AccountId,
        admission: &mut Admission,
    ) -> Result<Running, Stop> {
        let (now, index): (UnixMillis, _) = (facts.now, facts.index);
        let call = Call::read(facts, passage)?;
        let mut ready = match call.deployment(facts) {
            Ok(ready) => ready,
            Err(error) => return Err(self.doubted(now, &account, admission, error.into())),
        };
        if call.is_translated(ready) {
            return self.admit_translated(facts, ready, account, admission);
        }
        let rest = facts.request.length > u64::try_from(facts.request.body.len()).unwrap_or(u64::MAX);
        let spillover = call.spillover(facts, ready);
        match spillover {
            Some(target) if admission.spilled => ready = target,
            Some(_) | None => {}
        }
        let serverless = ready.deployment.kind == DeploymentKind::Serverless;
        admit_address(facts.index, serverless, facts.request)?;
        let random = u64::try_from(admission.random & u128::from(u64::MAX)).unwrap_or(0);
        let empty = Envelope::empty();
        let envelope = match &call.body {
            Body::Json(envelope) => envelope,
            Body::None | Body::Form { .. } => &empty,
        };
        let asks_chat = call.generates() && passage.matter == Matter::Responses;
        // Tokens are estimated where text is asked for; elsewhere nobody can say before.
        let task = if asks_chat { Task::Chat } else { Task::Embeddings };
        let asking = facts;
        let facts = Facts {
            now,
            request: asking.request,
            route: asking.route,
            admission: *admission,
            task,
            caller: asking.caller,
            envelope,
            dropped: &[],
            extras: None,
            ready,
            spoken: None,
            bearers: &[],
        };
        let known = facts.fitness(&account, &self.health);
        let fitness = |at: usize| known.get(at).copied().unwrap_or(UNKNOWN);
        let chance = Chance { random, session: facts.session(), fitness: &fitness };
        let prepared = call.prepare(asking, ready, chance, rest);
        if prepared.is_empty() {
            return Err(unable(ready, &call).into());
        }
        let stands_in = passage.responds() && call.mark.is_none();
        let standin = if stands_in { self.standin(&facts, &account, prepared.len())? } else { None };
        let asked = ready.policy.as_ref().map(|_| call.asked(asking)).transpose()?;
        let reservation = match self.reserve(&facts, index, &account, admission) {
            Err(stop) if spillover.is_some() && !admission.spilled && stop.is_full() => {
                admission.spilled = true;
                return self.admit_passed(asking, passage, account, admission);
            }
            reserved => self.counted(&facts, &account, reserved)?,
        };
        let judged = self.judge(&facts, asked, reservation, index).map_err(Stop::from);
        let (reservation, filtering) = self.counted(&facts, &account, judged)?;
        // A form that is being streamed cannot be sent again, and what was kept must not be kept twice.
        let (generates, spills) = (call.generates(), spillover.is_some() && !rest);
        let once = rest || (passage.makes && !generates);
        let plan = PassPlan { matter: passage.matter, prepared, standin, generates, once, spills };
        Ok(self.begin_passed(&facts, plan, account, reservation, filtering))
    }
}
