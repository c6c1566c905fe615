//! A world: isolates, objects, upstreams and a network between them, on one queue of events in true time.
//!
//! Decides when things happen and what goes wrong, from its seed; what they mean is core's. Promises that concern a
//! single moment are checked here as it passes, into [`Facts::broken`]; the others by the tests, on the facts.

pub mod judge;
pub mod operator;
pub mod scene;

use crate::clock::{MILLI, Micros, SECOND, Skew};
use crate::facts::{End, Exchange, Facts};
use crate::isolate::{Host, Running};
use crate::object::Objects;
use crate::random::Random;
use crate::upstream::{self, Step};
use operator::Operator;
use scene::{ADMIN, Asks, Scene};
use std::collections::BTreeMap;
use weir_core::attempt::plan::AttemptPlan;
use weir_core::exchange::{self, Action, Pause, Send};
use weir_core::id::RequestId;
use weir_core::limit::estimate;
use weir_core::object::{ObjectCall, ObjectKind};
use weir_core::snapshot::Task;
use weir_core::wire::envelope::Envelope;

/// How long a driver may take before it tries again what was not ready: no time at all, but the world must go on.
const AT_ONCE: Micros = 100;
/// What a driver does that only makes object calls.
const NOTHING_ELSE: Action = Action::PassPiece;
/// How long after the last request the world is watched.
const AFTERMATH: Micros = 90 * SECOND;

/// A world.
pub struct World {
    /// What happened.
    pub facts: Facts,
    /// The objects with their rows.
    pub objects: Objects,
    scene: Scene,
    random: Random,
    now: Micros,
    order: u64,
    queue: BTreeMap<(Micros, u64), Happening>,
    hosts: Vec<Host>,
    /// Exchanges that wait for all answers to some calls: isolate, life, handle, and how many are missing.
    groups: BTreeMap<u64, (usize, u32, u32, usize)>,
    settings: exchange::Settings,
    operator: Operator,
}

enum Happening {
    Arrive { isolate: usize, asks: Asks },
    Resume { isolate: usize, life: u32, handle: u32 },
    Upstream { isolate: usize, life: u32, handle: u32 },
    Judged { isolate: usize, life: u32, handle: u32, step: Step },
    Due { isolate: usize, life: u32 },
    Message { from: Sender, call: ObjectCall },
    Reply { from: Sender, call: u64, reply: Option<Vec<u8>> },
    Kill { isolate: usize },
    Restart { kind: ObjectKind },
    Command,
    Probed { message: String },
}

#[derive(Clone, Copy)]
struct Sender {
    isolate: usize,
    life: u32,
    group: Option<u64>,
}

impl World {
    /// The world of `seed`, before anything happens.
    pub fn new(seed: u64, scene: Scene) -> Self {
        let mut random = Random::new(seed);
        let objects = Objects::new(scene::settings(), scene.faults.skew(&mut random));
        let settings = scene::isolate_settings();
        let mut world = Self {
            facts: Facts::default(),
            objects,
            random,
            now: 0,
            order: 0,
            queue: BTreeMap::new(),
            hosts: Vec::new(),
            groups: BTreeMap::new(),
            settings,
            operator: Operator::default(),
            scene,
        };
        for _ in 0..world.scene.isolates {
            let skew = world.scene.faults.skew(&mut world.random);
            let host = world.host(0, skew);
            world.hosts.push(host);
        }
        world.operator.install(&mut world.objects, &mut world.facts, &mut world.random, world.scene.capacity);
        if let Some(judge) = world.scene.judge {
            Operator::judges(&mut world.objects, &mut world.random, judge.open);
        }
        world.plan();
        world
    }

    /// Lets everything happen, and the aftermath without faults.
    #[must_use]
    pub fn run(mut self) -> Self {
        let last = self.scene.lasts + AFTERMATH;
        while let Some(((at, _), happening)) = self.queue.pop_first() {
            if at > last {
                break;
            }
            if at > self.scene.lasts {
                self.scene.faults.calm();
            }
            self.now = at;
            self.happen(happening);
        }
        self
    }

