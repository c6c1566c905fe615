//! The answers of a simulated model as JSON, in the members and the order of the OpenAI dialect.
//!
//! Decides names and presence of members (`azure.md` A7 and B6, `databricks.md` 10.4); not their values.

use alloc::string::String;
use alloc::vec::Vec;
use serde::Serialize;

/// What every answer and every event of a stream begins with.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Head<'a> {
    /// The answer's id, the same on all its events.
    pub(super) id: &'a str,
    /// Which shape this is.
    pub(super) object: &'static str,
    /// When, in seconds since 1970.
    pub(super) created: u64,
    /// The model, which says that it is a simulator.
    pub(super) model: &'a str,
    /// Says it again.
    pub(super) system_fingerprint: &'static str,
}

/// A whole answer or an event: `choices` are the shapes below.
#[derive(Debug, Serialize)]
pub(super) struct Answer<'a, C> {
    /// Flattened members.
    #[serde(flatten)]
    pub(super) head: Head<'a>,
    /// One for each choice in this answer or event.
    pub(super) choices: Vec<C>,
    /// `None`: no member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) usage: Option<Nullable<WireUsage>>,
}

/// The value of a member that is there: null, or something.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Nullable<T> {
    /// `null`.
    Null,
    /// Not null.
    Value(T),
}

/// Tokens of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are the dialect's")]
pub(super) struct WireUsage {
    /// Of the request.
    pub(super) prompt_tokens: u64,
    /// Of the answer; no member in embeddings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) completion_tokens: Option<u64>,
    /// Of both.
    pub(super) total_tokens: u64,
}

impl WireUsage {
    /// Usage of a text answer.
    pub(super) const fn of(prompt: u64, completion: u64) -> Self {
        Self {
            prompt_tokens: prompt,
            completion_tokens: Some(completion),
            total_tokens: prompt.saturating_add(completion),
        }
    }
}

/// A choice of a plain chat answer.
#[derive(Debug, Serialize)]
pub(super) struct ChatChoice<'a> {
    /// From 0.
    pub(super) index: u64,
    /// The message.
    pub(super) message: Message<'a>,
    /// Always null: the simulated model does not sample.
    pub(super) logprobs: Option<()>,
    /// Why it ended.
    pub(super) finish_reason: &'static str,
}

/// The message of a plain chat answer.
#[derive(Debug, Serialize)]
pub(super) struct Message<'a> {
    /// `assistant`.
    pub(super) role: &'static str,
    /// The text; null with tool calls.
    pub(super) content: Option<&'a str>,
    /// Always null.
    pub(super) refusal: Option<()>,
    /// Calls; no member without.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tool_calls: Vec<WireCall<'a>>,
}

/// A tool call: whole in a plain answer, in parts in a stream (`providers.md` 1.7, rule 3).
#[derive(Debug, Serialize)]
pub(super) struct WireCall<'a> {
    /// Only in streams: dense, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) index: Option<u32>,
    /// Not on later parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<&'a str>,
    /// `function`; not on later parts.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<&'static str>,
    /// The call.
    pub(super) function: WireFunction<'a>,
}

/// The function of a tool call.
#[derive(Debug, Serialize)]
pub(super) struct WireFunction<'a> {
    /// Not on later parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'a str>,
    /// JSON text, or a piece of it.
    pub(super) arguments: &'a str,
}

/// A choice of a chat event.
#[derive(Debug, Serialize)]
pub(super) struct ChatDelta<'a> {
    /// From 0.
    pub(super) index: u64,
    /// What is new.
    pub(super) delta: Delta<'a>,
    /// Always null.
    pub(super) logprobs: Option<()>,
    /// Why it ended, once.
    pub(super) finish_reason: Option<&'static str>,
}

/// What is new in a chat event.
#[derive(Debug, Default, Serialize)]
pub(super) struct Delta<'a> {
    /// On the first event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<&'static str>,
    /// A piece of text; null where the calls begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content: Option<Nullable<&'a str>>,
    /// A part of a call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tool_calls: Vec<WireCall<'a>>,
}

/// A choice of text completions, plain or in an event.
#[derive(Debug, Serialize)]
pub(super) struct TextChoice<'a> {
    /// The text or a piece of it.
    pub(super) text: &'a str,
    /// From 0.
    pub(super) index: u64,
    /// Always null.
    pub(super) logprobs: Option<()>,
    /// Why it ended; null in all events but the last of the choice.
    pub(super) finish_reason: Option<&'static str>,
}

/// The answer of embeddings.
#[derive(Debug, Serialize)]
pub(super) struct EmbeddingList<'a> {
    /// `list`.
    pub(super) object: &'static str,
    /// One for each input.
    pub(super) data: Vec<Embedding>,
    /// The model, which says that it is a simulator.
    pub(super) model: &'a str,
    /// Tokens of the inputs; no member if it shall not be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) usage: Option<WireUsage>,
}

/// One embedding.
#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are the dialect's")]
pub(super) struct Embedding {
    /// `embedding`.
    pub(super) object: &'static str,
    /// Which input, from 0.
    pub(super) index: u64,
    /// The vector.
    pub(super) embedding: Vector,
}

/// A vector in the asked encoding.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Vector {
    /// Numbers.
    Float(Vec<f32>),
    /// Little-endian IEEE 754 binary32, joined, in base64.
    Base64(String),
}

/// An error of the OpenAI dialect.
#[derive(Debug, Serialize)]
pub(super) struct ErrorBody<'a> {
    /// The only member.
    pub(super) error: ErrorMembers<'a>,
}

/// The members of an error.
#[derive(Debug, Serialize)]
pub(super) struct ErrorMembers<'a> {
    /// For people.
    pub(super) message: &'a str,
    /// Kind of error.
    #[serde(rename = "type")]
    pub(super) kind: &'a str,
    /// The member of the request that it is about.
    pub(super) param: Option<&'a str>,
    /// For programs.
    pub(super) code: Option<&'a str>,
}

/// `shape` as JSON. These shapes have string keys and no failing parts, so nothing can go wrong.
pub(super) fn json<T: Serialize>(shape: &T) -> Vec<u8> {
    serde_json::to_vec(shape).unwrap_or_default()
}
