//! The second half of an exchange: from the upstream's answer to the settled end.
//!
//! Above the stages. Decides what each event means for a running exchange: another attempt, an answer, a piece of
//! a stream, the end; of a stream before its first content see `holding`. Every way out of here settles the
//! reservation and, if the upstream gave a usable answer, writes one usage record (promise 2).

use super::action::{Action, Event, Failure, Head, Pause, UpstreamHeaders};
use super::admit::{Admission, Held};
use super::classify::Then;
use super::head::{self, HeadFacts};
use super::hedging::Leg;
use super::holding::whole_error;
use super::isolate::Isolate;
use super::kept::Parts;
use super::passed;
use super::relay::StreamRelay;
use super::running::Running;
use super::settled::refused;
use super::words::{Words, upstream_words};
use crate::account::record::Usage;
use crate::account::{chars, usage};
use crate::attempt::backoff::retry_after;
use crate::attempt::{AttemptError, Outcome, Step};
use crate::error::WeirError;
use crate::reply::{self, Reply};
use crate::route::RouteError;
use crate::snapshot::Task;
use crate::surface::Surface;
use crate::time::{Millis, UnixMillis};
use crate::translate::Notes;
use alloc::borrow::Cow;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

/// The longest wait of an upstream that is told to the caller.
const RETRY_AFTER_MAX: Millis = Millis(60_000);

impl Isolate {
    /// What follows from `event` for a running exchange.
    pub(super) fn advance(
        &mut self,
        now: UnixMillis,
        random: u64,
        handle: u32,
        mut running: Running,
        event: Event<'_>,
    ) -> Action {
        let tells = matches!(event, Event::Answer { .. } | Event::Failed(_) | Event::Resumed);
        if let Some(asked) = running.asked.take_if(|_| tells) {
            return self.classified(now, random, handle, running, *asked, event);
        }
        if running.held.is_some() {
            return self.advance_held(now, random, handle, running, event);
        }
        if running.passed.is_some() && passed::is_good(&event) {
            return self.advance_passed(now, random, handle, running, event);
        }
        match event {
            Event::Resumed if running.head_at.is_some() => self.vet_pending(now, handle, running),
            Event::Resumed => {
                let step = running.machine.resume(now);
                self.perform(now, handle, running, step, None)
            }
            Event::Head { status, headers } => {
                self.track_quota(now, &running, &headers);
                let stream = (200..300).contains(&status) && running.is_stream(&headers);
                running.whole_since = (stream && running.buffers()).then_some(now);
                if stream && running.whole_since.is_none() {
                    return self.stream_begins(now, handle, running, status);
                }
                self.keep(now, handle, running);
                Action::ReadWhole
            }
            Event::Answer { status, body, .. } if running.whole_since.is_some() => {
                self.buffered(now, random, handle, running, status, body)
            }
            Event::Answer { status, headers, body } => {
                self.track_quota(now, &running, &headers);
                match running.canonical(now, status, &headers, body) {
                    None => {
                        self.answered(now, random, handle, running, status, &headers, Cow::Borrowed(body))
                    }
                    Some(mut whole) => {
                        let (status, body) = (whole.status, core::mem::take(&mut whole.body));
                        let headers = whole.headers(&headers);
                        self.answered(now, random, handle, running, status, &headers, Cow::Owned(body))
                    }
                }
            }
            Event::Failed(failure) => {
                let outcome = match failure {
                    Failure::Unreachable => Outcome::Unreachable,
                    Failure::TimedOut => Outcome::TimedOut,
                    Failure::TooLarge => Outcome::Malformed,
                };
                self.outcome(now, random, handle, running, &outcome, None)
            }
            Event::Piece(piece) => self.piece(now, handle, running, piece),
            Event::Ended(end) => self.ended(now, handle, running, end),
        }
    }

    /// Does what the attempt machine says. `words` is what the upstream said, for an error that ends it.
    pub(super) fn perform(
        &mut self,
        now: UnixMillis,
        handle: u32,
        mut running: Running,
        step: Step,
        words: Option<Words>,
    ) -> Action {
        match step {
            Step::Send { entity, timeout } => {
                if running.entity != entity {
                    self.scatter(now, &mut running);
                }
                running.entity = entity;
                let Some(prepared) = running.entities.get(usize::try_from(entity).unwrap_or(usize::MAX))
                else {
                    return self.fail(
                        now,
                        running,
                        &WeirError::Bug { what: "an entity of the plan is missing" },
                    );
                };
                let mut send = prepared.send.clone();
                send.timeout = timeout;
                send.hedge = running.hedge_after();
                running.part(&mut send);
                if let Some(translation) = &prepared.translation {
                    translation.sign(now, &mut send);
                }
                let own_words = prepared.translation.as_ref().is_some_and(|own| own.is_own_words());
                running.own_words = own_words.then(Vec::new);
                running.until = now.plus(timeout);
                running.turn_to(entity);
                self.track_sent(now, &mut running);
                self.keep(now, handle, running);
                Action::Send(send)
            }
            Step::Wait { until, .. } => {
                self.keep(now, handle, running);
                Action::Pause(Pause::For(until.since(now)))
            }
            Step::GiveUp(error) => {
                let error = match error {
                    AttemptError::UpstreamStatus { status, retry_after, .. } => match words {
                        Some(Words { text, too_long: true }) if status == 400 => {
                            AttemptError::PromptTooLong { message: text }
                        }
                        words => {
                            let message = words.map(|words| words.text);
                            AttemptError::UpstreamStatus { status, retry_after, message }
                        }
                    },
                    AttemptError::PromptTooLong { .. }
                    | AttemptError::Unreachable
                    | AttemptError::Timeout
                    | AttemptError::Malformed
                    | AttemptError::BadCredential
                    | AttemptError::Redirect => error,
                };
                self.fail(now, running, &WeirError::Attempt(error))
            }
            // Answers are delivered where their bodies are at hand, never from here.
            Step::Deliver => self.fail(now, running, &WeirError::Bug { what: "an answer without a body" }),
        }
    }

