//! The limiter's promise, by brute force: leases are granted, given back, lost and restarted at random, and
//! every interval is counted in the worst case that the promise allows.

use super::gcra::Decision;
use super::level::Level;
use super::limiter::Limiter;
use super::message::{Answer, MeterQuestion, Question, Settled};
use super::quota::Quota;
use crate::object::{Row, Write};
use crate::snapshot::Meter;
use crate::time::{Millis, UnixMillis};
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;

const START: UnixMillis = UnixMillis(1_700_000_000_000);

/// What happens next to a limiter.
#[derive(Clone, Debug)]
enum Happens {
    Pass(u64),
    Ask { least: u64, want: u64 },
    GiveBack { lease: usize, back: u64, used: u64 },
    Debit(u64),
    Restart,
}

struct Granted {
    at: UnixMillis,
    cells: u64,
    /// Not to be heard of again: given back or told as used.
    told: u64,
    back: u64,
}

/// A Limiter object with its storage.
struct Object {
    limiter: Limiter,
    rows: Vec<Row>,
}

impl Object {
    fn new() -> Self {
        Self { limiter: Limiter::default(), rows: Vec::new() }
    }

    fn ask(&mut self, now: UnixMillis, question: MeterQuestion) -> (u64, u64, Level) {
        let message = serde_json::to_vec(&Question { meters: vec![question] }).unwrap();
        let handled = self.limiter.handle(now, &message);
        for write in handled.writes {
            let Write::Put { key, value, .. } = write else { panic!("a limiter deletes nothing") };
            self.rows.retain(|row| row.key != key);
            self.rows.push(Row { key, value });
        }
        let answer: Answer = serde_json::from_slice(&handled.reply).unwrap();
        let said = answer.meters.into_iter().next().unwrap();
        (said.lease, said.granted, said.level)
    }

    fn restart(&mut self) {
        self.limiter = Limiter::load(&self.rows).unwrap();
    }
}

fn question(quota: Quota) -> MeterQuestion {
    MeterQuestion { meter: Meter::Tokens, quota, least: 0, want: 0, settled: Vec::new(), debit: 0 }
}

fn quotas() -> impl Strategy<Value = Quota> {
    prop_oneof![
        Just(Quota::new(6, Millis(60_000), 1)),
        Just(Quota::new(60, Millis(60_000), 10)),
        Just(Quota::new(100, Millis(60_000), 100)),
        Just(Quota::new(7, Millis(1_000), 3)),
        Just(Quota::new(1_000_000_000, Millis(60_000), 1_000_000_000)),
        (1u64..2_000, 1u64..100_000, 1u64..200).prop_map(|(a, p, b)| Quota::new(a, Millis(p), b)),
    ]
}

fn happenings() -> impl Strategy<Value = Vec<Happens>> {
    let one = prop_oneof![
        4 => (0u64..900).prop_map(Happens::Pass),
        1 => (0u64..20_000).prop_map(Happens::Pass),
        8 => (0u64..30, 0u64..120).prop_map(|(least, want)| Happens::Ask { least, want }),
        1 => Just(Happens::Ask { least: 0, want: u64::MAX }),
        6 => (0usize..12, 0u64..60, 0u64..10)
            .prop_map(|(lease, back, used)| Happens::GiveBack { lease, back, used }),
        1 => (0u64..20).prop_map(Happens::Debit),
        1 => Just(Happens::Restart),
    ];
    prop::collection::vec(one, 1..120)
}

