//! The attempt machine by tables and properties.

use super::*;
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;

const NOW: UnixMillis = UnixMillis(1_000_000);

fn plan(entities: u32, attempts_max: u32) -> AttemptPlan {
    AttemptPlan {
        entities: (0..entities).collect(),
        sound: entities,
        attempts_max,
        deadline: NOW.plus(Millis(60_000)),
        timeout: Millis(10_000),
        retry_percent: 20,
        wait_max: AttemptPlan::WAIT_MAX,
    }
}

fn status(status: u16) -> Outcome {
    Outcome::Answered { status, retry_after: None, should_retry: None }
}

#[test]
fn a_failing_entity_is_followed_by_the_next_at_once() {
    let (mut machine, mut budget) = (AttemptMachine::new(plan(2, 3)), RetryBudget::default());
    assert_eq!(machine.first(NOW, &mut budget), Step::Send { entity: 0, timeout: Millis(10_000) });
    assert_eq!(
        machine.outcome(NOW, 0, &status(503), &mut budget),
        Step::Send { entity: 1, timeout: Millis(10_000) }
    );
    assert_eq!(machine.outcome(NOW, 0, &status(200), &mut budget), Step::Deliver);
    assert_eq!(machine.made(), 2);
}

#[test]
fn a_long_retry_after_is_the_callers() {
    let (mut machine, mut budget) = (AttemptMachine::new(plan(1, 3)), RetryBudget::default());
    machine.first(NOW, &mut budget);
    let outcome = Outcome::Answered { status: 429, retry_after: Some(Millis(30_000)), should_retry: None };
    let Step::GiveUp(AttemptError::UpstreamStatus { status: 429, retry_after, .. }) =
        machine.outcome(NOW, 0, &outcome, &mut budget)
    else {
        panic!("must give up")
    };
    assert_eq!(retry_after, Some(Millis(30_000)));
}

fn outcomes() -> impl Strategy<Value = Vec<(Outcome, u64)>> {
    let outcome = prop_oneof![
        (100u16..600, proptest::option::of(0u64..5_000), proptest::option::of(any::<bool>())).prop_map(
            |(status, wait, should_retry)| Outcome::Answered {
                status,
                retry_after: wait.map(Millis),
                should_retry
            }
        ),
        Just(Outcome::Unreachable),
        Just(Outcome::TimedOut),
        Just(Outcome::Malformed),
        Just(Outcome::BrokeOff),
    ];
    proptest::collection::vec((outcome, any::<u64>()), 1..12)
}

proptest! {
    /// Promise 4: attempts and waiting are bounded by the plan, and nothing is sent after the commit point.
    #[test]
    fn attempts_and_waits_stay_within_the_plan(
        entities in 1u32..4, attempts_max in 1u32..5, outcomes in outcomes()
    ) {
        let (mut machine, mut budget) = (AttemptMachine::new(plan(entities, attempts_max)), RetryBudget::default());
        let (mut now, mut sent, mut ended) = (NOW, 0u32, false);
        let mut step = machine.first(now, &mut budget);
        for (outcome, random) in outcomes {
            if let Step::Wait { until, .. } = step {
                prop_assert!(until.since(now) <= AttemptPlan::WAIT_MAX);
                now = until;
                step = machine.resume(now);
            }
            match step {
                Step::Send { timeout, .. } => {
                    prop_assert!(!ended);
                    sent += 1;
                    prop_assert!(now.plus(timeout) <= NOW.plus(Millis(60_000)));
                }
                Step::Deliver | Step::GiveUp(_) => ended = true,
                Step::Wait { .. } => prop_assert!(false, "two waits without a call between them"),
            }
            step = machine.outcome(now, random, &outcome, &mut budget);
        }
        sent += u32::from(matches!(step, Step::Send { .. }));
        prop_assert!(sent <= attempts_max);
        prop_assert_eq!(machine.made(), sent);
    }
}

#[test]
fn without_entities_it_gives_up() {
    let mut machine = AttemptMachine::new(AttemptPlan { entities: vec![], ..plan(0, 3) });
    assert_eq!(machine.first(NOW, &mut RetryBudget::default()), Step::GiveUp(AttemptError::Unreachable));
}

/// What the machine does with a plan of `entities` of which `sound` are expected to work, outcome by outcome.
fn steps(entities: u32, sound: u32, outcomes: &[Outcome]) -> Vec<Step> {
    let plan =
        AttemptPlan { sound, retry_percent: 0, ..plan(entities, AttemptPlan::ATTEMPTS_MAX.max(entities)) };
    let (mut machine, mut budget) = (AttemptMachine::new(plan), RetryBudget::default());
    let mut steps = vec![machine.first(NOW, &mut budget)];
    steps.extend(outcomes.iter().map(|outcome| machine.outcome(NOW, 0, outcome, &mut budget)));
    steps
}

#[test]
fn all_entities_are_tried_in_order_and_the_last_error_is_told() {
    let last = AttemptError::UpstreamStatus { status: 500, retry_after: None, message: None };
    let failures =
        [status(429), Outcome::TimedOut, Outcome::Unreachable, Outcome::BrokeOff, status(401), status(500)];
    let steps = steps(6, 6, &failures);
    for (at, step) in (0..6).zip(&steps) {
        assert!(matches!(step, Step::Send { entity, .. } if *entity == at), "{at}: {step:?}");
    }
    assert_eq!(steps[6], Step::GiveUp(last));
}

#[test]
fn what_is_the_callers_is_not_tried_elsewhere() {
    for code in [400, 404, 409, 413, 422] {
        let error = AttemptError::UpstreamStatus { status: code, retry_after: None, message: None };
        assert_eq!(steps(3, 3, &[status(code)])[1], Step::GiveUp(error), "{code}");
    }
}

#[test]
fn an_entity_that_is_set_aside_costs_a_retry() {
    let steps = steps(3, 2, &[status(503), status(503)]);
    assert!(matches!(steps[1], Step::Send { entity: 1, .. }), "another upstream's load is no retry");
    assert!(matches!(steps[2], Step::GiveUp(_)), "no budget is left for one that is out");
}

#[test]
fn a_call_leaves_time_for_those_behind_it() {
    let plan = AttemptPlan { timeout: Millis(u64::MAX), ..plan(3, 3) };
    let spans: Vec<u64> = (0..3).map(|position| plan.span(position, NOW).0).collect();
    assert_eq!(spans, [30_000, 30_000, 60_000]);
    let late = NOW.plus(Millis(59_000));
    assert_eq!(plan.span(0, late), Millis(1_000));
}
