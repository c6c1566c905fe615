//! A stream before its first content: held back, so that an upstream that says 200 and then fails can still give way
//! to another one, or to an honest error.
//!
//! Above the stages. Decides when a stream is the exchange's answer (the commit point): with its first content (text,
//! reasoning, a tool call's arguments), with its regular end, or when more was held back than may be. Until then a
//! break, an error event, something that is no event, silence, or an end without an answer is an outcome of the
//! attempt like any other; of what such a stream sent nothing reaches the caller.

use super::action::{Action, Event, Failure, Head, StreamEnd};
use super::isolate::Isolate;
use super::relay::Relayed;
use super::running::Running;
use super::translated;
use super::words::{Words, upstream_words};
use crate::attempt::{Outcome, Step};
use crate::error::WeirError;
use crate::time::{Millis, UnixMillis};
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;
use memchr::memmem;
use serde_json::Value;

/// Pieces that are held back at most; a stream that talks on without saying anything is the answer then.
const PIECES_MAX: u32 = 64;
/// Bytes that are held back at most.
const BYTES_MAX: usize = 256 * 1_024;

/// What came of a stream that is not the answer yet.
#[derive(Debug, Default)]
pub(super) struct Opening {
    status: u16,
    /// What the caller gets first, if this becomes the answer.
    bytes: Vec<u8>,
    pieces: u32,
}

impl Running {
    /// What of a piece goes on in the canonical dialect; `None` if it is no stream any more.
    pub(super) fn relayed<'p>(&mut self, piece: &'p [u8]) -> Option<Cow<'p, [u8]>> {
        let over = self.relay.as_ref()?.is_finished();
        let own = if over { None } else { self.whole_events(piece) };
        let relay = self.relay.as_mut()?;
        let piece = translated::relayed(self.decoder.as_deref_mut(), piece);
        let relayed = relay.push(&piece);
        if self.decoder.as_ref().is_some_and(|decoder| decoder.is_broken()) {
            return None;
        }
        match relayed {
            Relayed::Broken => None,
            Relayed::Same | Relayed::Instead(_) if own.is_some() => own,
            Relayed::Same => Some(piece),
            Relayed::Instead(bytes) => Some(Cow::Owned(bytes)),
        }
    }

    /// Forgets a stream that did not become the answer. Answers the outcome of the attempt and the upstream's own
    /// words, if it told of an error in `piece` or just before.
    fn forget(&mut self, outcome: Outcome, piece: &[u8]) -> (Outcome, Option<Words>) {
        let failure = self.decoder.take().and_then(|decoder| decoder.failure());
        self.held = None;
        let Some(relay) = self.relay.take() else { return (outcome, None) };
        let broken = outcome == Outcome::Malformed;
        let said = || failure.map(|status| (answered(status), None));
        let told = || said().or_else(|| told_error(relay.fault())).or_else(|| told_error(piece));
        broken.then(told).flatten().unwrap_or((outcome, None))
    }
}

impl Isolate {
    /// The head of a stream: nothing goes to the caller before there is content.
    pub(super) fn hold_stream(
        &mut self,
        now: UnixMillis,
        handle: u32,
        mut running: Running,
        status: u16,
    ) -> Action {
        running.held = Some(Box::new(Opening { status, ..Opening::default() }));
        self.read_on(now, handle, running)
    }

    /// What follows from `event` for a stream that is not the answer yet.
    pub(super) fn advance_held(
        &mut self,
        now: UnixMillis,
        random: u64,
        handle: u32,
        running: Running,
        event: Event<'_>,
    ) -> Action {
        let outcome = match event {
            Event::Piece(piece) if running.passed.is_some() => {
                return self.held_passed(now, random, handle, running, piece);
            }
            Event::Piece(piece) => return self.held_piece(now, random, handle, running, piece),
            Event::Ended(StreamEnd::CallerLeft) => {
                self.abandon(now, running);
                return Action::Abort(Vec::new());
            }
            Event::Ended(StreamEnd::TimedOut) | Event::Failed(Failure::TimedOut) => Outcome::TimedOut,
            Event::Ended(StreamEnd::Closed | StreamEnd::Broken) | Event::Failed(Failure::Unreachable) => {
                Outcome::BrokeOff
            }
            Event::Failed(Failure::TooLarge) | Event::Resumed | Event::Head { .. } | Event::Answer { .. } => {
                Outcome::Malformed
            }
        };
        self.lose(now, random, handle, running, outcome, &[])
    }

