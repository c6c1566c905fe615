//! Worlds by the seed: the promises of the product as properties of whole exchanges, with everything going wrong.
//!
//! Each world has 8 isolates, all objects, an operator and bad upstreams on virtual time. A promise that is broken
//! names its seed; the same seed breaks it again.

use std::collections::{BTreeMap, BTreeSet};
use weir_core::account::record::UsageRecord;
use weir_core::id::{AccountId, RequestId};
use weir_core::ledger::question::{Asked, Question};
use weir_core::ledger::{TABLE_RECORD, answer::Answer};
use weir_core::object::{CallOutcome, ObjectKind};
use weir_tests::clock::{EPOCH, MILLI, Micros, SECOND};
use weir_tests::facts::{End, Exchange, Rate, overrun};
use weir_tests::world::World;
use weir_tests::world::judge::Judge;
use weir_tests::world::scene::{CHAT, Faults, Scene};

const MINUTE: Micros = 60 * SECOND;
/// What an isolate that is killed may take with it.
const UNFLUSHED: Micros = 100 * MILLI;

/// Seeds of each kind of world.
const SEEDS: u64 = 250;

#[test]
fn promises_hold_where_nothing_goes_wrong() {
    let seen = promises_hold(&Scene::calm(), "calm");
    assert!(seen.refused > 0 && seen.conflicts > 0 && seen.faulty > 0, "{seen:?}");
    assert_eq!((seen.killed, seen.forgotten, seen.repeated), (0, 0, 0), "{seen:?}");
    assert_eq!(seen.statuses, BTreeSet::from([429]), "only limits refuse");
}

#[test]
fn promises_hold_where_parts_die_and_clocks_are_wrong() {
    let faults = Faults { lost: 0, crashes: 0, ..Scene::rough().faults };
    let seen = promises_hold(&Scene { faults, ..Scene::rough() }, "dying");
    assert!(seen.refused > 0 && seen.killed > 0 && seen.repeated > 0, "{seen:?}");
}

#[test]
fn promises_hold_where_messages_are_lost() {
    let seen = promises_hold(&Scene::rough(), "rough");
    assert!(seen.refused > 0 && seen.killed > 0 && seen.repeated > 0 && seen.forgotten > 0, "{seen:?}");
}

#[test]
fn promises_hold_where_one_request_is_admitted_at_a_time() {
    let seen = promises_hold(&Scene { capacity: 1, live: 100, ..Scene::rough() }, "narrow");
    assert!(seen.refused > 0 && seen.killed > 0, "{seen:?}");
}

/// A classifier that is slow and fails: what it filters reaches nobody, whatever else goes wrong, and what models said is
/// in the ledger.
#[test]
fn promises_hold_where_a_classifier_judges() {
    let judge = Judge { open: false, failing: 150, slowest: 500 * MILLI, bad: 300 };
    let calm = Scene { judge: Some(judge), live: 100, streamed: 500, ..Scene::calm() };
    let seen = promises_hold_in(&calm, "judged", 30);
    assert_eq!(seen.statuses, BTreeSet::from([400, 429, 503]), "filtered, limited, not judged: {seen:?}");
    let rough = Scene { judge: Some(judge), live: 100, streamed: 500, ..Scene::rough() };
    let seen = promises_hold_in(&rough, "judged and rough", 30);
    assert!(seen.killed > 0 && seen.repeated > 0 && seen.statuses.contains(&400), "{seen:?}");
    let open = Scene { judge: Some(Judge { open: true, ..judge }), ..rough };
    let seen = promises_hold_in(&open, "judged if possible", 30);
    assert!(seen.killed > 0 && seen.repeated > 0 && seen.statuses.contains(&400), "{seen:?}");
}

#[test]
fn at_saturation_95_of_100_are_admitted() {
    // More than three times as many requests as the limit admits, or half as many of many tokens each.
    let crowded =
        Scene { lasts: 3 * MINUTE, requests: 9_000, live: 0, streamed: 100, commands: 0, ..Scene::calm() };
    let wordy = Scene { requests: 6_000, output: 1_500, ..crowded.clone() };
    // All that three minutes allow: the burst and what comes back.
    for (scene, what, full) in [(crowded, "requests", 10 + 3 * 60), (wordy, "tokens", 10_000 + 3 * 10_000)] {
        for seed in 0..3 {
            let world = World::new(seed, scene.clone()).run();
            let records = records(&world);
            let admitted = world.facts.exchanges.iter().filter(|exchange| exchange.admitted.is_some());
            let got: u64 = match what {
                "requests" => admitted.count() as u64,
                _ => records.values().map(|record| record.usage.total()).sum(),
            };
            assert!(got * 100 >= full * 95, "seed {seed}: {got} of {full} {what} in three minutes");
            let over = limits_hold(&world, scene.capacity);
            assert!(over.is_empty(), "seed {seed}: {over:?}");
        }
    }
}

