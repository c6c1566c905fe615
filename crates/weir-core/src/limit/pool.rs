//! The leases that an isolate holds on one limit. Decides which lease a cell comes from, and what is given back;
//! not when the limiter is asked (`lease`). Stage 4.

use super::headers::Standing;
use super::level::Level;
use super::message::Settled;
use super::quota::Quota;
use crate::snapshot::Meter;
use crate::time::{Millis, UnixMillis};
use alloc::vec::Vec;

/// Taken off a lease's life for what clocks may do meanwhile: 200 ppm of drift, rounding to milliseconds, a
/// reading that is some milliseconds old.
const CLOCK_MARGIN: Millis = Millis(10);
/// Leases that have expired with cells reserved on them; beyond that the oldest are forgotten (and stay charged).
const OLD_MAX: usize = 512;
/// Leases accounted for in one message.
const SETTLED_MAX: usize = 256;
/// How long the limiter's word on its level is trusted: others may have given cells back since.
const LEVEL_AGE_MAX: Millis = Millis(1000);
/// How long unused cells may wait for company on their way back, and how long when they are scarce.
const RETURN_DELAY: Millis = Millis(1000);
const RETURN_DELAY_SCARCE: Millis = Millis(100);
/// A pool asks ahead when it holds less than this part of the recent demand.
const LOW_PART: u64 = 4;
/// Part of what the limit has left that one isolate asks ahead for.
const AHEAD_PART: u64 = 8;

/// An isolate's cells on one limit.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    quota: Quota,
    /// Leases that may be used, in the order of their names.
    live: Vec<Lease>,
    /// Leases that may not be used, but are not accounted for.
    old: Vec<Lease>,
    level: Option<Level>,
    demand: Demand,
    /// Cells of `old` and `live` that wait to be given back.
    owed: u64,
    /// Cells used beyond all leases that the limiter does not know of.
    debit: u64,
    owed_since: UnixMillis,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    name: u64,
    /// First time at which it may not be used.
    expires: UnixMillis,
    /// Cells that nobody has.
    free: u64,
    /// Cells in reservations.
    reserved: u64,
    /// Cells to give back.
    back: u64,
    /// Cells used, not yet told.
    used: u64,
}

/// Cells asked for in this and the last window of a lease's life.
#[derive(Clone, Copy, Debug, Default)]
struct Demand {
    window: UnixMillis,
    now: u64,
    before: u64,
}

impl Pool {
    pub(super) fn new(quota: Quota) -> Self {
        Self {
            quota,
            live: Vec::new(),
            old: Vec::new(),
            level: None,
            demand: Demand::default(),
            owed: 0,
            debit: 0,
            owed_since: UnixMillis::default(),
        }
    }

    pub(super) const fn quota(&self) -> Quota {
        self.quota
    }

    /// Takes over a changed limit. The level was reckoned in the old one and is forgotten.
    pub(super) fn set_quota(&mut self, quota: Quota) {
        if self.quota != quota {
            self.quota = quota;
            self.level = None;
        }
    }

    /// Counts `cells` as asked for.
    pub(super) fn note(&mut self, now: UnixMillis, cells: u64) {
        let life = self.quota.lease_life();
        self.demand.roll(now, life);
        self.demand.now = self.demand.now.saturating_add(cells);
    }

    /// Cells that can be reserved now.
    pub(super) fn free(&self, now: UnixMillis) -> u64 {
        let live = self.live.iter().filter(|lease| now < lease.expires);
        live.fold(0, |sum, lease| sum.saturating_add(lease.free))
    }

    /// Moves `cells` from leases into a reservation; `take` is told of each part: the lease, the cells, when they
    /// expire. [`Pool::free`] said they are there.
    pub(super) fn draw(&mut self, now: UnixMillis, cells: u64, mut take: impl FnMut(u64, u64, UnixMillis)) {
        let mut missing = cells;
        for lease in self.live.iter_mut().filter(|lease| lease.free > 0 && now < lease.expires) {
            let some = missing.min(lease.free);
            lease.free = lease.free.saturating_sub(some);
            lease.reserved = lease.reserved.saturating_add(some);
            missing = missing.saturating_sub(some);
            take(lease.name, some, lease.expires);
            if missing == 0 {
                break;
            }
        }
    }

