//! A response's stream under a content policy (`OpenAI`'s Responses API), event by event; a run's and a transcript's as well.
//!
//! Above the stages. Such a stream says each text twice or more: piece by piece, then whole, then with its item and
//! with the response. Each text that comes in pieces is one `Choice`; a whole text that is one of those is known, any
//! other is judged by itself. Events go on in their order, each when all texts up to it are certain. A violation ends
//! the stream with `response.incomplete`, reason `content_filter` (`providers.md`, 2.5). Azure has no form for what
//! an asynchronous filter finds on the way, so nothing is told before the end.

use super::choice::Choice;
use super::{HELD_BYTES_MAX, State, Vets, data};
use crate::exchange::filtering::{Filtering, Form};
use crate::policy::{ChoiceParts, Findings, ResponseEvent, Side, mask_answer, mask_prompt};
use crate::snapshot::content::FilterMode;
use crate::time::UnixMillis;
use crate::wire::envelope::Edit;
use crate::wire::object::Object;
use crate::wire::quote;
use crate::wire::raw::Raw;
use alloc::borrow::{Cow, ToOwned};
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Texts of one stream that come in pieces; further ones are read as the last one's.
const PARTS_MAX: usize = 128;
/// What ends a filtered transcript, which has no form for it: an error, on which clients raise.
const TRANSCRIPT_FILTERED: &str = "event: error\ndata: {\"type\":\"error\",\"error\":{\"message\":\"What was understood was filtered by the content policy of this deployment.\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"content_filter\"}}\n\n";
/// Bytes of a text that are kept to know it again.
const KEPT_BYTES_MAX: usize = 1024 * 1_024;

/// A response's stream being vetted.
#[derive(Debug, Default)]
pub(super) struct Spoken {
    state: State,
    parts: Vec<Part>,
    /// Whole texts that did not come in pieces, as far as they were read.
    known: Vec<String>,
    /// What was found in texts that are over.
    found: Findings,
    made: u32,
    held: VecDeque<Held>,
    /// The response, as the first event that has one shows it.
    response: String,
    sequence: u64,
    filtered: bool,
}

/// A text that comes in pieces.
#[derive(Debug)]
struct Part {
    key: String,
    choice: u32,
    /// What came of it.
    text: String,
    /// Where its pieces are not passed on: the last one.
    withheld: String,
}

/// An event that waits.
#[derive(Debug)]
struct Held {
    /// As it goes on.
    event: String,
    /// It goes on when each of these texts is certain up to a character.
    until: Vec<(u32, u64)>,
    /// Whether what was found is put in.
    tells: bool,
}

impl Vets for Spoken {
    fn event(&mut self, filtering: &Filtering, now: UnixMillis, event: &[u8], out: &mut Vec<u8>) {
        let Some(json) = data(event) else { return };
        let Some(said) = ResponseEvent::of(&json) else {
            // `[DONE]` of servers that send it; nothing else that is no object can be vetted.
            if json == "[DONE]" {
                self.hold(filtering, Held::new(event, Vec::new()), out);
            }
            return;
        };
        self.sequence = said.sequence.unwrap_or(self.sequence);
        if let (true, Some(response)) = (self.response.is_empty(), said.response) {
            response.as_str().clone_into(&mut self.response);
        }
        let until = self.read(filtering, now, &said);
        let last = said.is_last();
        if last {
            self.state.ending = true;
            self.end_choices(filtering);
        }
        let until = if last { self.all() } else { until };
        self.strike(filtering, out);
        if self.state.over {
            return;
        }
        let tells = last && said.response.is_some();
        if filtering.masks() {
            return self.masked(filtering, &json, &said, tells, until, out);
        }
        self.hold(filtering, Held { tells, ..Held::new(event, until) }, out);
    }

    fn go_on(&mut self, filtering: &Filtering, out: &mut Vec<u8>) {
        self.strike(filtering, out);
        self.release(filtering, out);
    }

    fn end_all(&mut self, filtering: &Filtering, out: &mut Vec<u8>) {
        self.end_choices(filtering);
        self.go_on(filtering, out);
    }

    fn is_filtered(&self, _: &Filtering) -> bool {
        self.filtered
    }

