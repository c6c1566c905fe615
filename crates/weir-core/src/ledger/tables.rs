//! Rows of Databricks' tables about requests (`databricks.md`, 7.5 and 7.6), from the ledger's records.
//!
//! Decides the columns of `system.serving.endpoint_usage` and of an inference table, as JSON and CSV; not which records
//! are asked for ([`super::requests`]). A workspace is the account's own: Weir has one of each under one name. Characters
//! are those of texts. `served_entity_id` is the endpoint's name, `/` and the entity's.

use super::calendar::format_rfc3339;
use super::render::{csv_field, csv_line};
use crate::account::record::UsageRecord;
use crate::id::AccountId;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

/// Columns of `system.serving.endpoint_usage`.
const USAGE: [&str; 14] = [
    "account_id",
    "workspace_id",
    "client_request_id",
    "databricks_request_id",
    "requester",
    "status_code",
    "request_time",
    "input_token_count",
    "output_token_count",
    "input_character_count",
    "output_character_count",
    "usage_context",
    "request_streaming",
    "served_entity_id",
];

/// One row of `system.serving.endpoint_usage`.
pub(super) fn usage_row(account: &AccountId, record: &UsageRecord) -> Map<String, Value> {
    let tracked = record.tracked.as_ref();
    let context = record.usage_context.as_deref().and_then(|text| crate::json::read::<Value>(text).ok());
    let values = [
        json!(account),
        json!(account),
        json!(record.client_request_id),
        json!(record.id.to_string()),
        json!(record.principal),
        json!(record.status),
        json!(format_rfc3339(record.at)),
        json!(record.usage.input),
        json!(record.usage.output),
        json!(tracked.and_then(|tracked| tracked.input_chars)),
        json!(tracked.and_then(|tracked| tracked.output_chars)),
        context.unwrap_or_default(),
        json!(record.streamed),
        json!(entity(record)),
    ];
    USAGE.iter().map(ToString::to_string).zip(values).collect()
}

/// The whole table as CSV.
pub(super) fn usage_csv(rows: &[Map<String, Value>]) -> String {
    csv(&USAGE, rows)
}

/// Rows as CSV (RFC 4180), columns in this order; a null is empty, what is no scalar is JSON.
pub(crate) fn csv(columns: &[&str], rows: &[Map<String, Value>]) -> String {
    let mut text = csv_line(&columns.join(","));
    for row in rows {
        let field = |column: &&str| match row.get(*column) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => csv_field(text),
            Some(other) => csv_field(&other.to_string()),
        };
        let fields: Vec<String> = columns.iter().map(field).collect();
        text.push_str(&csv_line(&fields.join(",")));
    }
    text
}

/// One row of an inference table, as a line of JSON.
pub(super) fn inference_line(record: &UsageRecord, bodies: Option<&[Option<String>; 2]>) -> String {
    let body = |at: usize| bodies.and_then(|bodies| bodies.get(at)?.clone());
    let logged = record.logged.as_ref();
    let sampling = logged.map_or(1_000_000, |logged| logged.sampling);
    // The decimal text is a JSON number.
    let fraction = format!("{}.{:06}", sampling / 1_000_000, sampling % 1_000_000);
    let fraction: Value = crate::json::read(&fraction).unwrap_or_default();
    let time = format_rfc3339(record.at);
    let row = json!({
        "request_date": time.get(..10), "databricks_request_id": record.id.to_string(),
        "client_request_id": record.client_request_id, "request_time": time, "status_code": record.status,
        "sampling_fraction": fraction, "execution_duration_ms": record.latency.0,
        "request": body(0), "response": body(1), "served_entity_id": entity(record),
        "logging_error_codes": logged.map(|logged| &logged.errors), "requester": record.principal,
    });
    format!("{row}\n")
}

fn entity(record: &UsageRecord) -> String {
    format!("{}/{}", record.deployment, record.entity)
}
