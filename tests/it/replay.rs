//! What core decides follows from what it was told: a run that was written down, told again to a new isolate, is decided
//! again to the byte. So a decision of yesterday can be looked at today.
//!
//! The run has what makes decisions differ: several entities with weights and priorities, sessions, health, limits by
//! leases, streams, failures of every kind, lost object calls.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use weir_core::exchange::flat::FlatPlan;
use weir_core::exchange::{
    Action, Event, Failure, Isolate, Pause, Request, Settings, StreamEnd, UpstreamHeaders,
};
use weir_core::id::IsolateId;
use weir_core::object::{CallOutcome, ObjectCall, ObjectKind};
use weir_core::seal::key_hash;
use weir_core::surface::{HEADER_COUNT, HEADERS, HeaderValues};
use weir_core::time::{Millis, UnixMillis};
use weir_tests::clock::{EPOCH, MILLI, Skew};
use weir_tests::object::Objects;
use weir_tests::random::Random;

const DECISIONS: usize = 100_000;
const AT_ONCE: usize = 24;
const KEYS: [&str; 3] = ["Bearer a", "Bearer b", "Bearer unknown"];
const EVENT: &[u8] =
    b"data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\ndata: [DONE]\n\n";
const ANSWER: &[u8] =
    b"{\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7}}";

/// What core was told, as it would be written down.
enum Told {
    Begin { random: u128, key: usize, session: String, streamed: bool },
    Event { random: u64, handle: u32, came: Came },
    Called { id: u64, answer: Option<Vec<u8>> },
    Poll,
    Due,
}

/// An event that owns what it tells.
#[derive(Clone, Copy)]
enum Came {
    Resumed,
    Head(u16),
    Answer(u16),
    Failed(Failure),
    Piece,
    Ended(StreamEnd),
}

impl Came {
    fn event(self) -> Event<'static> {
        let headers = |status| UpstreamHeaders {
            retry_after: (status == 429).then_some("1"),
            content_type: Some(if status == 200 { "text/event-stream" } else { "application/json" }),
            ..UpstreamHeaders::default()
        };
        match self {
            Self::Resumed => Event::Resumed,
            Self::Head(status) => Event::Head { status, headers: headers(status) },
            Self::Answer(status) => Event::Answer {
                status,
                headers: headers(status),
                body: if status == 200 { ANSWER } else { b"{}" },
            },
            Self::Failed(failure) => Event::Failed(failure),
            Self::Piece => Event::Piece(EVENT),
            Self::Ended(end) => Event::Ended(end),
        }
    }
}

fn snapshot() -> Vec<u8> {
    let entity = |at: u64| {
        json!({"name": format!("e{at}"), "provider": "openai", "upstream_model": "m", "weight": 10 * at, "priority": at / 3,
            "target": {"http": {"base": format!("https://e{at}.example/v1"), "paths": "open_ai", "auth": "none"}}})
    };
    let limit = |meter: &str, scope: &str, amount: u64| json!({"meter": meter, "scope": scope, "amount": amount, "per": 60_000, "burst": amount});
    let key = |text: &str| json!({"hash": key_hash(text), "id": text, "principal": text});
    json!({"account": "default", "version": 1, "keys": [key("a"), key("b")], "deployments": [{
        "name": "chat", "kind": "account", "task": "llm/v1/chat", "model": "m",
        "entities": (1..5).map(entity).collect::<Vec<Value>>(),
        "limits": [limit("requests", "deployment", 6_000), limit("tokens", "each_principal", 400_000)],
        "routing": {"affinity": true}, "usage_tracking": true}]})
    .to_string()
    .into_bytes()
}

/// An isolate, and a digest of each of its decisions.
struct Decider {
    isolate: Isolate,
    plan: FlatPlan,
    decided: Vec<u64>,
}

impl Decider {
    fn new() -> Self {
        let isolate = Isolate::new(IsolateId(5), Settings::default());
        Self { isolate, plan: FlatPlan::default(), decided: Vec::new() }
    }

    fn note(&mut self, decision: impl Hash) {
        let mut hasher = DefaultHasher::new();
        decision.hash(&mut hasher);
        self.decided.push(hasher.finish());
    }

    fn poll(&mut self, now: UnixMillis) -> Option<ObjectCall> {
        let call = self.isolate.poll_call(now);
        self.note(call.as_ref().map(|call| (call.id, &call.name, &call.body)));
        call
    }

    /// Tells core one thing; gives the exchange and what shall be done for it.
    fn tell(&mut self, now: UnixMillis, told: &Told) -> Option<(u32, Action)> {
        let (handle, action) = match told {
            Told::Begin { random, key, session, streamed } => {
                let mut slots = [None; HEADER_COUNT];
                for (name, value) in [("authorization", KEYS[*key]), ("x-weir-session", session.as_str())] {
                    slots[HEADERS.iter().position(|known| *known == name).unwrap()] = Some(value);
                }
                let asked = json!({"model": "chat", "stream": streamed, "messages": [{"role": "user", "content": "Hi"}]});
                let body = asked.to_string();
                let request = Request {
                    method: "POST",
                    url: "https://weir.example/v1/chat/completions",
                    headers: HeaderValues::new(slots),
                    body: body.as_bytes(),
                    length: body.len() as u64,
                    all_headers: true,
                };
                self.isolate.begin(now, *random, &request)
            }
            Told::Event { random, handle, came } => {
                (*handle, self.isolate.handle(now, *random, *handle, came.event()))
            }
            Told::Called { id, answer } => {
                let outcome = answer.as_deref().map_or(CallOutcome::Lost, CallOutcome::Answered);
                self.isolate.called(now, *id, outcome);
                return None;
            }
            Told::Poll => {
                self.poll(now);
                return None;
            }
            Told::Due => {
                let due = self.isolate.calls_due(now);
                self.note(due.map(|Millis(millis)| millis));
                return None;
            }
        };
        let bytes = self.plan.write(handle, &action, None).to_vec();
        self.note(bytes);
        Some((handle, action))
    }
}

