//! `GET /api/weir/v1/requests`: single exchanges of an account, newest first. No bodies.
//!
//! Decides the parameters and the answer; not who may ask. Parameters: `limit` (1 to 1 000; 100 if absent),
//! `cursor` (`next_cursor` of the page before), `deployment` (without regard to case), `client_request_id`
//! (exactly). The answer is `{"rows":[…],"next_cursor"}` with the columns of `databricks.md` 7.6 and those of
//! `design.md` section 8, "Requests". A page that is filtered may have fewer rows than `limit` while there are
//! more: go on while `next_cursor` is not null. Each ledger object keeps its last 100 000 records, for 30 days.

use super::answer::Answer;
use super::calendar::format_rfc3339;
use super::message::{Message, PartRecord, RequestsAsk, RequestsPart};
use super::params::{Params, read_cursor, write_cursor};
use super::query::LedgerAsk;
use crate::account::batch::SHARDS;
use crate::account::record::UsageRecord;
use crate::id::AccountId;
use crate::object::CallOutcome;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::Serialize;

const PARAMETERS: [&str; 4] = ["limit", "cursor", "deployment", "client_request_id"];
const LIMIT: u32 = 100;
const LIMIT_MAX: u32 = 1_000;
/// How many times all objects are asked for one answer: as often as it takes to look at all they have.
const ROUNDS_MAX: u32 = 21;

/// A question about single exchanges while its answer is gathered; to be driven like
/// [`UsageQuery`](super::query::UsageQuery).
#[derive(Debug)]
pub struct RequestsQuery {
    account: AccountId,
    limit: u32,
    deployment: Option<String>,
    client_request_id: Option<String>,
    shards: Vec<Progress>,
    /// The newest records known so far, by key.
    found: BTreeMap<String, UsageRecord>,
    rounds: u32,
    failed: bool,
}

/// How far a shard was read.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Progress {
    /// Everything from this key on; from the top if `None`.
    Down(Option<String>),
    /// Everything.
    Exhausted,
}

impl RequestsQuery {
    /// Understands the part of the address after `?`.
    ///
    /// # Errors
    /// The answer for the caller, with every fault.
    pub fn parse(account: &AccountId, query: &str) -> Result<Self, Answer> {
        let mut params = Params::parse(query, &PARAMETERS);
        let limit = params.limit(LIMIT, LIMIT_MAX);
        let before: Option<String> = params.read("cursor", None, |text| read_cursor(text).map(Some));
        if !params.faults.is_empty() {
            return Err(Answer::refused(&params.faults));
        }
        Ok(Self {
            account: account.clone(),
            limit,
            deployment: params.text("deployment").map(str::to_ascii_lowercase),
            client_request_id: params.text("client_request_id").map(ToString::to_string),
            shards: (0..SHARDS).map(|_| Progress::Down(before.clone())).collect(),
            found: BTreeMap::new(),
            rounds: 0,
            failed: false,
        })
    }

