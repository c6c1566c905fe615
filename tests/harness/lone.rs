//! One isolate and one caller on virtual time: a request, what its upstreams do, and all that can be seen of it.
//!
//! Decides nothing: actions are performed as the Worker's driver does. Upstreams are told apart by the host that is
//! called; each call of one is answered with the next of its replies, the last one again and again.

use crate::clock::Skew;
use crate::object::Objects;
use std::collections::BTreeMap;
use weir_core::account::record::UsageRecord;
use weir_core::exchange::{
    Action, Event, Failure, Head, Isolate, Pause, Request, Settings, StreamEnd, UpstreamHeaders,
};
use weir_core::id::IsolateId;
use weir_core::object::{CallOutcome, ObjectKind};
use weir_core::surface::{HEADER_COUNT, HEADERS, HeaderValues};
use weir_core::time::{Millis, UnixMillis};
use weir_core::wire::envelope::Edit;

/// When the world begins.
pub const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
/// Steps of one exchange; more is a loop.
const STEPS_MAX: usize = 400;

/// What an upstream does with one call.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Nothing, after so many milliseconds.
    Fail(u64, Failure),
    /// A whole answer.
    Answer {
        /// HTTP status.
        status: u16,
        /// `content-type`.
        kind: &'static str,
        /// `retry-after`.
        retry_after: Option<&'static str>,
        /// What follows the head, or breaks off.
        body: Result<Vec<u8>, Failure>,
    },
    /// The head of an event stream, pieces with the milliseconds before each, and its end.
    Stream(Vec<(u64, Vec<u8>)>, (u64, StreamEnd)),
}

/// What was seen of one exchange.
#[derive(Debug, Default)]
pub struct Seen {
    /// HTTP status of the answer.
    pub status: u16,
    /// Its headers.
    pub headers: BTreeMap<String, String>,
    /// Its body, as far as it came.
    pub body: Vec<u8>,
    /// Whether the connection broke before its regular end.
    pub cut: bool,
    /// The hosts that were called, in order.
    pub calls: Vec<String>,
    /// Their whole addresses.
    pub urls: Vec<String>,
    /// What each was sent: its headers and its body.
    pub sent: Vec<(BTreeMap<String, String>, Vec<u8>)>,
    /// How long it took.
    pub took: Millis,
}

/// An isolate with its objects.
pub struct Lone {
    isolate: Isolate,
    objects: Objects,
    snapshot: Vec<u8>,
    now: UnixMillis,
    replies: BTreeMap<String, Vec<Reply>>,
}

impl Lone {
    /// An isolate that routes by `snapshot`, JSON; if it is empty, by what the account's own Registry says, in which
    /// nothing was made yet.
    pub fn new(settings: Settings, snapshot: &str) -> Self {
        let objects = Objects::new(weir_core::control::Settings::default(), Skew::default());
        Self {
            isolate: Isolate::new(IsolateId(9), settings),
            objects,
            snapshot: snapshot.as_bytes().to_vec(),
            now: NOW,
            replies: BTreeMap::new(),
        }
    }

    /// What the upstream at `host` does, call by call.
    pub fn upstream(&mut self, host: &str, replies: &[Reply]) {
        let mut replies = replies.to_vec();
        replies.reverse();
        self.replies.insert(host.to_owned(), replies);
    }

    /// One exchange, from the request to its settled end.
    pub fn exchange(&mut self, url: &str, headers: &[(&str, &str)], body: &str) -> Seen {
        self.request("POST", url, headers, body)
    }

