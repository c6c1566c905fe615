//! Permissions of serving endpoints (`databricks.md`, 8; routes M17 to M20), and what each caller may do with one.
//!
//! A permission is a role held at the endpoint's scope: the same rows as Azure's role assignments, shown in another
//! form (`acl`). What was given above the endpoint is shown as inherited. Decides which level a route needs, and who may
//! make endpoints and read their inference tables; what a role allows is `access`. In another account than the
//! directory's the rows are that account's own, and name principals as they were written.

use super::super::access::needed::account_scope;
use super::super::access::permission::{Permission, covers, folded};
use super::super::access::{AccessRow, AssignmentRow, PrincipalKind, USERS, built_in};
use super::super::answer::{Answer, Location, ManagementRequest};
use super::super::command::{Change, Desk, Outcome};
use super::super::state::DeploymentRow;
use super::super::{defaults, weir};
use super::{acl, error};
use crate::snapshot::access::Right;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

/// Endpoints that a workspace has at most, unless who makes one has the right in the account (`databricks.md`, 10.7).
const ENDPOINTS_MAX: usize = 1000;
const READ: &str = "Weir/servingEndpoints/read";
const WRITE: &str = "Weir/servingEndpoints/write";
/// To read what callers said.
const PAYLOADS: &str = "Weir/servingEndpoints/payloads/action";

/// What may be done with an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// See it.
    View,
    /// And query it.
    Query,
    /// And change it.
    Manage,
}

impl Level {
    pub(super) const ALL: [Self; 3] = [Self::View, Self::Query, Self::Manage];

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::View => "CAN_VIEW",
            Self::Query => "CAN_QUERY",
            Self::Manage => "CAN_MANAGE",
        }
    }

    const fn verb(self) -> &'static str {
        match self {
            Self::View => "View",
            Self::Query => "Query",
            Self::Manage => "Manage",
        }
    }

    const fn description(self) -> &'static str {
        match self {
            Self::View => "Can view the endpoint.",
            Self::Query => "Can view and query the endpoint.",
            Self::Manage => "Can view, query and manage the endpoint and its permissions.",
        }
    }

    /// The role that gives it.
    const fn role(self) -> &'static str {
        match self {
            Self::View => built_in::SERVING_VIEWER,
            Self::Query => built_in::SERVING_USER,
            Self::Manage => built_in::SERVING_MANAGER,
        }
    }

    /// What a role comes to, whoever made it.
    pub(super) fn of(permissions: &[Permission]) -> Option<Self> {
        let allows = |action: &str| permissions.iter().any(|entry| entry.allows(action));
        let queries = |right: &Right| permissions.iter().any(|entry| entry.allows_data(right.action()));
        if allows(WRITE) {
            return Some(Self::Manage);
        }
        if [Right::Chat, Right::Completions, Right::Embeddings].iter().any(queries) {
            return Some(Self::Query);
        }
        allows(READ).then_some(Self::View)
    }
}

/// The scope at which permissions of an endpoint are held.
pub(super) fn scope_of(desk: &Desk<'_>, row: &DeploymentRow) -> String {
    format!("{}/deployments/{}", account_scope(desk.state), row.name.folded())
}

/// The endpoint of this name, if somebody made it: those that exist by themselves have no permissions.
fn made<'a>(desk: &Desk<'a>, name: &str) -> Option<&'a DeploymentRow> {
    let row = desk.state.deployments.get(&name.to_ascii_lowercase())?;
    (row.endpoint().is_some() && !row.name.as_str().starts_with("databricks-")).then_some(row)
}

/// The highest level of the caller at an endpoint.
fn level(desk: &Desk<'_>, row: &DeploymentRow) -> Option<Level> {
    if desk.caller.admin {
        return Some(Level::Manage);
    }
    let scope = folded(&scope_of(desk, row));
    let given = desk.caller.grants.iter().filter(|grant| covers(&grant.scope, &scope));
    let given = given.filter_map(|grant| Level::of(&grant.permissions));
    let own = own_rows(desk, &scope).filter(|row| desk.caller.is_kept_as(&row.principal, desk.state));
    let own = own.filter_map(|row| Level::of(&desk.state.access.permissions(&row.role)?));
    given.chain(own).max()
}

/// Roles held at exactly this scope.
fn own_rows<'a>(desk: &Desk<'a>, scope: &str) -> impl Iterator<Item = &'a AssignmentRow> {
    let scope = folded(scope);
    desk.state.access.assignments.values().filter(move |row| folded(&row.scope) == scope)
}

