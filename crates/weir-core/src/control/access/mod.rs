//! Who there is and what each may do: principals, tokens, role definitions, role assignments.
//!
//! Decides what of it is stored, and how. All of it is the installation's, not an account's, so that a role at a
//! subscription holds for every account below it: the Registry of the account `default` is the **directory**. Data
//! keys stay with their accounts. Who calls is found by [`caller`], what a request needs is said by [`needed`], what
//! a role allows by [`permission`]. Sources: `azure.md` C5, `design.md` section 8, "Principals, keys, tokens".

pub mod built_in;
pub mod caller;
pub mod needed;
pub mod oidc;
pub mod permission;
pub mod rights;
pub mod tokens;

#[cfg(test)]
mod tests;

use crate::id::{AccountId, PrincipalId};
use crate::sorted::SortedMap;
use crate::time::UnixMillis;
use alloc::borrow::ToOwned;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use permission::{Grant, Permission, folded};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Table of [`AccessRow`] by kind and id.
pub const ACCESS: &str = "access";

/// Most groups that are followed from one principal: groups may be members of groups.
const GROUPS_MAX: usize = 256;

/// The group that may do all. It is there without having been made.
pub const ADMINS: &str = "admins";
/// The group that every user and service principal is in.
pub const USERS: &str = "users";

/// One stored row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessRow {
    /// Where the account stands in Azure's tree.
    Home(Home),
    /// A principal.
    Principal(PrincipalRow),
    /// A token of one.
    Token(TokenRow),
    /// A secret by which a service principal gets tokens for itself.
    Client(ClientRow),
    /// A custom role.
    Role(RoleRow),
    /// A role given to a principal.
    Assignment(AssignmentRow),
}

/// The subscription and resource group under which an account was first written. What may be done with it is
/// decided by these, never by what a later path says: else everybody could call it a part of a group of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Home {
    /// The subscription.
    pub subscription: String,
    /// The resource group.
    pub group: String,
}

/// What a principal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrincipalKind {
    /// A person.
    User,
    /// A program.
    ServicePrincipal,
    /// Several principals; it has no tokens of its own.
    Group,
}

/// A principal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrincipalRow {
    /// A UUID unless it was chosen, e.g. to be the `oid` of an issuer's tokens.
    pub id: PrincipalId,
    /// What it is called; unique among its kind, but for case.
    pub name: String,
    /// What it is.
    pub kind: PrincipalKind,
    /// Ids of a group's members.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
    /// The account on which the surfaces that name none work for it.
    pub account: AccountId,
    /// Who made it.
    pub creator: String,
    /// When it was made.
    pub created_at: UnixMillis,
    /// SCIM attributes that are only shown again, but for `active`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub shown: Map<String, Value>,
}

impl PrincipalRow {
    /// Whether its credentials count.
    pub fn is_active(&self) -> bool {
        self.shown.get("active").and_then(Value::as_bool).unwrap_or(true)
    }
}

/// A secret of a service principal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientRow {
    /// 32 hex digits.
    pub id: PrincipalId,
    /// Whose.
    pub principal: PrincipalId,
    /// SHA-256 of the text, hex.
    pub hash: String,
    /// Who made it.
    pub creator: String,
    /// When it was made.
    pub created_at: UnixMillis,
    /// From this time on it and the tokens that it gave are refused.
    pub expires_at: UnixMillis,
}

/// A token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRow {
    /// 32 hex digits with a word before them.
    pub id: PrincipalId,
    /// Whose.
    pub principal: PrincipalId,
    /// SHA-256 of the text, hex.
    pub hash: String,
    /// What it is for.
    pub comment: String,
    /// Who made it.
    pub creator: String,
    /// When it was made.
    pub created_at: UnixMillis,
    /// From this time on it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<UnixMillis>,
}

/// A custom role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleRow {
    /// `roleName`; unique, but for case.
    pub name: String,
    /// The last part of its resource id: a UUID in lower case.
    pub guid: String,
    /// `description`.
    pub description: String,
    /// What it allows.
    pub permissions: Vec<Permission>,
    /// `assignableScopes`, as written.
    pub scopes: Vec<String>,
    /// Who made it.
    pub creator: String,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it was last changed.
    pub updated_at: UnixMillis,
}

/// A role given to a principal at a scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignmentRow {
    /// The last part of its resource id, in lower case.
    pub name: String,
    /// At which scope, as written, without a trailing slash; empty for the whole installation.
    pub scope: String,
    /// The role's UUID, in lower case.
    pub role: String,
    /// `principalId`.
    pub principal: String,
    /// `principalType`, as it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal_type: Option<String>,
    /// `description`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who made it.
    pub creator: String,
    /// When it was made.
    pub created_at: UnixMillis,
}

