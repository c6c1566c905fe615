//! A stream under a content policy: what of it may go on, and what is told beside it.
//!
//! Above the stages. Two modes (`azure.md`, B5). *Buffered*: an event goes on when nothing can be found any more in
//! the text up to its end, whatever follows; that is a word or the beginning of a listed phrase later, so text is
//! held back by some hundred characters at most, never by time. *Asynchronous*: events go on at once, and findings
//! follow them. A violation ends the stream with `finish_reason` `content_filter`, all choices with it; of what is
//! still held back nothing goes on.

use super::filtering::{Filtering, Telling};
use crate::policy::{AnswerParts, ChoiceParts, Findings, Reading, Side};
use crate::snapshot::Task;
use crate::snapshot::content::FilterMode;
use crate::wire::sse::{self, DONE};
use alloc::borrow::ToOwned;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use memchr::memmem;

/// Characters after which an asynchronous filter tells how far it is; a violation is told at once.
const TELL_AFTER: u64 = 200;
/// Held-back bytes at which the oldest go on as far as they were read: choices that wait for each other must not
/// fill an isolate's memory.
const HELD_BYTES_MAX: usize = 256 * 1_024;
/// Choices of one stream; the bound of `n`.
const CHOICES_MAX: usize = 128;

/// What to do with a piece of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Vetted {
    /// Pass these bytes on.
    Pass(Vec<u8>),
    /// Pass these bytes on and end the stream: it was filtered.
    Filtered(Vec<u8>),
}

/// A stream being vetted.
#[derive(Debug, Default)]
pub(super) struct Vetting {
    choices: Vec<Choice>,
    held: VecDeque<Held>,
    held_bytes: usize,
    /// `"id":…,"object":…,"created":…,"model":…` of the first event with choices.
    head: String,
    begun: bool,
    over: bool,
}

/// The text of one choice.
#[derive(Debug, Default)]
struct Choice {
    index: u32,
    reading: Reading,
    /// Name of the member that the last text was of.
    member: String,
    ended: bool,
    /// What was told last, and up to which character.
    told: Option<Findings>,
    told_until: u64,
}

/// An event that waits.
#[derive(Debug)]
struct Held {
    json: String,
    parts: Vec<HeldChoice>,
}

#[derive(Debug)]
struct HeldChoice {
    index: u32,
    /// It goes on when its choice's text is certain up to this character.
    until: u64,
    /// Where what was found is put in, if it is.
    tell_at: Option<u32>,
    text: bool,
}

impl Filtering {
    /// Takes whole events in the strict grammar.
    pub(super) fn push(&mut self, events: &[u8]) -> Vetted {
        let mut vetting = self.vetting.take().unwrap_or_default();
        let mut out = Vec::with_capacity(events.len().saturating_add(512));
        let mut filtered = false;
        let mut rest = events;
        while let Some(at) = memmem::find(rest, b"\n\n").filter(|_| !vetting.over) {
            let (event, after) = rest.split_at_checked(at).unwrap_or((rest, &[]));
            rest = after.get(2..).unwrap_or_default();
            filtered = vetting.event(self, event, &mut out);
        }
        self.vetting = Some(vetting);
        if filtered { Vetted::Filtered(out) } else { Vetted::Pass(out) }
    }

    /// The stream ended regularly: what is still held back goes on, or what ends it.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(mut vetting) = self.vetting.take().filter(|vetting| !vetting.over) {
            vetting.end_all(self, &mut out);
        }
        out
    }
}

impl Vetting {
    /// Takes one event; true if it ends the stream because of what is in it.
    fn event(&mut self, filtering: &Filtering, event: &[u8], out: &mut Vec<u8>) -> bool {
        let Some(json) = data(event) else { return false };
        if json == "[DONE]" {
            return self.done(filtering, out);
        }
        let parts = AnswerParts::of(&json);
        if parts.prompt_results && parts.choices.is_empty() && filtering.telling == Telling::Events {
            // The upstream's own prelude; the caller has or gets Weir's.
            return false;
        }
        self.begin(filtering, &parts, out);
        let held: Vec<HeldChoice> =
            parts.choices.iter().filter_map(|choice| self.read(filtering, choice)).collect();
        if let Some(index) = self.violated(filtering) {
            self.filtered(filtering, index, out);
            return true;
        }
        let asynchronous = filtering.policy.mode() == FilterMode::Asynchronous;
        if asynchronous {
            sse::encode_data(out, json.as_bytes());
            self.tell_along(filtering, false, out);
        } else {
            self.held_bytes = self.held_bytes.saturating_add(json.len());
            self.held.push_back(Held { json, parts: held });
            self.release(filtering, out);
            if self.held_bytes > HELD_BYTES_MAX {
                return self.end_all(filtering, out);
            }
        }
        false
    }

