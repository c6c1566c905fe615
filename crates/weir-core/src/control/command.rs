//! Commands: how an account's configuration changes.
//!
//! A command reads the state and computes an [`Outcome`]: its answer and the [`Change`]s it wants. Only then are
//! the changes applied, all of them, with the version raised by one and a line in the audit log; a refused
//! command has changed nothing. Decides atomicity and versions; not what a command means (`weir`, `arm`,
//! `databricks`).

use super::Settings;
use super::access::caller::Caller;
use super::access::{ACCESS, AccessRow};
use super::answer::Answer;
use super::databricks::secret_acls;
use super::entropy::Entropy;
use super::probe::Probe;
use super::state::{
    ACCOUNT_KEYS, AUDIT, AUDIT_ROWS_MAX, AccountKeyRow, AccountState, AuditRow, CATALOG, CatalogRow,
    DEPLOYMENTS, DOCUMENTS, DeploymentRow, KEYS, KeyRow, META, SCOPES, SECRETS, ScopeRow, SecretRow,
};
use crate::object::Write;
use crate::seal::{self, SealKey};
use crate::time::UnixMillis;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::Serialize;
use serde_json::Value;

/// One typed change of the state: a row put or dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The account's version.
    Version(u64),
    /// Put a deployment.
    Deployment(DeploymentRow),
    /// Put a data key.
    Key(KeyRow),
    /// Put an account key under its name.
    AccountKey(String, AccountKeyRow),
    /// Put a scope under its name.
    Scope(String, ScopeRow),
    /// Put a secret under `scope/key`.
    Secret(String, SecretRow),
    /// Put a catalog entry.
    Catalog(CatalogRow),
    /// Put a document under its key.
    Document(String, Value),
    /// Put a line of the audit log under its version.
    Audit(u64, AuditRow),
    /// Put a row of who there is and what each may do.
    Access(AccessRow),
    /// Drop a deployment by folded name.
    DropDeployment(String),
    /// Drop a data key by id.
    DropKey(String),
    /// Drop an account key by its name.
    DropAccountKey(String),
    /// Drop a scope.
    DropScope(String),
    /// Drop a secret by `scope/key`.
    DropSecret(String),
    /// Drop a catalog entry by folded name.
    DropCatalog(String),
    /// Drop a document by its key.
    DropDocument(String),
    /// Drop a line of the audit log.
    DropAudit(u64),
    /// Drop a row of who there is and what each may do, by [`AccessRow::key`].
    DropAccess(String),
}

impl Change {
    /// The primary key of the row.
    pub(super) fn key(&self) -> String {
        match self {
            Self::Version(_) => "version".to_owned(),
            Self::Deployment(row) => row.name.folded(),
            Self::Key(row) => row.id.as_str().to_owned(),
            Self::Catalog(row) => row.name.to_ascii_lowercase(),
            Self::Access(row) => row.key(),
            Self::AccountKey(key, _)
            | Self::Scope(key, _)
            | Self::Secret(key, _)
            | Self::DropDeployment(key)
            | Self::DropKey(key)
            | Self::DropAccountKey(key)
            | Self::DropScope(key)
            | Self::DropSecret(key)
            | Self::Document(key, _)
            | Self::DropCatalog(key)
            | Self::DropDocument(key)
            | Self::DropAccess(key) => key.clone(),
            Self::Audit(version, _) | Self::DropAudit(version) => format!("{version:020}"),
        }
    }

    fn write(&self) -> Result<Write, serde_json::Error> {
        let key = self.key();
        Ok(match self {
            Self::Version(row) => put(META, key, row)?,
            Self::Deployment(row) => put(DEPLOYMENTS, key, row)?,
            Self::Key(row) => put(KEYS, key, row)?,
            Self::AccountKey(_, row) => put(ACCOUNT_KEYS, key, row)?,
            Self::Scope(_, row) => put(SCOPES, key, row)?,
            Self::Secret(_, row) => put(SECRETS, key, row)?,
            Self::Catalog(row) => put(CATALOG, key, row)?,
            Self::Document(_, row) => put(DOCUMENTS, key, row)?,
            Self::Audit(_, row) => put(AUDIT, key, row)?,
            Self::Access(row) => put(ACCESS, key, row)?,
            Self::DropDeployment(_) => Write::Delete { table: DEPLOYMENTS, key },
            Self::DropKey(_) => Write::Delete { table: KEYS, key },
            Self::DropAccountKey(_) => Write::Delete { table: ACCOUNT_KEYS, key },
            Self::DropScope(_) => Write::Delete { table: SCOPES, key },
            Self::DropSecret(_) => Write::Delete { table: SECRETS, key },
            Self::DropCatalog(_) => Write::Delete { table: CATALOG, key },
            Self::DropDocument(_) => Write::Delete { table: DOCUMENTS, key },
            Self::DropAudit(_) => Write::Delete { table: AUDIT, key },
            Self::DropAccess(_) => Write::Delete { table: ACCESS, key },
        })
    }
}

fn put(table: &'static str, key: String, row: &impl Serialize) -> Result<Write, serde_json::Error> {
    Ok(Write::Put { table, key, value: serde_json::to_string(row)? })
}

