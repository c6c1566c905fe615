//! A passed-through stream, event by event: what the caller gets of it, and what it tells about the exchange.
//!
//! Above the stages. Decides which bytes go on: whole events as they are wherever possible; comments, `event:`
//! lines and CRLF are removed, because strict clients break on them (`azure.md` A11, `databricks.md` 10.5); the
//! usage event is withheld from callers who did not ask for it (`design.md` section 8, "Metering"). It holds
//! back an event that is not whole yet, so a caller never gets a part of one that breaks off.

use crate::account::observe::{Observed, StreamObserver};
use crate::translate::near::mend::Mender;
use crate::wire::raw::Raw;
use crate::wire::sse::{self, DONE, EVENT_BYTES_MAX};
use alloc::boxed::Box;
use alloc::vec::Vec;
use memchr::memmem;

/// What to pass on for one piece.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Relayed {
    /// The piece as it is.
    Same,
    /// These bytes instead.
    Instead(Vec<u8>),
    /// The upstream sends something that is no event stream, or reports an error in mid-stream.
    Broken,
}

/// One stream on its way to the caller.
#[derive(Debug)]
pub(super) struct StreamRelay {
    observer: StreamObserver,
    /// Whether the caller asked for the usage event.
    usage_wanted: bool,
    /// Whether the caller gets the terminal event; `MLflow`'s gateway sends none (`databricks.md` 11.5).
    end_wanted: bool,
    /// The beginning of an event that is not whole yet.
    held: Vec<u8>,
    finished: bool,
    /// Given if the upstream only claims to speak the dialect.
    mender: Option<Box<Mender>>,
    /// What could not be passed on, once it is broken.
    fault: Vec<u8>,
}

impl StreamRelay {
    pub(super) fn new(usage_wanted: bool, end_wanted: bool) -> Self {
        let (observer, held, fault) = (StreamObserver::default(), Vec::new(), Vec::new());
        Self { observer, usage_wanted, end_wanted, held, finished: false, mender: None, fault }
    }

    /// Whether an event goes on to the caller.
    fn passes(&self, event: &[u8]) -> bool {
        (self.usage_wanted || !is_usage_event(event)) && (self.end_wanted || event != DONE)
    }

    /// The same of an upstream whose events may need mending. They get it from the first on that does; a stream whose
    /// events are as they should be is passed on as any other.
    pub(super) fn mending(self, mender: Mender) -> Self {
        Self { mender: Some(Box::new(mender)), ..self }
    }

