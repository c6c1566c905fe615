//! What an exchange asks of its limits, and what it then holds. Decides the shapes; not who gets what (`lease`).
//! Stage 4.

use super::LimitError;
use super::quota::Quota;
use crate::snapshot::Meter;
use crate::time::{Millis, UnixMillis};
use alloc::vec::Vec;

/// Most limits that one exchange may be under.
pub const ASKS_MAX: usize = 16;
/// Leases that a reservation holds without allocating.
const PARTS_INLINE: usize = 8;

/// Cells that an exchange asks of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask<'a> {
    /// Who shares the limit, `{account}/{deployment}` or `{account}/{deployment}/{principal}`, the deployment in
    /// folded form: the name of the Limiter object. Two limits of one meter need two scopes.
    pub scope: &'a str,
    /// What is counted.
    pub meter: Meter,
    /// The limit's numbers.
    pub quota: Quota,
    /// How many cells.
    pub cells: u64,
    /// Whether the exchange goes ahead unmetered when the limiter cannot be reached.
    pub fail_open: bool,
}

impl Ask<'_> {
    /// Why this can never be admitted.
    pub(super) fn hopeless(&self) -> Option<LimitError> {
        let burst = u64::from(self.quota.burst());
        if self.quota.is_closed() {
            let retry_after = Millis(self.quota.per());
            return Some(LimitError::Exceeded { meter: self.meter, retry_after });
        }
        let never = LimitError::NeverFits { meter: self.meter, asked: self.cells, burst };
        (self.cells > burst).then_some(never)
    }
}

/// What the limits say to an exchange.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "mostly it is the large one; a box would allocate for each exchange"
)]
pub enum Reserved {
    /// Go ahead. Settle it, whatever happens.
    Ready(Reservation),
    /// The limiter is being asked: send what `poll_message` gives, and ask `waited`.
    Wait(WaitId),
    /// Not now, or never.
    Refused(LimitError),
}

impl From<Result<Reservation, LimitError>> for Reserved {
    fn from(outcome: Result<Reservation, LimitError>) -> Self {
        match outcome {
            Ok(reservation) => Self::Ready(reservation),
            Err(error) => Self::Refused(error),
        }
    }
}

/// Names an exchange that waits for the limiter, within its isolate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaitId(pub u64);

/// Cells set aside for an exchange. [`LeaseBook::settle`](super::LeaseBook::settle) and its like consume it; one
/// that is dropped leaves its cells charged.
#[must_use]
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reservation {
    held: [Held; ASKS_MAX],
    asks: usize,
    /// The first time at which the exchange may not go ahead with it any more; `None` if it holds no lease.
    pub(super) expires: Option<UnixMillis>,
    parts: [Part; PARTS_INLINE],
    inline: usize,
    more: Vec<Part>,
}

/// What a reservation holds of one ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) scope: u64,
    pub(super) tokens: bool,
    pub(super) cells: u64,
}

/// Cells of one lease within a reservation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) ask: usize,
    pub(super) lease: u64,
    pub(super) cells: u64,
}

impl Reservation {
    /// Cells held for the `ask`-th ask; zero if it was admitted unmetered.
    pub fn cells(&self, ask: usize) -> u64 {
        self.held.get(ask).map_or(0, |held| held.cells)
    }

    /// Whether the one limit asked was of tokens, as with reserved throughput.
    pub fn is_of_tokens_alone(&self) -> bool {
        matches!(self.held(), [held] if held.tokens)
    }

    /// What is held, in the order of the asks.
    pub(super) fn held(&self) -> &[Held] {
        self.held.get(..self.asks).unwrap_or_default()
    }

    pub(super) fn hold(&mut self, scope: u64, meter: Meter, cells: u64) {
        if let Some(held) = self.held.get_mut(self.asks) {
            *held = Held { scope, tokens: meter == Meter::Tokens, cells };
            self.asks = self.asks.saturating_add(1);
        }
    }

    pub(super) fn push(&mut self, part: Part, expires: UnixMillis) {
        self.expires = Some(self.expires.map_or(expires, |earlier| earlier.min(expires)));
        match self.parts.get_mut(self.inline) {
            Some(place) => {
                *place = part;
                self.inline = self.inline.saturating_add(1);
            }
            None => self.more.push(part),
        }
    }

    pub(super) fn parts(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().take(self.inline).chain(&self.more)
    }
}

impl Held {
    pub(super) const fn meter(&self) -> Meter {
        if self.tokens { Meter::Tokens } else { Meter::Requests }
    }
}
