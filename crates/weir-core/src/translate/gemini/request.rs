//! A canonical chat request as Gemini's.
//!
//! Stage 6. Source: `providers.md`, 6.2. Decided here: a tool's result that is no JSON object is wrapped as
//! `{"result": …}`; the signature of a thought travels in a call's `extra_content`, as in Google's own `OpenAI` form;
//! `reasoning_effort` is a budget for models of version 2 and a level from then on.

use crate::translate::chat::{self, Content, Format, Message, Part, Role, Source, ToolChoice};
use crate::translate::members::{self, refuse};
use crate::translate::{Ask, Notes};
use crate::wire::WireError;
use crate::wire::object::{Array, Object, Text};
use crate::wire::raw::Raw;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Stop sequences of one request.
const STOPS_MAX: usize = 5;
/// Candidates of one answer.
const CANDIDATES_MAX: u64 = 8;

/// Members that are read beside those that every provider reads; what goes into `generationConfig` is not passed.
const OWN: [&str; 5] = ["top_k", "seed", "frequency_penalty", "presence_penalty", "generationConfig"];

/// Members of `generationConfig` that only have another name.
const CONFIG: [(&str, &str); 6] = [
    ("temperature", "temperature"),
    ("top_p", "topP"),
    ("top_k", "topK"),
    ("seed", "seed"),
    ("presence_penalty", "presencePenalty"),
    ("frequency_penalty", "frequencyPenalty"),
];

pub(super) fn translate(ask: &Ask<'_>, notes: &mut Notes) -> Result<String, WireError> {
    let body = ask.body;
    let messages = chat::messages(body)?;
    let mut out = Object::new().raw("contents", &contents(&messages)?);
    if let Some(system) = chat::system(&messages) {
        let part = Object::new().raw("text", &system).end();
        out.put("systemInstruction", &format!("{{\"parts\":[{part}]}}"));
    }
    tools(body, &mut out)?;
    let config = config(ask, notes)?;
    if !config.is_empty() {
        out.put("generationConfig", &config.end());
    }
    members::pass_chat(body, &OWN, &mut out, notes);
    Ok(out.end())
}

fn config(ask: &Ask<'_>, notes: &mut Notes) -> Result<Object, WireError> {
    let body = ask.body;
    let mut config = Object::new();
    for (name, value) in body.get("generationConfig").into_iter().flat_map(|own| own.members()) {
        config.put(&name, value.as_str());
    }
    for (name, other) in CONFIG {
        config.put_some(other, body.get(name));
    }
    if let Some(max_tokens) = chat::max_tokens(body) {
        config = config.number("maxOutputTokens", max_tokens);
    }
    if let Some(stops) = members::stops(body, STOPS_MAX, notes) {
        config.put("stopSequences", &stops);
    }
    match body.get("n").map(|n| (n, n.count(CANDIDATES_MAX))) {
        None | Some((_, Some(1))) => {}
        Some((n, Some(2..))) => config.put("candidateCount", n.as_str()),
        Some((n, _)) => return Err(refuse("n", "1 to 8 with this model", Some(n))),
    }
    match chat::format_of(body)? {
        Format::Text => {}
        Format::Json => config = config.text("responseMimeType", "application/json"),
        Format::Schema(schema) => {
            config = config.text("responseMimeType", "application/json");
            config.put_some("responseJsonSchema", schema.get("schema"));
        }
    }
    if let Some(effort) = body.text_at("reasoning_effort") {
        config.put("thinkingConfig", &thinking(ask.model, &effort));
    }
    Ok(config)
}

fn thinking(model: &str, effort: &str) -> String {
    let object = if model.contains("gemini-2") {
        let budget: u64 = match effort {
            "none" => 0,
            "minimal" => 512,
            "low" => 1024,
            "medium" => 8192,
            _ => 24_576,
        };
        Object::new().number("thinkingBudget", budget)
    } else {
        let level = match effort {
            "none" | "minimal" => "MINIMAL",
            "low" => "LOW",
            "medium" => "MEDIUM",
            _ => "HIGH",
        };
        Object::new().text("thinkingLevel", level)
    };
    object.raw("includeThoughts", if effort == "none" { "false" } else { "true" }).end()
}

