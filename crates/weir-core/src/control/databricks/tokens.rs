//! `/api/2.0/token/*`: the caller's own tokens.
//!
//! Decides the wire of the token API (databricks-sdk `tokens.create`, `list`, `delete`); not what a token is
//! (`access::tokens`).

use super::super::access::TokenRow;
use super::super::access::tokens::{self, TokenFault};
use super::super::answer::Answer;
use super::super::command::{Desk, Outcome};
use super::super::document::{Faults, Members};
use super::{error, refuse};
use alloc::format;
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

/// `POST create` with `comment`, `lifetime_seconds` (none or -1: for ever).
///
/// # Errors
/// 400 naming every fault; 403 for a caller that cannot have tokens.
pub fn create(desk: &mut Desk<'_>, body: &Map<alloc::string::String, Value>) -> Result<Outcome, Answer> {
    let mut faults = Faults::default();
    let members = Members::root(body);
    let comment = members.text("comment", &mut faults).unwrap_or_default();
    let for_ever = members.get("lifetime_seconds").and_then(Value::as_i64) == Some(-1);
    let lifetime = if for_ever { None } else { members.integer("lifetime_seconds", &mut faults) };
    refuse(&faults)?;
    let caller = desk.caller;
    let (row, text, change) =
        tokens::create(desk, &caller.id, comment, lifetime).map_err(|fault| match fault {
            TokenFault::NoPrincipal | TokenFault::Group => error(
                403,
                "PERMISSION_DENIED",
                "Only a user or service principal has tokens; this caller is a key.",
            ),
            TokenFault::TooMany => error(400, "QUOTA_EXCEEDED", &format!("{fault}")),
            TokenFault::Comment | TokenFault::Lifetime => {
                error(400, "INVALID_PARAMETER_VALUE", &format!("{fault}"))
            }
        })?;
    let answer = json!({"token_value": text, "token_info": shown(&row)});
    Ok(Outcome::writing(Answer::json(200, &answer), "token.create", row.id.as_str(), Vec::from([change])))
}

/// `GET list`.
pub fn list(desk: &Desk<'_>) -> Outcome {
    let infos: Vec<Value> = tokens::of(desk, &desk.caller.id).map(shown).collect();
    Outcome::reading(Answer::json(200, &json!({"token_infos": infos})))
}

/// `POST delete` with `token_id`.
///
/// # Errors
/// 404 when it is not one of the caller's.
pub fn delete(desk: &Desk<'_>, body: &Map<alloc::string::String, Value>) -> Result<Outcome, Answer> {
    let mut faults = Faults::default();
    let id = Members::root(body).required_text("token_id", &mut faults).unwrap_or_default();
    refuse(&faults)?;
    let change = tokens::revoke(desk, &desk.caller.id, id).ok_or_else(|| {
        error(404, "RESOURCE_DOES_NOT_EXIST", &format!("Token with id {id} does not exist."))
    })?;
    Ok(Outcome::writing(Answer::json(200, &json!({})), "token.delete", id, Vec::from([change])))
}

fn shown(row: &TokenRow) -> Value {
    let expiry = row.expires_at.map_or_else(|| json!(-1), |end| json!(end.0));
    json!({"token_id": row.id, "creation_time": row.created_at.0, "expiry_time": expiry, "comment": row.comment})
}
