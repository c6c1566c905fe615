//! The Responses API as callers speak it: a request to the canonical dialect, an answer and a stream back from it.
//!
//! Stage 6. Decides what a caller of `/responses` gets of any chat deployment (`providers.md`, 2.5): all that needs no
//! memory. Nothing is kept, and every answer says so (`store`). Of several choices the first is told: the API has one.

mod items;
mod request;
mod stream;
mod whole;

pub use request::{echo, request};
pub use stream::Encoder;

use super::Form;
use super::course::Course;
use crate::policy::content_filters;
use crate::wire::object::Object;
use crate::wire::raw::Raw;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A count above it is a fault of the upstream.
const COUNT_MAX: u64 = 1_000_000_000;
/// What the opaque part of a reasoning item begins with, if it was made here.
const OPAQUE: &str = "weir1.";

/// The answer to a question for a count of tokens.
pub fn counted(tokens: u64) -> String {
    Object::new().text("object", "response.input_tokens").number("input_tokens", tokens).end()
}

/// A provider's block of thinking as a text that callers send back unread.
fn sealed(block: &str) -> String {
    format!("{OPAQUE}{}", URL_SAFE_NO_PAD.encode(block))
}

/// The block that such a text is; `None` if it was not made here.
fn opened(text: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(OPAQUE)?).ok()?;
    let block = String::from_utf8(bytes).ok()?;
    Raw::parse(&block).is_some_and(|raw| raw.is_object()).then_some(block)
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// It has not.
    InProgress,
    Completed,
    /// Before its end, for this reason.
    Incomplete(&'static str),
}

impl Status {
    /// By a canonical `finish_reason`.
    fn of(finish: &str) -> Self {
        match finish {
            "length" => Self::Incomplete("max_output_tokens"),
            "content_filter" => Self::Incomplete("content_filter"),
            _ => Self::Completed,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete(_) => "incomplete",
        }
    }
}

/// What is the same in every form of one response.
#[derive(Clone, Debug)]
struct Frame {
    /// Letters and digits that its ids are made of.
    own: String,
    /// Seconds since 1970.
    created: u64,
    /// Members that repeat the request.
    echo: String,
}

impl Frame {
    fn new(form: &Form, echo: String) -> Self {
        let own = form.id.chars().filter(char::is_ascii_alphanumeric).collect();
        Self { own, created: form.created, echo }
    }

    /// The id of the item at `place` of the output; `kind` is what it begins with.
    fn item_id(&self, kind: &str, place: u32) -> String {
        format!("{kind}_{}{place}", self.own)
    }

    /// The response with this output, a JSON array; `model` is JSON. `course` is given once it is over.
    fn response(&self, status: Status, model: &str, output: &str, course: Option<&Course>) -> String {
        let reason = match status {
            Status::Incomplete(reason) => Object::new().text("reason", reason).end(),
            Status::InProgress | Status::Completed => "null".to_owned(),
        };
        let mut out = Object::new().text("id", &format!("resp_{}", self.own)).text("object", "response");
        out = out.number("created_at", self.created).text("status", status.word());
        out = out.raw("background", "false").raw("error", "null").raw("incomplete_details", &reason);
        out = out.raw("model", model).raw("output", output);
        let usage = course.map(|course| counts(Raw::trusted(&course.usage())));
        out.put("usage", usage.as_deref().unwrap_or("null"));
        let told = course.filter(|course| !course.prompt_found.is_empty() || !course.found.is_empty());
        if let Some(Course { prompt_found, found, .. }) = told {
            let blocked = status == Status::Incomplete("content_filter");
            out.put("content_filters", &content_filters(prompt_found, found, blocked));
        }
        let head = out.end();
        format!("{},{}", head.strip_suffix('}').unwrap_or(&head), self.echo.get(1..).unwrap_or("}"))
    }
}

/// The API's `usage` of a canonical one.
fn counts(usage: Raw<'_>) -> String {
    let count = |path: &str| usage.at(path).and_then(|raw| raw.count(COUNT_MAX)).unwrap_or(0);
    let (input, output) = (count("prompt_tokens"), count("completion_tokens"));
    let cached = Object::new()
        .number("cached_tokens", count("prompt_tokens_details.cached_tokens"))
        .number("cache_write_tokens", count("prompt_tokens_details.cache_write_tokens"));
    let thought = count("completion_tokens_details.reasoning_tokens");
    let thought = Object::new().number("reasoning_tokens", thought).end();
    let out = Object::new().number("input_tokens", input).raw("input_tokens_details", &cached.end());
    let out = out.number("output_tokens", output).raw("output_tokens_details", &thought);
    out.number("total_tokens", input.saturating_add(output)).end()
}

/// What a text refers to, in the API's form: members that the canonical dialect has one level deeper.
fn annotations(list: Raw<'_>) -> impl Iterator<Item = String> {
    list.items().map(|one| {
        let kind = one.text_at("type").unwrap_or_default();
        let Some(inner) = one.get(&kind).filter(Raw::is_object) else { return one.as_str().to_owned() };
        let mut flat = Object::new().text("type", &kind);
        inner.members().for_each(|(name, value)| flat.put(&name, value.as_str()));
        flat.end()
    })
}

/// A part of a message: text with its log probabilities and what it refers to (JSON arrays), or a refusal. `text` is a
/// JSON string.
fn part(refuses: bool, text: &str, logprobs: &str, cited: &str) -> String {
    if refuses {
        return Object::new().text("type", "refusal").raw("refusal", text).end();
    }
    let out = Object::new().text("type", "output_text").raw("text", text).raw("annotations", cited);
    out.raw("logprobs", logprobs).end()
}

/// A message with these parts, a JSON array.
fn message(id: &str, status: Status, parts: &str) -> String {
    let out = Object::new().text("id", id).text("type", "message").text("status", status.word());
    out.text("role", "assistant").raw("content", parts).end()
}

/// Reasoning with this summary, a JSON string; `opaque` is what brings it back whole.
fn reasoning(id: &str, summary: &str, opaque: Option<&str>) -> String {
    let mut parts = crate::wire::object::Array::default();
    if summary != "\"\"" {
        parts.put(&summary_part(summary));
    }
    let mut out = Object::new().text("id", id).text("type", "reasoning").raw("summary", &parts.end());
    if let Some(opaque) = opaque {
        out = out.text("encrypted_content", opaque);
    }
    out.end()
}

fn summary_part(text: &str) -> String {
    Object::new().text("type", "summary_text").raw("text", text).end()
}

/// A call of a function. Its id for the result and its name are JSON strings, as are the arguments.
fn call(
    id: &str,
    status: Status,
    (call_id, name): (&str, &str),
    arguments: &str,
    extra: Option<&str>,
) -> String {
    let out = Object::new().text("id", id).text("type", "function_call").text("status", status.word());
    let mut out = out.raw("call_id", call_id).raw("name", name).raw("arguments", arguments);
    if let Some(extra) = extra {
        out.put("extra_content", extra);
    }
    out.end()
}
