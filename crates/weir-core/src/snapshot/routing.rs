//! How the served entities of a deployment share its traffic, and how much may be spent on it.
//!
//! Base. Decides the shape and the defaults; `route::select` orders by it, `attempt` keeps to it. Whether the other
//! entities stand in for one that fails is `Deployment::fallback`.

use crate::time::Millis;
use serde::{Deserialize, Serialize};

/// A deployment's own choices about its attempts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Routing {
    /// Whether a session is also read from the body: `prompt_cache_key`, else `user`. The header `x-weir-session`
    /// always counts.
    pub affinity: bool,
    /// Calls that retries may add to each hundred exchanges, 0..=100.
    pub retry_percent: u32,
    /// Whether a slow first token may be overtaken by a second call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hedge: Option<Hedge>,
}

/// A second call when the first token is late. The one that speaks first is the answer, the other is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hedge {
    /// How long the first token is waited for before the second call.
    pub after: Millis,
    /// Second calls in a hundred exchanges at most, 1..=100.
    pub percent: u32,
}

impl Default for Routing {
    fn default() -> Self {
        Self { affinity: false, retry_percent: 20, hedge: None }
    }
}

impl Routing {
    /// Whether nothing was chosen.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
