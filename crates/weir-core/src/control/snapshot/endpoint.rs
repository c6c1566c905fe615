//! What isolates get of a serving endpoint: its entities, its limits, and whether others stand in for one that fails.
//!
//! Decides how models of the catalog become entities, and that limits of both families hold at once: of two that count
//! the same for the same callers the smaller one is the limit. Sources: `databricks.md` 6, 7.4 and 10.8.

use super::MINUTE;
use crate::control::catalog;
use crate::control::databricks::{entity::backend_name, foundation};
use crate::control::state::{AccountState, EndpointSpec, EntityRow, RateLimit};
use crate::snapshot::{Limit, LimitScope, Meter, ServedEntity};
use alloc::string::String;
use alloc::vec::Vec;

/// Its entities and the name of its model; `None` while it does not serve.
pub(super) fn entities(state: &AccountState, spec: &EndpointSpec) -> Option<(Vec<ServedEntity>, String)> {
    let rows = spec.active.as_ref()?.entities.as_slice();
    let (mut entities, mut standby) = (Vec::new(), Vec::new());
    for row in rows {
        match &row.backend {
            Some(backend) => {
                let mut entity = backend.entity.clone();
                (entity.name, entity.weight) = (row.name.clone(), row.share);
                entity.price = catalog::price(state, &entity.provider, &entity.upstream_model);
                entities.push(entity);
            }
            None => of_catalog(state, row, rows.len() == 1, &mut entities, &mut standby),
        }
    }
    let model = match rows.first()?.model().and_then(|name| foundation::model(state, name)) {
        Some(entry) => entry.name.clone(),
        None => entities.first()?.upstream_model.clone(),
    };
    if spec.gateway.fallback() {
        entities.extend(standby);
    }
    Some((entities, model))
}

/// The backends of a catalog model: as the catalog orders them where the endpoint has no other entity; else the first
/// one takes the entity's share, and the others stand by.
fn of_catalog(
    state: &AccountState,
    row: &EntityRow,
    alone: bool,
    entities: &mut Vec<ServedEntity>,
    standby: &mut Vec<ServedEntity>,
) {
    let Some(entry) = row.model().and_then(|name| foundation::model(state, name)) else { return };
    for (at, backend) in entry.backends.iter().enumerate() {
        let mut entity = backend.entity.clone();
        entity.price = entity.price.or_else(|| entry.price.clone());
        entity.name = backend_name(&row.name, at);
        if alone {
            entities.push(entity);
        } else if at == 0 {
            (entity.weight, entity.priority) = (row.share, 0);
            entities.push(entity);
        } else {
            (entity.weight, entity.priority) = (0, 1);
            standby.push(entity);
        }
    }
}

/// Whether the other entities are tried when one fails: if the gateway says so, and always among the backends of one
/// model of the catalog.
pub(super) fn fallback(spec: &EndpointSpec) -> bool {
    let rows = spec.active.as_ref().map(|active| active.entities.as_slice()).unwrap_or_default();
    spec.gateway.fallback() || matches!(rows, [row] if row.backend.is_none())
}

/// Its limits.
pub(super) fn limits(spec: &EndpointSpec) -> Vec<Limit> {
    let mut limits: Vec<Limit> = Vec::new();
    for RateLimit { key, calls, tokens, principal } in
        spec.rate_limits.iter().cloned().chain(spec.gateway.rate_limits())
    {
        let scope = match (key.as_str(), principal) {
            ("user", None) => LimitScope::EachPrincipal,
            ("user" | "service_principal", Some(who)) => LimitScope::Principal(who),
            ("user_group", Some(group)) => LimitScope::Group(group),
            (_, _) => LimitScope::Deployment,
        };
        for (meter, amount) in [(Meter::Requests, calls), (Meter::Tokens, tokens)] {
            let Some(amount) = amount else { continue };
            match limits.iter_mut().find(|limit| limit.meter == meter && limit.scope == scope) {
                Some(limit) if limit.amount <= amount => {}
                Some(limit) => (limit.amount, limit.burst) = (amount, amount),
                None => {
                    let scope = scope.clone();
                    limits.push(Limit { meter, scope, amount, per: MINUTE, burst: amount });
                }
            }
        }
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::state::Gateway;
    use alloc::vec;
    use serde_json::{Value, json};

    fn spec(legacy: &[(&str, u64)], gateway: Value) -> EndpointSpec {
        let Value::Object(gateway) = gateway else { panic!("an object") };
        let legacy = legacy.iter().map(|(key, calls)| RateLimit {
            key: String::from(*key),
            calls: Some(*calls),
            tokens: None,
            principal: None,
        });
        EndpointSpec { rate_limits: legacy.collect(), gateway: Gateway(gateway), ..EndpointSpec::default() }
    }

    #[test]
    fn limits_of_both_families_hold_at_once_and_the_smaller_of_two_alike_stands() {
        let limit = |key: &str, principal: Option<&str>, calls: Option<u64>, tokens: Option<u64>| json!({"key": key, "principal": principal, "calls": calls, "tokens": tokens, "renewal_period": "minute"});
        let gateway = json!({"rate_limits": [
            limit("endpoint", None, Some(50), Some(900)), limit("user", None, Some(20), None),
            limit("user", Some("ana@example.com"), Some(7), None), limit("service_principal", Some("0f"), None, Some(8)),
            limit("user_group", Some("analysts"), Some(9), Some(10)),
        ]});
        let got: Vec<(Meter, LimitScope, u64, u64)> =
            limits(&spec(&[("user", 10), ("endpoint", 100)], gateway))
                .into_iter()
                .map(|limit| (limit.meter, limit.scope, limit.amount, limit.burst))
                .collect();
        let (calls, tokens) = (Meter::Requests, Meter::Tokens);
        assert_eq!(
            got,
            vec![
                (calls, LimitScope::EachPrincipal, 10, 10),
                (calls, LimitScope::Deployment, 50, 50),
                (tokens, LimitScope::Deployment, 900, 900),
                (calls, LimitScope::Principal("ana@example.com".into()), 7, 7),
                (tokens, LimitScope::Principal("0f".into()), 8, 8),
                (calls, LimitScope::Group("analysts".into()), 9, 9),
                (tokens, LimitScope::Group("analysts".into()), 10, 10),
            ]
        );
    }

    #[test]
    fn an_endpoint_falls_back_when_its_gateway_says_so() {
        let rows = [
            (json!({}), false),
            (json!({"fallback_config": {"enabled": false}}), false),
            (json!({"fallback_config": {"enabled": true}}), true),
        ];
        for (gateway, expected) in rows {
            assert_eq!(fallback(&spec(&[], gateway.clone())), expected, "{gateway}");
        }
    }
}
