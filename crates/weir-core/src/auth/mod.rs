//! Stage 2: who calls. A presented key or token becomes a [`Caller`].
//!
//! Decides whether a credential is known and in force, for data and management alike; not what it may do beyond
//! the deployments it is bound to (`route`, `control`). Sources: `azure.md` A4 and B9 (both headers may come at
//! once, a key may travel as Bearer), `databricks.md` 10.1, `design.md` 8.

pub mod client;
pub mod jwt;

use crate::id::AccountId;
use crate::seal::SealKey;
use crate::snapshot::access::Right;
use crate::snapshot::index::{Holder, ReadyDeployment, ReadyKey, SnapshotIndex};
use crate::snapshot::network::Barred;
use crate::surface::{Header, HeaderValues};
use crate::time::UnixMillis;
use crate::wire::bounds::CREDENTIAL_BYTES_MAX;
use alloc::string::String;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The principal that the administrator's token stands for.
pub const ADMIN: &str = "admin";

/// The ids of an account's own keys.
const ACCOUNT_KEYS: [&str; 2] = ["key1", "key2"];

/// What a request shows of itself.
#[derive(Clone, Copy, Default)]
pub struct Presented<'a> {
    /// The `authorization` header.
    pub authorization: Option<&'a str>,
    /// The `api-key` header.
    pub api_key: Option<&'a str>,
    /// The `x-api-key` header.
    pub x_api_key: Option<&'a str>,
}

/// Who calls.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'i> {
    /// Whose credential it is; limits and usage are counted under it.
    pub principal: &'i str,
    /// The credential's own id.
    pub key: &'i str,
    /// Whether it is the administrator.
    pub admin: bool,
    may: May<'i>,
}

/// What a caller may query.
#[derive(Clone, Copy, Debug)]
enum May<'i> {
    /// Everything.
    All,
    /// What the key is bound to.
    Key(&'i ReadyKey),
    /// What its roles allow.
    Roles(Option<&'i Holder>),
    /// What the roles of the principal of an issuer's token allow, and those of the groups that the token names.
    Token(&'i SnapshotIndex, &'i [String]),
}

/// Why a known caller may not query a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The key is bound to other deployments.
    Unbound,
    /// No role gives the right.
    Lacks(Right),
}

/// Why a request has no caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No credential was presented.
    #[error("no key or token was presented")]
    Missing,
    /// Only an `authorization` header of another form than `Bearer …` was presented.
    #[error("the authorization header is not of the form Bearer")]
    Malformed,
    /// The snapshot has no such credential: it may be newer than the snapshot.
    #[error("the key is not known")]
    UnknownKey,
    /// The credential is no longer in force.
    #[error("the key has expired")]
    Expired,
    /// A token of an issuer that is not what it must be: wrong signature, audience, time.
    #[error("the token is not valid here")]
    BadToken,
    /// The account's own keys are off (`azure.md`, B7).
    #[error("key authentication is disabled")]
    KeysDisabled,
    /// The caller's address may not call (`azure.md`, C7). Decided before any credential is looked at.
    #[error("the caller's address is barred: {0:?}")]
    Barred(Barred),
}

impl AuthError {
    /// A short word for metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Missing => "auth_missing",
            Self::Malformed => "auth_malformed",
            Self::UnknownKey => "auth_unknown_key",
            Self::Expired => "auth_expired",
            Self::BadToken => "auth_bad_token",
            Self::KeysDisabled => "auth_keys_disabled",
            Self::Barred(_) => "auth_barred",
        }
    }
}

impl core::fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Presented(..)")
    }
}

impl<'a> Presented<'a> {
    /// What the headers show.
    pub fn of(headers: &HeaderValues<'a>) -> Self {
        Self {
            authorization: headers.get(Header::Authorization),
            api_key: headers.get(Header::ApiKey),
            x_api_key: headers.get(Header::XApiKey).or_else(|| headers.get(Header::XGoogApiKey)),
        }
    }

    /// The credential of an `authorization` header of the form `Bearer …`; the scheme compares without case.
    fn bearer(&self) -> Option<&'a str> {
        let (scheme, token) = self.authorization?.split_once(' ')?;
        let token = token.trim_ascii();
        (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
    }