    /// Ends the reservation of `used` and `unused` cells of a lease.
    pub(super) fn settle(&mut self, now: UnixMillis, name: u64, used: u64, unused: u64) {
        let by_name = |lease: &Lease| lease.name;
        let lease = match self.live.binary_search_by_key(&name, by_name) {
            Ok(at) => self.live.get_mut(at),
            Err(_) => match self.old.binary_search_by_key(&name, by_name) {
                Ok(at) => self.old.get_mut(at),
                Err(_) => None,
            },
        };
        let Some(lease) = lease else { return };
        lease.reserved = lease.reserved.saturating_sub(used).saturating_sub(unused);
        lease.used = lease.used.saturating_add(used);
        if now < lease.expires {
            lease.free = lease.free.saturating_add(unused);
        } else if unused > 0 {
            lease.back = lease.back.saturating_add(unused);
            self.owe(now, unused);
        }
    }

    /// Charges cells that were used beyond what was reserved.
    pub(super) fn overuse(&mut self, now: UnixMillis, cells: u64) {
        self.owe(now, 0);
        self.debit = self.debit.saturating_add(cells);
    }

    /// Takes a lease that was asked for at `asked`, when `life` was its life. One that came too late is owed.
    pub(super) fn add(&mut self, now: UnixMillis, asked: UnixMillis, life: Millis, name: u64, cells: u64) {
        let expires = asked.plus(life).minus(CLOCK_MARGIN);
        let lease = Lease { name, expires, free: cells, reserved: 0, back: 0, used: 0 };
        match self.live.binary_search_by_key(&name, |lease| lease.name) {
            Ok(_) => {}
            Err(place) => self.live.insert(place, lease),
        }
        self.expire(now);
    }

    /// Retires the leases that may not be used any more.
    pub(super) fn expire(&mut self, now: UnixMillis) {
        while let Some(at) = self.live.iter().position(|lease| lease.expires <= now) {
            let mut lease = self.live.remove(at);
            let free = core::mem::take(&mut lease.free);
            lease.back = lease.back.saturating_add(free);
            if free > 0 {
                self.owe(lease.expires, free);
            }
            if let Err(place) = self.old.binary_search_by_key(&lease.name, |lease| lease.name) {
                self.old.insert(place, lease);
            }
        }
        while self.old.len() > OLD_MAX {
            self.owed = self.owed.saturating_sub(self.old.remove(0).back);
        }
    }

    /// Retires all leases: the clock went back, and nobody knows how long they last.
    pub(super) fn expire_all(&mut self, now: UnixMillis) {
        self.live.iter_mut().for_each(|lease| lease.expires = now);
        self.level = None;
        self.demand = Demand::default();
        self.owed_since = now;
        self.expire(now);
    }

    /// Takes what is owed out, for a message: cells to settle and to debit. A message that is lost loses them.
    pub(super) fn report(&mut self) -> (Vec<Settled>, u64) {
        let mut settled = Vec::new();
        let mut given = 0u64;
        for lease in self.old.iter_mut().chain(&mut self.live) {
            if settled.len() < SETTLED_MAX && (lease.back > 0 || lease.used > 0) {
                given = given.saturating_add(lease.back);
                settled.push(Settled(lease.name, lease.back, lease.used));
                (lease.back, lease.used) = (0, 0);
            }
        }
        self.old.retain(|lease| lease.reserved > 0 || lease.back > 0 || lease.used > 0);
        self.owed = self.owed.saturating_sub(given);
        (settled, core::mem::take(&mut self.debit))
    }

