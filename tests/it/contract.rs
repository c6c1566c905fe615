//! The contract's tables of errors, row by row: each row that a gateway can produce has a vector that shows it, and each
//! other one a reason.
//!
//! The vectors run elsewhere (`exchanges`, `bad_input`, and the stories of `weir-core`'s control plane); here it is
//! asked only whether they are there. A vector names its row in the member `row`.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Rows of `azure.md` that have a vector: tables A1, A2, A8, B1, B4, B7, C0 to C5 and C7, in their order.
const SHOWN: &[(&str, &str)] = &[
    ("A1.info", "404 for /info without a model on the resource endpoint"),
    ("A2.unknown", "404 for an unknown api-version"),
    ("A2.missing", "404 for a missing api-version"),
    ("A2.serverless", "a missing api-version is accepted at a serverless host"),
    ("A8.1", "400 no_model_name"),
    ("A8.2", "400 extra member"),
    ("A8.3", "400 bad extra-parameters"),
    ("A8.4", "400 prompt blocked"),
    ("A8.5", "401 wrong key"),
    ("A8.6", "401 no or bad token"),
    ("A8.7", "401 no data action"),
    ("A8.8", "a serverless host without Authorization"),
    ("A8.9", "403 firewall, public access off"),
    ("A8.10", "404 unknown route"),
    ("A8.11", "404 unknown deployment"),
    ("A8.12", "404 unknown serverless host"),
    ("A8.13", "404 modality"),
    ("A8.14", "5xx"),
    ("A8.15", "413 body too large"),
    ("A8.16", "422 parameter or value"),
    ("A8.422.1", "422 of an upstream, as documented"),
    ("A8.422.2", "422 of an upstream, FastAPI's"),
    ("A8.422.3", "422 of an upstream, in the envelope"),
    ("A8.18", "429"),
    ("B1.missing", "404 for a missing api-version"),
    ("B1.unknown", "404 for an unknown api-version"),
    ("B1.typed", "404 for a model's version in its place"),
    ("B4.utilization", "how full reserved throughput is"),
    ("B4.never", "429 without Retry-After for what never fits"),
    ("B7.1", "400 content_filter"),
    ("B7.2", "400 context_length_exceeded"),
    ("B7.3", "400 of a parameter, of an operation"),
    ("B7.4", "401 wrong key"),
    ("B7.5", "401 no key and no token"),
    ("B7.6", "401 PermissionDenied"),
    ("B7.7", "403 address"),
    ("B7.8", "403 public access off"),
    ("B7.9", "403 AuthenticationTypeDisabled"),
    ("B7.10", "404 DeploymentNotFound"),
    ("B7.11", "404 unknown route"),
    ("B7.12", "409 of an upstream"),
    ("B7.14", "429"),
    ("B7.16", "500, 503"),
    ("C0.version.1", "400 MissingApiVersionParameter"),
    ("C0.version.2", "400 InvalidApiVersionParameter"),
    ("C0.version.3", "400 NoRegisteredProviderFound"),
    ("C0.1", "400 UserError, InvalidRequestContent, InsufficientQuota"),
    ("C0.2", "401 AuthenticationFailed, InvalidAuthenticationToken, ExpiredAuthenticationToken"),
    ("C0.3", "403 AuthorizationFailed"),
    ("C0.4", "404"),
    ("C0.5", "405"),
    ("C0.7", "409 Conflict"),
    ("C0.8", "412 PreconditionFailed"),
    ("C1.4.name", "the name on PUT"),
    ("C1.4.name.old", "the name on the other verbs"),
    ("C1.4.unique", "a name that is taken in the region"),
    ("C1.4.version", "a model id with a version"),
    ("C1.4.count", "one endpoint for each model and project"),
    ("C1.4.subscription", "a model that needs a subscription"),
    ("C1.4.region", "a region without the model"),
    ("C1.4.catalog", "a model that is not offered"),
    ("C2.version", "a subscription's model id with a version"),
    ("C2.suspended", "403 for an endpoint whose subscription is gone"),
    ("C3.spillover", "429 of provisioned throughput goes elsewhere"),
    ("C4.inuse", "409 for a policy or blocklist in use"),
    ("C5.subscribe", "403 without the permissions to subscribe"),
    ("C5.condition", "400 for a condition"),
    ("C5.duplicate", "409 RoleAssignmentExists"),
    ("C5.deny", "no deny assignment can be written"),
    ("C7.pass", "an address of the rules passes"),
    ("C7.order", "network rules come before the key"),
];

/// Rows that this gateway does not produce.
const NOT_OURS: &[(&str, &str)] = &[
    ("A8.17", "424 is unconfirmed; a model's failure is 500, 502, 503 or 504 here"),
    ("B7.13", "424 is unconfirmed; as A8.17"),
    ("B7.15", "codes of further limiters in front of Azure's own; there is one limiter here"),
    (
        "C0.6",
        "409 RequestConflict: an account's commands are taken one by one and each is complete when answered",
    ),
    ("C0.9", "429 of Resource Manager: management requests are not limited in their rate"),
];

/// The rows that vectors name, with how many do.
pub(crate) fn named() -> BTreeMap<String, u32> {
    let mut rows = BTreeMap::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "json") {
                let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
                for vector in ["rows", "steps"].iter().filter_map(|list| file[list].as_array()).flatten() {
                    if let Some(row) = vector["row"].as_str() {
                        *rows.entry(row.to_owned()).or_default() += 1;
                    }
                }
            }
        }
    }
    rows
}

#[test]
fn each_row_of_the_contracts_errors_has_a_vector_or_a_reason() {
    let named = named();
    let missing: Vec<_> = SHOWN.iter().filter(|(row, _)| !named.contains_key(*row)).collect();
    assert!(missing.is_empty(), "no vector shows {missing:?}");
    let known: BTreeSet<&str> = SHOWN.iter().map(|(row, _)| *row).collect();
    // Rows of other contracts are told by another first word.
    let azure = |row: &&String| row.starts_with(|c: char| "ABC".contains(c));
    let strange: Vec<_> = named.keys().filter(azure).filter(|row| !known.contains(row.as_str())).collect();
    assert!(strange.is_empty(), "vectors name rows that nobody knows: {strange:?}");
    assert!(NOT_OURS.iter().all(|(row, why)| !known.contains(row) && !why.is_empty()));
    // The tables of errors have so many rows; none is left out.
    for (table, rows) in [("A8.", 18), ("B7.", 16), ("C0.", 9)] {
        let of = |list: &[(&str, &str)]| {
            let number = |row: &&(&str, &str)| {
                row.0.strip_prefix(table).is_some_and(|rest| rest.parse::<u32>().is_ok_and(|n| n <= rows))
            };
            list.iter().filter(number).count()
        };
        assert_eq!(of(SHOWN) + of(NOT_OURS), usize::try_from(rows).unwrap(), "{table}");
    }
}
