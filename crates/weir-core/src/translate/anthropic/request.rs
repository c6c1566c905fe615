//! A canonical chat request as Anthropic Messages.
//!
//! Stage 6. Source: `providers.md`, 4.2. Decided here: `temperature` above 1 is 1 (values up to 1 keep their meaning);
//! where both are given `temperature` stands and `top_p` falls; `max_tokens` is 8192 where the caller sets none;
//! `reasoning_effort` is a budget of thinking tokens, and thinking is not begun in the middle of a tool's loop without
//! the blocks of the turns before.

use super::{Anthropic, VERTEX_VERSION};
use crate::translate::chat::{self, Content, Format, Message, Role, Source, ToolChoice};
use crate::translate::gemini::publishers;
use crate::translate::members::{self, refuse};
use crate::translate::{Ask, Notes, Translated, path_segment};
use crate::wire::WireError;
use crate::wire::object::{Array, Object, Text};
use crate::wire::raw::Raw;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Answers of callers that set no maximum.
const MAX_TOKENS: u64 = 8192;
/// Room for the answer beside its thinking.
const BESIDE_THINKING: u64 = 1024;
/// Stop sequences of one request.
const STOPS_MAX: usize = 8191;

/// Members that are read beside those that every provider reads.
const OWN: [&str; 2] = ["parallel_tool_calls", "user"];

/// Members of content parts that are said in the block's own words.
const PART_MEMBERS: [&str; 6] = ["type", "text", "refusal", "image_url", "file", "input_audio"];

pub(super) fn translate(
    place: &Anthropic,
    ask: &Ask<'_>,
    notes: &mut Notes,
) -> Result<Translated, WireError> {
    let body = ask.body;
    members::one_answer(body)?;
    let messages = chat::messages(body)?;
    let tools = chat::tools(body)?;
    let choice = chat::tool_choice(body)?;
    let format = chat::format_of(body)?;
    let thinking = thinking(body, &messages, notes);
    let mut out = match place {
        Anthropic::Own => Object::new().text("model", ask.model),
        Anthropic::Vertex => Object::new().text("anthropic_version", VERTEX_VERSION),
    };
    let asked = chat::max_tokens(body).unwrap_or(MAX_TOKENS);
    let max_tokens = thinking.map_or(asked, |budget| asked.max(budget.saturating_add(BESIDE_THINKING)));
    if max_tokens != asked {
        notes.adjust("max_tokens");
    }
    out = out.number("max_tokens", max_tokens).raw("messages", &turns(&messages)?);
    if let Some(system) = system(&messages, format, notes) {
        out.put("system", &system);
    }
    if ask.stream {
        out.put("stream", "true");
    }
    if let Some(budget) = thinking {
        let object = Object::new().text("type", "enabled").number("budget_tokens", budget);
        out.put("thinking", &object.end());
    }
    sampling(body, thinking.is_some(), &mut out, notes);
    if let Some(stops) = members::stops(body, STOPS_MAX, notes) {
        out.put("stop_sequences", &stops);
    }
    if !tools.is_empty() {
        out.put("tools", &declared(&tools));
        if let Some(choice) = chosen(body, choice.as_ref(), thinking.is_some(), notes) {
            out.put("tool_choice", &choice);
        }
    }
    if let Format::Schema(schema) = format {
        let schema = schema.get("schema").map(closed).unwrap_or_default();
        let format = Object::new().text("type", "json_schema").raw("schema", &schema).end();
        out.put("output_config", &Object::new().raw("format", &format).end());
    }
    if let Some(user) = body.get("user").filter(Raw::is_text) {
        out.put("metadata", &Object::new().raw("user_id", user.as_str()).end());
    }
    members::pass_chat(body, &OWN, &mut out, notes);
    Ok(Translated { path: path(place, ask), body: out.end() })
}

