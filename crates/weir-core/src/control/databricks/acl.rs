//! Access control lists of serving endpoints, read and shown (`databricks.md`, 8).
//!
//! Decides how principals and their levels are written, and as which text a principal is kept; not what a level allows
//! (`permissions`).

use super::super::access::permission::{covers, folded};
use super::super::access::{ADMINS, AssignmentRow, PrincipalKind, USERS};
use super::super::answer::{ADMINISTRATOR, position};
use super::super::command::Desk;
use super::super::document::{Faults, Members};
use super::super::state::DeploymentRow;
use super::permissions::{Level, scope_of};
use super::{Answer, error, refuse};
use crate::id::AccountId;
use crate::sorted::SortedMap;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

/// Most entries of one request.
const ENTRIES_MAX: usize = 1000;

/// The levels that a body gives, by principal.
///
/// # Errors
/// 404 for a principal that there is not; 400 naming every fault.
pub(super) fn read(
    desk: &Desk<'_>,
    body: &Map<String, Value>,
) -> Result<SortedMap<String, (PrincipalKind, Level)>, Answer> {
    let mut faults = Faults::default();
    let members = Members::root(body);
    let list = members.list("access_control_list", &mut faults).map(Vec::as_slice).unwrap_or_default();
    if list.len() > ENTRIES_MAX {
        faults.note("access_control_list", format!("must be at most {ENTRIES_MAX}"));
    }
    let mut wishes: SortedMap<String, (PrincipalKind, Level)> = SortedMap::new();
    let mut unknown = None;
    for (at, item) in list.iter().take(ENTRIES_MAX).enumerate() {
        let path = position("access_control_list", at);
        let Some(entry) = Members::of(item, &path, &mut faults) else { continue };
        let named: Vec<(PrincipalKind, &str)> = [
            ("user_name", PrincipalKind::User),
            ("group_name", PrincipalKind::Group),
            ("service_principal_name", PrincipalKind::ServicePrincipal),
        ]
        .into_iter()
        .filter_map(|(member, kind)| Some((kind, entry.text(member, &mut faults)?)))
        .collect();
        let word = entry.required_text("permission_level", &mut faults);
        let level = word.and_then(|word| Level::ALL.into_iter().find(|level| level.name() == word));
        if word.is_some() && level.is_none() {
            faults.note(&entry.path("permission_level"), "must be CAN_VIEW, CAN_QUERY or CAN_MANAGE");
        }
        let [(kind, name)] = named.as_slice() else {
            faults.note(&path, "must name one of user_name, group_name and service_principal_name");
            continue;
        };
        let principal = principal(desk, *kind, name);
        if principal.is_none() {
            unknown = unknown.or(Some((*kind, (*name).to_owned())));
        }
        if let (Some(principal), Some(level)) = (principal, level) {
            let best = wishes.get(&principal).map_or(level, |(_, other)| level.max(*other));
            wishes.insert(principal, (*kind, best));
        }
    }
    refuse(&faults)?;
    match unknown {
        None => Ok(wishes),
        Some((kind, name)) => {
            let word = match kind {
                PrincipalKind::User => "UserName",
                PrincipalKind::Group => "GroupName",
                PrincipalKind::ServicePrincipal => "ServicePrincipalName",
            };
            let text = format!("Principal: {word}({name}) does not exist");
            Err(error(404, "RESOURCE_DOES_NOT_EXIST", &text))
        }
    }
}

/// By which text a principal is kept: its id; in an account that has no directory, its name in lower case.
pub fn principal(desk: &Desk<'_>, kind: PrincipalKind, name: &str) -> Option<String> {
    let group = kind == PrincipalKind::Group;
    if group && [ADMINS, USERS].contains(&name) || kind == PrincipalKind::User && name == ADMINISTRATOR {
        return Some(name.to_owned());
    }
    if desk.state.account != AccountId::default_account() {
        return Some(name.to_lowercase());
    }
    let mut rows = desk.state.access.principals.values().filter(|row| row.kind == kind);
    let named = |id: &str, row: &str| id == name || row.eq_ignore_ascii_case(name);
    rows.find(|row| named(row.id.as_str(), &row.name)).map(|row| row.id.as_str().to_owned())
}

/// The permissions of an endpoint, `own` being held at it.
pub(super) fn shown(desk: &Desk<'_>, row: &DeploymentRow, own: &[&AssignmentRow]) -> Value {
    let scope = folded(&scope_of(desk, row));
    let access = &desk.state.access;
    // By principal: the levels that it has here, and those that it has above.
    let mut entries: SortedMap<String, (Option<&AssignmentRow>, Vec<Value>)> = SortedMap::new();
    for row in own {
        let Some(level) = access.permissions(&row.role).and_then(|role| Level::of(&role)) else { continue };
        let entry = entries.entry(row.principal.clone()).or_default();
        entry.0 = Some(*row);
        entry.1.push(json!({"permission_level": level.name(), "inherited": false}));
    }
    let above = |row: &&AssignmentRow| {
        let held = folded(&row.scope);
        held != scope && covers(&held, &scope)
    };
    let inherited = |level: Level| json!({"permission_level": level.name(), "inherited": true, "inherited_from_object": ["/serving-endpoints/"]});
    for row in access.assignments.values().filter(above) {
        let Some(level) = access.permissions(&row.role).and_then(|role| Level::of(&role)) else { continue };
        let entry = entries.entry(row.principal.clone()).or_default();
        entry.0 = entry.0.or(Some(row));
        entry.1.push(inherited(level));
    }
    entries.entry(ADMINS.to_owned()).or_default().1.push(inherited(Level::Manage));
    let entry = |(principal, (row, levels)): (&String, &(Option<&AssignmentRow>, Vec<Value>))| {
        let (member, name, display) = names(desk, principal, *row);
        json!({member: name, "display_name": display, "all_permissions": levels})
    };
    json!({
        "object_id": format!("/serving-endpoints/{}", row.id), "object_type": "serving-endpoint",
        "access_control_list": entries.iter().map(entry).collect::<Vec<_>>(),
    })
}

/// How a principal is shown: by which member, with which text, and what it is called.
fn names(desk: &Desk<'_>, principal: &str, row: Option<&AssignmentRow>) -> (&'static str, String, String) {
    let known = desk.state.access.principals.get(principal);
    let told = row.and_then(|row| row.principal_type.as_deref());
    let kind = match known {
        Some(row) => row.kind,
        None if told == Some("Group") || [ADMINS, USERS].contains(&principal) => PrincipalKind::Group,
        None if told == Some("User") || principal == ADMINISTRATOR => PrincipalKind::User,
        None => PrincipalKind::ServicePrincipal,
    };
    let name = known.map_or(principal, |row| row.name.as_str()).to_owned();
    match kind {
        PrincipalKind::User => ("user_name", name.clone(), name),
        PrincipalKind::Group => ("group_name", name.clone(), name),
        PrincipalKind::ServicePrincipal => ("service_principal_name", principal.to_owned(), name),
    }
}
