//! What exchanges of several isolates see of their limits, with a limiter that answers at once.

use super::limiter::Limiter;
use super::{Ask, LeaseBook, LimitError, LimitMessage, Quota, Reservation, Reserved};
use crate::id::IsolateId;
use crate::object::CallOutcome;
use crate::snapshot::Meter;
use crate::sorted::SortedMap;
use crate::time::{Millis, UnixMillis};
use alloc::string::String;
use alloc::vec::Vec;

const START: UnixMillis = UnixMillis(1_700_000_000_000);
const MINUTE: Millis = Millis(60_000);

/// Isolates and limiters on one clock; messages take no time.
struct Small {
    now: UnixMillis,
    books: Vec<LeaseBook>,
    limiters: SortedMap<String, Limiter>,
    reachable: bool,
    calls: u64,
}

impl Small {
    fn new(isolates: u64) -> Self {
        let books = (0..isolates).map(|id| LeaseBook::new(IsolateId(id << 32))).collect();
        Self { now: START, books, limiters: SortedMap::new(), reachable: true, calls: 0 }
    }

    fn pass(&mut self, millis: u64) {
        self.now = self.now.plus(Millis(millis));
    }

    fn send(&mut self, isolate: usize) {
        while let Some(LimitMessage { token, object, body }) = self.books[isolate].poll_message(self.now) {
            self.calls += 1;
            if !self.reachable {
                self.books[isolate].answered(self.now, token, CallOutcome::Lost);
                continue;
            }
            let handled = self.limiters.entry(object).or_default().handle(self.now, &body);
            self.books[isolate].answered(self.now, token, CallOutcome::Answered(&handled.reply));
        }
    }

    /// One exchange; waits end at once, or by the limiter's silence.
    fn reserve(&mut self, isolate: usize, asks: &[Ask<'_>]) -> Result<Reservation, LimitError> {
        let mut reserved = self.books[isolate].reserve(self.now, asks);
        loop {
            self.send(isolate);
            match reserved {
                Reserved::Ready(reservation) => return Ok(reservation),
                Reserved::Refused(error) => return Err(error),
                Reserved::Wait(id) => {
                    reserved = self.books[isolate].waited(self.now, id);
                    if matches!(reserved, Reserved::Wait(_)) {
                        self.pass(100);
                    }
                }
            }
        }
    }

    fn settle(&mut self, isolate: usize, reservation: Reservation, tokens: u64) {
        self.books[isolate].settle(self.now, reservation, tokens);
        self.send(isolate);
    }
}

fn ask(quota: Quota, meter: Meter, cells: u64) -> Ask<'static> {
    Ask { scope: "default/chat", meter, quota, cells, fail_open: false }
}

#[test]
fn a_fresh_limit_admits_its_burst_at_once_and_not_one_more() {
    let rows = [(6, 1), (60, 10), (3, 3), (5, 5), (120, 20), (60, 60), (600, 600)];
    for (amount, burst) in rows {
        let quota = Quota::new(amount, MINUTE, burst);
        let mut small = Small::new(1);
        let asks = [ask(quota, Meter::Requests, 1)];
        for turn in 0..burst {
            let reservation =
                small.reserve(0, &asks).unwrap_or_else(|error| panic!("{turn} of {burst}: {error}"));
            let standing = small.books[0].standings(small.now, &reservation)[0];
            assert_eq!(standing.remaining, burst - turn - 1, "after {turn} of {burst}");
            small.settle(0, reservation, 0);
        }
        let Err(LimitError::Exceeded { meter: Meter::Requests, retry_after }) = small.reserve(0, &asks)
        else {
            panic!("the {burst}th and first was admitted");
        };
        // Refused until the very millisecond, also when the last word is too old to trust.
        small.pass(retry_after.0 - 1);
        assert_eq!(
            small.reserve(0, &asks).err(),
            Some(LimitError::Exceeded { meter: Meter::Requests, retry_after: Millis(1) })
        );
        small.pass(1);
        assert!(small.reserve(0, &asks).is_ok(), "{retry_after:?} after {burst}");
    }
}

