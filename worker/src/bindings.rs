//! Secrets and variables of the deployment as core's settings.
//!
//! Decides only their names: `WEIR_ADMIN_TOKEN`, `WEIR_SEAL_KEY` (secrets), `WEIR_ALLOW_PRIVATE_UPSTREAMS`,
//! `WEIR_DEV`, `WEIR_PUBLIC_URL` (variables). Stage: shell.

use crate::host;
use weir_core::control::Settings;
use worker::Env;

/// The settings of this deployment; an absent name is an absent setting.
pub(crate) fn settings(env: &Env) -> Settings {
    let text = |name: &str| {
        let value = env.var(name).map(|value| value.to_string()).unwrap_or_default();
        Some(value).filter(|value| !value.is_empty())
    };
    let is_true = |name: &str| text(name).is_some_and(|value| value == "true");
    Settings {
        admin_token_hash: text("WEIR_ADMIN_TOKEN").and_then(|token| host::token_hash(&token)),
        seal_key: text("WEIR_SEAL_KEY").and_then(|key| host::seal_key(&key)),
        allow_private_upstreams: is_true("WEIR_ALLOW_PRIVATE_UPSTREAMS"),
        dev: is_true("WEIR_DEV"),
        public_url: text("WEIR_PUBLIC_URL"),
    }
}