pub(super) fn path(place: &Anthropic, ask: &Ask<'_>) -> String {
    match place {
        Anthropic::Own => "/v1/messages".to_owned(),
        Anthropic::Vertex => {
            let method = if ask.stream { "streamRawPredict" } else { "rawPredict" };
            let (publishers, model) = (publishers(ask), path_segment(ask.model));
            format!("{publishers}/anthropic/models/{model}:{method}")
        }
    }
}

/// The tokens to think with, if the caller asks for reasoning.
fn thinking(body: Raw<'_>, messages: &[Message<'_>], notes: &mut Notes) -> Option<u64> {
    let effort = body.text_at("reasoning_effort")?;
    let budget = match &*effort {
        "none" => return None,
        "minimal" | "low" => 1024,
        "medium" => 4096,
        "high" => 16_384,
        _ => 32_768,
    };
    let bare =
        |message: &Message<'_>| !message.calls.is_empty() && message.raw.get("thinking_blocks").is_none();
    let last = messages.iter().rev().find(|message| message.role != Role::Tool);
    if last.is_some_and(bare) {
        notes.drop("reasoning_effort");
        return None;
    }
    Some(budget)
}

fn sampling(body: Raw<'_>, thinks: bool, out: &mut Object, notes: &mut Notes) {
    let (temperature, top_p) = (body.get("temperature"), body.get("top_p"));
    if thinks {
        // With thinking only the default of each is taken.
        for (name, value) in [("temperature", temperature), ("top_p", top_p)] {
            if value.is_some_and(|value| value.number() != Some(1.0)) {
                notes.drop(name);
            }
        }
        return;
    }
    match temperature {
        Some(value) if value.number().is_some_and(|number| number > 1.0) => {
            notes.adjust("temperature");
            out.put("temperature", "1");
        }
        other => out.put_some("temperature", other),
    }
    match (temperature, top_p) {
        (None, value) => out.put_some("top_p", value),
        (Some(_), Some(value)) if value.number() != Some(1.0) => notes.drop("top_p"),
        (Some(_), _) => {}
    }
}

