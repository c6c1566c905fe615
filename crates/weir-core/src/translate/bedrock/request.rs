//! A canonical chat request as the body of Converse.
//!
//! Stage 6. Decides which members are Converse's own, and what becomes of those it has no word for: what the canonical
//! dialect does not know is the model's own and goes to `additionalModelRequestFields`. Turns and blocks are
//! [`super::content`]'s. Source: `providers.md` 8.2. `temperature` above 1 is 1, as at Anthropic.

use super::content::{self, Conversation};
use crate::translate::chat::{self, Format, Tool, ToolChoice};
use crate::translate::members::{self, Notes};
use crate::wire::WireError;
use crate::wire::object::{Array, Object};
use crate::wire::raw::Raw;
use alloc::string::String;

/// Stop sequences of one request.
const STOPS_MAX: usize = 2500;
/// The schema of a tool that takes nothing.
const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;

/// Members that are read beside those that every provider reads.
const OWN: [&str; 8] = [
    "service_tier",
    "additionalModelRequestFields",
    "additionalModelResponseFieldPaths",
    "guardrailConfig",
    "performanceConfig",
    "promptVariables",
    "requestMetadata",
    "serviceTier",
];

/// Members of Converse itself, for callers who know what is behind.
const NATIVE: [&str; 6] = [
    "additionalModelResponseFieldPaths",
    "guardrailConfig",
    "performanceConfig",
    "promptVariables",
    "requestMetadata",
    "serviceTier",
];

pub(super) fn chat(body: Raw<'_>, notes: &mut Notes) -> Result<String, WireError> {
    members::one_answer(body)?;
    let mut conversation = content::conversation(&chat::messages(body)?)?;
    let tools = chat::tools(body)?;
    let choice = chat::tool_choice(body)?;
    let format = chat::format_of(body)?;
    let output = output_config(body, format, &mut conversation, notes);
    let tools = tool_config(&tools, choice.as_ref(), &conversation, notes);
    let mut out = Object::new().raw("messages", &conversation.messages.end());
    if !conversation.system.is_empty() {
        out.put("system", &conversation.system.end());
    }
    put(&mut out, "inferenceConfig", inference(body, notes));
    put(&mut out, "outputConfig", output);
    if let Some(tools) = tools {
        out.put("toolConfig", &tools);
    }
    for name in NATIVE {
        out.put_some(name, body.get(name));
    }
    service_tier(body, &mut out, notes);
    let mut extra = Object::new();
    for (name, value) in body.get("additionalModelRequestFields").into_iter().flat_map(|own| own.members()) {
        extra.put(&name, value.as_str());
    }
    members::pass_chat(body, &OWN, &mut extra, notes);
    put(&mut out, "additionalModelRequestFields", extra);
    Ok(out.end())
}

fn put(out: &mut Object, name: &str, object: Object) {
    if !object.is_empty() {
        out.put(name, &object.end());
    }
}

fn inference(body: Raw<'_>, notes: &mut Notes) -> Object {
    let mut config = Object::new();
    config.put_some("maxTokens", body.get("max_completion_tokens").or_else(|| body.get("max_tokens")));
    match body.get("temperature") {
        Some(value) if value.number().is_some_and(|number| number > 1.0) => {
            notes.adjust("temperature");
            config.put("temperature", "1");
        }
        other => config.put_some("temperature", other),
    }
    config.put_some("topP", body.get("top_p"));
    if let Some(stops) = members::stops(body, STOPS_MAX, notes) {
        config.put("stopSequences", &stops);
    }
    config
}

/// The answer's form, and the effort of reasoning. A mode without an equivalent is asked for in words.
fn output_config(
    body: Raw<'_>,
    format: Format<'_>,
    conversation: &mut Conversation,
    notes: &mut Notes,
) -> Object {
    let mut config = Object::new();
    match format {
        Format::Text => {}
        Format::Json => {
            notes.adjust("response_format");
            conversation.system.put(&Object::new().text("text", chat::JSON_ONLY).end());
        }
        Format::Schema(schema) => config.put("textFormat", &text_format(schema)),
    }
    match body.text_at("reasoning_effort").as_deref() {
        None => {}
        Some("none") => notes.drop("reasoning_effort"),
        Some("minimal") => {
            notes.adjust("reasoning_effort");
            config = config.text("effort", "low");
        }
        Some(effort) => config = config.text("effort", effort),
    }
    config
}

/// A schema travels as text that holds JSON.
fn text_format(schema: Raw<'_>) -> String {
    let text = schema.get("schema").map_or("{}", |schema| schema.as_str());
    let mut inner = Object::new().text("schema", text);
    for name in ["name", "description"] {
        inner.put_some(name, schema.get(name));
    }
    let structure = Object::new().raw("jsonSchema", &inner.end()).end();
    Object::new().text("type", "json_schema").raw("structure", &structure).end()
}

fn service_tier(body: Raw<'_>, out: &mut Object, notes: &mut Notes) {
    let tier = body.get("service_tier").filter(|tier| !tier.is("auto"));
    match tier.and_then(|tier| tier.text()).as_deref() {
        None => {}
        Some("default" | "flex" | "priority") if body.get("serviceTier").is_none() => {
            let mut own = Object::new();
            own.put_some("type", tier);
            out.put("serviceTier", &own.end());
        }
        Some(_) => notes.drop("service_tier"),
    }
}

/// `toolConfig`; `None` if the model needs none. Turns that used tools need one even if none is offered now: then it
/// names those that were used.
fn tool_config(
    tools: &[Tool<'_>],
    choice: Option<&ToolChoice<'_>>,
    conversation: &Conversation,
    notes: &mut Notes,
) -> Option<String> {
    let never = choice == Some(&ToolChoice::Never);
    let mut list = Array::default();
    if !never || !conversation.used.is_empty() {
        for tool in tools {
            list.put(&tool_spec(tool));
            content::put_cache_point(&mut list, tool.raw);
        }
        if list.is_empty() {
            for name in &conversation.used {
                list.put(&spec(Object::new().raw("name", name), NO_PARAMETERS));
            }
        }
    }
    if list.is_empty() {
        return None;
    }
    let mut config = Object::new().raw("tools", &list.end());
    match choice {
        None => {}
        Some(ToolChoice::Never) => notes.adjust("tool_choice"),
        Some(ToolChoice::Auto) => config.put("toolChoice", r#"{"auto":{}}"#),
        Some(ToolChoice::Required) => config.put("toolChoice", r#"{"any":{}}"#),
        Some(ToolChoice::Named(name)) => {
            let tool = Object::new().raw("name", name.as_str()).end();
            config.put("toolChoice", &Object::new().raw("tool", &tool).end());
        }
    }
    Some(config.end())
}

/// Converse refuses an empty description.
fn tool_spec(tool: &Tool<'_>) -> String {
    let mut inner = Object::new().raw("name", tool.name.as_str());
    inner.put_some("description", tool.description.filter(|text| text.as_str() != "\"\""));
    inner.put_some("strict", tool.strict);
    spec(inner, tool.parameters.map_or(NO_PARAMETERS, |schema| schema.as_str()))
}

fn spec(inner: Object, schema: &str) -> String {
    let schema = Object::new().raw("json", schema).end();
    Object::new().raw("toolSpec", &inner.raw("inputSchema", &schema).end()).end()
}