/// What a set of worlds saw, so that a test can tell that its worlds put the promises to the test.
#[derive(Debug, Default)]
struct Seen {
    refused: u64,
    killed: u64,
    /// Answers that died with their isolate before the ledger knew of them.
    forgotten: u64,
    /// Exchanges that took more than one attempt.
    repeated: u64,
    conflicts: u32,
    faulty: u32,
    /// What callers were refused with.
    statuses: BTreeSet<u16>,
}

fn promises_hold(scene: &Scene, kind: &str) -> Seen {
    promises_hold_in(scene, kind, SEEDS)
}

/// In so many worlds.
fn promises_hold_in(scene: &Scene, kind: &str, seeds: u64) -> Seen {
    let (lossless, calm) = (scene.faults.lost == 0, scene.faults.kills == 0);
    let mut seen = Seen::default();
    for seed in 0..seeds {
        let mut world = World::new(seed, scene.clone()).run();
        let problems = [
            world.facts.broken.clone(),
            limits_hold(&world, scene.capacity),
            usage_is_recorded_once(&mut world, lossless),
            changes_are_atomic(&world, calm),
        ]
        .concat();
        assert!(problems.is_empty(), "seed {seed} of the {kind} worlds: {problems:#?}");
        seen.add(&world);
    }
    seen
}

impl Seen {
    fn add(&mut self, world: &World) {
        let records = records(world);
        for exchange in &world.facts.exchanges {
            let recorded = records.contains_key(&exchange.id);
            if let End::Refused { status, .. } = exchange.end {
                self.statuses.insert(status);
            }
            self.refused += u64::from(matches!(exchange.end, End::Refused { .. }) && exchange.calls == 0);
            self.killed += u64::from(exchange.end == End::Killed);
            self.forgotten += u64::from(matches!(exchange.end, End::Answered { .. }) && !recorded);
            self.repeated += u64::from(exchange.calls > 1);
        }
        self.conflicts += world.facts.conflicts;
        self.faulty += world.facts.faulty;
    }
}

/// Promise 1: no interval sees more cells than burst and rate allow.
fn limits_hold(world: &World, capacity: u64) -> Vec<String> {
    let records = records(world);
    let chat = || world.facts.exchanges.iter().filter(|exchange| exchange.deployment == CHAT);
    let mut requests: Vec<(Micros, u64)> =
        chat().filter_map(|exchange| Some((exchange.admitted?, 1))).collect();
    let mut tokens: Vec<(Micros, u64)> =
        chat().filter_map(|exchange| Some((exchange.admitted?, kept(exchange, &records)))).collect();
    requests.sort_unstable();
    tokens.sort_unstable();
    let (rpm, tpm) = (6 * capacity, 1_000 * capacity);
    let rates = [
        ("requests", requests, Rate { amount: rpm, per: MINUTE, burst: (rpm / 6).max(1) }),
        ("tokens", tokens, Rate { amount: tpm, per: MINUTE, burst: tpm }),
    ];
    let found = rates.into_iter().filter_map(|(what, uses, rate)| {
        overrun(&uses, rate, 200).map(|found| format!("too many {what}: {found:?} at {rate:?}"))
    });
    found.collect()
}

/// Tokens of its estimate that an exchange kept: what it used, if that is less; all, if nobody knows.
fn kept(exchange: &Exchange, records: &BTreeMap<RequestId, UsageRecord>) -> u64 {
    match (exchange.end, records.get(&exchange.id)) {
        (_, Some(record)) => record.usage.total().min(exchange.estimate),
        (End::Refused { .. }, None) => 0,
        (End::Open | End::Killed | End::Answered { .. }, None) => exchange.estimate,
    }
}

