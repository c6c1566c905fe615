//! May this exchange go ahead now, and what is set aside for it. Stage 4.
//!
//! Decides whether all limits of an exchange admit it, all or nothing, and when to come again. Does not decide
//! which limits apply (the caller gives them as [`Ask`]s) nor what a refusal looks like on the wire (`reply`).
//! Source: `design.md`, sections 3, 6 (promise 1) and 8.
//!
//! # The parts
//!
//! A limit of one scope lives in one Limiter object, as a [`level`]: how full its bucket is. Isolates never ask
//! it about single exchanges. They are granted **leases**: some cells, usable for a short life `L`, which they
//! spend from memory ([`lease::LeaseBook`]). [`limiter::Limiter`] charges a lease when it is granted; cells that
//! come back unused are credited. The decision itself is governor's ([`gcra`]).
//!
//! # The promise, and why it holds
//!
//! A limit has amount `a` per period `p` and burst `b`; one cell lasts `T = p/a`. A lease granted at `g` is used
//! at times in `[g, g+L]` only, because the isolate counts `L` from the moment it *sent* its question. **Claim:**
//! of the cells that are not given back, at most `b + t/T` are used in any interval `[s, s+t]`.
//!
//! The limiter rounds `g+L` up to a grid; call it the lease's maturity `m`. Until `m` the lease is *young*. Its
//! state is the arrival time `A` over mature leases (as in GCRA), and the cells of each young lease.
//!
//! - *Decide* `n` cells at `g`: governor must find `n` conforming at `g` on the arrival time `max(A, g) + Y·T`,
//!   with `Y` all young cells: young cells count as if they arrived now, so nothing is refilled for cells that
//!   may yet be used, and a full burst can be granted in any number of pieces.
//! - *Mature*: at `m`, `A := max(A, m) + n·T`. Before that, *erode*: forget, oldest first, what older mature
//!   leases may give back, until the rest `R` satisfies `R·T <= max(A, m) - m`. So `A >= m + (R + n)·T` after it.
//! - *Give back* `c` cells: from the young lease itself, else `A := A - c·T` for as many as the lease may still
//!   give back.
//!
//! Proof. Take the leases with `m >= s` that were granted until `s+t`, in the order of their maturity, from the
//! first (1) to the last (k); no other lease's cells can be used in the interval. If 1 is still young at `g_k`,
//! so are all the others, and governor's condition at `g_k` says `Y + n_k <= b`. Else 1 matured with
//! `A >= m_1 + (R + n_1)·T >= s + (R + n_1)·T`. Until `g_k` each further lease added its cells, each credit of an
//! older lease took from `R` at most `R` in all, and each credit of a newer one took cells that do not count.
//! So the arrival time that governor saw at `g_k` was at least `s + (n_1 + … + n_(k-1))·T`, and its condition
//! `arrival + n_k·T - b·T <= g_k <= s + t` is the claim.
//!
//! Losing a message, an isolate or a stored lease loses cells and gains none: what is not given back stays
//! charged. An object keeps its state in rows that are written before the answer leaves, so a restart gains none
//! either. Use above the estimate cannot be known before; it is debited afterwards ([`LeaseBook::settle`]).
//!
//! What it costs: a burst of `b` cells that is granted at once is refilled `L` late, so at saturation at least
//! `b·T / (b·T + L)` is admitted. With `L` at most a 25th of `b·T` (and its grid) that is 95.9 %.
//!
//! [`LeaseBook::settle`]: lease::LeaseBook::settle

pub mod estimate;
pub mod quota;

pub mod gcra;
pub mod level;
pub mod limiter;
pub mod message;

pub mod lease;
mod pool;
pub mod reserve;
mod scope;
mod waiting;

pub mod headers;

#[cfg(test)]
mod proofs;
#[cfg(test)]
mod tests;

pub use lease::LeaseBook;
pub use message::LimitMessage;
pub use quota::Quota;
pub use reserve::{Ask, Reservation, Reserved, WaitId};

use crate::snapshot::Meter;
use crate::time::Millis;

/// Why a limit did not admit an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// The limit is used up now.
    #[error("the {} limit is used up for {} ms", label(*.meter), .retry_after.0)]
    Exceeded {
        /// Which meter ran dry; the one with the longest wait if several did.
        meter: Meter,
        /// When the same exchange would be admitted if nobody else came; at least 1 ms.
        retry_after: Millis,
    },
    /// The exchange asks for more than the limit ever admits at once.
    #[error("asks for {asked} {} where at most {burst} are ever admitted at once", label(*.meter))]
    NeverFits {
        /// Which meter.
        meter: Meter,
        /// Cells asked for.
        asked: u64,
        /// Most cells that are admitted at once.
        burst: u64,
    },
    /// The limiter did not answer in time, and the deployment does not admit unmetered exchanges.
    #[error("the limiter did not answer")]
    Unavailable,
}

/// The meter's word in texts, stored rows and header names.
pub const fn label(meter: Meter) -> &'static str {
    match meter {
        Meter::Requests => "requests",
        Meter::Tokens => "tokens",
    }
}