/// A world in which an isolate decides, and the book that it writes.
struct World {
    random: Random,
    now: UnixMillis,
    decider: Decider,
    objects: Objects,
    open: Vec<(u32, Action)>,
    book: Vec<(UnixMillis, Told)>,
    /// Hosts that were called, statuses that were answered.
    seen: BTreeMap<String, u32>,
}

impl World {
    fn see(&mut self, action: &Action) {
        let what = match action {
            Action::Send(send) => send.url.clone(),
            Action::Reply(reply) => reply.status.to_string(),
            Action::Deliver(head) | Action::DeliverStream { head, .. } => head.status.to_string(),
            Action::Close(_) => "closed".to_owned(),
            Action::Abort(_) => "aborted".to_owned(),
            _ => return,
        };
        *self.seen.entry(what).or_default() += 1;
    }

    fn tell(&mut self, told: Told) {
        let next = self.decider.tell(self.now, &told);
        self.book.push((self.now, told));
        if let Some((_, action)) = &next {
            self.see(action);
        }
        let over = |action: &Action| {
            use Action::{Abort, Close, Deliver, HandThrough, ReadHeaders, ReadMore, Reply};
            matches!(
                action,
                Reply(_) | Deliver(_) | HandThrough(_) | Close(_) | Abort(_) | ReadMore | ReadHeaders
            )
        };
        self.open.extend(next.filter(|(_, action)| !over(action)));
    }

    /// Performs the object calls that core has ready; one in a hundred is lost.
    fn perform_calls(&mut self) {
        self.tell(Told::Due);
        loop {
            self.book.push((self.now, Told::Poll));
            let Some(call) = self.decider.poll(self.now) else { return };
            let lost = self.random.between(1, 100) == 1;
            let at = self.now.0.saturating_sub(EPOCH.0) * MILLI;
            let answer = match call.kind {
                ObjectKind::Registry => Some(snapshot()),
                ObjectKind::Limiter | ObjectKind::Ledger => {
                    self.objects.message(at, call.kind, &call.name, &call.body, self.random.bytes(), lost)
                }
            };
            self.tell(Told::Called { id: call.id, answer: answer.filter(|_| !lost) });
        }
    }

    fn come(&mut self, action: &Action) -> Came {
        let chance = self.random.between(1, 20);
        match action {
            Action::Pause(Pause::For(span)) => {
                self.now = self.now.plus(*span);
                Came::Resumed
            }
            Action::Pause(Pause::Calls) => {
                self.perform_calls();
                Came::Resumed
            }
            Action::Send(send) => match chance {
                1 => Came::Failed(Failure::TimedOut),
                2 => Came::Failed(Failure::Unreachable),
                3 | 4 => Came::Answer(429),
                5 => Came::Answer(503),
                _ if send.head_first => Came::Head(200),
                _ => Came::Answer(200),
            },
            Action::ReadWhole => Came::Answer(200),
            _ if chance < 8 => Came::Piece,
            _ if chance < 10 => Came::Ended(StreamEnd::Broken),
            _ if chance < 11 => Came::Ended(StreamEnd::CallerLeft),
            _ => Came::Ended(StreamEnd::Closed),
        }
    }

    fn step(&mut self) {
        self.now = self.now.plus(Millis(self.random.between(0, 12)));
        let begins = self.open.is_empty() || (self.open.len() < AT_ONCE && self.random.between(0, 2) == 0);
        if begins {
            let (random, key) = (self.random.wide(), usize::from(self.random.between(0, 9) == 0) * 2);
            let key = if key == 0 { usize::from(self.random.between(0, 1) == 0) } else { key };
            let session = self.random.between(0, 50).to_string();
            let streamed = self.random.between(0, 1) == 0;
            self.tell(Told::Begin { random, key, session, streamed });
        } else {
            let at = self.random.word() % self.open.len() as u64;
            let (handle, action) = self.open.swap_remove(usize::try_from(at).unwrap());
            let came = self.come(&action);
            let random = self.random.word();
            self.tell(Told::Event { random, handle, came });
        }
        if self.random.between(0, 20) == 0 {
            self.perform_calls();
        }
    }
}

#[test]
fn a_run_that_was_written_down_is_decided_again_to_the_byte() {
    let objects = Objects::new(weir_core::control::Settings::default(), Skew::default());
    let (decider, open, book) = (Decider::new(), Vec::new(), Vec::new());
    let (random, seen) = (Random::new(11), BTreeMap::new());
    let mut world = World { random, now: EPOCH, decider, objects, open, book, seen };
    while world.decider.decided.len() < DECISIONS {
        world.step();
    }
    let hosts = (1..5).map(|at| format!("https://e{at}.example/v1/chat/completions"));
    let ends = ["200", "401", "429", "503", "closed", "aborted"].map(ToOwned::to_owned);
    let often = |what: &String| world.seen.get(what).is_some_and(|times| *times > 100);
    assert!(hosts.chain(ends).all(|what| often(&what)), "{:?}", world.seen);
    let mut again = Decider::new();
    for (at, (now, told)) in world.book.iter().enumerate() {
        again.tell(*now, told);
        let last = again.decided.len().saturating_sub(1);
        assert_eq!(again.decided.get(last), world.decider.decided.get(last), "what was told at {at}");
    }
    assert_eq!(again.decided, world.decider.decided);
}
