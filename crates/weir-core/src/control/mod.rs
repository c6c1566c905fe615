//! The control plane: the logic of the Registry, one for each account.
//!
//! Decides what a management request changes in an account's configuration, what it answers, and what isolates see
//! of it. Three wires (`arm`, `databricks`, `weir`) give commands on one state. Performs nothing: rows to store and
//! upstreams to probe leave as data.
//!
//! Messages are JSON, one of
//! - `{"snapshot":{"known":N|null,"health"?}}` → the [`Snapshot`](crate::snapshot::Snapshot), or
//!   `{"unchanged":N,"health"?}`: what isolates tell each other (`attempt::board`);
//! - `{"http":{"method","url","authorization","api_key","body"}}` → `{"status","headers":[[name,value]],"body"}`;
//! - `{"directory":[{"key","owner","value"}]}` → `{"granted"}` (`errand`);
//! - `{"accounts":{"subscription","group"}}` → the names of the accounts that stand there;
//! - `{"mint":…}` → a short-lived token of an upstream, which the shell fetches (`snapshot::token`);
//! - `{"identify":…}`, `{"verify":…}` → whose a credential is (`access::caller`, `access::oidc`);
//! - `{"probed":{"update","outcomes":[{"entity","status"}]}}` → `{}`; `{"wake":{}}` → `{}`: looks after updates.
//!
//! **Invariant.** A command that is refused leaves rows and memory as they were; one that is not is stored as one
//! transaction with the version raised by one.

pub mod access;
pub mod address;
pub mod answer;
pub mod arm;
pub mod catalog;
pub mod command;
pub mod content;
pub mod databricks;
pub mod defaults;
pub mod document;
pub mod entropy;
pub mod errand;
pub mod external_model;
pub mod front;
pub mod guardrails;
pub mod probe;
pub mod served;
pub mod snapshot;
pub mod state;
pub mod weir;

#[cfg(test)]
mod tests;

use crate::attempt::board::Board;
use crate::id::{AccountId, RequestId};
use crate::object::{Row, Write};
use crate::seal::SealKey;
use crate::snapshot::Snapshot;
use crate::snapshot::access::Issuer;
use crate::snapshot::token::Mint;
use crate::sorted::SortedMap;
use crate::time::{Millis, UnixMillis};
use access::caller::{Caller, IdentifyAsk, Identity};
use access::oidc::{Keys, VerifyAsk, Work};
use access::{AccessRow, Home, needed};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use answer::{Answer, Denied, Location, ManagementRequest, admit};
use command::{Change, Desk, Outcome, commit};
use databricks::update;
use document::BODY_BYTES_MAX;
use entropy::Entropy;
use front::ManagementSurface;
use probe::{Probe, Probed};
use serde::Deserialize;
use serde_json::{Value, json};
use state::{AccountState, DeploymentRow, LoadError};

pub use state::TABLES;

/// How long after a message an update in progress is looked at again.
const WAKE_AFTER: Millis = Millis::from_secs(15);

/// What the operator set for the whole installation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// SHA-256 of `WEIR_ADMIN_TOKEN`; without it nobody can command.
    pub admin_token_hash: Option<[u8; 32]>,
    /// `WEIR_SEAL_KEY`; without it no secret can be stored.
    pub seal_key: Option<SealKey>,
    /// `WEIR_ALLOW_PRIVATE_UPSTREAMS`: loopback and private addresses may be upstreams.
    pub allow_private_upstreams: bool,
    /// A development installation: key texts may be chosen.
    pub dev: bool,
    /// `WEIR_OIDC_ISSUER` and `WEIR_OIDC_AUDIENCES`: whose tokens are taken.
    pub issuer: Option<Issuer>,
    /// `WEIR_STRICT_MARKETPLACE`: Azure AI Developer does not suffice for subscribing to offers.
    pub strict_marketplace: bool,
    /// `WEIR_PUBLIC_URL`, for absolute links; else the request's own scheme and host.
    pub public_url: Option<String>,
}

impl Settings {
    /// Scheme and host for absolute links, without a trailing slash.
    pub fn base(&self, origin: &str) -> String {
        String::from(self.public_url.as_deref().unwrap_or(origin).trim_end_matches('/'))
    }
}

/// What comes with a message.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// When it arrived.
    pub now: UnixMillis,
    /// Fresh random bytes.
    pub random: [u8; 32],
    /// The installation's settings.
    pub settings: &'a Settings,
}

