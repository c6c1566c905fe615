//! A chat or a text completion under a content policy: its choices, event by event.
//!
//! Above the stages. Decides which events wait for which choices, and what is told in and beside them (`azure.md`, B5).

use super::choice::Choice;
use super::{HELD_BYTES_MAX, State, Vets, data};
use crate::exchange::filtering::{Filtering, Form, Telling};
use crate::policy::{AnswerParts, ChoiceParts, Side};
use crate::snapshot::content::FilterMode;
use crate::time::UnixMillis;
use crate::wire::sse::{self, DONE};
use alloc::borrow::ToOwned;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Characters after which an asynchronous filter tells how far it is; a violation is told at once.
pub(super) const TELL_AFTER: u64 = 200;
/// Choices of one stream; the bound of `n`.
const CHOICES_MAX: usize = 128;

/// A stream being vetted.
#[derive(Debug, Default)]
pub(super) struct Choices {
    state: State,
    held: VecDeque<Held>,
    /// `"id":…,"object":…,"created":…,"model":…` of the first event with choices.
    head: String,
    begun: bool,
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
    /// Its braces.
    open: u32,
    close: u32,
    /// Whether what was found is put in.
    tells: bool,
    text: bool,
}

impl Vets for Choices {
    fn event(&mut self, filtering: &Filtering, now: UnixMillis, event: &[u8], out: &mut Vec<u8>) {
        let Some(json) = data(event) else { return };
        if json == "[DONE]" {
            self.state.ending = true;
            self.end_all(filtering, out);
            return self.done(filtering, out);
        }
        let parts = AnswerParts::of(&json);
        if parts.prompt_results && parts.choices.is_empty() && filtering.telling == Telling::Events {
            // The upstream's own prelude; the caller has or gets Weir's.
            return;
        }
        self.begin(filtering, &parts, out);
        let had = !parts.choices.is_empty();
        let read: Vec<HeldChoice> =
            parts.choices.iter().filter_map(|choice| self.read(filtering, now, choice)).collect();
        self.strike(filtering, out);
        let mut held = Held { json, parts: read };
        let dead = |part: &HeldChoice| {
            self.state.choices.iter().any(|choice| choice.dead && choice.index == part.index)
        };
        held.cut(dead);
        if self.state.over || (had && held.parts.is_empty()) {
            return;
        }
        if filtering.policy.mode() == FilterMode::Asynchronous {
            sse::encode_data(out, held.json.as_bytes());
            return self.tell_along(filtering, false, out);
        }
        self.state.held_bytes = self.state.held_bytes.saturating_add(held.json.len());
        self.held.push_back(held);
        self.release(filtering, out);
        if self.state.held_bytes > HELD_BYTES_MAX && filtering.policy.classifier(Side::Completion).is_none() {
            self.end_all(filtering, out);
        }
    }

    fn go_on(&mut self, filtering: &Filtering, out: &mut Vec<u8>) {
        self.strike(filtering, out);
        if filtering.policy.mode() == FilterMode::Asynchronous {
            self.tell_along(filtering, false, out);
        } else {
            self.release(filtering, out);
        }
        if self.state.ending {
            self.done(filtering, out);
        }
    }

    fn end_all(&mut self, filtering: &Filtering, out: &mut Vec<u8>) {
        for choice in &mut self.state.choices {
            choice.end(filtering);
        }
        self.strike(filtering, out);
        self.release(filtering, out);
    }

    fn is_filtered(&self, filtering: &Filtering) -> bool {
        self.all_filtered(filtering)
    }

