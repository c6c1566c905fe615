//! A whole answer between two dialects, and how it is written in the canonical one.
//!
//! Stage 6. Decides the canonical form of answers (`providers.md`, 1.2); each provider's own code fills them.

use super::chunks::Form;
use super::stop::Finish;
use super::usage::Counts;
use crate::snapshot::Task;
use crate::wire::object::{Array, Object, Text};
use crate::wire::raw::Raw;
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    /// The provider's id of it, JSON.
    pub id: Option<Raw<'a>>,
    /// The model that answered, JSON.
    pub model: Option<Raw<'a>>,
    /// A chat's or completion's.
    pub choices: Vec<Choice<'a>>,
    /// Arrays of numbers, one an input.
    pub vectors: Vec<Raw<'a>>,
    /// What it used.
    pub counts: Counts,
    /// Members that nobody here knows.
    pub others: Others<'a>,
}

/// Members that go on as they came.
pub type Others<'a> = Vec<(Cow<'a, str>, Raw<'a>)>;

/// One choice of an answer.
#[derive(Clone, Debug, Default)]
pub struct Choice<'a> {
    /// Its text, all pieces joined.
    pub text: Text,
    /// Its reasoning, which is never part of the text.
    pub reasoning: Text,
    /// What it wants called.
    pub calls: Vec<Called<'a>>,
    /// Why it ended.
    pub finish: Finish,
    /// Why it did not, JSON.
    pub refusal: Option<Raw<'a>>,
    /// Further members of the message, for the next turn: name and JSON.
    pub extra: Vec<(Cow<'a, str>, String)>,
    /// Further members of the choice.
    pub others: Others<'a>,
}

/// A tool that is called.
#[derive(Clone, Debug)]
pub struct Called<'a> {
    /// The call's id; made up from its place if absent.
    pub id: Option<Cow<'a, str>>,
    /// The function's name, JSON.
    pub name: Raw<'a>,
    /// The arguments: JSON text, not yet quoted.
    pub arguments: Cow<'a, str>,
    /// `extra_content`, JSON, for the next turn.
    pub extra: Option<String>,
}

impl Answer<'_> {
    /// The canonical body.
    pub fn write(&self, task: Task, form: &Form) -> String {
        match task {
            Task::Embeddings => self.embeddings(form),
            Task::Chat | Task::Completions => self.chat(task, form),
        }
    }

    fn chat(&self, task: Task, form: &Form) -> String {
        let completes = task == Task::Completions;
        let object = if completes { "text_completion" } else { "chat.completion" };
        let mut choices = Array::default();
        for (index, choice) in (0u32..).zip(&self.choices) {
            let mut item = Object::new().number("index", index);
            if completes {
                item.put("text", &choice.text.clone().end());
            } else {
                item.put("message", &choice.message(form));
            }
            if choice.others.iter().all(|(name, _)| name != "logprobs") {
                item.put("logprobs", "null");
            }
            for (name, value) in &choice.others {
                item.put(name, value.as_str());
            }
            choices.put(&item.text("finish_reason", choice.finish.word()).end());
        }
        let id = self.id.map_or_else(|| crate::wire::quote::json(&form.id), |id| String::from(id.as_str()));
        let mut body = Object::new().raw("id", &id).text("object", object).number("created", form.created);
        body.put("model", &self.model(form));
        body.put("choices", &choices.end());
        if let Some(usage) = self.counts.write(true) {
            body.put("usage", &usage);
        }
        for (name, value) in &self.others {
            body.put(name, value.as_str());
        }
        body.end()
    }

    fn model(&self, form: &Form) -> String {
        self.model.map_or_else(|| crate::wire::quote::json(&form.model), |raw| String::from(raw.as_str()))
    }

    fn embeddings(&self, form: &Form) -> String {
        let mut data = Array::default();
        for (index, vector) in (0u32..).zip(&self.vectors) {
            let encoded = form.base64.then(|| base64(*vector));
            let item = Object::new().text("object", "embedding").number("index", index);
            let item = match &encoded {
                Some(text) => item.text("embedding", text),
                None => item.raw("embedding", vector.as_str()),
            };
            data.put(&item.end());
        }
        let mut body = Object::new().text("object", "list").raw("data", &data.end());
        body.put("model", &self.model(form));
        let counted = self.counts.write(false).unwrap_or_else(|| {
            let tokens = form.input_tokens;
            Object::new().number("prompt_tokens", tokens).number("total_tokens", tokens).end()
        });
        body.put("usage", &counted);
        body.end()
    }
}

impl Choice<'_> {
    fn message(&self, form: &Form) -> String {
        let mut message = Object::new().text("role", "assistant");
        let silent = self.text.is_empty() && !self.calls.is_empty();
        if silent {
            message.put("content", "null");
        } else {
            message.put("content", &self.text.clone().end());
        }
        message.put("refusal", self.refusal.map_or("null", |text| text.as_str()));
        if !self.reasoning.is_empty() {
            message.put("reasoning_content", &self.reasoning.clone().end());
        }
        for (name, value) in &self.extra {
            message.put(name, value);
        }
        if !self.calls.is_empty() {
            let mut calls = Array::default();
            for (at, call) in (0u32..).zip(&self.calls) {
                let function =
                    Object::new().raw("name", call.name.as_str()).text("arguments", &call.arguments);
                let id = call.id.as_ref().map_or_else(|| form.call_id(0, at), |id| String::from(&**id));
                let mut item = Object::new().text("id", &id).text("type", "function");
                item.put("function", &function.end());
                if let Some(extra) = &call.extra {
                    item.put("extra_content", extra);
                }
                calls.put(&item.end());
            }
            message.put("tool_calls", &calls.end());
        }
        message.end()
    }
}

/// Numbers as `encoding_format` `base64` has them: little-endian 32-bit floats (`providers.md`, 2.2).
fn base64(vector: Raw<'_>) -> String {
    let mut bytes = Vec::new();
    for item in vector.items() {
        let number = crate::json::read::<f32>(item.as_str()).unwrap_or(0.0);
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    STANDARD.encode(bytes)
}

impl Form {
    /// An id for a call that its provider gave none.
    pub fn call_id(&self, choice: u32, at: u32) -> String {
        let own: String = self.id.chars().filter(char::is_ascii_alphanumeric).take(20).collect();
        format!("call_{own}{choice}{at}")
    }
}
