//! Gemini's answer as a canonical one.
//!
//! Stage 6. Source: `providers.md`, 6.3. Calls end with the word `STOP`, so what was called decides. A prompt that was
//! blocked is an empty answer that was filtered; an answer that failed and has no text is none.

use crate::snapshot::Dialect;
use crate::translate::stop::{self, Finish};
use crate::translate::usage::{self, Counts};
use crate::translate::{Answer, Called, Choice};
use crate::wire::object::Object;
use crate::wire::raw::Raw;
use alloc::string::String;
use alloc::vec::Vec;

pub(super) fn read(body: Raw<'_>) -> Option<Answer<'_>> {
    let mut choices = Vec::new();
    for candidate in body.get("candidates").into_iter().flat_map(|list| list.items()) {
        choices.push(choice(candidate)?);
    }
    if choices.is_empty() {
        body.at("promptFeedback.blockReason")?;
        choices.push(Choice { finish: Finish::ContentFilter, ..Choice::default() });
    }
    Some(Answer {
        id: body.get("responseId").filter(Raw::is_text),
        model: body.get("modelVersion").filter(Raw::is_text),
        choices,
        vectors: Vec::new(),
        counts: Counts::of(usage::GEMINI, body.get("usageMetadata")),
        others: Vec::new(),
    })
}

fn choice(candidate: Raw<'_>) -> Option<Choice<'_>> {
    let mut choice = Choice::default();
    for part in candidate.at("content.parts").into_iter().flat_map(|list| list.items()) {
        let thought = part.get("thought").is_some_and(|thought| thought.is_true());
        match (part.get("text"), thought) {
            (Some(text), true) => choice.reasoning.join(text),
            (Some(text), false) => choice.text.join(text),
            (None, _) => {}
        }
        if let Some(call) = part.get("functionCall") {
            choice.calls.push(Called {
                id: call.text_at("id"),
                name: call.get("name").filter(Raw::is_text)?,
                arguments: call.get("args").map_or("{}", |args| args.as_str()).into(),
                extra: signature(part),
            });
        }
    }
    choice.finish = finish(candidate, !choice.calls.is_empty());
    (choice.finish != Finish::Failed || !choice.text.is_empty()).then_some(choice)
}

/// Why a candidate ended, `calls` being whether it called something.
pub(super) fn finish(candidate: Raw<'_>, calls: bool) -> Finish {
    let finish = stop::finish(Dialect::Gemini, &candidate.text_at("finishReason").unwrap_or_default());
    if calls && finish == Finish::Stop { Finish::ToolCalls } else { finish }
}

/// The signature of the thought before a call, as `extra_content`.
pub(super) fn signature(part: Raw<'_>) -> Option<String> {
    let signature = part.get("thoughtSignature").filter(Raw::is_text)?;
    let google = Object::new().raw("thought_signature", signature.as_str()).end();
    Some(Object::new().raw("google", &google).end())
}
