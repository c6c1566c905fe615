//! The answers of passed calls (`pass`): marked, watched and handed on.
//!
//! Above the stages. Decides what becomes of an upstream's good answer by what it is: a stream of events goes on event
//! by event, JSON whole, with the marks of this upstream on its ids; anything else (sound, files) goes on as it comes.
//! Errors and failed calls are `finish`'s, as for every exchange.

use super::action::{Action, Event, Head, StreamEnd, UpstreamHeaders};
use super::classify::Then;
use super::filtering::Form;
use super::finish::is_event_stream;
use super::gemini::{Seen, Watched};
use super::holding::whole_error;
use super::isolate::Isolate;
use super::running::Running;
use super::stages::{Stage, stage_of};
use super::vetting::Vetted;
use crate::account::record::Usage;
use crate::account::usage;
use crate::attempt::{Outcome, Step};
use crate::error::WeirError;
use crate::reply::{self, Reply};
use crate::surface::Matter;
use crate::time::UnixMillis;
use crate::wire::marks::{self, Mark};
use crate::wire::raw::Raw;
use crate::wire::sse::EVENT_BYTES_MAX;
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use memchr::memmem;

/// What is special about a passed call.
#[derive(Debug)]
pub(super) struct Passed {
    /// The mark of each entity of the plan; none of one that is not sent the call as it came. Empty where the upstream
    /// keeps nothing.
    marks: Vec<Option<Mark>>,
    /// Written behind the ids of the answer: that of the entity that is called.
    mark: Option<Mark>,
    /// Whether a stream says itself when it is over.
    told: bool,
    /// Whether a model was asked for something.
    pub(super) generates: bool,
    /// The beginning of an event that is not whole yet.
    held: Vec<u8>,
    usage: Option<Usage>,
    /// The event that ends such a stream was there.
    terminal: bool,
    /// Events that were more than a beginning.
    said: u32,
    /// The data of an event that told of a failure, and whether it was an error and no answer's last event.
    failure: Option<(String, bool)>,
    /// Characters of what the answer said.
    chars: u64,
    /// The number of its next event, if they are numbered.
    next: Option<u64>,
    /// What answers a question for a count if no upstream does.
    pub(super) estimate: Option<String>,
    /// Given for a call of the Gemini API.
    gemini: Option<Box<Watched>>,
}

impl Passed {
    /// A call that goes to one of the entities with these marks, the first at first.
    pub(super) fn new(marks: Vec<Option<Mark>>, matter: Matter, generates: bool) -> Self {
        let told = matches!(matter, Matter::Responses | Matter::Kept);
        Self { mark: marks.first().copied().flatten(), marks, told, generates, ..Self::rows() }
    }

    /// An answer to rows: whatever the upstream says, as it is.
    pub(super) const fn rows() -> Self {
        Self {
            marks: Vec::new(),
            mark: None,
            told: false,
            generates: true,
            held: Vec::new(),
            usage: None,
            terminal: false,
            said: 0,
            chars: 0,
            next: None,
            failure: None,
            estimate: None,
            gemini: None,
        }
    }

    /// A question for a count of tokens.
    pub(super) fn counting(estimate: String) -> Self {
        Self { generates: false, estimate: Some(estimate), ..Self::rows() }
    }

    /// A call of the Gemini API.
    pub(super) fn gemini(generates: bool) -> Self {
        Self { told: true, generates, gemini: Some(Box::default()), ..Self::rows() }
    }

    /// Whether an upstream's own error event says nothing to the surface's clients, so that it never goes on.
    pub(super) const fn hides_failures(&self) -> bool {
        self.gemini.is_some()
    }

    /// Looks at a whole answer; `None` if it is none of its dialect. Answers what it used.
    fn whole(&mut self, text: &str, prompt_chars: u64) -> Option<Usage> {
        let used = match &mut self.gemini {
            None => usage::from_json(text.as_bytes()).unwrap_or_default(),
            Some(watched) => match watched.event(text) {
                Seen::Begin | Seen::Content => watched.used(prompt_chars),
                Seen::Failure | Seen::Garbage => return None,
            },
        };
        Some(if self.generates { used } else { Usage::default() })
    }

    fn marked(&self, text: &str) -> String {
        self.mark.map_or_else(|| text.to_owned(), |mark| marks::mark(text, mark))
    }

    /// Another call begins, of the entity at this place of the plan; nothing of an earlier one is left. Answers whether
    /// it goes on as it came.
    pub(super) fn begin(&mut self, entity: u32) -> bool {
        self.held.clear();
        self.gemini.iter_mut().for_each(|watched| **watched = Watched::default());
        (self.usage, self.terminal, self.said, self.failure) = (None, false, 0, None);
        (self.chars, self.next) = (0, None);
        let Some(mark) = usize::try_from(entity).ok().and_then(|at| self.marks.get(at)) else { return true };
        self.mark = *mark;
        mark.is_some()
    }

