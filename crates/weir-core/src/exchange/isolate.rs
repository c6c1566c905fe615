//! The state of one isolate, and the front of the whole core.
//!
//! Above the stages. Decides which exchange an event belongs to, and what an object's answer is for; what follows
//! for an exchange is decided in `admit` (until the upstream is called) and `finish` (from its answer on). An
//! isolate must be able to lose all of it at any moment.

use super::accounts::{Accounts, LOOK_AGAIN, Readiness};
use super::action::{Action, Event, Pause, Request};
use super::admit::{Admission, Held};
use super::logged::Logs;
use super::running::Running;
use super::tokens::Tokens;
use super::verdicts::Verdicts;
use crate::account::batch::UsageBatches;
use crate::attempt::board;
use crate::attempt::budget::RetryBudget;
use crate::attempt::health::HealthBook;
use crate::attempt::hedge::Hedging;
use crate::control::access::oidc::VerifyAsk;
use crate::error::WeirError;
use crate::id::{AccountId, IsolateId, RequestId};
use crate::limit::LeaseBook;
use crate::object::{CallOutcome, ObjectCall, ObjectKind};
use crate::policy::Lexicon;
use crate::reply;
use crate::seal::SealKey;
use crate::snapshot::Snapshot;
use crate::snapshot::index::SnapshotIndex;
use crate::snapshot::token::Mint;
use crate::surface::{self, Disposition, Header};
use crate::time::{Millis, UnixMillis};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde_json::json;

/// What the operator set, as far as the data path needs it.
#[derive(Clone, Default)]
pub struct Settings {
    /// SHA-256 of the administrator's token.
    pub admin_token_hash: Option<[u8; 32]>,
    /// Opens what is sealed in snapshots.
    pub seal_key: Option<SealKey>,
    /// The region that answers on Azure's surfaces tell, e.g. `Sweden Central`; `Global` if absent.
    pub region: Option<String>,
}

/// Exchanges that one isolate carries at once; beyond it callers are told to come again.
const EXCHANGES_MAX: usize = 20_000;
/// Object calls in flight or queued at once.
const CALLS_MAX: usize = 4_096;
/// Deployments whose retry budget is remembered; beyond it all begin anew with their reserve.
const RETRIES_MAX: usize = 10_000;
/// An exchange that got no event for so long was given up by its driver (its deadlines are shorter).
const ABANDONED_AFTER: Millis = Millis(15 * 60 * 1000);
/// A driver that was asked to make object calls and did not do so for this long is asked again.
const CALLS_OVERDUE: Millis = Millis(500);

/// What an object call was made for.
#[derive(Clone, Debug)]
enum CallFor {
    Snapshot { account: AccountId },
    Limiter { token: u64 },
    Ledger { token: u64 },
    Payloads { token: u64 },
    Verdict { token: [u8; 32] },
    Token { source: [u8; 32] },
}

/// One exchange between two events.
enum Stage {
    /// Not yet admitted: the request is kept until what it waits for is there.
    Waiting(Held),
    /// Admitted: reservations are held, an upstream is or was called.
    Running(Box<Running>),
}

struct Exchange {
    stage: Stage,
    touched: UnixMillis,
}

/// One isolate.
pub struct Isolate {
    id: IsolateId,
    pub(super) settings: Settings,
    pub(super) accounts: Accounts,
    pub(super) leases: LeaseBook,
    pub(super) batches: UsageBatches,
    /// Logged bodies on their way to the ledger: apart, so that they never push a record out.
    pub(super) payloads: UsageBatches,
    pub(super) logs: Logs,
    pub(super) retries: BTreeMap<String, RetryBudget>,
    pub(super) health: HealthBook,
    /// Of deployments that make second calls.
    pub(super) hedges: BTreeMap<String, Hedging>,
    pub(super) verdicts: Verdicts,
    pub(super) tokens: Tokens,
    /// Made when the first content policy needs it.
    pub(super) lexicon: Option<Rc<Lexicon>>,
    exchanges: BTreeMap<u32, Exchange>,
    next_handle: u32,
    outbox: VecDeque<ObjectCall>,
    calls: BTreeMap<u64, (UnixMillis, CallFor)>,
    next_call: u64,
    /// When the driver last promised to make object calls.
    promised: Option<UnixMillis>,
    swept: UnixMillis,
}

