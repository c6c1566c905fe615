//! What a simulated model says.
//!
//! Decides texts and tool calls, and where `stop` and the bounds of tokens end them; not how they are written
//! (`render`). The same configuration, model and request give the same words.

use super::config::SimulatorConfig;
use super::conversation::{Conversation, Format};
use super::request::Shape;
use super::schema;
use super::tokenize;
use alloc::borrow::{Cow, ToOwned};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde_json::{Map, Value};

/// What is said when nothing is directed.
const REPLY: &str = "This is {model}, a simulator and no language model. \
     It read {tokens} tokens in {messages} messages. The last one says: {last}";
/// Put before it when there are several choices.
const CHOICE: &str = "Choice {choice} of {choices}. ";
/// Most characters of the last message that a reply repeats.
const LAST_CHARS_MAX: usize = 2_000;
/// Where a text that placeholders make long stops growing: far more than an answer's tokens.
const TEXT_BYTES_MAX: usize = 1 << 18;
/// Longest name of a placeholder, with its brace.
const PLACEHOLDER_BYTES_MAX: usize = 10;
/// Most characters of it that a string in JSON repeats.
const SAMPLE_CHARS_MAX: usize = 120;

/// One choice of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// Text sent before the answer that is no part of it (`echo` of completions).
    pub(super) echo: String,
    /// The answer.
    pub(super) body: Body,
    /// Output tokens.
    pub(super) tokens: u64,
    /// Why it ended.
    pub(super) finish_reason: &'static str,
}

/// What a choice consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// A text.
    Text(String),
    /// Tool calls, at least one. Only their arguments count as tokens.
    Calls(Vec<Call>),
}

/// A tool call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// Unique in the answer.
    pub(super) id: String,
    /// The function.
    pub(super) name: String,
    /// JSON text, cut off if tokens ran out.
    pub(super) arguments: String,
}

/// What a reply may speak of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Topic<'a> {
    /// The model.
    pub(super) model: &'a str,
    /// The last message or the prompt.
    pub(super) last: &'a str,
    /// How many messages or prompts.
    pub(super) messages: u64,
    /// Tokens of the request.
    pub(super) tokens: u64,
    /// How many choices are asked for.
    pub(super) choices: u32,
}

/// All choices of a chat answer; `key` makes the ids of calls.
pub(super) fn chat(config: &SimulatorConfig, model: &str, ask: &Conversation<'_>, key: u64) -> Vec<Choice> {
    let topic = Topic {
        model,
        last: &ask.last,
        messages: ask.messages,
        tokens: ask.prompt_tokens,
        choices: ask.shape.n,
    };
    let max = ask.shape.tokens_max(ask.shape.n.into());
    let sample = beginning(&ask.last, SAMPLE_CHARS_MAX);
    let calls: Vec<(&str, String)> = ask
        .calls()
        .iter()
        .filter_map(|place| ask.tools.get(*place))
        .map(|tool| {
            let arguments = tool.parameters.map(|schema| schema::instance(schema, sample));
            let arguments = arguments.filter(Value::is_object).unwrap_or_else(|| Value::Object(Map::new()));
            (tool.name, arguments.to_string())
        })
        .collect();
    let form = match ask.format {
        Format::Schema(schema) => Some(schema::instance(schema, sample).to_string()),
        Format::Text | Format::Object => None,
    };
    (0..ask.shape.n)
        .map(|index| {
            if !calls.is_empty() {
                return calling(&calls, max, key, index);
            }
            let text = match (&form, ask.format) {
                (Some(instance), _) => instance.clone(),
                (None, Format::Object) => object(config, &topic, index),
                (None, Format::Text | Format::Schema(_)) => reply(config, &topic, index),
            };
            end(text, &ask.shape, max)
        })
        .collect()
}