    /// Whether the stream has said something.
    pub(super) const fn has_content(&self) -> bool {
        self.said > 0
    }

    /// What an event told of a failure, if one did before any content; and whether it was an error, which no client
    /// takes for an answer.
    pub(super) fn failure(&self) -> Option<(&str, bool)> {
        let (data, error) = self.failure.as_ref().filter(|_| self.said == 0)?;
        Some((data, *error))
    }

    /// Whether an event was no client's answer but an error.
    fn is_broken(&self) -> bool {
        self.failure.as_ref().is_some_and(|(_, error)| *error)
    }

    /// Takes bytes of a stream, and gives its whole events, marked. `None` if it is none.
    pub(super) fn push(&mut self, piece: &[u8]) -> Option<Vec<u8>> {
        self.held.extend_from_slice(piece);
        let end = ["\n\n", "\r\n\r\n"].into_iter().filter_map(|gap| {
            memmem::rfind(&self.held, gap.as_bytes()).map(|at| at.saturating_add(gap.len()))
        });
        let Some(end) = end.max() else {
            let fits = u32::try_from(self.held.len()).is_ok_and(|length| length <= EVENT_BYTES_MAX);
            return fits.then(Vec::new);
        };
        let rest = self.held.split_off(end);
        let events = core::mem::replace(&mut self.held, rest);
        let text = core::str::from_utf8(&events).ok()?;
        for event in text.split("\n\n") {
            self.watch(event);
        }
        // What an error follows is broken off.
        let lost = self.hides_failures() && self.failure.is_some() && self.said > 0;
        (!lost).then(|| self.marked(text).into_bytes())
    }

    fn watch(&mut self, event: &str) {
        for data in event.lines().filter_map(|line| line.strip_prefix("data:")) {
            let data = data.trim();
            let event = Raw::object(data.as_bytes());
            let number = event.and_then(|event| event.get("sequence_number")?.count(u64::MAX));
            self.next = number.map(|number| number.saturating_add(1)).or(self.next);
            let stage = match &mut self.gemini {
                Some(watched) => watched.stage(data),
                None => match stage_of(data, event) {
                    // No response ends before it said anything, and each event of one is JSON.
                    Stage::Last if self.told && self.said == 0 && event.is_none() => Stage::Error,
                    Stage::Content if self.told && event.is_none() => Stage::Error,
                    stage @ (Stage::Begin | Stage::Content | Stage::Last | Stage::Failure | Stage::Error) => {
                        stage
                    }
                },
            };
            match stage {
                Stage::Begin => {}
                Stage::Content => {
                    self.said = self.said.saturating_add(1);
                    let delta = event.and_then(|event| event.get("delta")).filter(Raw::is_text);
                    let chars = delta.map_or(0, |text| text.as_str().len().saturating_sub(2));
                    self.chars = self.chars.saturating_add(u64::try_from(chars).unwrap_or(u64::MAX));
                }
                Stage::Last => (self.terminal, self.said) = (true, self.said.saturating_add(1)),
                Stage::Failure | Stage::Error => {
                    self.terminal = true;
                    self.failure = Some((format!("data: {data}"), matches!(stage, Stage::Error)));
                }
            }
            if let Some(usage) = usage::nested(data) {
                self.usage = Some(usage);
            }
        }
    }

    /// What the stream used: what the upstream said; else, once a model said something, by the length of the texts.
    pub(super) fn used(&self, prompt_chars: u64) -> Usage {
        if let Some(watched) = &self.gemini {
            return watched.used(prompt_chars);
        }
        let estimated = || usage::estimate(prompt_chars, self.chars);
        self.usage.unwrap_or_else(|| if self.chars > 0 { estimated() } else { Usage::default() })
    }

    /// The number of the stream's next event, if they are numbered: those of responses are.
    pub(super) const fn next_number(&self) -> Option<u64> {
        self.next
    }

    /// Whether a stream that ended so is whole. Responses and runs say when they are; of other streams the regular
    /// end of the body is all there is.
    fn is_whole(&self, end: StreamEnd) -> bool {
        let closed = end == StreamEnd::Closed;
        self.held.is_empty()
            && !self.is_broken()
            // A candidate may say again and again why it ended.
            && (closed || self.gemini.is_none())
            && (self.terminal || (!self.told && closed))
            && end != StreamEnd::CallerLeft
    }
}

