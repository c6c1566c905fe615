//! Who commands: a credential becomes a [`Caller`] with what its principal was given.
//!
//! The administrator's token is known everywhere. Every other credential is asked for: first of the Registry of the
//! account that its text names (`default` if none), which knows tokens and keys by their hashes; then, for a key of
//! another account, of the directory, which knows roles. Decides what each answers; not what a request needs
//! (`needed`). Source: `design.md` section 8, "Principals, keys, tokens".

use super::Home;
use super::permission::Grant;
use crate::auth::{AuthError, client};
use crate::control::Settings;
use crate::control::answer::{ADMINISTRATOR, Denied};
use crate::control::snapshot;
use crate::control::state::AccountState;
use crate::id::AccountId;
use crate::seal::key_hash;
use crate::time::UnixMillis;
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Who commands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The principal's id.
    pub id: String,
    /// What it is called, for people.
    pub name: String,
    /// Whether it may do all.
    #[serde(default)]
    pub admin: bool,
    /// The account on which the surfaces that name none work for it.
    pub account: AccountId,
    /// What it and its groups were given.
    #[serde(default)]
    pub grants: Vec<Grant>,
    /// Ids of itself and of its groups.
    #[serde(default)]
    pub circle: Vec<String>,
    /// Their names.
    #[serde(default)]
    pub names: Vec<String>,
    /// Where the account that it asks about stands, once that was asked of its Registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<(AccountId, Option<Home>)>,
}

impl Caller {
    /// The administrator.
    pub fn administrator() -> Self {
        Self {
            id: ADMINISTRATOR.to_owned(),
            name: ADMINISTRATOR.to_owned(),
            admin: true,
            account: AccountId::default_account(),
            grants: Vec::new(),
            circle: Vec::from([ADMINISTRATOR.to_owned()]),
            names: Vec::new(),
            seen: None,
        }
    }

    /// Nobody: who asks for a token has none yet.
    pub fn nobody() -> Self {
        Self {
            id: String::new(),
            name: String::new(),
            admin: false,
            circle: Vec::new(),
            ..Self::administrator()
        }
    }

    /// Whether a text by which `state`'s account keeps a principal means it or a group that it is in: an id, and where
    /// there is no directory to find it in, a name in lower case.
    pub fn is_kept_as(&self, text: &str, state: &AccountState) -> bool {
        let named = || self.names.iter().any(|name| name.to_lowercase() == text);
        self.circle.iter().any(|id| id == text) || (state.account != AccountId::default_account() && named())
    }

    /// Whether it may do `action` at `scope`.
    pub fn may(&self, action: &str, scope: &str) -> bool {
        self.admin || self.grants.iter().any(|grant| grant.allows(action, scope))
    }

    /// Whether it may act for the principal `id`: give out credentials of it.
    pub fn may_act_for(&self, id: &str) -> bool {
        self.id == id || self.may("Microsoft.Authorization/principals/tokens/write", "/")
    }
}

/// What is known of a credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Identity {
    /// Whose it is.
    Caller(Caller),
    /// Whose it is, but not yet what that one may do: the directory knows.
    Principal(Who),
    /// Not known in the account that it names: a token whose principal works there is the directory's.
    Elsewhere,
    /// Nobody's.
    Unknown,
    /// It is not in force any more.
    Expired,
    /// It cannot be checked now.
    Unavailable,
}

/// A principal that the directory is asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// Its id.
    pub id: String,
    /// What it calls itself; the directory's name for it stands before.
    #[serde(default)]
    pub name: String,
    /// Groups that its token says it is in.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Until when its token is in force.
    #[serde(default)]
    pub until: UnixMillis,
}

/// What a Registry is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentifyAsk {
    /// Whose is the credential with this hash?
    Hash(String),
    /// Whose is this token of a service principal, and is it in force?
    Client(String),
    /// What may this one do?
    Who(Who),
    /// Where does this account stand? For one who is known already.
    Seen(Caller),
}

/// The credential of an `Authorization` header of the form `Bearer …`.
///
/// # Errors
/// [`Denied::Missing`] without one.
pub fn bearer(authorization: Option<&str>) -> Result<&str, Denied> {
    let (scheme, token) =
        authorization.and_then(|value| value.trim().split_once(' ')).ok_or(Denied::Missing)?;
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() { Err(Denied::Missing) } else { Ok(token) }
}

