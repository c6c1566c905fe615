//! The choices of a simulated model as an answer or a stream of the OpenAI dialect.
//!
//! Decides which events a stream has, in which order (`providers.md` 1.7): the role first, calls with dense
//! indexes, one finish reason a choice, usage if it is asked for, the terminal event. Several choices take turns.
//! Joined, the parts of a stream are the plain answer.

use super::compose::{Body, Call, Choice};
use super::config::{SimulatorConfig, UsageReport};
use super::request::Shape;
use super::script::{Event, Script, plain, stream};
use super::shape::{
    Answer, ChatChoice, ChatDelta, Delta, Head, Message, Nullable, TextChoice, WireCall, WireFunction,
    WireUsage, json,
};
use super::tokenize;
use crate::wire::sse;
use alloc::vec;
use alloc::vec::Vec;

/// What all parts of one answer share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    /// The directives.
    pub(super) config: &'a SimulatorConfig,
    /// Members at the beginning of the answer; `object` is that of the plain answer.
    pub(super) head: Head<'a>,
    /// Whether it is chat; else text completions.
    pub(super) chat: bool,
    /// Tokens of the request.
    pub(super) prompt_tokens: u64,
    /// The exchange's random word.
    pub(super) random: u64,
}

impl<'a> Frame<'a> {
    /// What every event of a stream begins with; text completions have one shape for both.
    fn event_head(&self) -> Head<'a> {
        let object = if self.chat { "chat.completion.chunk" } else { self.head.object };
        Head { object, ..self.head }
    }
}

