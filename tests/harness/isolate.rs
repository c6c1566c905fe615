//! One isolate and its driver: it performs actions and decides nothing, as the Worker's does.

use crate::clock::{Micros, Skew};
use crate::upstream::Step;
use crate::world::scene::Asks;
use std::collections::BTreeMap;
use weir_core::exchange::{Action, Event, Isolate, Request, Settings, UpstreamHeaders};
use weir_core::id::IsolateId;
use weir_core::object::{CallOutcome, ObjectCall};
use weir_core::surface::{Header, HeaderValues};
use weir_core::time::Millis;

/// An isolate in one of its lives.
pub struct Host {
    isolate: Isolate,
    /// Counts lives.
    pub life: u32,
    /// Its clock.
    pub skew: Skew,
    /// Exchanges that run: by handle, their number in the world's facts and the rest of the upstream's script.
    pub running: BTreeMap<u32, Running>,
}

/// What the driver knows of an exchange.
pub struct Running {
    /// Number in the world's facts.
    pub fact: usize,
    /// What its caller wants.
    pub asks: Asks,
    /// What the upstream will yet do, the next thing last.
    pub script: Vec<(Micros, Step)>,
    /// Whether a stream was begun for the caller.
    pub streaming: bool,
    /// Whether the upstream's stream has its terminal event.
    pub whole: bool,
    /// The bytes that came last.
    pub last: Vec<u8>,
    /// What the caller got.
    pub got: Vec<u8>,
    /// How far it came with its model and its classifier.
    pub came: Came,
}

/// How far an exchange came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Came {
    /// Whether a model was asked.
    pub asked_model: bool,
    /// Whether a model gave a whole answer.
    pub answered: bool,
    /// Whether a question to a classifier had no verdict.
    pub unjudged: bool,
}

impl Running {
    /// An exchange that begins.
    pub fn new(fact: usize, asks: Asks) -> Self {
        Self {
            fact,
            asks,
            script: Vec::new(),
            streaming: false,
            whole: false,
            last: Vec::new(),
            got: Vec::new(),
            came: Came::default(),
        }
    }

    /// Its upstream, or its classifier, did something.
    pub fn gets(&mut self, step: &Step) {
        match step {
            Step::Piece(bytes) => self.last.clone_from(bytes),
            Step::Answer { status: 200, body, .. } => {
                self.came.answered |= body.starts_with(b"{\"id\"");
                self.last.clone_from(body);
            }
            Step::Head | Step::Answer { .. } | Step::Failed(_) | Step::Ended(_) => {}
        }
    }

    /// Its caller gets what an action gives.
    pub fn takes(&mut self, action: &Action) {
        match action {
            Action::Reply(reply) => self.got.extend(reply.body.as_bytes()),
            Action::PassPiece | Action::Deliver(_) => self.got.extend(&self.last),
            Action::PassInstead(bytes)
            | Action::Close(bytes)
            | Action::Abort(bytes)
            | Action::DeliverStream { bytes, .. }
            | Action::Ask { pass: bytes, .. } => self.got.extend(bytes),
            Action::Send(_)
            | Action::Pause(_)
            | Action::ReadWhole
            | Action::ReadPiece { .. }
            | Action::HandThrough(_)
            | Action::ReadHeaders
            | Action::ReadMore => {}
        }
    }
}

impl Host {
    /// An isolate that starts.
    pub fn new(id: u64, life: u32, skew: Skew, settings: Settings) -> Self {
        let isolate = Isolate::new(IsolateId(id), settings);
        Self { isolate, life, skew, running: BTreeMap::new() }
    }

    /// A caller's request.
    pub fn begin(&mut self, at: Micros, random: u128, url: &str, key: &str, body: &[u8]) -> (u32, Action) {
        let authorization = format!("Bearer {key}");
        let headers =
            Header::ALL.map(|header| (header == Header::Authorization).then_some(authorization.as_str()));
        let request = Request {
            method: "POST",
            url,
            headers: HeaderValues::new(headers),
            body,
            length: body.len() as u64,
            all_headers: true,
        };
        self.isolate.begin(self.skew.read(at), random, &request)
    }

    /// The pause that an exchange was told to make is over.
    pub fn resume(&mut self, at: Micros, random: u64, handle: u32) -> Action {
        self.isolate.handle(self.skew.read(at), random, handle, Event::Resumed)
    }

    /// The time is over after which a second call may be made beside that of an exchange.
    pub fn hedge(&mut self, at: Micros, handle: u32) -> (u32, Action) {
        self.isolate.hedge(self.skew.read(at), handle)
    }

    /// The upstream did something.
    pub fn upstream(&mut self, at: Micros, random: u64, handle: u32, step: &Step) -> Action {
        let now = self.skew.read(at);
        let event = match step {
            Step::Head => {
                let headers =
                    UpstreamHeaders { content_type: Some("text/event-stream"), ..UpstreamHeaders::default() };
                Event::Head { status: 200, headers }
            }
            Step::Answer { status, retry_after_ms, body } => {
                let headers = UpstreamHeaders {
                    content_type: Some("application/json"),
                    retry_after_ms: retry_after_ms.as_deref(),
                    ..UpstreamHeaders::default()
                };
                Event::Answer { status: *status, headers, body }
            }
            Step::Failed(failure) => Event::Failed(*failure),
            Step::Piece(piece) => Event::Piece(piece),
            Step::Ended(end) => Event::Ended(*end),
        };
        self.isolate.handle(now, random, handle, event)
    }

    /// All object calls that are to be made now.
    pub fn calls(&mut self, at: Micros) -> Vec<ObjectCall> {
        let now = self.skew.read(at);
        core::iter::from_fn(|| self.isolate.poll_call(now)).collect()
    }

    /// When the driver shall ask for object calls beside what it does.
    pub fn calls_after(&mut self, at: Micros, action: &Action) -> Option<Millis> {
        self.isolate.calls_after(self.skew.read(at), action)
    }

    /// What became of an object call.
    pub fn called(&mut self, at: Micros, call: u64, reply: Option<&[u8]>) {
        let outcome = reply.map_or(CallOutcome::Lost, CallOutcome::Answered);
        self.isolate.called(self.skew.read(at), call, outcome);
    }
}