    /// The same of any method.
    pub fn request(&mut self, method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Seen {
        let mut slots = [None; HEADER_COUNT];
        for (name, value) in headers {
            let at = HEADERS.iter().position(|known| known == name).expect("a header that core reads");
            slots[at] = Some(*value);
        }
        let (headers, bytes) = (HeaderValues::new(slots), body.as_bytes());
        let length = bytes.len() as u64;
        let request = Request { method, url, headers, body: bytes, length, all_headers: true };
        let began = self.now;
        let (handle, action) = self.isolate.begin(self.now, u128::from(self.now.0), &request);
        let mut seen = Seen::default();
        self.run((handle, bytes), action, &mut seen);
        seen.took = self.now.since(began);
        self.flush();
        seen
    }

    /// Lets time pass.
    pub fn wait(&mut self, span: Millis) {
        self.now = self.now.plus(span);
        self.flush();
    }

    /// The records of all exchanges so far.
    pub fn records(&self) -> Vec<UsageRecord> {
        let rows = self.objects.ledgers().flat_map(|rows| rows.all(weir_core::ledger::TABLE_RECORD));
        let record = |text: &str| serde_json::from_str(text).expect("the ledger stores records");
        rows.map(|row| record(&row.value)).collect()
    }

    fn run(&mut self, (handle, body): (u32, &[u8]), mut action: Action, seen: &mut Seen) {
        let (mut reply, mut position, mut piece) = (Reply::Fail(0, Failure::Unreachable), 0, Vec::new());
        let (mut streaming, mut until, mut quiet) = (false, self.now, Millis(0));
        for step in 0.. {
            assert!(step < STEPS_MAX, "no end: {action:?}");
            action = match action {
                Action::Reply(reply) => {
                    seen.head(&Head { status: reply.status, headers: reply.headers });
                    seen.body = reply.body.into_bytes();
                    return;
                }
                Action::Deliver(head) | Action::HandThrough(head) => {
                    seen.head(&head);
                    if let Reply::Answer { body: Ok(body), .. } = &reply {
                        seen.body.clone_from(body);
                    }
                    return;
                }
                Action::Close(bytes) => return seen.body.extend(bytes),
                Action::Abort(bytes) => {
                    seen.body.extend(bytes);
                    seen.cut = true;
                    return;
                }
                Action::Pause(pause) => {
                    self.now = self.now.plus(match pause {
                        Pause::Calls => Millis(1),
                        Pause::For(span) => span,
                    });
                    self.calls();
                    self.tell(handle, Event::Resumed)
                }
                Action::Send(send) => {
                    let host = send.url.split('/').nth(2).expect("an address has a host").to_owned();
                    reply = self.next(&host);
                    seen.calls.push(host);
                    seen.urls.push(send.url.clone());
                    seen.sent.push((send.headers.iter().cloned().collect(), Edit::apply(body, &send.edits)));
                    position = 0;
                    until = self.now.plus(send.timeout);
                    self.begin(handle, &reply, send.timeout, send.head_first)
                }
                Action::ReadWhole => self.whole(handle, &reply, until.since(self.now)),
                Action::DeliverStream { head, bytes, idle, .. } => {
                    seen.head(&head);
                    seen.body.extend(bytes);
                    (streaming, quiet) = (true, idle);
                    self.read(handle, &reply, &mut position, idle, &mut piece)
                }
                Action::ReadPiece { timeout } => {
                    self.read(handle, &reply, &mut position, timeout, &mut piece)
                }
                Action::PassPiece | Action::PassInstead(_) => {
                    assert!(streaming, "nothing is passed on before there is an answer");
                    match action {
                        Action::PassInstead(bytes) => seen.body.extend(bytes),
                        _ => seen.body.extend(&piece),
                    }
                    self.read(handle, &reply, &mut position, quiet, &mut piece)
                }
                // All was read at once, and no policy names a classifier.
                Action::ReadMore | Action::ReadHeaders | Action::Ask { .. } => {
                    self.tell(handle, Event::Resumed)
                }
            };
        }
    }

    /// The call of an upstream, up to what it is asked for first.
    fn begin(&mut self, handle: u32, reply: &Reply, timeout: Millis, head_first: bool) -> Action {
        let kind = match reply {
            Reply::Fail(after, failure) => return self.fail(handle, Millis(*after), timeout, *failure),
            Reply::Stream(..) => "text/event-stream",
            Reply::Answer { kind, .. } => kind,
        };
        if !head_first {
            return self.whole(handle, reply, timeout);
        }
        let (status, retry_after) = match reply {
            Reply::Answer { status, retry_after, .. } => (*status, *retry_after),
            Reply::Stream(..) | Reply::Fail(..) => (200, None),
        };
        let headers = UpstreamHeaders { content_type: Some(kind), retry_after, ..UpstreamHeaders::default() };
        self.tell(handle, Event::Head { status, headers })
    }

    fn fail(&mut self, handle: u32, after: Millis, timeout: Millis, failure: Failure) -> Action {
        let (after, failure) = if after >= timeout { (timeout, Failure::TimedOut) } else { (after, failure) };
        self.now = self.now.plus(after);
        self.tell(handle, Event::Failed(failure))
    }

    /// The rest of an answer, whole.
    fn whole(&mut self, handle: u32, reply: &Reply, timeout: Millis) -> Action {
        match reply {
            Reply::Answer { status, kind, retry_after, body: Ok(body) } => {
                let headers = UpstreamHeaders {
                    content_type: Some(kind),
                    retry_after: *retry_after,
                    ..UpstreamHeaders::default()
                };
                self.tell(handle, Event::Answer { status: *status, headers, body })
            }
            Reply::Answer { body: Err(failure), .. } => {
                let after = if *failure == Failure::TimedOut { timeout } else { Millis(10) };
                self.fail(handle, after, timeout, *failure)
            }
            Reply::Fail(..) | Reply::Stream(..) => {
                self.fail(handle, Millis(10), timeout, Failure::Unreachable)
            }
        }
    }

    /// The next piece of a stream, or its end.
    fn read(
        &mut self,
        handle: u32,
        reply: &Reply,
        position: &mut usize,
        timeout: Millis,
        piece: &mut Vec<u8>,
    ) -> Action {
        let Reply::Stream(pieces, (last, end)) = reply else {
            return self.tell(handle, Event::Ended(StreamEnd::Broken));
        };
        let (after, next) = match pieces.get(*position) {
            Some((after, bytes)) => (*after, Some(bytes)),
            None => (*last, None),
        };
        *position += 1;
        if after >= timeout.0 {
            self.now = self.now.plus(timeout);
            return self.tell(handle, Event::Ended(StreamEnd::TimedOut));
        }
        self.now = self.now.plus(Millis(after));
        match next {
            Some(bytes) => {
                piece.clone_from(bytes);
                self.tell(handle, Event::Piece(bytes))
            }
            None => self.tell(handle, Event::Ended(*end)),
        }
    }

    fn tell(&mut self, handle: u32, event: Event<'_>) -> Action {
        self.isolate.handle(self.now, self.now.0, handle, event)
    }

    fn next(&mut self, host: &str) -> Reply {
        let replies = self.replies.get_mut(host).expect("an upstream of the test's");
        if replies.len() > 1 { replies.pop() } else { replies.last().cloned() }.expect("it does something")
    }

    /// Makes the object calls that are ready.
    fn calls(&mut self) {
        while let Some(call) = self.isolate.poll_call(self.now) {
            let at = self.now.since(NOW).0 * 1_000;
            let reply = match call.kind {
                ObjectKind::Registry if !self.snapshot.is_empty() => Some(self.snapshot.clone()),
                kind => self.objects.message(at, kind, &call.name, &call.body, [0; 32], false),
            };
            let outcome = reply.as_deref().map_or(CallOutcome::Lost, CallOutcome::Answered);
            self.isolate.called(self.now, call.id, outcome);
        }
    }

    /// Lets what is to be reported be reported, without letting the exchange's own time pass for it.
    fn flush(&mut self) {
        let now = self.now;
        self.now = now.plus(Millis(200));
        self.calls();
    }
}

impl Seen {
    fn head(&mut self, head: &Head) {
        self.status = head.status;
        self.headers = head.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    }
}