/// Of the leases from `i` to `k`, all cells may be used between the end of `i`'s life and `k`'s grant.
fn assert_bound(quota: Quota, leases: &[Granted]) -> Result<(), TestCaseError> {
    let life = quota.lease_life();
    for k in 0..leases.len() {
        let mut kept = 0;
        for i in (0..=k).rev() {
            kept += leases[i].cells - leases[i].back;
            let span = leases[k].at.since(leases[i].at.plus(life));
            let most = quota.weight(u64::from(quota.burst())) + quota.drained(span);
            prop_assert!(
                quota.weight(kept) <= most,
                "leases {i}..={k} keep {kept} cells within {span:?} of {quota:?}"
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_interval_sees_more_than_burst_and_rate(quota in quotas(), happenings in happenings()) {
        let mut object = Object::new();
        let mut now = START;
        let mut leases: Vec<Granted> = Vec::new();
        for happens in happenings {
            match happens {
                Happens::Pass(span) => now = now.plus(Millis(span)),
                Happens::Ask { least, want } => {
                    let (name, cells, _) = object.ask(now, MeterQuestion { least, want, ..question(quota) });
                    prop_assert!(cells == 0 || (least..=least.max(want)).contains(&cells));
                    if cells > 0 {
                        leases.push(Granted { at: now, cells, told: 0, back: 0 });
                        prop_assert_eq!(usize::try_from(name), Ok(leases.len()));
                    }
                }
                Happens::GiveBack { lease, back, used } => {
                    // The newest leases, mostly: that is where most is given back.
                    let Some(at) = leases.len().checked_sub(1 + lease) else { continue };
                    let given = &mut leases[at];
                    let back = back.min(given.cells - given.told);
                    let used = used.min(given.cells - given.told - back);
                    given.told += back + used;
                    given.back += back;
                    let settled = vec![Settled(at as u64 + 1, back, used)];
                    object.ask(now, MeterQuestion { settled, ..question(quota) });
                }
                Happens::Debit(debit) => {
                    object.ask(now, MeterQuestion { debit, ..question(quota) });
                }
                Happens::Restart => object.restart(),
            }
        }
        assert_bound(quota, &leases)?;
    }

    #[test]
    fn room_wait_and_governor_agree(quota in quotas(), happenings in happenings(), cells in 1u64..150) {
        let mut object = Object::new();
        let mut now = START;
        for happens in happenings {
            match happens {
                Happens::Pass(span) => now = now.plus(Millis(span)),
                Happens::Ask { least, want } => {
                    object.ask(now, MeterQuestion { least, want, ..question(quota) });
                }
                Happens::Debit(debit) => {
                    object.ask(now, MeterQuestion { debit, ..question(quota) });
                }
                Happens::GiveBack { .. } | Happens::Restart => {}
            }
        }
        let (.., level) = object.ask(now, question(quota));
        let room = level.room(quota, now);
        for count in [room, room + 1, cells] {
            let conforms = matches!(level.decide(quota, count), Decision::Conforms { .. });
            prop_assert_eq!(conforms, count <= room, "{} cells", count);
        }
        // One millisecond before the wait is over the cells are refused, then they are granted.
        let Some(wait) = level.wait(quota, cells, now) else {
            prop_assert!(cells > u64::from(quota.burst()));
            return Ok(());
        };
        if wait > Millis(0) {
            let early = now.plus(wait).minus(Millis(1));
            prop_assert!(level.room(quota, early) < cells);
            let (_, granted, _) = object.ask(early, MeterQuestion { least: cells, ..question(quota) });
            prop_assert_eq!(granted, 0);
        }
        let (_, granted, _) = object.ask(now.plus(wait), MeterQuestion { least: cells, ..question(quota) });
        prop_assert_eq!(granted, cells);
    }

    #[test]
    fn a_bucket_is_full_when_its_reset_says(quota in quotas(), happenings in happenings()) {
        let mut object = Object::new();
        let mut now = START;
        for happens in happenings {
            match happens {
                Happens::Pass(span) => now = now.plus(Millis(span)),
                Happens::Ask { least, want } => {
                    object.ask(now, MeterQuestion { least, want, ..question(quota) });
                }
                Happens::Debit(_) | Happens::GiveBack { .. } | Happens::Restart => {}
            }
        }
        let (.., level) = object.ask(now, question(quota));
        let full = now.plus(level.reset(quota, now));
        prop_assert_eq!(level.room(quota, full), u64::from(quota.burst()));
        if full > now {
            prop_assert!(level.room(quota, full.minus(Millis(1))) < u64::from(quota.burst()));
        }
    }
}

#[test]
fn a_changed_limit_keeps_what_was_used_and_never_refills() {
    let minute = Millis(60_000);
    // (before, used, after, room after).
    let rows = [
        (Quota::new(100, minute, 100), 100, Quota::new(200, minute, 200), 100),
        (Quota::new(100, minute, 100), 100, Quota::new(50, minute, 50), 0),
        (Quota::new(100, minute, 100), 40, Quota::new(50, minute, 50), 10),
        (Quota::new(60, minute, 10), 10, Quota::new(1_000_000, minute, 11), 1),
        (Quota::new(100, minute, 100), 100, Quota::new(0, minute, 1), 0),
    ];
    for (before, used, after, room) in rows {
        let mut object = Object::new();
        let (_, granted, _) = object.ask(START, MeterQuestion { want: used, ..question(before) });
        assert_eq!(granted, used);
        // Once while the lease is young, once when it is mature (and has not begun to drain).
        let (.., level) = object.ask(START, question(after));
        assert_eq!(level.room(after, START), room, "{before:?} to {after:?}");
        let (.., level) = object.ask(START, question(before));
        assert_eq!(level.room(before, START), u64::from(before.burst()) - used);
    }
    // Closed for a while, then as before: the pause drains, nothing refills at once.
    let quota = Quota::new(60, minute, 60);
    let mut object = Object::new();
    object.ask(START, MeterQuestion { want: 60, ..question(quota) });
    let closed = Quota::new(0, minute, 60);
    let (_, granted, _) =
        object.ask(START.plus(Millis(6_000)), MeterQuestion { want: 1, ..question(closed) });
    assert_eq!(granted, 0);
    let later = START.plus(Millis(12_000));
    let (.., level) = object.ask(later, question(quota));
    assert!((9..=10).contains(&level.room(quota, later)), "{}", level.room(quota, later));
}

#[test]
fn a_clock_that_goes_back_admits_nothing_extra() {
    let quota = Quota::new(60, Millis(60_000), 60);
    for back in [1, 4_000, 3_600_000] {
        let mut object = Object::new();
        object.ask(START, MeterQuestion { want: 60, ..question(quota) });
        let earlier = START.minus(Millis(back));
        let (_, granted, _) = object.ask(earlier, MeterQuestion { want: 60, ..question(quota) });
        assert_eq!(granted, 0, "{back} ms back");
        // It goes on from there.
        let (_, granted, _) =
            object.ask(START.plus(Millis(10_000)), MeterQuestion { want: 60, ..question(quota) });
        assert!(granted >= 7, "{granted} cells ten seconds after {back} ms back");
    }
}

#[test]
fn unreadable_messages_and_rows_are_refused_whole() {
    let mut limiter = Limiter::default();
    for message in [&b""[..], b"{", b"[]", br#"{"meters":[{"meter":"requests"}]}"#, br#"{"meters":7}"#] {
        let handled = limiter.handle(START, message);
        assert!(handled.writes.is_empty());
        assert!(handled.reply.starts_with(br#"{"error""#));
    }
    assert_eq!(limiter, Limiter::default());
    for (key, value) in [("usd", "{}"), ("tokens", "{}"), ("tokens", "")] {
        let row = Row { key: key.into(), value: value.into() };
        assert_eq!(Limiter::load(&[row]).err().map(|error| error.key).as_deref(), Some(key));
    }
}
