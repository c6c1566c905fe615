//! The stories that are told: every file of `tests/vectors/control`.

pub(super) const STORIES: &[(&str, &str)] = &[
    ("catalog", include_str!("../../../../../tests/vectors/control/catalog.json")),
    ("keys", include_str!("../../../../../tests/vectors/control/keys.json")),
    ("access", include_str!("../../../../../tests/vectors/control/access.json")),
    ("roles", include_str!("../../../../../tests/vectors/control/roles.json")),
    ("production", include_str!("../../../../../tests/vectors/control/production.json")),
    ("arm", include_str!("../../../../../tests/vectors/control/arm.json")),
    ("serverless", include_str!("../../../../../tests/vectors/control/serverless.json")),
    ("resources", include_str!("../../../../../tests/vectors/control/resources.json")),
    ("deleted", include_str!("../../../../../tests/vectors/control/deleted.json")),
    ("absent", include_str!("../../../../../tests/vectors/control/absent.json")),
    ("identity", include_str!("../../../../../tests/vectors/control/identity.json")),
    ("endpoints", include_str!("../../../../../tests/vectors/control/endpoints.json")),
    ("endpoint_faults", include_str!("../../../../../tests/vectors/control/endpoint_faults.json")),
    ("endpoint_life", include_str!("../../../../../tests/vectors/control/endpoint_life.json")),
    ("endpoint_gateway", include_str!("../../../../../tests/vectors/control/endpoint_gateway.json")),
    ("endpoint_foundation", include_str!("../../../../../tests/vectors/control/endpoint_foundation.json")),
    ("providers", include_str!("../../../../../tests/vectors/control/providers.json")),
    ("contract", include_str!("../../../../../tests/vectors/control/contract.json")),
    ("rai", include_str!("../../../../../tests/vectors/control/rai.json")),
];
