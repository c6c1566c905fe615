//! The truth of one account's configuration, as typed rows.
//!
//! Decides what a Registry stores and how it is read back; not how it changes (`command`) and not what isolates
//! see of it (`snapshot`). Every row is one JSON object in one table, so that a reload gives an equal state.
//! Credentials of callers are stored as hashes; what must be readable again is sealed (`seal`).

mod endpoint;

pub use endpoint::{
    EndpointConfig, EndpointSpec, EntityRow, Gateway, PendingConfig, RateLimit, UpdateFailure,
};

use super::access::{ACCESS, Access};
use super::command::Change;
use crate::id::{AccountId, DeploymentName, PrincipalId};
use crate::object::Row;
use crate::snapshot::{DeploymentKind, Price, ServedEntity, Task};
use crate::sorted::SortedMap;
use crate::time::UnixMillis;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Table of the single row `version`.
pub const META: &str = "meta";
/// Table of [`DeploymentRow`] by folded name.
pub const DEPLOYMENTS: &str = "deployments";
/// Table of [`KeyRow`] by id.
pub const KEYS: &str = "keys";
/// Table of [`AccountKeyRow`] by `key1`, `key2`.
pub const ACCOUNT_KEYS: &str = "account_keys";
/// Table of [`ScopeRow`] by name.
pub const SCOPES: &str = "scopes";
/// Table of [`SecretRow`] by `scope/key`.
pub const SECRETS: &str = "secrets";
/// Table of [`CatalogRow`] by folded model name.
pub const CATALOG: &str = "catalog";
/// Table of JSON documents by `kind/name`, the name folded: resources whose form is their wire's.
pub const DOCUMENTS: &str = "documents";
/// Table of [`AuditRow`] by version, 20 digits.
pub const AUDIT: &str = "audit";

/// Every table of a Registry: all rows of all of them are needed to load one.
pub const TABLES: [&str; 10] =
    [META, DEPLOYMENTS, KEYS, ACCOUNT_KEYS, SCOPES, SECRETS, CATALOG, DOCUMENTS, AUDIT, ACCESS];

/// How many changes the audit log of an account remembers.
pub const AUDIT_ROWS_MAX: u64 = 1000;

/// A stored row that cannot be read: the Registry must not run on half a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("row {key:?} of table {table:?} cannot be read: {problem}")]
pub struct LoadError {
    /// Which table.
    pub table: String,
    /// Which row.
    pub key: String,
    /// What is wrong with it.
    pub problem: String,
}

/// One account's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountState {
    /// Whose.
    pub account: AccountId,
    /// Counts applied commands.
    pub version: u64,
    /// By folded name.
    pub deployments: SortedMap<String, DeploymentRow>,
    /// By id.
    pub keys: SortedMap<String, KeyRow>,
    /// `key1` and `key2`, once they were first asked for.
    pub account_keys: SortedMap<String, AccountKeyRow>,
    /// By name.
    pub scopes: SortedMap<String, ScopeRow>,
    /// By `scope/key`.
    pub secrets: SortedMap<String, SecretRow>,
    /// By folded model name.
    pub catalog: SortedMap<String, CatalogRow>,
    /// By `kind/name`, the name folded.
    pub documents: SortedMap<String, Value>,
    /// By version; the newest [`AUDIT_ROWS_MAX`].
    pub audit: SortedMap<u64, AuditRow>,
    /// Who there is and what each may do.
    pub access: Access,
}

/// A deployment and the API object that it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentRow {
    /// As it was written.
    pub name: DeploymentName,
    /// 32 hex digits, drawn when it was made.
    pub id: String,
    /// Who made it.
    pub creator: String,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it was last changed.
    pub updated_at: UnixMillis,
    /// What it is.
    pub spec: DeploymentSpec,
}

/// What a deployment is, by the API that made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentSpec {
    /// An account deployment (`azure.md`, C3).
    Account(AccountSpec),
    /// A serverless endpoint (`azure.md`, C1).
    Serverless(ServerlessSpec),
    /// A serving endpoint (`databricks.md`, 2 and 3).
    ServingEndpoint(EndpointSpec),
}

impl DeploymentRow {
    /// The API that made it.
    pub const fn kind(&self) -> DeploymentKind {
        match self.spec {
            DeploymentSpec::Account(_) => DeploymentKind::Account,
            DeploymentSpec::Serverless(_) => DeploymentKind::Serverless,
            DeploymentSpec::ServingEndpoint(_) => DeploymentKind::ServingEndpoint,
        }
    }

    /// The catalog entry that serves it, if one does.
    pub fn model(&self) -> Option<&str> {
        match &self.spec {
            DeploymentSpec::Account(spec) => Some(&spec.model),
            DeploymentSpec::Serverless(spec) => Some(&spec.model),
            DeploymentSpec::ServingEndpoint(_) => None,
        }
    }