/// Which Registry knows a credential, and what it is asked.
pub fn first_ask(token: &str) -> (AccountId, IdentifyAsk) {
    if token.starts_with(client::PREFIX) {
        return (AccountId::default_account(), IdentifyAsk::Client(token.to_owned()));
    }
    let named = token.strip_prefix("wk_").and_then(|rest| rest.rsplit_once('_'));
    let account = named.and_then(|(account, _)| AccountId::parse(account).ok());
    (account.unwrap_or_else(AccountId::default_account), IdentifyAsk::Hash(key_hash(token)))
}

/// Answers what is known in this account.
pub fn identify(state: &AccountState, settings: &Settings, now: UnixMillis, ask: &IdentifyAsk) -> Identity {
    match ask {
        IdentifyAsk::Client(token) => match client::read(token, settings.seal_key.as_ref(), now) {
            Err(AuthError::Expired) => Identity::Expired,
            Err(_) => Identity::Unknown,
            Ok(id) => match state.access.clients.get(&id).filter(|row| row.expires_at > now) {
                Some(row) => {
                    directory(state, &Who { id: row.principal.as_str().to_owned(), ..Who::default() })
                }
                None => Identity::Unknown,
            },
        },
        IdentifyAsk::Who(who) => directory(state, who),
        IdentifyAsk::Hash(hash) => of_hash(state, now, hash),
        IdentifyAsk::Seen(caller) => {
            let seen = Some((state.account.clone(), state.access.home.clone()));
            Identity::Caller(Caller { seen, ..caller.clone() })
        }
    }
}

fn of_hash(state: &AccountState, now: UnixMillis, hash: &str) -> Identity {
    let lapsed = |end: Option<UnixMillis>| end.is_some_and(|end| end <= now);
    if let Some(row) = state.access.tokens.values().find(|row| row.hash == hash) {
        let who = Who { id: row.principal.as_str().to_owned(), ..Who::default() };
        return if lapsed(row.expires_at) { Identity::Expired } else { directory(state, &who) };
    }
    let Some(row) = state.keys.values().find(|row| row.hash == hash) else {
        // Account keys and keys of endpoints are known, too, and were given nothing.
        let known = snapshot::keys(state).into_iter().find(|entry| entry.hash == hash);
        let home = state.account == AccountId::default_account();
        let unknown = if home { Identity::Unknown } else { Identity::Elsewhere };
        return known.map_or(unknown, |entry| nobody(state, entry.id.as_str()));
    };
    if lapsed(row.expires_at) {
        return Identity::Expired;
    }
    let home = state.account == AccountId::default_account();
    match &row.principal {
        Some(id) if !home => Identity::Principal(Who { id: id.as_str().to_owned(), ..Who::default() }),
        Some(id) => directory(state, &Who { id: id.as_str().to_owned(), ..Who::default() }),
        // A key's own principal can be given roles where the directory sees that the key is there.
        None if home => {
            let (id, name) = (row.id.as_str().to_owned(), row.name.clone());
            let who = Who { id, name, ..Who::default() };
            directory(state, &who)
        }
        None => nobody(state, row.id.as_str()),
    }
}

/// A credential that is known and was given nothing.
fn nobody(state: &AccountState, id: &str) -> Identity {
    Identity::Caller(Caller {
        id: id.to_owned(),
        name: id.to_owned(),
        admin: false,
        account: state.account.clone(),
        grants: Vec::new(),
        circle: Vec::from([id.to_owned()]),
        names: Vec::new(),
        seen: None,
    })
}

/// What a principal may do, by the directory.
fn directory(state: &AccountState, who: &Who) -> Identity {
    if who.id == ADMINISTRATOR {
        return Identity::Caller(Caller::administrator());
    }
    let row = state.access.principals.get(&who.id);
    if row.is_some_and(|row| !row.is_active()) {
        return Identity::Unknown;
    }
    let name = row.map_or(who.name.as_str(), |row| row.name.as_str());
    let circle = state.access.circle(&who.id, &who.groups);
    Identity::Caller(Caller {
        id: who.id.clone(),
        name: if name.is_empty() { who.id.clone() } else { name.to_owned() },
        admin: false,
        account: row.map_or_else(AccountId::default_account, |row| row.account.clone()),
        grants: state.access.grants(&circle),
        names: state.access.names(&circle),
        circle: circle.into_iter().collect(),
        seen: None,
    })
}