impl AccessRow {
    /// The primary key of the row.
    pub fn key(&self) -> String {
        match self {
            Self::Home(_) => "home".to_owned(),
            Self::Principal(row) => format!("principal/{}", row.id),
            Self::Token(row) => format!("token/{}", row.id),
            Self::Client(row) => format!("client/{}", row.id),
            Self::Role(row) => format!("role/{}", row.guid),
            Self::Assignment(row) => format!("assignment/{}", row.name),
        }
    }
}

/// Who there is and what each may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Where the account stands, once it was written under.
    pub home: Option<Home>,
    /// By id.
    pub principals: SortedMap<String, PrincipalRow>,
    /// By id.
    pub tokens: SortedMap<String, TokenRow>,
    /// Secrets of service principals, by id.
    pub clients: SortedMap<String, ClientRow>,
    /// Custom roles by UUID.
    pub roles: SortedMap<String, RoleRow>,
    /// By name.
    pub assignments: SortedMap<String, AssignmentRow>,
}

impl Access {
    /// Puts a row.
    pub(super) fn put(&mut self, row: AccessRow) {
        match row {
            AccessRow::Home(row) => self.home = Some(row),
            AccessRow::Principal(row) => _ = self.principals.insert(row.id.as_str().to_owned(), row),
            AccessRow::Token(row) => _ = self.tokens.insert(row.id.as_str().to_owned(), row),
            AccessRow::Client(row) => _ = self.clients.insert(row.id.as_str().to_owned(), row),
            AccessRow::Role(row) => _ = self.roles.insert(row.guid.clone(), row),
            AccessRow::Assignment(row) => _ = self.assignments.insert(row.name.clone(), row),
        }
    }

    /// Drops the row of this primary key.
    pub(super) fn drop_row(&mut self, key: &str) {
        match key.split_once('/') {
            Some(("principal", id)) => _ = self.principals.remove(id),
            Some(("token", id)) => _ = self.tokens.remove(id),
            Some(("client", id)) => _ = self.clients.remove(id),
            Some(("role", id)) => _ = self.roles.remove(id),
            Some(("assignment", id)) => _ = self.assignments.remove(id),
            Some(_) | None => self.home = None,
        }
    }

    /// A principal's id, `also`, and the ids of all groups that hold one of these, directly or through groups.
    pub fn circle(&self, id: &str, also: &[String]) -> BTreeSet<String> {
        let mut circle: BTreeSet<String> = also.iter().cloned().chain([id.to_owned()]).collect();
        if self.principals.get(id).is_some_and(|row| row.kind != PrincipalKind::Group) {
            circle.insert(USERS.to_owned());
        }
        loop {
            let joined: Vec<&PrincipalRow> = self
                .principals
                .values()
                .filter(|row| row.kind == PrincipalKind::Group && !circle.contains(row.id.as_str()))
                .filter(|row| row.members.iter().any(|member| circle.contains(member)))
                .collect();
            if joined.is_empty() || circle.len() > GROUPS_MAX {
                return circle;
            }
            circle.extend(joined.iter().map(|row| row.id.as_str().to_owned()));
        }
    }

    /// What the members of `circle` were given. A role that is not there any more gives nothing.
    pub fn grants(&self, circle: &BTreeSet<String>) -> Vec<Grant> {
        let held = self.assignments.values().filter(|row| circle.contains(&row.principal));
        let held = held.filter_map(|row| {
            let permissions = self.permissions(&row.role)?;
            Some(Grant { scope: folded(&row.scope), role: row.role.clone(), permissions })
        });
        let all = circle.contains(ADMINS).then(|| Grant {
            scope: String::new(),
            role: ADMINS.to_owned(),
            permissions: Vec::from([Permission::all()]),
        });
        held.chain(all).collect()
    }

    /// What the members of `circle` are called.
    pub fn names(&self, circle: &BTreeSet<String>) -> Vec<String> {
        circle.iter().filter_map(|id| self.principals.get(id)).map(|row| row.name.clone()).collect()
    }

    /// Whether a principal's credentials count; one that is not known here is not known to be inactive.
    pub fn is_active(&self, id: &str) -> bool {
        self.principals.get(id).is_none_or(PrincipalRow::is_active)
    }

    /// What a role allows, built in or custom.
    pub fn permissions(&self, role: &str) -> Option<Vec<Permission>> {
        match self.roles.get(role) {
            Some(row) => Some(row.permissions.clone()),
            None => built_in::find(role).map(|role| Vec::from([role.permission()])),
        }
    }
}
