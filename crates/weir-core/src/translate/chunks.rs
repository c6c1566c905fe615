//! Canonical chunks, written as a provider's stream is read.
//!
//! Stage 6. Decides all that holds for canonical streams whatever the provider (`providers.md`, 1.7): the role first,
//! one id, time and model, a dense index of tool calls, one `finish_reason` a choice, usage after it, `[DONE]` last.
//! What asked for the usage event and what did not is the relay's business: it is always written here.

use super::stop::Finish;
use super::usage::Counts;
use crate::snapshot::Task;
use crate::wire::object::Object;
use crate::wire::quote;
use crate::wire::raw::Raw;
use crate::wire::sse::{self, DONE};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Choices of one stream that are told apart; the bound of `n`.
const CHOICES_MAX: u32 = 128;
/// Tool calls of one choice.
const CALLS_MAX: usize = 1_024;

/// What an answer has that no provider's answer tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// An id, where the provider gives none.
    pub id: String,
    /// Seconds since 1970.
    pub created: u64,
    /// The model, where the provider does not name it.
    pub model: String,
    /// Whether vectors are asked for in base64.
    pub base64: bool,
    /// What the input is taken for where the provider of an embedding does not count it, in tokens.
    pub input_tokens: u64,
}

/// A canonical stream being written.
#[derive(Debug)]
pub struct Chunks {
    completes: bool,
    form: Form,
    /// The beginning of every chunk, fixed by the first.
    head: String,
    choices: Vec<Told>,
    counts: Option<String>,
    out: Vec<u8>,
    closed: bool,
    /// The status that the stream's own word for its failure stands for.
    failure: Option<u16>,
}

/// What was told of a choice.
#[derive(Debug)]
struct Told {
    index: u32,
    /// The provider's key of each call, in the order of their canonical index; and whether arguments came.
    calls: Vec<(u32, bool)>,
    finish: Option<Finish>,
}

impl Chunks {
    /// Nothing written yet, for a call of `task`.
    pub fn new(task: Task, form: Form) -> Self {
        let completes = task == Task::Completions;
        let (head, choices) = (String::new(), Vec::new());
        Self { completes, form, head, choices, counts: None, out: Vec::new(), closed: false, failure: None }
    }

    /// Whether the terminal event was written: the stream says nothing more.
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether there was a choice, and every choice's end was told.
    pub fn is_finished(&self) -> bool {
        !self.choices.is_empty() && self.choices.iter().all(|choice| choice.finish.is_some())
    }

    /// The stream told of its failure by a word that no event of the canonical dialect has, and that stands for a status.
    pub const fn failed(&mut self, status: Option<u16>) {
        self.failure = status;
    }

    /// The status of that failure.
    pub const fn failure(&self) -> Option<u16> {
        self.failure
    }

