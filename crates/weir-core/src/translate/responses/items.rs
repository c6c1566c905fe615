//! The input of the Responses API as canonical messages.
//!
//! Stage 6. Source: `providers.md`, 2.5. Items in a row that are the assistant's (what it thought, said and called) are
//! one message, because their results must follow them. Reasoning comes back to a model only if it was made here: of
//! anybody else's there is nothing that a model could be sure of.

use super::opened;
use crate::translate::caller::Place;
use crate::translate::members::refuse;
use crate::wire::WireError;
use crate::wire::object::{Array, Object, Text};
use crate::wire::raw::Raw;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// What an item may be.
const ITEMS: &str = "a message, a function_call, a function_call_output or a reasoning item";

/// The messages of a request, a JSON array, and where in the request each of them begins.
///
/// # Errors
/// [`WireError::MissingMember`] without an input, [`WireError::NotSupported`] with the place of what is none.
pub(super) fn messages(body: Raw<'_>) -> Result<(String, Vec<Place>), WireError> {
    let mut turns = Turns::default();
    if let Some(instructions) = body.get("instructions") {
        if !instructions.is_text() {
            return Err(refuse("instructions", "a string", Some(instructions)));
        }
        turns.put(Place::named("instructions"), &said("system", instructions));
    }
    let input = body.get("input").ok_or(WireError::MissingMember { member: "input" })?;
    if input.is_text() {
        turns.put(Place::named("input"), &said("user", input));
    } else if input.is_array() {
        for (at, item) in (0u32..).zip(input.items()) {
            turns.at = Place { of: "input", at: Some(at), parts: false };
            turns.item(&format!("input.{at}"), item)?;
        }
        turns.flush();
    } else {
        return Err(refuse("input", "a string or an array of items", Some(input)));
    }
    if turns.out.is_empty() {
        return Err(refuse("input", "a string or an array of at least one item", Some(input)));
    }
    Ok((turns.out.end(), turns.places))
}

fn said(role: &str, text: Raw<'_>) -> String {
    Object::new().text("role", role).raw("content", text.as_str()).end()
}

/// Messages being written.
#[derive(Default)]
struct Turns {
    out: Array,
    places: Vec<Place>,
    /// The item at hand, and that with which the assistant's turn began.
    at: Place,
    since: Option<Place>,
    /// What the assistant said, thought and called since the last other item.
    parts: Array,
    /// Its text, if it said one only.
    single: Option<String>,
    thoughts: Array,
    calls: Array,
}

impl Turns {
    fn put(&mut self, place: Place, message: &str) {
        self.places.push(place);
        self.out.put(message);
    }

    /// The assistant's turn is over.
    fn flush(&mut self) {
        let mut message = Object::new().text("role", "assistant");
        let (parts, calls) = (core::mem::take(&mut self.parts), core::mem::take(&mut self.calls));
        let (thoughts, single) = (core::mem::take(&mut self.thoughts), self.single.take());
        let since = self.since.take().unwrap_or(self.at);
        if parts.is_empty() && calls.is_empty() {
            return;
        }
        if !parts.is_empty() {
            message.put("content", &single.unwrap_or_else(|| parts.end()));
        }
        if !thoughts.is_empty() {
            message.put("thinking_blocks", &thoughts.end());
        }
        if !calls.is_empty() {
            message.put("tool_calls", &calls.end());
        }
        self.put(since, &message.end());
    }

    fn item(&mut self, path: &str, item: Raw<'_>) -> Result<(), WireError> {
        let kind = item.text_at("type");
        match kind.as_deref() {
            None | Some("message") if item.get("role").is_some() => self.message(path, item),
            Some("reasoning") => {
                let block = item.text_at("encrypted_content").and_then(|text| opened(&text));
                if let Some(block) = block {
                    self.thoughts.put(&block);
                }
                Ok(())
            }
            Some("function_call") => {
                self.since.get_or_insert(self.at);
                self.calls.put(&call(path, item)?);
                Ok(())
            }
            Some("function_call_output") => {
                self.flush();
                self.put(self.at, &result(path, item)?);
                Ok(())
            }
            Some("item_reference") => {
                Err(refuse(path, "the item itself: this deployment's answers are not stored", Some(item)))
            }
            Some(_) | None => Err(refuse(path, ITEMS, Some(item))),
        }
    }

