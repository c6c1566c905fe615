//! `GET /api/weir/v1/requests` and Databricks' tables of requests: single exchanges of an account, newest first.
//! `…/requests/{id}`: the one of this id with how it came about, where that was kept; 404 if it is not among those that
//! are kept.
//!
//! Decides the parameters and the answer; not who may ask. Parameters: `limit` (1 to 1 000; 100 if absent),
//! `cursor` (`next_cursor` of the page before), `deployment` (without regard to case), `client_request_id`
//! (exactly), `since` (milliseconds; only exchanges that
//! began then or later). The answer is `{"rows":[…],"next_cursor"}` with the columns of `databricks.md` 7.6 and those of
//! `design.md` section 8, "Requests". A page that is filtered may have fewer rows than `limit` while there are
//! more: go on while `next_cursor` is not null. Each ledger object keeps its last 100 000 records, for 30 days.

use super::answer::Answer;
use super::calendar::format_rfc3339;
use super::message::{BodiesAsk, BodiesPart, Message, PartRecord, RequestsAsk, RequestsPart};
use super::params::{Params, read_cursor, write_cursor};
use super::query::LedgerAsk;
use super::tables;
use crate::account::batch::SHARDS;
use crate::account::record::UsageRecord;
use crate::id::AccountId;
use crate::object::CallOutcome;
use crate::sorted::SortedMap;
use crate::time::UnixMillis;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::Serialize;
use serde_json::Value;

const PARAMETERS: [&str; 6] = ["limit", "cursor", "deployment", "client_request_id", "since", "format"];
const LIMIT: u32 = 100;
const LIMIT_MAX: u32 = 1_000;
/// Rows of an inference table on one page: their bodies have up to 2 MiB each.
const BODIES: u32 = 8;
const BODIES_LIMIT: u32 = 16;
/// How many times all objects are asked for one answer: as often as it takes to look at all they have.
const ROUNDS_MAX: u32 = 21;

/// As what the exchanges are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// `GET /api/weir/v1/requests`.
    Requests,
    /// `GET /api/weir/v1/databricks/endpoint_usage`: those of endpoints whose usage is tracked, failed ones too, with the
    /// columns of `system.serving.endpoint_usage`; also as CSV.
    EndpointUsage,
    /// `GET /api/weir/v1/databricks/inference_table?deployment=…`: those with logged bodies, a line of JSON each.
    InferenceTable,
}

/// A question about single exchanges while its answer is gathered; to be driven like
/// [`UsageQuery`](super::query::UsageQuery).
#[derive(Debug)]
pub struct RequestsQuery {
    account: AccountId,
    view: View,
    csv: bool,
    limit: u32,
    deployment: Option<String>,
    client_request_id: Option<String>,
    since: Option<UnixMillis>,
    /// The one exchange that is asked for.
    id: Option<String>,
    shards: Vec<Progress>,
    /// The newest records known so far, by key, with their shard.
    found: SortedMap<String, (u64, UsageRecord)>,
    /// What callers sent and got, by key, once it was asked for.
    bodies: Option<SortedMap<String, [Option<String>; 2]>>,
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
    pub fn parse(account: &AccountId, view: View, query: &str) -> Result<Self, Answer> {
        // Only a table can be CSV.
        let known =
            if view == View::EndpointUsage { PARAMETERS.len() } else { PARAMETERS.len().saturating_sub(1) };
        let mut params = Params::parse(query, PARAMETERS.get(..known).unwrap_or_default());
        let limit = match view {
            View::Requests | View::EndpointUsage => params.limit(LIMIT, LIMIT_MAX),
            View::InferenceTable => params.limit(BODIES, BODIES_LIMIT),
        };
        let csv = params.read("format", false, |text| match text {
            "json" => Ok(false),
            "csv" => Ok(true),
            _ => Err("is neither json nor csv"),
        });
        if view == View::InferenceTable && params.text("deployment").is_none() {
            params.fault("deployment", "is required");
        }
        let since = params.read("since", None, |text| match text.parse::<u64>() {
            Ok(since) => Ok(Some(UnixMillis(since))),
            Err(_) => Err("is not a time in milliseconds"),
        });
        let before: Option<String> = params.read("cursor", None, |text| read_cursor(text).map(Some));
        if !params.faults.is_empty() {
            return Err(Answer::refused(&params.faults));
        }
        Ok(Self {
            account: account.clone(),
            view,
            csv,
            limit,
            deployment: params.text("deployment").map(str::to_ascii_lowercase),
            client_request_id: params.text("client_request_id").map(ToString::to_string),
            since,
            id: None,
            shards: (0..SHARDS).map(|_| Progress::Down(before.clone())).collect(),
            found: SortedMap::new(),
            bodies: None,
            rounds: 0,
            failed: false,
        })
    }

    /// The exchange of this id.
    pub fn one(account: &AccountId, id: &str) -> Self {
        Self {
            account: account.clone(),
            limit: 1,
            deployment: None,
            client_request_id: None,
            since: None,
            id: Some(id.to_ascii_lowercase()),
            view: View::Requests,
            csv: false,
            bodies: None,
            shards: (0..SHARDS).map(|_| Progress::Down(None)).collect(),
            found: SortedMap::new(),
            rounds: 0,
            failed: false,
        }
    }