/// What a Registry answers to one message, and what shall be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handled {
    /// The answer, JSON.
    pub reply: Vec<u8>,
    /// To store in one transaction before the answer leaves. If that fails the Registry must be loaded anew.
    pub writes: Vec<Write>,
    /// To perform; the outcomes of each update come back as `{"probed":…}`.
    pub probes: Vec<Probe>,
    /// With probes: the message whose answer is better than `reply` once the outcomes are in, because it tells the
    /// state that they led to. `reply` is right if nobody wants to wait; without this nobody shall.
    pub reread: Option<Vec<u8>>,
    /// When the message `{"wake":{}}` shall be sent, if nobody sent anything before: an update is in progress, and
    /// who performs its probes may be gone by then.
    pub wake_in: Option<Millis>,
    /// To perform before there is a reply: its outcome goes into the ask, which is sent again as `{"verify":…}`.
    pub work: Option<(Work, VerifyAsk)>,
    /// To perform: the body of the endpoint's 200 is the reply, or `null`.
    pub mint: Option<Mint>,
}

/// A message to a Registry.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Message {
    Snapshot(SnapshotQuery),
    Http(Box<ManagementRequest>),
    Directory(Vec<errand::Entry>),
    Accounts(errand::AccountsAsk),
    Identify(IdentifyAsk),
    Verify(VerifyAsk),
    Mint(Mint),
    Probed(Probed),
    Wake {},
}

#[derive(Deserialize)]
struct SnapshotQuery {
    #[serde(default)]
    known: Option<u64>,
    /// What the isolate has to tell others.
    #[serde(default)]
    health: Option<Value>,
}

/// The truth of one account's configuration.
#[derive(Clone, Debug)]
pub struct Registry {
    state: AccountState,
    /// Keys of the configured issuer; not stored.
    keys: Keys,
    /// Updates whose probes were given out since it was loaded, and when. Whoever performs them ends with it, so
    /// that it is not stored: what is not in here is probed anew.
    probing: SortedMap<String, UnixMillis>,
    /// What isolates said of their upstreams; not stored.
    board: Board,
}

impl Registry {
    /// The Registry that these rows hold; every table of [`TABLES`] is expected, missing ones are empty.
    ///
    /// # Errors
    /// [`LoadError`] naming the row that cannot be read.
    pub fn load<'a>(
        account: AccountId,
        tables: impl IntoIterator<Item = (&'a str, Vec<Row>)>,
    ) -> Result<Self, LoadError> {
        AccountState::load(account, tables).map(|state| Self {
            state,
            keys: Keys::default(),
            probing: SortedMap::new(),
            board: Board::default(),
        })
    }

    /// Its state.
    pub const fn state(&self) -> &AccountState {
        &self.state
    }

    /// What isolates route by.
    pub fn snapshot(&self) -> Snapshot {
        snapshot::of(&self.state)
    }

    /// Answers one message. A message that cannot be read changes nothing and answers `{"error":"…"}`.
    pub fn handle(&mut self, context: &Context<'_>, message: &[u8]) -> Handled {
        // The envelope adds escapes and headers to a body of the largest size.
        let bound = BODY_BYTES_MAX.saturating_mul(8);
        let parsed = if message.len() > bound { None } else { serde_json::from_slice(message).ok() };
        let lapsed = self.lapse(context.now);
        let mut handled = match parsed {
            Some(Message::Snapshot(query)) => self.answer_snapshot(context, &query),
            Some(Message::Http(request)) => self.answer_http(context, &request),
            Some(Message::Directory(entries)) => self.direct(context.now, &entries),
            Some(Message::Accounts(ask)) => {
                reply(format!("{}", json!(errand::accounts(&self.state, &ask))).into_bytes())
            }
            Some(Message::Identify(ask)) => self.answer_identify(context, &ask),
            Some(Message::Verify(ask)) => self.answer_verify(context, ask),
            Some(Message::Mint(mint)) => Handled { mint: Some(mint), ..Handled::default() },
            Some(Message::Probed(probed)) => self.settle(context.now, &probed),
            Some(Message::Wake {}) => reply(b"{}".to_vec()),
            None => failure("the message cannot be read"),
        };
        handled.writes.splice(0..0, lapsed);
        self.drive(context, &mut handled);
        handled
    }

