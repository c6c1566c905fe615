//! Secrets and variables of the deployment as core's settings.
//!
//! Decides only their names: `WEIR_ADMIN_TOKEN`, `WEIR_SEAL_KEY` (secrets), `WEIR_ALLOW_PRIVATE_UPSTREAMS`,
//! `WEIR_DEV`, `WEIR_STRICT_MARKETPLACE`, `WEIR_OIDC_ISSUER`,
//! `WEIR_OIDC_AUDIENCES`, `WEIR_PUBLIC_URL`, `WEIR_TEST_PANICS` (variables). Stage: shell.

use crate::{host, panics};
use weir_core::control::Settings;
use weir_core::snapshot::access::Issuer;
use worker::Env;

/// The settings of this deployment; an absent name is an absent setting.
pub(crate) fn settings(env: &Env) -> Settings {
    let text = |name: &str| text(env, name);
    let is_true = |name: &str| is_true(env, name);
    Settings {
        admin_token_hash: text("WEIR_ADMIN_TOKEN").and_then(|token| host::token_hash(&token)),
        seal_key: text("WEIR_SEAL_KEY").and_then(|key| host::seal_key(&key)),
        allow_private_upstreams: is_true("WEIR_ALLOW_PRIVATE_UPSTREAMS"),
        dev: is_true("WEIR_DEV"),
        issuer: text("WEIR_OIDC_ISSUER").map(|issuer| {
            let audiences = text("WEIR_OIDC_AUDIENCES").unwrap_or_default();
            let audiences = audiences.split([',', ' ']).filter(|name| !name.is_empty());
            Issuer { issuer, audiences: audiences.map(String::from).collect() }
        }),
        strict_marketplace: is_true("WEIR_STRICT_MARKETPLACE"),
        public_url: text("WEIR_PUBLIC_URL"),
    }
}

/// Whether requests may ask for a panic; never outside tests.
pub(crate) fn test_panics(env: &Env) -> bool {
    is_true(env, panics::VARIABLE)
}

fn text(env: &Env, name: &str) -> Option<String> {
    let value = env.var(name).map(|value| value.to_string()).unwrap_or_default();
    Some(value).filter(|value| !value.is_empty())
}

fn is_true(env: &Env, name: &str) -> bool {
    text(env, name).is_some_and(|value| value == "true")
}
