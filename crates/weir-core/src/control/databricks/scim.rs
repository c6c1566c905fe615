//! `/api/2.0/preview/scim/v2/*`: users, groups and service principals as databricks-sdk makes and lists them.
//!
//! Decides the form in which principals are shown and read, and their filters; who there is is one directory for all
//! surfaces (`access`), changes of a document are `scim_patch`'s. Sources: RFC 7643 and 7644, as far as the SDK's IAM
//! service calls them.

use super::super::access::{ADMINS, PrincipalKind, PrincipalRow, USERS};
use super::super::answer::{ADMINISTRATOR, Answer, Location, ManagementRequest};
use super::super::command::{Desk, Outcome};
use super::super::document;
use super::super::weir::principals;
use super::{scim_filter, scim_patch};
use crate::id::{PrincipalId, RequestId};
use crate::sorted::SortedMap;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

/// Attributes that are kept as they are written, beside those that a principal has of its own.
const KEPT: [&str; 7] = ["displayName", "active", "emails", "name", "entitlements", "roles", "externalId"];
/// Entries of a page, where the caller does not say.
const COUNT: usize = 100;

/// Answers one request below `/api/2.0/preview/scim/v2`; `rest` follows it.
///
/// # Errors
/// The refusal in SCIM's form; nothing is changed then.
pub fn handle(
    desk: &mut Desk<'_>,
    request: &ManagementRequest,
    location: &Location,
    rest: &[&str],
) -> Result<Outcome, Answer> {
    let kind = match rest {
        ["Me"] if request.method == "GET" => return Ok(me(desk)),
        ["Users", ..] => PrincipalKind::User,
        ["Groups", ..] => PrincipalKind::Group,
        ["ServicePrincipals", ..] => PrincipalKind::ServicePrincipal,
        _ => return Err(super::no_such_route(&request.method, &location.path)),
    };
    match (request.method.as_str(), rest) {
        ("GET", [_]) => list(desk, location, kind),
        ("POST", [_]) => create(desk, kind, &body(request)?),
        ("GET", [_, id]) => {
            let row = find(desk, kind, id)?;
            Ok(Outcome::reading(Answer::json(200, &Groups::of(desk).shown(&row))))
        }
        ("PUT", [_, id]) => replace(desk, kind, id, &body(request)?),
        ("PATCH", [_, id]) => {
            let mut document = Groups::of(desk).shown(&find(desk, kind, id)?);
            scim_patch::apply(&mut document, &body(request)?)
                .map_err(|text| error(400, "invalidPath", &text))?;
            replace(desk, kind, id, &document.as_object().cloned().unwrap_or_default())
        }
        ("DELETE", [_, id]) => delete(desk, kind, id),
        _ => Err(super::no_such_route(&request.method, &location.path)),
    }
}

/// An error in SCIM's form.
pub fn error(status: u16, kind: &str, detail: &str) -> Answer {
    let mut body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "detail": detail, "status": status.to_string(),
    });
    if let (Some(members), false) = (body.as_object_mut(), kind.is_empty()) {
        members.insert("scimType".to_owned(), kind.into());
    }
    Answer::json(status, &body)
}

fn body(request: &ManagementRequest) -> Result<Map<String, Value>, Answer> {
    document::parse(request.body.as_bytes())
        .map_err(|problem| error(400, "invalidSyntax", &format!("Invalid request: {problem}.")))
}

const fn word(kind: PrincipalKind) -> &'static str {
    match kind {
        PrincipalKind::User => "User",
        PrincipalKind::Group => "Group",
        PrincipalKind::ServicePrincipal => "Service principal",
    }
}

/// The groups that are there without having been made; `admins` becomes a row once it has members.
fn unasked(desk: &Desk<'_>, name: &str) -> Option<PrincipalRow> {
    let id = [ADMINS, USERS].contains(&name).then(|| PrincipalId::parse(name).ok())??;
    Some(PrincipalRow {
        id,
        name: name.to_owned(),
        kind: PrincipalKind::Group,
        members: Vec::new(),
        account: desk.state.account.clone(),
        creator: ADMINISTRATOR.to_owned(),
        created_at: desk.now,
        shown: Map::new(),
    })
}

