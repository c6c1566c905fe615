//! What an isolate and a limiter say to each other. Decides the shape only. Stage 4.
//!
//! JSON with short names, one message for all meters of a scope. Messages travel at most once: one that is lost
//! loses cells, one that came twice would credit twice, so nobody may repeat them. The limits' numbers travel
//! with the message, so the object needs no configuration.

use super::level::Level;
use super::quota::Quota;
use crate::snapshot::Meter;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// A message for the Limiter object `object`. The answer goes to [`LeaseBook::answered`](super::LeaseBook::answered) with `token`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitMessage {
    /// Names the call within its isolate.
    pub token: u64,
    /// Name of the Limiter object: the limits' scope.
    pub object: String,
    /// The message, JSON.
    pub body: Vec<u8>,
}

/// An isolate's message: for each meter what it wants and what it gives back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// At most one entry a meter.
    pub meters: Vec<MeterQuestion>,
}

/// What an isolate says about one meter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeterQuestion {
    /// Which meter.
    pub meter: Meter,
    /// The limit as the isolate knows it.
    pub quota: Quota,
    /// Cells below which a grant is of no use now. If any meter of the message has fewer, nothing is granted.
    #[serde(default)]
    pub least: u64,
    /// Cells that would be welcome, `least` or more.
    #[serde(default)]
    pub want: u64,
    /// Cells of earlier leases that are accounted for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settled: Vec<Settled>,
    /// Cells used beyond all leases.
    #[serde(default)]
    pub debit: u64,
}

/// Cells of one lease that will not be heard of again: lease, given back unused, used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled(pub u64, pub u64, pub u64);

/// The limiter's answer, one entry for each of the question's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// In the question's order.
    pub meters: Vec<MeterAnswer>,
}

/// What the limiter says about one meter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeterAnswer {
    /// Which meter.
    pub meter: Meter,
    /// The new lease's name within this meter of this scope; later leases have higher ones.
    pub lease: u64,
    /// Its cells; none if zero.
    pub granted: u64,
    /// The bucket after that.
    pub level: Level,
}
