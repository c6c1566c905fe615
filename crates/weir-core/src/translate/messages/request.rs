//! A request of Anthropic Messages as a canonical chat.
//!
//! Stage 6. Source: `providers.md`, 4.2, the other way round. Results of tools become messages of their own, before what
//! else their turn says; thinking blocks travel as `thinking_blocks`; a budget of thinking is an effort.

use super::own_id;
use crate::translate::caller::Place;
use crate::translate::members::refuse;
use crate::wire::WireError;
use crate::wire::object::{Array, Object, Text};
use crate::wire::raw::Raw;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Members that only have another name in the canonical dialect.
const SAME: [(&str, &str); 7] = [
    ("model", "model"),
    ("max_tokens", "max_tokens"),
    ("temperature", "temperature"),
    ("top_p", "top_p"),
    ("top_k", "top_k"),
    ("stop_sequences", "stop"),
    ("stream", "stream"),
];
/// Members that are read here.
const READ: [&str; 8] =
    ["messages", "system", "metadata", "tools", "tool_choice", "thinking", "output_config", "service_tier"];

/// The canonical chat that asks for what `body` asks for, and where in `body` each of its messages begins.
///
/// # Errors
/// [`WireError::MissingMember`] without messages; [`WireError::NotSupported`] for members and blocks that the API does
/// not have, or that only Anthropic's own service could act on.
pub fn request(body: Raw<'_>) -> Result<(String, Vec<Place>), WireError> {
    let mut out = Object::new();
    for (name, value) in body.members() {
        let same = SAME.iter().find(|(known, _)| *known == name);
        match same {
            Some((_, other)) if !value.is_null() => out.put(other, value.as_str()),
            None if !READ.contains(&&*name) && !value.is_null() => {
                return Err(refuse(&name, "absent on this surface", Some(value)));
            }
            Some(_) | None => {}
        }
    }
    let list =
        body.get("messages").filter(Raw::is_array).ok_or(WireError::MissingMember { member: "messages" })?;
    let (mut messages, mut places) = (Array::default(), Vec::new());
    if let Some(system) = body.get("system") {
        let text = text_of("system", system)?;
        messages.put(&Object::new().text("role", "system").raw("content", &text).end());
        places.push(Place::named("system"));
    }
    for (at, message) in (0u32..).zip(list.items()) {
        let mut place = Place { of: "messages", at: Some(at), parts: true };
        for one in turn(&format!("messages.{at}"), message)? {
            messages.put(&one);
            // Behind results of tools, the parts of a turn stand elsewhere than they did.
            place.parts &= !one.starts_with("{\"role\":\"tool\"");
            places.push(place);
        }
    }
    out.put("messages", &messages.end());
    out.put_some("user", body.at("metadata.user_id"));
    tools(body, &mut out)?;
    reasoning(body, &mut out);
    if let Some(schema) = body.at("output_config.format.schema") {
        let named = Object::new().text("name", "answer").raw("schema", schema.as_str()).raw("strict", "true");
        let format = Object::new().text("type", "json_schema").raw("json_schema", &named.end());
        out.put("response_format", &format.end());
    }
    Ok((out.end(), places))
}

/// A string, or the texts of blocks, as one JSON string.
fn text_of(path: &str, value: Raw<'_>) -> Result<String, WireError> {
    if value.is_text() {
        return Ok(value.as_str().to_owned());
    }
    let mut text = Text::default();
    for block in value.items() {
        match block.get("text").filter(Raw::is_text) {
            Some(piece) => text.join(piece),
            None => return Err(refuse(path, "a text, or blocks of text", Some(block))),
        }
    }
    Ok(text.end())
}

/// The canonical messages of one.
fn turn(path: &str, message: Raw<'_>) -> Result<Vec<String>, WireError> {
    let mut out = Vec::new();
    let role = message.text_at("role").unwrap_or_default();
    if !matches!(&*role, "user" | "assistant") {
        return Err(refuse(&format!("{path}.role"), "user or assistant", message.get("role")));
    }
    let Some(content) = message.get("content") else {
        return Err(refuse(&format!("{path}.content"), "a string or an array of blocks", None));
    };
    let mut canonical = Object::new().text("role", &role);
    if content.is_text() {
        canonical.put("content", content.as_str());
        return Ok(Vec::from([canonical.end()]));
    }
    let (mut parts, mut calls, mut thoughts) = (Array::default(), Array::default(), Array::default());
    for (place, block) in content.items().enumerate() {
        let kind = block.text_at("type").unwrap_or_default();
        let path = format!("{path}.content.{place}");
        match (&*kind, &*role) {
            ("tool_result", "user") => out.push(result(&path, block)?),
            ("tool_use", "assistant") => calls.put(&call(&path, block)?),
            ("thinking" | "redacted_thinking", "assistant") => thoughts.put(block.as_str()),
            _ => parts.put(&part(&path, &kind, block)?),
        }
    }
    let silent = parts.is_empty();
    if !silent {
        canonical.put("content", &parts.end());
    }
    if !thoughts.is_empty() {
        canonical.put("thinking_blocks", &thoughts.end());
    }
    if !calls.is_empty() {
        canonical.put("tool_calls", &calls.end());
    } else if silent {
        return Ok(out);
    }
    out.push(canonical.end());
    Ok(out)
}

