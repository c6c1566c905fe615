//! How the served entities of a deployment share its traffic, and how much may be spent on it.
//!
//! Base. Decides the shape and the defaults; `route::select` orders by it, `attempt` keeps to it. Whether the other
//! entities stand in for one that fails is `Deployment::fallback`.

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
    /// Given if a stream that is slow to begin may be asked for a second time, of another entity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hedge: Option<Hedge>,
}

/// When a second call is made beside the first, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hedge {
    /// After so many milliseconds without content; absent: after the percentile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_ms: Option<u64>,
    /// After the time within which so many of a hundred calls lately said their first content.
    pub after_percentile: u32,
    /// Second calls for each hundred exchanges at most.
    pub max_percent: u32,
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
