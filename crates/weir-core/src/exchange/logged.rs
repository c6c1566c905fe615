//! Bodies of exchanges for the ledger: inference tables (`databricks.md`, 7.5).
//!
//! Above the stages. Decides which exchanges are logged (a share of those of a deployment that wants it), what of them
//! is kept while they run, and the item that goes to the ledger. A body above [`BODY_BYTES_MAX`] is not logged, but that
//! it was is. Logging is the last thing to get memory: beyond [`HELD_BYTES_MAX`] bodies are left out like those that are
//! too large. Exchanges of other deployments cost nothing but a look at an empty map.

use super::action::{Action, Event, Request};
use super::isolate::Isolate;
use super::prepare::Facts;
use super::running::Running;
use crate::account::record::{Logged, UsageRecord};
use crate::error::WeirError;
use crate::id::AccountId;
use crate::policy::PolicyError;
use crate::reply;
use crate::sorted::SortedMap;
use crate::time::UnixMillis;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::Serialize;

/// The largest body that is logged.
const BODY_BYTES_MAX: usize = 1 << 20;
/// What all bodies of running exchanges may take (of an isolate's 128 MiB).
const HELD_BYTES_MAX: usize = 12 << 20;
const MILLION: u128 = 1_000_000;

/// The bodies of running exchanges, by handle.
#[derive(Debug, Default)]
pub(super) struct Logs {
    by_handle: SortedMap<u32, Log>,
    held_bytes: usize,
}

/// One exchange's bodies.
#[derive(Debug)]
struct Log {
    account: AccountId,
    sampling: u32,
    /// None: too large.
    request: Option<Vec<u8>>,
    response: Option<Vec<u8>>,
    /// Given at the exchange's end.
    record: Option<UsageRecord>,
}

/// What goes to the ledger.
#[derive(Serialize)]
struct Item<'a> {
    payload: Payload<'a>,
}

#[derive(Serialize)]
struct Payload<'a> {
    record: &'a UsageRecord,
    /// Where it belongs in a bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<String>,
    request: Option<&'a str>,
    response: Option<&'a str>,
}

/// Whether the lot falls on an exchange with this random word.
fn is_drawn(random: u128, sampling: u32) -> bool {
    (random >> 64).checked_rem(MILLION).unwrap_or(0) < u128::from(sampling)
}

impl Logs {
    pub(super) fn is_empty(&self) -> bool {
        self.by_handle.is_empty()
    }

    fn add(&mut self, handle: u32, bytes: &[u8]) {
        let Some(log) = self.by_handle.get_mut(&handle) else { return };
        let held = log.response.as_ref().map_or(0, Vec::len);
        let fits = held.saturating_add(bytes.len()) <= BODY_BYTES_MAX
            && self.held_bytes.saturating_add(bytes.len()) <= HELD_BYTES_MAX;
        if fits && let Some(response) = &mut log.response {
            response.extend_from_slice(bytes);
            self.held_bytes = self.held_bytes.saturating_add(bytes.len());
        } else {
            self.held_bytes = self.held_bytes.saturating_sub(held);
            log.response = None;
        }
    }

    pub(super) fn forget(&mut self, handle: u32) {
        let _log = self.take(handle);
    }

    fn take(&mut self, handle: u32) -> Option<Log> {
        let log = self.by_handle.remove(&handle)?;
        let held = |body: &Option<Vec<u8>>| body.as_ref().map_or(0, Vec::len);
        self.held_bytes =
            self.held_bytes.saturating_sub(held(&log.request)).saturating_sub(held(&log.response));
        Some(log)
    }
}

impl Isolate {
    /// Begins to log an admitted exchange, if its deployment wants it and the lot falls on it. The upper half of its
    /// random word decides; the lower one chose its entity.
    pub(super) fn begin_log(&mut self, handle: u32, running: &mut Running, request: &Request<'_>) {
        if !self.logs.is_empty() {
            // An exchange that spilled over begins anew.
            self.logs.forget(handle);
        }
        let Some(sampling) = running.sampling else { return };
        if !is_drawn(running.admission.random, sampling) {
            return;
        }
        let size = request.body.len();
        let fits = size <= BODY_BYTES_MAX && self.logs.held_bytes.saturating_add(size) <= HELD_BYTES_MAX;
        let body = fits.then(|| request.body.to_vec());
        self.logs.held_bytes = self.logs.held_bytes.saturating_add(if fits { size } else { 0 });
        running.log = Some(handle);
        let log = Log {
            account: running.account.clone(),
            sampling,
            request: body,
            response: Some(Vec::new()),
            record: None,
        };
        self.logs.by_handle.insert(handle, log);
    }

