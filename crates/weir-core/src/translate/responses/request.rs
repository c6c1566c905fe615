//! A request of the Responses API as a canonical chat, and what its answer repeats of it.
//!
//! Stage 6. Source: `providers.md`, 2.5. What would need a memory is refused with what to do instead; what only
//! `OpenAI`'s own service could act on is refused where the answer would be another without it, else left out and told.
//! A member that nobody knows goes on as on every route of this form.

use super::items;
use crate::translate::Notes;
use crate::translate::caller::Place;
use crate::translate::members::refuse;
use crate::wire::WireError;
use crate::wire::object::{Array, Object};
use crate::wire::raw::Raw;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Members that only have another name in the canonical dialect, or the same.
const SAME: [(&str, &str); 11] = [
    ("model", "model"),
    ("max_output_tokens", "max_tokens"),
    ("temperature", "temperature"),
    ("top_p", "top_p"),
    ("stream", "stream"),
    ("user", "user"),
    ("service_tier", "service_tier"),
    ("prompt_cache_key", "prompt_cache_key"),
    ("prompt_cache_retention", "prompt_cache_retention"),
    ("safety_identifier", "safety_identifier"),
    ("top_logprobs", "top_logprobs"),
];
/// Members that are read here, or whose absence nobody misses: `metadata` is repeated in the answer.
const READ: [&str; 14] = [
    "input",
    "instructions",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "text",
    "reasoning",
    "metadata",
    "store",
    "include",
    "stream_options",
    "max_tool_calls",
    "background",
    "truncation",
];
/// Members that would need a memory, and what to do instead.
const KEPT: [(&str, &str); 3] = [
    (
        "previous_response_id",
        "absent with this deployment, whose answers are not stored: send the earlier items in 'input'",
    ),
    (
        "conversation",
        "absent with this deployment, whose answers are not stored: send the earlier items in 'input'",
    ),
    ("prompt", "absent with this deployment, which stores no prompts: send its text in 'instructions'"),
];
/// Members that are left out and told.
const DROPPED: [&str; 6] = [
    "context_management",
    "prompt_cache_options",
    "moderation",
    "access_programs",
    "image",
    "background_options",
];
/// Members of the canonical dialect that are written here, so a caller cannot.
const WRITTEN: [&str; 12] = [
    "messages",
    "max_tokens",
    "max_completion_tokens",
    "response_format",
    "reasoning_effort",
    "verbosity",
    "n",
    "logprobs",
    "functions",
    "function_call",
    "modalities",
    "audio",
];

/// The canonical chat that asks for what `body` asks for, and where in `body` each of its messages begins.
///
/// # Errors
/// [`WireError::MissingMember`] without an input; [`WireError::NotSupported`] for what cannot be had without a memory or
/// `OpenAI`'s own tools, and for what the API does not have.
pub fn request(body: Raw<'_>, notes: &mut Notes) -> Result<(String, Vec<Place>), WireError> {
    let mut out = Object::new();
    for (name, value) in body.members().filter(|(_, value)| !value.is_null()) {
        if let Some((_, other)) = SAME.iter().find(|(known, _)| *known == name) {
            out.put(other, value.as_str());
        } else if let Some((_, instead)) = KEPT.iter().find(|(known, _)| *known == name) {
            return Err(refuse(&name, instead, Some(value)));
        } else if let Some(known) = DROPPED.iter().find(|known| **known == name) {
            notes.drop(known);
        } else if WRITTEN.contains(&&*name) {
            return Err(refuse(&name, "absent with the Responses API", Some(value)));
        } else if !READ.contains(&&*name) {
            out.put(&name, value.as_str());
        }
    }
    if let Some(value) = body.get("background").filter(Raw::is_true) {
        return Err(refuse(
            "background",
            "false with this deployment, whose answers are not stored",
            Some(value),
        ));
    }
    if body.get("truncation").is_some_and(|word| word.is("auto")) {
        notes.drop("truncation");
    }
    let (messages, places) = items::messages(body)?;
    out.put("messages", &messages);
    tools(body, &mut out)?;
    text(body, &mut out)?;
    if let Some(effort) = body.at("reasoning.effort") {
        out.put("reasoning_effort", effort.as_str());
    }
    if logprobs(body) {
        out.put("logprobs", "true");
    }
    Ok((out.end(), places))
}

/// Whether log probabilities are asked for.
fn logprobs(body: Raw<'_>) -> bool {
    let included = body.get("include").into_iter().flat_map(|list| list.items());
    let counted = body.get("top_logprobs").and_then(|count| count.count(u64::MAX));
    counted.is_some_and(|count| count > 0)
        || included.into_iter().any(|word| word.is("message.output_text.logprobs"))
}

