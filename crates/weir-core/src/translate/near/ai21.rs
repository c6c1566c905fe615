//! A canonical request as AI21's: text only.
//!
//! Stage 6. Source: `providers.md` 10. A schema for the answer cannot be given, only that it be JSON.

use super::{call, function, message, role_word};
use crate::translate::chat::{self, Content, Format, Message};
use crate::translate::members::{self, Notes, Rule, refuse};
use crate::translate::{Ask, Translated};
use crate::wire::WireError;
use crate::wire::object::{Array, Object, Text};
use crate::wire::raw::Raw;
use alloc::format;
use alloc::string::String;

/// Stop sequences of one request.
const STOPS_MAX: usize = 64;

const TABLE: &[(&str, Rule)] = &[
    ("messages", Rule::Read),
    ("tools", Rule::Read),
    ("max_tokens", Rule::Read),
    ("max_completion_tokens", Rule::Read),
    ("stop", Rule::Read),
    ("response_format", Rule::Read),
    ("tool_choice", Rule::As("tool_choice")),
    ("temperature", Rule::As("temperature")),
    ("top_p", Rule::As("top_p")),
    ("n", Rule::As("n")),
    ("seed", Rule::As("seed")),
    ("documents", Rule::As("documents")),
];

pub(super) fn request(ask: &Ask<'_>, notes: &mut Notes) -> Result<Translated, WireError> {
    let body = ask.body;
    if ask.stream {
        members::one_answer(body)?;
    }
    let mut list = Array::default();
    for (at, given) in chat::messages(body)?.iter().enumerate() {
        let mut item = message(role_word(given.role), given.raw, &["tool_call_id", "tool_calls"]);
        item.put("content", &text(at, given)?);
        list.put(&item.end());
    }
    let mut out = Object::new().text("model", ask.model).raw("messages", &list.end());
    let mut tools = Array::default();
    for tool in chat::tools(body)? {
        tools.put(&function(&tool, false));
    }
    if !tools.is_empty() {
        out.put("tools", &tools.end());
    }
    match chat::format_of(body)? {
        Format::Text => {}
        Format::Schema(_) => {
            notes.adjust("response_format");
            out.put("response_format", "{\"type\":\"json_object\"}");
        }
        Format::Json => out.put("response_format", "{\"type\":\"json_object\"}"),
    }
    out.put_some("max_tokens", body.get("max_completion_tokens").or_else(|| body.get("max_tokens")));
    if let Some(stops) = members::stops(body, STOPS_MAX, notes) {
        out.put("stop", &stops);
    }
    if ask.stream {
        out.put("stream", "true");
    }
    members::pass(body, TABLE, &mut out, notes);
    Ok(call(ask.task, out))
}

/// All text of a message.
fn text(at: usize, message: &Message<'_>) -> Result<String, WireError> {
    let mut out = Text::default();
    for (place, part) in message.parts.iter().enumerate() {
        match &part.what {
            Content::Text(piece) => out.join(*piece),
            Content::Image(_) | Content::File(..) | Content::Audio(..) => {
                let path = format!("messages.{at}.content.{place}");
                return Err(refuse(&path, "text with this model", Some(part.raw)));
            }
        }
    }
    let silent = out.is_empty() && !message.calls.is_empty();
    Ok(if silent { String::from(Raw::NULL.as_str()) } else { out.end() })
}