fn result(path: &str, block: Raw<'_>) -> Result<String, WireError> {
    let Some(id) = block.text_at("tool_use_id") else {
        return Err(refuse(&format!("{path}.tool_use_id"), "a string", None));
    };
    let content = match block.get("content") {
        Some(content) => text_of(&format!("{path}.content"), content)?,
        None => "\"\"".to_owned(),
    };
    let message = Object::new().text("role", "tool").text("tool_call_id", own_id(&id).0);
    Ok(message.raw("content", &content).end())
}

fn call(path: &str, block: Raw<'_>) -> Result<String, WireError> {
    let (id, name) = (block.text_at("id"), block.get("name").filter(Raw::is_text));
    let input = block.get("input").filter(Raw::is_object);
    let (Some(id), Some(name), Some(input)) = (id, name, input) else {
        return Err(refuse(path, "a call with id, name and input", Some(block)));
    };
    let (id, signature) = own_id(&id);
    let function = Object::new().raw("name", name.as_str()).text("arguments", input.as_str()).end();
    let mut call = Object::new().text("id", id).text("type", "function").raw("function", &function);
    if let Some(signature) = signature {
        let google = Object::new().text("thought_signature", signature).end();
        call.put("extra_content", &Object::new().raw("google", &google).end());
    }
    Ok(call.end())
}

fn part(path: &str, kind: &str, block: Raw<'_>) -> Result<String, WireError> {
    let data = |media: &str| {
        let data = block.at("source.data").and_then(|data| data.text())?;
        let mime = block.at("source.media_type").and_then(|mime| mime.text())?;
        mime.starts_with(media).then(|| format!("data:{mime};base64,{data}"))
    };
    let source = block.at("source.type").and_then(|kind| kind.text()).unwrap_or_default();
    let read = match (kind, &*source) {
        ("text", _) => block
            .get("text")
            .filter(Raw::is_text)
            .map(|text| Object::new().text("type", "text").raw("text", text.as_str()).end()),
        ("image", "base64" | "url") => {
            let url = data("image/").or_else(|| Some(block.at("source.url")?.text()?.into_owned()));
            url.map(|url| {
                let image = Object::new().text("url", &url).end();
                Object::new().text("type", "image_url").raw("image_url", &image).end()
            })
        }
        ("document", "base64") => data("application/pdf").map(|data| {
            let mut file = Object::new().text("file_data", &data);
            file.put("filename", block.get("title").map_or("\"document.pdf\"", |title| title.as_str()));
            Object::new().text("type", "file").raw("file", &file.end()).end()
        }),
        ("document", "text") => block
            .at("source.data")
            .filter(Raw::is_text)
            .map(|text| Object::new().text("type", "text").raw("text", text.as_str()).end()),
        _ => None,
    };
    read.ok_or_else(|| {
        refuse(path, "a block of text, an image, a document, a call or its result", Some(block))
    })
}

fn tools(body: Raw<'_>, out: &mut Object) -> Result<(), WireError> {
    let mut list = Array::default();
    for (at, tool) in body.get("tools").into_iter().flat_map(|list| list.items()).enumerate() {
        let own = tool.get("type").is_none_or(|kind| kind.is("custom"));
        let (Some(name), true) = (tool.get("name").filter(Raw::is_text), own) else {
            return Err(refuse(
                &format!("tools.{at}"),
                "a tool of the caller's own, with a name",
                Some(tool),
            ));
        };
        let mut function = Object::new().raw("name", name.as_str());
        function.put_some("description", tool.get("description"));
        function.put_some("parameters", tool.get("input_schema"));
        function.put_some("strict", tool.get("strict"));
        list.put(&Object::new().text("type", "function").raw("function", &function.end()).end());
    }
    if list.is_empty() {
        return Ok(());
    }
    out.put("tools", &list.end());
    let Some(choice) = body.get("tool_choice") else { return Ok(()) };
    let kind = choice.text_at("type").unwrap_or_default();
    let canonical = match (&*kind, choice.get("name")) {
        ("auto", _) => "\"auto\"".to_owned(),
        ("none", _) => "\"none\"".to_owned(),
        ("any", _) => "\"required\"".to_owned(),
        ("tool", Some(name)) => {
            let function = Object::new().raw("name", name.as_str()).end();
            Object::new().text("type", "function").raw("function", &function).end()
        }
        _ => return Err(refuse("tool_choice", "auto, any, none, or tool with a name", Some(choice))),
    };
    out.put("tool_choice", &canonical);
    if choice.get("disable_parallel_tool_use").is_some_and(|alone| alone.is_true()) {
        out.put("parallel_tool_calls", "false");
    }
    Ok(())
}

/// How hard to think: the effort as it is, or what a budget comes to.
fn reasoning(body: Raw<'_>, out: &mut Object) {
    let thinks = body.at("thinking.type").is_some_and(|kind| !kind.is("disabled"));
    let budget = body.at("thinking.budget_tokens").and_then(|budget| budget.count(u64::MAX));
    let effort = match (body.at("output_config.effort"), budget) {
        (Some(effort), _) => effort.as_str(),
        (None, Some(0..=2048)) if thinks => "\"low\"",
        (None, Some(2049..=8192) | None) if thinks => "\"medium\"",
        (None, Some(_)) if thinks => "\"high\"",
        (None, _) => return,
    };
    out.put("reasoning_effort", effort);
}
