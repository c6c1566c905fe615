//! The AI gateway of an endpoint (`databricks.md`, 7.1; route M8).
//!
//! Decides what its configuration must hold and when an inference table may change; not what each part does: limits
//! and fallback are compiled into the snapshot, guardrails are content policies.

use super::super::answer::Answer;
use super::super::command::{Desk, Outcome};
use super::super::document::{Faults, Members};
use super::super::guardrails;
use super::super::state::Gateway;
use super::endpoints::{changed, find};
use super::{rate_limits, refuse, show};
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

/// Most keywords or topics of a guardrail, and the longest.
const WORDS_MAX: usize = 1000;
const WORD_BYTES_MAX: usize = 256;
/// What names an inference table.
const TABLE: [&str; 3] = ["catalog_name", "schema_name", "table_name_prefix"];

/// `PUT …/{name}/ai-gateway`: replaces the whole object and answers with it; an empty one removes it.
///
/// # Errors
/// 404; 400 naming every fault, or when an enabled inference table would become another one.
pub fn put(desk: &Desk<'_>, name: &str, body: &Map<String, Value>) -> Result<Outcome, Answer> {
    let (row, spec) = find(desk, name)?;
    let mut faults = Faults::default();
    let gateway = read(&Members::root(body), row.name.as_str(), &mut faults);
    let table = |gateway: &Gateway| gateway.enabled("inference_table_config").cloned();
    if let (Some(old), Some(new)) = (table(&spec.gateway), table(&gateway))
        && TABLE.iter().any(|member| old.get(member) != new.get(member))
    {
        let text = "is enabled, so its catalog, schema and prefix cannot change; disable it first";
        faults.note("inference_table_config", text);
    }
    guardrails::check(desk.state, &gateway, "", &mut faults);
    refuse(&faults)?;
    let mut spec = spec.into_owned();
    spec.gateway = gateway;
    let answer = Answer::json(200, &Value::Object(spec.gateway.0.clone()));
    Ok(changed(desk, &row, spec, answer, "endpoint.ai_gateway"))
}

/// Reads an `ai_gateway` of the endpoint `name`; every fault is noted. Members that are not known are left out.
pub fn read(members: &Members<'_>, name: &str, faults: &mut Faults) -> Gateway {
    let mut shown = Map::new();
    if let Some(guardrails) = members.members("guardrails", faults) {
        let mut sides = Map::new();
        for side in ["input", "output"] {
            if let Some(wish) = guardrails.members(side, faults) {
                sides.insert(side.to_owned(), Value::Object(guardrail(&wish, faults)));
            }
        }
        shown.insert("guardrails".to_owned(), Value::Object(sides));
    }
    if let Some(wish) = members.members("inference_table_config", faults) {
        shown.insert("inference_table_config".to_owned(), Value::Object(table(&wish, name, faults)));
    }
    if let Some(wish) = members.members("usage_tracking_config", faults) {
        let enabled = wish.boolean("enabled", faults).unwrap_or(false);
        shown.insert("usage_tracking_config".to_owned(), json!({"enabled": enabled}));
    }
    if let Some(wish) = members.members("fallback_config", faults) {
        if wish.get("enabled").is_none() {
            faults.note(&wish.path("enabled"), "is required");
        }
        let enabled = wish.boolean("enabled", faults).unwrap_or(false);
        shown.insert("fallback_config".to_owned(), json!({"enabled": enabled}));
    }
    if let Some(limits) = rate_limits::read_gateway(members, faults) {
        let limits: Vec<Value> = limits.iter().map(show::rate_limit).collect();
        shown.insert("rate_limits".to_owned(), Value::Array(limits));
    }
    Gateway(shown)
}

fn guardrail(wish: &Members<'_>, faults: &mut Faults) -> Map<String, Value> {
    let mut shown = Map::new();
    if let Some(safety) = wish.boolean("safety", faults) {
        shown.insert("safety".to_owned(), safety.into());
    }
    if let Some(pii) = wish.members("pii", faults) {
        let behavior = pii.text("behavior", faults).unwrap_or("NONE");
        if !["NONE", "BLOCK", "MASK"].contains(&behavior) {
            faults.note(&pii.path("behavior"), "must be NONE, BLOCK or MASK");
        }
        shown.insert("pii".to_owned(), json!({"behavior": behavior}));
    }
    for member in ["invalid_keywords", "valid_topics"] {
        let Some(words) = wish.texts(member, faults) else { continue };
        let legal = |word: &&str| !word.is_empty() && word.len() <= WORD_BYTES_MAX;
        if words.len() > WORDS_MAX || !words.iter().all(legal) {
            faults.note(&wish.path(member), "must be at most 1000 texts of 1 to 256 bytes");
        }
        shown.insert(member.to_owned(), json!(words));
    }
    shown
}

/// The prefix is the endpoint's name unless another is given.
fn table(wish: &Members<'_>, name: &str, faults: &mut Faults) -> Map<String, Value> {
    let mut shown = Map::new();
    let enabled = wish.boolean("enabled", faults).unwrap_or(false);
    shown.insert("enabled".to_owned(), enabled.into());
    for member in TABLE {
        let text = match wish.text(member, faults) {
            None if member == "table_name_prefix" && enabled => name,
            None => {
                if enabled {
                    faults.note(&wish.path(member), "is required");
                }
                continue;
            }
            Some(text) => text,
        };
        let legal = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        if !(1..=255).contains(&text.len()) || !text.chars().all(legal) {
            faults.note(&wish.path(member), "must be 1 to 255 letters, digits, '_' or '-'");
        }
        shown.insert(member.to_owned(), text.into());
    }
    if let Some(sampling) = wish.get("sampling_fraction") {
        if !sampling.as_f64().is_some_and(|share| (0.0..=1.0).contains(&share)) {
            faults.note(&wish.path("sampling_fraction"), "must be 0 to 1");
        }
        shown.insert("sampling_fraction".to_owned(), sampling.clone());
    }
    shown
}