/// Answers a request about serving endpoints as the caller may see it.
///
/// # Errors
/// 403 without the permission that the route needs, and what `run` refuses.
pub fn guarded(
    desk: &mut Desk<'_>,
    request: &ManagementRequest,
    rest: &[&str],
    run: impl FnOnce(&mut Desk<'_>) -> Result<Outcome, Answer>,
) -> Result<Outcome, Answer> {
    admit(desk, &request.method, rest)?;
    let mut outcome = run(desk)?;
    keep_grants(desk, request, rest, &mut outcome);
    if !desk.caller.admin {
        show_level(desk, &mut outcome.answer);
    }
    Ok(outcome)
}

/// Whether the caller may do what a route does. An endpoint that there is not is told by the route itself.
fn admit(desk: &Desk<'_>, method: &str, rest: &[&str]) -> Result<(), Answer> {
    let scope = account_scope(desk.state);
    let name = match rest {
        ["pt", name, ..] if method != "GET" => name,
        [] | ["pt"] if method == "GET" => return Ok(()),
        [] | ["pt"] if desk.caller.may(WRITE, &scope) => return Ok(()),
        [] | ["pt"] if makes(desk) => {
            let made = desk.state.deployments.values().filter(|row| row.endpoint().is_some()).count();
            let text =
                format!("The workspace has {ENDPOINTS_MAX} serving endpoints already; delete some first.");
            let full = made >= ENDPOINTS_MAX;
            return if full { Err(error(400, "INVALID_PARAMETER_VALUE", &text)) } else { Ok(()) };
        }
        [] | ["pt"] => {
            let text = "User does not have permission to create serving endpoints.";
            return Err(error(403, "PERMISSION_DENIED", text));
        }
        [name, ..] => name,
    };
    let needed = if method == "GET" { Level::View } else { Level::Manage };
    let row = made(desk, name);
    let has = match row {
        Some(row) => level(desk, row),
        // Endpoints that exist by themselves are everybody's to see.
        None if needed == Level::View || desk.caller.may(WRITE, &scope) => Some(Level::Manage),
        None if name.starts_with("databricks-") => Some(Level::View),
        None => Some(Level::Manage),
    };
    let shown = row.map_or(*name, |row| row.name.as_str());
    if has >= Some(needed) { Ok(()) } else { Err(lacks(needed, shown)) }
}

/// Whether the caller makes endpoints as every user of a workspace does, unless the administrator says otherwise. Whose
/// credential is a key alone is no user.
fn makes(desk: &Desk<'_>) -> bool {
    let user = desk.caller.account == desk.state.account && desk.caller.circle.iter().any(|id| id == USERS);
    user && defaults::users_make_endpoints(desk.state)
}

/// `GET /api/weir/v1/databricks/inference_table?deployment=…`: what callers of an endpoint said is for who manages it,
/// from its making on, and for who has the right in the account.
///
/// # Errors
/// 403.
pub fn payloads(
    desk: &Desk<'_>,
    request: &ManagementRequest,
    location: &Location,
) -> Result<Outcome, Answer> {
    let scope = account_scope(desk.state);
    if desk.caller.may(PAYLOADS, &scope) || desk.caller.may(WRITE, &scope) {
        return Ok(Outcome::reading(Answer::of_ledger()));
    }
    let name = location.query("deployment").unwrap_or_default();
    let row = made(desk, name).filter(|row| level(desk, row) == Some(Level::Manage));
    let Some(row) = row else {
        return Err(weir::forbidden(PAYLOADS, &format!("{scope}/deployments/{name}")));
    };
    let mut query = format!("since={}", row.created_at.0);
    let asked = request.url.split_once('?').map(|(_, query)| query).unwrap_or_default();
    for pair in asked.split('&').filter(|pair| !pair.starts_with("since=")) {
        query.extend(["&", pair]);
    }
    Ok(Outcome::reading(Answer { body: query, ..Answer::of_ledger() }))
}

fn lacks(needed: Level, name: &str) -> Answer {
    let text = format!("User does not have permission '{}' on Endpoint {name}", needed.verb());
    error(403, "PERMISSION_DENIED", &text)
}

/// The creator manages what it made; what is gone is nobody's.
fn keep_grants(desk: &mut Desk<'_>, request: &ManagementRequest, rest: &[&str], outcome: &mut Outcome) {
    let mut changes = Vec::new();
    for change in &outcome.changes {
        if let Change::Deployment(row) = change
            && request.method == "POST"
            && matches!(rest, [] | ["pt"])
        {
            let scope = scope_of(desk, row);
            let creator = desk.caller.id.clone();
            changes.push(assigned(desk, &scope, creator, None, Level::Manage));
        } else if let Change::DropDeployment(name) = change {
            let scope = format!("{}/deployments/{name}", account_scope(desk.state));
            changes.extend(own_rows(desk, &scope).map(dropped));
        }
    }
    outcome.changes.extend(changes);
}

fn dropped(row: &AssignmentRow) -> Change {
    Change::DropAccess(AccessRow::Assignment(row.clone()).key())
}

fn assigned(
    desk: &mut Desk<'_>,
    scope: &str,
    principal: String,
    kind: Option<PrincipalKind>,
    level: Level,
) -> Change {
    let word = match kind {
        Some(PrincipalKind::User) => Some("User"),
        Some(PrincipalKind::ServicePrincipal) => Some("ServicePrincipal"),
        Some(PrincipalKind::Group) => Some("Group"),
        None => None,
    };
    Change::Access(AccessRow::Assignment(AssignmentRow {
        name: desk.entropy.identifier(),
        scope: scope.to_owned(),
        role: level.role().to_owned(),
        principal,
        principal_type: word.map(ToOwned::to_owned),
        description: None,
        creator: desk.caller.id.clone(),
        created_at: desk.now,
    }))
}

/// Shows the caller its own level, and in a list what it may see.
fn show_level(desk: &Desk<'_>, answer: &mut Answer) {
    let Ok(mut body) = crate::json::read::<Value>(&answer.body) else { return };
    let level_of = |shown: &Value| {
        let name = shown.get("name").and_then(Value::as_str).unwrap_or_default();
        made(desk, name).map(|row| level(desk, row))
    };
    let set = |shown: &mut Value| {
        // What was made just now is its maker's; what exists by itself is everybody's to query.
        let level = level_of(shown).unwrap_or(Some(Level::Manage));
        if let Some(member) = shown.get_mut("permission_level") {
            *member = json!(level.map(Level::name));
        }
        level.is_some()
    };
    if let Some(list) = body.get_mut("endpoints").and_then(Value::as_array_mut) {
        list.retain_mut(set);
    } else if body.get("permission_level").is_some() {
        set(&mut body);
    } else {
        return;
    }
    answer.body = format!("{body}");
}

/// `GET …/permissionLevels`.
pub fn levels() -> Outcome {
    let level = |level: &Level| json!({"permission_level": level.name(), "description": level.description()});
    let levels: Vec<Value> = Level::ALL.iter().map(level).collect();
    Outcome::reading(Answer::json(200, &json!({"permission_levels": levels})))
}

/// The endpoint of an id, for a caller who needs `needed`.
fn find<'a>(desk: &Desk<'a>, id: &str, needed: Level) -> Result<&'a DeploymentRow, Answer> {
    let mut rows = desk.state.deployments.values();
    let row = rows.find(|row| row.id == id && row.endpoint().is_some()).ok_or_else(|| {
        error(404, "RESOURCE_DOES_NOT_EXIST", &format!("Endpoint with id '{id}' does not exist."))
    })?;
    if level(desk, row) >= Some(needed) { Ok(row) } else { Err(lacks(needed, row.name.as_str())) }
}

