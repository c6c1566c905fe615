//! The parts of a canonical chat request, as providers of other dialects ask for them.
//!
//! Stage 6. Decides how messages, content, tools and choices are read (`providers.md`, 1.1); what they become is each
//! provider's. What is not readable is refused with the place where it stands, as the surface's clients know it.

use super::members::refuse;
use crate::wire::WireError;
use crate::wire::raw::Raw;
use alloc::borrow::{Cow, ToOwned};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// What asks for JSON where a provider has no mode for it.
pub const JSON_ONLY: &str =
    "Answer with one JSON object and nothing else: no words around it, no code fence.";

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `system` and `developer`.
    System,
    /// `user`.
    User,
    /// `assistant`.
    Assistant,
    /// `tool`: the result of a call.
    Tool,
}

/// One message.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub parts: Vec<Part<'a>>,
    /// What the assistant called.
    pub calls: Vec<Call<'a>>,
    /// The call whose result this is; empty if it is none.
    pub call_id: Cow<'a, str>,
    /// The whole message.
    pub raw: Raw<'a>,
}

/// One piece of content. Each has the part as it was written, if it was one, for members of the provider's own.
#[derive(Clone, Debug)]
pub struct Part<'a> {
    /// What it is.
    pub what: Content<'a>,
    /// The part; null for a plain text.
    pub raw: Raw<'a>,
}

/// What a piece of content is.
#[derive(Clone, Debug)]
pub enum Content<'a> {
    /// Text, a JSON string; never empty.
    Text(Raw<'a>),
    /// A picture.
    Image(Source<'a>),
    /// Any other file: its name, and what is in it.
    File(Option<Raw<'a>>, Source<'a>),
    /// Sound: its format's word, and base64.
    Audio(Cow<'a, str>, Raw<'a>),
}

/// Where data is.
#[derive(Clone, Debug)]
pub enum Source<'a> {
    /// At hand.
    Data {
        /// Media type, e.g. `image/png`.
        mime: String,
        /// Base64, without quotes.
        base64: String,
    },
    /// At an address.
    Url(Cow<'a, str>),
}

/// A call of a tool in the history.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// Its id, JSON.
    pub id: Raw<'a>,
    /// The function's name, JSON.
    pub name: Raw<'a>,
    /// The arguments: a JSON object.
    pub arguments: String,
    /// The call as it was written.
    pub raw: Raw<'a>,
}

/// A tool that may be called.
#[derive(Clone, Copy, Debug)]
pub struct Tool<'a> {
    /// The function's name, JSON.
    pub name: Raw<'a>,
    /// What it does, JSON.
    pub description: Option<Raw<'a>>,
    /// The schema of its arguments.
    pub parameters: Option<Raw<'a>>,
    /// `strict`.
    pub strict: Option<Raw<'a>>,
    /// The tool as it was written.
    pub raw: Raw<'a>,
}

/// Whether and which tool must be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice<'a> {
    /// As the model thinks.
    Auto,
    /// None.
    Never,
    /// At least one.
    Required,
    /// The one of this name, JSON.
    Named(Raw<'a>),
}

/// In which form the answer shall be.
#[derive(Clone, Copy, Debug)]
pub enum Format<'a> {
    /// As the model likes.
    Text,
    /// JSON of any kind.
    Json,
    /// JSON by this `json_schema` object: `name`, `schema`, `strict`.
    Schema(Raw<'a>),
}

