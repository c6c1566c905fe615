//! An answer of Converse as a canonical one.
//!
//! Stage 6. Source: `providers.md` 8.3. The body has no id, no time and no model.

use crate::snapshot::Dialect;
use crate::translate::stop::{self, Finish};
use crate::translate::usage::{self, Counts};
use crate::translate::{Answer, Called, Choice};
use crate::wire::object::{Array, Object};
use crate::wire::raw::Raw;
use alloc::string::String;
use alloc::vec::Vec;

pub(super) fn read(body: Raw<'_>) -> Option<Answer<'_>> {
    let content = body.at("output.message.content").filter(Raw::is_array)?;
    let mut choice = Choice::default();
    let mut thinking = Array::default();
    for block in content.items() {
        block.get("text").into_iter().for_each(|text| choice.text.join(text));
        // With citations the text stands among them.
        let cited = block.at("citationsContent.content").into_iter().flat_map(|list| list.items());
        cited.filter_map(|piece| piece.get("text")).for_each(|text| choice.text.join(text));
        if let Some(reasoning) = block.get("reasoningContent") {
            reasoning.at("reasoningText.text").into_iter().for_each(|text| choice.reasoning.join(text));
            thinking.put(&thought(
                reasoning.at("reasoningText.text"),
                reasoning.at("reasoningText.signature"),
                reasoning.get("redactedContent"),
            ));
        }
        if let Some(used) = block.get("toolUse") {
            choice.calls.push(Called {
                id: used.text_at("toolUseId"),
                name: used.get("name").filter(Raw::is_text)?,
                arguments: used.get("input").map_or("{}", |input| input.as_str()).into(),
                extra: None,
            });
        }
    }
    if !thinking.is_empty() {
        choice.extra.push(("thinking_blocks".into(), thinking.end()));
    }
    choice.finish = stop::finish(Dialect::Bedrock, &body.text_at("stopReason").unwrap_or_default());
    if choice.finish == Finish::Failed {
        return None;
    }
    Some(Answer {
        id: None,
        model: None,
        choices: Vec::from([choice]),
        vectors: Vec::new(),
        counts: Counts::of(usage::BEDROCK, body.get("usage")),
        others: Vec::new(),
    })
}

/// A block of reasoning in the form that Anthropic's have.
pub(super) fn thought(
    text: Option<Raw<'_>>,
    signature: Option<Raw<'_>>,
    redacted: Option<Raw<'_>>,
) -> String {
    if let Some(data) = redacted {
        return Object::new().text("type", "redacted_thinking").raw("data", data.as_str()).end();
    }
    let block =
        Object::new().text("type", "thinking").raw("thinking", text.map_or("\"\"", |text| text.as_str()));
    block.raw("signature", signature.map_or("\"\"", |text| text.as_str())).end()
}