    fn answer_snapshot(&mut self, context: &Context<'_>, query: &SnapshotQuery) -> Handled {
        let health = query.health.as_ref().and_then(|news| self.board.exchange(context.now, news));
        if query.known == Some(self.state.version) {
            let version = self.state.version;
            let unchanged = match health {
                Some(health) => json!({"unchanged": version, "health": health}),
                None => json!({ "unchanged": version }),
            };
            return reply(format!("{unchanged}").into_bytes());
        }
        let mut snapshot = self.snapshot();
        snapshot.access.issuer.clone_from(&context.settings.issuer);
        match serde_json::to_vec(&snapshot) {
            Ok(bytes) => reply(bytes),
            Err(_) => failure("the snapshot cannot be written"),
        }
    }

    fn answer_identify(&self, context: &Context<'_>, ask: &IdentifyAsk) -> Handled {
        match serde_json::to_vec(&access::caller::identify(&self.state, context.settings, context.now, ask)) {
            Ok(bytes) => reply(bytes),
            Err(_) => failure("the answer cannot be written"),
        }
    }

    fn answer_verify(&mut self, context: &Context<'_>, ask: VerifyAsk) -> Handled {
        match access::oidc::check(&mut self.keys, context.settings, &ask, context.now) {
            Ok(identity) => match serde_json::to_vec(&identity) {
                Ok(bytes) => reply(bytes),
                Err(_) => failure("the answer cannot be written"),
            },
            Err(work) => {
                let ask = VerifyAsk { steps: ask.steps.saturating_add(1), outcome: None, ..ask };
                Handled { work: Some((work, ask)), ..Handled::default() }
            }
        }
    }

    fn answer_http(&mut self, context: &Context<'_>, request: &ManagementRequest) -> Handled {
        let mut entropy = Entropy::new(context.random);
        let id = RequestId::from_random(entropy.word());
        let location = Location::parse(&request.url);
        let surface = location.as_ref().map_or(ManagementSurface::Weir, ManagementSurface::of);
        let (caller, outcome) = match caller(context.settings, request, location.as_ref()) {
            Ok(caller) => {
                let outcome = self.command(context, request, location.as_ref(), &caller, entropy);
                (caller.id, outcome)
            }
            Err(denied) => (String::new(), Err(surface.denied(denied))),
        };
        let (answer, writes, probes, target) = match outcome {
            Err(answer) => (answer, Vec::new(), Vec::new(), String::new()),
            Ok(Outcome { answer, mut changes, action, target, probes }) => {
                if !changes.is_empty() {
                    changes.extend(self.settled(surface, location.as_ref()));
                    changes.extend(served::history(&self.state, &changes, context.now));
                }
                match commit(&mut self.state, context.now, &caller, action, &target, changes) {
                    Ok(writes) => (answer, writes, probes, target),
                    Err(_) => return failure("a row cannot be written"),
                }
            }
        };
        let reread = (!probes.is_empty() && answer.status < 300).then(|| reread(&target, request)).flatten();
        match serde_json::to_vec(&surface.stamped(answer, id)) {
            Ok(reply) => Handled { reply, writes, probes, reread, ..Handled::default() },
            Err(_) => failure("the answer cannot be written"),
        }
    }

    /// Computes what a request changes; the state is only read.
    fn command(
        &self,
        context: &Context<'_>,
        request: &ManagementRequest,
        location: Option<&Location>,
        caller: &Caller,
        entropy: Entropy,
    ) -> Result<Outcome, Answer> {
        let settings = context.settings;
        let malformed = || {
            let faults = document::Faults::default();
            weir::error(400, "InvalidRequest", "The address of the request is malformed.", &faults)
        };
        let location = location.ok_or_else(malformed)?;
        let surface = ManagementSurface::of(location);
        let needed = needed::of(surface, &request.method, location, caller, &self.state);
        if let Some(action) = needed.lacking(caller, settings.strict_marketplace) {
            return Err(surface.forbidden(caller, action, &needed.scope));
        }
        let origin = settings.base(&location.origin);
        let (now, actor) = (context.now, caller.name.as_str());
        let mut desk = Desk { state: &self.state, settings, now, actor, caller, entropy, origin };
        match surface {
            ManagementSurface::Arm => arm::handle(&mut desk, request, location),
            ManagementSurface::Databricks => databricks::handle(&mut desk, request, location),
            ManagementSurface::Weir => weir::handle(&mut desk, request, location),
        }
    }

    /// Where the account stands from now on, if this is the first change by a path that says so.
    fn settled(&self, surface: ManagementSurface, location: Option<&Location>) -> Option<Change> {
        if surface != ManagementSurface::Arm || self.state.access.home.is_some() {
            return None;
        }
        let parts = location?.parts();
        let [_, subscription, _, group, ..] = parts.as_slice() else { return None };
        let home = Home { subscription: String::from(*subscription), group: String::from(*group) };
        Some(Change::Access(AccessRow::Home(home)))
    }

