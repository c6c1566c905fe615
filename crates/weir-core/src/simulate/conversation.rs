//! A chat request as the simulated model understands it.
//!
//! Decides types of messages, tools and formats (`azure.md` A5 and B3), what the last message says, and how many
//! tokens the prompt has; not what is answered (`chat`). Tokens of a prompt: 3 for the answer's beginning, 4 for
//! each message and those of its texts and calls, 85 for each image or sound, and those of the tools' JSON.

use super::request::{BadRequest, Members, Shape};
use super::tokenize;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde_json::Value;

/// Most tools of a request (`azure.md` B3).
const TOOLS_MAX: usize = 128;
/// Tokens of a part that is not text.
const MEDIA_TOKENS: u64 = 85;

/// A chat request.
#[derive(Debug)]
pub(super) struct Conversation<'a> {
    /// Bounds and form of the answer.
    pub(super) shape: Shape,
    /// Text of the last message.
    pub(super) last: String,
    /// Whether the last message is a user's.
    pub(super) from_user: bool,
    /// How many messages there are.
    pub(super) messages: u64,
    /// Tokens of the whole prompt.
    pub(super) prompt_tokens: u64,
    /// Functions that may be called.
    pub(super) tools: Vec<Tool<'a>>,
    /// Which of them must be.
    pub(super) choice: ToolChoice,
    /// Whether more than one may be called.
    pub(super) parallel: bool,
    /// What the text must be.
    pub(super) format: Format<'a>,
}

/// A function that may be called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tool<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// Schema of its arguments, if it has one.
    pub(super) parameters: Option<&'a Value>,
}

/// Which functions are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ToolChoice {
    /// None.
    Never,
    /// Those that the user mentions, if any.
    Auto,
    /// Those that the user mentions, else the first.
    Required,
    /// The one with this place in the list.
    Named(usize),
}

/// What the text of an answer must be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Format<'a> {
    /// Any text.
    Text,
    /// Any JSON object.
    Object,
    /// An instance of the schema.
    Schema(&'a Value),
}

impl<'a> Conversation<'a> {
    /// Reads and checks a request.
    pub(super) fn parse(members: Members<'a>) -> Result<Self, BadRequest> {
        let shape = Shape::parse(members)?;
        let messages = members
            .array("messages")?
            .filter(|messages| !messages.is_empty())
            .ok_or_else(|| BadRequest::member("messages", "must be an array of at least one message"))?;
        let mut prompt_tokens = 3u64;
        let mut last = Message { text: String::new(), tokens: 0, from_user: false };
        for (index, message) in messages.iter().enumerate() {
            last = Message::parse(message, &format!("messages[{index}]"))?;
            prompt_tokens = prompt_tokens.saturating_add(last.tokens);
        }
        let tools = tools(members)?;
        if !tools.is_empty() {
            let text = members.get("tools").map(Value::to_string).unwrap_or_default();
            prompt_tokens = prompt_tokens.saturating_add(tokenize::count(&text));
        }
        Ok(Self {
            shape,
            last: last.text,
            from_user: last.from_user,
            messages: u64::try_from(messages.len()).unwrap_or(u64::MAX),
            prompt_tokens,
            choice: tool_choice(members, &tools)?,
            tools,
            parallel: members.boolean("parallel_tool_calls", true)?,
            format: response_format(members)?,
        })
    }
}

struct Message {
    text: String,
    tokens: u64,
    from_user: bool,
}

impl Message {
    fn parse(value: &Value, path: &str) -> Result<Self, BadRequest> {
        let at = |member: &str| format!("{path}.{member}");
        let object = value.as_object().ok_or_else(|| BadRequest::member(path, "must be an object"))?;
        let members = Members(object);
        let role = members.get("role").and_then(Value::as_str);
        let from_user = match role {
            Some("user") => true,
            Some("system" | "developer" | "assistant" | "tool" | "function") => false,
            Some(_) | None => {
                let problem = "must be 'system', 'developer', 'user', 'assistant', 'tool' or 'function'";
                return Err(BadRequest::member(&at("role"), problem));
            }
        };
        let mut message = Self { text: String::new(), tokens: 4, from_user };
        match members.get("content") {
            Some(Value::String(text)) => message.text.clone_from(text),
            Some(Value::Array(parts)) => {
                for (index, part) in parts.iter().enumerate() {
                    message.add_part(part, &at(&format!("content[{index}]")))?;
                }
            }
            None if matches!(role, Some("assistant" | "tool" | "function")) => {}
            Some(_) | None => {
                return Err(BadRequest::member(&at("content"), "must be a string or an array of parts"));
            }
        }
        message.add(tokenize::count(&message.text));
        for call in members.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
            let arguments = call.pointer("/function/arguments").and_then(Value::as_str).unwrap_or_default();
            message.add(tokenize::count(arguments).saturating_add(1));
        }
        Ok(message)
    }

    fn add_part(&mut self, part: &Value, path: &str) -> Result<(), BadRequest> {
        match part.get("type").and_then(Value::as_str) {
            Some("text") => {
                let text = part.get("text").and_then(Value::as_str);
                let text = text.ok_or_else(|| BadRequest::member(path, "must have a string 'text'"))?;
                if !self.text.is_empty() {
                    self.text.push('\n');
                }
                self.text.push_str(text);
            }
            Some(_) => self.add(MEDIA_TOKENS),
            None => return Err(BadRequest::member(path, "must be an object with a 'type'")),
        }
        Ok(())
    }

    fn add(&mut self, tokens: u64) {
        self.tokens = self.tokens.saturating_add(tokens);
    }
}

