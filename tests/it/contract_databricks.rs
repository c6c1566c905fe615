//! The contract with Databricks' clients, rule by rule (`databricks.md`): each row of its table of errors (5.2) and each
//! rule of validation (5.3) has a vector that shows it, and each requirement of the clients (10.6, 11, 12.7, 13) a test.
//!
//! The vectors and tests run elsewhere; here it is asked only whether they are there.

use crate::contract::named;
use std::path::Path;

/// Rows that no vector shows, and why.
const OTHERWISE: &[(&str, &str)] = &[
    ("D5.2.10", "tests/it/guardrails.rs and test_guardrails.py compare the whole message"),
    (
        "D5.2.12",
        "what is too many is INVALID_PARAMETER_VALUE: MLflow turns RESOURCE_LIMIT_EXCEEDED into a 500 (11.4)",
    ),
];

/// Requirement, file of `tests/e2e`, test.
const CLIENTS: &[(&str, &str, &str)] = &[
    ("10.6 databricks-sdk", "test_databricks_queries.py", "test_an_endpoint_that_there_is_not"),
    ("10.6 MLflow", "test_mlflow.py", "test_errors_keep_their_statuses"),
    ("10.6 OpenAI Python", "test_databricks_queries.py", "test_errors_are_read_by_the_client"),
    ("10.6 OpenAI JavaScript", "test_javascript.py", "test_openai_javascript"),
    ("11.1 new style", "test_mlflow.py", "test_the_new_style"),
    ("11.1 legacy style", "test_mlflow.py", "test_the_old_style"),
    ("11.1 a profile", "test_mlflow.py", "test_a_profile_of_the_configuration_file"),
    ("11.5 the client", "test_databricks_queries.py", "test_the_generic_client_lists_gets_and_asks"),
    ("11.5 further routes", "test_databricks_queries.py", "test_its_other_routes"),
    (
        "12.3 waiters",
        "test_databricks_endpoints.py",
        "test_an_update_that_fails_says_why_and_one_can_be_canceled",
    ),
    ("12.6 get_open_ai_client", "test_databricks_queries.py", "test_the_sdks_own_openai_client"),
    ("13.1 both spellings of the slash", "test_mlflow.py", "test_the_new_style"),
    ("13.2 discovery without a token", "test_databricks_identity.py", "test_discovery_needs_no_token"),
    (
        "13.3 config_update in every endpoint",
        "test_databricks_endpoints.py",
        "test_every_member_is_there_and_plaintext_is_not",
    ),
    ("13.4 name in create and update answers", "test_mlflow.py", "test_the_old_style"),
    (
        "13.6 an object where nothing is said",
        "test_databricks_identity.py",
        "test_answers_that_say_nothing_are_objects",
    ),
    ("13.9 data lines only", "test_databricks_queries.py", "test_streams_have_data_lines_only"),
    ("13.10 served-model-name", "test_databricks_queries.py", "test_the_sdk_asks_by_task"),
    (
        "13.11 tags as an object",
        "test_databricks_endpoints.py",
        "test_tags_notifications_documents_logs_and_metrics",
    ),
    (
        "13.12 references shown, plaintext not",
        "test_databricks_identity.py",
        "test_a_secret_is_used_never_shown_and_followed",
    ),
    (
        "13.13 floats though base64 is asked",
        "test_databricks_queries.py",
        "test_chat_embeddings_responses_and_models",
    ),
    (
        "13.14 and 13.15 headers that say nothing",
        "test_databricks_queries.py",
        "test_nothing_depends_on_what_clients_send_beside",
    ),
];

#[test]
fn each_row_of_the_errors_and_each_rule_of_validation_has_a_vector() {
    let named = named();
    for (table, rows) in [("D5.2", 16), ("D5.3", 16)] {
        for row in (1..=rows).map(|row| format!("{table}.{row}")) {
            let otherwise = OTHERWISE.iter().any(|(other, why)| *other == row && !why.is_empty());
            assert_ne!(named.contains_key(&row), otherwise, "{row} must have a vector or a reason, not both");
        }
        let of = |name: &&String| {
            name.strip_prefix(table)
                .and_then(|rest| rest.strip_prefix('.'))
                .is_some_and(|rest| rest.parse::<u32>().is_ok_and(|row| (1..=rows).contains(&row)))
        };
        let strange: Vec<_> =
            named.keys().filter(|name| name.starts_with(table)).filter(|name| !of(name)).collect();
        assert!(strange.is_empty(), "vectors name rows that nobody knows: {strange:?}");
    }
}

#[test]
fn each_requirement_of_the_clients_has_a_test() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e");
    for (requirement, file, test) in CLIENTS {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        assert!(text.contains(&format!("def {test}(")), "{requirement}: {file} has no {test}");
    }
}
