//! A stream under a content policy: what of it may go on, and what is told beside it.
//!
//! Above the stages. Two modes (`azure.md`, B5). *Buffered*: an event goes on when nothing can be found any more in
//! the text up to its end, whatever follows; that is a word or the beginning of a listed phrase later, so text is
//! held back by some hundred characters at most, never by time. Where a classifier is asked, an event also waits until
//! that has judged the part of the text that it belongs to (`choice`). *Asynchronous*: events go on at once, and
//! findings follow them. A violation ends its text in the form of the dialect (`choices`, `response`), and nothing that
//! is still held back of it goes on.

mod choice;
mod choices;
mod response;

use super::filtering::{Filtering, Form};
use crate::policy::{Findings, PolicyError, Question, Side};
use crate::time::UnixMillis;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use choice::Choice;
use choices::Choices;
use memchr::memmem;
use response::Spoken;

/// Held-back bytes at which the oldest go on as far as they were read: choices that wait for each other must not
/// fill an isolate's memory.
const HELD_BYTES_MAX: usize = 256 * 1_024;
/// Held-back bytes at which a classifier is too slow for the stream, which breaks off then.
const UNJUDGED_BYTES_MAX: usize = 4 * 1_024 * 1_024;

/// What to do with a piece of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Vetted {
    /// Pass these bytes on.
    Pass(Vec<u8>),
    /// Pass these bytes on and end the stream: it was filtered.
    Filtered(Vec<u8>),
    /// More waits for a classifier than may.
    Stuck,
}

/// A part of a choice's text that a classifier is asked about.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) choice: u32,
    pub(super) until: u64,
    pub(super) question: Question,
}

/// A stream of one dialect being vetted.
pub(super) trait Vets: core::fmt::Debug {
    /// Takes one event, without the empty line at its end.
    fn event(&mut self, filtering: &Filtering, now: UnixMillis, event: &[u8], out: &mut Vec<u8>);
    /// Something new is known about the texts.
    fn go_on(&mut self, filtering: &Filtering, out: &mut Vec<u8>);
    /// The texts are over though the stream may not be: what was read is judged as it stands.
    fn end_all(&mut self, filtering: &Filtering, out: &mut Vec<u8>);
    /// Whether it was filtered as a whole.
    fn is_filtered(&self, filtering: &Filtering) -> bool;
    /// What all dialects have.
    fn state(&mut self) -> &mut State;
}

/// What is known of a stream in any dialect.
#[derive(Debug, Default)]
pub(super) struct State {
    choices: Vec<Choice>,
    held_bytes: usize,
    /// The upstream's last event was seen; it goes on when all texts are judged.
    ending: bool,
    over: bool,
}

impl Filtering {
    /// Begins to vet a stream of the form.
    fn begun(&mut self) -> Box<dyn Vets> {
        self.vetting.take().unwrap_or_else(|| match self.form {
            Form::Response | Form::Kept | Form::Pictures | Form::Transcript => Box::new(Spoken::default()),
            Form::Chat | Form::Completions | Form::Unread => Box::new(Choices::default()),
        })
    }

    /// Takes whole events; of chats and text completions in the strict grammar.
    pub(super) fn push(&mut self, now: UnixMillis, events: &[u8]) -> Vetted {
        let mut vetting = self.begun();
        let mut out = Vec::with_capacity(events.len().saturating_add(512));
        let plain: Vec<u8>;
        let mut rest = events;
        if !matches!(self.form, Form::Chat | Form::Completions) && memchr::memchr(b'\r', events).is_some() {
            plain = events.iter().copied().filter(|byte| *byte != b'\r').collect();
            rest = &plain;
        }
        while let Some(at) = memmem::find(rest, b"\n\n").filter(|_| !vetting.state().over) {
            let (event, after) = rest.split_at_checked(at).unwrap_or((rest, &[]));
            rest = after.get(2..).unwrap_or_default();
            vetting.event(self, now, event, &mut out);
        }
        self.vetted(vetting, out)
    }

    /// A classifier's verdict about a window; none if it failed.
    ///
    /// # Errors
    /// [`PolicyError::NoVerdict`] if the text may not go on without one.
    pub(super) fn judged(
        &mut self,
        choice: u32,
        until: u64,
        found: Option<Findings>,
    ) -> Result<Vetted, PolicyError> {
        let open = self.policy.classifier(Side::Completion).is_some_and(|asked| asked.classifier.open);
        let found = found.or_else(|| open.then(Findings::unjudged)).ok_or(PolicyError::NoVerdict)?;
        let mut vetting = self.begun();
        let mut out = Vec::new();
        if let Some(choice) = vetting.state().choices.iter_mut().find(|known| known.index == choice) {
            choice.judged(until, found);
        }
        vetting.go_on(self, &mut out);
        Ok(self.vetted(vetting, out))
    }

    fn vetted(&mut self, mut vetting: Box<dyn Vets>, out: Vec<u8>) -> Vetted {
        let state = vetting.state();
        let stuck = !state.over && state.held_bytes > UNJUDGED_BYTES_MAX;
        let filtered = state.over && vetting.is_filtered(self);
        self.vetting = Some(vetting);
        match (stuck, filtered) {
            (true, _) => Vetted::Stuck,
            (false, true) => Vetted::Filtered(out),
            (false, false) => Vetted::Pass(out),
        }
    }

    /// The next part of the stream's text that a classifier is to be asked about.
    pub(super) fn window(&mut self, now: UnixMillis) -> Option<Window> {
        let state = self.vetting.as_mut()?.state();
        let (all, over) = (state.ending, state.over);
        let found = state.choices.iter_mut().filter(|_| !over);
        let mut found = found.filter_map(|choice| Some((choice.index, choice.next(now, all)?)));
        let (choice, (until, text)) = found.next()?;
        let prompt = self.texts.as_ref().map_or("", |texts| texts.all.as_str());
        let questions = self.policy.classifier(Side::Completion)?.about_answer(prompt, &text)?;
        Some(Window { choice, until, question: questions.into_iter().next()? })
    }

    /// Whether a part of the stream waits for a classifier. Called when the stream is over.
    pub(super) fn waits(&mut self) -> bool {
        let Some(state) = self.vetting.as_mut().map(|vetting| vetting.state()) else { return false };
        if state.over {
            return false;
        }
        state.ending = true;
        state.choices.iter().any(Choice::pending)
    }

    /// The stream ended regularly: what is still held back goes on, or what ends it.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(mut vetting) = self.vetting.take()
            && !vetting.state().over
        {
            vetting.end_all(self, &mut out);
        }
        out
    }
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
