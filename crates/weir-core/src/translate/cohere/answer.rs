//! Cohere's answer as a canonical one.
//!
//! Stage 6. Source: `providers.md`, 5.2. The plan before a call is reasoning. An answer that failed and has no text is
//! none.

use crate::snapshot::Dialect;
use crate::translate::stop::{self, Finish};
use crate::translate::usage::{self, Counts};
use crate::translate::{Answer, Called, Choice};
use crate::wire::raw::Raw;
use alloc::vec::Vec;

pub(super) fn read(body: Raw<'_>) -> Option<Answer<'_>> {
    let message = body.get("message").filter(Raw::is_object)?;
    let mut choice = Choice::default();
    message.get("tool_plan").into_iter().for_each(|plan| choice.reasoning.join(plan));
    for part in message.get("content").into_iter().flat_map(|list| list.items()) {
        part.get("text").into_iter().for_each(|text| choice.text.join(text));
        part.get("thinking").into_iter().for_each(|text| choice.reasoning.join(text));
    }
    for call in message.get("tool_calls").into_iter().flat_map(|list| list.items()) {
        choice.calls.push(Called {
            id: call.text_at("id"),
            name: call.at("function.name").filter(Raw::is_text)?,
            arguments: call.at("function.arguments").and_then(|text| text.text()).unwrap_or("{}".into()),
            extra: None,
        });
    }
    choice.finish = stop::finish(Dialect::Cohere, &body.text_at("finish_reason").unwrap_or_default());
    if choice.finish == Finish::Failed && choice.text.is_empty() {
        return None;
    }
    let (model, vectors) = (None, Vec::new());
    let counts = Counts::of(usage::COHERE, body.get("usage"));
    Some(Answer {
        id: body.get("id").filter(Raw::is_text),
        model,
        choices: Vec::from([choice]),
        vectors,
        counts,
        others: Vec::new(),
    })
}