    fn plan(&mut self) {
        let lasts = self.scene.lasts;
        for asks in self.scene.traffic(&mut self.random) {
            let isolate = usize::try_from(self.random.word() % self.scene.isolates).expect("few");
            self.at(asks.at, Happening::Arrive { isolate, asks });
        }
        for _ in 0..self.scene.faults.kills {
            let isolate = usize::try_from(self.random.word() % self.scene.isolates).expect("few");
            let at = self.random.between(0, lasts);
            self.at(at, Happening::Kill { isolate });
        }
        for _ in 0..self.scene.faults.restarts {
            let kind = self.random.choose(&[ObjectKind::Limiter, ObjectKind::Registry, ObjectKind::Ledger]);
            let at = self.random.between(0, lasts);
            self.at(at, Happening::Restart { kind });
        }
        for _ in 0..self.scene.commands {
            let at = self.random.between(0, lasts);
            self.at(at, Happening::Command);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrive { isolate, asks } => self.arrive(isolate, &asks),
            Happening::Resume { isolate, life, handle } => self.resume(isolate, life, handle),
            Happening::Upstream { isolate, life, handle } => self.upstream(isolate, life, handle),
            Happening::Judged { isolate, life, handle, step } => {
                let (now, word) = (self.now, self.random.word());
                if let Some(host) = self.living(isolate, life)
                    && host.running.contains_key(&handle)
                {
                    let action = host.upstream(now, word, handle, &step);
                    self.perform(isolate, handle, action, true);
                }
            }
            Happening::Due { isolate, life } => {
                if self.living(isolate, life).is_some() {
                    self.send_calls(isolate, None);
                    self.see_to_calls(isolate, &NOTHING_ELSE);
                }
            }
            Happening::Message { from, call } => {
                let crash = self.random.permille(self.scene.faults.crashes);
                let random = self.random.bytes();
                let reply = self.objects.message(self.now, call.kind, &call.name, &call.body, random, crash);
                self.reply(from, call.id, reply);
            }
            Happening::Reply { from, call, reply } => self.replied(from, call, reply.as_deref()),
            Happening::Kill { isolate } => self.kill(isolate),
            Happening::Restart { kind } => self.objects.restart(kind),
            Happening::Command => {
                let probes =
                    self.operator.command(self.now, &mut self.objects, &mut self.facts, &mut self.random);
                if let Some((after, message)) = probes {
                    self.at(self.now + after, Happening::Probed { message });
                }
            }
            Happening::Probed { message } => {
                self.operator.probed(
                    self.now,
                    &message,
                    &mut self.objects,
                    &mut self.facts,
                    &mut self.random,
                );
            }
        }
    }

    /// A pause is over, or a policy reads what was held back of a stream.
    fn resume(&mut self, isolate: usize, life: u32, handle: u32) {
        let now = self.now;
        let Some(host) = self.living(isolate, life) else { return };
        let Some(streaming) = host.running.get(&handle).map(|running| running.streaming) else { return };
        let word = if streaming { 0 } else { self.random.word() };
        let action = self.hosts[isolate].resume(now, word, handle);
        self.perform(isolate, handle, action, streaming);
    }

    fn arrive(&mut self, isolate: usize, asks: &Asks) {
        let body = asks.body();
        let envelope = Envelope::parse(body.as_bytes(), Some(Task::Chat)).expect("scenes make good requests");
        let random = self.random.wide();
        let fact = self.facts.exchanges.len();
        self.facts.exchanges.push(Exchange {
            id: RequestId::from_random(random),
            isolate: (isolate, self.hosts[isolate].life),
            deployment: asks.deployment,
            began: self.now,
            admitted: None,
            estimate: estimate::tokens(Task::Chat, envelope.prompt_chars(), envelope.max_tokens, 1),
            calls: 0,
            version: None,
            end: End::Open,
        });
        let running = Running::new(fact, asks.clone());
        let (handle, action) =
            self.hosts[isolate].begin(self.now, random, &asks.url(), ADMIN, body.as_bytes());
        self.hosts[isolate].running.insert(handle, running);
        self.perform(isolate, handle, action, false);
    }

