//! `/api/2.0/token-management/*`: tokens of all principals, and tokens made on behalf of service principals.
//!
//! Decides the wire of databricks-sdk's `token_management`; not what a token is (`access::tokens`) nor who may ask
//! (`access::needed`).

use super::super::access::tokens::{self, TokenFault};
use super::super::access::{AccessRow, PrincipalKind, TokenRow};
use super::super::answer::{Answer, Location};
use super::super::command::{Change, Desk, Outcome};
use super::super::document::{Faults, Members};
use super::{error, refuse};
use crate::seal::digest;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

/// `POST on-behalf-of/tokens` with `application_id`, `comment`, `lifetime_seconds`.
///
/// # Errors
/// 400 naming every fault; 404 for an application that is no service principal's.
pub fn create(desk: &mut Desk<'_>, body: &Map<String, Value>) -> Result<Outcome, Answer> {
    let mut faults = Faults::default();
    let members = Members::root(body);
    let id = members.required_text("application_id", &mut faults).unwrap_or_default();
    let comment = members.text("comment", &mut faults).unwrap_or_default();
    let for_ever = members.get("lifetime_seconds").and_then(Value::as_i64) == Some(-1);
    let lifetime = if for_ever { None } else { members.integer("lifetime_seconds", &mut faults) };
    refuse(&faults)?;
    let principal = desk.state.access.principals.get(id);
    if principal.is_none_or(|row| row.kind != PrincipalKind::ServicePrincipal) {
        let text = format!("Service principal with application id {id} does not exist.");
        return Err(error(404, "RESOURCE_DOES_NOT_EXIST", &text));
    }
    let (row, text, change) = tokens::create(desk, id, comment, lifetime).map_err(|fault| match fault {
        TokenFault::TooMany => error(400, "QUOTA_EXCEEDED", &format!("{fault}")),
        TokenFault::NoPrincipal | TokenFault::Group | TokenFault::Comment | TokenFault::Lifetime => {
            error(400, "INVALID_PARAMETER_VALUE", &format!("{fault}"))
        }
    })?;
    let answer = json!({"token_value": text, "token_info": shown(desk, &row)});
    Ok(Outcome::writing(Answer::json(200, &answer), "token.create", row.id.as_str(), Vec::from([change])))
}

/// `GET tokens`, of all or by `created_by_id` or `created_by_username`.
pub fn list(desk: &Desk<'_>, location: &Location) -> Outcome {
    let (id, name) = (location.query("created_by_id"), location.query("created_by_username"));
    let wanted = |row: &&TokenRow| {
        id.is_none_or(|id| row.creator == id || number_of(&row.creator).to_string() == id)
            && name.is_none_or(|name| name_of(desk, &row.creator).eq_ignore_ascii_case(name))
    };
    let rows = desk.state.access.tokens.values().filter(wanted);
    let infos: Vec<Value> = rows.map(|row| shown(desk, row)).collect();
    Outcome::reading(Answer::json(200, &json!({"token_infos": infos})))
}

/// `GET tokens/{id}`.
///
/// # Errors
/// 404.
pub fn get(desk: &Desk<'_>, id: &str) -> Result<Outcome, Answer> {
    let row = find(desk, id)?;
    Ok(Outcome::reading(Answer::json(200, &json!({"token_info": shown(desk, row)}))))
}

/// `DELETE tokens/{id}`: `{}`.
///
/// # Errors
/// 404.
pub fn delete(desk: &Desk<'_>, id: &str) -> Result<Outcome, Answer> {
    let change = Change::DropAccess(AccessRow::Token(find(desk, id)?.clone()).key());
    Ok(Outcome::writing(Answer::json(200, &json!({})), "token.delete", id, Vec::from([change])))
}

fn find<'a>(desk: &Desk<'a>, id: &str) -> Result<&'a TokenRow, Answer> {
    desk.state
        .access
        .tokens
        .get(id)
        .ok_or_else(|| error(404, "RESOURCE_DOES_NOT_EXIST", &format!("Token with id {id} does not exist.")))
}

fn name_of<'a>(desk: &Desk<'a>, id: &'a str) -> &'a str {
    desk.state.access.principals.get(id).map_or(id, |row| row.name.as_str())
}

/// A number for a principal: here, and only here, clients read ids as integers. It is the same as long as the id is.
fn number_of(id: &str) -> u64 {
    let hash = digest(id.as_bytes());
    hash.first_chunk::<6>().map_or(0, |bytes| bytes.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)))
}

fn shown(desk: &Desk<'_>, row: &TokenRow) -> Value {
    let expiry = row.expires_at.map_or_else(|| json!(-1), |end| json!(end.0));
    json!({
        "token_id": row.id, "creation_time": row.created_at.0, "expiry_time": expiry, "comment": row.comment,
        "owner_id": number_of(row.principal.as_str()), "created_by_id": number_of(&row.creator), "created_by_username": name_of(desk, &row.creator),
    })
}
