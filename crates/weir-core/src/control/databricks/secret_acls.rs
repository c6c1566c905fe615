//! Who may do what with a scope of secrets (`databricks.md`, 9.2), and the calls that say so.
//!
//! Decides permissions only; secrets themselves are `secrets`'. Whoever may write all secrets of the account by a role
//! manages every scope, as administrators of a workspace do. Principals are kept as `acl` keeps them.

use super::super::access::PrincipalKind;
use super::super::access::needed::account_scope;
use super::super::answer::{Answer, Location};
use super::super::command::{Change, Desk, Outcome};
use super::super::document::{Faults, Members};
use super::super::state::ScopeRow;
use super::{acl, error, refuse, secrets};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

/// Most entries of one scope.
const ACLS_MAX: usize = 1000;

/// What may be done with a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// Use its secrets, and see which there are.
    Read,
    /// And change them.
    Write,
    /// And delete it, and say who may do what.
    Manage,
}

impl Permission {
    const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Manage];

    const fn name(self) -> &'static str {
        match self {
            Self::Read => "READ",
            Self::Write => "WRITE",
            Self::Manage => "MANAGE",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.name() == word)
    }
}

/// Whether the caller manages every scope, and may make one.
pub fn manages_all(desk: &Desk<'_>) -> bool {
    desk.caller.may("Weir/secrets/write", &account_scope(desk.state))
}

/// Whether the caller may do this with a scope.
pub fn may(desk: &Desk<'_>, scope: &str, needed: Permission) -> bool {
    if manages_all(desk) {
        return true;
    }
    let acls = desk.state.scopes.get(scope).into_iter().flat_map(|row| &row.acls);
    let own = acls.filter(|(principal, _)| desk.caller.is_kept_as(principal, desk.state));
    own.filter_map(|(_, word)| Permission::parse(word)).any(|permission| permission >= needed)
}

/// Whether the caller may see that the scope and the names of its secrets are there.
pub fn sees(desk: &Desk<'_>, scope: &str) -> bool {
    desk.caller.may("Weir/secrets/read", &account_scope(desk.state)) || may(desk, scope, Permission::Read)
}

/// As [`may`].
///
/// # Errors
/// 403 otherwise.
pub fn need(desk: &Desk<'_>, scope: &str, needed: Permission) -> Result<(), Answer> {
    if may(desk, scope, needed) {
        return Ok(());
    }
    let text = format!("User does not have {} permission on scope {scope}.", needed.name());
    Err(error(403, "PERMISSION_DENIED", &text))
}

fn row<'a>(desk: &Desk<'a>, scope: &str) -> Result<&'a ScopeRow, Answer> {
    secrets::known_scope(desk, scope)?;
    need(desk, scope, Permission::Manage)?;
    let row = desk.state.scopes.get(scope);
    row.ok_or_else(|| error(404, "RESOURCE_DOES_NOT_EXIST", &format!("Scope {scope} does not exist!")))
}

/// `POST acls/put` with `scope`, `principal`, `permission`: `{}`.
///
/// # Errors
/// 404 for an unknown scope or principal; 403; 400 naming every fault.
pub fn put(desk: &Desk<'_>, body: &Map<String, Value>) -> Result<Outcome, Answer> {
    let mut faults = Faults::default();
    let members = Members::root(body);
    let scope = secrets::name(&members, "scope", &mut faults);
    let principal = members.required_text("principal", &mut faults).unwrap_or_default();
    let word = members.required_text("permission", &mut faults);
    let permission = word.and_then(Permission::parse);
    if word.is_some() && permission.is_none() {
        faults.note("permission", "must be READ, WRITE or MANAGE");
    }
    refuse(&faults)?;
    let mut changed = row(desk, &scope)?.clone();
    let key = kept(desk, principal).ok_or_else(|| unknown(principal))?;
    let permission = permission.map_or("READ", Permission::name);
    changed.acls.insert(key, permission.to_owned());
    if changed.acls.len() > ACLS_MAX {
        let text = format!("Scope {scope} has {ACLS_MAX} permissions already; delete some first.");
        return Err(error(400, "RESOURCE_LIMIT_EXCEEDED", &text));
    }
    Ok(secrets::done("scope.acl", &scope, Vec::from([Change::Scope(scope.clone(), changed)])))
}

/// `POST acls/delete` with `scope`, `principal`: `{}`.
///
/// # Errors
/// 404 for an unknown scope or a principal without a permission; 403; 400 naming every fault.
pub fn delete(desk: &Desk<'_>, body: &Map<String, Value>) -> Result<Outcome, Answer> {
    let mut faults = Faults::default();
    let members = Members::root(body);
    let scope = secrets::name(&members, "scope", &mut faults);
    let principal = members.required_text("principal", &mut faults).unwrap_or_default();
    refuse(&faults)?;
    let mut changed = row(desk, &scope)?.clone();
    let key = kept(desk, principal).unwrap_or_else(|| principal.to_owned());
    if changed.acls.remove(&key).is_none() {
        return Err(none(&scope, principal));
    }
    Ok(secrets::done("scope.acl", &scope, Vec::from([Change::Scope(scope.clone(), changed)])))
}

/// `GET acls/get?scope=&principal=`.
///
/// # Errors
/// 404; 403.
pub fn get(desk: &Desk<'_>, location: &Location) -> Result<Outcome, Answer> {
    let scope = location.query("scope").unwrap_or_default();
    let principal = location.query("principal").unwrap_or_default();
    let acls = &row(desk, scope)?.acls;
    let key = kept(desk, principal).unwrap_or_else(|| principal.to_owned());
    let (key, word) = acls.get_key_value(&key).ok_or_else(|| none(scope, principal))?;
    Ok(Outcome::reading(Answer::json(200, &shown(desk, key, word))))
}

/// `GET acls/list?scope=`.
///
/// # Errors
/// 404; 403.
pub fn list(desk: &Desk<'_>, location: &Location) -> Result<Outcome, Answer> {
    let acls = &row(desk, location.query("scope").unwrap_or_default())?.acls;
    let items: Vec<Value> = acls.iter().map(|(principal, word)| shown(desk, principal, word)).collect();
    Ok(Outcome::reading(Answer::json(200, &json!({"items": items}))))
}

/// A principal as it is called in the API: a service principal by its application id, others by name.
fn shown(desk: &Desk<'_>, principal: &str, permission: &str) -> Value {
    let known = desk.state.access.principals.get(principal);
    let name = known.filter(|row| row.kind != PrincipalKind::ServicePrincipal);
    json!({"principal": name.map_or(principal, |row| row.name.as_str()), "permission": permission})
}

/// By which text a principal is kept, whichever kind it is of.
fn kept(desk: &Desk<'_>, principal: &str) -> Option<String> {
    [PrincipalKind::User, PrincipalKind::Group, PrincipalKind::ServicePrincipal]
        .into_iter()
        .find_map(|kind| acl::principal(desk, kind, principal))
}

fn unknown(principal: &str) -> Answer {
    let text =
        format!("Failed to find principal {principal}: there is no such user, group or service principal.");
    error(404, "RESOURCE_DOES_NOT_EXIST", &text)
}

fn none(scope: &str, principal: &str) -> Answer {
    let text = format!("The principal {principal} has no permission on scope {scope}.");
    error(404, "RESOURCE_DOES_NOT_EXIST", &text)
}