    /// The account deployment that it is, if it is one.
    pub const fn account(&self) -> Option<&AccountSpec> {
        match &self.spec {
            DeploymentSpec::Account(spec) => Some(spec),
            DeploymentSpec::Serverless(_) | DeploymentSpec::ServingEndpoint(_) => None,
        }
    }

    /// The serverless endpoint that it is, if it is one.
    pub const fn serverless(&self) -> Option<&ServerlessSpec> {
        match &self.spec {
            DeploymentSpec::Serverless(spec) => Some(spec),
            DeploymentSpec::Account(_) | DeploymentSpec::ServingEndpoint(_) => None,
        }
    }

    /// The serving endpoint that it is, if it is one.
    pub const fn endpoint(&self) -> Option<&EndpointSpec> {
        match &self.spec {
            DeploymentSpec::ServingEndpoint(spec) => Some(spec),
            DeploymentSpec::Account(_) | DeploymentSpec::Serverless(_) => None,
        }
    }
}

/// An account deployment: a model of the catalog with a capacity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountSpec {
    /// ARM resource id as it was first written.
    pub resource_id: String,
    /// `sku.name`, e.g. `GlobalStandard`.
    pub sku: String,
    /// `sku.capacity`: thousands of tokens per minute.
    pub capacity: u64,
    /// `properties.model.format`.
    pub format: String,
    /// `properties.model.name`: the catalog entry that serves it.
    pub model: String,
    /// `properties.model.version`.
    pub model_version: String,
    /// `properties.versionUpgradeOption`.
    pub version_upgrade: String,
    /// `properties.raiPolicyName`, if one was named.
    pub rai_policy: Option<String>,
    /// `tags`.
    pub tags: SortedMap<String, String>,
    /// Version of the account's configuration at the last change.
    pub etag: u64,
    /// `properties.spilloverDeploymentName`: takes what this one's limits refuse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spillover: Option<String>,
    /// The model's default version at the last change; a newer one is an upgrade.
    #[serde(default)]
    pub default_version: String,
    /// Who last changed it; its creator, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified_by: Option<String>,
}

/// A serverless endpoint: the newest version of a model of the catalog, with keys of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerlessSpec {
    /// ARM resource id as it was first written.
    pub resource_id: String,
    /// The region in its short form, e.g. `eastus2`.
    pub location: String,
    /// The catalog entry that serves it.
    pub model: String,
    /// `properties.modelSettings.modelId` as it was written.
    pub model_id: String,
    /// `properties.authMode`: `Key`, `AAD` or `KeyAndAAD`.
    pub auth_mode: String,
    /// `properties.contentSafety.contentSafetyStatus` is `Enabled`.
    pub content_safety: bool,
    /// `properties.contentSafety.weirClassifier`, Weir's own: the external classifier that is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classifier: Option<String>,
    /// The primary and the secondary key.
    pub keys: [AccountKeyRow; 2],
    /// What is only shown again: `tags`, `kind`, `identity`, `sku`.
    pub shown: Map<String, Value>,
    /// Who last changed it.
    pub modified_by: String,
}

/// One described upstream: an `external_model` object and what it compiles to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// The object as callers are shown it: secret references as given, secrets in plain text removed.
    pub shown: Map<String, Value>,
    /// Its task.
    pub task: Task,
    /// What isolates get.
    pub entity: ServedEntity,
    /// `scope/key` of the secret that each of its credentials was read from, in the order of
    /// [`UpstreamAuth::sealed_mut`](crate::snapshot::UpstreamAuth::sealed_mut); none where it was given as it is. A
    /// credential follows its secret.
    pub references: Vec<Option<String>>,
}

/// A data key. It queries without roles; for managing it needs those of its principal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRow {
    /// Its own id, also its principal's if it has no other.
    pub id: PrincipalId,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<PrincipalId>,
    /// What it is called.
    pub name: String,
    /// SHA-256 of the text, hex.
    pub hash: String,
    /// Last four characters of the text, to recognise it by.
    pub ends_with: String,
    /// Deployments that it may query, folded; all if absent.
    pub deployments: Option<Vec<String>>,
    /// From this time on it is refused.
    pub expires_at: Option<UnixMillis>,
    /// Who made it.
    pub creator: String,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When its text was last replaced.
    pub rotated_at: UnixMillis,
}

/// `key1` or `key2` of the account. Its text can be listed, so it is kept sealed beside its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountKeyRow {
    /// SHA-256 of the text, hex.
    pub hash: String,
    /// The text, sealed for the place `account-key:{account}:{name}`.
    pub sealed: String,
    /// When it was drawn.
    pub created_at: UnixMillis,
}

/// A scope of secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScopeRow {
    /// Who made it.
    pub creator: String,
    /// When it was made.
    pub created_at: UnixMillis,
    /// By principal, `READ`, `WRITE` or `MANAGE`.
    #[serde(default, skip_serializing_if = "SortedMap::is_empty")]
    pub acls: SortedMap<String, String>,
}