    /// What ends such a stream for its caller if it has no terminal event, though all its choices said why they ended.
    pub(super) fn unsaid_end(&self) -> Option<&'static [u8]> {
        let end = if self.end_wanted { DONE } else { &[] };
        let over = self.mender.is_some() && self.held.is_empty() && self.observer.is_unsaid();
        over.then_some(end)
    }

    /// Takes the next bytes of the upstream's stream.
    pub(super) fn push(&mut self, piece: &[u8]) -> Relayed {
        if self.finished {
            return Relayed::Instead(Vec::new());
        }
        if self.held.is_empty() && is_plain(piece) {
            return self.push_plain(piece);
        }
        self.push_general(piece)
    }

    /// Whether there was something for the caller to read, or the answer is complete without it.
    pub(super) const fn has_content(&self) -> bool {
        self.observer.has_content()
    }

    /// Whether the terminal event was seen.
    pub(super) const fn is_finished(&self) -> bool {
        self.finished
    }

    /// The events with which it broke; empty if it did not.
    pub(super) fn fault(&self) -> &[u8] {
        &self.fault
    }

    /// What was seen, once the stream is over.
    pub(super) fn observed(self) -> Observed {
        self.observer.finish()
    }

    /// The usual case: whole events in the strict grammar. Nothing is copied unless an event is withheld.
    fn push_plain(&mut self, piece: &[u8]) -> Relayed {
        self.observe(piece);
        if self.observer.is_broken() {
            self.fault = piece.to_vec();
            return Relayed::Broken;
        }
        self.finished = self.observer.is_terminal();
        let mends = self.mender.is_some() && self.observer.is_odd();
        let goes = (self.usage_wanted || !has_usage(piece)) && (self.end_wanted || !self.finished);
        if goes && !mends {
            return Relayed::Same;
        }
        let mut out = Vec::with_capacity(piece.len());
        let mut rest = piece;
        while let Some((event, after)) = split_event(rest) {
            if self.passes(event) {
                self.put(event, &mut out);
            }
            rest = after;
        }
        Relayed::Instead(out)
    }

    /// Looks at what comes. Who was told events before the first odd one was told the roles.
    fn observe(&mut self, bytes: &[u8]) {
        let (odd, began) = (self.observer.is_odd(), self.observer.has_events());
        self.observer.push(bytes);
        if let Some(mender) = self.mender.as_mut().filter(|_| began && !odd && self.observer.is_odd()) {
            mender.roles_told();
        }
    }

    /// Passes an event on, mended if its stream needs it.
    fn put(&mut self, event: &[u8], out: &mut Vec<u8>) {
        let odd = self.observer.is_odd();
        let data = event.strip_prefix(b"data: ").and_then(|data| Raw::object(data.trim_ascii_end()));
        match (self.mender.as_mut().filter(|_| odd), data) {
            (Some(mender), Some(data)) => sse::encode_data(out, mender.event(data).as_bytes()),
            (Some(_) | None, _) => out.extend_from_slice(event),
        }
    }

    /// Any other case: events cut by the network, CRLF, comments, other fields.
    fn push_general(&mut self, piece: &[u8]) -> Relayed {
        self.held.extend(piece.iter().copied().filter(|byte| *byte != b'\r'));
        if u32::try_from(self.held.len()).map_or(true, |length| length > EVENT_BYTES_MAX) {
            return Relayed::Broken;
        }
        let held = core::mem::take(&mut self.held);
        let mut out = Vec::with_capacity(held.len());
        let mut rest: &[u8] = &held;
        while let Some((event, after)) = split_event(rest) {
            let event = strict(event);
            self.observe(&event);
            if self.passes(&event) {
                self.put(&event, &mut out);
            }
            rest = after;
        }
        self.held = rest.to_vec();
        if self.observer.is_broken() {
            self.fault = held;
            return Relayed::Broken;
        }
        self.finished = self.observer.is_terminal();
        Relayed::Instead(out)
    }
}

/// Whether `piece` is whole events of one `data: ` line each.
fn is_plain(piece: &[u8]) -> bool {
    if !piece.ends_with(b"\n\n") || memchr::memchr(b'\r', piece).is_some() {
        return false;
    }
    let mut start = 0usize;
    for end in memchr::memchr_iter(b'\n', piece) {
        let line = piece.get(start..end).unwrap_or_default();
        if !line.is_empty() && !line.starts_with(b"data: ") {
            return false;
        }
        start = end.saturating_add(1);
    }
    true
}

/// The first event of `bytes` with its empty line, and what follows it.
fn split_event(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memmem::find(bytes, b"\n\n")?;
    bytes.split_at_checked(at.saturating_add(2))
}

/// The event's `data` lines in the strict grammar; nothing if it has none (a comment, a keep-alive).
fn strict(event: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(event.len());
    for line in event.split(|byte| *byte == b'\n') {
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        let Some(data) = line.strip_prefix(b"data:") else { continue };
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(data.strip_prefix(b" ").unwrap_or(data));
        out.push(b'\n');
    }
    if !out.is_empty() {
        out.push(b'\n');
    }
    out
}

fn has_usage(bytes: &[u8]) -> bool {
    memmem::find(bytes, b"\"usage\"").is_some()
}

