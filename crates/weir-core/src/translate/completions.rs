//! Text completions at a provider that only chats.
//!
//! Stage 6. Decides that the prompt is one user message (`providers.md`, 14); the answer is written back as text by
//! `answer` and `chunks`.

use super::members::{Notes, refuse};
use crate::wire::WireError;
use crate::wire::object::Object;
use crate::wire::raw::Raw;
use alloc::format;
use alloc::string::String;

/// The chat that asks for what `body`, a text completion, asks for.
///
/// # Errors
/// [`WireError::NotSupported`] for several prompts, and for prompts of token numbers.
pub(super) fn as_chat(body: Raw<'_>, notes: &mut Notes) -> Result<String, WireError> {
    let prompt = body.get("prompt");
    let one = match prompt {
        Some(list) if list.is_array() => {
            let mut items = list.items();
            items.next().filter(|first| first.is_text() && items.next().is_none())
        }
        other => other.filter(Raw::is_text),
    };
    let Some(text) = one else {
        return Err(refuse("prompt", "one text with this model", prompt));
    };
    let message = format!("[{{\"role\":\"user\",\"content\":{}}}]", text.as_str());
    let mut chat = Object::new().raw("messages", &message);
    for (name, value) in body.members() {
        match &*name {
            "prompt" => {}
            // A number here, a boolean in a chat.
            "logprobs" if !value.is_null() => notes.drop("logprobs"),
            name => chat.put(name, value.as_str()),
        }
    }
    Ok(chat.end())
}
