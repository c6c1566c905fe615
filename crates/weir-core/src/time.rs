//! Points and spans of time. Decides nothing and reads no clock: every time arrives with an event.
//!
//! Base file, used by all stages.

use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, as JavaScript's `Date.now()` gives it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

/// A span of time in milliseconds, never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl UnixMillis {
    /// The end of time: later than every event.
    pub const MAX: Self = Self(u64::MAX);

    /// This point plus `span`; stays at [`UnixMillis::MAX`] instead of wrapping.
    #[must_use]
    pub const fn plus(self, span: Millis) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// This point minus `span`; stays at the epoch instead of wrapping.
    #[must_use]
    pub const fn minus(self, span: Millis) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// How long after `earlier` this point is; zero if it is not later.
    pub const fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }

    /// Whole seconds since the epoch, for `created` members of answers.
    pub const fn seconds(self) -> u64 {
        self.0 / 1000
    }
}

impl Millis {
    /// A span of whole seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Whole seconds, rounded up: what a `Retry-After` header needs so that the caller never comes too early.
    pub const fn seconds_ceil(self) -> u64 {
        self.0.div_ceil(1000)
    }
}
