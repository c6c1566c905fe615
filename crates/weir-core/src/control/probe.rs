//! Probes: whether the upstreams of a configuration answer, before it serves.
//!
//! Decides what is asked of an upstream (a GET of its model list or base, `design.md`, section 8, "Readiness") and
//! which answers count as ready; not when an update begins (`databricks::config`). The shell performs a probe
//! within [`PROBE_MILLIS`] and reports the status.

use super::command::SecretFault;
use super::databricks::foundation;
use super::state::{AccountState, EndpointConfig, EntityRow};
use crate::seal::{self, SealKey};
use crate::snapshot::{ServedEntity, Target, Upstream, UpstreamAuth, UpstreamPaths};
use crate::time::Millis;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How long an upstream may take to answer a probe.
pub const PROBE_MILLIS: Millis = Millis::from_secs(10);
/// When an update whose probes were never reported counts as failed: the shell that made them is gone.
pub const UPDATE_MILLIS: Millis = Millis::from_secs(30);

/// One GET that the shell shall make; redirects are not followed.
#[derive(Clone, PartialEq, Eq)]
pub struct Probe {
    /// Names the update, to be given back.
    pub update: String,
    /// Names the entity, to be given back.
    pub entity: String,
    /// Address.
    pub url: String,
    /// Headers, the upstream's credential among them.
    pub headers: Vec<(String, String)>,
}

/// Shows no header, because the credential is one.
impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe")
            .field("update", &self.update)
            .field("entity", &self.entity)
            .finish_non_exhaustive()
    }
}

/// The probes' outcomes: the message `{"probed":{"update","outcomes":[{"entity","status"}]}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probed {
    /// [`Probe::update`].
    pub update: String,
    /// One for each probe of the update.
    pub outcomes: Vec<ProbeOutcome>,
}

/// What one probe met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeOutcome {
    /// [`Probe::entity`].
    pub entity: String,
    /// Status of the answer; `None` without an answer in time.
    pub status: Option<u16>,
    /// Body of a 403, as far as the shell reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
}

impl ProbeOutcome {
    /// What is wrong with the upstream; `None` if it is ready.
    ///
    /// A serving endpoint of a workspace is probed by asking for its description, which a token may not see that may
    /// query it: the workspace then says which permission is missing (`databricks.md`, 5.2). It knows the token, so the
    /// upstream is ready. A token that it does not know it refuses with a 403 as well, in other words.
    pub fn problem(&self) -> Option<String> {
        match self.status {
            None => Some("the upstream cannot be reached, or did not answer within 10 seconds".to_owned()),
            Some(403) if self.refusal.as_deref().is_some_and(is_known_caller) => None,
            Some(401 | 403) => Some("the upstream refused the configured credential".to_owned()),
            Some(_) => None,
        }
    }
}

/// Whether a refusal is one of somebody whom the workspace knows.
fn is_known_caller(refusal: &str) -> bool {
    let Ok(refusal) = crate::json::read::<Value>(refusal) else { return false };
    let text = |member: &str| refusal.get(member).and_then(Value::as_str).unwrap_or_default();
    text("error_code") == "PERMISSION_DENIED" && text("message").contains("does not have permission")
}

/// What credentials are opened with.
#[derive(Clone, Copy)]
pub struct Opener<'a> {
    /// The account, whose catalog has the backends of models.
    pub state: &'a AccountState,
    /// The installation's seal key.
    pub seal_key: Option<&'a SealKey>,
}

impl Opener<'_> {
    fn open(&self, place: &str, sealed: &str) -> Result<String, SecretFault> {
        let key = self.seal_key.ok_or(SecretFault::NoSealKey)?;
        seal::open(key, place, sealed).map_err(|_| SecretFault::OtherSealKey)
    }
}

/// The probes that `config` needs; none for simulated models.
///
/// # Errors
/// [`SecretFault`] when a credential does not open.
pub fn plan(opener: &Opener<'_>, update: &str, config: &EndpointConfig) -> Result<Vec<Probe>, SecretFault> {
    let mut probes = Vec::new();
    for row in &config.entities {
        for entity in &entities(opener.state, row) {
            if let Some(upstream) = probed(entity) {
                let (url, headers) = (url(upstream, entity), headers(opener, upstream)?);
                probes.push(Probe { update: update.to_owned(), entity: row.name.clone(), url, headers });
            }
        }
    }
    Ok(probes)
}

/// Whether an entity has an upstream that must answer before it serves.
pub fn wanted(state: &AccountState, row: &EntityRow) -> bool {
    entities(state, row).iter().any(|entity| probed(entity).is_some())
}

/// What serves an entity: its external model, or all backends of its model in the catalog.
fn entities(state: &AccountState, row: &EntityRow) -> Vec<ServedEntity> {
    if let Some(backend) = &row.backend {
        return Vec::from([backend.entity.clone()]);
    }
    let entry = row.model().and_then(|name| foundation::model(state, name));
    let backends = entry.iter().flat_map(|entry| &entry.backends);
    backends.map(|backend| backend.entity.clone()).collect()
}

fn probed(entity: &ServedEntity) -> Option<&Upstream> {
    match &entity.target {
        Target::Http(upstream) if !upstream.base.is_empty() => Some(upstream),
        Target::Http(_) | Target::Simulator(_) => None,
    }
}

fn url(upstream: &Upstream, entity: &ServedEntity) -> String {
    let base = &upstream.base;
    match &upstream.paths {
        UpstreamPaths::OpenAi => format!("{base}/models"),
        UpstreamPaths::AzureOpenAi { api_version, .. } => {
            format!("{base}/openai/models?api-version={api_version}")
        }
        UpstreamPaths::Exact => base.clone(),
        UpstreamPaths::Native(_) => match entity.provider.as_str() {
            "anthropic" | "cohere" | "mistral" | "ai21labs" => format!("{base}/v1/models"),
            "palm" => format!("{base}/v1beta/models"),
            "databricks-model-serving" => {
                format!("{base}/api/2.0/serving-endpoints/{}", entity.upstream_model)
            }
            _ => base.clone(),
        },
    }
}

fn headers(opener: &Opener<'_>, upstream: &Upstream) -> Result<Vec<(String, String)>, SecretFault> {
    let mut headers = Vec::new();
    match &upstream.auth {
        // What must be signed or exchanged first is not shown: that the address answers is all that is asked.
        UpstreamAuth::None
        | UpstreamAuth::Aws { .. }
        | UpstreamAuth::ServiceAccount { .. }
        | UpstreamAuth::Entra { .. } => {}
        UpstreamAuth::Bearer { sealed } => {
            let token = opener.open(&upstream.base, sealed)?;
            headers.push(("authorization".to_string(), format!("Bearer {token}")));
        }
        UpstreamAuth::Header { name, sealed } => {
            headers.push((name.clone(), opener.open(&upstream.base, sealed)?));
        }
    }
    if let Some(organization) = &upstream.organization {
        headers.push(("openai-organization".to_string(), organization.clone()));
    }
    Ok(headers)
}