    pub(super) fn outcome(
        &mut self,
        now: UnixMillis,
        random: u64,
        handle: u32,
        mut running: Running,
        outcome: &Outcome,
        words: Option<Words>,
    ) -> Action {
        if running.leg.is_some() {
            return self.leg_failed(now, random, handle, running, outcome, words);
        }
        let step = self.step(now, random, &mut running, outcome);
        self.perform(now, handle, running, step, words)
    }

    /// The upstream has no room, and another deployment takes what this one refuses: the request is admitted there,
    /// under that one's limits. Here it stays counted; its tokens go back.
    fn spill(&mut self, now: UnixMillis, handle: u32, running: Running, parts: Rc<Parts>) -> Action {
        self.leases.settle(now, running.reservation, 0);
        let admission = Admission { spilled: true, wait: None, looks: 0, ..running.admission };
        self.admit_held(now, handle, &Held { admission, parts })
    }

    /// What the attempt machine makes of an outcome, within the deployment's retry budget.
    pub(super) fn step(
        &mut self,
        now: UnixMillis,
        random: u64,
        running: &mut Running,
        outcome: &Outcome,
    ) -> Step {
        self.track_outcome(now, running, outcome);
        let budget = self.retries.entry(running.scope.clone()).or_default();
        running.machine.outcome(now, random, outcome, budget)
    }

    /// A whole answer: the caller's, if it is one of its dialect; else an outcome to think about.
    #[expect(clippy::too_many_arguments, reason = "an answer has these parts; each caller has them apart")]
    fn answered(
        &mut self,
        now: UnixMillis,
        random: u64,
        handle: u32,
        mut running: Running,
        status: u16,
        headers: &UpstreamHeaders<'_>,
        body: Cow<'_, [u8]>,
    ) -> Action {
        let good = (200..300).contains(&status);
        let answer = if good && !running.streamed { usage::read(&body) } else { None };
        let answer = answer.filter(|answer| !answer.error);
        let outcome = if good && answer.is_none() {
            Outcome::Malformed
        } else {
            Outcome::Answered {
                status,
                retry_after: retry_after(now, headers.retry_after_ms, headers.retry_after, RETRY_AFTER_MAX),
                should_retry: headers.should_retry.and_then(|word| word.parse().ok()),
            }
        };
        let Some(answer) = answer else {
            // An error with 200 is the error that it says to be.
            let told = if good { whole_error(&body) } else { None };
            let of_error = || (400..500).contains(&status).then(|| upstream_words(&body)).flatten();
            let (outcome, words) = told.unwrap_or_else(|| (outcome, of_error()));
            if running.leg.is_some() {
                return self.leg_failed(now, random, handle, running, &outcome, words);
            }
            let step = self.step(now, random, &mut running, &outcome);
            return match (step, running.kept.take()) {
                (Step::Wait { .. } | Step::GiveUp(_), Some(parts)) if status == 429 => {
                    self.spill(now, handle, running, parts)
                }
                (step, kept) => {
                    running.kept = kept;
                    self.perform(now, handle, running, step, words)
                }
            };
        };
        let (told, several) = (answer.usage, !running.gathered.is_empty());
        let Some(body) = running.gather(body) else {
            let step = running.machine.go_on(now);
            return self.perform(now, handle, running, step, None);
        };
        let step = self.step(now, random, &mut running, &outcome);
        if step != Step::Deliver {
            return self.perform(now, handle, running, step, None);
        }
        let text = match running.task {
            Task::Chat | Task::Completions => u64::try_from(body.len()).unwrap_or(u64::MAX),
            Task::Embeddings => 0,
        };
        let told = if several { usage::read(&body).and_then(|whole| whole.usage) } else { told };
        let used = told.unwrap_or_else(|| usage::estimate(running.prompt_chars, text));
        running.head_at = Some(now);
        if let Some(tracked) = running.tracked.as_mut() {
            tracked.output_chars = chars::of_answer(&body);
        }
        if let Some(filtering) = running.filtering.as_ref().filter(|filtering| filtering.needs_text()) {
            let questions = filtering.about_answer(&body, false);
            if questions.as_ref().is_none_or(|questions| !questions.is_empty()) {
                let then = Then::Deliver { status, used, body: body.into_owned(), events: false };
                return self.ask_all(now, handle, running, questions, then);
            }
        }
        self.deliver(now, running, status, used, body)
    }

