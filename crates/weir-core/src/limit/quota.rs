//! A rate and a burst, in numbers that cannot overflow. Decides the scale in which limits are reckoned; not
//! what is admitted (`gcra`). Stage 4.
//!
//! **Ticks.** Time is reckoned in ticks of `1/amount` ms, so one cell weighs exactly `per` ticks whatever the
//! rate, and one millisecond drains exactly `amount` ticks. Nothing is rounded: a thousand million cells a minute
//! (60 ns each) are held to the cell. A scale of nanoseconds would round each cell and admit up to 2 % too much
//! or too little there.

use crate::snapshot::Limit;
use crate::time::Millis;
use serde::{Deserialize, Serialize};

/// Longest life of a lease: how late a restart or a lost isolate may leave its cells unused.
const LIFE_MAX: Millis = Millis(2000);
/// Shortest life of a lease: a call to a far object must fit in. It binds only where a burst refills in less
/// than 6 s; there a full burst is refilled up to so much late.
const LIFE_MIN: Millis = Millis(250);
/// A lease lives at most this part of the time in which the burst refills (see the module's "what it costs").
const LIFE_PART: u64 = 25;
/// Maturities lie on a grid of this part of a lease's life, so that at most so many and one are young at a time.
const GRID_PART: u64 = 16;
/// Largest weight of a burst, so that sums of a few bursts stay far inside 64 bits.
const BURST_TICKS_MAX: u64 = 1 << 60;

/// A limit's numbers: `amount` cells per `per`, at most `burst` at once. Amounts and bursts above 2^32-1 are
/// held to that; a burst that weighs more than 2^60 ticks is held to that (a thousand million cells a month do
/// not reach it).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, Millis, u64)", into = "(u64, Millis, u64)")]
pub struct Quota {
    amount: u32,
    per: u64,
    burst: u32,
}

impl From<(u64, Millis, u64)> for Quota {
    fn from((amount, per, burst): (u64, Millis, u64)) -> Self {
        Self::new(amount, per, burst)
    }
}

impl From<Quota> for (u64, Millis, u64) {
    fn from(quota: Quota) -> Self {
        (u64::from(quota.amount), Millis(quota.per), u64::from(quota.burst))
    }
}

impl From<&Limit> for Quota {
    fn from(limit: &Limit) -> Self {
        Self::new(limit.amount, limit.per, limit.burst)
    }
}

impl Quota {
    /// `amount` cells per `per`, at most `burst` at once (at least 1). An amount of zero admits nothing.
    pub fn new(amount: u64, per: Millis, burst: u64) -> Self {
        let narrow = |cells: u64| u32::try_from(cells).unwrap_or(u32::MAX);
        let per = per.0.clamp(1, BURST_TICKS_MAX);
        let heaviest = BURST_TICKS_MAX.checked_div(per).unwrap_or(1);
        Self { amount: narrow(amount), per, burst: narrow(burst.min(heaviest).max(1)) }
    }

    /// Cells per period.
    pub const fn amount(self) -> u32 {
        self.amount
    }

    /// The period of [`Quota::amount`], in milliseconds, at least 1.
    pub const fn per(self) -> u64 {
        self.per
    }

    /// Most cells at once, at least 1.
    pub const fn burst(self) -> u32 {
        self.burst
    }

    /// Whether nothing is ever admitted.
    pub const fn is_closed(self) -> bool {
        self.amount == 0
    }

    /// What `cells` weigh, in ticks.
    pub fn weight(self, cells: u64) -> u64 {
        cells.saturating_mul(self.per)
    }

    /// Whole cells in `ticks`, rounded down.
    pub fn cells(self, ticks: u64) -> u64 {
        ticks.checked_div(self.per).unwrap_or(0)
    }

    /// Ticks that drain in `span`.
    pub fn drained(self, span: Millis) -> u64 {
        span.0.saturating_mul(u64::from(self.amount))
    }

    /// How long `ticks` take to drain, rounded up; forever if nothing drains.
    pub fn span(self, ticks: u64) -> Millis {
        match u64::from(self.amount) {
            0 => Millis(u64::MAX),
            amount => Millis(ticks.div_ceil(amount)),
        }
    }

    /// How long a lease may be used after it was granted, 250 ms to 2 s.
    pub fn lease_life(self) -> Millis {
        let refill = self.span(self.weight(u64::from(self.burst)));
        let part = refill.0.checked_div(LIFE_PART).unwrap_or(0);
        Millis(part.clamp(LIFE_MIN.0, LIFE_MAX.0))
    }

    /// The grid of maturities, in milliseconds, at least 1.
    pub fn grid(self) -> Millis {
        Millis(self.lease_life().0.checked_div(GRID_PART).unwrap_or(1).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_held_to_what_can_be_reckoned() {
        let minute = Millis::from_secs(60);
        // (amount, per, burst) given, then kept.
        let rows = [
            ((60, minute, 10), (60, minute, 10)),
            ((1_000_000_000, minute, 1_000_000_000), (1_000_000_000, minute, 1_000_000_000)),
            ((0, minute, 0), (0, minute, 1)),
            ((5, Millis(0), 5), (5, Millis(1), 5)),
            ((u64::MAX, minute, u64::MAX), (u64::from(u32::MAX), minute, u64::from(u32::MAX))),
            ((1, Millis(u64::MAX), 9), (1, Millis(1 << 60), 1)),
        ];
        for (given, kept) in rows {
            let quota = Quota::from(given);
            assert_eq!(<(u64, Millis, u64)>::from(quota), kept, "{given:?}");
            assert!(quota.weight(u64::from(quota.burst())) <= BURST_TICKS_MAX, "{given:?}");
        }
    }

    #[test]
    fn a_lease_lives_a_25th_of_the_refill_within_its_bounds() {
        let minute = Millis::from_secs(60);
        // (amount, per, burst), life in ms.
        let rows = [
            ((6, minute, 1), 400),
            ((60, minute, 10), 400),
            ((60, minute, 60), 2000),
            ((1000, minute, 1000), 2000),
            ((10, Millis(1000), 10), 250),
            ((1, minute, 1), 2000),
        ];
        for (numbers, life) in rows {
            assert_eq!(Quota::from(numbers).lease_life(), Millis(life), "{numbers:?}");
        }
    }
}