fn find(desk: &Desk<'_>, kind: PrincipalKind, id: &str) -> Result<PrincipalRow, Answer> {
    let row = desk.state.access.principals.get(id).cloned();
    let row = row.or_else(|| unasked(desk, id)).filter(|row| row.kind == kind);
    row.ok_or_else(|| error(404, "", &format!("{} with id {id} not found.", word(kind))))
}

/// Who is in which groups, found once for an answer.
struct Groups<'a> {
    desk: &'a Desk<'a>,
    of: SortedMap<&'a str, Vec<&'a PrincipalRow>>,
}

impl<'a> Groups<'a> {
    fn of(desk: &'a Desk<'a>) -> Self {
        let mut of: SortedMap<&str, Vec<&PrincipalRow>> = SortedMap::new();
        for group in desk.state.access.principals.values() {
            for member in &group.members {
                of.entry(member).or_default().push(group);
            }
        }
        Self { desk, of }
    }

    /// The principal as a SCIM document.
    fn shown(&self, row: &PrincipalRow) -> Value {
        let schema = match row.kind {
            PrincipalKind::User => "User",
            PrincipalKind::Group => "Group",
            PrincipalKind::ServicePrincipal => "ServicePrincipal",
        };
        let groups = self.of.get(row.id.as_str()).map(Vec::as_slice).unwrap_or_default();
        let group = |group: &&PrincipalRow| json!({"display": group.name, "value": group.id, "type": "direct", "$ref": format!("Groups/{}", group.id)});
        let groups: Vec<Value> = groups.iter().map(group).collect();
        let mut shown = Map::new();
        shown
            .insert("schemas".to_owned(), json!([format!("urn:ietf:params:scim:schemas:core:2.0:{schema}")]));
        shown.insert("id".to_owned(), json!(row.id));
        shown.insert("groups".to_owned(), groups.into());
        match row.kind {
            PrincipalKind::User => {
                shown.insert("userName".to_owned(), json!(row.name));
                shown.insert("displayName".to_owned(), json!(row.name));
                shown.insert("active".to_owned(), json!(true));
                let emails = json!([{"type": "work", "value": row.name, "primary": true}]);
                shown.insert("emails".to_owned(), emails);
            }
            PrincipalKind::ServicePrincipal => {
                shown.insert("applicationId".to_owned(), json!(row.id));
                shown.insert("displayName".to_owned(), json!(row.name));
                shown.insert("active".to_owned(), json!(true));
            }
            PrincipalKind::Group => {
                shown.insert("displayName".to_owned(), json!(row.name));
                shown.insert("meta".to_owned(), json!({"resourceType": "WorkspaceGroup"}));
                let members: Vec<Value> = row.members.iter().map(|id| self.member(id)).collect();
                shown.insert("members".to_owned(), members.into());
            }
        }
        shown.extend(row.shown.clone());
        Value::Object(shown)
    }

    fn member(&self, id: &str) -> Value {
        let known = self.desk.state.access.principals.get(id);
        let list = match known.map(|row| row.kind) {
            Some(PrincipalKind::Group) => "Groups",
            Some(PrincipalKind::ServicePrincipal) => "ServicePrincipals",
            Some(PrincipalKind::User) | None => "Users",
        };
        let display = known.map_or(id, |row| row.name.as_str());
        json!({"display": display, "value": id, "$ref": format!("{list}/{id}")})
    }
}

/// `GET …/Me`: the caller as a user; a service principal's user name is its application id.
fn me(desk: &Desk<'_>) -> Outcome {
    let groups = Groups::of(desk);
    let caller = desk.caller;
    let known = desk.state.access.principals.get(&caller.id).map(|row| groups.shown(row));
    let mut shown = known.unwrap_or_else(|| {
        let admins = json!([{"display": ADMINS, "value": ADMINS, "type": "direct", "$ref": format!("Groups/{ADMINS}")}]);
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "id": caller.id, "displayName": caller.name,
            "userName": caller.name, "active": true, "groups": if caller.admin { admins } else { json!([]) },
        })
    });
    if let Some(members) = shown.as_object_mut().filter(|members| !members.contains_key("userName")) {
        members.insert("userName".to_owned(), json!(caller.id));
    }
    Outcome::reading(Answer::json(200, &shown).with("x-databricks-org-id", "0"))
}

