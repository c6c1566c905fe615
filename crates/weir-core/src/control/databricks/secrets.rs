//! Secrets and their scopes (`databricks.md`, 9).
//!
//! Decides what can be stored and that every credential read from a secret follows it: a `put` seals the new value
//! for each upstream that uses it, in the same command. A deleted secret leaves the endpoints that were made with
//! it as they are. Values are never returned.

use super::super::answer::{Answer, Location};
use super::super::command::{Change, Desk, Outcome, SecretFault};
use super::super::document::{Faults, Members};
use super::super::external_model::{is_secret_name, with_credential};
use super::super::state::{Backend, DeploymentRow, DeploymentSpec, ScopeRow, SecretRow};
use super::super::weir::classifiers;
use super::secret_acls::{self, Permission};
use super::{error, refuse};
use crate::sorted::SortedMap;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// Largest value in bytes.
const VALUE_BYTES_MAX: usize = 128 * 1024;
/// Most secrets of one scope.
const SECRETS_MAX: usize = 1000;
/// Most scopes of one account.
const SCOPES_MAX: usize = 1000;

/// `POST /api/2.0/secrets/scopes/create`.
///
/// # Errors
/// 400 for faults, a scope that exists, or too many.
pub fn create_scope(desk: &Desk<'_>, body: &Map<String, Value>) -> Result<Outcome, Answer> {
    if !secret_acls::manages_all(desk) {
        return Err(error(
            403,
            "PERMISSION_DENIED",
            "User does not have permission to create secret scopes.",
        ));
    }
    let mut faults = Faults::default();
    let members = Members::root(body);
    let scope = name(&members, "scope", &mut faults);
    let manager = members.text("initial_manage_principal", &mut faults);
    if manager.is_some_and(|manager| manager != "users") {
        faults.note("initial_manage_principal", "must be users");
    }
    let backend = members.text("scope_backend_type", &mut faults);
    if backend.is_some_and(|backend| !backend.eq_ignore_ascii_case("databricks")) {
        faults.note("scope_backend_type", "must be DATABRICKS; other stores are not supported yet");
    }
    refuse(&faults)?;
    if desk.state.scopes.contains_key(&scope) {
        return Err(error(400, "RESOURCE_ALREADY_EXISTS", &format!("Scope {scope} already exists!")));
    }
    if desk.state.scopes.len() >= SCOPES_MAX {
        let text = format!("There are {SCOPES_MAX} scopes already; delete some first.");
        return Err(error(400, "RESOURCE_LIMIT_EXCEEDED", &text));
    }
    let first = manager.map_or_else(|| desk.caller.id.clone(), ToOwned::to_owned);
    let acls = SortedMap::from([(first, "MANAGE".to_owned())]);
    let row = ScopeRow { creator: desk.actor.to_owned(), created_at: desk.now, acls };
    Ok(done("scope.create", &scope, Vec::from([Change::Scope(scope.clone(), row)])))
}

/// `GET /api/2.0/secrets/scopes/list`.
pub fn list_scopes(desk: &Desk<'_>) -> Outcome {
    let scope = |name: &String| json!({"name": name, "backend_type": "DATABRICKS"});
    let seen = desk.state.scopes.keys().filter(|name| secret_acls::sees(desk, name));
    let scopes: Vec<Value> = seen.map(scope).collect();
    Outcome::reading(Answer::json(200, &json!({"scopes": scopes})))
}

/// `POST /api/2.0/secrets/scopes/delete`, with all secrets in it.
///
/// # Errors
/// 404 for an unknown scope.
pub fn delete_scope(desk: &Desk<'_>, body: &Map<String, Value>) -> Result<Outcome, Answer> {
    let mut faults = Faults::default();
    let scope = name(&Members::root(body), "scope", &mut faults);
    refuse(&faults)?;
    known_scope(desk, &scope)?;
    secret_acls::need(desk, &scope, Permission::Manage)?;
    let mut changes: Vec<Change> =
        in_scope(desk, &scope).map(|(name, _)| Change::DropSecret(name.clone())).collect();
    changes.push(Change::DropScope(scope.clone()));
    Ok(done("scope.delete", &scope, changes))
}

/// `POST /api/2.0/secrets/put`.
///
/// # Errors
/// 404 for an unknown scope; 400 for faults, too many secrets, or a value that cannot be sent although an upstream
/// uses it; 400 when the installation has no seal key.
pub fn put(desk: &mut Desk<'_>, body: &Map<String, Value>) -> Result<Outcome, Answer> {
    let mut faults = Faults::default();
    let members = Members::root(body);
    let (scope, key) = (name(&members, "scope", &mut faults), name(&members, "key", &mut faults));
    let value = read_value(&members, &mut faults);
    refuse(&faults)?;
    known_scope(desk, &scope)?;
    secret_acls::need(desk, &scope, Permission::Write)?;
    let full = format!("{scope}/{key}");
    if !desk.state.secrets.contains_key(&full) && in_scope(desk, &scope).count() >= SECRETS_MAX {
        let text = format!("Scope {scope} has {SECRETS_MAX} secrets already; delete some first.");
        return Err(error(400, "RESOURCE_LIMIT_EXCEEDED", &text));
    }
    let store = |fault: SecretFault| error(400, "INVALID_PARAMETER_VALUE", &format!("The secret {fault}."));
    let place = desk.secret_place(&full);
    let sealed = desk.seal(&place, &value).map_err(store)?;
    let mut changes = followers(desk, &full, &value).map_err(store)?;
    changes.push(Change::Secret(full.clone(), SecretRow { sealed, updated_at: desk.now }));
    Ok(done("secret.put", &full, changes))
}