    /// The credential that has the form of an issuer's token, if one has.
    pub fn token(&self) -> Option<&'a str> {
        self.credentials().find(|text| text.len() <= CREDENTIAL_BYTES_MAX && jwt::is_token(text))
    }

    /// Every credential that was presented, without repetition.
    fn credentials(&self) -> impl Iterator<Item = &'a str> {
        let filled = |text: Option<&'a str>| text.filter(|text| !text.is_empty());
        let bearer = self.bearer();
        let api_key = filled(self.api_key).filter(|key| Some(*key) != bearer);
        let x_api_key = filled(self.x_api_key).filter(|key| Some(*key) != bearer && Some(*key) != api_key);
        [bearer, api_key, x_api_key].into_iter().flatten()
    }
}

/// The account that a presented key names in its own text, `wk_<account>_<secret>`. A hint only: the key opens
/// nothing but the account in whose snapshot its hash is.
pub fn account_hint<'a>(presented: &Presented<'a>) -> Option<&'a str> {
    presented.credentials().find_map(|key| {
        let rest = key.strip_prefix("wk_").or_else(|| key.strip_prefix(client::PREFIX));
        let (account, secret) = rest?.rsplit_once('_')?;
        (!account.is_empty() && account.len() <= 64 && !secret.is_empty()).then_some(account)
    })
}

/// Whether the caller's address may call serverless endpoints, or else the rest of the account (`azure.md`, C7).
///
/// # Errors
/// [`AuthError::Barred`].
pub fn admit_address(
    index: &SnapshotIndex,
    serverless: bool,
    headers: &HeaderValues<'_>,
) -> Result<(), AuthError> {
    let Some(network) = index.network() else { return Ok(()) };
    network.admit(serverless, headers.get(Header::ClientAddress)).map_err(AuthError::Barred)
}

/// Finds who calls. One known credential is enough; others beside it are ignored. `admin` is the SHA-256 of the
/// administrator's token.
///
/// # Errors
/// [`AuthError`]; of several, the one that says most.
pub fn authenticate<'i>(
    index: &'i SnapshotIndex,
    admin: Option<&[u8; 32]>,
    presented: &Presented<'_>,
    now: UnixMillis,
) -> Result<Caller<'i>, AuthError> {
    let none = if presented.authorization.is_some() { AuthError::Malformed } else { AuthError::Missing };
    let mut worst = none;
    let keys_disabled = index.network().is_some_and(|network| network.keys_disabled);
    for credential in presented.credentials() {
        if worst == none {
            worst = AuthError::UnknownKey;
        }
        if credential.len() > CREDENTIAL_BYTES_MAX {
            continue;
        }
        let digest: [u8; 32] = Sha256::digest(credential.as_bytes()).into();
        if admin.is_some_and(|admin| admin.ct_eq(&digest).into()) {
            return Ok(Caller { principal: ADMIN, key: ADMIN, admin: true, may: May::All });
        }
        match index.key(&digest) {
            Some(key) if keys_disabled && ACCOUNT_KEYS.contains(&key.id.as_str()) => {
                worst = AuthError::KeysDisabled;
            }
            Some(key) if key.expires_at.is_some_and(|end| end <= now) => worst = AuthError::Expired,
            Some(key) => return Ok(Caller::of(index, key)),
            None => {}
        }
    }
    Err(worst)
}

/// Finds who presents a token of `directory`; its keys open its own account only.
///
/// # Errors
/// As [`authenticate`].
pub fn authenticate_token<'i>(
    directory: &'i SnapshotIndex,
    presented: &Presented<'_>,
    now: UnixMillis,
) -> Result<Caller<'i>, AuthError> {
    let mut worst = AuthError::UnknownKey;
    for credential in presented.credentials().filter(|text| text.len() <= CREDENTIAL_BYTES_MAX) {
        let digest: [u8; 32] = Sha256::digest(credential.as_bytes()).into();
        match directory.key(&digest).filter(|key| key.by_roles) {
            Some(key) if key.expires_at.is_some_and(|end| end <= now) => worst = AuthError::Expired,
            Some(key) => return Ok(Caller::of(directory, key)),
            None => {}
        }
    }
    Err(worst)
}

/// Finds who presents a token that the token endpoint gave; `directory` knows the secrets that it gave them for.
///
/// # Errors
/// As [`authenticate`].
pub fn authenticate_client<'i>(
    directory: &'i SnapshotIndex,
    presented: &Presented<'_>,
    key: Option<&SealKey>,
    now: UnixMillis,
) -> Result<Caller<'i>, AuthError> {
    let mut tokens = presented.credentials().filter(|text| text.len() <= CREDENTIAL_BYTES_MAX);
    let token = tokens.find(|text| text.starts_with(client::PREFIX)).ok_or(AuthError::UnknownKey)?;
    let id = client::read(token, key, now)?;
    let entry = directory.client(&id).ok_or(AuthError::UnknownKey)?;
    if entry.expires_at <= now {
        return Err(AuthError::Expired);
    }
    let principal = entry.principal.as_str();
    let may = May::Roles(directory.holder(principal));
    Ok(Caller { principal, key: &entry.id, admin: false, may })
}

