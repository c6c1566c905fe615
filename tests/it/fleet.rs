//! Fleets on virtual time, many seeds each: a deployment goes on working as long as one entity does, the bad ones get
//! next to nothing, and nobody waits much longer than with an oracle that always knows the good one.

use weir_tests::clock::{MILLI, Micros, SECOND};
use weir_tests::fleet::{Fleet, Manner, Told};

/// Seeds of each fleet.
const SEEDS: u64 = 10;
/// Isolates, callers a second, and how long they come.
const ISOLATES: u64 = 8;
const RATE: u64 = 40;
const LASTS: Micros = 50 * SECOND;
/// After so long the bad ones are known.
const KNOWN: Micros = 10 * SECOND;
/// What an oracle's 99th percentile is: 200 to 400 ms, evenly.
const ORACLE: Micros = 398 * MILLI;

fn told(seed: u64, manners: &[Manner]) -> Told {
    Fleet::new(seed, ISOLATES, manners).run(RATE, LASTS)
}

/// Parts of a thousand of the calls from `from` on that went to `entity`.
fn share(told: &Told, entity: usize, from: Micros) -> u64 {
    let late = || told.calls.iter().filter(|(at, _)| *at >= from);
    let to = late().filter(|(_, called)| *called == entity).count() as u64;
    to * 1_000 / late().count().max(1) as u64
}

/// Parts of ten thousand that succeeded.
fn success(told: &Told) -> u64 {
    let good = told.exchanges.iter().filter(|(_, first)| first.is_some()).count() as u64;
    good * 10_000 / told.exchanges.len() as u64
}

/// The 99th percentile of the time to the first content, of exchanges from `from` on.
fn p99(told: &Told, from: Micros) -> Micros {
    let late = told.exchanges.iter().filter(|(at, _)| *at >= from);
    let mut times: Vec<Micros> = late.filter_map(|(_, first)| *first).collect();
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

#[test]
fn one_healthy_entity_is_enough_whatever_the_others_do() {
    let fleets: [(&str, &[Manner]); 6] = [
        ("a black hole", &[Manner::BlackHole, Manner::Healthy]),
        ("a grey one", &[Manner::Grey, Manner::Healthy]),
        ("a flapping one", &[Manner::Flapping, Manner::Healthy]),
        ("a cold one", &[Manner::Cold, Manner::Healthy]),
        ("an outage", &[Manner::Outage, Manner::Healthy]),
        ("all at once", &[Manner::BlackHole, Manner::Grey, Manner::Flapping, Manner::Cold, Manner::Healthy]),
    ];
    for (what, manners) in fleets {
        for seed in 0..SEEDS {
            let told = told(seed, manners);
            let rate = success(&told);
            assert!(rate >= 9_950, "{what}, seed {seed}: {rate} of 10000 succeeded");
            let slow = p99(&told, KNOWN);
            assert!(slow * 10 <= ORACLE * 12, "{what}, seed {seed}: p99 to the first content is {slow} µs");
            for (entity, manner) in manners.iter().enumerate() {
                if matches!(manner, Manner::BlackHole | Manner::Grey) {
                    let to = share(&told, entity, KNOWN);
                    assert!(to <= 20, "{what}, seed {seed}: {to} of 1000 calls to {manner:?} after 10 s");
                }
            }
        }
    }
}

#[test]
fn one_that_comes_back_gets_its_traffic_back() {
    for seed in 0..SEEDS {
        let told = told(seed, &[Manner::Outage, Manner::Healthy]);
        let during =
            told.calls.iter().filter(|(at, entity)| *entity == 0 && (12..20).contains(&(at / SECOND)));
        assert!(during.count() <= 60, "seed {seed}: it is left alone while it is down");
        let to = share(&told, 0, 40 * SECOND);
        assert!(to >= 250, "seed {seed}: {to} of 1000 calls after it was back for 20 s");
    }
}

#[test]
fn a_fleet_of_healthy_ones_shares() {
    for seed in 0..SEEDS {
        let told = told(seed, &[Manner::Healthy; 3]);
        assert_eq!(success(&told), 10_000);
        assert_eq!(told.calls.len(), told.exchanges.len(), "seed {seed}: no call too many");
        for entity in 0..3 {
            let to = share(&told, entity, 0);
            assert!((200..=470).contains(&to), "seed {seed}: {to} of 1000 to {entity}");
        }
    }
}

/// Whatever fails, and for however long: retries are a fifth of the traffic at most, beside what each isolate may save up.
#[test]
fn retries_are_a_fifth_of_the_traffic_at_most() {
    for manners in [&[Manner::BlackHole][..], &[Manner::BlackHole, Manner::BlackHole, Manner::BlackHole]] {
        for seed in 0..SEEDS {
            let told = told(seed, manners);
            assert_eq!(success(&told), 0);
            let (calls, exchanges) = (told.calls.len() as u64, told.exchanges.len() as u64);
            let saved = 10 * ISOLATES;
            // Others that are expected to work are no retries: each is asked until it is known.
            let others = (manners.len() as u64 - 1) * 12 * ISOLATES;
            let most = exchanges + exchanges / 5 + saved + others;
            assert!(calls <= most, "{manners:?}, seed {seed}: {calls} calls of {exchanges} exchanges");
            assert!(calls > exchanges, "{manners:?}, seed {seed}: there are retries");
        }
    }
}
