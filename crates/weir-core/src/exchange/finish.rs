//! The second half of an exchange: from the upstream's answer to the settled end.
//!
//! Above the stages. Decides what each event means for a running exchange: another attempt, an answer, a piece of
//! a stream, the end; of a stream before its first content see `holding`. Every way out of here settles the
//! reservation and, if the upstream gave a usable answer, writes one usage record (promise 2).

use super::action::{Action, Event, Failure, Head, Pause, Send, StreamEnd, UpstreamHeaders};
use super::admit::{Admission, Held};
use super::classify::{Asked, Then};
use super::filtering::Filtering;
use super::head::{self, HeadFacts};
use super::hedging::Leg;
use super::holding::{Opening, whole_error};
use super::isolate::Isolate;
use super::kept::Parts;
use super::passed::{self, Passed};
use super::relay::StreamRelay;
use super::settled::refused;
use super::tracking::{Track, Tried};
use super::translated::Translation;
use super::words::{Words, upstream_words};
use crate::account::record::Tracked;
use crate::account::{chars, usage};
use crate::attempt::backoff::retry_after;
use crate::attempt::{AttemptError, AttemptMachine, Outcome, Step};
use crate::error::WeirError;
use crate::id::AccountId;
use crate::limit::Reservation;
use crate::reply::{self, Reply};
use crate::route::RouteError;
use crate::route::select::Why;
use crate::snapshot::routing::Hedge;
use crate::snapshot::{Deadlines, Price, Task};
use crate::surface::Surface;
use crate::time::{Millis, UnixMillis};
use crate::translate::caller::Teller;
use crate::translate::{Decoder, Notes};
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

/// The longest wait of an upstream that is told to the caller.
const RETRY_AFTER_MAX: Millis = Millis(60_000);

/// An admitted exchange.
pub(super) struct Running {
    pub(super) admission: Admission,
    pub(super) account: AccountId,
    /// The deployment within the installation, for its retry budget.
    pub(super) scope: String,
    pub(super) task: Task,
    pub(super) surface: Surface,
    pub(super) operation: &'static str,
    pub(super) deployment: String,
    pub(super) model: String,
    pub(super) principal: String,
    pub(super) key: String,
    pub(super) deadlines: Deadlines,
    pub(super) machine: AttemptMachine,
    pub(super) entities: Vec<PreparedEntity>,
    /// Which of `entities` was called last.
    pub(super) entity: u32,
    pub(super) reservation: Reservation,
    pub(super) prompt_chars: u64,
    pub(super) streamed: bool,
    pub(super) usage_wanted: bool,
    pub(super) client_request_id: Option<String>,
    /// Given once a stream has a head.
    pub(super) relay: Option<StreamRelay>,
    /// Given beside it if the stream is of another dialect than the canonical one.
    pub(super) decoder: Option<Box<Decoder>>,
    /// Given if the caller speaks another dialect than the canonical one, with what it must be told of its request.
    pub(super) teller: Option<Box<(Teller, Notes)>>,
    /// Given while an upstream is called that speaks the caller's own dialect: the beginning of an event of its stream
    /// that is not whole yet.
    pub(super) own_words: Option<Vec<u8>>,
    /// Given as long as that stream is not the answer yet.
    pub(super) held: Option<Box<Opening>>,
    /// What was held back of it and a policy has not read yet.
    pub(super) pending: Vec<u8>,
    /// When the call in flight gives up waiting for its answer, or its first content.
    pub(super) until: UnixMillis,
    /// The deployment's content policy, if it has one.
    pub(super) filtering: Option<Box<Filtering>>,
    /// Given if the call is passed as it came.
    pub(super) passed: Option<Box<Passed>>,
    /// The same while an entity is called that is not sent the call as it came.
    pub(super) aside: Option<Box<Passed>>,
    pub(super) head_at: Option<UnixMillis>,
    /// The caller's own tags, a JSON object.
    pub(super) usage_context: Option<String>,
    /// Given if the deployment's usage is tracked.
    pub(super) tracked: Option<Box<Tracked>>,
    /// Of a million exchanges, so many are logged with their bodies.
    pub(super) sampling: Option<u32>,
    /// The exchange's handle, if it is.
    pub(super) log: Option<u32>,
    /// Whether another deployment takes what this one refuses (`azure.md`, C3).
    pub(super) spills: bool,
    /// The request, if it is to be admitted again there when this one's upstream has no room.
    pub(super) kept: Option<Rc<Parts>>,
    /// Bytes of the caller's body that the driver holds.
    pub(super) body_bytes: u32,
    /// What a classifier is being asked.
    pub(super) asked: Option<Box<Asked>>,
    /// When the head of a stream came that is being read whole.
    pub(super) whole_since: Option<UnixMillis>,
    /// How the stream ended that waits for a classifier.
    pub(super) over: Option<StreamEnd>,
    /// How the deployment makes second calls, if it does.
    pub(super) hedging: Option<Hedge>,
    /// Given if a second call may be made beside the first: after how long.
    pub(super) hedge: Option<Millis>,
    /// Given while two calls of one exchange are under way: which of them this is.
    pub(super) leg: Option<Box<Leg>>,
    /// How the call in flight is followed.
    pub(super) track: Track,
    /// The attempts that failed, in order.
    pub(super) tried: Vec<Tried>,
}

/// All that a call of one entity needs, prepared while the request was at hand.
pub(super) struct PreparedEntity {
    pub(super) name: String,
    /// Why it stands at its place.
    pub(super) why: Why,
    /// Expected microseconds of its answer when it was chosen, as far as that was known.
    pub(super) load: Option<u64>,
    pub(super) price: Option<Price>,
    pub(super) send: Send,
    /// Given if the entity speaks another dialect than the canonical one.
    pub(super) translation: Option<Box<Translation>>,
    /// Whether its answers may be not quite canonical: those of servers of anyone's make.
    pub(super) lenient: bool,
}

impl Running {
    /// The entity that is called.
    pub(super) fn called(&self) -> Option<&PreparedEntity> {
        self.entities.get(usize::try_from(self.entity).ok()?)
    }

    /// Whether the answer's text must be read: then its stream cannot be handed through unread.
    pub(super) fn needs_text(&self) -> bool {
        self.filtering.as_ref().is_some_and(|filtering| filtering.needs_text())
    }

    /// Whether a stream is read whole before any of it goes on.
    pub(super) fn buffers(&self) -> bool {
        self.filtering.as_ref().is_some_and(|filtering| filtering.buffers())
    }

    /// The policy at work, if it reads the answer.
    pub(super) fn vetted(&mut self) -> Option<&mut Filtering> {
        if self.needs_text() { self.filtering.as_deref_mut() } else { None }
    }
}

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
                match running.canonical(now, status, body) {
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
                retry_after: retry_after(headers.retry_after_ms, headers.retry_after, RETRY_AFTER_MAX),
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
        let step = self.step(now, random, &mut running, &outcome);
        if step != Step::Deliver {
            return self.perform(now, handle, running, step, None);
        }
        let text = match running.task {
            Task::Chat | Task::Completions => u64::try_from(body.len()).unwrap_or(u64::MAX),
            Task::Embeddings => 0,
        };
        let used = answer.usage.unwrap_or_else(|| usage::estimate(running.prompt_chars, text));
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
        self.track_left(now, &mut running);
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