impl Isolate {
    /// A new isolate. `id` must be random; handles begin somewhere in the `u32` range by it, so that an event
    /// for an exchange of an isolate that trapped does not hit one of its successor.
    pub fn new(id: IsolateId, settings: Settings) -> Self {
        Self {
            id,
            settings,
            accounts: Accounts::default(),
            leases: LeaseBook::new(id),
            batches: UsageBatches::new(id),
            // Of the same shard, and another isolate for the ledger, because its batches have numbers of their own.
            payloads: UsageBatches::new(IsolateId(id.0 ^ (1 << 63))),
            logs: Logs::default(),
            retries: BTreeMap::new(),
            health: HealthBook::default(),
            hedges: BTreeMap::new(),
            verdicts: Verdicts::default(),
            tokens: Tokens::default(),
            lexicon: None,
            exchanges: BTreeMap::new(),
            next_handle: u32::try_from(id.0 & 0x7fff_ffff).unwrap_or(0),
            outbox: VecDeque::new(),
            calls: BTreeMap::new(),
            next_call: 1,
            promised: None,
            swept: UnixMillis::default(),
        }
    }

    /// The headers to read of a request, as [`surface::wanted`] has them; the caller's address only where a network
    /// rule may be about it, and the session only where there is a choice, because each header costs.
    pub fn wanted(&self, disposition: &Disposition<'_>) -> u32 {
        let mut wanted = surface::wanted(disposition);
        if !self.accounts.has_rules() {
            wanted &= !Header::ClientAddress.bit();
        }
        if self.accounts.has_choices() && matches!(disposition, Disposition::Data(_)) {
            wanted |= Header::Session.bit();
        }
        wanted
    }

    /// Begins an exchange. `random` names it and spreads its choices. Answers its handle, for later events, and
    /// what to do first.
    pub fn begin(&mut self, now: UnixMillis, random: u128, request: &Request<'_>) -> (u32, Action) {
        self.sweep(now);
        let handle = self.new_handle();
        let id = RequestId::from_random(random);
        if self.exchanges.len() >= EXCHANGES_MAX {
            let surface = surface::form_of(request.url);
            let reply = reply::render(&WeirError::Overloaded, surface, surface::OTHER, id);
            return (handle, Action::Reply(reply));
        }
        let admission = Admission {
            id,
            began: now,
            random,
            refreshed: false,
            asked_directory: false,
            wait: None,
            spilled: false,
            looks: 0,
        };
        (handle, self.admit(now, handle, request, admission))
    }

    pub(super) const fn new_handle(&mut self) -> u32 {
        let handle = self.next_handle;
        self.next_handle = handle.wrapping_add(1);
        handle
    }

    /// Gives an exchange up, if it is there.
    pub(super) fn give_up(&mut self, now: UnixMillis, handle: u32) {
        match self.exchanges.remove(&handle).map(|exchange| exchange.stage) {
            Some(Stage::Running(running)) => self.abandon(now, *running),
            Some(Stage::Waiting(held)) => {
                if let Some(wait) = held.admission.wait {
                    self.leases.abandon(now, wait);
                }
            }
            None => {}
        }
    }

    /// Tells what happened to an exchange. An event for an exchange that is over (or of another isolate) breaks
    /// the caller's connection: nothing can be said truthfully any more.
    pub fn handle(&mut self, now: UnixMillis, random: u64, handle: u32, event: Event<'_>) -> Action {
        let Some(exchange) = self.exchanges.remove(&handle) else {
            return Action::Abort(Vec::new());
        };
        match exchange.stage {
            Stage::Waiting(held) => self.admit_held(now, handle, &held),
            Stage::Running(running) if self.logs.is_empty() => {
                self.advance(now, random, handle, *running, event)
            }
            Stage::Running(running) => {
                let action = self.advance(now, random, handle, *running, event);
                self.watch_log(now, handle, &event, &action);
                action
            }
        }
    }

