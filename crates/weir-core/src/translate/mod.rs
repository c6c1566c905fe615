//! Stage 6: the canonical dialect (`OpenAI` chat, completions, embeddings) to and from each provider's own.
//!
//! An upstream that speaks the canonical dialect is not translated: its bytes pass, and nothing here is touched. For
//! any other, a request goes canonical → provider ([`request`]), an answer provider → canonical ([`answer`]), a
//! stream provider → canonical chunk by chunk ([`Decoder`]), and an error becomes a [`Refusal`]. What is canonical then
//! goes the way of every answer: observed, judged by a content policy, shaped by the caller's surface.
//!
//! Decides what the same thing is called on the other side, and what cannot be said there: that is dropped or
//! adjusted and told ([`Notes`]), or the request is refused. It never changes what it need not: JSON is copied as it
//! was written (`wire::raw`), members that nobody knows go on as they are.
//!
//! # How to add a provider
//!
//! 1. `snapshot/dialect.rs`: a name for what it speaks, and of which provider and model it is.
//! 2. A folder here with `request.rs`, `answer.rs` and `stream.rs`, and a unit struct that implements [`Provider`]:
//!    `request` reads the canonical body through `chat` (messages, tools, parts) and a table of members for
//!    `members::pass`; `answer` fills an [`Answer`]; `stream` gives a [`Stream`], for event streams an
//!    [`sse::SseStream`] over its events, which writes through [`Chunks`] and so keeps the rules of canonical streams.
//! 3. Its row in [`provider`], in `stop::TABLE` and in `usage`'s tables.
//! 4. Vectors in `tests/vectors/translate/`, and an emulated upstream in `tests/e2e` that refuses what it refuses.
//!
//! Sources: `providers.md`; the sections are named where they are used.

pub mod answer;
pub mod caller;
pub mod chat;
pub mod chunks;
mod completions;
mod course;
pub mod embeddings;
pub mod members;
pub mod messages;
pub mod refusal;
pub mod responses;
pub mod sse;
pub mod stop;
pub mod usage;

mod anthropic;
pub mod bedrock;
mod cohere;
mod gemini;
pub mod near;
mod workers_ai;

use crate::snapshot::{Dialect, Task};
use crate::sorted::SortedMap;
use crate::wire::WireError;
use crate::wire::raw::Raw;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

pub use answer::{Answer, Called, Choice};
pub use anthropic::{VERSION as ANTHROPIC_VERSION, VERTEX_VERSION, messages_path};
pub use chunks::{Chunks, Form};
pub use gemini::passed_path;
pub use members::Notes;
pub use refusal::Refusal;

/// A canonical request for a provider.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// What the body is of: never [`Task::Completions`] where the provider only chats.
    pub task: Task,
    /// The model's name at the provider.
    pub model: &'a str,
    /// The plain members of the provider's config that paths are made of (`UpstreamPaths::Native`).
    pub place: &'a SortedMap<String, String>,
    /// Whether the answer shall be a stream.
    pub stream: bool,
    /// The canonical body, well formed; its `model` is the caller's word for the deployment.
    pub body: Raw<'a>,
}

/// What a provider is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Translated {
    /// Below the upstream's base, with a leading slash; may end in a query.
    pub path: String,
    /// The body.
    pub body: String,
}

/// A stream of a provider is not one of its dialect, or tells of an error: nothing more can be taken from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// One provider's dialect.
pub trait Provider: Sync {
    /// Headers of every call, beside the credential; lower case.
    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// Whether the provider has text completions of its own; else they are asked for as chats.
    fn completes(&self) -> bool {
        false
    }

    /// How many texts one call for embeddings of `model` takes, where that is known.
    fn texts_max(&self, _model: &str) -> Option<usize> {
        None
    }

    /// The request in the provider's dialect.
    ///
    /// # Errors
    /// [`WireError::NotSupported`] for what must not be left out and cannot be said.
    fn request(&self, ask: &Ask<'_>, notes: &mut Notes) -> Result<Translated, WireError>;

    /// A whole answer; `None` if it is not one of the dialect.
    fn answer<'a>(&self, task: Task, body: Raw<'a>) -> Option<Answer<'a>>;

    /// A reader of a stream.
    fn stream(&self) -> Box<dyn Stream>;

    /// The content type of a stream, lower case, without parameters.
    fn stream_type(&self) -> &'static str {
        "text/event-stream"
    }

    /// What an error answer means; `status` is 400..=599, `kind` the head's word for it, where there is one.
    fn refusal(&self, status: u16, _kind: Option<&str>, body: Option<Raw<'_>>) -> Refusal {
        Refusal::common(status, body)
    }
}

