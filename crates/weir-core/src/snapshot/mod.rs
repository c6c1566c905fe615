//! The snapshot: the immutable, versioned form of an account's configuration that isolates route by.
//!
//! Base. Decides the shape that `control` writes and the request path reads; not how configuration is changed
//! (`control`), and not how a deployment is found in it ([`index`]). It travels as JSON from a Registry to
//! isolates. Secrets in it are sealed (`seal`), keys are hashes: a snapshot at rest opens nothing.

pub mod access;
pub mod content;
pub mod dialect;
pub mod index;
pub mod network;
pub mod routing;
pub mod token;

use self::content::ContentRules;
pub use self::dialect::Dialect;
use crate::id::{AccountId, DeploymentName, PrincipalId};
use crate::simulate::SimulatorConfig;
use crate::sorted::SortedMap;
use crate::time::{Millis, UnixMillis};
use crate::units::Money;
use alloc::string::String;
use alloc::vec::Vec;
use network::Network;
use routing::Routing;
use serde::{Deserialize, Serialize};

/// One account's configuration at one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Whose configuration.
    pub account: AccountId,
    /// Counts changes; a higher number is newer. Zero: nothing was ever configured.
    pub version: u64,
    /// Every credential that opens the data plane.
    pub keys: Vec<KeyEntry>,
    /// Every deployment that can be called.
    pub deployments: Vec<Deployment>,
    /// Serving endpoints that are there and cannot be called.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unready: Vec<Unready>,
    /// From where it can be called; from everywhere, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// The account's own content policies and blocklists, as far as deployments use them.
    #[serde(default, skip_serializing_if = "ContentRules::is_empty")]
    pub content: ContentRules,
    /// Who may query by roles.
    #[serde(default)]
    pub access: access::Access,
}

/// A serving endpoint that no configuration serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unready {
    /// As it was written when it was created.
    pub name: DeploymentName,
    /// Its first configuration is being deployed; else none could be, or its model lost its backends.
    pub coming: bool,
}

/// A credential that opens the data plane of its account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyEntry {
    /// SHA-256 of the key's text, 64 lower-case hex digits.
    pub hash: String,
    /// The key's own id, for usage and audit.
    pub id: PrincipalId,
    /// Who calls when this key is presented.
    pub principal: PrincipalId,
    /// The deployments that it may query, in folded form; all, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployments: Option<Vec<String>>,
    /// From this time on it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<UnixMillis>,
}

/// How a deployment came to be: the API that made it (`design.md`, section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentKind {
    /// An account deployment of Azure.
    Account,
    /// A serverless endpoint of Azure.
    Serverless,
    /// A serving endpoint of Databricks.
    ServingEndpoint,
}

/// What a deployment is asked to do (`databricks.md`, 3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Task {
    /// Chat completions.
    #[serde(rename = "llm/v1/chat")]
    Chat,
    /// Text completions.
    #[serde(rename = "llm/v1/completions")]
    Completions,
    /// Embeddings.
    #[serde(rename = "llm/v1/embeddings")]
    Embeddings,
}

/// A named, addressable configuration: what callers ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// As it was written when it was created; found without regard to case.
    pub name: DeploymentName,
    /// Which API made it.
    pub kind: DeploymentKind,
    /// What it does.
    pub task: Task,
    /// The model's name for usage and answers, e.g. `gpt-4o`.
    pub model: String,
    /// When it was made; zero if nobody said.
    #[serde(default)]
    pub created_at: UnixMillis,
    /// The models behind it, in order of preference. Never empty in a deployment that is ready.
    pub entities: Vec<ServedEntity>,
    /// What may go through; all hold at once.
    #[serde(default)]
    pub limits: Vec<Limit>,
    /// Whether exchanges go ahead when the limiter cannot be reached (closed by default).
    #[serde(default)]
    pub limiter_fail_open: bool,
    /// How long the parts of an exchange may take.
    #[serde(default)]
    pub deadlines: Deadlines,
    /// Name of the content policy that looks at its prompts and answers; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_policy: Option<String>,
    /// Of a million exchanges, so many are logged with their bodies; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_sampling: Option<u32>,
    /// The inference table that they are logged in: catalog, schema and table, as a path of legal words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_table: Option<String>,
    /// Whether its exchanges, failed ones too, are rows of Databricks' usage table (`databricks.md`, 7.6).
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub usage_tracking: bool,
    /// Who published its model, e.g. `Meta`; empty if that is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub publisher: String,
    /// The version of its model; empty if it has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// What only serverless endpoints have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serverless: Option<Serverless>,
    /// The deployment, in folded form, that takes what this one's limits refuse (`azure.md`, C3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spillover: Option<String>,
    /// Whether the other entities are tried, in their order, when the one that was chosen fails.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub fallback: bool,
    /// How its entities share the traffic.
    #[serde(default, skip_serializing_if = "Routing::is_default")]
    pub routing: Routing,
}

const fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_yes(value: &bool) -> bool {
    *value
}

/// What only serverless endpoints have (`azure.md`, C1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serverless {
    /// The second label of its host, e.g. `eastus2`.
    pub region: String,
    /// Its marketplace subscription is gone: it answers nothing but 403 until there is one again.
    #[serde(default)]
    pub suspended: bool,
    /// `contentSafety.contentSafetyStatus` is `Enabled`.
    #[serde(default)]
    pub content_safety: bool,
}