    /// Logs an exchange whose prompt was stopped before a model was asked, with what its caller gets (`databricks.md`,
    /// 7.2). Other refusals are no exchanges with the model.
    pub(super) fn log_refused(&mut self, facts: &Facts<'_>, account: &AccountId, error: &WeirError) {
        let stopped = matches!(
            error,
            WeirError::Policy(PolicyError::Guardrail { .. } | PolicyError::PromptFiltered { .. })
        );
        let Some(sampling) = facts.ready.deployment.payload_sampling.filter(|_| stopped) else { return };
        if !is_drawn(facts.admission.random, sampling) {
            return;
        }
        let body = facts.request.body;
        let reply = reply::render(error, facts.route.surface, facts.route.operation, facts.admission.id);
        let log = Log {
            account: account.clone(),
            sampling,
            request: (body.len() <= BODY_BYTES_MAX).then(|| body.to_vec()),
            response: Some(reply.body.into_bytes()),
            record: Some(facts.turned_away(&facts.tracked().unwrap_or_default(), error)),
        };
        self.hand_over(facts.now, log);
    }

    /// What is logged of an exchange is logged under another handle from now on.
    pub(super) fn log_goes_on(&mut self, running: &mut Running, handle: u32) {
        let Some(log) = running.log.and_then(|own| self.logs.by_handle.remove(&own)) else { return };
        running.log = Some(handle);
        self.logs.by_handle.insert(handle, log);
    }

    /// Notes how a logged exchange ended.
    pub(super) fn end_log(&mut self, handle: Option<u32>, record: &UsageRecord) {
        if let Some(log) = handle.and_then(|handle| self.logs.by_handle.get_mut(&handle)) {
            log.record = Some(record.clone());
        }
    }

    /// Takes what a logged exchange gives its caller, and hands it to the ledger after the last of it.
    pub(super) fn watch_log(&mut self, now: UnixMillis, handle: u32, event: &Event<'_>, action: &Action) {
        let given: &[u8] = match (action, event) {
            (Action::PassPiece, Event::Piece(bytes))
            | (Action::Deliver(_), Event::Answer { body: bytes, .. }) => bytes,
            (
                Action::PassInstead(bytes)
                | Action::Close(bytes)
                | Action::Abort(bytes)
                | Action::Ask { pass: bytes, .. }
                | Action::DeliverStream { bytes, .. },
                _,
            ) => bytes,
            (Action::Reply(reply), _) => reply.body.as_bytes(),
            _ => &[],
        };
        self.logs.add(handle, given);
        let over = matches!(
            action,
            Action::Reply(_)
                | Action::Deliver(_)
                | Action::HandThrough(_)
                | Action::Close(_)
                | Action::Abort(_)
        );
        if over && let Some(log) = self.logs.take(handle) {
            self.hand_over(now, log);
        }
    }

    fn hand_over(&mut self, now: UnixMillis, log: Log) {
        let Some(mut record) = log.record else { return };
        let mut errors = Vec::new();
        for (body, word) in
            [(&log.request, "MAX_REQUEST_SIZE_EXCEEDED"), (&log.response, "MAX_RESPONSE_SIZE_EXCEEDED")]
        {
            if body.is_none() {
                errors.push(word.to_owned());
            }
        }
        record.logged = Some(Logged { sampling: log.sampling, errors });
        let text = |body: &Option<Vec<u8>>| body.as_deref().map(String::from_utf8_lossy).map(String::from);
        let (request, response) = (text(&log.request), text(&log.response));
        let table = self.table_of(&log.account, &record.deployment);
        let payload =
            Payload { record: &record, table, request: request.as_deref(), response: response.as_deref() };
        if let Ok(item) = serde_json::to_vec(&Item { payload }) {
            self.payloads.push_text(now, &log.account, &item);
        }
    }

    /// The inference table of a deployment, with its account, by the snapshot at hand.
    fn table_of(&self, account: &AccountId, deployment: &str) -> Option<String> {
        let ready = self.accounts.at_hand(account)?.find(deployment)?;
        Some(format!("{account}/{}", ready.deployment.payload_table.as_ref()?))
    }
}
