//! A canonical answer as a message of Anthropic's.
//!
//! Stage 6. Source: `providers.md`, 4.3 and 4.5, the other way round.

use super::{call_id, message_id, stop_reason, usage};
use crate::translate::course::Course;
use crate::wire::object::{Array, Object};
use crate::wire::raw::Raw;
use alloc::string::String;

/// The message that `body`, a canonical chat completion, is. `input` is what the input is taken for where nobody counted.
pub(super) fn answer(body: Raw<'_>, input: u64) -> String {
    let mut course = Course::new(input);
    let message = course.see(body).and_then(|choice| choice.get("message"));
    let mut out = Object::new().text("id", &message_id(body.get("id"))).text("type", "message");
    out.put("role", "\"assistant\"");
    out.put_some("model", body.get("model"));
    out.put("content", &message.map_or_else(|| String::from("[]"), content));
    out = out.text("stop_reason", stop_reason(&course.finish)).raw("stop_sequence", "null");
    out.raw("usage", &usage(Raw::trusted(&course.usage()))).end()
}

/// The answer to a question for a count.
pub fn counted(tokens: u64) -> String {
    Object::new().number("input_tokens", tokens).end()
}

fn content(message: Raw<'_>) -> String {
    let mut out = Array::default();
    let blocks = message.get("thinking_blocks");
    for block in blocks.into_iter().flat_map(|list| list.items()) {
        out.put(block.as_str());
    }
    if let (None, Some(thought)) = (blocks, message.get("reasoning_content").filter(Raw::is_text)) {
        let block = Object::new().text("type", "thinking").raw("thinking", thought.as_str());
        out.put(&block.text("signature", "").end());
    }
    if let Some(text) = message.get("content").filter(|text| text.is_text() && text.as_str() != "\"\"") {
        out.put(&Object::new().text("type", "text").raw("text", text.as_str()).end());
    }
    for call in message.get("tool_calls").into_iter().flat_map(|list| list.items()) {
        let arguments = call.at("function.arguments").and_then(|text| text.text()).unwrap_or_default();
        let input = Raw::parse(&arguments).filter(Raw::is_object).map_or("{}", |raw| raw.as_str());
        let mut block = Object::new().text("type", "tool_use");
        block = block.text("id", &call_id(call));
        block.put("name", call.at("function.name").map_or("\"\"", |name| name.as_str()));
        out.put(&block.raw("input", input).end());
    }
    out.end()
}
