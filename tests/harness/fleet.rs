//! A fleet on virtual time: isolates, one deployment, and entities behind it that behave as entities do.
//!
//! Decides how entities behave and when callers come, from a seed; who is called is core's. Object calls are answered
//! at once: the Registry with the one snapshot and the board that isolates share, the Ledger by its own logic.

use crate::clock::{MILLI, Micros, SECOND, Skew};
use crate::isolate::{Host, Running};
use crate::object::Objects;
use crate::random::Random;
use crate::upstream::Step;
use crate::world::scene::{ADMIN, Asks, isolate_settings};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use weir_core::account::record::UsageRecord;
use weir_core::attempt::board::Board;
use weir_core::exchange::{Action, Failure, Pause, StreamEnd};
use weir_core::object::{ObjectCall, ObjectKind};
use weir_core::time::UnixMillis;

/// How an entity behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// First token within 200 to 400 ms.
    Healthy,
    /// 429 after 5 ms, always.
    BlackHole,
    /// Ten times as slow.
    Grey,
    /// Five seconds up, five down: 503 after 10 ms.
    Flapping,
    /// Ten times as slow until it has been asked twenty times.
    Cold,
    /// Healthy, but so many of a thousand calls speak after ten seconds only.
    Straggler(u64),
    /// Says nothing for a second and a half, then breaks off.
    Breaks,
    /// Down from the tenth to the twentieth second; healthy else.
    Outage,
}

/// What a fleet went through.
#[derive(Debug, Default)]
pub struct Told {
    /// Exchanges that began, when, and how they ended: microseconds to the first content, `None` for a failure.
    pub exchanges: Vec<(Micros, Option<Micros>)>,
    /// Upstream calls: when, and of which entity.
    pub calls: Vec<(Micros, usize)>,
    /// The records that the ledger has in the end.
    pub records: Vec<UsageRecord>,
    /// The answers' bodies that the ledger has in the end.
    pub bodies: Vec<String>,
    /// Calls whose drivers still wait in the end.
    pub open: usize,
}

/// The fleet.
pub struct Fleet {
    manners: Vec<Manner>,
    hosts: Vec<Host>,
    objects: Objects,
    board: Board,
    snapshot: Vec<u8>,
    random: Random,
    now: Micros,
    order: u64,
    queue: BTreeMap<(Micros, u64), Happening>,
    asked: Vec<u32>,
    told: Told,
}

#[derive(Clone, Copy)]
enum Happening {
    Arrive { isolate: usize },
    Resume { isolate: usize, handle: u32 },
    Upstream { isolate: usize, handle: u32 },
    Due { isolate: usize },
    Hedge { isolate: usize, handle: u32 },
}

/// The address that callers use.
const URL: &str = "https://weir.example/v1/chat/completions";
const DEPLOYMENT: &str = "chat";

impl Fleet {
    /// A fleet of `isolates` over entities of these manners, all of one priority and without shares.
    pub fn new(seed: u64, isolates: u64, manners: &[Manner]) -> Self {
        Self::routed(seed, isolates, manners, &json!({}))
    }

    /// The same with members of the deployment's `routing`.
    pub fn routed(seed: u64, isolates: u64, manners: &[Manner], routing: &Value) -> Self {
        Self::with(seed, isolates, manners, &json!({"routing": routing}))
    }

    /// The same with `members` of the deployment.
    pub fn with(seed: u64, isolates: u64, manners: &[Manner], members: &Value) -> Self {
        let mut random = Random::new(seed);
        let host = |random: &mut Random| Host::new(random.word(), 0, Skew::default(), isolate_settings());
        let entity = |at: usize| {
            json!({"name": format!("e{at}"), "provider": "openai", "upstream_model": "m", "weight": 0,
                "target": {"http": {"base": format!("https://e{at}.example/v1"), "paths": "open_ai", "auth": "none"}}})
        };
        let entities: Vec<Value> = (0..manners.len()).map(entity).collect();
        let mut deployment = json!({"name": DEPLOYMENT, "kind": "account", "task": "llm/v1/chat", "model": "m", "entities": entities});
        deployment
            .as_object_mut()
            .expect("an object")
            .extend(members.as_object().cloned().unwrap_or_default());
        let snapshot = json!({"account": "default", "version": 1, "keys": [], "deployments": [deployment]});
        Self {
            manners: manners.to_vec(),
            hosts: (0..isolates).map(|_| host(&mut random)).collect(),
            objects: Objects::new(weir_core::control::Settings::default(), Skew::default()),
            board: Board::default(),
            snapshot: snapshot.to_string().into_bytes(),
            random,
            now: 0,
            order: 0,
            queue: BTreeMap::new(),
            asked: vec![0; manners.len()],
            told: Told::default(),
        }
    }