fn tools(members: Members<'_>) -> Result<Vec<Tool<'_>>, BadRequest> {
    let tools = members.array("tools")?.unwrap_or_default();
    if tools.len() > TOOLS_MAX {
        return Err(BadRequest::member("tools", "must have at most 128 tools"));
    }
    let mut parsed = Vec::with_capacity(tools.len());
    for (index, tool) in tools.iter().enumerate() {
        if tool.get("type").and_then(Value::as_str) != Some("function") {
            return Err(BadRequest::member(&format!("tools[{index}].type"), "must be 'function'"));
        }
        let wrong = |problem| BadRequest::member(&format!("tools[{index}].function"), problem);
        let name = tool.pointer("/function/name").and_then(Value::as_str).unwrap_or_default();
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(legal) {
            return Err(wrong("must have a name of 1 to 64 letters, digits, '_' and '-'"));
        }
        let parameters = tool.pointer("/function/parameters").filter(|value| !value.is_null());
        if parameters.is_some_and(|value| !value.is_object()) {
            return Err(wrong("must have an object as 'parameters'"));
        }
        parsed.push(Tool { name, parameters });
    }
    Ok(parsed)
}

fn tool_choice(members: Members<'_>, tools: &[Tool<'_>]) -> Result<ToolChoice, BadRequest> {
    const RULE: &str = "must be 'none', 'auto', 'required' or a function of 'tools'";
    let wrong = || BadRequest::member("tool_choice", RULE);
    let choice = match members.get("tool_choice") {
        None if tools.is_empty() => return Ok(ToolChoice::Never),
        None => return Ok(ToolChoice::Auto),
        Some(Value::String(word)) => match word.as_str() {
            "none" => return Ok(ToolChoice::Never),
            "auto" => ToolChoice::Auto,
            "required" => ToolChoice::Required,
            _ => return Err(wrong()),
        },
        Some(object) => {
            let name = object.pointer("/function/name").and_then(Value::as_str).ok_or_else(wrong)?;
            ToolChoice::Named(tools.iter().position(|tool| tool.name == name).ok_or_else(wrong)?)
        }
    };
    if tools.is_empty() {
        return Err(BadRequest::member("tool_choice", "is only allowed when 'tools' are given"));
    }
    Ok(choice)
}

fn response_format(members: Members<'_>) -> Result<Format<'_>, BadRequest> {
    let Some(format) = members.object("response_format")? else { return Ok(Format::Text) };
    match format.text("type")? {
        Some("text") => Ok(Format::Text),
        Some("json_object") => Ok(Format::Object),
        Some("json_schema") => {
            let wrong = || {
                BadRequest::member("response_format.json_schema", "must have a 'name' and an object 'schema'")
            };
            let schema = format.object("json_schema")?.ok_or_else(wrong)?;
            let named =
                schema.get("name").is_some_and(|name| name.as_str().is_some_and(|name| !name.is_empty()));
            let body = schema.get("schema").filter(|body| body.is_object());
            body.filter(|_| named).map(Format::Schema).ok_or_else(wrong)
        }
        Some(_) | None => {
            Err(BadRequest::member("response_format.type", "must be 'text', 'json_object' or 'json_schema'"))
        }
    }
}

impl Conversation<'_> {
    /// Places of the functions to call, in the order of the tools; empty: answer with text.
    pub(super) fn calls(&self) -> Vec<usize> {
        let mentioned = || {
            let text = words(&self.last);
            let names = self.tools.iter().map(|tool| words(tool.name)).enumerate();
            let found = names.filter(|(_, name)| text.contains(name.as_str())).map(|(place, _)| place);
            found.take(if self.parallel { 8 } else { 1 }).collect::<Vec<_>>()
        };
        match self.choice {
            ToolChoice::Named(place) => Vec::from([place]),
            ToolChoice::Auto if self.from_user => mentioned(),
            ToolChoice::Never | ToolChoice::Auto => Vec::new(),
            ToolChoice::Required => {
                let places = mentioned();
                if places.is_empty() { Vec::from([0]) } else { places }
            }
        }
    }
}

/// ` a b c ` of `A_b-c!`: lower-case words, so that `get_weather` is found in "please get weather".
fn words(text: &str) -> String {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.fold(" ".to_owned(), |mut sum, word| {
        sum.push_str(word);
        sum.push(' ');
        sum
    })
}