    fn state(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Spoken {
    /// Reads the texts of an event; answers up to where each of them is read with it.
    fn read(&mut self, filtering: &Filtering, now: UnixMillis, said: &ResponseEvent<'_>) -> Vec<(u32, u64)> {
        let mut until = Vec::new();
        if let Some(delta) = &said.delta
            && let Some(part) = self.part(filtering, &said.part)
        {
            if part.text.len() < KEPT_BYTES_MAX {
                part.text.push_str(delta);
            }
            let id = part.choice;
            let parts = pieces(&said.part, delta);
            if let Some(choice) = self.state.choices.iter_mut().find(|choice| choice.index == id) {
                choice.read(filtering, now, &parts);
                until.push((id, choice.reading.read()));
            }
        }
        for text in &said.texts {
            if self.parts.iter().any(|part| part.text == **text)
                || self.known.iter().any(|known| known == text)
            {
                continue;
            }
            if text.len() < KEPT_BYTES_MAX {
                self.known.push(text.clone().into_owned());
            }
            let mut choice = self.choice(filtering);
            choice.read(filtering, now, &ChoiceParts { finished: true, ..pieces("", text) });
            until.push((choice.index, choice.reading.read()));
            self.state.choices.push(choice);
        }
        if let (None, Some(part)) = (&said.delta, self.parts.iter().find(|part| part.key == said.part)) {
            let choices = self.state.choices.iter_mut();
            choices.filter(|choice| choice.index == part.choice).for_each(|choice| choice.end(filtering));
        }
        until
    }

    fn choice(&mut self, filtering: &Filtering) -> Choice {
        self.made = self.made.saturating_add(1);
        Choice::new(self.made, filtering.policy.classifier(Side::Completion).is_some())
    }

    /// The text that a piece belongs to.
    fn part(&mut self, filtering: &Filtering, key: &str) -> Option<&mut Part> {
        let known = self.parts.iter().position(|part| part.key == key);
        let full = self.parts.len() >= PARTS_MAX;
        let at = known.or_else(|| full.then(|| self.parts.len().saturating_sub(1)));
        let alive = |part: &Part, choices: &[Choice]| {
            choices.iter().any(|choice| choice.index == part.choice && !choice.ended)
        };
        if let Some(at) = at {
            if !self.parts.get(at).is_some_and(|part| alive(part, &self.state.choices)) {
                let choice = self.choice(filtering);
                if let Some(part) = self.parts.get_mut(at) {
                    part.choice = choice.index;
                }
                self.state.choices.push(choice);
            }
            return self.parts.get_mut(at);
        }
        let choice = self.choice(filtering);
        let part =
            Part { key: key.to_owned(), choice: choice.index, text: String::new(), withheld: String::new() };
        self.state.choices.push(choice);
        self.parts.push(part);
        self.parts.last_mut()
    }

    /// Up to where everything is read.
    fn all(&self) -> Vec<(u32, u64)> {
        self.state.choices.iter().map(|choice| (choice.index, choice.reading.read())).collect()
    }

    fn end_choices(&mut self, filtering: &Filtering) {
        for choice in &mut self.state.choices {
            choice.end(filtering);
        }
    }

    /// What was found so far.
    fn found(&self) -> Findings {
        let all = self.state.choices.iter().map(Choice::found);
        all.fold(self.found, Findings::joined)
    }

    /// Ends the stream at a violation; texts that are over and judged are forgotten.
    fn strike(&mut self, filtering: &Filtering, out: &mut Vec<u8>) {
        if !self.state.over && filtering.filters(self.found()) {
            (self.state.over, self.filtered) = (true, true);
            self.held.clear();
            self.state.held_bytes = 0;
            let end = match filtering.form {
                Form::Kept => ended_run(&self.response),
                Form::Transcript => TRANSCRIPT_FILTERED.to_owned(),
                Form::Chat | Form::Completions | Form::Response | Form::Pictures | Form::Unread => {
                    self.incomplete(filtering)
                }
            };
            out.extend_from_slice(end.as_bytes());
            return;
        }
        let mut found = self.found;
        self.state.choices.retain(|choice| {
            let over = choice.ended && !choice.pending();
            if over {
                found = found.joined(choice.found());
            }
            !over
        });
        self.found = found;
    }

    /// The last event of a filtered response.
    fn incomplete(&self, filtering: &Filtering) -> String {
        let response = if self.response.is_empty() { "{\"object\":\"response\"}" } else { &self.response };
        let response = filtering.incomplete(Raw::trusted(response), self.found());
        let event = Object::new()
            .text("type", "response.incomplete")
            .number("sequence_number", self.sequence.saturating_add(1))
            .raw("response", &response);
        named("response.incomplete", &event.end())
    }

    /// Takes an event that goes on when its texts are certain.
    fn hold(&mut self, filtering: &Filtering, held: Held, out: &mut Vec<u8>) {
        self.state.held_bytes = self.state.held_bytes.saturating_add(held.event.len());
        self.held.push_back(held);
        self.release(filtering, out);
        if self.state.held_bytes > HELD_BYTES_MAX && filtering.policy.classifier(Side::Completion).is_none() {
            self.end_all(filtering, out);
        }
    }

    /// Lets the events go on, the oldest first, whose texts are certain. An asynchronous filter's wait for nothing but
    /// the last event for its verdict.
    fn release(&mut self, filtering: &Filtering, out: &mut Vec<u8>) {
        let along = filtering.policy.mode() == FilterMode::Asynchronous;
        while let Some(held) = self.held.front() {
            let certain = |(index, until): &(u32, u64)| {
                let choice = self.state.choices.iter().find(|choice| choice.index == *index);
                choice.is_none_or(|choice| choice.certain(filtering) >= *until)
            };
            let waits = held.tells || !along;
            if waits && !held.until.iter().all(certain) {
                return;
            }
            let found = self.found();
            let Some(held) = self.held.pop_front() else { return };
            self.state.held_bytes = self.state.held_bytes.saturating_sub(held.event.len());
            let told = if held.tells { told(filtering, &held.event, found) } else { None };
            out.extend_from_slice(told.as_ref().unwrap_or(&held.event).as_bytes());
        }
    }

    /// An event where personal data gives way to placeholders: a text's pieces are withheld until it is over, and come
    /// as one.
    fn masked(
        &mut self,
        filtering: &Filtering,
        json: &str,
        said: &ResponseEvent<'_>,
        tells: bool,
        until: Vec<(u32, u64)>,
        out: &mut Vec<u8>,
    ) {
        let part = self.parts.iter_mut().find(|part| part.key == said.part);
        match (part, &said.delta) {
            (Some(part), Some(_)) => return json.clone_into(&mut part.withheld),
            (None, Some(_)) => return,
            (Some(part), None) if !part.withheld.is_empty() => {
                let quoted = quote::json(&part.text);
                let masked = Edit::apply(quoted.as_bytes(), &mask_prompt(&quoted, 0));
                let masked = String::from_utf8(masked).unwrap_or_default();
                let piece = Raw::object(part.withheld.as_bytes()).map(|piece| with(piece, "delta", &masked));
                part.withheld.clear();
                if let Some(piece) = piece {
                    let event = named(&format!("{}.delta", stem(&said.kind)), &piece);
                    self.hold(filtering, Held { event, until: until.clone(), tells: false }, out);
                }
            }
            (Some(_) | None, None) => {}
        }
        let bytes = Edit::apply(json.as_bytes(), &mask_answer(json));
        let event = named(&said.kind, &String::from_utf8(bytes).unwrap_or_default());
        self.hold(filtering, Held { event, until, tells }, out);
    }
}

impl Held {
    /// An event as it came.
    fn new(event: &[u8], until: Vec<(u32, u64)>) -> Self {
        let mut event = String::from_utf8_lossy(event).into_owned();
        event.push_str("\n\n");
        Self { event, until, tells: false }
    }
}

/// One text as a choice takes it.
fn pieces<'a>(member: &'a str, text: &'a str) -> ChoiceParts<'a> {
    let texts = Vec::from([(Cow::Borrowed(member), Cow::Borrowed(text))]);
    ChoiceParts { texts, ..ChoiceParts::default() }
}

/// The last event with what was found; `None` where nothing is told.
fn told(filtering: &Filtering, event: &str, found: Findings) -> Option<String> {
    let json = data(event.as_bytes())?;
    let raw = Raw::object(json.as_bytes())?;
    let response = filtering.annotated(raw.get("response")?, found)?;
    Some(named(&raw.text_at("type")?, &with(raw, "response", &response)))
}

/// The last events of a filtered run.
fn ended_run(run: &str) -> String {
    let mut left = Object::new();
    for (name, value) in Raw::trusted(if run.is_empty() { "{}" } else { run }).members() {
        let value = match &*name {
            "status" => "\"incomplete\"",
            "incomplete_details" => "{\"reason\":\"content_filter\"}",
            "required_action" => "null",
            _ => value.as_str(),
        };
        left.put(&name, value);
    }
    [named("thread.run.incomplete", &left.end()), named("done", "[DONE]")].concat()
}

fn named(kind: &str, json: &str) -> String {
    format!("event: {kind}\ndata: {json}\n\n")
}

fn stem(kind: &str) -> &str {
    kind.strip_suffix(".done").unwrap_or(kind)
}

/// The object with another value of one member.
fn with(object: Raw<'_>, name: &str, json: &str) -> String {
    let mut copy = Object::new();
    for (known, value) in object.members() {
        copy.put(&known, if known == name { json } else { value.as_str() });
    }
    copy.end()
}

#[cfg(test)]
mod tests;