    /// When what is owed must be on its way; `None` if nothing is.
    pub(super) fn report_due(&self, now: UnixMillis) -> Option<UnixMillis> {
        let scarce = self.level.as_ref().is_some_and(|level| {
            level.room(self.quota, now).saturating_mul(2) < u64::from(self.quota.burst())
        });
        let delay = if scarce { RETURN_DELAY_SCARCE } else { RETURN_DELAY };
        (self.owed > 0 || self.debit > 0).then(|| self.owed_since.plus(delay))
    }

    /// When the next lease with free cells expires.
    pub(super) fn next_expiry(&self) -> Option<UnixMillis> {
        self.live.iter().filter(|lease| lease.free > 0).map(|lease| lease.expires).min()
    }

    /// Whether nothing would be lost with this pool.
    pub(super) fn is_idle(&self) -> bool {
        let held = self.live.iter().chain(&self.old).any(|lease| lease.free > 0 || lease.reserved > 0);
        !held && self.owed == 0 && self.debit == 0
    }

    /// The limiter's word on its level, which came at `now`.
    pub(super) fn learn(&mut self, now: UnixMillis, level: Level) {
        self.level = Some(level.rebased(now));
    }

    /// How long the limiter, by its last word, would refuse so many cells on top of those that are free here.
    /// Zero if it would not, or if it must be asked.
    pub(super) fn refused(&self, now: UnixMillis, cells: u64) -> Millis {
        let Some(level) = self.level.as_ref().filter(|level| now.since(level.at()) <= LEVEL_AGE_MAX) else {
            return Millis(0);
        };
        let fresh = cells.saturating_sub(self.free(now)).saturating_sub(self.owed);
        level.wait(self.quota, fresh, now).unwrap_or(Millis(0))
    }

    /// Whether the cells at hand will not last.
    pub(super) fn is_low(&self, now: UnixMillis) -> bool {
        let recent = self.demand.recent(now, self.quota.lease_life());
        self.lasting(now).saturating_mul(LOW_PART) < recent
    }

    /// Cells to ask for ahead of need: the recent demand, as far as the limit's level allows it.
    pub(super) fn ahead(&self, now: UnixMillis) -> u64 {
        let room = self.level.as_ref().map_or(0, |level| level.room(self.quota, now));
        let share = room.checked_div(AHEAD_PART).unwrap_or(0);
        self.demand.recent(now, self.quota.lease_life()).min(share)
    }

    /// How the limit stands: the cells at hand and those that the limiter has by its last word. `None` before that.
    pub(super) fn standing(&self, now: UnixMillis, meter: Meter) -> Option<Standing> {
        let level = self.level.as_ref()?;
        let free = self.free(now);
        let burst = u64::from(self.quota.burst());
        let own = self.quota.span(self.quota.weight(free));
        Some(Standing {
            meter,
            amount: u64::from(self.quota.amount()),
            remaining: level.room(self.quota, now).saturating_add(free).min(burst),
            reset: Millis(level.reset(self.quota, now).0.saturating_sub(own.0)),
        })
    }

    /// Free cells that are not about to expire.
    fn lasting(&self, now: UnixMillis) -> u64 {
        let soon = now.plus(Millis(self.quota.lease_life().0 / 4));
        let live = self.live.iter().filter(|lease| soon < lease.expires);
        live.fold(0, |sum, lease| sum.saturating_add(lease.free))
    }

    fn owe(&mut self, since: UnixMillis, cells: u64) {
        if self.owed == 0 && self.debit == 0 {
            self.owed_since = since;
        }
        self.owed = self.owed.saturating_add(cells);
    }
}

impl Demand {
    fn roll(&mut self, now: UnixMillis, life: Millis) {
        let age = now.since(self.window);
        if age >= life {
            let still = age < life.0.checked_mul(2).map_or(Millis(u64::MAX), Millis);
            self.before = if still { self.now } else { 0 };
            self.now = 0;
            self.window = now;
        }
    }

    fn recent(&self, now: UnixMillis, life: Millis) -> u64 {
        let mut seen = *self;
        seen.roll(now, life);
        seen.now.max(seen.before)
    }
}