/// `GET /api/2.0/secrets/list?scope=`.
///
/// # Errors
/// 404 for an unknown scope.
pub fn list(desk: &Desk<'_>, location: &Location) -> Result<Outcome, Answer> {
    let scope = location.query("scope").unwrap_or_default();
    known_scope(desk, scope)?;
    if !secret_acls::sees(desk, scope) {
        secret_acls::need(desk, scope, Permission::Read)?;
    }
    let secret = |(name, row): (&String, &SecretRow)| {
        let key = name.split_once('/').map_or("", |(_, key)| key);
        json!({"key": key, "last_updated_timestamp": row.updated_at})
    };
    let secrets: Vec<Value> = in_scope(desk, scope).map(secret).collect();
    Ok(Outcome::reading(Answer::json(200, &json!({"secrets": secrets}))))
}

/// `POST /api/2.0/secrets/delete`.
///
/// # Errors
/// 404 for an unknown scope or key.
pub fn delete(desk: &Desk<'_>, body: &Map<String, Value>) -> Result<Outcome, Answer> {
    let mut faults = Faults::default();
    let members = Members::root(body);
    let (scope, key) = (name(&members, "scope", &mut faults), name(&members, "key", &mut faults));
    refuse(&faults)?;
    known_scope(desk, &scope)?;
    secret_acls::need(desk, &scope, Permission::Write)?;
    let full = format!("{scope}/{key}");
    if !desk.state.secrets.contains_key(&full) {
        let text = format!("Secret does not exist with scope: {scope} and key: {key}.");
        return Err(error(404, "RESOURCE_DOES_NOT_EXIST", &text));
    }
    Ok(done("secret.delete", &full, Vec::from([Change::DropSecret(full.clone())])))
}

pub(super) fn done(action: &'static str, target: &str, changes: Vec<Change>) -> Outcome {
    Outcome::writing(Answer::json(200, &json!({})), action, target, changes)
}

pub(super) fn known_scope(desk: &Desk<'_>, scope: &str) -> Result<(), Answer> {
    if desk.state.scopes.contains_key(scope) {
        return Ok(());
    }
    Err(error(404, "RESOURCE_DOES_NOT_EXIST", &format!("Scope {scope} does not exist!")))
}

fn in_scope<'a>(desk: &Desk<'a>, scope: &str) -> impl Iterator<Item = (&'a String, &'a SecretRow)> + use<'a> {
    let prefix = format!("{scope}/");
    let from = desk.state.secrets.range(prefix.clone()..);
    from.take_while(move |(name, _)| name.starts_with(&prefix))
}

pub(super) fn name(members: &Members<'_>, member: &str, faults: &mut Faults) -> String {
    let text = members.required_text(member, faults).unwrap_or_default();
    if !text.is_empty() && !is_secret_name(text, member == "scope") {
        faults.note(member, "must be 1 to 128 letters, digits, '-', '_' or '.'");
    }
    text.to_owned()
}

fn read_value(members: &Members<'_>, faults: &mut Faults) -> String {
    let (text, bytes) = (members.text("string_value", faults), members.text("bytes_value", faults));
    let value = match (text, bytes) {
        (Some(text), None) => text.to_owned(),
        (None, Some(bytes)) => {
            let text = STANDARD.decode(bytes).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            if text.is_none() {
                faults.note("bytes_value", "must be the base64 of UTF-8 text");
            }
            text.unwrap_or_default()
        }
        (Some(_), Some(_)) | (None, None) => {
            faults.note("string_value", "must be given, or bytes_value, but not both");
            String::new()
        }
    };
    if value.len() > VALUE_BYTES_MAX {
        faults.note("string_value", "must be at most 128 KB");
    }
    value
}

/// Every row whose credentials were read from the secret, with the new value.
fn followers(desk: &mut Desk<'_>, secret: &str, value: &str) -> Result<Vec<Change>, SecretFault> {
    let state = desk.state;
    let mut changes = Vec::new();
    for row in state.deployments.values() {
        let Some(spec) = row.endpoint() else { continue };
        let mut spec = spec.clone();
        let pending = spec.pending.as_mut().map(|pending| &mut pending.config);
        let rows = spec.active.iter_mut().chain(pending).flat_map(|config| &mut config.entities);
        if renew(desk, rows.filter_map(|row| row.backend.as_mut()), secret, value)? {
            let spec = DeploymentSpec::ServingEndpoint(spec);
            changes.push(Change::Deployment(DeploymentRow { spec, ..row.clone() }));
        }
    }
    for row in state.catalog.values() {
        let mut row = row.clone();
        if renew(desk, row.backends.iter_mut(), secret, value)? {
            changes.push(Change::Catalog(row));
        }
    }
    changes.extend(classifiers::renewed(desk, secret, value)?);
    Ok(changes)
}

fn renew<'b>(
    desk: &mut Desk<'_>,
    backends: impl Iterator<Item = &'b mut Backend>,
    secret: &str,
    value: &str,
) -> Result<bool, SecretFault> {
    let mut found = false;
    for backend in
        backends.filter(|backend| backend.references.iter().any(|name| name.as_deref() == Some(secret)))
    {
        *backend = with_credential(backend, secret, value, desk)?;
        found = true;
    }
    Ok(found)
}