/// The text of choice `index`, with its placeholders filled, of the directed length.
pub(super) fn reply(config: &SimulatorConfig, topic: &Topic<'_>, index: u32) -> String {
    let template = match &config.reply {
        Some(template) => Cow::Borrowed(template.as_str()),
        None if topic.choices > 1 => Cow::Owned([CHOICE, REPLY].concat()),
        None => Cow::Borrowed(REPLY),
    };
    let mut text = filled(&template, topic, index);
    if text.is_empty() {
        text.push_str("Nothing.");
    }
    let Some(wanted) = config.reply_tokens else { return text };
    text.push(' ');
    let times = u64::from(wanted).checked_div(tokenize::count(&text)).unwrap_or(0).saturating_add(1);
    let repeated = text.repeat(usize::try_from(times).unwrap_or(1));
    tokenize::first(&repeated, wanted.into()).0.to_owned()
}

/// A JSON object: the directed reply if it is one, else an object that holds the reply.
fn object(config: &SimulatorConfig, topic: &Topic<'_>, index: u32) -> String {
    let plain = SimulatorConfig { reply: config.reply.clone(), ..SimulatorConfig::default() };
    let text = reply(&plain, topic, index);
    match crate::json::read::<Map<String, Value>>(&text) {
        Ok(_) => text,
        Err(_) => Value::Object(Map::from_iter([("reply".to_owned(), Value::String(text))])).to_string(),
    }
}

/// `text` as a choice: cut before the first stop text, then to `max` tokens.
pub(super) fn end(mut text: String, shape: &Shape, max: u64) -> Choice {
    if let Some(at) = shape.stops.iter().filter_map(|stop| text.find(stop.as_str())).min() {
        text.truncate(at);
    }
    let (head, tokens, more) = tokenize::first(&text, max);
    let bytes = head.len();
    text.truncate(bytes);
    let finish_reason = if more { "length" } else { "stop" };
    Choice { echo: String::new(), body: Body::Text(text), tokens, finish_reason }
}

fn calling(calls: &[(&str, String)], max: u64, key: u64, index: u32) -> Choice {
    let (mut made, mut tokens, mut finish_reason) = (Vec::new(), 0u64, "tool_calls");
    for (number, (name, arguments)) in (0u32..).zip(calls) {
        let left = max.saturating_sub(tokens);
        if left == 0 {
            finish_reason = "length";
            break;
        }
        let (head, taken, more) = tokenize::first(arguments, left);
        tokens = tokens.saturating_add(taken);
        let id = format!("call_{key:016x}{index:02x}{number:02x}");
        made.push(Call { id, name: (*name).to_owned(), arguments: head.to_owned() });
        if more {
            finish_reason = "length";
            break;
        }
    }
    Choice { echo: String::new(), body: Body::Calls(made), tokens, finish_reason }
}

/// `template` with `{model}`, `{last}`, `{messages}`, `{tokens}`, `{choice}` and `{choices}` replaced; other
/// braces stay as they are.
fn filled(template: &str, topic: &Topic<'_>, index: u32) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        if let Some((value, tail)) = placeholder(after, topic, index) {
            text.push_str(&value);
            rest = tail;
        } else {
            text.push('{');
            rest = after;
        }
        if text.len() > TEXT_BYTES_MAX {
            return text;
        }
    }
    text.push_str(rest);
    text
}

/// The value of the placeholder whose name stands at the beginning of `text`, and what follows it.
fn placeholder<'a>(text: &'a str, topic: &Topic<'a>, index: u32) -> Option<(Cow<'a, str>, &'a str)> {
    let end = text.bytes().take(PLACEHOLDER_BYTES_MAX).position(|byte| byte == b'}')?;
    let value = match text.get(..end)? {
        "model" => Cow::Borrowed(topic.model),
        "last" => Cow::Borrowed(beginning(topic.last, LAST_CHARS_MAX)),
        "messages" => Cow::Owned(topic.messages.to_string()),
        "tokens" => Cow::Owned(topic.tokens.to_string()),
        "choice" => Cow::Owned(index.saturating_add(1).to_string()),
        "choices" => Cow::Owned(topic.choices.to_string()),
        _ => return None,
    };
    Some((value, text.get(end.saturating_add(1)..)?))
}

/// The first `max` characters of `text`.
fn beginning(text: &str, max: usize) -> &str {
    text.char_indices().nth(max).and_then(|(at, _)| text.get(..at)).unwrap_or(text)
}