    fn message(&mut self, path: &str, item: Raw<'_>) -> Result<(), WireError> {
        let role = item.text_at("role").unwrap_or_default();
        // Models of other providers know no developer.
        let canonical = match &*role {
            "user" | "assistant" | "system" => &*role,
            "developer" => "system",
            _ => {
                let expected = "user, assistant, system or developer";
                return Err(refuse(&format!("{path}.role"), expected, item.get("role")));
            }
        };
        let content = item.get("content").filter(|content| content.is_text() || content.is_array());
        let Some(content) = content else {
            let expected = "a string or an array of parts";
            return Err(refuse(&format!("{path}.content"), expected, item.get("content")));
        };
        if canonical == "assistant" {
            return self.spoken(path, content);
        }
        self.flush();
        if content.is_text() {
            self.put(self.at, &said(canonical, content));
            return Ok(());
        }
        let mut parts = Array::default();
        for (at, one) in content.items().enumerate() {
            parts.put(&part(&format!("{path}.content.{at}"), one)?);
        }
        let place = Place { parts: true, ..self.at };
        self.put(place, &Object::new().text("role", canonical).raw("content", &parts.end()).end());
        Ok(())
    }

    /// What the assistant said.
    fn spoken(&mut self, path: &str, content: Raw<'_>) -> Result<(), WireError> {
        self.since.get_or_insert(self.at);
        let mut put = |text: Option<Raw<'_>>, part: &str| {
            self.single = text.filter(|_| self.parts.is_empty()).map(|text| text.as_str().to_owned());
            self.parts.put(part);
        };
        if content.is_text() {
            let part = Object::new().text("type", "text").raw("text", content.as_str());
            put(Some(content), &part.end());
        }
        for (at, one) in content.items().enumerate() {
            let text = one.get("text").filter(|_| one.get("type").is_some_and(|kind| kind.is("output_text")));
            put(text, &part(&format!("{path}.content.{at}"), one)?);
        }
        Ok(())
    }
}

fn call(path: &str, item: Raw<'_>) -> Result<String, WireError> {
    let text = |name: &str| item.get(name).filter(Raw::is_text);
    let (Some(id), Some(name), Some(arguments)) = (text("call_id"), text("name"), text("arguments")) else {
        return Err(refuse(path, "a call with call_id, name and arguments", Some(item)));
    };
    let function = Object::new().raw("name", name.as_str()).raw("arguments", arguments.as_str()).end();
    let mut call = Object::new().raw("id", id.as_str()).text("type", "function").raw("function", &function);
    call.put_some("extra_content", item.get("extra_content"));
    Ok(call.end())
}

/// The result of a call. Texts are one text, which every provider takes.
fn result(path: &str, item: Raw<'_>) -> Result<String, WireError> {
    let Some(id) = item.get("call_id").filter(Raw::is_text) else {
        return Err(refuse(&format!("{path}.call_id"), "a string", item.get("call_id")));
    };
    let out = Object::new().text("role", "tool").raw("tool_call_id", id.as_str());
    let output = item.get("output");
    let content = match output {
        Some(text) if text.is_text() => text.as_str().to_owned(),
        Some(list) if list.is_array() => {
            let (mut parts, mut text, mut plain) = (Array::default(), Text::default(), true);
            for (at, one) in list.items().enumerate() {
                parts.put(&part(&format!("{path}.output.{at}"), one)?);
                match one.get("text").filter(Raw::is_text) {
                    Some(piece) => text.join(piece),
                    None => plain = false,
                }
            }
            if plain { text.end() } else { parts.end() }
        }
        Some(_) | None => {
            return Err(refuse(&format!("{path}.output"), "a string or an array of parts", output));
        }
    };
    Ok(out.raw("content", &content).end())
}

/// A part of content.
fn part(path: &str, part: Raw<'_>) -> Result<String, WireError> {
    let kind = part.text_at("type").unwrap_or_default();
    let text = |name: &str| part.get(name).filter(Raw::is_text);
    let read = match &*kind {
        "input_text" | "output_text" => {
            text("text").map(|text| Object::new().text("type", "text").raw("text", text.as_str()).end())
        }
        "refusal" => text("refusal")
            .map(|said| Object::new().text("type", "refusal").raw("refusal", said.as_str()).end()),
        "input_image" => text("image_url").map(|url| {
            let mut image = Object::new().raw("url", url.as_str());
            image.put_some("detail", part.get("detail").filter(|detail| !detail.is("auto")));
            Object::new().text("type", "image_url").raw("image_url", &image.end()).end()
        }),
        "input_file" => text("file_data").or_else(|| text("file_url")).map(|data| {
            let mut file = Object::new().raw("file_data", data.as_str());
            file.put_some("filename", part.get("filename"));
            Object::new().text("type", "file").raw("file", &file.end()).end()
        }),
        "input_audio" => part.get("input_audio").map(|_| part.as_str().to_owned()),
        _ => None,
    };
    read.ok_or_else(|| {
        let expected = if part.get("file_id").is_some() {
            "given with its data or its address: this deployment stores no files"
        } else {
            "of the type input_text, input_image, input_file, output_text or refusal, with what it holds"
        };
        refuse(path, expected, Some(part))
    })
}