    fn held_piece(
        &mut self,
        now: UnixMillis,
        random: u64,
        handle: u32,
        mut running: Running,
        piece: &[u8],
    ) -> Action {
        let Some(bytes) = running.relayed(piece) else {
            return self.lose(now, random, handle, running, Outcome::Malformed, piece);
        };
        if let Some(held) = running.held.as_mut() {
            held.bytes.extend_from_slice(&bytes);
        }
        // A dialect without a terminal event says only at the end of the body why it ended.
        let told = running.decoder.as_ref().is_some_and(|decoder| decoder.is_told())
            // What only the upstream's own dialect can say is content as well.
            || (running.own_words.is_some() && memmem::find(&bytes, b"content_block_delta").is_some());
        let (ready, empty) = running.relay.as_ref().map_or((false, true), |relay| {
            let ready = relay.has_content() || told;
            (ready, relay.is_finished() && !ready)
        });
        // The terminal event alone, without any answer, is what a failure behind an upstream's own proxy looks like.
        if empty {
            return self.lose(now, random, handle, running, Outcome::Malformed, &[]);
        }
        self.weigh(now, random, handle, running, ready)
    }

    /// Goes on holding, or makes the stream the answer.
    pub(super) fn weigh(
        &mut self,
        now: UnixMillis,
        random: u64,
        handle: u32,
        mut running: Running,
        ready: bool,
    ) -> Action {
        let late = now >= running.until;
        if late && !ready && running.machine.has_onward(now) {
            return self.lose(now, random, handle, running, Outcome::TimedOut, &[]);
        }
        let full = running.held.as_mut().is_none_or(|held| {
            held.pieces = held.pieces.saturating_add(1);
            held.pieces >= PIECES_MAX || held.bytes.len() >= BYTES_MAX
        });
        // A stream that keeps itself alive past its time, with nobody to go on to, is as good as it gets.
        if !(ready || full || late) {
            return self.read_on(now, handle, running);
        }
        let Some(mut running) = self.won(now, handle, running) else { return Action::Abort(Vec::new()) };
        match self.commit_stream(now, random, &mut running) {
            Ok((head, bytes)) => {
                let idle = running.deadlines.idle;
                // A policy may ask a classifier about it, which is done beside a stream.
                let again = running.needs_text();
                let bytes =
                    if again { core::mem::replace(&mut running.pending, bytes) } else { running.say(bytes) };
                self.keep(now, handle, running);
                Action::DeliverStream { head, idle, bytes, again }
            }
            Err(step) => self.perform(now, handle, running, step, None),
        }
    }

    /// The commit point: the caller's head, and what was held back.
    fn commit_stream(
        &mut self,
        now: UnixMillis,
        random: u64,
        running: &mut Running,
    ) -> Result<(Head, Vec<u8>), Step> {
        let held = running.held.take().map(|held| *held).unwrap_or_default();
        let step = self.step(now, random, running, &answered(held.status));
        if step != Step::Deliver {
            return Err(step);
        }
        running.head_at = Some(now);
        let answer = if running.passed.is_some() {
            self.passed_head_of(now, running, held.status, Some("text/event-stream"))
        } else {
            self.head(now, running, held.status, "text/event-stream")
        };
        Ok((answer, held.bytes))
    }

    /// The stream failed before it was the answer, maybe by what `piece` says.
    fn lose(
        &mut self,
        now: UnixMillis,
        random: u64,
        handle: u32,
        mut running: Running,
        outcome: Outcome,
        piece: &[u8],
    ) -> Action {
        let (outcome, message) = running.forget(outcome, piece);
        self.outcome(now, random, handle, running, &outcome, message)
    }

    fn held_passed(
        &mut self,
        now: UnixMillis,
        random: u64,
        handle: u32,
        mut running: Running,
        piece: &[u8],
    ) -> Action {
        let onward = running.machine.has_onward(now);
        let Some((passed, held)) = running.passed.as_mut().zip(running.held.as_mut()) else {
            return self.fail(now, running, &WeirError::Bug { what: "a passed stream without its facts" });
        };
        let Some(bytes) = passed.push(piece) else {
            return self.lose(now, random, handle, running, Outcome::Malformed, piece);
        };
        held.bytes.extend_from_slice(&bytes);
        let hides = onward || passed.hides_failures();
        if let Some((failure, _)) = passed.failure().filter(|(_, error)| hides || *error) {
            let (outcome, message) = told_error(failure.as_bytes()).unwrap_or((Outcome::BrokeOff, None));
            running.held = None;
            return self.outcome(now, random, handle, running, &outcome, message);
        }
        // With nobody to go on to, the upstream's own word for its failure is the answer.
        let ready = passed.has_content() || passed.failure().is_some();
        self.weigh(now, random, handle, running, ready)
    }

