//! SKUs of account deployments, what their capacity is worth, and quota (`azure.md`, B4 and C3).
//!
//! Decides the limits that a capacity gives and whether an account has that much left. Standard SKUs: one unit is 1 000
//! tokens a minute, with 6 requests a minute for every 1 000 tokens, counted in windows of ten seconds. Provisioned
//! SKUs reserve throughput: what one unit is worth is the model's (`catalog::provisioned_unit`), and requests are not
//! counted.

use super::super::answer::Answer;
use super::super::command::Desk;
use super::super::defaults;
use super::super::document::{Faults, Members};
use super::super::state::AccountSpec;
use super::error_at;
use crate::snapshot::{Limit, LimitScope, Meter};
use crate::time::Millis;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Value, json};

/// SKUs whose capacity is thousands of tokens a minute.
pub const STANDARD: [&str; 4] = ["Standard", "GlobalStandard", "DataZoneStandard", "DeveloperTier"];
/// SKUs whose capacity is provisioned throughput units.
pub const PROVISIONED: [&str; 3] =
    ["ProvisionedManaged", "GlobalProvisionedManaged", "DataZoneProvisionedManaged"];
/// Largest capacity: a thousand million tokens a minute.
pub const CAPACITY_MAX: u64 = 1_000_000;
const MINUTE: Millis = Millis::from_secs(60);
const TOKENS_PER_UNIT: u64 = 1_000;
const REQUESTS_PER_UNIT: u64 = 6;

/// Whether a SKU reserves throughput.
pub fn provisioned(sku: &str) -> bool {
    PROVISIONED.contains(&sku)
}

/// The limits of an account deployment; `unit` is what one provisioned unit of its model is worth.
pub fn limits(sku: &str, capacity: u64, unit: u64) -> Vec<Limit> {
    let limit =
        |meter, amount, burst| Limit { meter, scope: LimitScope::Deployment, amount, per: MINUTE, burst };
    if provisioned(sku) {
        let tokens = capacity.saturating_mul(unit);
        return Vec::from([limit(Meter::Tokens, tokens, tokens.max(1))]);
    }
    let tokens = capacity.saturating_mul(TOKENS_PER_UNIT);
    let requests = capacity.saturating_mul(REQUESTS_PER_UNIT);
    Vec::from([
        limit(Meter::Requests, requests, (requests / 6).max(1)),
        limit(Meter::Tokens, tokens, tokens.max(1)),
    ])
}

/// The limits as `properties.rateLimits` shows them: requests in windows of ten seconds, tokens by the minute.
pub fn rate_limits(sku: &str, capacity: u64, unit: u64) -> Vec<Value> {
    let shown = |limit: Limit| match limit.meter {
        Meter::Requests => json!({"key": "request", "renewalPeriod": 10, "count": limit.amount / 6}),
        Meter::Tokens => json!({"key": "token", "renewalPeriod": 60, "count": limit.amount}),
    };
    limits(sku, capacity, unit).into_iter().map(shown).collect()
}

/// Reads `sku`; what a PATCH leaves out is as it was (`known`).
pub fn read_sku(sku: &Members<'_>, known: Option<(&String, u64)>, faults: &mut Faults) -> (String, u64) {
    let name = match known {
        Some((name, _)) if sku.get("name").is_none() => Some(name.as_str()),
        Some(_) | None => sku.required_text("name", faults),
    };
    let mut all = STANDARD.iter().chain(&PROVISIONED);
    let canonical = name.and_then(|name| all.find(|sku| sku.eq_ignore_ascii_case(name)));
    if let (Some(name), None) = (name, canonical) {
        let known = [&STANDARD[..], &PROVISIONED[..]].concat().join(", ");
        faults.note(
            &sku.path("name"),
            format!("is '{name}', which no model can be deployed with; use one of {known}"),
        );
    }
    let capacity =
        sku.integer("capacity", faults).unwrap_or_else(|| known.map_or(1, |(_, capacity)| capacity));
    if !(1..=CAPACITY_MAX).contains(&capacity) {
        faults.note(&sku.path("capacity"), format!("must be 1 to {CAPACITY_MAX}"));
    }
    (canonical.map_or_else(String::new, |name| (*name).to_owned()), capacity)
}

/// What deployments of a model use, in units; those of one SKU, or of all.
pub fn used(desk: &Desk<'_>, model: &str, sku: Option<&str>, but: &str) -> u64 {
    let counts = |spec: &&AccountSpec| {
        spec.model.eq_ignore_ascii_case(model) && sku.is_none_or(|sku| spec.sku.eq_ignore_ascii_case(sku))
    };
    let rows = desk.state.deployments.iter().filter(|(name, _)| !name.eq_ignore_ascii_case(but));
    let specs = rows.filter_map(|(_, row)| row.account()).filter(counts);
    specs.fold(0, |sum, spec| sum.saturating_add(spec.capacity))
}

/// Whether the account may give a deployment this capacity.
///
/// # Errors
/// 400 `InsufficientQuota`.
pub fn check_quota(desk: &Desk<'_>, name: &str, spec: &AccountSpec) -> Result<(), Answer> {
    for (model, sku, quota) in defaults::quotas(desk.state) {
        let same_sku = sku.as_ref().is_none_or(|sku| sku.eq_ignore_ascii_case(&spec.sku));
        if !same_sku || !model.eq_ignore_ascii_case(&spec.model) {
            continue;
        }
        let left = quota.saturating_sub(used(desk, &model, sku.as_deref(), name));
        if spec.capacity > left {
            let text = format!(
                "This operation require {} new capacity in quota Tokens Per Minute (thousands) - {model}, which is bigger \
                 than the current available capacity {left}. The quota limit is {quota}. An administrator can raise it \
                 (PUT /api/weir/v1/defaults).",
                spec.capacity
            );
            return Err(error_at(400, "InsufficientQuota", "sku.capacity", &text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capacity_is_worth_its_limits() {
        let rows = [
            ("Standard", 1, 9, &[(Meter::Requests, 6, 1), (Meter::Tokens, 1_000, 1_000)][..]),
            ("GlobalStandard", 10, 9, &[(Meter::Requests, 60, 10), (Meter::Tokens, 10_000, 10_000)][..]),
            ("ProvisionedManaged", 50, 2_500, &[(Meter::Tokens, 125_000, 125_000)][..]),
            ("GlobalProvisionedManaged", 1, 37_000, &[(Meter::Tokens, 37_000, 37_000)][..]),
        ];
        for (sku, capacity, unit, expected) in rows {
            let got: Vec<_> =
                limits(sku, capacity, unit).iter().map(|l| (l.meter, l.amount, l.burst)).collect();
            assert_eq!(got, expected, "{sku} {capacity}");
        }
    }
}
