//! `/api/weir/v1/principals`: users, service principals, groups, and their tokens (`design.md`, section 8).
//!
//! Decides what a principal may be called and what goes with it when it is deleted; not what it may do
//! (`arm::authorization`).

use super::super::access::tokens::TokenFault;
use super::super::access::{ADMINS, AccessRow, PrincipalKind, PrincipalRow, TokenRow, USERS, tokens};
use super::super::answer::{Answer, Location, ManagementRequest};
use super::super::command::{Change, Desk, Outcome};
use super::super::document::{Faults, Members};
use super::keys::principal_of;
use super::{body, conflict, error, invalid, no_such_route, not_found, wrong_method};
use crate::id::{AccountId, PrincipalId, RequestId};
use crate::ledger::calendar::format_rfc3339;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

/// Most principals of an installation.
pub(in crate::control) const PRINCIPALS_MAX: usize = 100_000;
/// Most members of one group.
pub(in crate::control) const MEMBERS_MAX: usize = 10_000;
/// Longest name, in characters.
const NAME_CHARS_MAX: usize = 256;
/// Ids that mean something else.
pub(in crate::control) const RESERVED_IDS: [&str; 5] = ["admin", "key1", "key2", ADMINS, USERS];

/// Answers one request whose path begins with `/api/weir/v1/principals`; `rest` follows it.
///
/// # Errors
/// The refusal, rendered; nothing is changed then.
pub fn handle(
    desk: &mut Desk<'_>,
    request: &ManagementRequest,
    location: &Location,
    rest: &[&str],
) -> Result<Outcome, Answer> {
    match (request.method.as_str(), rest) {
        ("GET", []) => Ok(list(desk)),
        ("POST", []) => create(desk, location, &body(request)?),
        ("GET", [id]) => Ok(Outcome::reading(Answer::json(200, &shown(find(desk, id)?)))),
        ("PUT", [id]) => put(desk, id, &body(request)?),
        ("DELETE", [id]) => delete(desk, id),
        ("GET", [id, "tokens"]) => Ok(list_tokens(desk, id)),
        ("POST", [id, "tokens"]) => create_token(desk, id, &body(request)?),
        ("DELETE", [id, "tokens", token]) => revoke(desk, id, token),
        (_, [] | [_, "tokens"]) => Err(wrong_method("GET, POST")),
        (_, [_]) => Err(wrong_method("GET, PUT, DELETE")),
        (_, [_, "tokens", _]) => Err(wrong_method("DELETE")),
        (method, _) => Err(no_such_route(method, &location.path)),
    }
}

fn list(desk: &Desk<'_>) -> Outcome {
    let rows: Vec<Value> = desk.state.access.principals.values().map(shown).collect();
    Outcome::reading(Answer::json(200, &json!({"principals": rows})))
}

fn find<'a>(desk: &Desk<'a>, id: &str) -> Result<&'a PrincipalRow, Answer> {
    desk.state.access.principals.get(id).ok_or_else(|| not_found("principal", id))
}

/// `POST …/principals`: 201. An id can be given: that of the `oid` or `sub` by which an issuer's tokens name it.
fn create(desk: &mut Desk<'_>, location: &Location, body: &Map<String, Value>) -> Result<Outcome, Answer> {
    let mut faults = Faults::default();
    let members = Members::root(body);
    let id = match members.text("id", &mut faults) {
        Some(id) => id.to_owned(),
        None => RequestId::from_random(desk.entropy.word()).to_string(),
    };
    let id = PrincipalId::parse(&id).map_err(|problem| faults.note("id", format!("{problem}"))).ok();
    let account =
        location.query("account").map_or_else(|| Ok(AccountId::default_account()), AccountId::parse);
    let account = account.map_err(|problem| faults.note("account", format!("{problem}"))).ok();
    let wish = read(desk, body, None, &mut faults);
    let (Some(id), Some(account), Some((name, kind, members))) = (id, account, wish) else {
        return Err(invalid(&faults));
    };
    let access = &desk.state.access;
    let taken = access.principals.contains_key(id.as_str()) || desk.state.keys.contains_key(id.as_str());
    if taken || RESERVED_IDS.contains(&id.as_str()) {
        return Err(conflict("The id is taken."));
    }
    if access.principals.len() >= PRINCIPALS_MAX {
        return Err(conflict(&format!("There are {PRINCIPALS_MAX} principals already.")));
    }
    let creator = desk.caller.id.clone();
    let row =
        PrincipalRow { id, name, kind, members, account, creator, created_at: desk.now, shown: Map::new() };
    Ok(stored(201, "principal.create", row))
}