/// A secret, sealed for the place `secret:{account}:{scope}/{key}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRow {
    /// The value, sealed.
    pub sealed: String,
    /// When it was last written.
    pub updated_at: UnixMillis,
}

/// A catalog entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogRow {
    /// The model's name as it was written.
    pub name: String,
    /// The entry as it is shown, `backends` included.
    pub shown: Map<String, Value>,
    /// What the model does.
    pub task: Task,
    /// Versions that may be deployed; any if empty.
    pub versions: Vec<String>,
    /// The version that is deployed when none is named.
    pub default_version: String,
    /// What its tokens cost.
    pub price: Option<Price>,
    /// How it is served, in order of preference.
    pub backends: Vec<Backend>,
}

/// One applied command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// When.
    pub at: UnixMillis,
    /// Who.
    pub actor: String,
    /// What, e.g. `deployment.put`.
    pub action: String,
    /// On what.
    pub target: String,
}

impl AccountState {
    /// An account that nothing was ever configured in.
    pub fn new(account: AccountId) -> Self {
        Self {
            account,
            version: 0,
            deployments: SortedMap::new(),
            keys: SortedMap::new(),
            account_keys: SortedMap::new(),
            scopes: SortedMap::new(),
            secrets: SortedMap::new(),
            catalog: SortedMap::new(),
            documents: SortedMap::new(),
            audit: SortedMap::new(),
            access: Access::default(),
        }
    }

    /// The state that these rows hold, by table; tables that are missing are empty.
    ///
    /// # Errors
    /// [`LoadError`] naming the first row that cannot be read, or a table that does not exist.
    pub fn load<'a>(
        account: AccountId,
        tables: impl IntoIterator<Item = (&'a str, Vec<Row>)>,
    ) -> Result<Self, LoadError> {
        let mut state = Self::new(account);
        for (table, rows) in tables {
            for row in rows {
                state.load_row(table, &row)?;
            }
        }
        Ok(state)
    }

    fn load_row(&mut self, table: &str, row: &Row) -> Result<(), LoadError> {
        let change = match table {
            META => Change::Version(read(table, row)?),
            DEPLOYMENTS => Change::Deployment(read(table, row)?),
            KEYS => Change::Key(read(table, row)?),
            ACCOUNT_KEYS => Change::AccountKey(row.key.clone(), read(table, row)?),
            SCOPES => Change::Scope(row.key.clone(), read(table, row)?),
            SECRETS => Change::Secret(row.key.clone(), read(table, row)?),
            CATALOG => Change::Catalog(read(table, row)?),
            DOCUMENTS => Change::Document(row.key.clone(), read(table, row)?),
            ACCESS => Change::Access(read(table, row)?),
            AUDIT => {
                let version = row.key.parse().map_err(|_| damaged(table, row, "its key is no version"))?;
                Change::Audit(version, read(table, row)?)
            }
            _ => return Err(damaged(table, row, "there is no such table")),
        };
        if change.key() != row.key {
            return Err(damaged(table, row, "it is stored under another key than its own"));
        }
        self.apply(change);
        Ok(())
    }

    /// Applies a change to memory. Nothing else changes a state.
    pub(super) fn apply(&mut self, change: Change) {
        let key = change.key();
        match change {
            Change::Version(version) => self.version = version,
            Change::Deployment(row) => _ = self.deployments.insert(key, row),
            Change::Key(row) => _ = self.keys.insert(key, row),
            Change::AccountKey(_, row) => _ = self.account_keys.insert(key, row),
            Change::Scope(_, row) => _ = self.scopes.insert(key, row),
            Change::Secret(_, row) => _ = self.secrets.insert(key, row),
            Change::Catalog(row) => _ = self.catalog.insert(key, row),
            Change::Document(_, row) => _ = self.documents.insert(key, row),
            Change::Audit(version, row) => _ = self.audit.insert(version, row),
            Change::Access(row) => self.access.put(row),
            Change::DropDeployment(_) => _ = self.deployments.remove(&key),
            Change::DropKey(_) => _ = self.keys.remove(&key),
            Change::DropAccountKey(_) => _ = self.account_keys.remove(&key),
            Change::DropScope(_) => _ = self.scopes.remove(&key),
            Change::DropSecret(_) => _ = self.secrets.remove(&key),
            Change::DropCatalog(_) => _ = self.catalog.remove(&key),
            Change::DropDocument(_) => _ = self.documents.remove(&key),
            Change::DropAudit(version) => _ = self.audit.remove(&version),
            Change::DropAccess(_) => self.access.drop_row(&key),
        }
    }
}

fn read<T: DeserializeOwned>(table: &str, row: &Row) -> Result<T, LoadError> {
    crate::json::read(&row.value).map_err(|error| damaged(table, row, &format!("{error}")))
}

fn damaged(table: &str, row: &Row, problem: &str) -> LoadError {
    LoadError { table: table.to_owned(), key: row.key.clone(), problem: problem.to_owned() }
}
