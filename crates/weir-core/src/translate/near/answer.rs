//! A whole answer that is nearly canonical.
//!
//! Stage 6. Decides what is made of what such servers leave out or spell in their own way (`providers.md`, 9 to 13): a
//! content that is a list of texts and thoughts, reasoning under three names, arguments as an object, reasons that are no
//! reasons. Members that nobody knows stay.

use crate::snapshot::{Dialect, Task};
use crate::translate::stop::{self, Finish};
use crate::translate::usage::{self, Counts};
use crate::translate::{Answer, Called, Choice};
use crate::wire::object::Text;
use crate::wire::raw::Raw;
use alloc::borrow::{Cow, ToOwned};
use alloc::string::ToString;
use alloc::vec::Vec;

/// Members of an answer that are written anew.
const TOP: [&str; 7] = ["id", "object", "created", "model", "choices", "usage", "data"];
/// Members of a choice that are.
const CHOICE: [&str; 6] = ["index", "message", "delta", "text", "finish_reason", "finishReason"];
/// Members of a message that are.
pub(super) const MESSAGE: [&str; 7] =
    ["role", "content", "refusal", "tool_calls", "reasoning_content", "reasoning", "thinking"];

pub(in crate::translate) fn read(dialect: Dialect, task: Task, body: Raw<'_>) -> Option<Answer<'_>> {
    if body.get("error").is_some() {
        return None;
    }
    let (choices, vectors) = match task {
        Task::Embeddings => {
            let list = body.get("data").filter(Raw::is_array)?;
            (Vec::new(), list.items().map(|item| item.get("embedding")).collect::<Option<_>>()?)
        }
        Task::Chat | Task::Completions => {
            let list = body.get("choices").filter(Raw::is_array)?;
            (list.items().map(|choice| read_choice(dialect, choice)).collect::<Option<Vec<_>>>()?, Vec::new())
        }
    };
    if choices.is_empty() && vectors.is_empty() {
        return None;
    }
    let others = body.members().filter(|(name, value)| !TOP.contains(&&**name) && !value.is_null());
    Some(Answer {
        id: body.get("id").filter(Raw::is_text),
        model: body.get("model").filter(|model| model.is_text() && model.as_str() != "\"\""),
        choices,
        vectors,
        counts: Counts::of(usage::NEAR, body.get("usage")),
        others: others.collect(),
    })
}

/// `None` for a choice that failed.
fn read_choice(dialect: Dialect, raw: Raw<'_>) -> Option<Choice<'_>> {
    let message = raw.get("message").or_else(|| raw.get("delta"));
    let mut choice = Choice::default();
    raw.get("text").into_iter().for_each(|text| choice.text.join(text));
    if let Some(message) = message {
        content(message, &mut choice.text, &mut choice.reasoning);
        for call in message.get("tool_calls").into_iter().flat_map(|list| list.items()) {
            choice.calls.push(Called {
                id: call.text_at("id").filter(|id| !id.is_empty()),
                name: call.at("function.name").or_else(|| call.get("name")).filter(Raw::is_text)?,
                arguments: arguments(call).unwrap_or("{}".into()),
                extra: None,
            });
        }
        choice.refusal = message.get("refusal").filter(Raw::is_text);
        let others =
            message.members().filter(|(name, value)| !MESSAGE.contains(&&**name) && !value.is_null());
        choice.extra = others.map(|(name, value)| (name, value.as_str().to_owned())).collect();
    }
    let others = raw.members().filter(|(name, value)| !CHOICE.contains(&&**name) && !value.is_null());
    choice.others = others.collect();
    choice.finish = finish(dialect, raw).unwrap_or(if choice.calls.is_empty() {
        Finish::Stop
    } else {
        Finish::ToolCalls
    });
    (choice.finish != Finish::Failed).then_some(choice)
}

/// Why a choice ended; nothing if it has not. A call is a call whatever the server calls it.
pub(super) fn finish(dialect: Dialect, choice: Raw<'_>) -> Option<Finish> {
    let word = choice.get("finish_reason").or_else(|| choice.get("finishReason"))?.text()?;
    (!word.is_empty()).then(|| stop::finish(dialect, &word))
}

/// Text and reasoning of a message or delta.
pub(super) fn content(message: Raw<'_>, text: &mut Text, reasoning: &mut Text) {
    for name in ["reasoning_content", "reasoning", "thinking"] {
        if let Some(own) = message.get(name).filter(Raw::is_text) {
            reasoning.join(own);
            break;
        }
    }
    let Some(content) = message.get("content") else { return };
    text.join(content);
    for part in content.items() {
        let kind = part.text_at("type").unwrap_or_default();
        let inner = match &*kind {
            "thinking" => part.get("thinking"),
            "reasoning" => part.get("summary").or_else(|| part.get("content")),
            _ => {
                part.get("text").into_iter().for_each(|piece| text.join(piece));
                continue;
            }
        };
        if let Some(inner) = inner {
            reasoning.join(inner);
            inner.items().filter_map(|piece| piece.get("text")).for_each(|piece| reasoning.join(piece));
        }
    }
}

/// The arguments of a call as JSON text; an object is its text.
pub(in crate::translate) fn arguments(call: Raw<'_>) -> Option<Cow<'_, str>> {
    let given = call.at("function.arguments").or_else(|| call.get("arguments"))?;
    given.text().or_else(|| given.is_object().then(|| given.as_str().to_string().into()))
}