    /// What is to be asked now; nothing when the answer is ready.
    pub fn asks(&mut self) -> Vec<LedgerAsk> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let found = self.id.is_some() && !self.found.is_empty();
        if self.failed || found || self.bodies.is_some() {
            return Vec::new();
        }
        if self.rounds >= ROUNDS_MAX || self.settled().count() >= limit {
            return self.body_asks();
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
                    logged: self.view == View::InferenceTable,
                    tracked: self.view == View::EndpointUsage,
                    since: self.since,
                    id: self.id.clone(),
                });
                Some(LedgerAsk::new(&self.account, shard, &message))
            }
        };
        let asks: Vec<LedgerAsk> = (0..SHARDS).zip(&self.shards).filter_map(ask).collect();
        if asks.is_empty() { self.body_asks() } else { asks }
    }

    /// The bodies of the page, each of the object that has it; nothing for other views.
    fn body_asks(&mut self) -> Vec<LedgerAsk> {
        if self.view != View::InferenceTable {
            return Vec::new();
        }
        let mut keys: SortedMap<u64, Vec<String>> = SortedMap::new();
        for (key, (shard, _)) in self.page() {
            keys.entry(*shard).or_default().push(key.clone());
        }
        self.bodies = Some(SortedMap::new());
        let ask = |(shard, keys)| LedgerAsk::new(&self.account, shard, &Message::Bodies(BodiesAsk { keys }));
        keys.into_iter().map(ask).collect()
    }

    fn page(&self) -> impl Iterator<Item = (&String, &(u64, UsageRecord))> {
        self.settled().take(usize::try_from(self.limit).unwrap_or(usize::MAX))
    }

    /// What a ledger object answered to the ask that named `shard`, once for each ask.
    pub fn answered(&mut self, shard: u64, outcome: CallOutcome<'_>) {
        if let Some(bodies) = &mut self.bodies {
            let part = match outcome {
                CallOutcome::Answered(body) => serde_json::from_slice::<BodiesPart>(body).ok(),
                CallOutcome::Lost => None,
            };
            match part {
                Some(part) => bodies.extend(part.bodies),
                None => self.failed = true,
            }
            return;
        }
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
                self.found.insert(key, (shard, record));
            }
        }
    }

    /// The answer, when [`asks`](Self::asks) is empty.
    pub fn answer(&self) -> Answer {
        if self.failed {
            return Answer::unavailable();
        }
        if self.id.is_some() {
            return self.answer_one();
        }
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let page: Vec<_> = self.page().collect();
        let all = self.shards.iter().all(|progress| *progress == Progress::Exhausted);
        let next = if page.len() >= limit && !(all && page.len() == self.found.len()) {
            page.last().map(|(key, _)| (*key).clone())
        } else {
            self.horizon().cloned()
        };
        let next = next.map(|key| write_cursor(&key));
        let records = page.iter().map(|(key, (_, record))| (*key, record));
        match self.view {
            View::Requests => Answer::json(&Body {
                rows: records.map(|(_, record)| RequestRow::of(&self.account, record)).collect(),
                next_cursor: next,
            }),
            View::EndpointUsage => {
                let rows: Vec<_> =
                    records.map(|(_, record)| tables::usage_row(&self.account, record)).collect();
                if self.csv {
                    return with_cursor(
                        Answer::new(200, "text/csv; charset=utf-8", tables::usage_csv(&rows)),
                        next,
                    );
                }
                Answer::json(&serde_json::json!({"rows": rows, "next_cursor": next}))
            }
            View::InferenceTable => {
                let bodies = |key: &String| self.bodies.as_ref().and_then(|bodies| bodies.get(key));
                let lines = records.map(|(key, record)| tables::inference_line(record, bodies(key)));
                with_cursor(Answer::new(200, "application/x-ndjson", lines.collect()), next)
            }
        }
    }

    fn answer_one(&self) -> Answer {
        let Some((_, record)) = self.found.values().next() else {
            let text =
                "No exchange of this id is kept. Records are kept for 30 days, the last 100,000 of them.";
            let body = serde_json::json!({"error": {"code": "NotFound", "message": text}});
            return Answer::new(404, "application/json", body.to_string());
        };
        let kept = record.explanation.as_deref().and_then(|text| crate::json::read::<Value>(text).ok());
        Answer::json(&RequestRow { explanation: kept, ..RequestRow::of(&self.account, record) })
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
    fn settled(&self) -> impl Iterator<Item = (&String, &(u64, UsageRecord))> {
        let unread = self.shards.contains(&Progress::Down(None));
        let horizon = self.horizon();
        let settled = move |key: &String| !unread && horizon.is_none_or(|horizon| key >= horizon);
        self.found.iter().rev().take_while(move |(key, _)| settled(key))
    }
}

/// A page that is no JSON has its cursor in a header.
fn with_cursor(mut answer: Answer, next: Option<String>) -> Answer {
    answer.headers.extend(next.map(|cursor| ("x-weir-next-cursor", cursor)));
    answer
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
    /// Only of an exchange that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    /// Only of an exchange that was asked for by its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<Value>,
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
            error: record.tracked.as_ref().and_then(|tracked| tracked.failure.as_deref()),
            explanation: None,
        }
    }
}

#[cfg(test)]
#[path = "requests_tests.rs"]
mod tests;