#[test]
fn at_saturation_95_of_100_are_admitted() {
    // (amount, burst, cells reserved, cells used, isolates, minutes).
    let rows = [
        (6, 1, 1, 1, 1, 10),
        (6, 1, 1, 1, 8, 6),
        (60, 10, 1, 1, 8, 3),
        (600, 600, 1, 1, 4, 3),
        (6_000, 1_000, 1, 1, 4, 2),
        (60_000, 60_000, 300, 300, 4, 3),
        (600_000, 600_000, 4_096, 200, 2, 2),
        (60_000, 60_000, 4_096, 200, 4, 3),
    ];
    for (amount, burst, reserved, used, isolates, minutes) in rows {
        let quota = Quota::new(amount, MINUTE, burst);
        let mut small = Small::new(isolates);
        let asks = [ask(quota, Meter::Tokens, reserved)];
        let (mut running, mut admitted) = (Vec::new(), Vec::new());
        let end = START.plus(Millis(minutes * MINUTE.0));
        while small.now < end {
            for isolate in 0..small.books.len() {
                while let Ok(reservation) = small.reserve(isolate, &asks) {
                    running.push((small.now, isolate, reservation));
                    admitted.push(small.now);
                }
            }
            small.pass(20);
            // Each exchange takes 200 ms.
            while running.first().is_some_and(|(began, ..)| began.plus(Millis(200)) <= small.now) {
                let (_, isolate, reservation) = running.remove(0);
                small.settle(isolate, reservation, used);
            }
        }
        let late = admitted.iter().filter(|at| **at >= START.plus(MINUTE)).count() as u64;
        let (got, full) = (late * used, amount * (minutes - 1));
        assert!(got * 100 >= full * 95, "{amount}/{burst} by {reserved}: {got} of {full}");
        let all = admitted.len() as u64 * used;
        assert!(all <= burst + amount * minutes, "{amount}/{burst} by {reserved}: {all} in all");
    }
}

#[test]
fn all_limits_admit_or_none_is_charged() {
    let wide = Quota::new(1_000, MINUTE, 1_000);
    let narrow = Quota::new(2, MINUTE, 2);
    let mut small = Small::new(1);
    let asks = [
        ask(wide, Meter::Requests, 1),
        ask(wide, Meter::Tokens, 100),
        Ask { scope: "default/chat/ada", ..ask(narrow, Meter::Requests, 1) },
    ];
    for _ in 0..2 {
        let reservation = small.reserve(0, &asks).unwrap();
        assert_eq!([0, 1, 2].map(|index| reservation.cells(index)), [1, 100, 1]);
        small.settle(0, reservation, 100);
    }
    for _ in 0..5 {
        let refused = small.reserve(0, &asks);
        assert!(matches!(refused, Err(LimitError::Exceeded { meter: Meter::Requests, .. })), "{refused:?}");
    }
    // What was asked for in vain comes back.
    small.pass(2_100);
    small.send(0);
    small.pass(1_100);
    small.send(0);
    let left = |meter| small.books[0].standing(small.now, "default/chat", meter).unwrap().remaining;
    assert!(left(Meter::Requests) >= 998, "{}", left(Meter::Requests));
    assert!(left(Meter::Tokens) >= 800, "{}", left(Meter::Tokens));
}

#[test]
fn what_can_never_pass_is_told_apart_from_what_must_wait() {
    let mut small = Small::new(1);
    let rows = [
        (
            Quota::new(10, MINUTE, 10),
            11,
            LimitError::NeverFits { meter: Meter::Tokens, asked: 11, burst: 10 },
        ),
        (Quota::new(0, MINUTE, 1), 1, LimitError::Exceeded { meter: Meter::Tokens, retry_after: MINUTE }),
    ];
    for (quota, cells, error) in rows {
        assert_eq!(small.reserve(0, &[ask(quota, Meter::Tokens, cells)]).err(), Some(error));
    }
    assert_eq!(small.calls, 0);
    let too_many = [ask(Quota::new(100, MINUTE, 100), Meter::Tokens, 1); super::reserve::ASKS_MAX + 1];
    assert_eq!(small.reserve(0, &too_many).err(), Some(LimitError::Unavailable));
}

#[test]
fn a_limiter_that_cannot_be_reached_closes_or_opens_as_the_deployment_says() {
    let quota = Quota::new(10, MINUTE, 10);
    let mut small = Small::new(1);
    small.reachable = false;
    let closed = [ask(quota, Meter::Requests, 1)];
    assert_eq!(small.reserve(0, &closed).err(), Some(LimitError::Unavailable));
    assert_eq!(small.now, START.plus(super::lease::WAIT_MAX));
    // The next ones are not made to wait.
    assert_eq!(small.reserve(0, &closed).err(), Some(LimitError::Unavailable));
    let open = [Ask { fail_open: true, ..closed[0] }];
    let reservation = small.reserve(0, &open).unwrap();
    assert_eq!((small.now, small.books[0].fail_open_admissions()), (START.plus(super::lease::WAIT_MAX), 1));
    small.settle(0, reservation, 0);
    small.reachable = true;
    small.pass(1_100);
    assert!(small.reserve(0, &closed).is_ok());
    let left = small.books[0].standing(small.now, "default/chat", Meter::Requests).unwrap().remaining;
    assert_eq!(left, 9, "an unmetered exchange is not charged afterwards");
    assert_eq!(small.books[0].fail_open_admissions(), 1);
}

#[test]
fn use_beyond_the_estimate_is_charged_afterwards() {
    let quota = Quota::new(1_000, MINUTE, 1_000);
    let mut small = Small::new(1);
    let reservation = small.reserve(0, &[ask(quota, Meter::Tokens, 100)]).unwrap();
    small.settle(0, reservation, 700);
    small.pass(1_100);
    small.send(0);
    let left = small.books[0].standing(small.now, "default/chat", Meter::Tokens).unwrap().remaining;
    assert!((300..=318).contains(&left), "{left}");
}