    /// Does what core says for an exchange, as the Worker's driver does; `beside`: its upstream goes on by itself.
    fn perform(&mut self, isolate: usize, handle: u32, action: Action, beside: bool) {
        self.see_to_calls(isolate, &action);
        let life = self.hosts[isolate].life;
        let Some(running) = self.hosts[isolate].running.get_mut(&handle) else { return };
        let streaming = running.streaming;
        running.takes(&action);
        match action {
            Action::Send(send) if judge::is_asked(&send) => self.ask(isolate, handle, &send, false),
            Action::Ask { send, .. } => {
                self.ask(isolate, handle, &send, true);
                if !beside {
                    self.next_step(isolate, handle);
                }
            }
            Action::Send(send) => self.call_upstream(isolate, handle, &send),
            Action::Pause(Pause::For(span)) => {
                self.at(self.now + span.0 * MILLI + AT_ONCE, Happening::Resume { isolate, life, handle });
            }
            Action::Pause(Pause::Calls) => self.send_calls(isolate, Some(handle)),
            // An answer that core rewrote, as a content policy asks for, is an answer.
            Action::Reply(reply) => match reply.status {
                200..300 => self.end(isolate, handle, End::Answered { at: self.now }),
                // What may not go on was used all the same.
                503 if running.came.answered && running.came.unjudged => {
                    self.end(isolate, handle, End::Answered { at: self.now });
                }
                status => self.end(isolate, handle, End::Refused { status, at: self.now }),
            },
            Action::Deliver(_) => self.end(isolate, handle, End::Answered { at: self.now }),
            Action::Close(_) => {
                if !running.whole && !judge::ended(running) {
                    self.facts.broken.push(format!("exchange {} looks complete", running.fact));
                }
                self.end(isolate, handle, End::Answered { at: self.now });
            }
            Action::Abort(_) if streaming => {
                if running.whole && !judge::ended(running) {
                    self.facts.broken.push(format!("exchange {} looks broken", running.fact));
                }
                self.end(isolate, handle, End::Answered { at: self.now });
            }
            Action::Abort(_) => {
                self.facts.broken("a plain exchange was cut off");
                self.end(isolate, handle, End::Killed);
            }
            Action::DeliverStream { again, .. } => {
                running.streaming = true;
                if again {
                    self.at(self.now + AT_ONCE, Happening::Resume { isolate, life, handle });
                }
                self.next_step(isolate, handle);
            }
            Action::ReadPiece { timeout } => {
                self.read_piece(isolate, handle, timeout.0.saturating_mul(MILLI));
            }
            Action::PassPiece | Action::PassInstead(_) if beside => {}
            // No call of this world is handed through or read in parts.
            Action::ReadWhole
            | Action::PassPiece
            | Action::PassInstead(_)
            | Action::HandThrough(_)
            | Action::ReadHeaders
            | Action::ReadMore => self.next_step(isolate, handle),
        }
    }

    /// Asks the classifier, beside a stream or instead of the upstream's next step.
    fn ask(&mut self, isolate: usize, handle: u32, send: &Send, beside: bool) {
        let judge = self.scene.judge.expect("worlds without a classifier ask none");
        let (after, step) = judge::verdict(&mut self.random, judge, send);
        let life = self.hosts[isolate].life;
        let running = self.hosts[isolate].running.get_mut(&handle).expect("performed for it");
        running.came.unjudged |= !judge::is_verdict(&step);
        let fact = &mut self.facts.exchanges[running.fact];
        fact.admitted = fact.admitted.or(Some(self.now));
        if beside {
            return self.at(self.now + after, Happening::Judged { isolate, life, handle, step });
        }
        running.script = vec![(after, step)];
        self.next_step(isolate, handle);
    }

    fn call_upstream(&mut self, isolate: usize, handle: u32, send: &Send) {
        let manners = self.scene.faults.manners;
        let running = self.hosts[isolate].running.get_mut(&handle).expect("performed for it");
        running.came.asked_model = true;
        let fact = &mut self.facts.exchanges[running.fact];
        fact.calls += 1;
        fact.admitted = fact.admitted.or(Some(self.now));
        if running.streaming {
            self.facts.broken.push(format!("exchange {} was attempted after the commit point", running.fact));
        }
        if fact.calls > AttemptPlan::ATTEMPTS_MAX {
            self.facts.broken.push(format!("exchange {} made {} attempts", running.fact, fact.calls));
        }
        if let Some(version) = operator::version_of(send) {
            match fact.version {
                _ if version.is_err() => {
                    self.facts.broken.push(format!("mixed configuration in {}", send.url));
                }
                Some(known) if Ok(known) != version => {
                    self.facts.broken.push(format!("exchange {} changed its configuration", running.fact));
                }
                _ => fact.version = version.ok(),
            }
        }
        let (streamed, prompt, tokens) = (running.asks.streamed, running.asks.prompt, running.asks.tokens);
        let judged = running.asks.judged;
        let mut script = upstream::script(&mut self.random, manners, streamed, prompt, tokens, judged);
        let timeout = send.timeout.0.saturating_mul(MILLI);
        if script[0].0 > timeout {
            script = vec![(timeout, Step::Failed(exchange::Failure::TimedOut))];
        }
        running.whole = upstream::is_whole(&script);
        script.reverse();
        running.script = script;
        self.next_step(isolate, handle);
    }

    /// Lets the upstream of an exchange do the next thing in its time.
    fn next_step(&mut self, isolate: usize, handle: u32) {
        let host = &self.hosts[isolate];
        let (life, after) = (host.life, host.running[&handle].script.last().map(|(after, _)| *after));
        if let Some(after) = after {
            self.at(self.now + after, Happening::Upstream { isolate, life, handle });
        }
    }