/// Whether the event tells usage and nothing else: `choices` is empty (`providers.md`, 1.7).
fn is_usage_event(event: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Chunk<'a> {
        #[serde(borrow)]
        choices: Option<&'a serde_json::value::RawValue>,
        #[serde(borrow)]
        usage: Option<&'a serde_json::value::RawValue>,
    }
    if !has_usage(event) {
        return false;
    }
    let json = event.strip_prefix(b"data: ").unwrap_or(event);
    serde_json::from_slice::<Chunk<'_>>(json).is_ok_and(|chunk| {
        let empty =
            chunk.choices.is_none_or(|choices| choices.get().bytes().all(|b| b"[] \n\t".contains(&b)));
        empty && chunk.usage.is_some_and(|usage| usage.get() != "null")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translate::Form;
    use alloc::format;
    use alloc::string::String;
    use proptest::prelude::*;

    const DELTA: &str =
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":null}]}\n\n";
    const STOP: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1,\"total_tokens\":4}}\n\n";
    const END: &str = "data: [DONE]\n\n";

    fn relay(stream: &[u8], cuts: &[usize], usage: bool, end: bool) -> (String, Observed) {
        let (mut relay, mut out, mut start) = (StreamRelay::new(usage, end), Vec::new(), 0);
        for cut in cuts.iter().copied().chain([stream.len()]) {
            let piece = &stream[start..cut.max(start)];
            start = cut.max(start);
            match relay.push(piece) {
                Relayed::Same => out.extend_from_slice(piece),
                Relayed::Instead(bytes) => out.extend_from_slice(&bytes),
                Relayed::Broken => panic!("broken"),
            }
        }
        (String::from_utf8(out).unwrap(), relay.observed())
    }

    proptest! {
        /// Any split of the bytes gives the same answer, with usage withheld from those who did not ask.
        #[test]
        fn splits_change_nothing(mut cuts in proptest::collection::vec(0usize..360, 0..8), crlf: bool, asked: bool, end: bool) {
            let mut stream = [": hello\n\n", DELTA, STOP, USAGE, END].concat();
            if crlf {
                stream = stream.replace('\n', "\r\n");
            }
            cuts.sort_unstable();
            for cut in &mut cuts {
                *cut = (*cut).min(stream.len());
            }
            let (text, observed) = relay(stream.as_bytes(), &cuts, asked, end);
            let want = [DELTA, STOP, if asked { USAGE } else { "" }, if end { END } else { "" }];
            prop_assert_eq!(text, want.concat());
            prop_assert!(observed.terminal);
            prop_assert_eq!(observed.usage.map(|usage| usage.total()), Some(4));
        }
    }

    #[test]
    fn whole_events_are_passed_on_as_they_are() {
        let mut relay = StreamRelay::new(false, true);
        assert_eq!(relay.push(DELTA.as_bytes()), Relayed::Same);
        assert_eq!(relay.push([STOP, END].concat().as_bytes()), Relayed::Same);
        assert!(relay.observed().terminal);
    }

    #[test]
    fn an_odd_stream_is_mended_from_its_first_odd_event_on_however_it_is_cut() {
        let odd = "data: {\"id\":\"a\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"eos\"}]}\n\n";
        let good = odd.replace("\"eos\"", "null").replace("{}", "{\"role\":\"assistant\",\"content\":\"x\"}");
        let bare = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n";
        let form = || Form { id: "w".into(), created: 7, model: "m".into(), base64: false, input_tokens: 0 };
        let run = |stream: &str, step: usize, mends: bool| {
            let mut relay = StreamRelay::new(false, true);
            if mends {
                relay = relay.mending(Mender::new(form()));
            }
            let mut out = Vec::new();
            for piece in stream.as_bytes().chunks(step) {
                match relay.push(piece) {
                    Relayed::Same => out.extend_from_slice(piece),
                    Relayed::Instead(bytes) => out.extend_from_slice(&bytes),
                    Relayed::Broken => panic!("broken"),
                }
            }
            (String::from_utf8(out).unwrap(), relay.unsaid_end().is_some(), relay.observed().finished)
        };
        for step in [1, 7, 4_000] {
            let (text, unsaid, finished) = run(&[&good, odd, END].concat(), step, true);
            assert!(
                text.starts_with(&good) && text.contains("\"finish_reason\":\"stop\"") && text.ends_with(END),
                "{text}"
            );
            assert!(!unsaid && finished, "the terminal event came");
            assert!(run(&[&good, odd].concat(), step, true).1 && !run(&[&good, odd].concat(), step, false).1);
            assert!(!run(&good, step, true).1, "no choice said why it ended");
            assert_eq!(run(&[&good, odd, END].concat(), step, false).0, [&good, odd, END].concat());
            let (text, _, finished) = run(&[bare, bare].concat(), step, true);
            let whole = |role: &str| {
                format!(
                    "data: {{\"choices\":[{{\"index\":0,\"delta\":{{{role}\"content\":\"x\"}},\"finish_reason\":null}}],\"id\":\"w\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"m\"}}\n\n"
                )
            };
            assert_eq!(text, [whole("\"role\":\"assistant\","), whole("")].concat());
            assert!(!finished);
        }
    }

    #[test]
    fn an_event_without_an_end_is_bounded() {
        let mut relay = StreamRelay::new(false, true);
        let piece = alloc::vec![b'x'; EVENT_BYTES_MAX as usize + 1];
        assert_eq!(relay.push(&piece), Relayed::Broken);
    }
}