#[test]
fn many_exchanges_share_one_call_and_a_warm_pool_needs_none() {
    let quota = Quota::new(10_000_000, MINUTE, 10_000_000);
    let mut small = Small::new(1);
    let asks = [ask(quota, Meter::Requests, 1), ask(quota, Meter::Tokens, 100)];
    let waits: Vec<_> = (0..32)
        .map(|_| match small.books[0].reserve(small.now, &asks) {
            Reserved::Wait(id) => id,
            Reserved::Ready(_) | Reserved::Refused(_) => panic!("nothing is at hand yet"),
        })
        .collect();
    small.send(0);
    assert!(small.calls <= 2, "one for those that wait, one ahead of the next: {}", small.calls);
    for id in waits {
        let Reserved::Ready(reservation) = small.books[0].waited(small.now, id) else {
            panic!("{id:?} waits")
        };
        small.settle(0, reservation, 100);
    }
    // 1 000 exchanges a second for 10 s: hardly one waits, and calls are few.
    let mut waited = 0;
    for _ in 0..10_000 {
        small.pass(1);
        match small.books[0].reserve(small.now, &asks) {
            Reserved::Ready(reservation) => small.books[0].settle(small.now, reservation, 100),
            Reserved::Wait(id) => {
                waited += 1;
                small.send(0);
                let Reserved::Ready(reservation) = small.books[0].waited(small.now, id) else {
                    panic!("there is room")
                };
                small.books[0].settle(small.now, reservation, 100);
            }
            Reserved::Refused(error) => panic!("{error}"),
        }
        small.send(0);
    }
    assert!(waited <= 3, "{waited} of 10 000 waited");
    assert!(small.calls <= 60, "{} calls", small.calls);
}

#[test]
fn an_exchange_that_gives_up_waiting_holds_nothing() {
    let quota = Quota::new(10, MINUTE, 10);
    let mut small = Small::new(1);
    let asks = [ask(quota, Meter::Requests, 10)];
    let Reserved::Wait(first) = small.books[0].reserve(small.now, &asks) else {
        panic!("nothing is at hand")
    };
    small.send(0);
    small.books[0].abandon(small.now, first);
    assert!(small.reserve(0, &asks).is_ok());
    assert!(matches!(small.books[0].waited(small.now, first), Reserved::Refused(LimitError::Unavailable)));
}

#[test]
fn what_was_set_aside_is_not_used_after_its_lease() {
    let quota = Quota::new(6, MINUTE, 1);
    let mut small = Small::new(1);
    let asks = [ask(quota, Meter::Requests, 1)];
    let Reserved::Wait(id) = small.books[0].reserve(small.now, &asks) else { panic!("nothing is at hand") };
    small.send(0);
    // The exchange comes for it a second later; the lease lived 400 ms. The cell goes back, and it waits anew.
    small.pass(1_000);
    assert_eq!(small.books[0].waited(small.now, id), Reserved::Wait(id));
    small.send(0);
    assert!(matches!(small.books[0].waited(small.now, id), Reserved::Ready(_)));
}

#[test]
fn a_lease_lives_from_the_question_and_not_from_the_answer() {
    let quota = Quota::new(6, MINUTE, 1);
    // How long the answer takes, and whether the lease of 400 ms (less 10 ms for the clocks) is still good then.
    for (late, good) in [(0, true), (389, true), (390, false), (1_500, false)] {
        let mut small = Small::new(1);
        let asks = [ask(quota, Meter::Requests, 1)];
        let Reserved::Wait(id) = small.books[0].reserve(small.now, &asks) else {
            panic!("nothing is at hand")
        };
        let LimitMessage { token, body, .. } = small.books[0].poll_message(small.now).unwrap();
        let handled = Limiter::default().handle(small.now, &body);
        small.pass(late);
        small.books[0].answered(small.now, token, CallOutcome::Answered(&handled.reply));
        let got = small.books[0].waited(small.now, id);
        assert_eq!(matches!(got, Reserved::Ready(_)), good, "{late} ms late: {got:?}");
    }
}

#[test]
fn unused_and_idle_scopes_are_forgotten() {
    let quota = Quota::new(10, MINUTE, 10);
    let mut small = Small::new(1);
    for principal in 0..300 {
        let scope = alloc::format!("default/chat/{principal}");
        let reservation =
            small.reserve(0, &[Ask { scope: &scope, ..ask(quota, Meter::Requests, 1) }]).unwrap();
        small.settle(0, reservation, 0);
        small.pass(1_000);
        small.send(0);
    }
    assert!(small.books[0].scopes_held() < 120, "{}", small.books[0].scopes_held());
}
