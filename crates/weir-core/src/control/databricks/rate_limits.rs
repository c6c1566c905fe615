//! Legacy rate limits of an endpoint: calls per minute (`databricks.md`, 6; route M6).
//!
//! Decides which limits are legal; not how they are counted (`control::snapshot` makes limits of them).

use super::super::answer::{Answer, position};
use super::super::command::{Desk, Outcome};
use super::super::document::{Faults, Members};
use super::super::state::RateLimit;
use super::endpoints::{changed, find};
use super::{refuse, show};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

/// Most rate limits of an endpoint (`databricks.md`, 6.2).
const LIMITS_MAX: usize = 20;
/// Most calls a minute that can be asked for.
const CALLS_MAX: u64 = 1_000_000_000;

/// `PUT …/{name}/rate-limits`: replaces the list and echoes it; an empty list removes all limits.
///
/// # Errors
/// 404; 400 naming every fault.
pub fn put(desk: &Desk<'_>, name: &str, body: &Map<String, Value>) -> Result<Outcome, Answer> {
    let (row, spec) = find(desk, name)?;
    let mut faults = Faults::default();
    let limits = read(&Members::root(body), &mut faults).unwrap_or_default();
    refuse(&faults)?;
    let mut spec = spec.clone();
    spec.rate_limits = limits;
    let answer = Answer::json(200, &json!({"rate_limits": show::rate_limits(&spec)}));
    Ok(changed(desk, row, spec, answer, "endpoint.rate_limits"))
}

/// The member `rate_limits`; `None` when there is none.
pub fn read(members: &Members<'_>, faults: &mut Faults) -> Option<Vec<RateLimit>> {
    let list = members.list("rate_limits", faults)?;
    let path = members.path("rate_limits");
    if list.len() > LIMITS_MAX {
        faults.note(&path, format!("must be at most {LIMITS_MAX}"));
    }
    let mut limits: Vec<RateLimit> = Vec::new();
    for (at, item) in list.iter().take(LIMITS_MAX).enumerate() {
        let Some(limit) = read_one(item, &position(&path, at), faults) else { continue };
        if limits.iter().any(|other| other.key == limit.key) {
            let text = format!("is a second limit with key '{}'; give one", limit.key);
            faults.note(&position(&path, at), text);
        }
        limits.push(limit);
    }
    Some(limits)
}

fn read_one(item: &Value, path: &str, faults: &mut Faults) -> Option<RateLimit> {
    let limit = Members::of(item, path, faults)?;
    let key = limit.text("key", faults).unwrap_or("endpoint");
    if key != "user" && key != "endpoint" {
        faults.note(&limit.path("key"), "must be user or endpoint");
    }
    if limit.required_text("renewal_period", faults).is_some_and(|period| period != "minute") {
        faults.note(&limit.path("renewal_period"), "must be minute");
    }
    for member in ["tokens", "principal"] {
        if limit.get(member).is_some() {
            faults.note(&limit.path(member), "is not a member of this kind of rate limit");
        }
    }
    let calls = limit.integer("calls", faults);
    match calls {
        None if limit.get("calls").is_none() => faults.note(&limit.path("calls"), "is required"),
        Some(calls) if calls > CALLS_MAX => {
            faults.note(&limit.path("calls"), format!("must be at most {CALLS_MAX}"));
        }
        None | Some(_) => {}
    }
    let key: String = key.to_owned();
    calls.map(|calls| RateLimit { key, calls })
}
