//! A canonical request as Mistral's: members that it does not know are refused there with 422, so only known ones go.
//!
//! Stage 6. Source: `providers.md` 9. Ids of calls are nine letters and digits; longer ones are shortened by a hash, the
//! same way in a call and in its result. A turn of the user after a tool's result needs one of the assistant between.

use super::{call, function, message, role_word};
use crate::seal::digest;
use crate::snapshot::Task;
use crate::translate::chat::{self, Content, Message, Part, Role, Source};
use crate::translate::members::{self, Notes, Rule, refuse};
use crate::translate::{Ask, Translated};
use crate::wire::WireError;
use crate::wire::object::{Array, Object};
use crate::wire::quote;
use crate::wire::raw::Raw;
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;

/// Length of a call's id.
const ID_CHARS: usize = 9;

const CHAT: &[(&str, Rule)] = &[
    ("messages", Rule::Read),
    ("tools", Rule::Read),
    ("tool_choice", Rule::Read),
    ("max_tokens", Rule::Read),
    ("max_completion_tokens", Rule::Read),
    ("seed", Rule::As("random_seed")),
    ("temperature", Rule::As("temperature")),
    ("top_p", Rule::As("top_p")),
    ("n", Rule::As("n")),
    ("stop", Rule::As("stop")),
    ("response_format", Rule::As("response_format")),
    ("presence_penalty", Rule::As("presence_penalty")),
    ("frequency_penalty", Rule::As("frequency_penalty")),
    ("parallel_tool_calls", Rule::As("parallel_tool_calls")),
    ("prediction", Rule::As("prediction")),
];
const EMBEDDINGS: &[(&str, Rule)] =
    &[("input", Rule::As("input")), ("dimensions", Rule::As("output_dimension"))];

pub(super) fn request(ask: &Ask<'_>, notes: &mut Notes) -> Result<Translated, WireError> {
    let body = ask.body;
    let mut out = Object::new().text("model", ask.model);
    if ask.task == Task::Embeddings {
        members::pass(body, EMBEDDINGS, &mut out, notes);
        return Ok(call(ask.task, out));
    }
    out.put("messages", &messages(&chat::messages(body)?)?);
    let mut tools = Array::default();
    for tool in chat::tools(body)? {
        tools.put(&function(&tool, true));
    }
    if !tools.is_empty() {
        out.put("tools", &tools.end());
        if let Some(choice) = body.get("tool_choice") {
            out.put("tool_choice", if choice.is("required") { "\"any\"" } else { choice.as_str() });
        }
    }
    out.put_some("max_tokens", body.get("max_completion_tokens").or_else(|| body.get("max_tokens")));
    if ask.stream {
        out.put("stream", "true");
    }
    members::pass(body, CHAT, &mut out, notes);
    Ok(call(ask.task, out))
}

fn messages(messages: &[Message<'_>]) -> Result<String, WireError> {
    let mut out = Array::default();
    let mut last = None;
    for (at, given) in messages.iter().enumerate() {
        if last == Some(Role::Tool) && given.role == Role::User {
            out.put("{\"role\":\"assistant\",\"content\":\"...\"}");
        }
        last = Some(given.role);
        let members: &[&str] = match given.role {
            Role::Assistant => &["prefix"],
            Role::Tool => &["name"],
            Role::System | Role::User => &[],
        };
        let mut item = message(role_word(given.role), given.raw, members);
        item.put("content", &content(at, given)?);
        if given.role == Role::Tool {
            item.put("tool_call_id", &quote::json(&short(&given.call_id)));
        }
        let mut calls = Array::default();
        for asked in &given.calls {
            let id = asked.id.text().unwrap_or_default();
            let id = short(&id);
            let function =
                Object::new().raw("name", asked.name.as_str()).text("arguments", &asked.arguments).end();
            let one = Object::new().text("id", &id).text("type", "function").raw("function", &function);
            calls.put(&one.end());
        }
        if !calls.is_empty() {
            item.put("tool_calls", &calls.end());
        }
        out.put(&item.end());
    }
    Ok(out.end())
}

/// One text stays a text.
fn content(at: usize, message: &Message<'_>) -> Result<String, WireError> {
    if let [Part { what: Content::Text(text), .. }] = message.parts.as_slice() {
        return Ok(String::from(text.as_str()));
    }
    let mut out = Array::default();
    for (place, part) in message.parts.iter().enumerate() {
        let block = match &part.what {
            Content::Text(text) => Object::new().text("type", "text").raw("text", text.as_str()),
            Content::Image(_) => Object::new()
                .text("type", "image_url")
                .raw("image_url", part.raw.get("image_url").unwrap_or(Raw::NULL).as_str()),
            Content::File(_, Source::Data { mime, base64 }) => {
                let url = format!("data:{mime};base64,{base64}");
                Object::new().text("type", "document_url").text("document_url", &url)
            }
            Content::File(_, Source::Url(url)) => {
                Object::new().text("type", "document_url").text("document_url", url)
            }
            Content::Audio(_, data) => {
                Object::new().text("type", "input_audio").raw("input_audio", data.as_str())
            }
        };
        if message.role == Role::System && !matches!(part.what, Content::Text(_)) {
            return Err(refuse(&format!("messages.{at}.content.{place}"), "text", Some(part.raw)));
        }
        out.put(&block.end());
    }
    Ok(if out.is_empty() { String::from("\"\"") } else { out.end() })
}

/// An id as older deployments take it.
fn short(id: &str) -> Cow<'_, str> {
    const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    if id.len() == ID_CHARS && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Cow::Borrowed(id);
    }
    let hash = digest(id.as_bytes());
    let digit = |byte: &u8| DIGITS.get(usize::from(byte % 62)).map_or('0', |digit| char::from(*digit));
    Cow::Owned(hash.iter().take(ID_CHARS).map(digit).collect())
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn ids_have_nine_letters_or_digits_and_stay_apart() {
        assert_eq!(short("abcDEF123"), "abcDEF123");
        for id in ["", "call_abc", "call_1234567890", "abcDEF12é", "abcDEF1234"] {
            let made = short(id);
            assert!(made.len() == 9 && made.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
            assert_eq!(made, short(id));
            assert_ne!(made, short("call_other"));
        }
    }
}
