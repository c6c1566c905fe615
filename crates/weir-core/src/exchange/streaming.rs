//! A stream on its way to the caller: each piece, each verdict about a part of it, and its end.
//!
//! Above the stages. Decides what of a stream goes on and when it is over: regularly only if its terminal event was
//! seen (promise 3), and if a content policy that must judge it did. Which bytes go on is `relay`'s and `vetting`'s.

use super::action::{Action, StreamEnd};
use super::isolate::Isolate;
use super::relay::{Relayed, StreamRelay};
use super::running::Running;
use super::vetting::Vetted;
use crate::account::record::Usage;
use crate::account::usage;
use crate::reply;
use crate::surface::Surface;
use crate::time::UnixMillis;
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;

impl Isolate {
    /// The head of a stream, which is held back until it says something (`holding`).
    pub(super) fn stream_begins(
        &mut self,
        now: UnixMillis,
        handle: u32,
        mut running: Running,
        status: u16,
    ) -> Action {
        let end_wanted = running.surface != Surface::MlflowGateway;
        let relay = StreamRelay::new(running.usage_wanted, end_wanted);
        running.relay = Some(match running.mender(now) {
            Some(mender) => relay.mending(mender),
            None => relay,
        });
        running.decoder = running.decoder(now).map(Box::new);
        self.hold_stream(now, handle, running, status)
    }

    pub(super) fn piece(
        &mut self,
        now: UnixMillis,
        handle: u32,
        mut running: Running,
        piece: &[u8],
    ) -> Action {
        if now.since(running.admission.began) > running.deadlines.total || running.relay.is_none() {
            return self.ended(now, handle, running, StreamEnd::TimedOut);
        }
        let Some(bytes) = running.relayed(piece) else {
            return self.ended(now, handle, running, StreamEnd::Broken);
        };
        let mut pending = core::mem::take(&mut running.pending);
        let vetted = running.vetted().map(|filtering| {
            if pending.is_empty() {
                return filtering.push(now, &bytes);
            }
            pending.extend_from_slice(&bytes);
            filtering.push(now, &pending)
        });
        match (vetted, bytes) {
            (Some(vetted), _) => self.vetted(now, handle, running, vetted),
            (None, Cow::Borrowed(_)) if !running.retells() => {
                self.keep(now, handle, running);
                Action::PassPiece
            }
            (None, bytes) => {
                let bytes = running.say(bytes.into_owned());
                self.keep(now, handle, running);
                Action::PassInstead(bytes)
            }
        }
    }

    /// The stream was begun for the caller: a policy reads what was held back of it.
    pub(super) fn vet_pending(&mut self, now: UnixMillis, handle: u32, mut running: Running) -> Action {
        let pending = core::mem::take(&mut running.pending);
        if let Some(vetted) = running.vetted().map(|filtering| filtering.push(now, &pending)) {
            return self.vetted(now, handle, running, vetted);
        }
        let pending = running.say(pending);
        self.keep(now, handle, running);
        Action::PassInstead(pending)
    }

    /// What becomes of a part of a stream under a policy: it goes on, with a question to a classifier beside it if one
    /// is due.
    pub(super) fn vetted(
        &mut self,
        now: UnixMillis,
        handle: u32,
        mut running: Running,
        mut vetted: Vetted,
    ) -> Action {
        let mut out = Vec::new();
        loop {
            match vetted {
                Vetted::Pass(bytes) if out.is_empty() => out = bytes,
                Vetted::Pass(bytes) => out.extend(bytes),
                Vetted::Filtered(bytes) => {
                    out.extend(bytes);
                    let out = running.say(out);
                    self.filtered(now, running);
                    return Action::Close(out);
                }
                Vetted::Stuck => return self.unjudged(now, running, out),
            }
            if running.asked.is_some() {
                break;
            }
            let window = running.vetted().and_then(|filtering| filtering.window(now));
            let Some(window) = window else {
                if let Some(end) = running.over {
                    return self.closed(now, running, end, out);
                }
                break;
            };
            if let Some((asked, send)) = self.ask_about(now, &running, &window) {
                running.asked = Some(Box::new(asked));
                let pass = running.say(out);
                self.keep(now, handle, running);
                return Action::Ask { pass, send };
            }
            match running.vetted().map(|filtering| filtering.judged(window.choice, window.until, None)) {
                Some(Ok(next)) => vetted = next,
                Some(Err(_)) | None => return self.unjudged(now, running, out),
            }
        }
        let out = running.say(out);
        self.keep(now, handle, running);
        Action::PassInstead(out)
    }