    /// What is to be asked now; nothing when the answer is ready.
    pub fn asks(&mut self) -> Vec<LedgerAsk> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        if self.failed || self.rounds >= ROUNDS_MAX || self.settled().count() >= limit {
            return Vec::new();
        }
        self.rounds = self.rounds.saturating_add(1);
        let ask = |(shard, progress): (u64, &Progress)| match progress {
            Progress::Exhausted => None,
            Progress::Down(before) => {
                let message = Message::Requests(RequestsAsk {
                    before: before.clone(),
                    limit: self.limit,
                    deployment: self.deployment.clone(),
                    client_request_id: self.client_request_id.clone(),
                });
                Some(LedgerAsk::new(&self.account, shard, &message))
            }
        };
        (0..SHARDS).zip(&self.shards).filter_map(ask).collect()
    }

    /// What a ledger object answered to the ask that named `shard`, once for each ask.
    pub fn answered(&mut self, shard: u64, outcome: CallOutcome<'_>) {
        let part = match outcome {
            CallOutcome::Answered(body) => serde_json::from_slice::<RequestsPart>(body).ok(),
            CallOutcome::Lost => None,
        };
        let progress = usize::try_from(shard).ok().and_then(|shard| self.shards.get_mut(shard));
        let (Some(part), Some(progress)) = (part, progress) else {
            self.failed = true;
            return;
        };
        *progress = match part.next {
            Some(next) => Progress::Down(Some(next)),
            None => Progress::Exhausted,
        };
        for PartRecord { key, record } in part.rows {
            if let Ok(record) = crate::json::read(record.get()) {
                self.found.insert(key, record);
            }
        }
    }

    /// The answer, when [`asks`](Self::asks) is empty.
    pub fn answer(&self) -> Answer {
        if self.failed {
            return Answer::unavailable();
        }
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let page: Vec<_> = self.settled().take(limit).collect();
        let all = self.shards.iter().all(|progress| *progress == Progress::Exhausted);
        let next = if page.len() >= limit && !(all && page.len() == self.found.len()) {
            page.last().map(|(key, _)| (*key).clone())
        } else {
            self.horizon().cloned()
        };
        Answer::json(&Body {
            rows: page.iter().map(|(_, record)| RequestRow::of(&self.account, record)).collect(),
            next_cursor: next.map(|key| write_cursor(&key)),
        })
    }

    /// The key down to which every shard was read; `None` if all were read whole, or one not at all.
    fn horizon(&self) -> Option<&String> {
        if self.shards.contains(&Progress::Down(None)) {
            return None;
        }
        let keys = self.shards.iter().filter_map(|progress| match progress {
            Progress::Down(key) => key.as_ref(),
            Progress::Exhausted => None,
        });
        keys.max()
    }

    /// Records, newest first, between which none can come any more.
    fn settled(&self) -> impl Iterator<Item = (&String, &UsageRecord)> {
        let unread = self.shards.contains(&Progress::Down(None));
        let horizon = self.horizon();
        let settled = move |key: &String| !unread && horizon.is_none_or(|horizon| key >= horizon);
        self.found.iter().rev().take_while(move |(key, _)| settled(key))
    }
}

#[derive(Serialize)]
struct Body<'a> {
    rows: Vec<RequestRow<'a>>,
    next_cursor: Option<String>,
}

/// A row of the answer. A workspace is the account's own: Weir has one of each under one name.
#[derive(Serialize)]
struct RequestRow<'a> {
    account_id: &'a str,
    workspace_id: &'a str,
    databricks_request_id: String,
    client_request_id: Option<&'a str>,
    request_time: String,
    requester: &'a str,
    key: &'a str,
    deployment: &'a str,
    model: &'a str,
    served_entity_id: &'a str,
    surface: &'a str,
    status_code: u16,
    request_streaming: bool,
    complete: bool,
    input_token_count: u64,
    cached_input_token_count: u64,
    output_token_count: u64,
    reasoning_token_count: u64,
    token_counts_estimated: bool,
    cost: Option<String>,
    currency: Option<&'a str>,
    latency_ms: u64,
    time_to_first_token_ms: u64,
    attempts: u32,
}

impl<'a> RequestRow<'a> {
    fn of(account: &'a AccountId, record: &'a UsageRecord) -> Self {
        Self {
            account_id: account.as_str(),
            workspace_id: account.as_str(),
            databricks_request_id: record.id.to_string(),
            client_request_id: record.client_request_id.as_deref(),
            request_time: format_rfc3339(record.at),
            requester: &record.principal,
            key: &record.key,
            deployment: &record.deployment,
            model: &record.model,
            served_entity_id: &record.entity,
            surface: &record.surface,
            status_code: record.status,
            request_streaming: record.streamed,
            complete: record.complete,
            input_token_count: record.usage.input,
            cached_input_token_count: record.usage.cached_input,
            output_token_count: record.usage.output,
            reasoning_token_count: record.usage.reasoning,
            token_counts_estimated: record.usage.estimated,
            cost: record.cost.map(|cost| cost.to_string()),
            currency: record.currency.as_deref(),
            latency_ms: record.latency.0,
            time_to_first_token_ms: record.time_to_first_byte.0,
            attempts: record.attempts,
        }
    }
}

#[cfg(test)]
#[path = "requests_tests.rs"]
mod tests;