    /// Lets `rate` callers a second come for `lasts`, and tells what happened.
    #[must_use]
    pub fn run(mut self, rate: u64, lasts: Micros) -> Told {
        let count = rate * (lasts / SECOND);
        for _ in 0..count {
            let isolate = usize::try_from(self.random.word()).unwrap_or(0) % self.hosts.len();
            let at = self.random.between(0, lasts - 1);
            self.at(at, Happening::Arrive { isolate });
        }
        while let Some(((at, _), happening)) = self.queue.pop_first() {
            if at > lasts + 60 * SECOND {
                break;
            }
            self.now = at;
            self.happen(happening);
        }
        self.told.open = self.hosts.iter().map(|host| host.running.len()).sum();
        let rows = self.objects.ledgers().flat_map(|rows| rows.all(weir_core::ledger::TABLE_RECORD));
        let record = |text: &str| serde_json::from_str(text).expect("the ledger stores records");
        self.told.records = rows.map(|row| record(&row.value)).collect();
        let rows = self.objects.ledgers().flat_map(|rows| rows.all(weir_core::ledger::TABLE_RESPONSE_BODY));
        self.told.bodies = rows.map(|row| row.value.clone()).collect();
        self.told
    }

    fn happen(&mut self, happening: Happening) {
        let (now, word) = (self.now, self.random.word());
        match happening {
            Happening::Arrive { isolate } => self.arrive(isolate),
            Happening::Resume { isolate, handle } => {
                let action = self.hosts[isolate].resume(now, word, handle);
                self.perform(isolate, handle, action);
            }
            Happening::Upstream { isolate, handle } => {
                let host = &mut self.hosts[isolate];
                let Some((_, step)) = host.running.get_mut(&handle).and_then(|running| running.script.pop())
                else {
                    return;
                };
                let action = host.upstream(now, word, handle, &step);
                self.perform(isolate, handle, action);
            }
            Happening::Due { isolate } => self.calls(isolate),
            Happening::Hedge { isolate, handle } => self.hedge(isolate, handle),
        }
    }

    /// As the Worker's driver does: what comes of it runs beside the first call, until one of them answers.
    fn hedge(&mut self, isolate: usize, handle: u32) {
        let host = &mut self.hosts[isolate];
        let Some(first) = host.running.get(&handle).filter(|running| !running.streaming) else { return };
        let (fact, asks) = (first.fact, first.asks.clone());
        let (own, action) = host.hedge(self.now, handle);
        if own != handle {
            let running = Running::new(fact, asks);
            host.running.insert(own, running);
            self.perform(isolate, own, action);
        }
    }

    fn arrive(&mut self, isolate: usize) {
        let body = format!(
            r#"{{"model":"{DEPLOYMENT}","messages":[{{"role":"user","content":"hello"}}],"max_tokens":20,"stream":true}}"#
        );
        let fact = self.told.exchanges.len();
        self.told.exchanges.push((self.now, None));
        let asks = Asks {
            at: self.now,
            deployment: DEPLOYMENT,
            streamed: true,
            prompt: 1,
            output_max: 20,
            tokens: 20,
            bad_prompt: false,
            judged: None,
        };
        let running = Running::new(fact, asks);
        let random = self.random.wide();
        let (handle, action) = self.hosts[isolate].begin(self.now, random, URL, ADMIN, body.as_bytes());
        self.hosts[isolate].running.insert(handle, running);
        self.perform(isolate, handle, action);
    }

    fn perform(&mut self, isolate: usize, handle: u32, action: Action) {
        if let Some(after) = self.hosts[isolate].calls_after(self.now, &action) {
            self.at(self.now + after.0 * MILLI, Happening::Due { isolate });
        }
        let now = self.now;
        let Some(running) = self.hosts[isolate].running.get_mut(&handle) else { return };
        let fact = running.fact;
        match action {
            Action::Send(send) => {
                let host = send.url.split('/').nth(2).unwrap_or_default();
                let entity =
                    host[1..].split('.').next().and_then(|at| at.parse().ok()).expect("e0 and so on");
                self.told.calls.push((now, entity));
                if let Some(after) = send.hedge {
                    self.at(now + after.0 * MILLI, Happening::Hedge { isolate, handle });
                }
                let mut script = self.script(entity);
                script.reverse();
                let running = self.hosts[isolate].running.get_mut(&handle).expect("it is there");
                running.script = script;
                self.next(isolate, handle);
            }
            Action::Pause(Pause::For(span)) => {
                self.at(now + span.0 * MILLI, Happening::Resume { isolate, handle });
            }
            Action::Pause(Pause::Calls) => {
                self.calls(isolate);
                self.at(now + MILLI, Happening::Resume { isolate, handle });
            }
            Action::DeliverStream { .. } => {
                running.streaming = true;
                let (began, first) = &mut self.told.exchanges[fact];
                assert!(first.is_none(), "an exchange is answered once");
                *first = Some(now - *began);
                // The other call of the exchange, if there is one, is given up.
                self.hosts[isolate].running.retain(|own, other| *own == handle || other.fact != fact);
                self.next(isolate, handle);
            }
            Action::ReadPiece { .. } | Action::PassPiece | Action::PassInstead(_) | Action::ReadWhole => {
                self.next(isolate, handle);
            }
            Action::Close(_) => {
                self.hosts[isolate].running.remove(&handle);
            }
            // Nothing of this fleet is plain or handed through: whatever else ends an exchange is a failure.
            Action::Reply(_)
            | Action::Abort(_)
            | Action::Deliver(_)
            | Action::HandThrough(_)
            | Action::ReadMore
            | Action::Ask { .. }
            | Action::ReadHeaders => {
                if running.streaming || matches!(action, Action::Reply(_)) {
                    self.told.exchanges[fact].1 = None;
                }
                self.hosts[isolate].running.remove(&handle);
            }
        }
    }