impl Watched {
    /// How far the stream is with the event of this data.
    fn stage(&mut self, data: &str) -> Stage {
        match self.event(data) {
            Seen::Begin => Stage::Begin,
            Seen::Content if self.done => Stage::Last,
            Seen::Content => Stage::Content,
            Seen::Failure | Seen::Garbage => Stage::Failure,
        }
    }
}

/// Whether an event tells of a good answer.
pub(super) fn is_good(event: &Event<'_>) -> bool {
    match event {
        Event::Head { status, .. } | Event::Answer { status, .. } => (200..300).contains(status),
        Event::Piece(_) | Event::Ended(_) => true,
        Event::Resumed | Event::Failed(_) => false,
    }
}

fn is_json(headers: &UpstreamHeaders<'_>) -> bool {
    headers.content_type.is_some_and(|value| {
        let kind = value.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/json")
    })
}

impl Running {
    /// Whether a good answer with these headers is read whole: JSON, and what is none where nothing else is an answer.
    fn passed_whole(&self, headers: &UpstreamHeaders<'_>) -> bool {
        let strict = self.passed.as_ref().is_some_and(|passed| passed.hides_failures());
        is_json(headers) || ((strict || self.reads_transcript()) && !is_event_stream(headers))
    }
}

impl Isolate {
    /// What follows from a good answer of a passed call ([`is_good`]).
    pub(super) fn advance_passed(
        &mut self,
        now: UnixMillis,
        random: u64,
        handle: u32,
        running: Running,
        event: Event<'_>,
    ) -> Action {
        match event {
            Event::Head { headers, .. } if running.passed_whole(&headers) => {
                self.keep(now, handle, running);
                Action::ReadWhole
            }
            Event::Head { status, headers } => {
                if is_event_stream(&headers) {
                    return self.hold_stream(now, handle, running, status);
                }
                // A response is JSON or a stream, and nothing else.
                if running.passed.as_ref().is_some_and(|passed| passed.told && passed.generates) {
                    return self.outcome(now, random, handle, running, &Outcome::Malformed, None);
                }
                self.passed_head(now, random, handle, running, status, &headers)
            }
            Event::Answer { status, headers, body } if running.reads_transcript() && !is_json(&headers) => {
                self.passed_text(now, random, handle, running, status, body)
            }
            Event::Answer { status, body, .. } => {
                self.passed_answer(now, random, handle, running, status, body)
            }
            Event::Piece(piece) => self.passed_piece(now, handle, running, piece),
            Event::Ended(end) => self.passed_end(now, handle, running, end),
            Event::Resumed | Event::Failed(_) => {
                self.fail(now, running, &WeirError::Bug { what: "no answer of a passed call" })
            }
        }
    }

    /// Something that is no text.
    fn passed_head(
        &mut self,
        now: UnixMillis,
        random: u64,
        handle: u32,
        mut running: Running,
        status: u16,
        headers: &UpstreamHeaders<'_>,
    ) -> Action {
        if let Err(step) = self.commit(now, random, &mut running, status) {
            return self.perform(now, handle, running, step, None);
        }
        let kind = headers.content_type.filter(|value| value.bytes().all(|byte| matches!(byte, b' '..=b'~')));
        let head = self.passed_head_of(now, &mut running, status, kind);
        self.settle(now, running, status, Usage::default(), true);
        Action::HandThrough(head)
    }

    /// JSON.
    fn passed_answer(
        &mut self,
        now: UnixMillis,
        random: u64,
        handle: u32,
        mut running: Running,
        status: u16,
        body: &[u8],
    ) -> Action {
        // An error with 200 is the error that it says to be; a response that failed is one that says so.
        let error = Raw::object(body).map(|raw| raw.get("error").filter(|_| raw.get("object").is_none()));
        let text = match error {
            Some(error) if error.is_none_or(|error| error.is_null()) => core::str::from_utf8(body).ok(),
            Some(_) => {
                let (outcome, words) = whole_error(body).unwrap_or((Outcome::Malformed, None));
                return self.outcome(now, random, handle, running, &outcome, words);
            }
            None => {
                let text = core::str::from_utf8(body).ok();
                text.filter(|text| Raw::parse(text).is_some_and(|raw| raw.is_array()))
            }
        };
        let Some(text) = text else {
            return self.outcome(now, random, handle, running, &Outcome::Malformed, None);
        };
        let prompt_chars = running.prompt_chars;
        let Some(used) = running.passed.as_mut().and_then(|passed| passed.whole(text, prompt_chars)) else {
            let step = self.step(now, random, &mut running, &Outcome::Malformed);
            return self.perform(now, handle, running, step, None);
        };
        if let Err(step) = self.commit(now, random, &mut running, status) {
            return self.perform(now, handle, running, step, None);
        }
        let Some(passed) = &running.passed else {
            return self.fail(now, running, &WeirError::Bug { what: "a passed call without its facts" });
        };
        let body = passed.marked(text);
        let read = running.filtering.as_ref().is_some_and(|filtering| filtering.form != Form::Unread);
        if read && (200..300).contains(&status) {
            return self.passed_judged(now, handle, running, status, body, used);
        }
        let head = self.passed_head_of(now, &mut running, status, Some("application/json"));
        self.settle(now, running, status, used, true);
        Action::Reply(Reply { status, headers: head.headers, body })
    }

