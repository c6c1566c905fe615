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
    /// How many of them, counted from the front, are expected to work. Going on to one of these costs nothing of the
    /// retry budget: it is another upstream's load, and bounded by their number. One that is set aside costs.
    pub sound: u32,
    /// Upstream calls at most, over all entities.
    pub attempts_max: u32,
    /// No attempt is made, and no answer is waited for, after this time.
    pub deadline: UnixMillis,
    /// One call gives up after so long.
    pub timeout: Millis,
    /// Retries that an exchange earns its deployment, in hundredths; with zero there are none.
    pub retry_percent: u32,
    /// A longer wait before a further attempt is left to the caller.
    pub wait_max: Millis,
}

impl AttemptPlan {
    /// Calls per exchange: the first and two more, or one of each entity.
    pub const ATTEMPTS_MAX: u32 = 3;
    /// Waits of up to two seconds are Weir's; longer ones are told to the caller as `Retry-After`.
    pub const WAIT_MAX: Millis = Millis(2_000);
    /// However many entities follow, a call has at least this long.
    pub const SHARE_MIN: Millis = Millis(2_000);

    /// The entity at `position`.
    pub fn entity(&self, position: u32) -> Option<u32> {
        self.entities.get(usize::try_from(position).ok()?).copied()
    }

    /// Whether there is but one entity.
    pub fn is_single(&self) -> bool {
        self.entities.len() <= 1
    }

    /// How long a call at `position` may take at `now`: as long as one call may, and half of what is left if there
    /// are others to go on to.
    pub fn span(&self, position: u32, now: UnixMillis) -> Millis {
        let left = self.deadline.since(now);
        if self.entity(position.saturating_add(1)).is_none() {
            return left.min(self.timeout);
        }
        let half = Millis(left.0 / 2).max(Self::SHARE_MIN);
        half.min(left).min(self.timeout)
    }
}