/// The messages of a request.
///
/// # Errors
/// [`WireError::NotSupported`] for a role or a part of content that nobody could translate.
pub fn messages(body: Raw<'_>) -> Result<Vec<Message<'_>>, WireError> {
    let list = body.get("messages").ok_or(WireError::MissingMember { member: "messages" })?;
    list.items().enumerate().map(|(at, raw)| message(at, raw)).collect()
}

fn message(at: usize, raw: Raw<'_>) -> Result<Message<'_>, WireError> {
    let role = raw.text_at("role");
    let role = match role.as_deref() {
        Some("system" | "developer") => Role::System,
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("tool") => Role::Tool,
        Some(_) | None => {
            let expected = "one of system, developer, user, assistant, tool";
            return Err(refuse(&format!("messages.{at}.role"), expected, raw.get("role")));
        }
    };
    let mut parts = Vec::new();
    match raw.get("content") {
        Some(text) if text.is_text() => push_text(&mut parts, text, Raw::NULL),
        Some(list) if list.is_array() => {
            for (place, part) in list.items().enumerate() {
                read_part(&format!("messages.{at}.content.{place}"), part, &mut parts)?;
            }
        }
        Some(other) => {
            return Err(refuse(&format!("messages.{at}.content"), "a string or an array", Some(other)));
        }
        None => {}
    }
    let mut calls = Vec::new();
    for (place, call) in raw.get("tool_calls").into_iter().flat_map(|list| list.items()).enumerate() {
        calls.push(read_call(&format!("messages.{at}.tool_calls.{place}"), call)?);
    }
    let call_id = raw.text_at("tool_call_id").unwrap_or_default();
    Ok(Message { role, parts, calls, call_id, raw })
}

fn push_text<'a>(parts: &mut Vec<Part<'a>>, text: Raw<'a>, raw: Raw<'a>) {
    if text.as_str() != "\"\"" {
        parts.push(Part { what: Content::Text(text), raw });
    }
}

fn read_part<'a>(path: &str, part: Raw<'a>, parts: &mut Vec<Part<'a>>) -> Result<(), WireError> {
    let kind = part.text_at("type").unwrap_or_default();
    let what = match &*kind {
        "text" | "refusal" => {
            let Some(text) = part.get(&kind).filter(Raw::is_text) else {
                return Err(refuse(&format!("{path}.{kind}"), "a string", part.get(&kind)));
            };
            push_text(parts, text, part);
            return Ok(());
        }
        "image_url" => {
            let image = part.get("image_url");
            let url = image.and_then(|image| image.text().or_else(|| image.text_at("url")));
            url.and_then(source).map(Content::Image)
        }
        "file" => part
            .at("file.file_data")
            .and_then(|data| source(data.text()?))
            .map(|data| Content::File(part.at("file.filename"), data)),
        "input_audio" => part
            .at("input_audio.data")
            .zip(part.at("input_audio.format"))
            .and_then(|(data, format)| Some(Content::Audio(format.text()?, data))),
        _ => None,
    };
    let Some(what) = what else {
        return Err(refuse(path, "content that this model takes", Some(part)));
    };
    parts.push(Part { what, raw: part });
    Ok(())
}

/// Reads a `data:` address or any other; `None` if it is a broken one.
fn source(url: Cow<'_, str>) -> Option<Source<'_>> {
    let Some(rest) = url.strip_prefix("data:") else { return Some(Source::Url(url)) };
    let (head, base64) = rest.split_once(',')?;
    let mime = head.strip_suffix(";base64")?;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte);
    let good = base64.bytes().all(legal) && mime.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
    good.then(|| Source::Data { mime: mime.to_ascii_lowercase(), base64: base64.to_owned() })
}

fn read_call<'a>(path: &str, call: Raw<'a>) -> Result<Call<'a>, WireError> {
    let id = call.get("id").filter(Raw::is_text);
    let name = call.at("function.name").filter(Raw::is_text);
    let (Some(id), Some(name)) = (id, name) else {
        return Err(refuse(path, "a call with its id and the function's name", Some(call)));
    };
    let arguments = call.at("function.arguments");
    let text = arguments.and_then(|raw| if raw.is_object() { Some(raw.as_str().into()) } else { raw.text() });
    let text = text.unwrap_or_default();
    let arguments = if text.trim().is_empty() {
        "{}".to_owned()
    } else if Raw::parse(&text).is_some_and(|raw| raw.is_object()) {
        text.into_owned()
    } else {
        return Err(refuse(&format!("{path}.function.arguments"), "the text of a JSON object", arguments));
    };
    Ok(Call { id, name, arguments, raw: call })
}