/// `PUT …/principals/{id}`: another name, other members.
fn put(desk: &Desk<'_>, id: &str, body: &Map<String, Value>) -> Result<Outcome, Answer> {
    let known = find(desk, id)?;
    let mut faults = Faults::default();
    let Some((name, kind, members)) = read(desk, body, Some(known), &mut faults) else {
        return Err(invalid(&faults));
    };
    let row = PrincipalRow { name, kind, members, ..known.clone() };
    if row == *known {
        return Ok(Outcome::reading(Answer::json(200, &shown(known))));
    }
    Ok(stored(200, "principal.put", row))
}

/// `DELETE …/principals/{id}`: 204. Its tokens, keys, roles and memberships go with it.
fn delete(desk: &Desk<'_>, id: &str) -> Result<Outcome, Answer> {
    let changes = gone(desk, find(desk, id)?);
    Ok(Outcome::writing(Answer::empty(204), "principal.delete", id, changes))
}

/// What changes when a principal is not there any more: its tokens, secrets, keys, roles and memberships go with it.
pub(in crate::control) fn gone(desk: &Desk<'_>, row: &PrincipalRow) -> Vec<Change> {
    let id = row.id.as_str();
    let access = &desk.state.access;
    let mut changes = Vec::from([Change::DropAccess(AccessRow::Principal(row.clone()).key())]);
    let tokens = tokens::of(desk, id).map(|token| AccessRow::Token(token.clone()).key());
    let roles = access.assignments.values().filter(|row| row.principal == id);
    let roles = roles.map(|row| AccessRow::Assignment(row.clone()).key());
    let clients = access.clients.values().filter(|row| row.principal.as_str() == id);
    let clients = clients.map(|row| AccessRow::Client(row.clone()).key());
    changes.extend(tokens.chain(roles).chain(clients).map(Change::DropAccess));
    let keys = desk.state.keys.values().filter(|row| principal_of(row) == id);
    changes.extend(keys.map(|row| Change::DropKey(row.id.as_str().to_owned())));
    for group in access.principals.values().filter(|group| group.members.iter().any(|member| member == id)) {
        let members = group.members.iter().filter(|member| *member != id).cloned().collect();
        changes.push(Change::Access(AccessRow::Principal(PrincipalRow { members, ..group.clone() })));
    }
    changes
}

/// Whether a principal may be called so.
pub(in crate::control) fn is_name(name: &str) -> bool {
    name.chars().count() <= NAME_CHARS_MAX && !name.chars().any(char::is_control)
}

/// Whether another principal of the kind than `own` is called so, but for case.
pub(in crate::control) fn is_taken(
    desk: &Desk<'_>,
    kind: PrincipalKind,
    name: &str,
    own: Option<&str>,
) -> bool {
    let same = |row: &PrincipalRow| {
        row.kind == kind && row.name.eq_ignore_ascii_case(name) && Some(row.id.as_str()) != own
    };
    desk.state.access.principals.values().any(same)
}

/// The members of the group `own`, each once; else the places of those that are no other principal's ids.
pub(in crate::control) fn members<'i>(
    desk: &Desk<'_>,
    own: Option<&str>,
    ids: impl Iterator<Item = &'i str>,
) -> Result<Vec<String>, Vec<usize>> {
    let (mut members, mut wrong) = (Vec::new(), Vec::new());
    for (at, id) in ids.enumerate() {
        if desk.state.access.principals.contains_key(id) && own != Some(id) {
            members.push(id.to_owned());
        } else {
            wrong.push(at);
        }
    }
    members.sort();
    members.dedup();
    if wrong.is_empty() { Ok(members) } else { Err(wrong) }
}

fn stored(status: u16, action: &'static str, row: PrincipalRow) -> Outcome {
    written(Answer::json(status, &shown(&row)), action, row)
}

/// A principal made or changed.
pub(in crate::control) fn written(answer: Answer, action: &'static str, row: PrincipalRow) -> Outcome {
    let target = row.id.as_str().to_owned();
    Outcome::writing(answer, action, &target, Vec::from([Change::Access(AccessRow::Principal(row))]))
}