/// `GET /api/2.0/permissions/serving-endpoints/{id}`.
///
/// # Errors
/// 404; 403.
pub fn get(desk: &Desk<'_>, id: &str) -> Result<Outcome, Answer> {
    let row = find(desk, id, Level::View)?;
    let scope = scope_of(desk, row);
    let own: Vec<&AssignmentRow> = own_rows(desk, &scope).collect();
    Ok(Outcome::reading(Answer::json(200, &acl::shown(desk, row, &own))))
}

/// `PUT` (replaces what is held at the endpoint itself) and `PATCH` (adds and changes).
///
/// # Errors
/// 404 for the endpoint or a principal; 403; 400 naming every fault.
pub fn set(
    desk: &mut Desk<'_>,
    id: &str,
    body: &Map<String, Value>,
    replace: bool,
) -> Result<Outcome, Answer> {
    let row = find(desk, id, Level::Manage)?;
    let wishes = acl::read(desk, body)?;
    let scope = scope_of(desk, row);
    let (mut changes, mut kept) = (Vec::new(), Vec::new());
    for old in own_rows(desk, &scope) {
        if replace || wishes.contains_key(&old.principal) {
            changes.push(dropped(old));
        } else {
            kept.push(old);
        }
    }
    for (principal, (kind, level)) in &wishes {
        changes.push(assigned(desk, &scope, principal.clone(), Some(*kind), *level));
    }
    let new: Vec<AssignmentRow> = changes
        .iter()
        .filter_map(|change| {
            let Change::Access(AccessRow::Assignment(row)) = change else { return None };
            Some(row.clone())
        })
        .collect();
    kept.extend(&new);
    let answer = Answer::json(200, &acl::shown(desk, row, &kept));
    Ok(Outcome::writing(answer, "endpoint.permissions", row.name.as_str(), changes))
}