/// One model behind a deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedEntity {
    /// Unique within the deployment; shown as `served-model-name`.
    pub name: String,
    /// The word of `databricks.md` 3.3 and `design.md` section 2, e.g. `openai`, `custom`, `simulator`.
    pub provider: String,
    /// The model's name at the provider.
    pub upstream_model: String,
    /// Share of the traffic, 0..=100; zero is reached by fallback only. Where no entity of a priority has one,
    /// the traffic goes where the answers come soonest.
    pub weight: u32,
    /// Entities of a lower number are called first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: u32,
    /// Where it runs.
    pub target: Target,
    /// What its tokens cost; unknown if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_zero(value: &u32) -> bool {
    *value == 0
}

/// Where a served entity runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A server, OpenAI-compatible unless its paths are [`UpstreamPaths::Native`].
    Http(Upstream),
    /// The built-in simulated model.
    Simulator(SimulatorConfig),
}

/// A server of a provider (`providers.md`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    /// Scheme, host and path without a trailing slash, e.g. `https://api.openai.com/v1`.
    pub base: String,
    /// How operation paths are added to `base`.
    pub paths: UpstreamPaths,
    /// The credential, sealed.
    pub auth: UpstreamAuth,
    /// Sent as `OpenAI-Organization`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
}

/// How an operation's path is made from an upstream's base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamPaths {
    /// `{base}/chat/completions` and so on.
    OpenAi,
    /// `{base}/openai/deployments/{deployment}/chat/completions?api-version={api_version}`.
    AzureOpenAi {
        /// Deployment name at the upstream.
        deployment: String,
        /// Its `api-version`.
        api_version: String,
    },
    /// `base` is the whole address of one operation.
    Exact,
    /// The provider's own paths below `base`, in its own dialect, with the plain members of its config that they are
    /// made of, e.g. `region` and `project_id`.
    Native(SortedMap<String, String>),
}

/// How Weir shows itself to an upstream. Values are sealed (`seal::open` with the upstream's base as context).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamAuth {
    /// The upstream asks for nothing.
    None,
    /// `Authorization: Bearer {value}`.
    Bearer {
        /// Sealed credential.
        sealed: String,
    },
    /// A header of its own, e.g. `api-key`.
    Header {
        /// Lower-case header name.
        name: String,
        /// Sealed credential.
        sealed: String,
    },
    /// Signature Version 4 of AWS.
    Aws {
        /// Sealed access key id.
        id: String,
        /// Sealed secret access key.
        secret: String,
        /// Sealed session token, with temporary keys.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<String>,
    },
    /// A short-lived token that is fetched with a Google service account's key.
    ServiceAccount {
        /// Sealed key: the account's whole JSON, or a PEM.
        sealed: String,
    },
    /// A short-lived token of Microsoft Entra, fetched with a client's secret.
    Entra {
        /// The tenant's id.
        tenant: String,
        /// The client's id.
        client: String,
        /// Sealed client secret.
        sealed: String,
        /// The cloud's own address of Entra; the public cloud's if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        authority: Option<String>,
    },
}

impl UpstreamAuth {
    /// Its sealed credentials, in the order of the members that they were read from.
    pub fn sealed_mut(&mut self) -> Vec<&mut String> {
        match self {
            Self::None => Vec::new(),
            Self::Bearer { sealed }
            | Self::Header { sealed, .. }
            | Self::ServiceAccount { sealed }
            | Self::Entra { sealed, .. } => Vec::from([sealed]),
            Self::Aws { id, secret, token } => [id, secret].into_iter().chain(token).collect(),
        }
    }
}

/// Price of an entity's tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// ISO 4217 code, e.g. `USD`.
    pub currency: String,
    /// Price of one input token.
    pub input: Money,
    /// Price of one input token that the upstream had cached; as `input` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<Money>,
    /// Price of one output token.
    pub output: Money,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meter {
    /// One cell an exchange.
    Requests,
    /// One cell a token, input and output together; an estimate is reserved, the actual use settled.
    Tokens,
}

/// Who shares a limit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitScope {
    /// All callers of the deployment.
    Deployment,
    /// Every principal has one of its own.
    EachPrincipal,
    /// This principal only, by its id or name; stands instead of `EachPrincipal` and `Group` for it.
    Principal(String),
    /// All members of the group with this id or name together.
    Group(String),
}

/// A rate allowed: `amount` cells per `per`, at most `burst` at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// What is counted.
    pub meter: Meter,
    /// Who shares it.
    pub scope: LimitScope,
    /// Cells per `per`. Zero admits nothing.
    pub amount: u64,
    /// The period of `amount`; one minute for all limits of Azure and Databricks.
    pub per: Millis,
    /// Cells that may be admitted at once, 1..=amount unless `amount` is zero.
    pub burst: u64,
}

/// How long the parts of an exchange may take (`design.md`, section 8, "Deadlines").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadlines {
    /// Until the first event of a stream: the answer's head must be there by then.
    pub first_event: Millis,
    /// Until a plain answer is whole.
    pub plain: Millis,
    /// Between two events of a stream.
    pub idle: Millis,
    /// The whole exchange with all its attempts.
    pub total: Millis,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            first_event: Millis::from_secs(55),
            plain: Millis::from_secs(600),
            idle: Millis::from_secs(45),
            total: Millis::from_secs(600),
        }
    }
}
