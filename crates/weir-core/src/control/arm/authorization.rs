//! `{scope}/providers/Microsoft.Authorization/*`: role definitions, role assignments, permissions (`azure.md`, C5).
//!
//! Decides the routes, the filters of the lists and what a caller is told about itself; not what a role is (`roles`), an
//! assignment (`assignments`), and not who may give one (`access::needed`). All of it is the directory's.

use super::super::access::needed::path;
use super::super::access::permission::{Permission, covers, folded};
use super::super::answer::{Answer, Location, ManagementRequest};
use super::super::command::{Desk, Outcome};
use super::super::document::Faults;
use super::assignments::{delete_assignment, get_assignment, list_assignments, put_assignment};
use super::convention::details;
use super::roles::{delete_role, get_role, list_roles, put_role};
use super::{body, error, error_at, no_such_route, wrong_method};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::json;

const NAMESPACE: &str = "Microsoft.Authorization";

/// A path of this provider: the scope before it, as written, and what follows.
struct Path<'a> {
    scope: String,
    rest: &'a [String],
}

fn parse(location: &Location) -> Option<Path<'_>> {
    let parts = &location.segments;
    let at = parts.iter().rposition(|part| part.eq_ignore_ascii_case("providers"))?;
    let (provider, rest) = parts.get(at.saturating_add(1)..)?.split_first()?;
    let scope = path(parts.get(..at)?);
    provider.eq_ignore_ascii_case(NAMESPACE).then_some(Path { scope, rest })
}

/// Whether a path is of this provider.
pub fn is_about(location: &Location) -> bool {
    parse(location).is_some()
}

/// Answers one request of this provider.
///
/// # Errors
/// The refusal, rendered; nothing is changed then.
pub fn handle(
    desk: &mut Desk<'_>,
    request: &ManagementRequest,
    location: &Location,
) -> Result<Outcome, Answer> {
    let path = parse(location).ok_or_else(|| no_such_route(&request.method, &location.path))?;
    check_version(location)?;
    let (method, scope) = (request.method.as_str(), path.scope.as_str());
    let filter = location.query.iter().find(|(name, _)| name.eq_ignore_ascii_case("$filter"));
    let filter = Filter::parse(filter.map_or("", |(_, text)| text))?;
    let lower: Vec<String> = path.rest.iter().map(|part| part.to_ascii_lowercase()).collect();
    let words: Vec<&str> = lower.iter().map(String::as_str).collect();
    match (method, words.as_slice()) {
        ("GET", ["permissions"]) => Ok(permissions(desk, scope)),
        ("GET", ["roledefinitions"]) => Ok(list_roles(desk, scope, &filter)),
        ("GET", ["roledefinitions", guid]) => get_role(desk, scope, guid),
        ("PUT", ["roledefinitions", guid]) => put_role(desk, scope, guid, &body(request)?),
        ("DELETE", ["roledefinitions", guid]) => delete_role(desk, scope, guid),
        ("GET", ["roleassignments"]) => Ok(list_assignments(desk, scope, &filter)),
        ("GET", ["roleassignments", name]) => get_assignment(desk, scope, name),
        ("PUT", ["roleassignments", name]) => put_assignment(desk, scope, name, &body(request)?),
        ("DELETE", ["roleassignments", name]) => Ok(delete_assignment(desk, scope, name)),
        // Nothing makes any, as in Azure, where only its own services do.
        ("GET", ["denyassignments"]) => Ok(Outcome::reading(Answer::json(200, &json!({"value": []})))),
        (_, ["permissions" | "roledefinitions" | "roleassignments" | "denyassignments"]) => {
            Err(wrong_method("GET"))
        }
        (_, ["roledefinitions" | "roleassignments", _]) => Err(wrong_method("GET, PUT, DELETE")),
        (method, _) => Err(no_such_route(method, &location.path)),
    }
}