/// `GET` of a list: `filter`, `startIndex` (from 1), `count`, `sortBy`, `sortOrder`, `attributes`.
fn list(desk: &Desk<'_>, location: &Location, kind: PrincipalKind) -> Result<Outcome, Answer> {
    let filter = location.query("filter").unwrap_or_default();
    let filter = scim_filter::Filter::parse(filter).map_err(|text| error(400, "invalidFilter", &text))?;
    let groups = Groups::of(desk);
    let principals = &desk.state.access.principals;
    let made = principals.values().filter(|row| row.kind == kind).map(|row| groups.shown(row));
    let missing = [ADMINS, USERS].into_iter().filter(|name| !principals.contains_key(*name));
    let unasked = missing.filter_map(|name| unasked(desk, name)).filter(|row| row.kind == kind);
    let unasked: Vec<Value> = unasked.map(|row| groups.shown(&row)).collect();
    let mut rows: Vec<Value> = unasked.into_iter().chain(made).filter(|row| filter.holds(row)).collect();
    if let Some(attribute) = location.query("sortBy") {
        rows.sort_by_cached_key(|row| {
            row.get(attribute).and_then(Value::as_str).unwrap_or_default().to_lowercase()
        });
        if location.query("sortOrder").is_some_and(|order| order.eq_ignore_ascii_case("descending")) {
            rows.reverse();
        }
    }
    let number = |name: &str| location.query(name).and_then(|text| text.parse::<usize>().ok());
    let (start, count) = (number("startIndex").unwrap_or(1).max(1), number("count").unwrap_or(COUNT));
    let total = rows.len();
    let mut page: Vec<Value> = rows.into_iter().skip(start.saturating_sub(1)).take(count).collect();
    if let Some(wanted) = location.query("attributes") {
        let wanted: Vec<&str> =
            wanted.split(',').map(|name| name.split('.').next().unwrap_or(name).trim()).collect();
        for members in page.iter_mut().filter_map(Value::as_object_mut) {
            members.retain(|name, _| {
                ["id", "schemas"].contains(&name.as_str()) || wanted.contains(&name.as_str())
            });
        }
    }
    let answer = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"], "totalResults": total,
        "startIndex": start, "itemsPerPage": page.len(), "Resources": page,
    });
    Ok(Outcome::reading(Answer::json(200, &answer)))
}

/// `POST`: 201.
fn create(desk: &mut Desk<'_>, kind: PrincipalKind, body: &Map<String, Value>) -> Result<Outcome, Answer> {
    // A service principal that another issuer knows has the id that this one calls it by.
    let chosen = match kind {
        PrincipalKind::ServicePrincipal => body.get("applicationId").and_then(Value::as_str),
        PrincipalKind::User | PrincipalKind::Group => None,
    };
    let id =
        chosen.map_or_else(|| RequestId::from_random(desk.entropy.word()).to_string(), ToOwned::to_owned);
    let id = PrincipalId::parse(&id)
        .map_err(|problem| error(400, "invalidValue", &format!("The applicationId {problem}.")))?;
    let taken =
        desk.state.access.principals.contains_key(id.as_str()) || desk.state.keys.contains_key(id.as_str());
    if taken || principals::RESERVED_IDS.contains(&id.as_str()) {
        return Err(error(409, "uniqueness", &format!("{} with id {id} already exists.", word(kind))));
    }
    if desk.state.access.principals.len() >= principals::PRINCIPALS_MAX {
        return Err(error(400, "tooMany", "There are too many principals already."));
    }
    let row = PrincipalRow {
        id,
        name: String::new(),
        kind,
        members: Vec::new(),
        account: desk.caller.account.clone(),
        creator: desk.caller.id.clone(),
        created_at: desk.now,
        shown: Map::new(),
    };
    let row = read(desk, row, body)?;
    Ok(stored(desk, 201, "principal.create", row))
}

