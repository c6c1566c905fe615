//! What an administrator may set: the limits of serverless endpoints, quotas of account deployments, and whether
//! serving endpoints may have several external models and who may make them.
//!
//! Decides their defaults (`azure.md`, A6: 200 000 tokens and 1 000 requests a minute, one deployment for each model
//! and project; C3: quota in thousands of tokens a minute for each model) and how the document
//! `/api/weir/v1/defaults` is read; not how limits are counted (`limit`).

use super::document::{Faults, Members};
use super::state::AccountState;
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

/// The document's key.
pub const KEY: &str = "defaults";
/// Largest amount of a limit.
const AMOUNT_MAX: u64 = 1_000_000_000_000;
/// Most quotas.
const QUOTAS_MAX: usize = 1000;
/// The limits of serverless endpoints with their defaults.
const SERVERLESS: [(&str, u64); 3] =
    [("tokens_per_minute", 200_000), ("requests_per_minute", 1_000), ("endpoints_per_model", 1)];

/// Limits of the serverless endpoints of one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Serverless {
    /// Tokens that each endpoint may use a minute.
    pub tokens_per_minute: u64,
    /// Requests that each endpoint may take a minute.
    pub requests_per_minute: u64,
    /// Endpoints that one model may have in the account.
    pub endpoints_per_model: u64,
}

/// The limits of serverless endpoints in force. An endpoint of its own name in `endpoints` has its own.
pub fn serverless(state: &AccountState, endpoint: &str) -> Serverless {
    let document = state.documents.get(KEY);
    let own = document.and_then(|document| document["endpoints"].get(endpoint));
    let all = document.map(|document| &document["serverless"]);
    let [tokens, requests, endpoints] = SERVERLESS.map(|(name, default)| {
        let set = |from: Option<&Value>| from.and_then(|from| from.get(name)?.as_u64());
        set(own).or_else(|| set(all)).unwrap_or(default)
    });
    Serverless { tokens_per_minute: tokens, requests_per_minute: requests, endpoints_per_model: endpoints }
}

/// Whether serving endpoints may have one external model only, as Databricks once had it (`databricks.md`, 3.4).
pub fn one_external_model(state: &AccountState) -> bool {
    let own = state.documents.get(KEY).and_then(|document| document.get("serving_endpoints"));
    own.and_then(|own| own.get("one_external_model")) == Some(&Value::Bool(true))
}

/// Whether every user of a workspace may make serving endpoints, as at Databricks, and so manages them. Otherwise who
/// has the right in the account.
pub fn users_make_endpoints(state: &AccountState) -> bool {
    let own = state.documents.get(KEY).and_then(|document| document.get("serving_endpoints"));
    own.and_then(|own| own.get("users_create")) != Some(&Value::Bool(false))
}

/// The quota of a model under a SKU, in units of capacity; none if the administrator set none. A quota that names no
/// SKU holds for all of them together.
pub fn quotas(state: &AccountState) -> Vec<(String, Option<String>, u64)> {
    let list = state.documents.get(KEY).and_then(|document| document["quotas"].as_array());
    let quota = |row: &Value| {
        let sku = row["sku"].as_str().map(ToOwned::to_owned);
        Some((row["model"].as_str()?.to_owned(), sku, row["capacity"].as_u64()?))
    };
    list.into_iter().flatten().filter_map(quota).collect()
}

/// The document in force, with what was not set.
pub fn shown(state: &AccountState) -> Value {
    let stored = state.documents.get(KEY);
    let all = serverless(state, "");
    json!({
        "serverless": {
            "tokens_per_minute": all.tokens_per_minute, "requests_per_minute": all.requests_per_minute,
            "endpoints_per_model": all.endpoints_per_model,
        },
        "endpoints": stored.map_or_else(|| json!({}), |document| document["endpoints"].clone()),
        "quotas": stored.map_or_else(|| json!([]), |document| document["quotas"].clone()),
        "serving_endpoints": {
            "one_external_model": one_external_model(state), "users_create": users_make_endpoints(state),
        },
    })
}

/// Reads a document; every fault is noted.
pub fn read(body: &Map<String, Value>, faults: &mut Faults) -> Value {
    let members = Members::root(body);
    known(&members, &["serverless", "endpoints", "quotas", "serving_endpoints"], faults);
    let serverless = members.members("serverless", faults);
    let serverless = serverless.map_or_else(|| json!({}), |map| amounts(&map, &SERVERLESS, faults));
    let mut endpoints = Map::new();
    if let Some(map) = members.members("endpoints", faults) {
        for name in map.names() {
            if let Some(own) = map.members(name, faults) {
                let limits = SERVERLESS.get(..2).unwrap_or_default();
                endpoints.insert(name.to_ascii_lowercase(), amounts(&own, limits, faults));
            }
        }
    }
    let list = members.list("quotas", faults).map(Vec::as_slice).unwrap_or_default();
    if list.len() > QUOTAS_MAX {
        faults.note("quotas", "must be at most 1000");
    }
    let mut quotas = Vec::new();
    for (at, item) in list.iter().enumerate() {
        let Some(quota) = Members::of(item, &super::answer::position("quotas", at), faults) else { continue };
        known(&quota, &["model", "sku", "capacity"], faults);
        let model = quota.required_text("model", faults);
        let sku = quota.text("sku", faults);
        let capacity = quota.integer("capacity", faults);
        if capacity.is_none() {
            faults.note(&quota.path("capacity"), "must be a number of units of capacity");
        }
        let mut row = json!({"model": model, "capacity": capacity});
        if let (Some(sku), Some(row)) = (sku, row.as_object_mut()) {
            row.insert("sku".to_owned(), sku.into());
        }
        quotas.push(row);
    }
    let own = members.members("serving_endpoints", faults);
    if let Some(own) = &own {
        known(own, &["one_external_model", "users_create"], faults);
    }
    let one = own.as_ref().and_then(|own| own.boolean("one_external_model", faults)).unwrap_or(false);
    let users = own.and_then(|own| own.boolean("users_create", faults)).unwrap_or(true);
    json!({
        "serverless": serverless, "endpoints": endpoints, "quotas": quotas,
        "serving_endpoints": {"one_external_model": one, "users_create": users},
    })
}

fn known(members: &Members<'_>, names: &[&str], faults: &mut Faults) {
    for name in members.names().filter(|name| !names.contains(name)) {
        faults.note(&members.path(name), "is unknown");
    }
}

fn amounts(members: &Members<'_>, limits: &[(&str, u64)], faults: &mut Faults) -> Value {
    let mut amounts = Map::new();
    for name in members.names() {
        if !limits.iter().any(|(known, _)| *known == name) {
            faults.note(&members.path(name), "is unknown");
        } else if let Some(amount) = members.integer(name, faults) {
            if amount > AMOUNT_MAX {
                faults.note(&members.path(name), "is too large");
            }
            amounts.insert(name.to_owned(), amount.into());
        }
    }
    Value::Object(amounts)
}