    fn next(&mut self, isolate: usize, handle: u32) {
        let script = &self.hosts[isolate].running[&handle].script;
        if let Some((after, _)) = script.last() {
            self.at(self.now + after, Happening::Upstream { isolate, handle });
        }
    }

    /// What a call of an entity is answered now.
    fn script(&mut self, entity: usize) -> Vec<(Micros, Step)> {
        self.asked[entity] += 1;
        let first = self.random.between(200 * MILLI, 400 * MILLI);
        let refused = |after: Micros, status: u16| {
            let body = br#"{"error":{"message":"no"}}"#.to_vec();
            vec![(after, Step::Answer { status, retry_after_ms: None, body })]
        };
        let (second, manner) = (self.now / SECOND, self.manners[entity]);
        let first = match manner {
            Manner::BlackHole => return refused(5 * MILLI, 429),
            Manner::Flapping if second / 5 % 2 == 1 => return refused(10 * MILLI, 503),
            Manner::Breaks => {
                return vec![(30 * MILLI, Step::Head), (1_500 * MILLI, Step::Ended(StreamEnd::Broken))];
            }
            Manner::Straggler(often) if self.random.between(0, 999) < often => 10 * SECOND,
            Manner::Outage if (10..20).contains(&second) => {
                return vec![(20 * MILLI, Step::Failed(Failure::Unreachable))];
            }
            Manner::Grey => first * 10,
            Manner::Cold if self.asked[entity] <= 20 => first * 10,
            Manner::Cold | Manner::Healthy | Manner::Straggler(_) | Manner::Flapping | Manner::Outage => {
                first
            }
        };
        let rest = if first >= 2_000 * MILLI { 2_000 * MILLI } else { 200 * MILLI };
        let chunk = |delta: &str, finish: &str| {
            let text = format!(
                "data: {{\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
            );
            Step::Piece(text.into_bytes())
        };
        vec![
            (30 * MILLI, Step::Head),
            (0, chunk(r#"{"role":"assistant","content":""}"#, "null")),
            (first - 30 * MILLI, chunk(r#"{"content":"word "}"#, "null")),
            (rest, chunk(r#"{"content":"word word word word word word word "}"#, "null")),
            (0, chunk("{}", "\"stop\"")),
            (0, Step::Piece(b"data: [DONE]\n\n".to_vec())),
            (MILLI, Step::Ended(StreamEnd::Closed)),
        ]
    }

    /// Makes the object calls that an isolate has ready.
    fn calls(&mut self, isolate: usize) {
        for call in self.hosts[isolate].calls(self.now) {
            let reply = self.answer(&call);
            self.hosts[isolate].called(self.now, call.id, reply.as_deref());
        }
        if let Some(after) = self.hosts[isolate].calls_after(self.now, &Action::PassPiece) {
            self.at(self.now + (after.0 * MILLI).max(MILLI), Happening::Due { isolate });
        }
    }

    fn answer(&mut self, call: &ObjectCall) -> Option<Vec<u8>> {
        if call.kind != ObjectKind::Registry {
            return self.objects.message(self.now, call.kind, &call.name, &call.body, [0; 32], false);
        }
        let ask: Value = serde_json::from_slice(&call.body).expect("JSON");
        let now = UnixMillis(Skew::default().read(self.now).0);
        let health = ask["snapshot"].get("health").and_then(|news| self.board.exchange(now, news));
        if ask["snapshot"]["known"] == 1 {
            let mut unchanged = json!({"unchanged": 1});
            if let Some(health) = health {
                unchanged["health"] = health;
            }
            return Some(unchanged.to_string().into_bytes());
        }
        Some(self.snapshot.clone())
    }

    fn at(&mut self, at: Micros, happening: Happening) {
        self.order += 1;
        self.queue.insert((at, self.order), happening);
    }
}