/// Promise 2: what was answered is in the ledger once; what a killed isolate took with it is bounded.
fn usage_is_recorded_once(world: &mut World, lossless: bool) -> Vec<String> {
    let mut problems = Vec::new();
    let records = records(world);
    let mut known = 0;
    for exchange in &world.facts.exchanges {
        let recorded = records.contains_key(&exchange.id);
        known += u64::from(recorded);
        let kills = &world.facts.kills;
        let mut lives = kills.iter().filter(|(isolate, _)| *isolate == exchange.isolate.0);
        let killed = lives.nth(exchange.isolate.1 as usize).map(|(_, at)| *at);
        match (exchange.end, killed) {
            (End::Open, _) => problems.push(format!("never ended: {exchange:?}")),
            (End::Refused { .. }, _) if recorded => problems.push(format!("refused, recorded: {exchange:?}")),
            (End::Answered { .. }, None) if !recorded => problems.push(format!("not recorded: {exchange:?}")),
            (End::Answered { at }, Some(killed)) if !recorded && lossless && at + UNFLUSHED < killed => {
                problems
                    .push(format!("settled long before the kill at {killed}, not recorded: {exchange:?}"));
            }
            (End::Answered { .. } | End::Refused { .. } | End::Killed, _) => {}
        }
    }
    if known != records.len() as u64 {
        problems.push(format!("{} records, {known} of known exchanges", records.len()));
    }
    let summed = summed(world);
    if summed != known {
        problems.push(format!("sums count {summed} exchanges, {known} are recorded"));
    }
    problems
}

/// Promise 5: each reader goes from one configuration to the next, never back, and is not late for long.
fn changes_are_atomic(world: &World, calm: bool) -> Vec<String> {
    let mut problems = Vec::new();
    let changes = &world.facts.changes;
    let mut newest: BTreeMap<(usize, u32), u64> = BTreeMap::new();
    let mut reads: Vec<&Exchange> = world.facts.exchanges.iter().filter(|it| it.version.is_some()).collect();
    reads.sort_by_key(|exchange| exchange.admitted);
    for exchange in reads {
        let (version, at) = (exchange.version.unwrap(), exchange.admitted.unwrap());
        if !changes.iter().any(|change| change.version == version && change.at <= at) {
            problems.push(format!("{version} does not serve: {exchange:?}"));
        }
        let seen = newest.entry(exchange.isolate).or_default();
        if version < *seen {
            problems.push(format!("{version} after {seen}: {exchange:?}"));
        }
        *seen = version.max(*seen);
        let old = changes.iter().rev().find(|change| change.at + 5 * SECOND <= at);
        if calm && old.is_some_and(|old| version < old.version) {
            problems.push(format!("{version} more than 5 s after {old:?}: {exchange:?}"));
        }
    }
    problems
}

/// All records of all Ledger objects, by exchange.
fn records(world: &World) -> BTreeMap<RequestId, UsageRecord> {
    let rows = world.objects.ledgers().flat_map(|rows| rows.all(TABLE_RECORD));
    let record =
        |text: String| serde_json::from_str::<UsageRecord>(&text).expect("the ledger stores records");
    rows.map(|row| record(row.value)).map(|record| (record.id, record)).collect()
}

/// How many exchanges the ledger's sums count, by its own answer to the administrator.
fn summed(world: &mut World) -> u64 {
    let account = AccountId::default_account();
    let (from, to) = (EPOCH.0 - 7_200_000, EPOCH.0 + 7_200_000);
    let now = weir_core::time::UnixMillis(to);
    let query = format!("from={from}&to={to}&interval=hour");
    let (accounts, path) = ([account], "/api/weir/v1/usage");
    let asked = Asked { accounts: &accounts, base: "", path, query: &query, body: "", now };
    let mut question = Question::parse(&asked).unwrap().expect("a good question");
    loop {
        let asks = question.asks();
        if asks.is_empty() {
            break;
        }
        for ask in asks {
            let kind = ObjectKind::Ledger;
            let reply = world.objects.message(0, kind, &ask.object, &ask.body, [0; 32], false).unwrap();
            question.answered(ask.shard, CallOutcome::Answered(&reply));
        }
    }
    let Answer { status, body, .. } = question.answer();
    let body: serde_json::Value = serde_json::from_slice(body.as_ref()).expect("JSON");
    assert_eq!(status, 200, "{body}");
    body["rows"].as_array().unwrap().iter().map(|row| row["requests"].as_u64().unwrap()).sum()
}
