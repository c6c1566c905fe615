//! What an entity's past makes of it, step by step.

use super::*;
use crate::route::select::FULL;

const NOW: UnixMillis = UnixMillis(1_000_000);
const AT: (&str, &str) = ("default/d", "e");

fn at(ms: u64) -> UnixMillis {
    NOW.plus(Millis(ms))
}

fn fitness(book: &HealthBook, ms: u64) -> Fitness {
    book.fitness(at(ms), AT.0, AT.1)
}

fn good(book: &mut HealthBook, ms: u64, took: u64) {
    book.began(at(ms), AT.0, AT.1);
    book.spoke(at(ms), AT.0, AT.1, Millis(took));
    book.streamed(AT.0, AT.1, Millis(0), 0);
}

fn bad(book: &mut HealthBook, ms: u64, retry_after: Option<u64>) {
    let outcome = Outcome::Answered { status: 429, retry_after: retry_after.map(Millis), should_retry: None };
    book.began(at(ms), AT.0, AT.1);
    book.failed(at(ms), AT.0, AT.1, &outcome, false);
}

#[test]
fn a_quick_failure_draws_no_traffic() {
    let mut book = HealthBook::default();
    good(&mut book, 0, 20);
    let before = fitness(&book, 0).load.unwrap();
    bad(&mut book, 1, None);
    let after = fitness(&book, 1).load.unwrap();
    assert!(before == 20_000 && after >= 5_000_000, "{before} {after}");
    assert!(!fitness(&book, 1).out, "one failure is none");
    good(&mut book, 2, 20);
    assert!(fitness(&book, 2).load.unwrap() < 100_000, "a good answer takes the penalty back");
}

#[test]
fn three_failures_set_aside_and_one_call_finds_out() {
    let mut book = HealthBook::default();
    good(&mut book, 0, 20);
    for ms in 0..3 {
        assert!(!fitness(&book, ms).out);
        bad(&mut book, ms, None);
    }
    assert!(fitness(&book, 3).out && fitness(&book, 2_001).out);
    let back = fitness(&book, 2_010);
    assert!(back.probe && !back.out);
    book.began(at(2_010), AT.0, AT.1);
    assert!(fitness(&book, 2_011).out, "one at a time");
    book.failed(at(2_020), AT.0, AT.1, &Outcome::TimedOut, false);
    assert!(fitness(&book, 5_900).out && fitness(&book, 6_100).probe, "twice as long");
    good(&mut book, 6_100, 20);
    let ramps = [6_100, 8_600, 11_100, 16_100, 90_000].map(|ms| fitness(&book, ms).ramp);
    assert_eq!(ramps, [8, 64, 128, FULL, FULL]);
    good(&mut book, 70_000, 20);
    for ms in 70_001..70_004 {
        bad(&mut book, ms, None);
    }
    assert!(fitness(&book, 72_010).probe, "after a good minute it is as good as new");
}

#[test]
fn calls_of_before_change_nothing_while_it_is_aside() {
    let mut book = HealthBook::default();
    for _ in 0..5 {
        book.began(NOW, AT.0, AT.1);
    }
    for ms in 0..4 {
        book.failed(at(ms), AT.0, AT.1, &Outcome::Unreachable, false);
    }
    book.spoke(at(10), AT.0, AT.1, Millis(10));
    assert!(fitness(&book, 11).out && fitness(&book, 2_100).probe);
    assert_eq!(fitness(&book, 11).pending, 1);
}

#[test]
fn it_rests_as_long_as_it_asks_and_no_longer_than_a_minute() {
    let mut book = HealthBook::default();
    bad(&mut book, 0, Some(9_000));
    assert!(fitness(&book, 8_999).out && !fitness(&book, 9_000).out);
    bad(&mut book, 10_000, Some(86_400_000));
    assert!(fitness(&book, 69_999).out && !fitness(&book, 70_000).out);
    let quota = RemainingQuota { requests: Some(0), ..RemainingQuota::default() };
    book.quota(at(80_000), AT.0, AT.1, &quota);
    assert!(fitness(&book, 80_900).out && !fitness(&book, 81_000).out);
}

#[test]
fn load_is_time_by_what_is_under_way_and_silence_counts() {
    let mut book = HealthBook::default();
    good(&mut book, 0, 100);
    for _ in 0..8 {
        book.began(at(1), AT.0, AT.1);
    }
    assert_eq!(fitness(&book, 1).load, Some(200_000), "eight calls under way double it");
    assert_eq!(fitness(&book, 2_001).load, Some(4_000_000), "nothing was heard for two seconds");
    for _ in 0..8 {
        book.released(at(2_002), AT.0, AT.1, false);
    }
    assert_eq!(fitness(&book, 2_002).load, Some(100_000));
    assert_eq!(fitness(&book, 60_000).load, None, "what was measured a minute ago is not known");
    let mut plain = HealthBook::default();
    plain.began(NOW, AT.0, AT.1);
    plain.answered(at(1_200), AT.0, AT.1, Millis(1_200), 100);
    assert_eq!(
        fitness(&plain, 1_200).load,
        Some(1_200_000),
        "the time of 100 tokens is the time of 100 tokens"
    );
}

#[test]
fn what_is_idle_is_forgotten() {
    let mut book = HealthBook::default();
    good(&mut book, 0, 100);
    book.sweep(at(1_000));
    assert_eq!(book.of_account("default").count(), 1);
    book.sweep(at(16 * 60 * 1_000));
    assert_eq!(book.of_account("default").count(), 0);
}