/// The versions of this provider go back far; every one that looks like one is answered alike.
fn check_version(location: &Location) -> Result<(), Answer> {
    let version = location.query.iter().find(|(name, _)| name.eq_ignore_ascii_case("api-version"));
    let Some((_, version)) = version.filter(|(_, version)| !version.is_empty()) else {
        let text = "The api-version query parameter (?api-version=) is required for all requests.";
        return Err(error(400, "MissingApiVersionParameter", text));
    };
    let known = [
        "2015-06-01",
        "2015-07-01",
        "2016-07-01",
        "2017-05-01",
        "2018-01-01-preview",
        "2018-05-01-preview",
        "2018-07-01",
        "2018-09-01-preview",
        "2020-03-01-preview",
        "2020-04-01-preview",
        "2020-08-01-preview",
        "2020-10-01",
        "2021-04-01-preview",
        "2022-04-01",
        "2022-05-01-preview",
    ];
    if known.iter().any(|known| known.eq_ignore_ascii_case(version)) {
        return Ok(());
    }
    let shown: String = version.chars().take(40).collect();
    let known = known.join(", ");
    let text = format!("The api-version '{shown}' is invalid. The supported versions are '{known}'.");
    Err(error(400, "InvalidApiVersionParameter", &text))
}

/// What a `$filter` of these lists can say.
#[derive(Default)]
pub(super) struct Filter {
    pub(super) principal: Option<String>,
    pub(super) assigned_to: Option<String>,
    pub(super) role_name: Option<String>,
    pub(super) role_type: Option<String>,
    pub(super) at_scope: bool,
}

impl Filter {
    fn parse(text: &str) -> Result<Self, Answer> {
        let mut filter = Self::default();
        let text = text.replace(" AND ", " and ");
        for term in text.split(" and ").map(str::trim).filter(|term| !term.is_empty()) {
            let unquoted = |text: &str| text.trim().trim_matches('\'').replace("''", "'");
            if let Some((member, value)) = term.split_once(" eq ") {
                let slot = match member.trim().to_ascii_lowercase().as_str() {
                    "principalid" => &mut filter.principal,
                    "rolename" => &mut filter.role_name,
                    "type" => &mut filter.role_type,
                    _ => return Err(unknown_filter()),
                };
                *slot = Some(unquoted(value));
            } else if let Some(inner) =
                term.strip_prefix("assignedTo(").and_then(|rest| rest.strip_suffix(')'))
            {
                filter.assigned_to = Some(unquoted(inner));
            } else if term.eq_ignore_ascii_case("atScope()") {
                filter.at_scope = true;
            } else if !term.eq_ignore_ascii_case("atScopeAndBelow()") {
                return Err(unknown_filter());
            }
        }
        Ok(filter)
    }
}

fn unknown_filter() -> Answer {
    let text = "The filter is not supported. There are: principalId eq 'id', assignedTo('id'), atScope(), \
                atScopeAndBelow(), roleName eq 'name', type eq 'CustomRole'.";
    error(400, "UnsupportedQuery", text)
}

/// What the caller may do at a scope: each role on its own, since each takes away from itself only.
fn permissions(desk: &Desk<'_>, scope: &str) -> Outcome {
    let scope = folded(scope);
    let held = desk.caller.grants.iter().filter(|grant| covers(&grant.scope, &scope));
    let mut value: Vec<Permission> = held.flat_map(|grant| grant.permissions.iter().cloned()).collect();
    if desk.caller.admin {
        let all = || Vec::from(["*".to_owned()]);
        value = Vec::from([Permission { actions: all(), data_actions: all(), ..Permission::default() }]);
    }
    Outcome::reading(Answer::json(200, &json!({"value": value})))
}

/// A name of this provider is a UUID.
pub(super) fn check_guid(what: &str, name: &str) -> Result<(), Answer> {
    let shape = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    if name.len() == 36 && name.bytes().enumerate().all(shape) {
        return Ok(());
    }
    Err(error_at(400, "InvalidRequestUri", "name", &format!("The {what}'s name '{name}' must be a GUID.")))
}

pub(super) fn refuse(code: &str, faults: &Faults) -> Result<(), Answer> {
    if faults.none() {
        Ok(())
    } else {
        let text = format!("The request was refused: {}.", faults.sentence());
        Err(Answer::json(400, &json!({"error": {"code": code, "message": text, "details": details(faults)}})))
    }
}