impl<'i> Caller<'i> {
    /// The gateway itself, which asks a deployment of its own on behalf of an exchange: under the exchange's names.
    pub const fn on_behalf(principal: &'i str, key: &'i str) -> Self {
        Self { principal, key, admin: false, may: May::All }
    }

    /// Whose credential it is, by the index that knows it.
    fn of(index: &'i SnapshotIndex, key: &'i ReadyKey) -> Self {
        let (principal, id) = (key.principal.as_str(), key.id.as_str());
        let admin = key.by_roles && principal == ADMIN;
        let may = match (admin, key.by_roles) {
            (true, _) => May::All,
            (false, true) => May::Roles(index.holder(principal)),
            (false, false) => May::Key(key),
        };
        Self { principal, key: id, admin, may }
    }

    /// The principal of an issuer's token that was found true, by the directory's roles.
    pub fn of_token(directory: &'i SnapshotIndex, principal: &'i str, groups: &'i [String]) -> Self {
        Self { principal, key: "oidc", admin: false, may: May::Token(directory, groups) }
    }

    /// Whether a limit that names `who` means this caller: by its id, or by the name that `directory` knows.
    pub fn is(&self, who: &str, directory: &SnapshotIndex) -> bool {
        self.principal.eq_ignore_ascii_case(who)
            || self.holder(directory).is_some_and(|holder| holder.is_called(who))
    }

    /// Whether the caller is in the group with this id or name.
    pub fn is_in(&self, group: &str, directory: &SnapshotIndex) -> bool {
        let told = match self.may {
            May::Token(_, groups) => groups,
            May::All | May::Key(_) | May::Roles(_) => &[],
        };
        told.iter().any(|known| known.eq_ignore_ascii_case(group))
            || self.holder(directory).is_some_and(|holder| holder.is_in(group))
    }

    /// What the directory knows of the caller.
    fn holder<'d>(&self, directory: &'d SnapshotIndex) -> Option<&'d Holder>
    where
        'i: 'd,
    {
        match self.may {
            May::Roles(holder) => holder,
            May::Token(known, _) => known.holder(self.principal),
            May::All | May::Key(_) => directory.holder(self.principal),
        }
    }

    /// Whether the caller may query a deployment of `index` in this way. Constant in the number of roles.
    ///
    /// # Errors
    /// [`Refusal`], if it may not.
    pub fn may_query(
        &self,
        index: &SnapshotIndex,
        ready: &ReadyDeployment,
        right: Right,
    ) -> Result<(), Refusal> {
        match self.may {
            May::All => Ok(()),
            May::Key(key) if key.may_query(&ready.folded) => Ok(()),
            May::Key(_) => Err(Refusal::Unbound),
            May::Token(directory, groups) => {
                let ids = core::iter::once(self.principal).chain(groups.iter().map(String::as_str));
                let mut holders = ids.filter_map(|id| directory.holder(id));
                let held = holders.any(|holder| holder.holds(right.bit(), index.scopes(ready)));
                let here = || groups.iter().any(|group| given_here(index, ready, right, group));
                if held || here() { Ok(()) } else { Err(Refusal::Lacks(right)) }
            }
            May::Roles(Some(holder)) if holder.holds(right.bit(), index.scopes(ready)) => Ok(()),
            May::Roles(holder) => {
                let names = holder.into_iter().flat_map(Holder::names);
                let mut known = core::iter::once(self.principal).chain(names);
                let here = known.any(|name| given_here(index, ready, right, name));
                if here { Ok(()) } else { Err(Refusal::Lacks(right)) }
            }
        }
    }
}

/// Whether the deployment's own account gave the right to whom it calls so. The directory's account knows its
/// principals by their ids, never by names.
fn given_here(index: &SnapshotIndex, ready: &ReadyDeployment, right: Right, name: &str) -> bool {
    if *index.account() == AccountId::default_account() {
        return false;
    }
    index.holder(name).is_some_and(|holder| holder.holds(right.bit(), index.scopes(ready)))
}

#[cfg(test)]
mod tests;
