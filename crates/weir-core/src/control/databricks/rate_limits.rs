//! Rate limits of an endpoint, in both families: the legacy one of calls (route M6) and the AI gateway's of calls and
//! tokens (`databricks.md`, 6).
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
/// Most of them that are groups'.
const GROUP_LIMITS_MAX: usize = 5;
/// Most calls or tokens a minute that can be asked for.
const AMOUNT_MAX: u64 = 1_000_000_000;
/// Longest name of a principal.
const PRINCIPAL_BYTES_MAX: usize = 256;

/// `PUT …/{name}/rate-limits`: replaces the list and echoes it; an empty list removes all limits.
///
/// # Errors
/// 404; 400 naming every fault.
pub fn put(desk: &Desk<'_>, name: &str, body: &Map<String, Value>) -> Result<Outcome, Answer> {
    let (row, spec) = find(desk, name)?;
    let mut faults = Faults::default();
    let limits = read(&Members::root(body), &mut faults).unwrap_or_default();
    refuse(&faults)?;
    let mut spec = spec.into_owned();
    spec.rate_limits = limits;
    let shown: Vec<Value> = spec.rate_limits.iter().map(show::rate_limit).collect();
    let answer = Answer::json(200, &json!({"rate_limits": shown}));
    Ok(changed(desk, &row, spec, answer, "endpoint.rate_limits"))
}

/// The legacy member `rate_limits`; `None` when there is none.
pub fn read(members: &Members<'_>, faults: &mut Faults) -> Option<Vec<RateLimit>> {
    read_list(members, false, faults)
}

/// The AI gateway's member `rate_limits`; `None` when there is none.
pub fn read_gateway(members: &Members<'_>, faults: &mut Faults) -> Option<Vec<RateLimit>> {
    read_list(members, true, faults)
}

fn read_list(members: &Members<'_>, gateway: bool, faults: &mut Faults) -> Option<Vec<RateLimit>> {
    let list = members.list("rate_limits", faults)?;
    let path = members.path("rate_limits");
    if list.len() > LIMITS_MAX {
        faults.note(&path, format!("must be at most {LIMITS_MAX}"));
    }
    let mut limits: Vec<RateLimit> = Vec::new();
    for (at, item) in list.iter().take(LIMITS_MAX).enumerate() {
        let path = position(&path, at);
        let Some(limit) = Members::of(item, &path, faults) else { continue };
        let Some(limit) = read_one(&limit, gateway, faults) else { continue };
        let twice = |other: &RateLimit| {
            other.key == limit.key
                && other.principal == limit.principal
                && (other.calls.is_some() && limit.calls.is_some()
                    || other.tokens.is_some() && limit.tokens.is_some())
        };
        if limits.iter().any(twice) {
            faults.note(&path, format!("is a second limit with key '{}'; give one", limit.key));
        }
        limits.push(limit);
    }
    let groups = limits.iter().filter(|limit| limit.key == "user_group").count();
    if groups > GROUP_LIMITS_MAX {
        faults.note(&path, format!("must have at most {GROUP_LIMITS_MAX} limits of groups"));
    }
    Some(limits)
}

fn read_one(limit: &Members<'_>, gateway: bool, faults: &mut Faults) -> Option<RateLimit> {
    let key = limit.text("key", faults).unwrap_or("endpoint");
    let known: &[&str] = if gateway {
        &["user", "endpoint", "user_group", "service_principal"]
    } else {
        &["user", "endpoint"]
    };
    if !known.contains(&key) {
        let (last, others) = known.split_last()?;
        faults.note(&limit.path("key"), format!("must be {} or {last}", others.join(", ")));
    }
    if limit.required_text("renewal_period", faults).is_some_and(|period| period != "minute") {
        faults.note(&limit.path("renewal_period"), "must be minute");
    }
    let mut tokens = None;
    let mut principal = None;
    if gateway {
        tokens = amount(limit, "tokens", faults);
        principal = limit.text("principal", faults);
        match principal {
            Some(name) if name.is_empty() || name.len() > PRINCIPAL_BYTES_MAX => {
                faults.note(&limit.path("principal"), "must be 1 to 256 bytes");
            }
            Some(_) if key == "endpoint" => {
                faults.note(&limit.path("principal"), "must not be given with the key endpoint");
            }
            None if key == "user_group" || key == "service_principal" => {
                faults.note(&limit.path("principal"), format!("is required with the key {key}"));
            }
            Some(_) | None => {}
        }
    } else {
        for member in ["tokens", "principal"].into_iter().filter(|member| limit.get(member).is_some()) {
            faults.note(&limit.path(member), "is not a member of this kind of rate limit");
        }
    }
    let calls = amount(limit, "calls", faults);
    if limit.get("calls").is_none() && (!gateway || limit.get("tokens").is_none()) {
        let text = if gateway { "is required, or tokens" } else { "is required" };
        faults.note(&limit.path("calls"), text);
    }
    let principal = principal.map(ToOwned::to_owned);
    Some(RateLimit { key: key.to_owned(), calls, tokens, principal })
}

fn amount(limit: &Members<'_>, member: &str, faults: &mut Faults) -> Option<u64> {
    let amount = limit.integer(member, faults)?;
    if amount > AMOUNT_MAX {
        faults.note(&limit.path(member), format!("must be at most {AMOUNT_MAX}"));
    }
    Some(amount)
}
