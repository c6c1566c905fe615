//! Asking a classifier: the calls beside an exchange's own, and what follows from their answers.
//!
//! Above the stages. Decides who is called with what, one question after the other, and where the exchange goes on
//! when all are answered; what is asked and what answers mean is `policy::classifier`'s. A question to a deployment is
//! an exchange of its own within this one, under the caller's names and without limits or policy: its tokens are in
//! the ledger. A driver sees calls like any others.

use super::action::{Action, Event, Request, Send};
use super::admit::Admission;
use super::filtering::{Filtering, Form};
use super::isolate::Isolate;
use super::prepare::Facts;
use super::running::Running;
use super::vetting::Window;
use crate::account::record::Usage;
use crate::auth::Caller;
use crate::error::WeirError;
use crate::id::RequestId;
use crate::policy::{Findings, PolicyError, Question};
use crate::reply::{self, Reply};
use crate::snapshot::Task;
use crate::surface::{self, Disposition, HEADER_COUNT, HeaderValues};
use crate::time::UnixMillis;
use crate::wire::envelope::{Edit, Envelope};
use alloc::borrow::Cow;
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

/// Where a deployment is asked; only its path matters.
const GUARD_URL: &str = "https://weir/v1/chat/completions";

/// Where an exchange goes on when its questions are answered.
#[derive(Debug)]
pub(super) enum Then {
    /// The first upstream call.
    Start,
    /// The upstream's whole answer.
    Deliver {
        /// Its status.
        status: u16,
        /// What it used.
        used: Usage,
        /// Itself.
        body: Vec<u8>,
        /// Whether it is a whole stream.
        events: bool,
    },
    /// The stream, judged up to this character of a choice.
    Stream {
        /// The end of the part that was asked about.
        until: u64,
    },
}

/// What a classifier is being asked.
#[derive(Debug)]
pub(super) struct Asked {
    question: Question,
    /// The choice that it is about.
    about: u32,
    /// The exchange within this one, if a deployment is asked.
    inner: Option<u32>,
    rest: VecDeque<(u32, Question)>,
    found: Vec<(u32, Findings)>,
    then: Then,
}

impl Isolate {
    /// Asks about the prompt if something is to be asked, then makes the first upstream call.
    pub(super) fn ask_or_start(&mut self, now: UnixMillis, handle: u32, running: Running) -> Action {
        match running.filtering.as_ref().map(|filtering| filtering.about_prompt()) {
            Some(Some(questions)) if questions.is_empty() => self.start(now, handle, running),
            None => self.start(now, handle, running),
            Some(questions) => {
                let questions = questions.map(|all| all.into_iter().map(|question| (0, question)).collect());
                self.ask_all(now, handle, running, questions, Then::Start)
            }
        }
    }

    /// Asks all of `questions`, each about a choice; none if the text cannot be judged at all.
    pub(super) fn ask_all(
        &mut self,
        now: UnixMillis,
        handle: u32,
        running: Running,
        questions: Option<Vec<(u32, Question)>>,
        then: Then,
    ) -> Action {
        let (rest, found) = match questions {
            Some(questions) => (VecDeque::from(questions), Vec::new()),
            None if is_open(&running) => (VecDeque::new(), Vec::from([(0, Findings::unjudged())])),
            None => return self.no_verdict(now, running, &then),
        };
        self.ask_next(now, handle, running, rest, found, then)
    }

    fn ask_next(
        &mut self,
        now: UnixMillis,
        handle: u32,
        mut running: Running,
        mut rest: VecDeque<(u32, Question)>,
        mut found: Vec<(u32, Findings)>,
        then: Then,
    ) -> Action {
        while let Some((about, question)) = rest.pop_front() {
            if let Some((inner, send)) = self.pose(now, &running, &question, running.body_bytes) {
                running.asked = Some(Box::new(Asked { question, about, inner, rest, found, then }));
                self.keep(now, handle, running);
                return Action::Send(send);
            }
            if !is_open(&running) {
                return self.no_verdict(now, running, &then);
            }
            found.push((about, Findings::unjudged()));
        }
        self.conclude(now, handle, running, &found, then)
    }

