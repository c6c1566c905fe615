//! Second calls beside slow ones, on virtual time: the tail falls, the cap holds, and an exchange is answered and recorded
//! once whichever call wins, fails or breaks off.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use weir_tests::clock::{MILLI, Micros, SECOND};
use weir_tests::fleet::{Fleet, Manner, Told};

const RATE: u64 = 40;
const LASTS: Micros = 50 * SECOND;

fn told(seed: u64, manners: &[Manner], hedge: Option<Value>) -> Told {
    let routing = hedge.map_or(json!({}), |hedge| json!({"hedge": hedge}));
    Fleet::routed(seed, 4, manners, &routing).run(RATE, LASTS)
}

fn p99(told: &Told) -> Micros {
    let mut times: Vec<Micros> = told.exchanges.iter().filter_map(|(_, first)| *first).collect();
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

/// Calls beside the first of each exchange, in parts of a thousand exchanges.
fn extra(told: &Told) -> usize {
    (told.calls.len() - told.exchanges.len()) * 1_000 / told.exchanges.len()
}

/// Each exchange that was answered has one record of its own; nobody waits any more.
fn is_accounted(told: &Told) {
    assert_eq!(told.open, 0, "a call whose driver waits for ever");
    let mut own: BTreeMap<String, u32> = BTreeMap::new();
    for record in told.records.iter().filter(|record| record.complete) {
        *own.entry(record.id.to_string()).or_default() += 1;
    }
    assert!(own.values().all(|count| *count == 1));
    let answered = told.exchanges.iter().filter(|(_, first)| first.is_some()).count();
    assert_eq!(own.len(), answered, "one record each");
}

#[test]
fn a_straggler_is_overtaken_within_the_cap() {
    let manners = [Manner::Straggler(25), Manner::Straggler(25)];
    for seed in 0..5 {
        let alone = told(seed, &manners, None);
        assert_eq!(alone.calls.len(), alone.exchanges.len());
        let hedge = json!({"after_ms": 600, "after_percentile": 95, "max_percent": 5});
        let hedged = told(seed, &manners, Some(hedge));
        let (before, after) = (p99(&alone), p99(&hedged));
        assert!(before >= 10 * SECOND && after * 5 <= before, "seed {seed}: p99 {before} to {after} µs");
        assert!(extra(&hedged) <= 50, "seed {seed}: {} of 1000 extra", extra(&hedged));
        let overtaken = |record: &&weir_core::account::record::UsageRecord| {
            record.explanation.as_deref().is_some_and(|text| text.contains("overtaken"))
        };
        assert!(hedged.records.iter().filter(overtaken).count() > 20, "seed {seed}: it is told");
        is_accounted(&hedged);
    }
}

#[test]
fn the_cap_stops_second_calls_hard() {
    for (percent, parts) in [(1, 10), (2, 20), (10, 100)] {
        // Half of all calls straggle, so that whoever may make a second call does.
        let hedge = json!({"after_ms": 450, "after_percentile": 95, "max_percent": percent});
        let told = told(7, &[Manner::Straggler(500), Manner::Straggler(500)], Some(hedge));
        assert!(extra(&told) <= parts, "{} of 1000 at {percent} %", extra(&told));
        assert!(extra(&told) * 2 >= parts, "{} of 1000 at {percent} %: the cap is used", extra(&told));
        is_accounted(&told);
    }
}

#[test]
fn the_delay_is_learnt_from_what_is_seen() {
    let hedge = json!({"after_percentile": 95, "max_percent": 10});
    let told = told(3, &[Manner::Straggler(25), Manner::Straggler(25)], Some(hedge));
    assert!(p99(&told) <= 2 * SECOND, "{} µs", p99(&told));
    assert!(extra(&told) <= 100);
    is_accounted(&told);
}

/// A logged exchange is logged once, whichever call wins, with what its caller got.
#[test]
fn what_is_logged_is_the_answer_whoever_gave_it() {
    let hedge = json!({"after_ms": 400, "after_percentile": 95, "max_percent": 100});
    let members = json!({"routing": {"hedge": hedge}, "payload_sampling": 1_000_000});
    let fleets: [&[Manner]; 3] = [
        &[Manner::Straggler(300), Manner::Straggler(300)],
        &[Manner::Breaks, Manner::Healthy],
        &[Manner::Breaks, Manner::Breaks],
    ];
    for manners in fleets {
        let told = Fleet::with(5, 4, manners, &members).run(RATE, LASTS);
        assert!(extra(&told) > 100, "{manners:?}: there are second calls");
        is_accounted(&told);
        assert_eq!(told.bodies.len(), told.exchanges.len(), "{manners:?}");
        let good = told.exchanges.iter().filter(|(_, first)| first.is_some()).count();
        let whole = told.bodies.iter().filter(|body| body.contains("word word") && body.contains("[DONE]"));
        assert_eq!(whole.count(), good, "{manners:?}");
    }
}

#[test]
fn whichever_of_the_two_fails_the_other_decides() {
    let hedge = json!({"after_ms": 400, "after_percentile": 95, "max_percent": 100});
    let fleets: [(&[Manner], usize); 5] = [
        (&[Manner::Breaks, Manner::Healthy], 1_000),
        (&[Manner::Breaks, Manner::Grey], 990),
        (&[Manner::Breaks, Manner::BlackHole, Manner::Healthy], 1_000),
        (&[Manner::Grey, Manner::Flapping, Manner::Breaks], 950),
        (&[Manner::Breaks, Manner::Breaks], 0),
    ];
    for (manners, least) in fleets {
        for seed in 0..3 {
            let told = told(seed, manners, Some(hedge.clone()));
            let good = told.exchanges.iter().filter(|(_, first)| first.is_some()).count();
            assert!(good * 1_000 >= told.exchanges.len() * least, "{manners:?}, seed {seed}: {good}");
            is_accounted(&told);
        }
    }
    let healthy = told(1, &[Manner::Healthy; 2], Some(hedge));
    assert!(p99(&healthy) <= 420 * MILLI && extra(&healthy) <= 10, "who is quick is asked once");
}