    /// The next object call to make, if any. Every call must be reported back by [`Isolate::called`].
    pub fn poll_call(&mut self, now: UnixMillis) -> Option<ObjectCall> {
        self.promised = None;
        if let Some(call) = self.outbox.pop_front() {
            return Some(call);
        }
        if self.calls.len() >= CALLS_MAX {
            return None;
        }
        if let Some(message) = self.leases.poll_message(now) {
            let call_for = CallFor::Limiter { token: message.token };
            return Some(self.call(now, ObjectKind::Limiter, message.object, message.body, call_for));
        }
        if let Some(message) = self.batches.poll_message(now) {
            let call_for = CallFor::Ledger { token: message.token };
            return Some(self.call(now, ObjectKind::Ledger, message.object, message.body, call_for));
        }
        let message = self.payloads.poll_message(now)?;
        let call_for = CallFor::Payloads { token: message.token };
        Some(self.call(now, ObjectKind::Ledger, message.object, message.body, call_for))
    }

    /// Tells what became of an object call. An unknown or repeated `call` changes nothing.
    pub fn called(&mut self, now: UnixMillis, call: u64, outcome: CallOutcome<'_>) {
        match self.calls.remove(&call) {
            None => {}
            Some((sent, CallFor::Snapshot { account })) => self.snapshot_came(now, sent, &account, outcome),
            Some((_, CallFor::Verdict { token })) => self.verdicts.answered(now, token, outcome),
            Some((_, CallFor::Token { source })) => self.tokens.answered(now, source, outcome),
            Some((_, CallFor::Limiter { token })) => self.leases.answered(now, token, outcome),
            Some((_, CallFor::Ledger { token })) => self.batches.answered(now, token, outcome),
            Some((_, CallFor::Payloads { token })) => self.payloads.answered(now, token, outcome),
        }
    }

    /// As [`Isolate::calls_due`], for the driver that is to perform `action`: `None` if the action itself makes them.
    pub fn calls_after(&mut self, now: UnixMillis, action: &Action) -> Option<Millis> {
        if *action == Action::Pause(Pause::Calls) { None } else { self.calls_due(now) }
    }

    /// After how long the driver shall make object calls: `None` if there will be none, or if a driver already
    /// promised them. Asking is promising. A driver that made calls asks again, until it hears `None`: what is due
    /// later than the calls just made must not wait for the next request.
    pub fn calls_due(&mut self, now: UnixMillis) -> Option<Millis> {
        let due = if self.outbox.is_empty() {
            [self.leases.due(), self.batches.due(now), self.payloads.due(now)]
                .into_iter()
                .flatten()
                .min()?
                .max(now)
        } else {
            now
        };
        if self.promised.is_some_and(|promised| promised <= due && now < promised.plus(CALLS_OVERDUE)) {
            return None;
        }
        self.promised = Some(due);
        Some(due.since(now))
    }

    /// The snapshot of `account`, or what to do to get it.
    pub(super) fn snapshot(
        &mut self,
        now: UnixMillis,
        account: &AccountId,
    ) -> Result<Rc<SnapshotIndex>, Option<Pause>> {
        match self.accounts.readiness(now, account) {
            Readiness::Ready(index) => Ok(index),
            Readiness::Refresh(index) => {
                self.ask_snapshot(now, account);
                Ok(index)
            }
            Readiness::Ask => {
                self.ask_snapshot(now, account);
                Err(Some(Pause::Calls))
            }
            Readiness::Wait => Err(Some(Pause::For(LOOK_AGAIN))),
            Readiness::Unavailable => Err(None),
        }
    }

    /// How an exchange waits for a lease that was asked for.
    pub(super) fn lease_pause(&self, now: UnixMillis) -> Pause {
        if self.leases.wants_call(now) { Pause::Calls } else { Pause::For(LOOK_AGAIN) }
    }

    pub(super) fn keep(&mut self, now: UnixMillis, handle: u32, running: Running) {
        self.exchanges.insert(handle, Exchange { stage: Stage::Running(Box::new(running)), touched: now });
    }

    /// The running exchange of a handle, no longer kept.
    pub(super) fn take(&mut self, handle: u32) -> Option<Running> {
        let exchange = self.exchanges.remove(&handle)?;
        match exchange.stage {
            Stage::Running(running) => Some(*running),
            Stage::Waiting(_) => {
                self.exchanges.insert(handle, exchange);
                None
            }
        }
    }

