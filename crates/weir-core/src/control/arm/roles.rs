//! Role definitions, built in and custom (`azure.md`, C5).
//!
//! Decides what a custom role must hold and how roles are shown; not what one allows (`access::permission`).

use super::super::access::built_in::{self, BuiltIn};
use super::super::access::needed::path;
use super::super::access::permission::{Permission, covers, folded, is_management_group};
use super::super::access::{AccessRow, RoleRow};
use super::super::answer::Answer;
use super::super::command::{Change, Desk, Outcome};
use super::super::document::{Faults, Members};
use super::authorization::{Filter, check_guid, refuse};
use super::{error, error_at};
use crate::ledger::calendar::format_rfc3339;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

/// Most custom roles of an installation, as in Azure.
const ROLES_MAX: usize = 5000;
/// Most entries of any list in a role.
const ENTRIES_MAX: usize = 1000;
/// Longest text of any member.
pub(super) const TEXT_CHARS_MAX: usize = 2048;

pub(super) fn role_id(scope: &str, guid: &str) -> String {
    // Azure shows definitions at the subscription at most.
    let words: Vec<&str> = scope.split('/').filter(|word| !word.is_empty()).take(2).collect();
    let at = if words.first().is_some_and(|word| word.eq_ignore_ascii_case("subscriptions")) {
        words
    } else {
        Vec::new()
    };
    let at = path(&at);
    format!("{at}/providers/Microsoft.Authorization/roleDefinitions/{guid}")
}

fn shown_built_in(scope: &str, role: &BuiltIn) -> Value {
    json!({
        "id": role_id(scope, role.guid), "name": role.guid, "type": "Microsoft.Authorization/roleDefinitions",
        "properties": {
            "roleName": role.name, "type": "BuiltInRole", "description": role.description,
            "assignableScopes": ["/"], "permissions": [role.permission()],
        },
    })
}

fn shown_role(scope: &str, row: &RoleRow) -> Value {
    json!({
        "id": role_id(scope, &row.guid), "name": row.guid, "type": "Microsoft.Authorization/roleDefinitions",
        "properties": {
            "roleName": row.name, "type": "CustomRole", "description": row.description,
            "assignableScopes": row.scopes, "permissions": row.permissions,
            "createdOn": format_rfc3339(row.created_at), "updatedOn": format_rfc3339(row.updated_at),
            "createdBy": row.creator, "updatedBy": row.creator,
        },
    })
}

/// Whether a custom role can be given at a scope.
pub(super) fn assignable(row: &RoleRow, scope: &str) -> bool {
    row.scopes.iter().any(|allowed| covers(&folded(allowed), &folded(scope)))
}

pub(super) fn list_roles(desk: &Desk<'_>, scope: &str, filter: &Filter) -> Outcome {
    let named = |name: &str| filter.role_name.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(name));
    let typed = |kind: &str| filter.role_type.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(kind));
    let built_in = built_in::ROLES.iter().filter(|role| typed("BuiltInRole") && named(role.name));
    let mut value: Vec<Value> = built_in.map(|role| shown_built_in(scope, role)).collect();
    let custom = desk.state.access.roles.values();
    let custom = custom.filter(|row| typed("CustomRole") && named(&row.name) && assignable(row, scope));
    value.extend(custom.map(|row| shown_role(scope, row)));
    Outcome::reading(Answer::json(200, &json!({"value": value})))
}

pub(super) fn get_role(desk: &Desk<'_>, scope: &str, guid: &str) -> Result<Outcome, Answer> {
    let shown = match (built_in::find(guid), desk.state.access.roles.get(guid)) {
        (Some(role), _) => shown_built_in(scope, role),
        (None, Some(row)) => shown_role(scope, row),
        (None, None) => return Err(no_such_role(guid, "name")),
    };
    Ok(Outcome::reading(Answer::json(200, &shown)))
}

pub(super) fn no_such_role(guid: &str, target: &str) -> Answer {
    error_at(
        404,
        "RoleDefinitionDoesNotExist",
        target,
        &format!("The specified role definition with ID '{guid}' does not exist."),
    )
}

