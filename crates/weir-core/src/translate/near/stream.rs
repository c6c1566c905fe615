//! A stream that is nearly canonical.
//!
//! Stage 6. Decides as [`super::answer`], chunk by chunk, and when such a stream is whole: with its `[DONE]`, or without
//! one if each choice told why it ended before the body ended regularly (`providers.md`, 13).

use super::answer::{self, MESSAGE};
use crate::snapshot::Dialect;
use crate::translate::sse::{Events, SseStream};
use crate::translate::stop::Finish;
use crate::translate::usage::{self, Counts};
use crate::translate::{Broken, Chunks, Stream};
use crate::wire::object::Text;
use crate::wire::quote;
use crate::wire::raw::Raw;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

pub(in crate::translate) fn open(dialect: Dialect) -> Box<dyn Stream> {
    SseStream::over(NearEvents::new(dialect))
}

/// What was seen of a nearly canonical stream.
pub(in crate::translate) struct NearEvents {
    dialect: Dialect,
    counts: Counts,
    /// Calls in the order they began; a call's place is its key.
    calls: Vec<Begun>,
}

struct Begun {
    choice: u32,
    index: Option<u32>,
    id: String,
}

impl NearEvents {
    pub(in crate::translate) fn new(dialect: Dialect) -> Self {
        Self { dialect, counts: Counts::new(usage::NEAR), calls: Vec::new() }
    }
}

impl Events for NearEvents {
    fn event(&mut self, data: Raw<'_>, out: &mut Chunks) -> Result<(), Broken> {
        if is_error(data) {
            return Err(Broken);
        }
        out.begin(data.get("id"), data.get("model").filter(|model| model.as_str() != "\"\""));
        let choices = data.get("choices").into_iter().flat_map(|list| list.items());
        for (place, choice) in (0u32..).zip(choices) {
            let index = small(choice.get("index")).unwrap_or(place);
            out.role(index);
            choice.get("text").into_iter().for_each(|text| out.text(index, text));
            if let Some(delta) = choice.get("delta").or_else(|| choice.get("message")) {
                self.delta(index, delta, out);
            }
            if let Some(logprobs) = choice.get("logprobs") {
                out.beside(index, "logprobs", logprobs.as_str());
            }
            match answer::finish(self.dialect, choice) {
                Some(Finish::Failed) => return Err(Broken),
                Some(finish) => self.finish(index, finish, out),
                None => {}
            }
        }
        if let Some(usage) = data.get("usage") {
            self.counts.see(usage);
            out.usage(&self.counts);
        }
        Ok(())
    }

    fn done(&mut self, out: &mut Chunks) {
        out.close();
    }

    fn end(&mut self, out: &mut Chunks) {
        if out.is_finished() {
            out.close();
        }
    }
}

impl NearEvents {
    fn delta(&mut self, index: u32, delta: Raw<'_>, out: &mut Chunks) {
        let (mut text, mut reasoning) = (Text::default(), Text::default());
        answer::content(delta, &mut text, &mut reasoning);
        out.reasoning(index, Raw::trusted(&reasoning.end()));
        out.text(index, Raw::trusted(&text.end()));
        if let Some(refusal) = delta.get("refusal").filter(Raw::is_text) {
            out.member(index, "refusal", refusal.as_str());
        }
        for call in delta.get("tool_calls").into_iter().flat_map(|list| list.items()) {
            self.call(index, call, out);
        }
        for (name, value) in delta.members() {
            if !MESSAGE.contains(&&*name) && !value.is_null() {
                out.member(index, &name, value.as_str());
            }
        }
    }

    fn call(&mut self, choice: u32, call: Raw<'_>, out: &mut Chunks) {
        let id = call.text_at("id").unwrap_or_default();
        let index = small(call.get("index"));
        let name = call.at("function.name").filter(|name| name.is_text() && name.as_str() != "\"\"");
        let mine = |begun: &Begun| {
            let same = if id.is_empty() { index.is_none() || begun.index == index } else { begun.id == *id };
            begun.choice == choice && same
        };
        let known =
            self.calls.iter().rposition(mine).filter(|_| !id.is_empty() || index.is_some() || name.is_none());
        let begins = known.is_none();
        let at = known.unwrap_or_else(|| {
            self.calls.push(Begun { choice, index, id: String::from(&*id) });
            self.calls.len().saturating_sub(1)
        });
        let key = u32::try_from(at).unwrap_or(u32::MAX);
        if begins {
            let id = Some(&*id).filter(|id| !id.is_empty());
            out.call(choice, key, id, name.unwrap_or(Raw::trusted("\"\"")), None);
        }
        let Some(piece) = answer::arguments(call) else { return };
        // Where Claude answers, Databricks begins a call with an empty object that its fragments do not continue.
        if begins && self.dialect == Dialect::Databricks && piece == "{}" {
            return;
        }
        out.arguments(choice, key, Raw::trusted(&quote::json(&piece)));
    }

    fn finish(&mut self, index: u32, finish: Finish, out: &mut Chunks) {
        for (key, begun) in (0u32..).zip(&self.calls) {
            if begun.choice == index {
                out.called(index, key);
            }
        }
        out.finish(
            index,
            if out.has_calls(index) && finish == Finish::Stop { Finish::ToolCalls } else { finish },
        );
    }
}

/// Whether an event tells of an error, in the form of any of these providers: `error`, Mistral's flat one, Cloudflare's list,
/// Databricks' code.
fn is_error(data: Raw<'_>) -> bool {
    let told = |name: &str| data.get(name).is_some();
    let listed = data.get("errors").is_some_and(|list| list.items().next().is_some());
    let flat = data.get("object").is_some_and(|object| object.is("error"));
    told("error") || told("error_code") || listed || flat
}

fn small(raw: Option<Raw<'_>>) -> Option<u32> {
    u32::try_from(raw?.count(1 << 20)?).ok()
}
