//! Rows of the usage answer, as JSON or CSV.
//!
//! Decides members, columns and their order (`design.md` section 8, "Metering"). A group has one row; only if it
//! has exchanges priced in several currencies it has one row for each, because those are not added.

use super::calendar::format_rfc3339;
use super::message::Dimension;
use super::sums::{Rollup, Sums};
use crate::time::UnixMillis;
use crate::units::Money;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::Serialize;

/// A row, with only those members that are grouped by.
#[derive(Serialize)]
pub(super) struct UsageRow<'a> {
    start: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    deployment: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(flatten)]
    amount: Amount<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Amount<'a> {
    Meter {
        meter: &'static str,
        quantity: u64,
        cost: Option<String>,
        currency: Option<&'a str>,
    },
    All {
        requests: u64,
        input_tokens: u64,
        cached_input_tokens: u64,
        output_tokens: u64,
        reasoning_tokens: u64,
        total_tokens: u64,
        cost: Option<String>,
        currency: Option<&'a str>,
    },
}

/// Meters, in the order of their rows; those of [`meters`].
pub(super) const METERS: [&str; 6] =
    ["requests", "input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens", "total_tokens"];

fn meters(sums: &Sums) -> [u64; 6] {
    let total = sums.input.saturating_add(sums.output);
    [sums.requests, sums.input, sums.cached_input, sums.output, sums.reasoning, total]
}

/// The rows of one group.
pub(super) fn rows<'a>(
    start: UnixMillis,
    dimensions: &[Dimension],
    by: &'a [String],
    rollup: &'a Rollup,
    by_meter: bool,
) -> Vec<UsageRow<'a>> {
    let of = |wanted| {
        dimensions.iter().zip(by).find(|(dimension, _)| **dimension == wanted).map(|(_, by)| by.as_str())
    };
    let row = |amount| UsageRow {
        start: format_rfc3339(start),
        deployment: of(Dimension::Deployment),
        model: of(Dimension::Model),
        principal: of(Dimension::Principal),
        key: of(Dimension::Key),
        amount,
    };
    if by_meter {
        let sums = together(rollup);
        // Input and output are what is priced; amounts of several currencies are not added.
        let mut currencies = rollup.0.keys().filter(|currency| !currency.is_empty());
        let currency = currencies.next().filter(|_| currencies.next().is_none()).map(String::as_str);
        let costs = [("input_tokens", sums.input_cost), ("output_tokens", output_cost(&sums))];
        let priced = |meter| costs.into_iter().find(|(priced, _)| *priced == meter);
        let row_of = |(meter, quantity)| {
            let cost = currency.and(priced(meter)).map(|(_, cost)| cost.to_string());
            let currency = currency.filter(|_| cost.is_some());
            row(Amount::Meter { meter, quantity, cost, currency })
        };
        return METERS.into_iter().zip(meters(&sums)).map(row_of).collect();
    }
    let currencies = rollup.0.keys().filter(|currency| !currency.is_empty());
    let mut currencies = currencies.map(String::as_str);
    match (currencies.next(), currencies.next()) {
        (currency, None) => alloc::vec![row(all(&together(rollup), currency))],
        (_, Some(_)) => rollup
            .0
            .iter()
            .map(|(currency, sums)| row(all(sums, Some(currency.as_str()).filter(|text| !text.is_empty()))))
            .collect(),
    }
}

/// What is not the input's is the output's.
pub(super) fn output_cost(sums: &Sums) -> Money {
    Money(sums.cost.0.saturating_sub(sums.input_cost.0))
}

fn together(rollup: &Rollup) -> Sums {
    let mut sums = Sums::default();
    rollup.0.values().for_each(|other| sums.add(other));
    sums
}

fn all<'a>(sums: &Sums, currency: Option<&'a str>) -> Amount<'a> {
    let [requests, input_tokens, cached_input_tokens, output_tokens, reasoning_tokens, total_tokens] =
        meters(sums);
    Amount::All {
        requests,
        input_tokens,
        cached_input_tokens,
        output_tokens,
        reasoning_tokens,
        total_tokens,
        cost: currency.map(|_| sums.cost.to_string()),
        currency,
    }
}

/// The first line of the CSV, with the columns that [`csv_row`] writes.
pub(super) fn csv_head(dimensions: &[Dimension], by_meter: bool) -> String {
    let mut columns = alloc::vec!["start"];
    columns
        .extend(Dimension::ALL.iter().filter(|known| dimensions.contains(known)).map(|known| known.label()));
    if by_meter {
        columns.extend(["meter", "quantity", "cost", "currency"]);
    } else {
        columns.extend(METERS);
        columns.extend(["cost", "currency"]);
    }
    csv_line(&columns.join(","))
}

/// One line of the CSV (RFC 4180).
pub(super) fn csv_row(row: &UsageRow<'_>) -> String {
    let mut fields = alloc::vec![row.start.clone()];
    let by = [row.deployment, row.model, row.principal, row.key];
    fields.extend(by.into_iter().flatten().map(csv_field));
    match &row.amount {
        Amount::Meter { meter, quantity, cost, currency } => fields.extend([
            (*meter).to_owned(),
            quantity.to_string(),
            cost.clone().unwrap_or_default(),
            csv_field(currency.unwrap_or_default()),
        ]),
        Amount::All {
            requests,
            input_tokens,
            cached_input_tokens,
            output_tokens,
            reasoning_tokens,
            total_tokens,
            cost,
            currency,
        } => {
            let counts =
                [requests, input_tokens, cached_input_tokens, output_tokens, reasoning_tokens, total_tokens];
            fields.extend(counts.map(ToString::to_string));
            fields.push(cost.clone().unwrap_or_default());
            fields.push(csv_field(currency.unwrap_or_default()));
        }
    }
    csv_line(&fields.join(","))
}

/// One line of a CSV, of fields that are escaped already.
pub(crate) fn csv_line(fields: &str) -> String {
    format!("{fields}\r\n")
}

/// A field of a CSV (RFC 4180).
pub(crate) fn csv_field(text: &str) -> String {
    if text.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