/// A stream of a provider, being read.
pub trait Stream {
    /// Takes the next bytes, cut anywhere, and writes what they say.
    ///
    /// # Errors
    /// [`Broken`]; nothing is asked of the stream after it.
    fn push(&mut self, bytes: &[u8], out: &mut Chunks) -> Result<(), Broken>;

    /// The body has ended regularly. A dialect whose streams have a terminal event of their own does nothing here; one
    /// that has none ends the chunks if what came is whole.
    fn end(&mut self, _out: &mut Chunks) {}
}

/// What speaks `dialect`.
pub fn provider(dialect: Dialect) -> &'static dyn Provider {
    match dialect {
        Dialect::Anthropic => &anthropic::Anthropic::Own,
        Dialect::VertexAnthropic => &anthropic::Anthropic::Vertex,
        Dialect::Cohere => &cohere::Cohere,
        Dialect::Gemini => &gemini::Gemini::Api,
        Dialect::Vertex => &gemini::Gemini::Vertex,
        Dialect::Bedrock => &bedrock::Bedrock,
        Dialect::Mistral => &near::Near(Dialect::Mistral),
        Dialect::Ai21 => &near::Near(Dialect::Ai21),
        Dialect::Databricks => &near::Near(Dialect::Databricks),
        Dialect::WorkersAi => &near::Near(Dialect::WorkersAi),
        Dialect::WorkersAiNative => &workers_ai::WorkersAi,
    }
}

/// `text` as one segment of a path: all but letters, digits, `-`, `.`, `_` and `~` is percent-encoded.
pub fn path_segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string never fails.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

impl Ask<'_> {
    /// A member of the provider's config as a segment of a path; empty if it is not there.
    pub fn placed(&self, member: &str) -> String {
        self.place.get(member).map(|text| path_segment(text)).unwrap_or_default()
    }
}

/// Translates a request. `ask.body` is the canonical body of `ask.task`.
///
/// # Errors
/// As [`Provider::request`].
pub fn request(provider: &dyn Provider, ask: &Ask<'_>, notes: &mut Notes) -> Result<Translated, WireError> {
    if ask.task == Task::Completions && !provider.completes() {
        let body = completions::as_chat(ask.body, notes)?;
        return provider.request(&Ask { task: Task::Chat, body: Raw::trusted(&body), ..*ask }, notes);
    }
    provider.request(ask, notes)
}

/// Translates a whole answer to a call for `task`; `None` if it is not one of the dialect.
pub fn answer(provider: &dyn Provider, task: Task, form: &Form, body: &[u8]) -> Option<String> {
    let asked = if task == Task::Completions && !provider.completes() { Task::Chat } else { task };
    let answer = provider.answer(asked, Raw::object(body)?)?;
    Some(answer.write(task, form))
}

/// A provider's stream on its way to canonical chunks. How the bytes are cut never changes what comes out.
pub struct Decoder {
    stream: Box<dyn Stream>,
    chunks: Chunks,
    broken: bool,
}

impl core::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Decoder").field("broken", &self.broken).finish_non_exhaustive()
    }
}

impl Decoder {
    /// A decoder of the stream that answers a call for `task`.
    pub fn new(provider: &dyn Provider, task: Task, form: Form) -> Self {
        Self { stream: provider.stream(), chunks: Chunks::new(task, form), broken: false }
    }

    /// Takes the next bytes; gives canonical events, whole ones.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        if !self.broken && !self.chunks.is_closed() {
            let refused = self.stream.push(bytes, &mut self.chunks).is_err();
            // What follows the terminal event says nothing, whether it comes with it or later.
            self.broken = refused && !self.chunks.is_closed();
        }
        self.chunks.take()
    }

    /// The body ended regularly: what is left to say.
    pub fn end(&mut self) -> Vec<u8> {
        if !self.broken && !self.chunks.is_closed() {
            self.stream.end(&mut self.chunks);
        }
        self.chunks.take()
    }

    /// Whether every choice so far said why it ended.
    pub fn is_told(&self) -> bool {
        self.chunks.is_finished()
    }

    /// The status of the failure that the stream told of, where only its own dialect says it.
    pub const fn failure(&self) -> Option<u16> {
        self.chunks.failure()
    }

    /// Whether the stream was none of its dialect, or told of an error.
    pub const fn is_broken(&self) -> bool {
        self.broken
    }
}