    /// The whole answer goes to the caller, unless the deployment's content policy refuses it.
    fn deliver(
        &mut self,
        now: UnixMillis,
        mut running: Running,
        status: u16,
        used: Usage,
        body: Cow<'_, [u8]>,
    ) -> Action {
        let filtered = match &mut running.filtering {
            Some(filtering) => filtering.delivered(now, &body, &[], &used, false),
            None => Ok(None),
        };
        let filtered = match filtered {
            Ok(filtered) => filtered,
            Err(error) => return self.refuse_answer(now, running, &error.into(), used),
        };
        let told = running.tell(filtered.map_or(body, |text| Cow::Owned(text.into_bytes())));
        let own_words = running.own_words.is_some();
        let head = self.head(now, &running, status, "application/json");
        self.settle(now, running, status, used, true);
        match told {
            // The upstream's own words are with the driver.
            Cow::Owned(_) if own_words => Action::Deliver(head),
            Cow::Owned(body) => {
                let body = String::from_utf8(body).unwrap_or_default();
                Action::Reply(Reply { status: head.status, headers: head.headers, body })
            }
            Cow::Borrowed(_) => Action::Deliver(head),
        }
    }

    /// An exchange whose driver is gone: what its answer was is unknown, so the reservation counts as used.
    pub(super) fn abandon(&mut self, now: UnixMillis, mut running: Running) {
        self.track_left(now, &mut running);
        if running.leg.as_deref().is_some_and(Leg::is_second) {
            return;
        }
        if let Some(handle) = running.log.take() {
            self.logs.forget(handle);
        }
        match running.relay.take().map(StreamRelay::observed) {
            Some(observed) => {
                let used = observed
                    .usage
                    .unwrap_or_else(|| usage::estimate(running.prompt_chars, observed.output_chars));
                self.settle(now, running, 200, used, false);
            }
            None => match running.passed.as_ref().filter(|_| running.head_at.is_some()) {
                Some(passed) => {
                    let used = passed.used(running.prompt_chars);
                    self.settle(now, running, 200, used, false);
                }
                None => self.leases.settle_as_reserved(now, running.reservation),
            },
        }
    }

    /// No answer: the tokens go back, the request stays counted.
    pub(super) fn fail(&mut self, now: UnixMillis, mut running: Running, error: &WeirError) -> Action {
        self.forget_asked(now, &mut running);
        self.scatter(now, &mut running);
        self.track_left(now, &mut running);
        if let Some(estimate) = self.estimated(now, &mut running, error) {
            return estimate;
        }
        let kept = running.passed.as_ref().is_some_and(|passed| !passed.generates);
        let lost = matches!(error, WeirError::Attempt(AttemptError::UpstreamStatus { status: 404, .. }));
        let error = if kept && lost { &WeirError::Route(RouteError::UnknownId) } else { error };
        let mut reply = reply::render(error, running.surface, running.operation, running.admission.id);
        self.dress(&mut reply.headers, running.surface, running.client_request_id.as_deref());
        if running.track.explained {
            reply.headers.push(("x-weir-explain", self.explain(now, &running)));
        }
        if running.log.is_some() || running.tracked.is_some() {
            let record = refused(now, &mut running, reply.status, error.label());
            self.end_log(running.log, &record);
            self.batches.push_failure(now, &running.account, &record);
        }
        self.count_unanswered(now, &running.account, &running.unanswered(error));
        self.leases.settle(now, running.reservation, 0);
        Action::Reply(reply)
    }

    /// Adds what every answer of Weir's own has on the surface.
    pub(super) fn dress(
        &self,
        headers: &mut Vec<(&'static str, String)>,
        surface: Surface,
        echo: Option<&str>,
    ) {
        head::dress(headers, surface, self.settings.region.as_deref(), echo);
    }

    pub(super) fn head(
        &self,
        now: UnixMillis,
        running: &Running,
        status: u16,
        content_type: &'static str,
    ) -> Head {
        let entity = usize::try_from(running.entity).ok().and_then(|at| running.entities.get(at));
        let facts = HeadFacts {
            surface: running.surface,
            id: running.admission.id,
            status,
            content_type,
            entity: entity.map(|entity| entity.name.as_str()),
            client_request_id: running.client_request_id.as_deref(),
            region: self.settings.region.as_deref(),
        };
        let mut head = head::answer(&facts, &self.leases.standings(now, &running.reservation));
        head.headers.extend(running.notes().into_iter().flat_map(Notes::headers));
        if running.track.explained {
            head.headers.push(("x-weir-explain", self.explain(now, running)));
        }
        head
    }
}

pub(super) fn is_event_stream(headers: &UpstreamHeaders<'_>) -> bool {
    headers.content_type.is_some_and(|value| {
        value.trim_start().get(..17).is_some_and(|head| head.eq_ignore_ascii_case("text/event-stream"))
    })
}