/// All messages but the system's, those of one speaker in a row as one.
fn contents(messages: &[Message<'_>]) -> Result<String, WireError> {
    let mut turns: Vec<(&str, Array)> = Vec::new();
    let mut called: Vec<(Raw<'_>, Raw<'_>)> = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        let role = match message.role {
            Role::System => continue,
            Role::User | Role::Tool => "user",
            Role::Assistant => "model",
        };
        if turns.last().is_none_or(|(last, _)| *last != role) {
            turns.push((role, Array::default()));
        }
        let Some((_, parts)) = turns.last_mut() else { continue };
        if message.role == Role::Tool {
            parts.put(&result(at, message, &called)?);
            continue;
        }
        for (place, part) in message.parts.iter().enumerate() {
            parts.put(&part_of(&format!("messages.{at}.content.{place}"), part)?);
        }
        for call in &message.calls {
            called.push((call.id, call.name));
            let function = Object::new().raw("name", call.name.as_str()).raw("args", &call.arguments);
            let mut part = Object::new().raw("functionCall", &function.end());
            part.put_some("thoughtSignature", call.raw.at("extra_content.google.thought_signature"));
            parts.put(&part.end());
        }
    }
    let mut out = Array::default();
    for (role, parts) in turns.into_iter().filter(|(_, parts)| !parts.is_empty()) {
        out.put(&Object::new().text("role", role).raw("parts", &parts.end()).end());
    }
    Ok(out.end())
}

/// A tool's result; the function's name is that of the call whose id it has.
fn result(at: usize, message: &Message<'_>, called: &[(Raw<'_>, Raw<'_>)]) -> Result<String, WireError> {
    let found = called.iter().rev().find(|(id, _)| id.is(&message.call_id));
    let Some((_, name)) = found else {
        let path = format!("messages.{at}.tool_call_id");
        return Err(refuse(&path, "the id of a call before it", message.raw.get("tool_call_id")));
    };
    let mut text = Text::default();
    for (place, part) in message.parts.iter().enumerate() {
        match &part.what {
            Content::Text(piece) => text.join(*piece),
            Content::Image(_) | Content::File(..) | Content::Audio(..) => {
                let path = format!("messages.{at}.content.{place}");
                return Err(refuse(&path, "text with this model", Some(part.raw)));
            }
        }
    }
    let text = text.end();
    let plain = Raw::trusted(&text).text().unwrap_or_default();
    let response = match Raw::parse(&plain).filter(Raw::is_object) {
        Some(object) => object.as_str().to_owned(),
        None => Object::new().raw("result", &text).end(),
    };
    let inner = Object::new().raw("name", name.as_str()).raw("response", &response).end();
    Ok(Object::new().raw("functionResponse", &inner).end())
}

fn part_of(path: &str, part: &Part<'_>) -> Result<String, WireError> {
    let inline = |mime: &str, data: &str| {
        let data = Object::new().text("mimeType", mime).text("data", data).end();
        Object::new().raw("inlineData", &data).end()
    };
    match &part.what {
        Content::Text(text) => Ok(Object::new().raw("text", text.as_str()).end()),
        Content::Image(Source::Data { mime, base64 }) | Content::File(_, Source::Data { mime, base64 }) => {
            Ok(inline(mime, base64))
        }
        Content::Image(Source::Url(url)) => {
            let file = Object::new().text("fileUri", url).text("mimeType", image_type(url));
            Ok(Object::new().raw("fileData", &file.end()).end())
        }
        Content::File(_, Source::Url(_)) => {
            Err(refuse(path, "a file's data with this model", Some(part.raw)))
        }
        Content::Audio(format, data) => {
            let data = data.text().unwrap_or_default();
            Ok(inline(&format!("audio/{format}"), &data))
        }
    }
}

/// The media type that an address ends like.
fn image_type(url: &str) -> &'static str {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let end = path.rsplit('.').next().unwrap_or_default();
    match &*end.to_ascii_lowercase() {
        "png" => "image/png",
        "webp" => "image/webp",
        "gif" => "image/gif",
        _ => "image/jpeg",
    }
}

fn tools(body: Raw<'_>, out: &mut Object) -> Result<(), WireError> {
    let tools = chat::tools(body)?;
    if tools.is_empty() {
        return Ok(());
    }
    let mut list = Array::default();
    for tool in &tools {
        let mut function = Object::new().raw("name", tool.name.as_str());
        function.put_some("description", tool.description);
        function.put_some("parametersJsonSchema", tool.parameters);
        list.put(&function.end());
    }
    out.put("tools", &format!("[{{\"functionDeclarations\":{}}}]", list.end()));
    let mode = match chat::tool_choice(body)? {
        None => return Ok(()),
        Some(ToolChoice::Auto) => Object::new().text("mode", "AUTO"),
        Some(ToolChoice::Never) => Object::new().text("mode", "NONE"),
        Some(ToolChoice::Required) => Object::new().text("mode", "ANY"),
        Some(ToolChoice::Named(name)) => {
            Object::new().text("mode", "ANY").raw("allowedFunctionNames", &format!("[{}]", name.as_str()))
        }
    };
    out.put("toolConfig", &Object::new().raw("functionCallingConfig", &mode.end()).end());
    Ok(())
}