/// Name, kind and members of a body; what is left out stays as `known` has it.
fn read(
    desk: &Desk<'_>,
    body: &Map<String, Value>,
    known: Option<&PrincipalRow>,
    faults: &mut Faults,
) -> Option<(String, PrincipalKind, Vec<String>)> {
    let body = Members::root(body);
    let name = match known {
        Some(known) if body.get("name").is_none() => Some(known.name.clone()),
        _ => body.required_text("name", faults).map(ToOwned::to_owned),
    };
    let kind = match body.text("kind", faults) {
        Some("user") => PrincipalKind::User,
        Some("service_principal") => PrincipalKind::ServicePrincipal,
        Some("group") => PrincipalKind::Group,
        Some(_) => {
            faults.note("kind", "must be user, service_principal or group");
            PrincipalKind::User
        }
        None => known.map_or(PrincipalKind::User, |known| known.kind),
    };
    if known.is_some_and(|known| known.kind != kind) {
        faults.note("kind", "cannot be changed");
    }
    if let Some(name) = &name {
        if !is_name(name) {
            faults.note("name", "must be at most 256 characters without control characters");
        }
        let taken = is_taken(desk, kind, name, known.map(|known| known.id.as_str()));
        let reserved = kind == PrincipalKind::Group && [ADMINS, USERS].contains(&name.as_str());
        let known = known.is_some_and(|known| known.name == *name);
        if taken || (reserved && !known) {
            faults.note("name", "is the name of another principal of this kind");
        }
    }
    let members = body.texts("members", faults);
    if kind != PrincipalKind::Group && members.as_ref().is_some_and(|members| !members.is_empty()) {
        faults.note("members", "are for groups only");
    }
    let members = match members {
        Some(ids) => read_members(desk, &ids, known, faults),
        None => known.map(|known| known.members.clone()).unwrap_or_default(),
    };
    Some((name?, kind, members)).filter(|_| faults.none())
}

fn read_members(
    desk: &Desk<'_>,
    ids: &[&str],
    known: Option<&PrincipalRow>,
    faults: &mut Faults,
) -> Vec<String> {
    if ids.len() > MEMBERS_MAX {
        faults.note("members", format!("must be at most {MEMBERS_MAX}"));
        return Vec::new();
    }
    let own = known.map(|known| known.id.as_str());
    members(desk, own, ids.iter().copied()).unwrap_or_else(|wrong| {
        for at in wrong {
            faults.note(&format!("members[{at}]"), "is not the id of another principal");
        }
        Vec::new()
    })
}

fn shown(row: &PrincipalRow) -> Value {
    let mut shown = json!({
        "id": row.id, "name": row.name, "kind": row.kind, "account": row.account,
        "created_at": format_rfc3339(row.created_at), "created_by": row.creator,
    });
    if let (PrincipalKind::Group, Some(members)) = (row.kind, shown.as_object_mut()) {
        members.insert("members".to_owned(), json!(row.members));
    }
    shown
}

fn list_tokens(desk: &Desk<'_>, id: &str) -> Outcome {
    let rows: Vec<Value> = tokens::of(desk, id).map(|row| shown_token(row, None)).collect();
    Outcome::reading(Answer::json(200, &json!({"tokens": rows})))
}

/// `POST …/{id}/tokens`: 201 with the text, shown once.
fn create_token(desk: &mut Desk<'_>, id: &str, body: &Map<String, Value>) -> Result<Outcome, Answer> {
    let mut faults = Faults::default();
    let members = Members::root(body);
    let comment = members.text("comment", &mut faults).unwrap_or_default();
    let lifetime = members.integer("lifetime_seconds", &mut faults);
    if !faults.none() {
        return Err(invalid(&faults));
    }
    let (row, text, change) = tokens::create(desk, id, comment, lifetime).map_err(|fault| match fault {
        TokenFault::NoPrincipal => not_found("principal", id),
        TokenFault::TooMany => conflict(&format!("{fault}.")),
        TokenFault::Group | TokenFault::Comment | TokenFault::Lifetime => {
            let path = match fault {
                TokenFault::Comment => "comment",
                TokenFault::Lifetime => "lifetime_seconds",
                TokenFault::Group | TokenFault::NoPrincipal | TokenFault::TooMany => "id",
            };
            faults.note(path, format!("is refused: {fault}"));
            error(400, "InvalidRequest", &format!("The token was refused: {fault}."), &faults)
        }
    })?;
    let answer = Answer::json(201, &shown_token(&row, Some(&text)));
    Ok(Outcome::writing(answer, "token.create", row.id.as_str(), Vec::from([change])))
}

fn revoke(desk: &Desk<'_>, id: &str, token: &str) -> Result<Outcome, Answer> {
    let change = tokens::revoke(desk, id, token).ok_or_else(|| not_found("token", token))?;
    Ok(Outcome::writing(Answer::empty(204), "token.delete", token, Vec::from([change])))
}

fn shown_token(row: &TokenRow, text: Option<&str>) -> Value {
    let mut shown = json!({
        "id": row.id, "principal_id": row.principal, "comment": row.comment,
        "created_at": format_rfc3339(row.created_at), "created_by": row.creator,
        "expires_at": row.expires_at.map(format_rfc3339),
    });
    if let (Some(text), Some(members)) = (text, shown.as_object_mut()) {
        members.insert("token".to_owned(), text.into());
    }
    shown
}