    fn read_on(&mut self, now: UnixMillis, handle: u32, running: Running) -> Action {
        let timeout = running.until.since(now).max(Millis(1));
        self.keep(now, handle, running);
        Action::ReadPiece { timeout }
    }
}

/// The status that an error event means, and its words. The dialect has no place for a status, so servers put it
/// into `code` or say it by `type` (`providers.md`, 1.4 and 1.7).
fn told_error(events: &[u8]) -> Option<(Outcome, Option<Words>)> {
    let text = core::str::from_utf8(events).ok()?;
    let mut datas = text.lines().filter_map(|line| line.strip_prefix("data:"));
    datas.find_map(|data| error_of(data.trim()))
}

/// As [`told_error`], of a whole answer.
pub(super) fn whole_error(body: &[u8]) -> Option<(Outcome, Option<Words>)> {
    error_of(core::str::from_utf8(body).ok()?)
}

fn error_of(data: &str) -> Option<(Outcome, Option<Words>)> {
    let event: Value = crate::json::read(data).ok()?;
    let nested = ["/error", "/response/error"].into_iter().find_map(|path| event.pointer(path));
    let typed = || event.get("type").and_then(Value::as_str) == Some("error");
    let error = nested.filter(|error| !error.is_null()).or_else(|| typed().then_some(&event))?;
    let number = |name: &str| {
        let value = error.get(name)?;
        value.as_u64().or_else(|| value.as_str()?.parse().ok())
    };
    let told = ["code", "status", "status_code"].into_iter().find_map(number);
    let mut words = ["type", "code"].into_iter().filter_map(|name| error.get(name)?.as_str());
    let meant = words.find_map(status_of);
    let status = told.filter(|status| (400..600).contains(status)).or(meant).unwrap_or(500);
    let status = u16::try_from(status).unwrap_or(500);
    let message = if status < 500 { upstream_words(data.as_bytes()) } else { None };
    Some((answered(status), message))
}

/// The outcome of a failure with a status and nothing beside.
const fn answered(status: u16) -> Outcome {
    Outcome::Answered { status, retry_after: None, should_retry: None }
}

/// The status that an error's word stands for.
fn status_of(word: &str) -> Option<u64> {
    match word {
        "rate_limit_error" | "rate_limit_exceeded" | "tokens" | "requests" => Some(429),
        "insufficient_quota" => Some(402),
        "overloaded_error" => Some(529),
        "invalid_request_error" | "context_length_exceeded" | "invalid_prompt" => Some(400),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_event_has_a_status() {
        let rows = [
            ("data: {\"error\":{\"message\":\"m\",\"code\":429}}\n\n", Some(429)),
            ("data: {\"error\":{\"message\":\"m\",\"code\":\"503\"}}\n\n", Some(503)),
            ("data: {\"error\":{\"type\":\"overloaded_error\",\"code\":null}}\n\n", Some(529)),
            ("data: {\"error\":{\"type\":\"server_error\"}}\n\n", Some(500)),
            (
                "data: {\"error\":{\"type\":\"invalid_request_error\",\"message\":\"too long\"}}\n\n",
                Some(400),
            ),
            ("event: error\ndata: {\"type\":\"error\",\"code\":\"rate_limit_exceeded\"}\n\n", Some(429)),
            (
                "data: {\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"server_error\"}}}\n\n",
                Some(500),
            ),
            ("data: {\"error\":\"text\"}\n\n", Some(500)),
            (": nothing\n\n", None),
            ("data: <html>\n\n", None),
            ("data: {\"choices\":[],\"error\":null}\n\ndata: <html>\n\n", None),
        ];
        for (events, want) in rows {
            let got = told_error(events.as_bytes()).map(|(outcome, _)| outcome);
            assert_eq!(got, want.map(answered), "{events}");
        }
    }
}