/// The tools of a request.
///
/// # Errors
/// [`WireError::NotSupported`] for a tool that is no function, and for the functions of before there were tools.
pub fn tools(body: Raw<'_>) -> Result<Vec<Tool<'_>>, WireError> {
    if let Some(old) = body.get("functions").filter(|list| list.items().next().is_some()) {
        return Err(refuse("functions", "given as 'tools' with this model", Some(old)));
    }
    let list = body.get("tools").into_iter().flat_map(|list| list.items()).enumerate();
    list.map(|(at, raw)| {
        let named = |function: Raw<'_>| function.get("name").is_some_and(|name| name.is_text());
        let Some(function) = raw.get("function").filter(|function| named(*function)) else {
            return Err(refuse(&format!("tools.{at}"), "a function with a name", Some(raw)));
        };
        Ok(Tool {
            name: function.get("name").unwrap_or(Raw::NULL),
            description: function.get("description").filter(Raw::is_text),
            parameters: function.get("parameters").filter(Raw::is_object),
            strict: function.get("strict"),
            raw,
        })
    })
    .collect()
}

/// `tool_choice`; `None` if it is absent.
///
/// # Errors
/// [`WireError::NotSupported`] if it is none of its words and names no function.
pub fn tool_choice(body: Raw<'_>) -> Result<Option<ToolChoice<'_>>, WireError> {
    let Some(choice) = body.get("tool_choice") else { return Ok(None) };
    let word = choice.text();
    let read = match word.as_deref() {
        Some("auto") => Some(ToolChoice::Auto),
        Some("none") => Some(ToolChoice::Never),
        Some("required") => Some(ToolChoice::Required),
        Some(_) | None => choice.at("function.name").filter(Raw::is_text).map(ToolChoice::Named),
    };
    let expected = "auto, none, required or the name of a function";
    read.map(Some).ok_or_else(|| refuse("tool_choice", expected, Some(choice)))
}

/// `response_format`.
///
/// # Errors
/// [`WireError::NotSupported`] if its type is unknown, or there is no schema where there must be one.
pub fn format_of(body: Raw<'_>) -> Result<Format<'_>, WireError> {
    let Some(format) = body.get("response_format") else { return Ok(Format::Text) };
    let kind = format.text_at("type");
    match kind.as_deref() {
        Some("text") => Ok(Format::Text),
        Some("json_object") => Ok(Format::Json),
        Some("json_schema") if format.at("json_schema.schema").is_some_and(|schema| schema.is_object()) => {
            Ok(format.get("json_schema").map_or(Format::Json, Format::Schema))
        }
        Some(_) | None => {
            let expected = "of the type text, json_object, or json_schema with a schema";
            Err(refuse("response_format", expected, Some(format)))
        }
    }
}

/// The most tokens that the answer may have; `None` if the caller does not say.
pub fn max_tokens(body: Raw<'_>) -> Option<u64> {
    let raw = body.get("max_completion_tokens").or_else(|| body.get("max_tokens"))?;
    raw.count(u64::MAX)
}

/// All text of messages of [`Role::System`], in their order, one blank line between two; `None` without any.
pub fn system(messages: &[Message<'_>]) -> Option<String> {
    let mut text = crate::wire::object::Text::default();
    let spoken = messages.iter().filter(|message| message.role == Role::System);
    for part in spoken.flat_map(|message| &message.parts) {
        if let Content::Text(piece) = &part.what {
            if !text.is_empty() {
                text.push("\n\n");
            }
            text.join(*piece);
        }
    }
    (!text.is_empty()).then(|| text.end())
}
