//! The bounds within which attempts are made. Decides nothing itself; `exchange` fills it in from the
//! deployment and `route::select`'s order.
//!
//! Stage 5.

use crate::time::{Millis, UnixMillis};
use alloc::vec::Vec;

/// Entities in order, and how much may be spent on them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptPlan {
    /// Indices of served entities, preferred first.
    pub entities: Vec<u32>,
    /// Upstream calls at most, over all entities.
    pub attempts_max: u32,
    /// The exchange gives up at this time.
    pub deadline: UnixMillis,
    /// One call gives up after so long.
    pub timeout: Millis,
    /// A longer wait before a further attempt is left to the caller.
    pub wait_max: Millis,
}

impl AttemptPlan {
    /// Calls per exchange: the first and two more.
    pub const ATTEMPTS_MAX: u32 = 3;
    /// Waits of up to two seconds are Weir's; longer ones are told to the caller as `Retry-After`.
    pub const WAIT_MAX: Millis = Millis(2_000);

    /// The entity at `position`.
    pub fn entity(&self, position: usize) -> Option<u32> {
        self.entities.get(position).copied()
    }

    /// The entity that stands after `entity`.
    pub fn after(&self, entity: u32) -> Option<u32> {
        let position = self.entities.iter().position(|candidate| *candidate == entity)?;
        self.entity(position.saturating_add(1))
    }
}
