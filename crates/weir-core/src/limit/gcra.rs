//! Governor's cell rate algorithm on a value passed in. Decides whether cells conform; not what is stored about
//! them (`level`). Stage 4.
//!
//! Governor has two seams. Its clock is given the event's time and its state store the arrival time that the
//! caller computed; both are measured from the event itself, in the quota's ticks, which governor takes for
//! nanoseconds. It counts no real time, so any unit will do.

use super::quota::Quota;
use core::cell::Cell;
use core::num::NonZeroU32;
use core::time::Duration;
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};

/// Fullest bucket that is reckoned with, in ticks; beyond it nothing is admitted for years anyway.
const FILL_MAX: u64 = 1 << 62;

/// What the algorithm says to some cells at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// They conform; the bucket then holds so many ticks.
    Conforms {
        /// New fill in ticks.
        fill: u64,
    },
    /// They conform after so many ticks have drained; at least one.
    Wait {
        /// Ticks to drain.
        ticks: u64,
    },
    /// More than the burst, or the limit is closed.
    Never,
}

/// Whether `cells` conform to `quota` now, in a bucket that holds `fill` ticks. No cells always conform.
pub fn decide(quota: Quota, fill: u64, cells: u64) -> Decision {
    let fill = fill.min(FILL_MAX);
    if cells == 0 {
        return Decision::Conforms { fill };
    }
    let (Some(burst), Some(cells), Some(rate), false) = (
        NonZeroU32::new(quota.burst()),
        u32::try_from(cells).ok().and_then(NonZeroU32::new),
        governor::Quota::with_period(Duration::from_nanos(quota.per())),
        quota.is_closed(),
    ) else {
        return Decision::Never;
    };
    let limiter = governor::RateLimiter::<_, _, _, NoOpMiddleware<Nanos>>::new(
        rate.allow_burst(burst),
        Stored(Cell::new(fill)),
        Event,
    );
    match limiter.check_n(cells) {
        Ok(Ok(())) => Decision::Conforms { fill: limiter.into_state_store().0.get() },
        Ok(Err(not_until)) => Decision::Wait { ticks: not_until.earliest_possible().as_u64() },
        Err(_) => Decision::Never,
    }
}

/// The event's time, which is the origin of the scale.
struct Event;

impl Clock for Event {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::default()
    }
}

/// The arrival time passed in and out, in ticks after the event.
struct Stored(Cell<u64>);

impl StateStore for Stored {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let (outcome, next) = decide(Some(Nanos::from(self.0.get())))?;
        self.0.set(next.as_u64());
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Millis;

    #[test]
    fn cells_conform_while_the_bucket_has_room() {
        // Ten cells a minute, five at once: a cell weighs 60 000 ticks.
        let quota = Quota::new(10, Millis::from_secs(60), 5);
        let cell = 60_000;
        let rows = [
            (0, 0, Decision::Conforms { fill: 0 }),
            (0, 5, Decision::Conforms { fill: 5 * cell }),
            (0, 6, Decision::Never),
            (4 * cell, 1, Decision::Conforms { fill: 5 * cell }),
            (4 * cell, 2, Decision::Wait { ticks: cell }),
            (4 * cell + 1, 1, Decision::Wait { ticks: 1 }),
            (u64::MAX, 1, Decision::Wait { ticks: FILL_MAX - 4 * cell }),
        ];
        for (fill, cells, decision) in rows {
            assert_eq!(decide(quota, fill, cells), decision, "{cells} cells at {fill}");
        }
        assert_eq!(decide(Quota::new(0, Millis(1), 5), 0, 1), Decision::Never);
    }
}