    /// As [`Self::next_step`], but what takes too long is not waited for.
    fn read_piece(&mut self, isolate: usize, handle: u32, timeout: Micros) {
        let running = self.hosts[isolate].running.get_mut(&handle).expect("performed for it");
        if running.script.last().is_none_or(|(after, _)| *after > timeout) {
            running.script = vec![(timeout, Step::Ended(exchange::StreamEnd::TimedOut))];
        }
        self.next_step(isolate, handle);
    }

    fn upstream(&mut self, isolate: usize, life: u32, handle: u32) {
        let (now, word) = (self.now, self.random.word());
        let Some(host) = self.living(isolate, life) else { return };
        let Some(running) = host.running.get_mut(&handle) else { return };
        let Some((_, step)) = running.script.pop() else { return };
        running.gets(&step);
        let action = host.upstream(now, word, handle, &step);
        self.perform(isolate, handle, action, false);
    }

    fn end(&mut self, isolate: usize, handle: u32, end: End) {
        if let Some(running) = self.hosts[isolate].running.remove(&handle) {
            let breach = self.scene.judge.and_then(|judge| judge::breach(judge, &running));
            if let Some(what) = breach {
                self.facts.broken.push(format!(
                    "exchange {}: {what}: {}",
                    running.fact,
                    String::from_utf8_lossy(&running.got)
                ));
            }
            self.facts.exchanges[running.fact].end = end;
        }
    }

    /// Sends all object calls that an isolate has; `waits` names the exchange that waits for their answers.
    fn send_calls(&mut self, isolate: usize, waits: Option<u32>) {
        let life = self.hosts[isolate].life;
        let calls = self.hosts[isolate].calls(self.now);
        if let Some(handle) = waits
            && calls.is_empty()
        {
            return self.at(self.now + AT_ONCE, Happening::Resume { isolate, life, handle });
        }
        let group = waits.map(|handle| {
            self.order += 1;
            self.groups.insert(self.order, (isolate, life, handle, calls.len()));
            self.order
        });
        for call in calls {
            let from = Sender { isolate, life, group };
            let after = self.scene.faults.travel(&mut self.random);
            if self.random.permille(self.scene.faults.lost) {
                let noticed = after + self.random.between(0, 3 * SECOND);
                self.at(self.now + noticed, Happening::Reply { from, call: call.id, reply: None });
            } else {
                self.at(self.now + after, Happening::Message { from, call });
            }
        }
    }

    fn reply(&mut self, from: Sender, call: u64, reply: Option<Vec<u8>>) {
        let lost = self.random.permille(self.scene.faults.lost);
        let late = if lost { self.random.between(0, 3 * SECOND) } else { 0 };
        let after = self.scene.faults.travel(&mut self.random) + late;
        let reply = reply.filter(|_| !lost);
        self.at(self.now + after, Happening::Reply { from, call, reply });
    }

    fn replied(&mut self, from: Sender, call: u64, reply: Option<&[u8]>) {
        let now = self.now;
        let Some(host) = self.living(from.isolate, from.life) else { return };
        host.called(now, call, reply);
        self.see_to_calls(from.isolate, &NOTHING_ELSE);
        let Some(group) = from.group else { return };
        let (isolate, life, handle, missing) = self.groups.get_mut(&group).expect("a group has members");
        *missing -= 1;
        if *missing == 0 {
            let resume = Happening::Resume { isolate: *isolate, life: *life, handle: *handle };
            self.groups.remove(&group);
            self.at(self.now, resume);
        }
    }

    /// Asks core whether calls are due beside the exchanges, and sees to it.
    fn see_to_calls(&mut self, isolate: usize, beside: &Action) {
        let (now, life) = (self.now, self.hosts[isolate].life);
        if let Some(after) = self.hosts[isolate].calls_after(now, beside) {
            self.at(now + after.0 * MILLI + AT_ONCE, Happening::Due { isolate, life });
        }
    }

    fn kill(&mut self, isolate: usize) {
        let (life, skew) = (self.hosts[isolate].life + 1, self.hosts[isolate].skew);
        let host = self.host(life, skew);
        let dead = core::mem::replace(&mut self.hosts[isolate], host);
        for running in dead.running.into_values() {
            self.facts.exchanges[running.fact].end = End::Killed;
        }
        self.facts.kills.push((isolate, self.now));
    }

    fn host(&mut self, life: u32, skew: Skew) -> Host {
        Host::new(self.random.word(), life, skew, self.settings.clone())
    }

    fn living(&mut self, isolate: usize, life: u32) -> Option<&mut Host> {
        self.hosts.get_mut(isolate).filter(|host| host.life == life)
    }

    fn at(&mut self, at: Micros, happening: Happening) {
        self.order += 1;
        self.queue.insert((at, self.order), happening);
    }
}