    /// What was written since the last call.
    pub fn take(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.out)
    }

    /// The stream begins; later calls change nothing. `id` and `model` are JSON strings.
    pub fn begin(&mut self, id: Option<Raw<'_>>, model: Option<Raw<'_>>) {
        if !self.head.is_empty() {
            return;
        }
        let object = if self.completes { "text_completion" } else { "chat.completion.chunk" };
        let word = |raw: Option<Raw<'_>>, own: &str| {
            raw.filter(Raw::is_text).map_or_else(|| quote::json(own), |raw| String::from(raw.as_str()))
        };
        let (id, model) = (word(id, &self.form.id), word(model, &self.form.model));
        let created = self.form.created;
        self.head = format!(
            "{{\"id\":{id},\"object\":\"{object}\",\"created\":{created},\"model\":{model},\"choices\":["
        );
    }

    /// A choice begins: its role is told, once.
    pub fn role(&mut self, index: u32) {
        self.begin(None, None);
        if index >= CHOICES_MAX || self.choices.iter().any(|choice| choice.index == index) {
            return;
        }
        self.choices.push(Told { index, calls: Vec::new(), finish: None });
        if !self.completes {
            self.delta(index, "{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}");
        }
    }

    /// Text of a choice, a JSON string.
    pub fn text(&mut self, index: u32, text: Raw<'_>) {
        if !text.is_text() || text.as_str() == "\"\"" {
            return;
        }
        self.role(index);
        if self.completes {
            let own = format!(
                "{{\"index\":{index},\"text\":{},\"logprobs\":null,\"finish_reason\":null}}",
                text.as_str()
            );
            return self.chunk(&own);
        }
        self.member(index, "content", text.as_str());
    }

    /// Reasoning of a choice, a JSON string.
    pub fn reasoning(&mut self, index: u32, text: Raw<'_>) {
        if text.is_text() && text.as_str() != "\"\"" {
            self.member(index, "reasoning_content", text.as_str());
        }
    }

    /// A member of a choice's delta.
    pub fn member(&mut self, index: u32, name: &str, json: &str) {
        if !self.completes {
            self.role(index);
            self.delta(index, &Object::new().raw(name, json).end());
        }
    }

    /// A member of a choice beside its delta.
    pub fn beside(&mut self, index: u32, name: &str, json: &str) {
        if !self.completes {
            self.role(index);
            self.chunk(
                &Object::new()
                    .number("index", index)
                    .raw("delta", "{}")
                    .raw(name, json)
                    .raw("finish_reason", "null")
                    .end(),
            );
        }
    }

    /// A call begins. `key` is the provider's, unique in the choice; `name` is a JSON string. `extra` is the call's
    /// `extra_content`.
    pub fn call(&mut self, index: u32, key: u32, id: Option<&str>, name: Raw<'_>, extra: Option<&str>) {
        if self.completes {
            return;
        }
        let name = if name.is_text() { name } else { Raw::trusted("\"\"") };
        self.role(index);
        let Some(told) = self.choices.iter_mut().find(|choice| choice.index == index) else { return };
        if told.calls.len() >= CALLS_MAX || told.calls.iter().any(|(known, _)| *known == key) {
            return;
        }
        let at = u32::try_from(told.calls.len()).unwrap_or(u32::MAX);
        told.calls.push((key, false));
        let own = self.form.call_id(index, at);
        let function = Object::new().raw("name", name.as_str()).text("arguments", "").end();
        let mut call =
            Object::new().number("index", at).text("id", id.unwrap_or(&own)).text("type", "function");
        call.put("function", &function);
        if let Some(extra) = extra {
            call.put("extra_content", extra);
        }
        self.member(index, "tool_calls", &format!("[{}]", call.end()));
    }

    /// A piece of a call's arguments, a JSON string.
    pub fn arguments(&mut self, index: u32, key: u32, piece: Raw<'_>) {
        if self.completes || !piece.is_text() || piece.as_str() == "\"\"" {
            return;
        }
        let Some(told) = self.choices.iter_mut().find(|choice| choice.index == index) else { return };
        let found = (0u32..).zip(&mut told.calls).find(|(_, (known, _))| *known == key);
        let Some((at, (_, came))) = found else { return };
        *came = true;
        let piece = piece.as_str();
        self.member(
            index,
            "tool_calls",
            &format!("[{{\"index\":{at},\"function\":{{\"arguments\":{piece}}}}}]"),
        );
    }

    /// A call is over. One without arguments has an empty object of them.
    pub fn called(&mut self, index: u32, key: u32) {
        let told = self.choices.iter().find(|choice| choice.index == index);
        let bare = told.is_some_and(|told| told.calls.contains(&(key, false)));
        if bare {
            self.arguments(index, key, Raw::trusted("\"{}\""));
        }
    }

    /// Whether a choice called something.
    pub fn has_calls(&self, index: u32) -> bool {
        self.choices.iter().any(|choice| choice.index == index && !choice.calls.is_empty())
    }

    /// Why a choice ended; written at the stream's end. The first word counts.
    pub fn finish(&mut self, index: u32, finish: Finish) {
        self.role(index);
        if let Some(told) = self.choices.iter_mut().find(|choice| choice.index == index) {
            told.finish.get_or_insert(finish);
        }
    }

    /// What was used so far; the last word counts.
    pub fn usage(&mut self, counts: &Counts) {
        if let Some(usage) = counts.write(true) {
            self.counts = Some(usage);
        }
    }

    /// The stream is whole.
    pub fn close(&mut self) {
        self.begin(None, None);
        let ends: Vec<(u32, Finish)> =
            self.choices.iter().map(|choice| (choice.index, choice.finish.unwrap_or_default())).collect();
        for (index, finish) in ends {
            let empty = if self.completes { "\"text\":\"\",\"logprobs\":null" } else { "\"delta\":{}" };
            let word = finish.word();
            self.chunk(&format!("{{\"index\":{index},{empty},\"finish_reason\":\"{word}\"}}"));
        }
        if let Some(usage) = self.counts.take() {
            let event = format!("{}],\"usage\":{usage}}}", self.head);
            sse::encode_data(&mut self.out, event.as_bytes());
        }
        self.out.extend_from_slice(DONE);
        self.closed = true;
    }

    fn delta(&mut self, index: u32, delta: &str) {
        self.chunk(&format!("{{\"index\":{index},\"delta\":{delta},\"finish_reason\":null}}"));
    }

    fn chunk(&mut self, choice: &str) {
        let event = format!("{}{choice}]}}", self.head);
        sse::encode_data(&mut self.out, event.as_bytes());
    }
}
