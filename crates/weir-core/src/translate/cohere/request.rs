//! A canonical chat request as Cohere's.
//!
//! Stage 6. Source: `providers.md`, 5.1. Decided here: a named tool is the only one that is sent, with the demand to
//! call one; `top_p` is brought into 0.01 to 0.99; of two penalties the frequency's stands.

use crate::translate::chat::{self, Content, Format, Message, Role, Source, Tool, ToolChoice};
use crate::translate::members::{self, Rule, refuse};
use crate::translate::{Ask, Notes, Translated};
use crate::wire::WireError;
use crate::wire::object::{Array, Object};
use crate::wire::raw::Raw;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Stop sequences of one request.
const STOPS_MAX: usize = 5;

const TABLE: &[(&str, Rule)] = &[
    ("messages", Rule::Read),
    ("max_tokens", Rule::Read),
    ("max_completion_tokens", Rule::Read),
    ("temperature", Rule::As("temperature")),
    ("top_p", Rule::Read),
    ("top_k", Rule::As("k")),
    ("n", Rule::Read),
    ("stop", Rule::Read),
    ("seed", Rule::As("seed")),
    ("frequency_penalty", Rule::As("frequency_penalty")),
    ("presence_penalty", Rule::Read),
    ("logprobs", Rule::As("logprobs")),
    ("tools", Rule::Read),
    ("tool_choice", Rule::Read),
    ("response_format", Rule::Read),
    ("reasoning_effort", Rule::Read),
];

pub(super) fn translate(ask: &Ask<'_>, notes: &mut Notes) -> Result<Translated, WireError> {
    let body = ask.body;
    members::one_answer(body)?;
    let messages = chat::messages(body)?;
    let mut out = Object::new().text("model", ask.model).raw("messages", &turns(&messages)?);
    out.put("stream", if ask.stream { "true" } else { "false" });
    if let Some(max_tokens) = chat::max_tokens(body) {
        out = out.number("max_tokens", max_tokens);
    }
    sampling(body, &mut out, notes);
    if let Some(stops) = members::stops(body, STOPS_MAX, notes) {
        out.put("stop_sequences", &stops);
    }
    tools(body, &mut out)?;
    match chat::format_of(body)? {
        Format::Text => {}
        Format::Json => out.put("response_format", "{\"type\":\"json_object\"}"),
        Format::Schema(schema) => {
            let mut format = Object::new().text("type", "json_object");
            format.put_some("json_schema", schema.get("schema"));
            out.put("response_format", &format.end());
        }
    }
    if let Some(effort) = body.text_at("reasoning_effort") {
        out.put("thinking", &thinking(&effort));
    }
    members::pass(body, TABLE, &mut out, notes);
    Ok(Translated { path: "/v2/chat".to_owned(), body: out.end() })
}

fn thinking(effort: &str) -> String {
    let budget: u64 = match effort {
        "none" => return Object::new().text("type", "disabled").end(),
        "minimal" | "low" => 1024,
        "medium" => 4096,
        _ => 16_384,
    };
    Object::new().text("type", "enabled").number("token_budget", budget).end()
}

fn sampling(body: Raw<'_>, out: &mut Object, notes: &mut Notes) {
    if let Some(value) = body.get("top_p") {
        let bounded = match value.number() {
            Some(number) if number > 0.99 => "0.99",
            Some(number) if number < 0.01 => "0.01",
            Some(_) | None => value.as_str(),
        };
        if bounded != value.as_str() {
            notes.adjust("top_p");
        }
        out.put("p", bounded);
    }
    let weighs = |name: &str| body.get(name).filter(|value| value.number() != Some(0.0));
    match (weighs("frequency_penalty"), weighs("presence_penalty")) {
        (Some(_), Some(_)) => notes.drop("presence_penalty"),
        (_, presence) => out.put_some("presence_penalty", presence),
    }
}

fn turns(messages: &[Message<'_>]) -> Result<String, WireError> {
    let mut out = Array::default();
    for (at, message) in messages.iter().enumerate() {
        let role = match message.role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        };
        let mut turn = Object::new().text("role", role);
        if message.role == Role::Tool {
            turn = turn.text("tool_call_id", &message.call_id);
        }
        if !message.calls.is_empty() {
            let mut calls = Array::default();
            for call in &message.calls {
                let function =
                    Object::new().raw("name", call.name.as_str()).text("arguments", &call.arguments);
                let object = Object::new().raw("id", call.id.as_str()).text("type", "function");
                calls.put(&object.raw("function", &function.end()).end());
            }
            turn.put("tool_calls", &calls.end());
        }
        let content = content(at, message)?;
        if !(content == "\"\"" && message.role == Role::Assistant) {
            turn.put("content", &content);
        }
        out.put(&turn.end());
    }
    Ok(out.end())
}

fn content(at: usize, message: &Message<'_>) -> Result<String, WireError> {
    if message.parts.is_empty() {
        return Ok("\"\"".to_owned());
    }
    if let [part] = message.parts.as_slice()
        && let (Content::Text(text), true) = (&part.what, part.raw.is_null())
    {
        return Ok(text.as_str().to_owned());
    }
    let mut out = Array::default();
    for (place, part) in message.parts.iter().enumerate() {
        match &part.what {
            Content::Text(text) => {
                out.put(&Object::new().text("type", "text").raw("text", text.as_str()).end());
            }
            Content::Image(source) => {
                let url = match source {
                    Source::Data { mime, base64 } => format!("data:{mime};base64,{base64}"),
                    Source::Url(url) => (**url).to_owned(),
                };
                let mut image = Object::new().text("url", &url);
                image.put_some("detail", part.raw.at("image_url.detail"));
                out.put(&Object::new().text("type", "image_url").raw("image_url", &image.end()).end());
            }
            Content::File(..) | Content::Audio(..) => {
                let path = format!("messages.{at}.content.{place}");
                return Err(refuse(&path, "text or an image with this model", Some(part.raw)));
            }
        }
    }
    Ok(out.end())
}

fn tools(body: Raw<'_>, out: &mut Object) -> Result<(), WireError> {
    const NOTHING: &str = "{\"type\":\"object\",\"properties\":{}}";
    let mut tools: Vec<Tool<'_>> = chat::tools(body)?;
    if tools.is_empty() {
        return Ok(());
    }
    match chat::tool_choice(body)? {
        None | Some(ToolChoice::Auto) => {}
        Some(ToolChoice::Never) => out.put("tool_choice", "\"NONE\""),
        Some(ToolChoice::Required) => out.put("tool_choice", "\"REQUIRED\""),
        Some(ToolChoice::Named(name)) => {
            tools.retain(|tool| tool.name.text() == name.text());
            if tools.is_empty() {
                return Err(refuse("tool_choice", "the name of one of the tools", Some(name)));
            }
            out.put("tool_choice", "\"REQUIRED\"");
        }
    }
    let mut list = Array::default();
    for tool in &tools {
        let mut function = Object::new().raw("name", tool.name.as_str());
        function.put_some("description", tool.description);
        function.put("parameters", tool.parameters.map_or(NOTHING, |schema| schema.as_str()));
        list.put(&Object::new().text("type", "function").raw("function", &function.end()).end());
    }
    out.put("tools", &list.end());
    if tools.iter().any(|tool| tool.strict.is_some_and(|strict| strict.is_true())) {
        out.put("strict_tools", "true");
    }
    Ok(())
}
