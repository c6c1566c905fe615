//! What happened in a world, as callers, upstreams and the operator could see it, and what must be true of it.

use crate::clock::Micros;
use weir_core::id::RequestId;

/// One exchange.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Its name, as the ledger knows it.
    pub id: RequestId,
    /// Which isolate, and which of its lives.
    pub isolate: (usize, u32),
    /// The deployment that it named.
    pub deployment: &'static str,
    /// When it began.
    pub began: Micros,
    /// When its first upstream call was made: it was admitted then.
    pub admitted: Option<Micros>,
    /// Tokens that were reserved for it.
    pub estimate: u64,
    /// Upstream calls made.
    pub calls: u32,
    /// The configuration that its calls were made by, if the deployment shows it.
    pub version: Option<u64>,
    /// How it ended.
    pub end: End,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It did not.
    Open,
    /// Its isolate was killed.
    Killed,
    /// The caller got an error.
    Refused {
        /// HTTP status.
        status: u16,
        /// When.
        at: Micros,
    },
    /// The caller got an answer, or what there was of one.
    Answered {
        /// When it was settled.
        at: Micros,
    },
}

/// A change of the endpoint's configuration.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// Its mark, which every part of it carries.
    pub version: u64,
    /// When it began to serve.
    pub at: Micros,
}

/// Everything that happened.
#[derive(Debug, Default)]
pub struct Facts {
    /// All exchanges, in the order in which they began.
    pub exchanges: Vec<Exchange>,
    /// The endpoint's configurations, in order.
    pub changes: Vec<Change>,
    /// Every kill of an isolate: which, and when.
    pub kills: Vec<(usize, Micros)>,
    /// Updates that were refused because one was in progress.
    pub conflicts: u32,
    /// Commands that were refused for their faults.
    pub faulty: u32,
    /// Promises that were seen broken while the world ran.
    pub broken: Vec<String>,
}

impl Facts {
    /// Notes a broken promise.
    pub fn broken(&mut self, what: impl Into<String>) {
        self.broken.push(what.into());
    }
}

/// A limit as its user knows it: `amount` cells per `per`, `burst` at once.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Cells per period.
    pub amount: u64,
    /// The period.
    pub per: Micros,
    /// Cells at once.
    pub burst: u64,
}

/// Looks for an interval of length *t* in which more than *burst + rate × t* cells were used. `uses` are times and
/// cells in the order of time; `drift` is how fast the limiter's clock may be, in parts in a million. Gives the
/// first such interval with its cells.
pub fn overrun(uses: &[(Micros, u64)], rate: Rate, drift: u64) -> Option<(Micros, Micros, u64)> {
    // In units of 10^-6 microseconds × cells: burst × per + t × amount × (1 + drift).
    let scaled = |cells: u64| i128::from(cells) * i128::from(rate.per) * 1_000_000;
    let refilled = |at: Micros| i128::from(at) * i128::from(rate.amount) * i128::from(1_000_000 + drift);
    let mut before = 0u64;
    let mut least: Option<(i128, Micros, u64)> = None;
    for &(at, cells) in uses {
        let start = scaled(before) - refilled(at);
        if least.is_none_or(|(low, ..)| start < low) {
            least = Some((start, at, before));
        }
        before += cells;
        let (low, from, earlier) = least.expect("set above");
        if scaled(before) - refilled(at) - low > scaled(rate.burst) {
            return Some((from, at, before - earlier));
        }
    }
    None
}