/// `PUT`, and the end of a `PATCH`.
fn replace(
    desk: &Desk<'_>,
    kind: PrincipalKind,
    id: &str,
    body: &Map<String, Value>,
) -> Result<Outcome, Answer> {
    let known = find(desk, kind, id)?;
    if id == USERS {
        return Err(error(403, "mutability", "Everybody is in the group users; it cannot be changed."));
    }
    let row = read(desk, known.clone(), body)?;
    if id == ADMINS && row.name != ADMINS {
        return Err(error(403, "mutability", "The group admins cannot be renamed."));
    }
    if row == known {
        return Ok(Outcome::reading(Answer::json(200, &Groups::of(desk).shown(&row))));
    }
    Ok(stored(desk, 200, "principal.put", row))
}

/// `DELETE`: 204. What was given to it goes with it.
fn delete(desk: &Desk<'_>, kind: PrincipalKind, id: &str) -> Result<Outcome, Answer> {
    let row = find(desk, kind, id)?;
    if [ADMINS, USERS].contains(&id) {
        return Err(error(403, "mutability", &format!("The group {id} cannot be deleted.")));
    }
    let changes = principals::gone(desk, &row);
    Ok(Outcome::writing(Answer::empty(204), "principal.delete", id, changes))
}

fn stored(desk: &Desk<'_>, status: u16, action: &'static str, row: PrincipalRow) -> Outcome {
    principals::written(Answer::json(status, &Groups::of(desk).shown(&row)), action, row)
}

/// The row that a document describes; what makes it that row stays.
fn read(desk: &Desk<'_>, row: PrincipalRow, body: &Map<String, Value>) -> Result<PrincipalRow, Answer> {
    let invalid = |text: &str| error(400, "invalidValue", text);
    let member = if row.kind == PrincipalKind::User { "userName" } else { "displayName" };
    let name = match body.get(member).and_then(Value::as_str).filter(|name| !name.is_empty()) {
        Some(name) => name.to_owned(),
        None if row.kind == PrincipalKind::ServicePrincipal => row.id.as_str().to_owned(),
        None => return Err(invalid(&format!("{member} is required."))),
    };
    if !principals::is_name(&name) {
        return Err(invalid(&format!("{member} must be at most 256 characters without control characters.")));
    }
    let taken = row.kind != PrincipalKind::ServicePrincipal
        && principals::is_taken(desk, row.kind, &name, Some(row.id.as_str()));
    let reserved = [ADMINS, USERS].contains(&name.as_str()) && row.id.as_str() != name;
    if taken || (reserved && row.kind == PrincipalKind::Group) {
        return Err(error(
            409,
            "uniqueness",
            &format!("{} with name {name} already exists.", word(row.kind)),
        ));
    }
    if body.get("active").is_some_and(|active| !active.is_boolean()) {
        return Err(invalid("active must be true or false."));
    }
    let mut shown = Map::new();
    for attribute in KEPT {
        let own = attribute == "displayName" && row.kind != PrincipalKind::User;
        if let Some(value) = body.get(attribute).filter(|value| !own && !value.is_null()) {
            shown.insert(attribute.to_owned(), value.clone());
        }
    }
    let members = match body.get("members") {
        Some(list) if row.kind == PrincipalKind::Group => read_members(desk, &row, list)?,
        Some(_) | None => Vec::new(),
    };
    Ok(PrincipalRow { name, members, shown, ..row })
}

fn read_members(desk: &Desk<'_>, row: &PrincipalRow, list: &Value) -> Result<Vec<String>, Answer> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    if list.len() > principals::MEMBERS_MAX {
        let text = format!("A group has at most {} members.", principals::MEMBERS_MAX);
        return Err(error(400, "tooMany", &text));
    }
    let id = |item: &'_ Value| item.get("value").and_then(Value::as_str).unwrap_or_default().to_owned();
    let ids: Vec<String> = list.iter().map(id).collect();
    principals::members(desk, Some(row.id.as_str()), ids.iter().map(String::as_str)).map_err(|wrong| {
        let id = wrong.first().and_then(|at| ids.get(*at)).map_or("", String::as_str);
        error(400, "invalidValue", &format!("No other principal has the id '{id}'."))
    })
}
