//! A canonical request in the native form.
//!
//! Stage 6. Source: `providers.md` 12. The model is in the path; the binding takes it from there.

use crate::snapshot::Task;
use crate::translate::chat;
use crate::translate::members::{self, Notes, Rule};
use crate::translate::{Ask, Translated, near};
use crate::wire::WireError;
use crate::wire::object::Object;
use crate::wire::raw::Raw;

/// Texts of one call.
pub(in crate::translate) const TEXTS_MAX: usize = 100;

const CHAT: &[(&str, Rule)] = &[
    ("messages", Rule::Read),
    ("tools", Rule::As("tools")),
    ("max_tokens", Rule::Read),
    ("max_completion_tokens", Rule::Read),
    ("n", Rule::Read),
    ("temperature", Rule::As("temperature")),
    ("top_p", Rule::As("top_p")),
    ("seed", Rule::As("seed")),
    ("frequency_penalty", Rule::As("frequency_penalty")),
    ("presence_penalty", Rule::As("presence_penalty")),
    ("response_format", Rule::As("response_format")),
    ("reasoning_effort", Rule::As("reasoning_effort")),
    ("tool_choice", Rule::As("tool_choice")),
];
const EMBEDDINGS: &[(&str, Rule)] = &[("input", Rule::Read)];

pub(super) fn translate(ask: &Ask<'_>, notes: &mut Notes) -> Result<Translated, WireError> {
    let mut out = Object::new();
    if ask.task == Task::Embeddings {
        out.put("text", &members::texts(ask.body, TEXTS_MAX, "one to 100 texts with this model")?.end());
        members::pass(ask.body, EMBEDDINGS, &mut out, notes);
    } else {
        members::one_answer(ask.body)?;
        // Looked at only so that what nobody could say is refused here.
        chat::messages(ask.body)?;
        let list = ask.body.get("messages").unwrap_or(Raw::NULL);
        out.put("messages", &near::with_known_roles(list));
        if ask.stream {
            out.put("stream", "true");
        }
        out.put_some(
            "max_tokens",
            ask.body.get("max_completion_tokens").or_else(|| ask.body.get("max_tokens")),
        );
        members::pass(ask.body, CHAT, &mut out, notes);
    }
    // Model names hold `@` and `/`, which stand in the path as they are.
    let path = ["/run/", ask.model].concat();
    Ok(Translated { path, body: out.end() })
}