    pub(super) fn hold(&mut self, now: UnixMillis, handle: u32, held: Held) {
        self.exchanges.insert(handle, Exchange { stage: Stage::Waiting(held), touched: now });
    }

    pub(super) fn ask_snapshot(&mut self, now: UnixMillis, account: &AccountId) {
        let known = self
            .accounts
            .asked(now, account)
            .map_or_else(|| String::from("null"), |version| version.to_string());
        let health = if self.accounts.has_choices() {
            let report = board::report(&self.health, now, self.id, account.as_str());
            format!(",\"health\":{}", report.as_deref().unwrap_or("{}"))
        } else {
            String::new()
        };
        let body = format!("{{\"snapshot\":{{\"known\":{known}{health}}}}}").into_bytes();
        let call_for = CallFor::Snapshot { account: account.clone() };
        let call = self.call(now, ObjectKind::Registry, account.to_string(), body, call_for);
        self.outbox.push_back(call);
    }

    /// Asks the directory whether a token is true.
    pub(super) fn ask_verdict(&mut self, now: UnixMillis, token: [u8; 32], ask: &VerifyAsk) {
        let body = json!({ "verify": ask }).to_string().into_bytes();
        let directory = AccountId::default_account().to_string();
        let call = self.call(now, ObjectKind::Registry, directory, body, CallFor::Verdict { token });
        self.outbox.push_back(call);
    }

    /// Asks the account's Registry for an upstream's token.
    pub(super) fn ask_token(&mut self, now: UnixMillis, account: &AccountId, source: [u8; 32], mint: &Mint) {
        let body = json!({ "mint": mint }).to_string().into_bytes();
        let call_for = CallFor::Token { source };
        let call = self.call(now, ObjectKind::Registry, account.to_string(), body, call_for);
        self.outbox.push_back(call);
    }

    fn snapshot_came(
        &mut self,
        now: UnixMillis,
        sent: UnixMillis,
        account: &AccountId,
        outcome: CallOutcome<'_>,
    ) {
        let CallOutcome::Answered(body) = outcome else {
            return self.accounts.lost(now, account);
        };
        // Either `{"unchanged":version}` or a snapshot.
        if body.starts_with(b"{\"unchanged\"") || body.starts_with(b"{\"health\"") {
            board::adopt(&mut self.health, now, account.as_str(), body);
            return self.accounts.refreshed(sent, account, None);
        }
        let index = serde_json::from_slice::<Snapshot>(body)
            .ok()
            .and_then(|snapshot| SnapshotIndex::build(snapshot, self.settings.seal_key.as_ref()).ok());
        match index {
            Some(index) => self.accounts.refreshed(sent, account, Some(index)),
            None => self.accounts.lost(now, account),
        }
    }

    fn call(
        &mut self,
        now: UnixMillis,
        kind: ObjectKind,
        name: String,
        body: Vec<u8>,
        call_for: CallFor,
    ) -> ObjectCall {
        let id = self.next_call;
        // The driver carries ids as 32-bit words.
        self.next_call = if id >= u64::from(u32::MAX) { 1 } else { id.saturating_add(1) };
        self.calls.insert(id, (now, call_for));
        ObjectCall { id, kind, name, body }
    }

    /// Settles what drivers have given up, now and then.
    fn sweep(&mut self, now: UnixMillis) {
        if now.since(self.swept) < Millis(60_000) {
            return;
        }
        self.swept = now;
        // The answer of a call whose driver is gone never comes; leases and batches have their own timeouts.
        self.calls.retain(|_, (sent, _)| now.since(*sent) < Millis(60_000));
        self.health.sweep(now);
        if self.retries.len() > RETRIES_MAX {
            self.retries.clear();
        }
        if self.hedges.len() > RETRIES_MAX {
            self.hedges.clear();
        }
        let dead = |exchange: &Exchange| now.since(exchange.touched) > ABANDONED_AFTER;
        let handles: Vec<u32> =
            self.exchanges.iter().filter(|(_, exchange)| dead(exchange)).map(|(handle, _)| *handle).collect();
        for handle in handles {
            self.give_up(now, handle);
        }
    }
}
