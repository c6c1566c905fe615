//! Anthropic Messages as callers speak it: a request to the canonical dialect, an answer and a stream back from it.
//!
//! Stage 6. The other direction than `anthropic`, which speaks it to upstreams. Decides what a caller of
//! `/v1/messages` gets of any chat deployment (`providers.md`, 4). Members that the API does not have are refused, as it
//! does itself.

mod answer;
mod request;
mod stream;

pub use answer::counted;
pub use request::request;
pub use stream::Encoder;

use crate::wire::object::Object;
use crate::wire::raw::Raw;
use alloc::format;
use alloc::string::String;

/// A count above it is a fault of the upstream.
const COUNT_MAX: u64 = 1_000_000_000;

/// The provider's word for a canonical `finish_reason`.
fn stop_reason(finish: &str) -> &'static str {
    match finish {
        "length" => "max_tokens",
        "tool_calls" | "function_call" => "tool_use",
        "content_filter" => "refusal",
        _ => "end_turn",
    }
}

/// An id of the API's form.
fn message_id(id: Option<Raw<'_>>) -> String {
    let id = id.and_then(|id| id.text()).unwrap_or_default();
    if id.starts_with("msg_") {
        return id.into_owned();
    }
    let plain: String = id.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("msg_{plain}")
}

/// What stands between a call's id and the signature of the thought before it. Gemini wants that signature back, and the
/// API has no other place for it that every client keeps.
const SIGNED: &str = "__thought__";

/// The id of a call as the caller gets it.
fn call_id(call: Raw<'_>) -> String {
    let id = call.text_at("id").unwrap_or_default();
    match call.at("extra_content.google.thought_signature").and_then(|signature| signature.text()) {
        Some(signature) => [&id, SIGNED, &signature].concat(),
        None => id.into_owned(),
    }
}

/// The call's own id, and the signature that its caller brought back with it.
fn own_id(id: &str) -> (&str, Option<&str>) {
    id.split_once(SIGNED).map_or((id, None), |(id, signature)| (id, Some(signature)))
}

/// The API's `usage` of a canonical one: cached and written input stand beside the input here.
fn usage(canonical: Raw<'_>) -> String {
    let count = |path: &str| canonical.at(path)?.count(COUNT_MAX);
    let prompt = count("prompt_tokens").unwrap_or(0);
    let cached = count("prompt_tokens_details.cached_tokens").unwrap_or(0).min(prompt);
    let written = count("prompt_tokens_details.cache_write_tokens").unwrap_or(0);
    let written = written.min(prompt.saturating_sub(cached));
    let fresh = prompt.saturating_sub(cached).saturating_sub(written);
    let mut out = Object::new().number("input_tokens", fresh).number("cache_creation_input_tokens", written);
    out = out.number("cache_read_input_tokens", cached);
    out = out.number("output_tokens", count("completion_tokens").unwrap_or(0));
    if let Some(thought) = count("completion_tokens_details.reasoning_tokens").filter(|count| *count > 0) {
        out.put("output_tokens_details", &Object::new().number("thinking_tokens", thought).end());
    }
    out.end()
}
