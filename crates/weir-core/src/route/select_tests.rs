//! Orders by tables, and shares by many draws.

use super::*;
use crate::simulate::SimulatorConfig;
use crate::snapshot::Target;
use alloc::string::String;
use alloc::vec;
use proptest::prelude::*;

/// Entities by share and priority.
fn entities(rows: &[(u32, u32)]) -> Vec<ServedEntity> {
    let entity = |(weight, priority): &(u32, u32)| ServedEntity {
        name: String::from("e"),
        provider: String::from("simulator"),
        upstream_model: String::from("m"),
        weight: *weight,
        priority: *priority,
        target: Target::Simulator(SimulatorConfig::default()),
        price: None,
    };
    rows.iter().map(entity).collect()
}

fn shares(weights: &[u32]) -> Vec<ServedEntity> {
    entities(&weights.iter().map(|weight| (*weight, 0)).collect::<Vec<_>>())
}

fn places(entities: &[ServedEntity], random: u64, fitness: &dyn Fn(usize) -> Fitness) -> Vec<usize> {
    order(entities, Chance { random, session: None, fitness }).iter().map(|pick| pick.at).collect()
}

const fn busy(load: u64) -> Fitness {
    Fitness { load: Some(load), ..UNKNOWN }
}

const OUT: Fitness = Fitness { out: true, ..UNKNOWN };

#[test]
fn the_first_is_drawn_by_share_and_the_others_follow_in_order() {
    let rows = [
        (vec![100], 7, vec![0]),
        (vec![30, 70], 29, vec![0, 1]),
        (vec![30, 70], 30, vec![1, 0]),
        (vec![30, 0, 70], 99, vec![2, 0, 1]),
        (vec![0, 100], 0, vec![1, 0]),
    ];
    for (weights, random, want) in rows {
        assert_eq!(places(&shares(&weights), random, &|_| UNKNOWN), want, "{weights:?} {random}");
    }
}

#[test]
fn shares_are_as_configured() {
    let entities = shares(&[10, 20, 70, 0]);
    let mut counts = [0u32; 4];
    for random in 0..10_000u64 {
        counts[places(&entities, mix(random), &|_| UNKNOWN)[0]] += 1;
    }
    for (count, share) in counts.into_iter().zip([1_000, 2_000, 7_000, 0]) {
        assert!(count.abs_diff(share) < 200, "{counts:?}");
    }
    assert_eq!(counts[3], 0, "no share, no traffic");
}

#[test]
fn lower_priorities_come_first_and_what_is_out_comes_last() {
    let three = entities(&[(0, 0), (0, 1), (0, 2)]);
    assert_eq!(places(&three, 5, &|_| UNKNOWN), [0, 1, 2]);
    assert_eq!(places(&three, 5, &|at| if at == 0 { OUT } else { UNKNOWN }), [1, 2, 0]);
    assert_eq!(places(&three, 5, &|_| OUT), [0, 1, 2]);
    let unordered = entities(&[(0, 3), (0, 1), (0, 1)]);
    assert_eq!(places(&unordered, 5, &|at| busy(10 - at as u64)), [2, 1, 0]);
    let shared = shares(&[50, 50]);
    for random in 0..100 {
        assert_eq!(places(&shared, random, &|at| if at == 1 { OUT } else { UNKNOWN }), [0, 1]);
    }
}

#[test]
fn without_shares_the_lighter_of_two_is_first_and_one_that_may_be_back_is_tried() {
    let three = entities(&[(0, 0), (0, 0), (0, 0)]);
    let loads = |at: usize| busy([100, 50, 140][at]);
    let mut counts = [0u32; 3];
    for random in 0..3_000u64 {
        counts[places(&three, random, &loads)[0]] += 1;
    }
    assert_eq!(counts[2], 0, "the worst of three loses against both: {counts:?}");
    assert!(counts[1].abs_diff(2_000) < 150, "{counts:?}");
    let far = |at: usize| busy([100, 50, 151][at]);
    let all = (0..3_000u64)
        .all(|random| places(&three, random, &far)[0] == 1 || places(&three, random, &far)[0] == 0);
    assert!(all, "one that is three times as loaded is no choice");
    let back = |at: usize| if at == 2 { Fitness { probe: true, ..busy(900) } } else { loads(at) };
    let picks = order(&three, Chance { random: 1, session: None, fitness: &back });
    assert_eq!(picks[0], Pick { at: 2, why: Why::Probe });
    // One that is not known is found out about by one call at a time.
    let two = entities(&[(0, 0), (0, 0)]);
    let new = |pending| move |at: usize| if at == 1 { Fitness { pending, ..UNKNOWN } } else { busy(5) };
    assert_eq!((places(&two, 3, &new(0))[0], places(&two, 3, &new(1))[0]), (1, 0));
}

#[test]
fn one_that_came_back_takes_its_share_by_and_by() {
    let share = |entities: &[ServedEntity], ramp: u32| {
        let fitness = |at: usize| if at == 1 { Fitness { ramp, ..busy(1) } } else { busy(1_000) };
        (0..4_000u64).filter(|random| places(entities, mix(*random), &fitness)[0] == 1).count()
    };
    for kind in [shares(&[50, 50]), entities(&[(0, 0), (0, 0)])] {
        let (none, half, all) = (share(&kind, 0), share(&kind, 128), share(&kind, FULL));
        assert!(none == 0 && half.abs_diff(all / 2) < 200 && all >= 1_800, "{none} {half} {all}");
    }
}

proptest! {
    /// A session keeps its entity whatever the random word is, and loses it only when that entity is out.
    #[test]
    fn a_session_stays(session: u64, randoms in proptest::collection::vec(any::<u64>(), 8), shared: bool) {
        let rows = if shared { shares(&[20, 30, 50]) } else { entities(&[(0, 0); 3]) };
        let first = |random, out: Option<usize>| {
            let fitness = |at: usize| if Some(at) == out { OUT } else { busy(at as u64) };
            order(&rows, Chance { random, session: Some(session), fitness: &fitness })[0].at
        };
        let home = first(0, None);
        for random in randoms {
            prop_assert_eq!(first(random, None), home);
            prop_assert_ne!(first(random, Some(home)), home);
            if !shared {
                let other = (home + 1) % 3;
                prop_assert_eq!(first(random, Some(other)), home);
            }
        }
    }

    /// Whatever is known, each entity stands in the order once.
    #[test]
    fn each_entity_has_one_place(
        rows in proptest::collection::vec((0u32..3, 0u32..3), 1..8), random: u64, word: u64,
    ) {
        let fitness = |at: usize| Fitness {
            load: (word >> at & 1 == 0).then_some(word % 97),
            pending: 1,
            out: word >> (at + 8) & 1 == 1,
            probe: word >> (at + 16) & 1 == 1,
            ramp: FULL,
        };
        let mut places = places(&entities(&rows), random, &fitness);
        places.sort_unstable();
        prop_assert_eq!(places, (0..rows.len()).collect::<Vec<_>>());
    }
}