    /// JSON that a policy reads.
    pub(super) fn passed_judged(
        &mut self,
        now: UnixMillis,
        handle: u32,
        mut running: Running,
        status: u16,
        body: String,
        used: Usage,
    ) -> Action {
        running.head_at = Some(now);
        let reads = running.filtering.as_ref().filter(|filtering| filtering.needs_text());
        let questions = match reads {
            Some(filtering) => filtering.about_answer(body.as_bytes(), false),
            None => Some(Vec::new()),
        };
        let then = Then::Deliver { status, used, body: body.into_bytes(), events: false };
        self.ask_all(now, handle, running, questions, then)
    }

    fn passed_piece(&mut self, now: UnixMillis, handle: u32, mut running: Running, piece: &[u8]) -> Action {
        let late = now.since(running.admission.began) > running.deadlines.total;
        let pushed = running.passed.as_mut().filter(|_| !late).and_then(|passed| {
            let bytes = passed.push(piece)?;
            (!passed.is_broken()).then_some(bytes)
        });
        let Some(bytes) = pushed else {
            let end = if late { StreamEnd::TimedOut } else { StreamEnd::Broken };
            return self.passed_end(now, handle, running, end);
        };
        let mut pending = core::mem::take(&mut running.pending);
        pending.extend_from_slice(&bytes);
        if let Some(vetted) = running.vetted().map(|filtering| filtering.push(now, &pending)) {
            return self.vetted(now, handle, running, vetted);
        }
        self.keep(now, handle, running);
        Action::PassInstead(pending)
    }

    fn passed_end(&mut self, now: UnixMillis, handle: u32, mut running: Running, end: StreamEnd) -> Action {
        let whole = running.passed.as_ref().is_some_and(|passed| passed.is_whole(end));
        let pending = core::mem::take(&mut running.pending);
        let Some(filtering) = running.vetted().filter(|_| whole) else {
            return self.passed_closed(now, running, end, Vec::new());
        };
        let vetted = filtering.push(now, &pending);
        if filtering.waits() || !matches!(vetted, Vetted::Pass(_)) {
            running.over = Some(end);
            return self.vetted(now, handle, running, vetted);
        }
        let out = if let Vetted::Pass(bytes) = vetted { bytes } else { Vec::new() };
        self.passed_closed(now, running, end, out)
    }

    /// A passed stream is over, and nothing of it waits.
    pub(super) fn passed_closed(
        &mut self,
        now: UnixMillis,
        mut running: Running,
        end: StreamEnd,
        mut out: Vec<u8>,
    ) -> Action {
        let passed = running.passed.as_ref();
        let whole = passed.is_some_and(|passed| passed.is_whole(end));
        let used = passed.map(|passed| passed.used(running.prompt_chars)).unwrap_or_default();
        let (surface, number) = (running.surface, running.next_number());
        if let Some(filtering) = running.vetted().filter(|_| whole) {
            out.extend(filtering.finish());
        }
        self.settle(now, running, 200, used, whole);
        match (whole, end) {
            (true, _) => Action::Close(out),
            (false, StreamEnd::CallerLeft) => Action::Abort(Vec::new()),
            (false, StreamEnd::Closed | StreamEnd::Broken | StreamEnd::TimedOut) => {
                Action::Abort(reply::stream_error(surface, number, reply::Broken::Upstream))
            }
        }
    }

    /// The answer at hand is the exchange's; else what to do instead.
    pub(super) fn commit(
        &mut self,
        now: UnixMillis,
        random: u64,
        running: &mut Running,
        status: u16,
    ) -> Result<(), Step> {
        let outcome = Outcome::Answered { status, retry_after: None, should_retry: None };
        let step = self.step(now, random, running, &outcome);
        if step == Step::Deliver { Ok(()) } else { Err(step) }
    }

    pub(super) fn passed_head_of(
        &self,
        now: UnixMillis,
        running: &mut Running,
        status: u16,
        content_type: Option<&str>,
    ) -> Head {
        running.head_at = Some(now);
        let mut head = self.head(now, running, status, "application/octet-stream");
        if let (Some(first), Some(kind)) = (head.headers.first_mut(), content_type) {
            kind.clone_into(&mut first.1);
        }
        head
    }
}

#[cfg(test)]
mod tests;