    fn state(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Choices {
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
    fn read(
        &mut self,
        filtering: &Filtering,
        now: UnixMillis,
        parts: &ChoiceParts<'_>,
    ) -> Option<HeldChoice> {
        let choice = self.choice(filtering, parts.index)?;
        if !choice.dead {
            choice.read(filtering, now, parts);
        }
        Some(HeldChoice {
            index: parts.index,
            until: choice.reading.read(),
            open: parts.open,
            close: parts.close,
            tells: filtering.telling != Telling::Nothing && !parts.results && parts.has_members,
            text: parts.texts.iter().any(|(_, text)| !text.is_empty()),
        })
    }

    fn choice(&mut self, filtering: &Filtering, index: u32) -> Option<&mut Choice> {
        let known = self.state.choices.iter().position(|choice| choice.index == index);
        if let Some(at) = known {
            return self.state.choices.get_mut(at);
        }
        if self.state.choices.len() >= CHOICES_MAX {
            return self.state.choices.last_mut();
        }
        let watched = filtering.policy.classifier(Side::Completion).is_some();
        self.state.choices.push(Choice::new(index, watched));
        self.state.choices.last_mut()
    }

    /// Ends the choices that are filtered, and the stream with the last of them.
    fn strike(&mut self, filtering: &Filtering, out: &mut Vec<u8>) {
        let along =
            filtering.policy.mode() == FilterMode::Asynchronous && filtering.telling == Telling::Events;
        while let Some(at) = self.state.choices.iter().position(|choice| choice.violates(filtering)) {
            let Some(choice) = self.state.choices.get_mut(at) else { return };
            choice.dead = true;
            let index = choice.index;
            let event = if along {
                annotation(filtering, choice, choice.reading.read(), "\"content_filter\"")
            } else {
                ending(filtering, &self.head, choice)
            };
            sse::encode_data(out, event.as_bytes());
            self.held.retain_mut(|held| {
                let had = !held.parts.is_empty();
                held.cut(|part| part.index == index);
                !had || !held.parts.is_empty()
            });
            self.state.held_bytes = self.held.iter().map(|held| held.json.len()).sum();
        }
        if !self.state.over && self.all_filtered(filtering) {
            self.state.over = true;
            self.held.clear();
            end(filtering, out);
        }
    }

    /// Whether no choice is left.
    fn all_filtered(&self, filtering: &Filtering) -> bool {
        let dead = self.state.choices.iter().filter(|choice| choice.dead).count();
        dead > 0 && u64::try_from(dead).unwrap_or(u64::MAX) >= filtering.answers
    }

    /// Lets the events go on, the oldest first, whose texts are certain.
    fn release(&mut self, filtering: &Filtering, out: &mut Vec<u8>) {
        while let Some(event) = self.held.front() {
            let certain = |part: &HeldChoice| {
                let choice = self.state.choices.iter().find(|choice| choice.index == part.index);
                choice.is_none_or(|choice| choice.certain(filtering) >= part.until)
            };
            if !event.parts.iter().all(certain) {
                return;
            }
            let Some(event) = self.held.pop_front() else { return };
            self.state.held_bytes = self.state.held_bytes.saturating_sub(event.json.len());
            let json = self.with_results(filtering, event);
            sse::encode_data(out, json.as_bytes());
        }
    }

    /// The event with what was found: an object with results when there is something new, else an empty one.
    fn with_results(&mut self, filtering: &Filtering, event: Held) -> String {
        let mut json = event.json;
        for part in event.parts.iter().rev().filter(|part| part.tells && part.close > 0) {
            let Some(choice) = self.state.choices.iter_mut().find(|choice| choice.index == part.index) else {
                continue;
            };
            let found = choice.found();
            let results = if part.text && choice.told != Some(found) {
                choice.told = Some(found);
                filtering.policy.results(Side::Completion, found)
            } else {
                "{}".to_owned()
            };
            if let Ok(at) = usize::try_from(part.close)
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
        for choice in self.state.choices.iter_mut().filter(|choice| !choice.dead) {
            let certain = choice.certain(filtering);
            let new = certain.saturating_sub(choice.told_until);
            if new >= TELL_AFTER || ((last || choice.ended) && new > 0) {
                let event = annotation(filtering, choice, certain, "null");
                sse::encode_data(out, event.as_bytes());
                choice.told_until = certain;
            }
        }
    }

    /// The stream's regular end, unless a classifier has yet to judge something before it.
    fn done(&mut self, filtering: &Filtering, out: &mut Vec<u8>) {
        if self.state.over || self.state.choices.iter().any(Choice::pending) {
            return;
        }
        self.state.over = true;
        if filtering.policy.mode() == FilterMode::Asynchronous {
            self.tell_along(filtering, true, out);
        }
        end(filtering, out);
    }
}

impl Held {
    /// Takes the choices out that are `cut`.
    fn cut(&mut self, cut: impl Fn(&HeldChoice) -> bool) {
        while let Some(at) = self.parts.iter().rposition(&cut) {
            let part = self.parts.remove(at);
            let place = |at: u32| usize::try_from(at).unwrap_or(usize::MAX);
            let (mut open, mut close) = (place(part.open), place(part.close).saturating_add(1));
            let (before, after) = (self.json.get(..open), self.json.get(close..));
            let (Some(before), Some(after)) = (before, after) else { continue };
            // One comma goes with it.
            if after.trim_start().starts_with(',') {
                close = close.saturating_add(after.find(',').unwrap_or(0)).saturating_add(1);
            } else if before.trim_end().ends_with(',') {
                open = before.rfind(',').unwrap_or(open);
            }
            self.json.replace_range(open..close, "");
            let gone = u32::try_from(close.saturating_sub(open)).unwrap_or(0);
            for later in self.parts.iter_mut().filter(|later| later.open > part.open) {
                later.open = later.open.saturating_sub(gone);
                later.close = later.close.saturating_sub(gone);
            }
        }
    }
}

/// The end of a stream, where the surface has one.
fn end(filtering: &Filtering, out: &mut Vec<u8>) {
    if filtering.ends {
        out.extend_from_slice(DONE);
    }
}

/// The last chunk of a choice that was filtered.
fn ending(filtering: &Filtering, head: &str, choice: &Choice) -> String {
    let empty = match filtering.form {
        Form::Completions => "\"text\":\"\"",
        Form::Chat | Form::Response | Form::Kept | Form::Pictures | Form::Transcript | Form::Unread => {
            "\"delta\":{}"
        }
    };
    let told = filtering.told(&filtering.policy.results(Side::Completion, choice.found()));
    format!(
        "{{{head}\"choices\":[{{\"index\":{},{empty},\"logprobs\":null,\"finish_reason\":\"content_filter\"{told}}}]}}",
        choice.index
    )
}

/// An asynchronous filter's event: how far the text was checked, and what was found in it (B5). No `delta`.
fn annotation(filtering: &Filtering, choice: &Choice, certain: u64, finish: &str) -> String {
    let results = filtering.policy.results(Side::Completion, choice.found());
    let (index, start) = (choice.index, choice.told_until);
    format!(
        "{{\"id\":\"\",\"object\":\"\",\"created\":0,\"model\":\"\",\"choices\":[{{\"index\":{index},\"finish_reason\":{finish},\
         \"content_filter_results\":{results},\"content_filter_offsets\":{{\"check_offset\":{certain},\
         \"start_offset\":{start},\"end_offset\":{certain}}}}}]}}"
    )
}