    /// A stream that its content policy ended: what came of it counts, and for the caller it is whole.
    fn filtered(&mut self, now: UnixMillis, mut running: Running) {
        let used = observed(&mut running);
        self.settle(now, running, 200, used, true);
    }

    /// A stream that a classifier did not judge, under a policy that is closed then.
    pub(super) fn unjudged(&mut self, now: UnixMillis, mut running: Running, out: Vec<u8>) -> Action {
        let mut out = running.say(out);
        let used = observed(&mut running);
        out.extend(reply::stream_error(running.surface, running.next_number(), reply::Broken::Unjudged));
        self.settle(now, running, 200, used, false);
        Action::Abort(out)
    }

    /// The stream is over. What a classifier has not judged yet waits for it.
    pub(super) fn ended(
        &mut self,
        now: UnixMillis,
        handle: u32,
        mut running: Running,
        end: StreamEnd,
    ) -> Action {
        let Some(relay) = running.relay.as_mut() else {
            self.abandon(now, running);
            return Action::Abort(Vec::new());
        };
        let mut rest = Vec::new();
        if let Some(decoder) = running.decoder.as_mut().filter(|_| end == StreamEnd::Closed) {
            rest = decoder.end();
            if let Relayed::Instead(bytes) = relay.push(&rest) {
                rest = bytes;
            }
        }
        // An event of the upstream's own that its end made whole.
        if let Some(held) = running.own_words.as_mut() {
            rest = core::mem::take(held);
            if !rest.is_empty() {
                rest.extend_from_slice(b"\n\n");
            }
        }
        let unsaid = relay.unsaid_end().filter(|_| end == StreamEnd::Closed);
        rest.extend_from_slice(unsaid.unwrap_or_default());
        let finished = (relay.is_finished() || unsaid.is_some()) && end != StreamEnd::CallerLeft;
        let pending = core::mem::take(&mut running.pending);
        let Some(filtering) = running.vetted().filter(|_| finished) else {
            return self.closed(now, running, end, rest);
        };
        let vetted = if pending.is_empty() {
            filtering.push(now, &rest)
        } else {
            filtering.push(now, &[pending, rest].concat())
        };
        if filtering.waits() || !matches!(vetted, Vetted::Pass(_)) {
            running.over = Some(end);
            return self.vetted(now, handle, running, vetted);
        }
        let out = if let Vetted::Pass(bytes) = vetted { bytes } else { Vec::new() };
        self.closed(now, running, end, out)
    }

    /// The stream is over, and nothing of it waits: regularly only if its terminal event was seen (promise 3).
    fn closed(&mut self, now: UnixMillis, mut running: Running, end: StreamEnd, mut out: Vec<u8>) -> Action {
        if running.passed.is_some() {
            return self.passed_closed(now, running, end, out);
        }
        let Some(relay) = running.relay.take() else {
            self.abandon(now, running);
            return Action::Abort(out);
        };
        let unsaid = relay.unsaid_end().is_some() && end == StreamEnd::Closed;
        let observed = relay.observed();
        let whole = (observed.terminal || unsaid) && !observed.error && !observed.garbage;
        let complete = whole && end != StreamEnd::CallerLeft;
        let used =
            observed.usage.unwrap_or_else(|| usage::estimate(running.prompt_chars, observed.output_chars));
        if let Some(tracked) = running.tracked.as_mut() {
            tracked.output_chars = Some(observed.output_chars);
        }
        let (surface, number) = (running.surface, running.next_number());
        if let Some(filtering) = running.vetted().filter(|_| complete) {
            out.extend(filtering.finish());
        }
        if complete {
            out = running.say(out);
        }
        if end == StreamEnd::CallerLeft {
            self.track_left(now, &mut running);
        } else if !complete {
            self.track_broken(now, &mut running);
        }
        self.settle(now, running, 200, used, complete);
        match (complete, end) {
            (true, _) => Action::Close(out),
            (false, StreamEnd::CallerLeft) => Action::Abort(Vec::new()),
            (false, StreamEnd::Closed | StreamEnd::Broken | StreamEnd::TimedOut) => {
                Action::Abort(reply::stream_error(surface, number, reply::Broken::Upstream))
            }
        }
    }
}

/// What was used by a stream that ends here.
fn observed(running: &mut Running) -> Usage {
    if let Some(passed) = &running.passed {
        return passed.used(running.prompt_chars);
    }
    let observed = running.relay.take().map(StreamRelay::observed);
    let (usage, chars) = observed.map_or((None, 0), |observed| (observed.usage, observed.output_chars));
    usage.unwrap_or_else(|| usage::estimate(running.prompt_chars, chars))
}