    /// The question about a part of a stream; `None` if it cannot be asked.
    pub(super) fn ask_about(
        &mut self,
        now: UnixMillis,
        running: &Running,
        window: &Window,
    ) -> Option<(Asked, Send)> {
        // The driver holds no body while it relays.
        let (inner, send) = self.pose(now, running, &window.question, 0)?;
        let asked = Asked {
            question: window.question.clone(),
            about: window.choice,
            inner,
            rest: VecDeque::new(),
            found: Vec::new(),
            then: Then::Stream { until: window.until },
        };
        Some((asked, send))
    }

    /// The call that asks a question instead of the `held` bytes of the caller's body.
    fn pose(
        &mut self,
        now: UnixMillis,
        running: &Running,
        question: &Question,
        held: u32,
    ) -> Option<(Option<u32>, Send)> {
        let filtering = running.filtering.as_ref()?;
        let asked = filtering.classifier()?;
        let own = asked.headers.as_ref()?;
        let Some(url) = asked.url(question.matter) else {
            let (inner, mut send) = self.begin_guard(now, running, &question.body)?;
            let with = Edit::apply(question.body.as_bytes(), &send.edits);
            send.edits = Vec::from([Edit { start: 0, end: held, with }]);
            send.timeout = send.timeout.min(asked.classifier.deadline);
            return Some((Some(inner), send));
        };
        let mut headers = Vec::from([("content-type".to_owned(), "application/json".to_owned())]);
        headers.extend_from_slice(own);
        let send = Send {
            url,
            headers,
            edits: Vec::from([Edit { start: 0, end: held, with: question.body.clone().into_bytes() }]),
            timeout: asked.classifier.deadline,
            hedge: None,
            head_first: false,
            quota: false,
            rest: false,
            script: None,
        };
        Some((None, send))
    }

    /// Begins the exchange that asks a deployment.
    fn begin_guard(&mut self, now: UnixMillis, running: &Running, body: &str) -> Option<(u32, Send)> {
        let filtering = running.filtering.as_ref()?;
        let ready = filtering.index.as_ref()?.find(&filtering.classifier()?.classifier.place)?;
        let Disposition::Data(route) = surface::classify("POST", GUARD_URL) else { return None };
        let envelope = Envelope::parse(body.as_bytes(), Some(Task::Chat)).ok()?;
        let length = u64::try_from(body.len()).unwrap_or(u64::MAX);
        let headers = HeaderValues::new([None; HEADER_COUNT]);
        let request = Request {
            method: "POST",
            url: GUARD_URL,
            headers,
            body: body.as_bytes(),
            length,
            all_headers: true,
        };
        let handle = self.new_handle();
        // A name of its own for each question: the exchange's, mixed with what no two questions share.
        let random = running.admission.random.rotate_left(17).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ (u128::from(handle) << 64 | u128::from(now.0));
        let admission = Admission {
            id: RequestId::from_random(random),
            began: now,
            random,
            wait: None,
            ..running.admission
        };
        let caller = Caller::on_behalf(&running.principal, &running.key);
        let facts = Facts {
            now,
            request: &request,
            route: &route,
            admission,
            task: Task::Chat,
            caller: &caller,
            envelope: &envelope,
            dropped: &[],
            extras: None,
            ready,
            spoken: None,
            bearers: &[],
        };
        let inner = facts.running_once(running.account.clone())?;
        if let Action::Send(send) = self.start(now, handle, inner) {
            return Some((handle, send));
        }
        self.give_up(now, handle);
        None
    }

    /// What the deployment's exchange makes of an event: its answer, once there is one.
    fn guard_answer(
        &mut self,
        now: UnixMillis,
        random: u64,
        inner: u32,
        event: Event<'_>,
    ) -> Option<Vec<u8>> {
        let body = if let Event::Answer { body, .. } = event { body.to_vec() } else { Vec::new() };
        let action = self.handle(now, random, inner, event);
        if let Action::Deliver(_) = action {
            return Some(body);
        }
        if let Action::Reply(reply) = action {
            return (200..300).contains(&reply.status).then(|| reply.body.into_bytes());
        }
        self.give_up(now, inner);
        None
    }