/// What a command works with beside its request: the state as it is, and what came with the message.
pub struct Desk<'a> {
    /// The state before the command.
    pub state: &'a AccountState,
    /// The installation's settings.
    pub settings: &'a Settings,
    /// When the command arrived.
    pub now: UnixMillis,
    /// Who commands, by name, for what is shown.
    pub actor: &'a str,
    /// Who commands, and what it may.
    pub caller: &'a Caller,
    /// Its random values.
    pub entropy: Entropy,
    /// Scheme and host for absolute links.
    pub origin: String,
}

/// Why a secret could not be stored or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretFault {
    /// The installation has no seal key.
    #[error("cannot be stored: this installation has no WEIR_SEAL_KEY; set that secret and try again")]
    NoSealKey,
    /// A stored secret does not open: the seal key was changed.
    #[error("cannot be read: it was sealed under another WEIR_SEAL_KEY; store it again")]
    OtherSealKey,
    /// Upstreams use it in a header, and it is not such a text.
    #[error("is used by upstreams in a header, so it must be 1 to 8192 visible ASCII characters")]
    Unsendable,
    /// The caller has no permission on the secret's scope.
    #[error("names a secret whose scope you have no READ permission on")]
    Denied,
    /// The secret named does not exist.
    #[error("names a secret that does not exist")]
    Unknown,
}

impl Desk<'_> {
    fn seal_key(&self) -> Result<SealKey, SecretFault> {
        self.settings.seal_key.clone().ok_or(SecretFault::NoSealKey)
    }

    /// Seals `plaintext` for `place`.
    ///
    /// # Errors
    /// [`SecretFault::NoSealKey`].
    pub fn seal(&mut self, place: &str, plaintext: &str) -> Result<String, SecretFault> {
        let key = self.seal_key()?;
        seal::seal(&key, place, plaintext, self.entropy.nonce()).map_err(|_| SecretFault::NoSealKey)
    }

    /// Opens what was sealed for `place`.
    ///
    /// # Errors
    /// [`SecretFault`] without a seal key, or with another than it was sealed under.
    pub fn open(&self, place: &str, sealed: &str) -> Result<String, SecretFault> {
        seal::open(&self.seal_key()?, place, sealed).map_err(|_| SecretFault::OtherSealKey)
    }

    /// The value of the stored secret `scope/key`.
    ///
    /// # Errors
    /// [`SecretFault`] when it does not exist or does not open.
    pub fn secret(&self, name: &str) -> Result<String, SecretFault> {
        let scope = name.split_once('/').map_or(name, |(scope, _)| scope);
        if !secret_acls::may(self, scope, secret_acls::Permission::Read) {
            return Err(SecretFault::Denied);
        }
        let row = self.state.secrets.get(name).ok_or(SecretFault::Unknown)?;
        self.open(&self.secret_place(name), &row.sealed)
    }

    /// The place for which the secret `scope/key` is sealed.
    pub fn secret_place(&self, name: &str) -> String {
        format!("secret:{}:{name}", self.state.account)
    }

    /// The version that the state has once this command is applied.
    pub const fn next_version(&self) -> u64 {
        self.state.version.saturating_add(1)
    }
}

/// What a command that was not refused answers and wants.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The answer to the caller.
    pub answer: Answer,
    /// What shall change; empty for a reading command.
    pub changes: Vec<Change>,
    /// What was done, for the audit log, e.g. `key.create`.
    pub action: &'static str,
    /// On what.
    pub target: String,
    /// Upstreams to probe once the changes are stored.
    pub probes: Vec<Probe>,
}

impl Outcome {
    /// An answer that changes nothing.
    pub const fn reading(answer: Answer) -> Self {
        Self { answer, changes: Vec::new(), action: "", target: String::new(), probes: Vec::new() }
    }

    /// An answer with changes.
    pub fn writing(answer: Answer, action: &'static str, target: &str, changes: Vec<Change>) -> Self {
        Self { answer, changes, action, target: target.to_owned(), probes: Vec::new() }
    }
}

/// Applies changes to the state as one new version and gives the rows to store. No changes: no new version.
///
/// # Errors
/// A row that cannot be written as JSON; the state is unchanged then.
pub fn commit(
    state: &mut AccountState,
    now: UnixMillis,
    actor: &str,
    action: &str,
    target: &str,
    mut changes: Vec<Change>,
) -> Result<Vec<Write>, serde_json::Error> {
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    let version = state.version.saturating_add(1);
    let line =
        AuditRow { at: now, actor: actor.to_owned(), action: action.to_owned(), target: target.to_owned() };
    changes.push(Change::Audit(version, line));
    let forgotten = version.saturating_sub(AUDIT_ROWS_MAX);
    changes.extend(state.audit.range(..=forgotten).map(|(version, _)| Change::DropAudit(*version)));
    changes.push(Change::Version(version));
    let writes = changes.iter().map(Change::write).collect::<Result<Vec<_>, _>>()?;
    for change in changes {
        state.apply(change);
    }
    Ok(writes)
}