/// A part of a choice in a stream.
#[derive(Clone, Copy, Debug)]
enum Part<'a> {
    Role { calls: bool },
    Text(&'a str, u64),
    CallHead(u32, &'a Call),
    CallPiece(u32, &'a str, u64),
    Finish(&'static str),
}

/// `choices` as the script of an answer.
pub(super) fn answer(frame: &Frame<'_>, shape: &Shape, choices: &[Choice]) -> Script {
    if shape.stream {
        return stream(frame.config, events(frame, shape, choices), frame.random);
    }
    let total = choices.iter().map(|choice| choice.tokens).fold(0u64, u64::saturating_add);
    let usage = WireUsage::of(frame.prompt_tokens, total);
    let usage = (frame.config.usage != UsageReport::Omit).then_some(Nullable::Value(usage));
    let body = if frame.chat {
        json(&Answer { head: frame.head, choices: chat_choices(choices), usage })
    } else {
        let texts: Vec<_> =
            choices.iter().map(|choice| [choice.echo.as_str(), text(choice)].concat()).collect();
        let choices = (0u64..).zip(choices).zip(&texts).map(|((index, choice), text)| TextChoice {
            text,
            index,
            logprobs: None,
            finish_reason: Some(choice.finish_reason),
        });
        json(&Answer { head: frame.head, choices: choices.collect(), usage })
    };
    let longest = choices.iter().map(|choice| choice.tokens).max().unwrap_or(0);
    let steps = longest.div_ceil(u64::from(frame.config.chunk_tokens()).max(1)).saturating_sub(1);
    plain(frame.config, body, steps, frame.random)
}

fn text(choice: &Choice) -> &str {
    match &choice.body {
        Body::Text(text) => text,
        Body::Calls(_) => "",
    }
}

fn chat_choices(choices: &[Choice]) -> Vec<ChatChoice<'_>> {
    (0u64..)
        .zip(choices)
        .map(|(index, choice)| ChatChoice {
            index,
            message: message(&choice.body),
            logprobs: None,
            finish_reason: choice.finish_reason,
        })
        .collect()
}

fn message(body: &Body) -> Message<'_> {
    let (content, tool_calls) = match body {
        Body::Text(text) => (Some(text.as_str()), Vec::new()),
        Body::Calls(calls) => {
            (None, calls.iter().map(|call| wire_call(None, call, &call.arguments)).collect())
        }
    };
    Message { role: "assistant", content, refusal: None, tool_calls }
}

fn wire_call<'a>(index: Option<u32>, call: &'a Call, arguments: &'a str) -> WireCall<'a> {
    let function = WireFunction { name: Some(&call.name), arguments };
    WireCall { index, id: Some(&call.id), kind: Some("function"), function }
}

/// All events of a stream.
fn events(frame: &Frame<'_>, shape: &Shape, choices: &[Choice]) -> Vec<Event> {
    let lists: Vec<Vec<Part<'_>>> = choices.iter().map(|choice| parts(frame, choice)).collect();
    let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
    let mut events = Vec::new();
    let mut told = 0u64;
    let mut awaited = false;
    for step in 0..longest {
        let mut first_of_step = true;
        for (index, part) in (0u64..).zip(&lists).filter_map(|(index, list)| Some((index, list.get(step)?))) {
            let tokens = match part {
                Part::Text(_, tokens) | Part::CallPiece(_, _, tokens) => *tokens,
                Part::Role { .. } | Part::CallHead(..) | Part::Finish(_) => 0,
            };
            told = told.saturating_add(tokens);
            // The first tokens come with the head; later ones take time, those of one step together.
            let timed = tokens > 0 && first_of_step && awaited;
            first_of_step &= tokens == 0;
            let usage = match frame.config.usage {
                UsageReport::EveryEvent => Some(Nullable::Value(WireUsage::of(frame.prompt_tokens, told))),
                UsageReport::Report if shape.include_usage => Some(Nullable::Null),
                UsageReport::Report | UsageReport::Omit => None,
            };
            let ending = matches!(part, Part::Finish(_));
            events.push(Event { bytes: event(frame, index, *part, usage), timed, ending });
        }
        awaited |= !first_of_step;
    }
    if shape.include_usage && frame.config.usage != UsageReport::Omit {
        let usage = Some(Nullable::Value(WireUsage::of(frame.prompt_tokens, told)));
        let last = Answer { head: frame.event_head(), choices: Vec::<()>::new(), usage };
        events.push(Event { bytes: framed(&json(&last)), timed: false, ending: true });
    }
    events.push(Event { bytes: sse::DONE.to_vec(), timed: false, ending: true });
    events
}

fn parts<'a>(frame: &Frame<'_>, choice: &'a Choice) -> Vec<Part<'a>> {
    let size = frame.config.chunk_tokens();
    let mut parts = Vec::new();
    if frame.chat {
        parts.push(Part::Role { calls: matches!(choice.body, Body::Calls(_)) });
    }
    if !choice.echo.is_empty() {
        parts.push(Part::Text(&choice.echo, 0));
    }
    match &choice.body {
        Body::Text(text) => {
            parts.extend(tokenize::pieces(text, size).map(|(piece, tokens)| Part::Text(piece, tokens)));
        }
        Body::Calls(calls) => {
            for (number, call) in (0u32..).zip(calls) {
                parts.push(Part::CallHead(number, call));
                let pieces = tokenize::pieces(&call.arguments, size);
                parts.extend(pieces.map(|(piece, tokens)| Part::CallPiece(number, piece, tokens)));
            }
        }
    }
    parts.push(Part::Finish(choice.finish_reason));
    parts
}

fn event(frame: &Frame<'_>, index: u64, part: Part<'_>, usage: Option<Nullable<WireUsage>>) -> Vec<u8> {
    let finish_reason = match part {
        Part::Finish(reason) => Some(reason),
        Part::Role { .. } | Part::Text(..) | Part::CallHead(..) | Part::CallPiece(..) => None,
    };
    let head = frame.event_head();
    if frame.chat {
        let choice = ChatDelta { index, delta: delta(part), logprobs: None, finish_reason };
        return framed(&json(&Answer { head, choices: vec![choice], usage }));
    }
    let text = match part {
        Part::Text(text, _) => text,
        Part::Role { .. } | Part::CallHead(..) | Part::CallPiece(..) | Part::Finish(_) => "",
    };
    let choice = TextChoice { text, index, logprobs: None, finish_reason };
    framed(&json(&Answer { head, choices: vec![choice], usage }))
}

fn delta(part: Part<'_>) -> Delta<'_> {
    match part {
        Part::Role { calls } => {
            let content = if calls { Nullable::Null } else { Nullable::Value("") };
            Delta { role: Some("assistant"), content: Some(content), ..Delta::default() }
        }
        Part::Text(text, _) => Delta { content: Some(Nullable::Value(text)), ..Delta::default() },
        Part::CallHead(number, call) => {
            Delta { tool_calls: vec![wire_call(Some(number), call, "")], ..Delta::default() }
        }
        Part::CallPiece(number, arguments, _) => {
            let function = WireFunction { name: None, arguments };
            let call = WireCall { index: Some(number), id: None, kind: None, function };
            Delta { tool_calls: vec![call], ..Delta::default() }
        }
        Part::Finish(_) => Delta::default(),
    }
}

fn framed(json: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    sse::encode_data(&mut bytes, json);
    bytes
}
