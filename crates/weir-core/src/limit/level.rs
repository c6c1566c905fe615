//! How full a limit's bucket is: mature cells that drain, young cells that wait. Decides what could be admitted
//! and when; not who gets it (`limiter`). Stage 4; the module's documentation has the proof.
//!
//! The limiter keeps it, and sends it with each answer, so that an isolate can tell for a while by itself what
//! the limiter would say.

use super::gcra::{self, Decision};
use super::quota::Quota;
use crate::time::{Millis, UnixMillis};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// A limit's bucket at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// The time of `fill`.
    at: UnixMillis,
    /// Ticks of mature cells that have not drained at `at`.
    fill: u64,
    /// Cells that may yet be used: when they mature, and how many. In order, each time once, later than `at`.
    young: Vec<(UnixMillis, u64)>,
}

/// Young cells that became mature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matured {
    /// When.
    pub at: UnixMillis,
    /// How many cells the fill was worth just before, rounded down: as many as older leases may still give back.
    pub older: u64,
}

impl Level {
    /// An empty bucket.
    pub const fn empty(at: UnixMillis) -> Self {
        Self { at, fill: 0, young: Vec::new() }
    }

    /// The time that this level is of.
    pub const fn at(&self) -> UnixMillis {
        self.at
    }

    /// Lets the next young cells mature if their time has come by `now`. Call it until it gives `None`; then the
    /// level is of `now`.
    pub fn mature(&mut self, quota: Quota, now: UnixMillis) -> Option<Matured> {
        let Some((at, cells)) = self.young.first().copied().filter(|(at, _)| *at <= now) else {
            self.drain(quota, now);
            return None;
        };
        self.young.remove(0);
        self.drain(quota, at);
        let older = quota.cells(self.fill);
        self.fill = self.fill.saturating_add(quota.weight(cells));
        Some(Matured { at, older })
    }

    /// What governor says to `cells` more at this level's time.
    pub fn decide(&self, quota: Quota, cells: u64) -> Decision {
        gcra::decide(quota, total(quota, self.fill, &self.young), cells)
    }

    /// Charges `cells` that may be used for a lease's life, and says when they mature.
    pub fn lease(&mut self, quota: Quota, cells: u64) -> UnixMillis {
        let grid = quota.grid().0;
        let end = self.at.plus(quota.lease_life()).0;
        let on_grid = UnixMillis(end.div_ceil(grid).saturating_mul(grid));
        // Leases mature in the order in which they were granted, also when a new quota shortens their life.
        let matures = self.young.last().map_or(on_grid, |(last, _)| on_grid.max(*last));
        match self.young.last_mut() {
            Some((last, young)) if *last == matures => *young = young.saturating_add(cells),
            Some(_) | None => self.young.push((matures, cells)),
        }
        matures
    }

    /// Takes back `cells` that were not used, of those that mature (or matured) at `matures`.
    pub fn credit(&mut self, quota: Quota, matures: UnixMillis, cells: u64) {
        match self.young.iter_mut().find(|(at, _)| *at == matures) {
            Some((_, young)) => *young = young.saturating_sub(cells),
            None => self.fill = self.fill.saturating_sub(quota.weight(cells)),
        }
    }

    /// Charges `cells` that were used without having been granted.
    pub fn debit(&mut self, quota: Quota, cells: u64) {
        self.fill = self.fill.saturating_add(quota.weight(cells));
    }

    /// Goes over to another quota: the cells that count as used stay used, whatever they weigh now.
    pub fn requote(&mut self, old: Quota, new: Quota) {
        let wide =
            u128::from(self.fill).saturating_mul(u128::from(new.per())).div_ceil(u128::from(old.per()));
        self.fill = u64::try_from(wide).unwrap_or(u64::MAX);
    }

    /// The same level on a clock that shows `to` when this level's clock shows its time.
    #[must_use]
    pub fn rebased(mut self, to: UnixMillis) -> Self {
        for (at, _) in &mut self.young {
            *at = to.plus(at.since(self.at));
        }
        self.at = to;
        self
    }

    /// How long after `now` so many cells conform if nothing else happens; zero if they do now, `None` if never.
    pub fn wait(&self, quota: Quota, cells: u64, now: UnixMillis) -> Option<Millis> {
        let (mut then, mut fill, mut young) = self.seen(quota, now);
        loop {
            let ticks = match gcra::decide(quota, total(quota, fill, young), cells) {
                Decision::Conforms { .. } => return Some(then.since(now)),
                Decision::Never => return None,
                Decision::Wait { ticks } => ticks,
            };
            let earliest = then.plus(quota.span(ticks));
            let Some(((matures, next), rest)) = young.split_first() else {
                return Some(earliest.since(now));
            };
            // The bucket drains only what is mature; the next young cells may have to mature first.
            if ticks <= fill && earliest <= *matures {
                return Some(earliest.since(now));
            }
            fill = drained(quota, fill, matures.since(then)).saturating_add(quota.weight(*next));
            (then, young) = (*matures, rest);
        }
    }

    /// How many cells conform at `now`, 0 up to the burst.
    pub fn room(&self, quota: Quota, now: UnixMillis) -> u64 {
        if quota.is_closed() {
            return 0;
        }
        let (_, fill, young) = self.seen(quota, now);
        let whole = quota.weight(u64::from(quota.burst()));
        quota.cells(whole.saturating_sub(total(quota, fill, young)))
    }

    /// How long after `now` the bucket is empty, that is: the whole burst is there again.
    pub fn reset(&self, quota: Quota, now: UnixMillis) -> Millis {
        let (mut then, mut fill, young) = self.seen(quota, now);
        for (matures, cells) in young {
            fill = drained(quota, fill, matures.since(then)).saturating_add(quota.weight(*cells));
            then = *matures;
        }
        then.plus(quota.span(fill)).since(now)
    }

    /// Time, fill and young cells as they are at `now`, or at this level's own time if that is later.
    fn seen(&self, quota: Quota, now: UnixMillis) -> (UnixMillis, u64, &[(UnixMillis, u64)]) {
        let (mut then, mut fill, mut young) = (self.at, self.fill, self.young.as_slice());
        while let Some(((matures, cells), rest)) = young.split_first()
            && *matures <= now
        {
            fill = drained(quota, fill, matures.since(then)).saturating_add(quota.weight(*cells));
            (then, young) = (*matures, rest);
        }
        (now.max(then), drained(quota, fill, now.since(then)), young)
    }

    fn drain(&mut self, quota: Quota, to: UnixMillis) {
        self.fill = drained(quota, self.fill, to.since(self.at));
        self.at = self.at.max(to);
    }
}

fn drained(quota: Quota, fill: u64, span: Millis) -> u64 {
    fill.saturating_sub(quota.drained(span))
}

/// Mature and young cells together, in ticks.
fn total(quota: Quota, fill: u64, young: &[(UnixMillis, u64)]) -> u64 {
    young.iter().fold(fill, |sum, (_, cells)| sum.saturating_add(quota.weight(*cells)))
}
