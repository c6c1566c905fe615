//! Exchanges that wait for the limiter. Decides what they lack together; not who goes first (`lease`). Stage 4.

use super::LimitError;
use super::reserve::{Reservation, WaitId};
use crate::snapshot::Meter;
use crate::time::UnixMillis;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// An exchange that waits, since when, and for what.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) id: WaitId,
    pub(super) since: UnixMillis,
    pub(super) wanted: Vec<Wanted>,
}

/// An ask, resolved.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) scope: u64,
    pub(super) meter: Meter,
    pub(super) cells: u64,
    pub(super) fail_open: bool,
}

/// An exchange that need not wait any more, since when, and what became of it.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) at: UnixMillis,
    pub(super) waiter: Waiter,
    pub(super) outcome: Result<Reservation, LimitError>,
}

/// A place for an ask.
pub(super) const NOTHING: Wanted = Wanted { scope: 0, meter: Meter::Requests, cells: 0, fail_open: false };

/// What the waiting exchanges lack of one limit where `free` cells are at hand: the least that helps one of
/// them, and the sum.
pub(super) fn needs(waiting: &VecDeque<Waiter>, scope: u64, meter: Meter, free: u64) -> (u64, u64) {
    let wanted = waiting.iter().flat_map(|waiter| &waiter.wanted);
    let cells = wanted.filter(|want| want.scope == scope && want.meter == meter).map(|want| want.cells);
    let sum = cells.clone().fold(0u64, u64::saturating_add);
    let need = sum.saturating_sub(free);
    let least = cells.map(|cells| cells.saturating_sub(free)).min().unwrap_or(0);
    (least.min(need), need)
}
