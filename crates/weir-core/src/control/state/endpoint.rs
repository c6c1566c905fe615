//! A serving endpoint as it is stored (`databricks.md`, 2, 3, 6 and 7).
//!
//! Decides the rows' shapes; not what may stand in them (`databricks`).

use super::Backend;
use crate::snapshot::Task;
use crate::time::UnixMillis;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A serving endpoint: its upstreams are its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointSpec {
    /// `description`.
    pub description: String,
    /// `tags`, by key.
    pub tags: BTreeMap<String, Option<String>>,
    /// Legacy `rate_limits`, in the order given.
    pub rate_limits: Vec<RateLimit>,
    /// `ai_gateway`.
    #[serde(default, skip_serializing_if = "Gateway::is_none")]
    pub gateway: Gateway,
    /// The configuration that serves; none while the first one was not ready yet.
    pub active: Option<EndpointConfig>,
    /// The configuration that shall serve, or failed to.
    pub pending: Option<PendingConfig>,
}

impl EndpointSpec {
    /// What its entities do: those that serve, else those that shall.
    pub fn task(&self) -> Option<Task> {
        let config = self.active.as_ref().or_else(|| self.pending.as_ref().map(|pending| &pending.config))?;
        config.entities.first().map(|row| row.backend.task)
    }

    /// The number of its newest configuration, whether it serves or not.
    pub fn newest_version(&self) -> u64 {
        let active = self.active.as_ref().map_or(0, |config| config.version);
        let pending = self.pending.as_ref().map_or(0, |pending| pending.config.version);
        active.max(pending)
    }

    /// Whether its upstreams are being probed.
    pub fn is_updating(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.failure.is_none())
    }
}

/// `ai_gateway` of an endpoint (`databricks.md`, 7.1), as it is shown; empty if it has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Gateway(pub Map<String, Value>);

impl Gateway {
    /// Whether the endpoint has none.
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// The member of this name, if it is there and enabled: `usage_tracking_config`, `inference_table_config`.
    pub fn enabled(&self, member: &str) -> Option<&Value> {
        self.0.get(member).filter(|config| config["enabled"] == true)
    }

    /// Whether other entities are tried when the one that was chosen fails.
    pub fn fallback(&self) -> bool {
        self.enabled("fallback_config").is_some()
    }

    /// `guardrails`: `input` and `output`, each with `safety`, `pii`, `invalid_keywords`, `valid_topics`.
    pub fn guardrails(&self) -> Option<&Value> {
        self.0.get("guardrails")
    }
}

/// A legacy rate limit (`databricks.md`, 6.1): calls per minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    /// `user` or `endpoint`.
    pub key: String,
    /// Calls a minute; zero admits nothing.
    pub calls: u64,
}

/// One version of an endpoint's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointConfig {
    /// `config_version`.
    pub version: u64,
    /// In the order given; the order of fallback.
    pub entities: Vec<EntityRow>,
}

/// One served entity of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntityRow {
    /// How it is reached; its name and its share of the traffic are in `backend.entity`.
    pub backend: Backend,
    /// Who added it.
    pub creator: String,
    /// When it was added.
    pub created_at: UnixMillis,
}

/// An endpoint's configuration that does not serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingConfig {
    /// The configuration.
    pub config: EndpointConfig,
    /// When the update began.
    pub started_at: UnixMillis,
    /// What became of it; `None` while its upstreams are being probed.
    pub failure: Option<UpdateFailure>,
}

/// Why an update failed: by entity name, what was wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateFailure {
    /// Entities that were not ready.
    pub entities: BTreeMap<String, String>,
}