/// `PUT roleDefinitions/{guid}`: 201.
pub(super) fn put_role(
    desk: &Desk<'_>,
    scope: &str,
    guid: &str,
    body: &Map<String, Value>,
) -> Result<Outcome, Answer> {
    check_guid("role definition", guid)?;
    if built_in::find(guid).is_some() {
        return Err(error(400, "RoleDefinitionUpdateNotPermitted", "A built-in role cannot be changed."));
    }
    let mut faults = Faults::default();
    let root = Members::root(body);
    // Older clients send the properties at the top.
    let properties = root.members("properties", &mut faults).unwrap_or(root);
    let name = properties.required_text("roleName", &mut faults).unwrap_or_default().to_owned();
    let description = properties.text("description", &mut faults).unwrap_or_default().to_owned();
    let permissions = read_permissions(&properties, &mut faults);
    let scopes = read_scopes(&properties, &mut faults);
    for (path, text) in [("roleName", &name), ("description", &description)] {
        if text.chars().count() > TEXT_CHARS_MAX || text.chars().any(char::is_control) {
            faults.note(&properties.path(path), "is too long or has control characters");
        }
    }
    refuse("InvalidRoleDefinition", &faults)?;
    if let Some(other) =
        scopes.iter().find(|at| !desk.caller.may("Microsoft.Authorization/roleDefinitions/write", at))
    {
        return Err(super::forbidden(desk.caller, "Microsoft.Authorization/roleDefinitions/write", other));
    }
    let access = &desk.state.access;
    let known = access.roles.get(guid);
    let same = |row: &&RoleRow| row.guid != guid && row.name.eq_ignore_ascii_case(&name);
    if access.roles.values().any(|row| same(&row))
        || built_in::ROLES.iter().any(|role| role.name.eq_ignore_ascii_case(&name))
    {
        let text = format!("A role named '{name}' exists already.");
        return Err(error_at(409, "RoleDefinitionWithSameNameExists", &properties.path("roleName"), &text));
    }
    if known.is_none() && access.roles.len() >= ROLES_MAX {
        return Err(error(
            400,
            "RoleDefinitionLimitExceeded",
            "The role definition limit has been exceeded.",
        ));
    }
    let row = RoleRow {
        name,
        guid: guid.to_owned(),
        description,
        permissions,
        scopes,
        creator: known.map_or_else(|| desk.caller.id.clone(), |row| row.creator.clone()),
        created_at: known.map_or(desk.now, |row| row.created_at),
        updated_at: desk.now,
    };
    let answer = Answer::json(201, &shown_role(scope, &row));
    Ok(Outcome::writing(answer, "role.put", guid, Vec::from([Change::Access(AccessRow::Role(row))])))
}

fn read_permissions(properties: &Members<'_>, faults: &mut Faults) -> Vec<Permission> {
    let mut permissions = Vec::new();
    let list = properties.list("permissions", faults);
    for (at, value) in list.into_iter().flatten().take(ENTRIES_MAX).enumerate() {
        let path = format!("{}[{at}]", properties.path("permissions"));
        let Some(entry) = Members::of(value, &path, faults) else { continue };
        if entry.get("condition").is_some() {
            faults.note(&entry.path("condition"), super::assignments::NO_CONDITION);
        }
        let mut texts = |name: &str| -> Vec<String> {
            let texts = entry.texts(name, faults).unwrap_or_default();
            if texts.len() > ENTRIES_MAX || texts.iter().any(|text| text.is_empty() || text.len() > 512) {
                faults.note(&entry.path(name), "must be at most 1000 actions of 1 to 512 characters");
            }
            texts.into_iter().map(ToOwned::to_owned).collect()
        };
        permissions.push(Permission {
            actions: texts("actions"),
            not_actions: texts("notActions"),
            data_actions: texts("dataActions"),
            not_data_actions: texts("notDataActions"),
        });
    }
    if permissions.is_empty() {
        faults.note(&properties.path("permissions"), "must have at least one entry");
    }
    permissions
}

/// `assignableScopes`: not empty, not `/`, at most one management group (`azure.md`, C5).
fn read_scopes(properties: &Members<'_>, faults: &mut Faults) -> Vec<String> {
    let path = properties.path("assignableScopes");
    let scopes = properties.texts("assignableScopes", faults).unwrap_or_default();
    if scopes.is_empty() || scopes.len() > ENTRIES_MAX {
        faults.note(&path, "must have 1 to 1000 entries");
    }
    for (at, scope) in scopes.iter().enumerate() {
        if !is_management_group(scope) && !is_scope(scope) {
            faults.note(
                &format!("{path}[{at}]"),
                "must be the id of a subscription, resource group, resource or management group",
            );
        }
    }
    if scopes.iter().filter(|scope| is_management_group(scope)).count() > 1 {
        faults.note(&path, "may have one management group at most");
    }
    scopes.into_iter().map(|scope| scope.trim_end_matches('/').to_owned()).collect()
}

/// Whether a text is the id of a subscription or of something in one.
pub(super) fn is_scope(scope: &str) -> bool {
    let parts: Vec<&str> = scope.trim_end_matches('/').split('/').collect();
    let legal = scope.len() <= TEXT_CHARS_MAX && !scope.chars().any(char::is_control);
    let filled = parts.iter().skip(1).all(|part| !part.is_empty() && *part != "." && *part != "..");
    matches!(parts.as_slice(), ["", first, _, ..] if first.eq_ignore_ascii_case("subscriptions"))
        && filled
        && legal
}

/// `DELETE roleDefinitions/{guid}`: 200 with what it was, 204 when there is none.
pub(super) fn delete_role(desk: &Desk<'_>, scope: &str, guid: &str) -> Result<Outcome, Answer> {
    if built_in::find(guid).is_some() {
        return Err(error(400, "RoleDefinitionUpdateNotPermitted", "A built-in role cannot be deleted."));
    }
    let access = &desk.state.access;
    let Some(row) = access.roles.get(guid) else { return Ok(Outcome::reading(Answer::empty(204))) };
    if access.assignments.values().any(|assignment| assignment.role == guid) {
        let text = "There are existing role assignments referencing the role. Delete them first.";
        return Err(error(400, "RoleDefinitionHasAssignments", text));
    }
    let answer = Answer::json(200, &shown_role(scope, row));
    let change = Change::DropAccess(AccessRow::Role(row.clone()).key());
    Ok(Outcome::writing(answer, "role.delete", guid, Vec::from([change])))
}
