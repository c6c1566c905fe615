//! A message of Anthropic's as a canonical answer.
//!
//! Stage 6. Source: `providers.md`, 4.3. Thinking is `reasoning_content`; its blocks, which the provider wants back in
//! a tool's loop, are `thinking_blocks`.

use crate::snapshot::Dialect;
use crate::translate::stop;
use crate::translate::usage::{self, Counts};
use crate::translate::{Answer, Called, Choice};
use crate::wire::object::Array;
use crate::wire::raw::Raw;
use alloc::vec::Vec;

pub(super) fn read(body: Raw<'_>) -> Option<Answer<'_>> {
    let content = body.get("content").filter(Raw::is_array)?;
    if !body.get("type").is_some_and(|kind| kind.is("message")) {
        return None;
    }
    let mut choice = Choice::default();
    let mut thinking = Array::default();
    for block in content.items() {
        let kind = block.text_at("type").unwrap_or_default();
        match &*kind {
            "text" => block.get("text").into_iter().for_each(|text| choice.text.join(text)),
            "thinking" | "redacted_thinking" => {
                block.get("thinking").into_iter().for_each(|text| choice.reasoning.join(text));
                thinking.put(block.as_str());
            }
            "tool_use" => choice.calls.push(Called {
                id: block.text_at("id"),
                name: block.get("name").filter(Raw::is_text)?,
                arguments: block.get("input").map_or("{}", |input| input.as_str()).into(),
                extra: None,
            }),
            _ => {}
        }
    }
    if !thinking.is_empty() {
        choice.extra.push(("thinking_blocks".into(), thinking.end()));
    }
    let reason = body.text_at("stop_reason").unwrap_or_default();
    choice.finish = stop::finish(Dialect::Anthropic, &reason);
    Some(Answer {
        id: body.get("id").filter(Raw::is_text),
        model: body.get("model").filter(Raw::is_text),
        choices: Vec::from([choice]),
        vectors: Vec::new(),
        counts: Counts::of(usage::ANTHROPIC, body.get("usage")),
        others: Vec::new(),
    })
}
