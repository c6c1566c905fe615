//! Canonical messages as Converse's turns and system blocks.
//!
//! Stage 6. Decides turns (`user` and `assistant` alternate, so neighbours of one role are one turn, and the results of
//! tools are the user's) and blocks. Source: `providers.md` 8.2. Blocks of reasoning come and go as `thinking_blocks`, in
//! the form that Anthropic's have, so that a conversation may move between the two.

use crate::translate::chat::{Content, Message, Part, Role, Source};
use crate::translate::members::refuse;
use crate::wire::WireError;
use crate::wire::object::{Array, Object};
use crate::wire::raw::Raw;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Longest name of a document.
const NAME_CHARS_MAX: usize = 200;

/// What a request's messages became.
#[derive(Default)]
pub(super) struct Conversation {
    /// Turns.
    pub(super) messages: Array,
    /// Blocks of the system's text.
    pub(super) system: Array,
    /// Names, JSON, of the tools that earlier turns used, each once.
    pub(super) used: Vec<String>,
}

pub(super) fn conversation(messages: &[Message<'_>]) -> Result<Conversation, WireError> {
    let mut conversation = Conversation::default();
    let mut turn: (&str, Array) = ("", Array::default());
    for (at, message) in messages.iter().enumerate() {
        let role = match message.role {
            Role::System => {
                blocks(at, message, &mut conversation.system)?;
                continue;
            }
            Role::User | Role::Tool => "user",
            Role::Assistant => "assistant",
        };
        if turn.0 != role {
            end_turn(&mut conversation.messages, core::mem::replace(&mut turn, (role, Array::default())));
        }
        match message.role {
            Role::Tool => result(at, message, &mut turn.1)?,
            Role::Assistant => assistant(at, message, &mut turn.1, &mut conversation.used)?,
            Role::User | Role::System => blocks(at, message, &mut turn.1)?,
        }
    }
    end_turn(&mut conversation.messages, turn);
    Ok(conversation)
}

fn end_turn(messages: &mut Array, (role, blocks): (&str, Array)) {
    if !blocks.is_empty() {
        messages.put(&Object::new().text("role", role).raw("content", &blocks.end()).end());
    }
}

fn blocks(at: usize, message: &Message<'_>, out: &mut Array) -> Result<(), WireError> {
    for (place, part) in message.parts.iter().enumerate() {
        if let Some(block) = block(&format!("messages.{at}.content.{place}"), part)? {
            out.put(&block);
        }
        put_cache_point(out, part.raw);
    }
    Ok(())
}

/// `None` for a blank text: Converse refuses it, and it says nothing.
fn block(path: &str, part: &Part<'_>) -> Result<Option<String>, WireError> {
    let refused = |expected: &str| Err(refuse(path, expected, Some(part.raw)));
    Ok(Some(match &part.what {
        Content::Text(text) if text.text().is_none_or(|text| text.trim().is_empty()) => return Ok(None),
        Content::Text(text) => Object::new().raw("text", text.as_str()).end(),
        Content::Image(Source::Data { mime, base64 }) => {
            let format = mime.strip_prefix("image/").map(|name| if name == "jpg" { "jpeg" } else { name });
            match format.filter(|name| ["png", "jpeg", "gif", "webp"].contains(name)) {
                Some(format) => media("image", Object::new(), format, base64),
                None => return refused("a PNG, JPEG, GIF or WebP image"),
            }
        }
        Content::Image(Source::Url(_)) => {
            return refused("an image given as a data: address: this model does not fetch images");
        }
        Content::Audio(format, data) => {
            media("audio", Object::new(), format, &data.text().unwrap_or_default())
        }
        Content::File(name, Source::Data { mime, base64 }) => {
            let Some(format) = document_format(mime) else {
                return refused("a document of a type that this model reads");
            };
            let name = document_name(name.and_then(|name| name.text()).as_deref().unwrap_or_default());
            media("document", Object::new().text("name", &name), format, base64)
        }
        Content::File(_, Source::Url(_)) => return refused("a file given as a data: address"),
    }))
}

/// `cache_control`, an extension that Anthropic's dialect lends to others, is a block of its own here.
pub(super) fn put_cache_point(out: &mut Array, part: Raw<'_>) {
    if let Some(control) = part.get("cache_control") {
        let mut point = Object::new().text("type", "default");
        point.put_some("ttl", control.get("ttl"));
        out.put(&Object::new().raw("cachePoint", &point.end()).end());
    }
}

fn media(kind: &str, inner: Object, format: &str, base64: &str) -> String {
    let source = Object::new().text("bytes", base64).end();
    Object::new().raw(kind, &inner.text("format", format).raw("source", &source).end()).end()
}

fn document_format(mime: &str) -> Option<&'static str> {
    const OFFICE: &str = "application/vnd.openxmlformats-officedocument.";
    Some(match mime {
        "application/pdf" => "pdf",
        "text/csv" => "csv",
        "text/html" => "html",
        "text/plain" => "txt",
        "text/markdown" => "md",
        "application/msword" => "doc",
        "application/vnd.ms-excel" => "xls",
        other => match other.strip_prefix(OFFICE)? {
            "wordprocessingml.document" => "docx",
            "spreadsheetml.sheet" => "xlsx",
            _ => return None,
        },
    })
}

/// A document's name may hold letters, digits, single spaces, hyphens and brackets.
fn document_name(given: &str) -> String {
    let stem = given.rsplit_once('.').map_or(given, |(stem, _)| stem);
    let legal = |c: char| if c.is_ascii_alphanumeric() || "-()[]".contains(c) { c } else { ' ' };
    let spaced: String = stem.chars().take(NAME_CHARS_MAX).map(legal).collect();
    let name = spaced.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    if name.is_empty() { "document".to_string() } else { name }
}

/// Reasoning goes first and as it came: its signature is checked. Then text, then calls.
fn assistant(
    at: usize,
    message: &Message<'_>,
    out: &mut Array,
    used: &mut Vec<String>,
) -> Result<(), WireError> {
    for block in message.raw.get("thinking_blocks").into_iter().flat_map(|list| list.items()) {
        out.put(&Object::new().raw("reasoningContent", &reasoning(block)).end());
    }
    blocks(at, message, out)?;
    for call in &message.calls {
        let inner = Object::new().raw("toolUseId", call.id.as_str()).raw("name", call.name.as_str());
        out.put(&Object::new().raw("toolUse", &inner.raw("input", &call.arguments).end()).end());
        if !used.iter().any(|known| known == call.name.as_str()) {
            used.push(call.name.as_str().to_string());
        }
    }
    Ok(())
}

fn reasoning(block: Raw<'_>) -> String {
    if let Some(data) = block.get("data") {
        return Object::new().raw("redactedContent", data.as_str()).end();
    }
    let mut inner = Object::new().raw("text", block.get("thinking").map_or("\"\"", |text| text.as_str()));
    inner.put_some("signature", block.get("signature"));
    Object::new().raw("reasoningText", &inner.end()).end()
}

fn result(at: usize, message: &Message<'_>, out: &mut Array) -> Result<(), WireError> {
    let mut inner = Array::default();
    blocks(at, message, &mut inner)?;
    let result = Object::new().text("toolUseId", &message.call_id).raw("content", &inner.end());
    out.put(&Object::new().raw("toolResult", &result.end()).end());
    Ok(())
}
