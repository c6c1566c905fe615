//! The record of one exchange: what was used, by whom, through which deployment, at what cost.
//!
//! Stage 7. Columns follow `databricks.md` 7.6 and `design.md` section 8, "Requests".

use crate::id::RequestId;
use crate::time::{Millis, UnixMillis};
use crate::units::Money;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Tokens of one exchange. `input` includes cached tokens, `output` includes reasoning (`providers.md`, 1.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// All input tokens.
    pub input: u64,
    /// Of these, read from the upstream's cache.
    #[serde(default)]
    pub cached_input: u64,
    /// All output tokens.
    pub output: u64,
    /// Of these, hidden reasoning.
    #[serde(default)]
    pub reasoning: u64,
    /// Whether Weir counted, because the upstream did not say.
    #[serde(default)]
    pub estimated: bool,
}

impl Usage {
    /// Input and output together.
    pub const fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

/// One exchange whose upstream answered, written exactly once (promise 2); or one that failed, where that is tracked
/// ([`Tracked::failure`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRecord {
    /// The exchange.
    pub id: RequestId,
    /// When it began.
    pub at: UnixMillis,
    /// Deployment, as configured.
    pub deployment: String,
    /// Model of the deployment.
    pub model: String,
    /// Served entity that answered.
    pub entity: String,
    /// Who called.
    pub principal: String,
    /// With which key.
    pub key: String,
    /// What the caller spoke (`surface::Surface::label`).
    pub surface: String,
    /// Status the caller got.
    pub status: u16,
    /// Whether it was a stream.
    pub streamed: bool,
    /// Whether the answer reached its regular end.
    pub complete: bool,
    /// What was used.
    pub usage: Usage,
    /// What it cost; `None` where the price is unknown.
    pub cost: Option<Money>,
    /// Of this, what the input cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_cost: Option<Money>,
    /// Currency of `cost`.
    pub currency: Option<String>,
    /// From the first byte of the request to the end.
    pub latency: Millis,
    /// From the first byte of the request to the answer's head.
    pub time_to_first_byte: Millis,
    /// Upstream calls made.
    pub attempts: u32,
    /// The caller's own id for it, if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_request_id: Option<String>,
    /// The caller's own tags for it, a JSON object, if some were given (`databricks.md`, 7.6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage_context: Option<String>,
    /// Given if its bodies were logged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logged: Option<Logged>,
    /// How it came about, as a JSON object, where that is kept: the administrator asked, or an attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
    /// Given if the deployment's usage is tracked (`databricks.md`, 7.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracked: Option<Tracked>,
    /// Given if a content policy judged it: what was found (`policy::harms`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged: Option<Vec<String>>,
    /// Whether another deployment took it than the one that was asked (`azure.md`, C3).
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub spilled: bool,
    /// Percent of the reserved throughput that were in use, where some is reserved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utilization: Option<u64>,
    /// What was asked for, as Azure names it (`surface::DataRoute::operation`).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub operation: String,
    /// The model's version, where the catalog has one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
}

/// By what calls of a deployment and its model are counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallKind<'a> {
    /// What the caller spoke.
    pub surface: &'a str,
    /// Whether it was a stream.
    pub streamed: bool,
    /// Status the caller got.
    pub status: u16,
    /// Whether another deployment took it than the one that was asked.
    pub spilled: bool,
    /// What was asked for.
    pub operation: &'a str,
    /// The model's version.
    pub version: &'a str,
}

impl CallKind<'_> {
    /// As one text: the parts in their order, with `|` between them. The version is last, whatever is in it.
    pub fn key(&self) -> String {
        let Self { surface, streamed, status, spilled, operation, version } = *self;
        let (streamed, spilled) = (u8::from(streamed), u8::from(spilled));
        format!("{surface}|{streamed}|{status}|{spilled}|{operation}|{version}")
    }
}

/// What a content policy found in one exchange (`policy::harms`) as keys of counts: each with the surface before it, and
/// that it was judged, was harmful, was rejected.
pub fn harm_keys(surface: &str, found: &[String]) -> Vec<String> {
    let any = |word: &str| word == "judged" || found.iter().any(|harm| harm.starts_with(word));
    let words = ["judged", "harmful", "rejected"].into_iter().filter(|word| any(word));
    let words = words.map(|word| format!("{surface}|{word}|||"));
    words.chain(found.iter().map(|harm| format!("{surface}|{harm}"))).collect()
}

/// Deployment and model as one text.
pub fn model_key(deployment: &str, model: &str) -> String {
    serde_json::to_string(&[deployment, model]).unwrap_or_default()
}

/// What only Databricks' usage table has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracked {
    /// Characters of the prompt's texts, where it has some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_chars: Option<u64>,
    /// Characters of the answer's texts, where they were read; of a stream its bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_chars: Option<u64>,
    /// The word of the error, of an exchange that no upstream answered: it is a row, and part of no sum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// How an exchange's bodies were logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logged {
    /// Of a million exchanges so many were.
    pub sampling: u32,
    /// Why a body is missing: `MAX_REQUEST_SIZE_EXCEEDED`, `MAX_RESPONSE_SIZE_EXCEEDED`.
    #[serde(default)]
    pub errors: Vec<String>,
}