/// The functions, and which of them must be called. Choosing among some is offering only those.
fn tools(body: Raw<'_>, out: &mut Object) -> Result<(), WireError> {
    let choice = body.get("tool_choice");
    let some = choice.filter(|choice| choice.get("type").is_some_and(|kind| kind.is("allowed_tools")));
    let allows = |name: Raw<'_>| {
        let named = |tool: Raw<'_>| tool.text_at("name").is_some_and(|one| Some(one) == name.text());
        some.is_none_or(|some| some.get("tools").into_iter().flat_map(|list| list.items()).any(named))
    };
    let mut list = Array::default();
    for (at, tool) in body.get("tools").into_iter().flat_map(|list| list.items()).enumerate() {
        let own = tool.get("type").is_some_and(|kind| kind.is("function"));
        let (Some(name), true) = (tool.get("name").filter(Raw::is_text), own) else {
            let expected =
                "a function with a name: tools that OpenAI runs are not to be had of this deployment";
            return Err(refuse(&format!("tools.{at}"), expected, Some(tool)));
        };
        if !allows(name) {
            continue;
        }
        let mut function = Object::new().raw("name", name.as_str());
        for member in ["description", "parameters", "strict"] {
            function.put_some(member, tool.get(member));
        }
        list.put(&Object::new().text("type", "function").raw("function", &function.end()).end());
    }
    if list.is_empty() {
        return Ok(());
    }
    out.put("tools", &list.end());
    out.put_some("parallel_tool_calls", body.get("parallel_tool_calls"));
    let Some(choice) = choice else { return Ok(()) };
    let word = some.map_or(Some(choice), |some| some.get("mode")).and_then(|word| word.text());
    let named = choice.get("name").filter(|_| choice.get("type").is_some_and(|kind| kind.is("function")));
    let canonical = match (word.as_deref(), named) {
        (Some("auto" | "none" | "required"), _) => crate::wire::quote::json(&word.unwrap_or_default()),
        (None, Some(name)) => {
            let function = Object::new().raw("name", name.as_str()).end();
            Object::new().text("type", "function").raw("function", &function).end()
        }
        _ => {
            let expected = "auto, none, required, a function with its name, or allowed_tools";
            return Err(refuse("tool_choice", expected, Some(choice)));
        }
    };
    out.put("tool_choice", &canonical);
    Ok(())
}

/// The form of the answer's text.
fn text(body: Raw<'_>, out: &mut Object) -> Result<(), WireError> {
    out.put_some("verbosity", body.at("text.verbosity"));
    let Some(format) = body.at("text.format") else { return Ok(()) };
    let kind = format.text_at("type").unwrap_or_default();
    let canonical = match &*kind {
        "text" => return Ok(()),
        "json_object" => format.as_str().to_owned(),
        "json_schema" if format.get("schema").is_some_and(|schema| schema.is_object()) => {
            let mut schema = Object::new();
            for member in ["name", "description", "schema", "strict"] {
                schema.put_some(member, format.get(member));
            }
            Object::new().text("type", "json_schema").raw("json_schema", &schema.end()).end()
        }
        _ => {
            let expected = "of the type text, json_object, or json_schema with a schema";
            return Err(refuse("text.format", expected, Some(format)));
        }
    };
    out.put("response_format", &canonical);
    Ok(())
}

/// What an answer repeats of its request: an object of members, each there whether it was asked for or not.
pub fn echo(body: Raw<'_>) -> String {
    /// Members, and what they are if they were not said.
    const REPEATED: [(&str, &str); 17] = [
        ("instructions", "null"),
        ("max_output_tokens", "null"),
        ("max_tool_calls", "null"),
        ("metadata", "{}"),
        ("parallel_tool_calls", "true"),
        ("previous_response_id", "null"),
        ("prompt_cache_key", "null"),
        ("reasoning", "{\"effort\":null,\"summary\":null}"),
        ("safety_identifier", "null"),
        ("service_tier", "\"auto\""),
        ("temperature", "null"),
        ("tool_choice", "\"auto\""),
        ("tools", "[]"),
        ("top_logprobs", "0"),
        ("top_p", "null"),
        ("truncation", "\"disabled\""),
        ("user", "null"),
    ];
    let mut out = Object::new().raw("store", "false");
    for (name, usual) in REPEATED {
        out.put(name, body.get(name).map_or(usual, |value| value.as_str()));
    }
    let mut text = Object::new();
    text.put("format", body.at("text.format").map_or("{\"type\":\"text\"}", |format| format.as_str()));
    text.put("verbosity", body.at("text.verbosity").map_or("\"medium\"", |word| word.as_str()));
    out.raw("text", &text.end()).end()
}
