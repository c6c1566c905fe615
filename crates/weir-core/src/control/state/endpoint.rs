//! A serving endpoint as it is stored (`databricks.md`, 2, 3, 6 and 7).
//!
//! Decides the rows' shapes; not what may stand in them (`databricks`).

use super::Backend;
use crate::snapshot::Task;
use crate::sorted::SortedMap;
use crate::time::UnixMillis;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A serving endpoint: what it serves, who may how often, and what is told about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointSpec {
    /// `description`.
    pub description: String,
    /// `tags`, by key.
    pub tags: SortedMap<String, Option<String>>,
    /// Legacy `rate_limits`, in the order given.
    pub rate_limits: Vec<RateLimit>,
    /// `ai_gateway`.
    #[serde(default, skip_serializing_if = "Gateway::is_none")]
    pub gateway: Gateway,
    /// What is only shown again: `route_optimized`, `budget_policy_id`, `email_notifications`, `telemetry_config`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub kept: Map<String, Value>,
    /// The configuration that serves; none while the first one was not ready yet.
    pub active: Option<EndpointConfig>,
    /// The configuration that shall serve, or failed to.
    pub pending: Option<PendingConfig>,
}

impl EndpointSpec {
    /// The configuration that serves, else the one that shall.
    pub fn config(&self) -> Option<&EndpointConfig> {
        self.active.as_ref().or_else(|| self.pending.as_ref().map(|pending| &pending.config))
    }

    /// What its entities do: those that serve, else those that shall.
    pub fn task(&self) -> Option<Task> {
        self.config()?.entities.first().map(|row| row.task)
    }

    /// Whether its entities are external models; `None` without entities.
    pub fn is_external(&self) -> Option<bool> {
        self.config()?.entities.first().map(|row| row.backend.is_some())
    }

    /// The number of its newest configuration, whether it serves or not.
    pub fn newest_version(&self) -> u64 {
        let active = self.active.as_ref().map_or(0, |config| config.version);
        let pending = self.pending.as_ref().map_or(0, |pending| pending.config.version);
        active.max(pending)
    }

    /// How many of a million exchanges are logged with their bodies: a share, by the gateway's inference table, or all, by
    /// the legacy one of the configuration that serves.
    pub fn payload_sampling(&self) -> Option<u32> {
        let legacy = || {
            let capture = self.active.as_ref()?.auto_capture.as_ref()?;
            (capture.get("enabled") == Some(&Value::Bool(true))).then_some(1_000_000)
        };
        self.gateway.sampling().or_else(legacy)
    }

    /// The table that [`Self::payload_sampling`] is of, as a path: catalog, schema and `{prefix}_payload` (`databricks.md`,
    /// 7.5). What the legacy configuration leaves out is `default`, the prefix `endpoint`.
    pub fn payload_table(&self, endpoint: &str) -> Option<String> {
        self.payload_sampling()?;
        let legacy = || self.active.as_ref()?.auto_capture.as_ref();
        let gateway = self.gateway.enabled("inference_table_config").and_then(Value::as_object);
        let config = gateway.or_else(legacy)?;
        let word = |member: &str, default: &str| {
            let text = config.get(member).and_then(Value::as_str).filter(|text| !text.is_empty());
            let legal = |c: char| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '_' };
            text.unwrap_or(default).chars().map(legal).collect::<String>()
        };
        let (catalog, schema) = (word("catalog_name", "default"), word("schema_name", "default"));
        Some(format!("{catalog}/{schema}/{}_payload", word("table_name_prefix", endpoint)))
    }

    /// The configuration whose upstreams are being probed.
    pub fn updating(&self) -> Option<&PendingConfig> {
        self.pending.as_ref().filter(|pending| pending.failure.is_none())
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

    /// Whether its exchanges are rows of the usage table.
    pub fn tracks_usage(&self) -> bool {
        self.enabled("usage_tracking_config").is_some()
    }

    /// How many of a million exchanges the inference table gets: all, unless `sampling_fraction` says otherwise.
    fn sampling(&self) -> Option<u32> {
        let config = self.enabled("inference_table_config")?;
        let fraction = config.get("sampling_fraction").and_then(Value::as_f64).unwrap_or(1.0);
        // Six places are the millionths.
        let digits = format!("{:.6}", fraction.clamp(0.0, 1.0)).replace('.', "");
        digits.parse().ok().filter(|millionths| *millionths > 0)
    }

    /// `guardrails`: `input` and `output`, each with `safety`, `pii`, `invalid_keywords`, `valid_topics`.
    pub fn guardrails(&self) -> Option<&Value> {
        self.0.get("guardrails")
    }

    /// `rate_limits`.
    pub fn rate_limits(&self) -> impl Iterator<Item = RateLimit> {
        let list = self.0.get("rate_limits").and_then(Value::as_array);
        let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
        list.into_iter().flatten().map(move |limit| RateLimit {
            key: text(&limit["key"]).unwrap_or_default(),
            calls: limit["calls"].as_u64(),
            tokens: limit["tokens"].as_u64(),
            principal: text(&limit["principal"]),
        })
    }
}

/// A rate limit of either family (`databricks.md`, 6.1), by the minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    /// `user`, `endpoint`, `user_group` or `service_principal`.
    pub key: String,
    /// Calls a minute; zero admits nothing.
    pub calls: Option<u64>,
    /// Tokens a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Whose it is; everyone's of the kind, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
}

/// One version of an endpoint's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointConfig {
    /// `config_version`.
    pub version: u64,
    /// In the order given; the order of fallback.
    pub entities: Vec<EntityRow>,
    /// `auto_capture_config`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_capture: Option<Map<String, Value>>,
}

/// One served entity of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntityRow {
    /// Unique in the endpoint.
    pub name: String,
    /// `traffic_percentage`; one with zero is reached by fallback only.
    pub share: u32,
    /// What it does.
    pub task: Task,
    /// The external model that it is; a model of the catalog, named by `shown.entity_name`, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<Backend>,
    /// What else it is shown with: which model of the catalog, and its sizes.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub shown: Map<String, Value>,
    /// Who added it.
    pub creator: String,
    /// When it was added.
    pub created_at: UnixMillis,
}

impl EntityRow {
    /// The model of the catalog that it is, by its name in Unity Catalog; none for an external model.
    pub fn model(&self) -> Option<&str> {
        self.shown.get("entity_name")?.as_str()
    }
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

/// Why an update did not become the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateFailure {
    /// Entities that were not ready, and what was wrong with them.
    pub entities: SortedMap<String, String>,
    /// Somebody canceled it.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub canceled: bool,
}