    /// Puts or drops entries of the directory.
    fn direct(&mut self, now: UnixMillis, entries: &[errand::Entry]) -> Handled {
        let (granted, changes) = errand::settle(&self.state, entries);
        let target = entries.first().map_or("", |entry| entry.key.as_str());
        match commit(&mut self.state, now, "weir", "directory.put", target, changes) {
            Ok(writes) => Handled { writes, ..reply(format!("{}", json!(granted)).into_bytes()) },
            Err(_) => failure("a row cannot be written"),
        }
    }

    fn settle(&mut self, now: UnixMillis, probed: &Probed) -> Handled {
        self.probing.remove(&probed.update);
        let Some(row) = update::settle(&self.state, now, probed) else {
            return reply(b"{}".to_vec());
        };
        match self.end(now, row) {
            Ok(writes) => Handled { writes, ..reply(b"{}".to_vec()) },
            Err(_) => failure("a row cannot be written"),
        }
    }

    /// Stores an endpoint whose update has ended.
    fn end(&mut self, now: UnixMillis, row: DeploymentRow) -> Result<Vec<Write>, serde_json::Error> {
        let failed = row.endpoint().is_some_and(|spec| spec.pending.is_some());
        let action = if failed { "endpoint.config_failed" } else { "endpoint.config_ready" };
        let target = row.name.clone();
        let mut changes = Vec::from([Change::Deployment(row)]);
        changes.extend(served::history(&self.state, &changes, now));
        commit(&mut self.state, now, "weir", action, target.as_str(), changes)
    }

    /// Fails updates whose probes were never reported.
    fn lapse(&mut self, now: UnixMillis) -> Vec<Write> {
        let mut writes = Vec::new();
        for row in update::lapsed(&self.state, now, &self.probing) {
            writes.extend(self.end(now, row).unwrap_or_default());
        }
        writes
    }

    /// Sees to it that each update in progress is probed by somebody, and that somebody looks after it.
    fn drive(&mut self, context: &Context<'_>, handled: &mut Handled) {
        for probe in &handled.probes {
            self.probing.insert(probe.update.clone(), context.now);
        }
        if !update::any(&self.state) {
            self.probing.clear();
            return;
        }
        let seal_key = context.settings.seal_key.as_ref();
        for (name, resumed) in update::resumed(&self.state, seal_key, context.now, &self.probing) {
            match resumed {
                Ok(probes) => {
                    self.probing.insert(name, context.now);
                    handled.probes.extend(probes);
                }
                Err(row) => handled.writes.extend(self.end(context.now, row).unwrap_or_default()),
            }
        }
        handled.wake_in = Some(WAKE_AFTER);
    }
}

/// Who commands: the administrator by its token, everybody else as the front found out.
fn caller(
    settings: &Settings,
    request: &ManagementRequest,
    location: Option<&Location>,
) -> Result<Caller, Denied> {
    // Who asks for a token shows a secret, not a token.
    if location.is_some_and(|location| databricks::oauth::is_token_route(&location.parts())) {
        return Ok(Caller::nobody());
    }
    let Err(denied) = admit(settings, request.authorization.as_deref()) else {
        return Ok(Caller::administrator());
    };
    match &request.identity {
        Some(Identity::Caller(caller)) => Ok(caller.clone()),
        Some(Identity::Expired) => Err(Denied::Expired),
        Some(Identity::Unavailable) => Err(Denied::Unavailable),
        Some(Identity::Principal(_) | Identity::Elsewhere | Identity::Unknown) | None => Err(denied),
    }
}

/// The question that shows an endpoint as it is, asked by the caller of `request`.
fn reread(name: &str, request: &ManagementRequest) -> Option<Vec<u8>> {
    let origin = Location::parse(&request.url)?.origin;
    let request = ManagementRequest {
        method: String::from("GET"),
        url: format!("{origin}/api/2.0/serving-endpoints/{name}"),
        authorization: request.authorization.clone(),
        identity: request.identity.clone(),
        ..ManagementRequest::default()
    };
    serde_json::to_vec(&json!({ "http": request })).ok()
}

fn reply(reply: Vec<u8>) -> Handled {
    Handled { reply, ..Handled::default() }
}

fn failure(what: &str) -> Handled {
    reply(format!("{}", json!({"error": what})).into_bytes())
}
