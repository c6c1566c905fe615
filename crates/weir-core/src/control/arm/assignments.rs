//! Role assignments: a role given to a principal at a scope (`azure.md`, C5).
//!
//! Decides what an assignment must hold and which are listed; who may make one is `access::needed`'s.

use super::super::access::permission::{covers, folded, is_management_group};
use super::super::access::{AccessRow, AssignmentRow, built_in};
use super::super::answer::Answer;
use super::super::command::{Change, Desk, Outcome};
use super::super::document::{Faults, Members};
use super::authorization::{Filter, check_guid, refuse};
use super::roles::{TEXT_CHARS_MAX, assignable, is_scope, no_such_role, role_id};
use super::{error, error_at};
use crate::ledger::calendar::format_rfc3339;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

/// The member that names the role.
const ROLE: &str = "properties.roleDefinitionId";
/// Conditions are refused: one that is not checked would give too much.
pub(super) const NO_CONDITION: &str = "is not supported: a condition would not be checked";
/// Most assignments of an installation.
const ASSIGNMENTS_MAX: usize = 100_000;

fn shown_assignment(row: &AssignmentRow) -> Value {
    let at = if row.scope.is_empty() { "/" } else { &row.scope };
    json!({
        "id": format!("{}/providers/Microsoft.Authorization/roleAssignments/{}", row.scope, row.name),
        "name": row.name, "type": "Microsoft.Authorization/roleAssignments",
        "properties": {
            "roleDefinitionId": role_id(&row.scope, &row.role), "principalId": row.principal,
            "principalType": row.principal_type, "scope": at, "description": row.description,
            "condition": null, "conditionVersion": null,
            "createdOn": format_rfc3339(row.created_at), "updatedOn": format_rfc3339(row.created_at),
            "createdBy": row.creator, "updatedBy": row.creator,
        },
    })
}

/// Assignments at the scope and above it, and below it unless `atScope()` says not.
pub(super) fn list_assignments(desk: &Desk<'_>, scope: &str, filter: &Filter) -> Outcome {
    let at = folded(scope);
    let access = &desk.state.access;
    let circle = filter.assigned_to.as_ref().map(|id| access.circle(id, &[]));
    let wanted = |row: &&AssignmentRow| {
        let own = folded(&row.scope);
        let placed = covers(&own, &at) || (!filter.at_scope && covers(&at, &own));
        let principal = filter.principal.as_ref().is_none_or(|id| id.eq_ignore_ascii_case(&row.principal));
        placed && principal && circle.as_ref().is_none_or(|circle| circle.contains(&row.principal))
    };
    let value: Vec<Value> = access.assignments.values().filter(wanted).map(shown_assignment).collect();
    Outcome::reading(Answer::json(200, &json!({"value": value})))
}

fn find<'a>(desk: &Desk<'a>, scope: &str, name: &str) -> Option<&'a AssignmentRow> {
    desk.state.access.assignments.get(name).filter(|row| folded(&row.scope) == folded(scope))
}

pub(super) fn get_assignment(desk: &Desk<'_>, scope: &str, name: &str) -> Result<Outcome, Answer> {
    let row = find(desk, scope, name).ok_or_else(|| {
        error(404, "RoleAssignmentNotFound", &format!("The role assignment '{name}' is not found."))
    })?;
    Ok(Outcome::reading(Answer::json(200, &shown_assignment(row))))
}

/// `PUT roleAssignments/{name}`: 201 when it is new; the same again is 200.
pub(super) fn put_assignment(
    desk: &Desk<'_>,
    scope: &str,
    name: &str,
    body: &Map<String, Value>,
) -> Result<Outcome, Answer> {
    check_guid("role assignment", name)?;
    if !scope.is_empty() && !is_scope(scope) && !is_management_group(scope) {
        return Err(error(400, "InvalidScope", &format!("The scope '{scope}' is not valid.")));
    }
    let mut faults = Faults::default();
    let root = Members::root(body);
    let properties = root.required_members("properties", &mut faults).unwrap_or(root);
    let role = properties.required_text("roleDefinitionId", &mut faults).unwrap_or_default();
    let role = role.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let principal = properties.required_text("principalId", &mut faults).unwrap_or_default();
    let principal_type = properties.text("principalType", &mut faults).map(ToOwned::to_owned);
    let description = properties.text("description", &mut faults).map(ToOwned::to_owned);
    if properties.get("condition").is_some() {
        faults.note(&properties.path("condition"), NO_CONDITION);
    }
    let texts = [Some(principal), principal_type.as_deref(), description.as_deref()];
    if texts
        .into_iter()
        .flatten()
        .any(|text| text.len() > TEXT_CHARS_MAX || text.chars().any(char::is_control))
    {
        faults.note("properties", "has a text that is too long or has control characters");
    }
    refuse("InvalidRequestContent", &faults)?;
    check_role(desk, &role, scope)?;
    let row = AssignmentRow {
        name: name.to_owned(),
        scope: scope.trim_end_matches('/').to_owned(),
        role,
        principal: principal.to_owned(),
        principal_type,
        description,
        creator: desk.caller.id.clone(),
        created_at: desk.now,
    };
    assign(desk, row)
}

fn check_role(desk: &Desk<'_>, role: &str, scope: &str) -> Result<(), Answer> {
    match (built_in::find(role), desk.state.access.roles.get(role)) {
        (Some(_), _) => Ok(()),
        (None, Some(row)) if assignable(row, scope) => Ok(()),
        (None, Some(_)) => {
            let text =
                format!("The scope '{scope}' is not among the assignable scopes of the role '{role}'.");
            Err(error_at(400, "RoleAssignmentScopeNotAssignableToRoleDefinition", ROLE, &text))
        }
        (None, None) => Err(no_such_role(role, ROLE)),
    }
}

fn assign(desk: &Desk<'_>, row: AssignmentRow) -> Result<Outcome, Answer> {
    let access = &desk.state.access;
    let alike = |known: &AssignmentRow| {
        known.role == row.role
            && known.principal == row.principal
            && folded(&known.scope) == folded(&row.scope)
    };
    if let Some(known) = access.assignments.get(&row.name) {
        if alike(known) {
            return Ok(Outcome::reading(Answer::json(200, &shown_assignment(known))));
        }
        let text = "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.";
        return Err(error(409, "RoleAssignmentUpdateNotPermitted", text));
    }
    if access.assignments.values().any(alike) {
        return Err(error(409, "RoleAssignmentExists", "The role assignment already exists."));
    }
    if access.assignments.len() >= ASSIGNMENTS_MAX {
        return Err(error(
            400,
            "RoleAssignmentLimitExceeded",
            "The role assignment limit has been exceeded.",
        ));
    }
    let (answer, target) = (Answer::json(201, &shown_assignment(&row)), row.name.clone());
    let changes = Vec::from([Change::Access(AccessRow::Assignment(row))]);
    Ok(Outcome::writing(answer, "role_assignment.put", &target, changes))
}

/// `DELETE roleAssignments/{name}`: 200 with what it was, 204 when there is none.
pub(super) fn delete_assignment(desk: &Desk<'_>, scope: &str, name: &str) -> Outcome {
    let Some(row) = find(desk, scope, name) else { return Outcome::reading(Answer::empty(204)) };
    let change = Change::DropAccess(AccessRow::Assignment(row.clone()).key());
    let answer = Answer::json(200, &shown_assignment(row));
    Outcome::writing(answer, "role_assignment.delete", name, Vec::from([change]))
}