    /// A question was answered, or was not.
    pub(super) fn classified(
        &mut self,
        now: UnixMillis,
        random: u64,
        handle: u32,
        mut running: Running,
        asked: Asked,
        event: Event<'_>,
    ) -> Action {
        let Asked { question, about, inner, rest, mut found, then } = asked;
        let answer = match (inner, event) {
            (Some(inner), event) => self.guard_answer(now, random, inner, event),
            (None, Event::Answer { status: 200..300, body, .. }) => Some(body.to_vec()),
            (None, _) => None,
        };
        let classifier = running.filtering.as_ref().and_then(|filtering| filtering.classifier());
        let verdict =
            classifier.zip(answer).and_then(|(asked, answer)| asked.verdict(question.matter, &answer));
        if let Then::Stream { until } = then {
            let judged = running.filtering.as_mut().map(|filtering| filtering.judged(about, until, verdict));
            return match judged {
                Some(Ok(vetted)) => self.vetted(now, handle, running, vetted),
                Some(Err(_)) | None => self.unjudged(now, running, Vec::new()),
            };
        }
        match verdict {
            Some(verdict) => found.push((about, verdict)),
            None if is_open(&running) => found.push((about, Findings::unjudged())),
            None => return self.no_verdict(now, running, &then),
        }
        self.ask_next(now, handle, running, rest, found, then)
    }

    /// All questions are answered.
    fn conclude(
        &mut self,
        now: UnixMillis,
        handle: u32,
        mut running: Running,
        found: &[(u32, Findings)],
        then: Then,
    ) -> Action {
        match then {
            Then::Start => {
                let all = found.iter().fold(Findings::default(), |all, (_, found)| all.joined(*found));
                match running.filtering.as_mut().map(|filtering| filtering.prompt_found(all)) {
                    Some(Err(error)) => self.fail(now, running, &error.into()),
                    Some(Ok(())) | None => self.start(now, handle, running),
                }
            }
            Then::Deliver { status, used, body, events } => {
                let delivered = match &mut running.filtering {
                    Some(filtering) => filtering.delivered(now, &body, found, &used, events),
                    None => Ok(None),
                };
                let body = match delivered {
                    Ok(changed) => changed.map_or(body, String::into_bytes),
                    Err(error) => return self.refuse_answer(now, running, &error.into(), used),
                };
                let (kind, body) = if events {
                    ("text/event-stream", running.say(body))
                } else {
                    (kind_of(&running, &body), running.tell(Cow::Owned(body)).into_owned())
                };
                let body = String::from_utf8_lossy(&body).into_owned();
                let head = self.head(now, &running, status, kind);
                self.settle(now, running, status, used, true);
                Action::Reply(Reply { status: head.status, headers: head.headers, body })
            }
            Then::Stream { .. } => self.unjudged(now, running, Vec::new()),
        }
    }

    /// The text may not go on without a verdict. What an upstream has answered already is metered.
    fn no_verdict(&mut self, now: UnixMillis, running: Running, then: &Then) -> Action {
        let error = WeirError::from(PolicyError::NoVerdict);
        let Then::Deliver { used, .. } = *then else { return self.fail(now, running, &error) };
        self.refuse_answer(now, running, &error, used)
    }

    /// An answer that may not go on: what it used is metered all the same.
    pub(super) fn refuse_answer(
        &mut self,
        now: UnixMillis,
        running: Running,
        error: &WeirError,
        used: Usage,
    ) -> Action {
        let mut reply = reply::render(error, running.surface, running.operation, running.admission.id);
        self.dress(&mut reply.headers, running.surface, running.client_request_id.as_deref());
        self.settle(now, running, reply.status, used, false);
        Action::Reply(reply)
    }

    /// Nobody waits for the question any more that is being asked.
    pub(super) fn forget_asked(&mut self, now: UnixMillis, running: &mut Running) {
        if let Some(inner) = running.asked.take().and_then(|asked| asked.inner) {
            self.give_up(now, inner);
        }
    }
}

/// What a whole answer is; a transcript may be plain text.
fn kind_of(running: &Running, body: &[u8]) -> &'static str {
    let spoken = |filtering: &Filtering| filtering.form == Form::Transcript && !body.starts_with(b"{");
    let plain = running.filtering.as_deref().is_some_and(spoken);
    if plain { "text/plain; charset=utf-8" } else { "application/json" }
}

fn is_open(running: &Running) -> bool {
    let classifier = running.filtering.as_ref().and_then(|filtering| filtering.classifier());
    classifier.is_some_and(|asked| asked.classifier.open)
}
