//! `GET /api/weir/v1/audit`: who changed what, newest first.
//!
//! Decides the form of the list; not what is remembered (`command::commit`).

use super::super::answer::{Answer, Location};
use super::super::command::{Desk, Outcome};
use super::super::document::Faults;
use super::super::state::AUDIT_ROWS_MAX;
use super::invalid;
use crate::ledger::calendar::format_rfc3339;
use alloc::vec::Vec;
use serde_json::{Value, json};

/// Rows of an answer when the caller does not say.
const ROWS_DEFAULT: u64 = 100;

/// `?limit=` 1 to 1000.
///
/// # Errors
/// The refusal of a limit that is none.
pub fn list(desk: &Desk<'_>, location: &Location) -> Result<Outcome, Answer> {
    let limit = location.query("limit").map_or(Some(ROWS_DEFAULT), |text| text.parse().ok());
    let Some(limit) = limit.filter(|limit| (1..=AUDIT_ROWS_MAX).contains(limit)) else {
        let mut faults = Faults::default();
        faults.note("limit", "must be an integer from 1 to 1000");
        return Err(invalid(&faults));
    };
    let newest = desk.state.audit.iter().rev().take(usize::try_from(limit).unwrap_or(usize::MAX));
    let rows: Vec<Value> = newest
        .map(|(version, row)| {
            json!({
                "version": version, "at": format_rfc3339(row.at), "actor": row.actor,
                "actor_name": desk.state.access.principals.get(&row.actor).map_or(&row.actor, |known| &known.name),
                "action": row.action, "target": row.target,
            })
        })
        .collect();
    Ok(Outcome::reading(Answer::json(200, &json!({"rows": rows}))))
}