/// The system text. A mode without an equivalent is asked for in words.
fn system(messages: &[Message<'_>], format: Format<'_>, notes: &mut Notes) -> Option<String> {
    let spoken = chat::system(messages);
    if !matches!(format, Format::Json) {
        return spoken;
    }
    notes.adjust("response_format");
    let mut text = Text::default();
    if let Some(spoken) = &spoken {
        text.join(Raw::trusted(spoken));
        text.push("\n\n");
    }
    text.push(chat::JSON_ONLY);
    Some(text.end())
}

/// All messages but the system's, those of one speaker in a row as one.
fn turns(messages: &[Message<'_>]) -> Result<String, WireError> {
    let mut turns: Vec<(&str, Array)> = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        let role = match message.role {
            Role::System => continue,
            Role::User | Role::Tool => "user",
            Role::Assistant => "assistant",
        };
        if turns.last().is_none_or(|(last, _)| *last != role) {
            turns.push((role, Array::default()));
        }
        let Some((_, blocks)) = turns.last_mut() else { continue };
        blocks_of(at, message, blocks)?;
    }
    let mut out = Array::default();
    for (role, blocks) in turns.into_iter().filter(|(_, blocks)| !blocks.is_empty()) {
        out.put(&Object::new().text("role", role).raw("content", &blocks.end()).end());
    }
    Ok(out.end())
}

/// The blocks of one message, added to those of its turn.
fn blocks_of(at: usize, message: &Message<'_>, out: &mut Array) -> Result<(), WireError> {
    if message.role == Role::Tool {
        let mut inner = Array::default();
        content(at, message, &mut inner)?;
        let mut result = Object::new().text("type", "tool_result").text("tool_use_id", &message.call_id);
        if !inner.is_empty() {
            result.put("content", &inner.end());
        }
        out.put(&result.end());
        return Ok(());
    }
    for block in message.raw.get("thinking_blocks").into_iter().flat_map(|list| list.items()) {
        out.put(block.as_str());
    }
    content(at, message, out)?;
    for call in &message.calls {
        let block = Object::new().text("type", "tool_use").raw("id", call.id.as_str());
        out.put(&block.raw("name", call.name.as_str()).raw("input", &call.arguments).end());
    }
    Ok(())
}

fn content(at: usize, message: &Message<'_>, out: &mut Array) -> Result<(), WireError> {
    for (place, part) in message.parts.iter().enumerate() {
        let mut block = match &part.what {
            Content::Text(text) => Object::new().text("type", "text").raw("text", text.as_str()),
            Content::Image(source) => Object::new().text("type", "image").raw("source", &placed(source)),
            Content::File(name, source) => {
                let mut block = Object::new().text("type", "document").raw("source", &placed(source));
                block.put_some("title", *name);
                block
            }
            Content::Audio(..) => {
                let path = format!("messages.{at}.content.{place}");
                return Err(refuse(&path, "text, an image or a document with this model", Some(part.raw)));
            }
        };
        for (name, value) in part.raw.members() {
            if !PART_MEMBERS.contains(&&*name) {
                block.put(&name, value.as_str());
            }
        }
        out.put(&block.end());
    }
    Ok(())
}

fn placed(source: &Source<'_>) -> String {
    match source {
        Source::Data { mime, base64 } => {
            Object::new().text("type", "base64").text("media_type", mime).text("data", base64).end()
        }
        Source::Url(url) => Object::new().text("type", "url").text("url", url).end(),
    }
}

fn declared(tools: &[chat::Tool<'_>]) -> String {
    const NOTHING: &str = "{\"type\":\"object\",\"properties\":{}}";
    let mut out = Array::default();
    for tool in tools {
        let mut object = Object::new().raw("name", tool.name.as_str());
        object.put_some("description", tool.description);
        object.put("input_schema", tool.parameters.map_or(NOTHING, |schema| schema.as_str()));
        object.put_some("strict", tool.strict);
        for (name, value) in tool.raw.members() {
            if !matches!(&*name, "type" | "function") {
                object.put(&name, value.as_str());
            }
        }
        out.put(&object.end());
    }
    out.end()
}

/// `tool_choice`, which also says whether tools may be called side by side. With thinking nothing can be forced.
fn chosen(body: Raw<'_>, choice: Option<&ToolChoice<'_>>, thinks: bool, notes: &mut Notes) -> Option<String> {
    let alone = body.get("parallel_tool_calls").is_some_and(|value| value.as_str() == "false");
    let forces = matches!(choice, Some(ToolChoice::Required | ToolChoice::Named(_)));
    if forces && thinks {
        notes.adjust("tool_choice");
    }
    let mut object = match choice {
        None if !alone => return None,
        Some(ToolChoice::Never) => return Some("{\"type\":\"none\"}".to_string()),
        Some(ToolChoice::Required) if !thinks => Object::new().text("type", "any"),
        Some(ToolChoice::Named(name)) if !thinks => {
            Object::new().text("type", "tool").raw("name", name.as_str())
        }
        None | Some(_) => Object::new().text("type", "auto"),
    };
    if alone {
        object.put("disable_parallel_tool_use", "true");
    }
    Some(object.end())
}

/// A schema whose objects all say that they have no other members, as the provider asks for.
fn closed(schema: Raw<'_>) -> String {
    if schema.is_array() {
        let mut out = Array::default();
        schema.items().for_each(|item| out.put(&closed(item)));
        return out.end();
    }
    if !schema.is_object() {
        return schema.as_str().to_owned();
    }
    let mut out = Object::new();
    for (name, value) in schema.members() {
        out.put(&name, &closed(value));
    }
    if schema.get("type").is_some_and(|kind| kind.is("object"))
        && schema.get("additionalProperties").is_none()
    {
        out.put("additionalProperties", "false");
    }
    out.end()
}