    /// Before the first event: the prelude (B5), and the members that an event of Weir's own is made of.
    fn begin(&mut self, filtering: &Filtering, parts: &AnswerParts<'_>, out: &mut Vec<u8>) {
        if self.head.is_empty() && !parts.choices.is_empty() {
            for (name, raw) in ["id", "object", "created", "model"].iter().zip(parts.head) {
                if let Some(raw) = raw {
                    self.head.extend(["\"", *name, "\":", raw, ","]);
                }
            }
        }
        if !self.begun && filtering.telling == Telling::Events {
            let results = &filtering.prompt_results;
            let prelude = format!(
                "{{\"id\":\"\",\"object\":\"\",\"created\":0,\"model\":\"\",\"prompt_filter_results\":{results},\"choices\":[]}}"
            );
            sse::encode_data(out, prelude.as_bytes());
        }
        self.begun = true;
    }

    /// Reads the texts of one choice of an event.
    fn read(&mut self, filtering: &Filtering, parts: &ChoiceParts<'_>) -> Option<HeldChoice> {
        let choice = self.choice(parts.index)?;
        for (member, text) in &parts.texts {
            // Texts of different members are no one text.
            if choice.member != member.as_ref() {
                if !choice.member.is_empty() {
                    choice.reading.push(&filtering.policy, &filtering.lexicon, "\n");
                }
                (**member).clone_into(&mut choice.member);
            }
            choice.reading.push(&filtering.policy, &filtering.lexicon, text);
        }
        if parts.finished && !choice.ended {
            choice.ended = true;
            choice.reading.end(&filtering.policy, &filtering.lexicon);
        }
        let tells = filtering.telling != Telling::Nothing && !parts.results && parts.has_members;
        Some(HeldChoice {
            index: parts.index,
            until: choice.reading.read(),
            tell_at: Some(parts.close).filter(|_| tells && parts.close > 0),
            text: parts.texts.iter().any(|(_, text)| !text.is_empty()),
        })
    }

    fn choice(&mut self, index: u32) -> Option<&mut Choice> {
        let known = self.choices.iter().position(|choice| choice.index == index);
        if let Some(at) = known {
            return self.choices.get_mut(at);
        }
        if self.choices.len() >= CHOICES_MAX {
            return self.choices.last_mut();
        }
        self.choices.push(Choice { index, ..Choice::default() });
        self.choices.last_mut()
    }

    fn violated(&self, filtering: &Filtering) -> Option<u32> {
        let violates = |choice: &&Choice| filtering.policy.filters(Side::Completion, choice.reading.found());
        self.choices.iter().find(violates).map(|choice| choice.index)
    }

    /// Lets the events go on, the oldest first, whose texts are certain.
    fn release(&mut self, filtering: &Filtering, out: &mut Vec<u8>) {
        let (policy, lexicon) = (&filtering.policy, &filtering.lexicon);
        while let Some(event) = self.held.front() {
            let certain = |part: &HeldChoice| {
                let choice = self.choices.iter().find(|choice| choice.index == part.index);
                choice.is_none_or(|choice| choice.reading.certain(policy, lexicon) >= part.until)
            };
            if !event.parts.iter().all(certain) {
                return;
            }
            let Some(event) = self.held.pop_front() else { return };
            self.held_bytes = self.held_bytes.saturating_sub(event.json.len());
            let json = self.with_results(filtering, event);
            sse::encode_data(out, json.as_bytes());
        }
    }

    /// The event with what was found: an object with results when there is something new, else an empty one.
    fn with_results(&mut self, filtering: &Filtering, event: Held) -> String {
        let mut json = event.json;
        for part in event.parts.iter().rev() {
            let choice = self.choices.iter_mut().find(|choice| choice.index == part.index);
            let (Some(at), Some(choice)) = (part.tell_at, choice) else { continue };
            let found = choice.reading.found();
            let results = if part.text && choice.told != Some(found) {
                choice.told = Some(found);
                filtering.policy.results(Side::Completion, found)
            } else {
                "{}".to_owned()
            };
            if let Ok(at) = usize::try_from(at)
                && json.is_char_boundary(at)
            {
                json.insert_str(at, &filtering.told(&results));
            }
        }
        json
    }

    /// An asynchronous filter's events beside the text.
    fn tell_along(&mut self, filtering: &Filtering, last: bool, out: &mut Vec<u8>) {
        if filtering.telling != Telling::Events {
            return;
        }
        for choice in &mut self.choices {
            let certain = choice.reading.certain(&filtering.policy, &filtering.lexicon);
            let new = certain.saturating_sub(choice.told_until);
            if new >= TELL_AFTER || ((last || choice.ended) && new > 0) {
                let event = annotation(filtering, choice, certain, "null");
                sse::encode_data(out, event.as_bytes());
                choice.told_until = certain;
            }
        }
    }

    /// The stream is filtered: nothing held back goes on, and every choice that is open ends.
    fn filtered(&mut self, filtering: &Filtering, index: u32, out: &mut Vec<u8>) {
        self.over = true;
        self.held.clear();
        let along =
            filtering.policy.mode() == FilterMode::Asynchronous && filtering.telling == Telling::Events;
        for choice in &self.choices {
            if choice.ended && choice.index != index {
                continue;
            }
            let event = if along && choice.index == index {
                annotation(filtering, choice, choice.reading.read(), "\"content_filter\"")
            } else {
                self.ending(filtering, choice)
            };
            sse::encode_data(out, event.as_bytes());
        }
        out.extend_from_slice(DONE);
    }

    /// The last chunk of a choice.
    fn ending(&self, filtering: &Filtering, choice: &Choice) -> String {
        let empty = match filtering.task {
            Task::Completions => "\"text\":\"\"",
            Task::Chat | Task::Embeddings => "\"delta\":{}",
        };
        let told = filtering.told(&filtering.policy.results(Side::Completion, choice.reading.found()));
        format!(
            "{{{}\"choices\":[{{\"index\":{},{empty},\"logprobs\":null,\"finish_reason\":\"content_filter\"{told}}}]}}",
            self.head, choice.index
        )
    }

    /// The texts are over though the stream may not be: what was read is judged as it stands.
    fn end_all(&mut self, filtering: &Filtering, out: &mut Vec<u8>) -> bool {
        for choice in &mut self.choices {
            choice.reading.end(&filtering.policy, &filtering.lexicon);
        }
        if let Some(index) = self.violated(filtering) {
            self.filtered(filtering, index, out);
            return true;
        }
        self.release(filtering, out);
        false
    }

    fn done(&mut self, filtering: &Filtering, out: &mut Vec<u8>) -> bool {
        if self.end_all(filtering, out) {
            return true;
        }
        self.over = true;
        if filtering.policy.mode() == FilterMode::Asynchronous {
            self.tell_along(filtering, true, out);
        }
        out.extend_from_slice(DONE);
        false
    }
}

/// An asynchronous filter's event: how far the text was checked, and what was found in it (B5). No `delta`.
fn annotation(filtering: &Filtering, choice: &Choice, certain: u64, finish: &str) -> String {
    let results = filtering.policy.results(Side::Completion, choice.reading.found());
    let (index, start) = (choice.index, choice.told_until);
    format!(
        "{{\"id\":\"\",\"object\":\"\",\"created\":0,\"model\":\"\",\"choices\":[{{\"index\":{index},\"finish_reason\":{finish},\
         \"content_filter_results\":{results},\"content_filter_offsets\":{{\"check_offset\":{certain},\
         \"start_offset\":{start},\"end_offset\":{certain}}}}}]}}"
    )
}

/// The data of an event: its `data` lines joined.
fn data(event: &[u8]) -> Option<String> {
    let text = core::str::from_utf8(event).ok()?;
    let mut data = String::with_capacity(text.len());
    for line in text.lines() {
        let Some(line) = line.strip_prefix("data:") else { continue };
        if !data.is_empty() {
            data.push('\n');
        }
        data.push_str(line.strip_prefix(' ').unwrap_or(line));
    }
    (!data.is_empty()).then_some(data)
}

#[cfg(test)]
mod tests;
