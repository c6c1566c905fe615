//! `POST {scope}/providers/Microsoft.CostManagement/query`: cost by meter, deployment, model, offer and day.
//!
//! Decides the part of Azure's query that is understood, and its answer; the sums are [`super::query`]'s. Input and
//! output tokens are meters of their own, `paygo-inference-input-tokens` and `paygo-inference-output-tokens`
//! (`azure.md`, C6). Models whose price is unknown have their quantities, with cost zero and no currency.

use super::answer::Answer;
use super::message::{Dimension, Interval};
use super::query::UsageQuery;
use super::render::output_cost;
use super::sums::Sums;
use super::{arm_error, calendar};
use crate::id::AccountId;
use crate::time::UnixMillis;
use crate::units::Money;
use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde_json::{Value, json};

/// A day in milliseconds.
const DAY: u64 = 86_400_000;
/// The meters of an exchange.
const METERS: [&str; 2] = ["paygo-inference-input-tokens", "paygo-inference-output-tokens"];

/// A column that can be grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    Meter,
    Deployment,
    Model,
}

/// Names of the columns in queries; the first of each is shown.
const GROUPS: [(Group, [&str; 3]); 3] = [
    (Group::Meter, ["Meter", "MeterName", "meter"]),
    (Group::Deployment, ["DeploymentName", "ResourceId", "Resource"]),
    (Group::Model, ["ModelName", "Product", "Offer"]),
];

/// A question about cost while its answer is gathered.
#[derive(Debug)]
pub struct CostQuery {
    pub(super) usage: UsageQuery,
    scope: String,
    daily: bool,
    groups: Vec<(Group, String)>,
    only: Option<String>,
}

/// One meter's share.
#[derive(Clone, Copy, Default)]
struct Share {
    cost: Money,
    quantity: u64,
}

impl CostQuery {
    /// Understands a query's body.
    ///
    /// # Errors
    /// The refusal, in ARM's form.
    pub(super) fn parse(
        account: &AccountId,
        scope: &str,
        body: &str,
        now: UnixMillis,
    ) -> Result<Self, Answer> {
        let body: Value = crate::json::read(body).map_err(|_| refusal("The body must be a JSON object."))?;
        let kind = text(&body, "/type");
        if !["usage", "actualcost", "amortizedcost"].contains(&kind.to_ascii_lowercase().as_str()) {
            return Err(refusal("'type' must be Usage, ActualCost or AmortizedCost."));
        }
        let (from, to) = period(&body, now)?;
        let dataset = body.get("dataset").unwrap_or(&Value::Null);
        let daily = match dataset
            .get("granularity")
            .and_then(Value::as_str)
            .unwrap_or("None")
            .to_ascii_lowercase()
            .as_str()
        {
            "none" => false,
            "daily" => true,
            _ => return Err(refusal("'dataset.granularity' must be Daily or None.")),
        };
        if !dataset.get("filter").is_none_or(Value::is_null) {
            return Err(refusal("'dataset.filter' is not supported; group by the column instead."));
        }
        let mut groups = Vec::new();
        for group in dataset.get("grouping").and_then(Value::as_array).into_iter().flatten() {
            let name = text(group, "/name");
            let same = |names: &[&str; 3]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
            let Some((group, _)) = GROUPS.iter().find(|(_, names)| same(names)) else {
                return Err(refusal("'dataset.grouping' can have Meter, DeploymentName and ModelName."));
            };
            groups.push((*group, name.to_owned()));
        }
        let only = scope.rsplit_once('/').and_then(|(before, name)| {
            let kind = before.rsplit_once('/').map_or("", |(_, kind)| kind).to_ascii_lowercase();
            (kind == "deployments" || kind == "serverlessendpoints").then(|| name.to_ascii_lowercase())
        });
        let by = [Dimension::Deployment, Dimension::Model];
        let usage = UsageQuery::sums(account, (from, to), Interval::Day, &by, now);
        Ok(Self { usage, scope: scope.to_owned(), daily, groups, only })
    }

    /// The answer, once all sums are there.
    pub(super) fn answer(&self) -> Answer {
        let groups = match self.usage.groups() {
            Ok(groups) => groups,
            Err(answer) => return answer,
        };
        let mut shares: BTreeMap<(u64, Vec<String>, String), Share> = BTreeMap::new();
        for (start, by, rollup) in groups {
            let [deployment, model] = by.as_slice() else { continue };
            if self.only.as_ref().is_some_and(|only| *only != deployment.to_ascii_lowercase()) {
                continue;
            }
            for (currency, sums) in &rollup.0 {
                for (meter, share) in METERS.into_iter().zip(split(sums)) {
                    let value = |group: &(Group, String)| match group.0 {
                        Group::Meter => meter.to_owned(),
                        Group::Deployment => deployment.clone(),
                        Group::Model => model.clone(),
                    };
                    let day = if self.daily { start.0 } else { 0 };
                    let key = (day, self.groups.iter().map(value).collect(), currency.clone());
                    let sum = shares.entry(key).or_default();
                    sum.cost = Money(sum.cost.0.saturating_add(share.cost.0));
                    sum.quantity = sum.quantity.saturating_add(share.quantity);
                }
            }
        }
        self.shown(&shares)
    }

    fn shown(&self, shares: &BTreeMap<(u64, Vec<String>, String), Share>) -> Answer {
        let column = |name: &str, kind: &str| json!({"name": name, "type": kind});
        let mut columns = Vec::from([column("Cost", "Number"), column("UsageQuantity", "Number")]);
        if self.daily {
            columns.push(column("UsageDate", "Number"));
        }
        columns.extend(self.groups.iter().map(|(_, name)| column(name, "String")));
        columns.push(column("Currency", "String"));
        let rows = shares.iter().map(|((day, values, currency), share)| {
            // A decimal text is a JSON number; nothing is rounded here.
            let cost: Value = crate::json::read(&share.cost.to_string()).unwrap_or_default();
            let mut row = Vec::from([cost, share.quantity.into()]);
            if self.daily {
                let date: String = calendar::format_rfc3339(UnixMillis(*day)).chars().take(10).collect();
                row.push(date.replace('-', "").parse::<u64>().unwrap_or_default().into());
            }
            row.extend(values.iter().map(|value| Value::from(value.as_str())));
            row.push(Value::from(currency.as_str()));
            Value::Array(row)
        });
        Answer::json(&json!({
            "id": format!("{}/providers/Microsoft.CostManagement/query", self.scope), "name": "query",
            "type": "Microsoft.CostManagement/query",
            "properties": {"nextLink": null, "columns": columns, "rows": rows.collect::<Vec<Value>>()},
        }))
    }
}

/// The text at a JSON pointer; empty if there is none.
fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Input and output apart.
fn split(sums: &Sums) -> [Share; 2] {
    [
        Share { cost: sums.input_cost, quantity: sums.input },
        Share { cost: output_cost(sums), quantity: sums.output },
    ]
}

fn refusal(message: &str) -> Answer {
    arm_error(400, "BadRequest", message)
}

/// The time that a query is about: `Custom` says it, `MonthToDate` and the like follow from `now`.
fn period(body: &Value, now: UnixMillis) -> Result<(UnixMillis, UnixMillis), Answer> {
    let frame = body.get("timeframe").and_then(Value::as_str).unwrap_or("MonthToDate").to_ascii_lowercase();
    let month_of = |at: UnixMillis| {
        let text: String = calendar::format_rfc3339(at).chars().take(8).collect();
        calendar::parse(&format!("{text}01")).unwrap_or(at)
    };
    let this = month_of(now);
    let last = month_of(UnixMillis(this.0.saturating_sub(DAY)));
    match frame.as_str() {
        "monthtodate" | "billingmonthtodate" | "themonth" => Ok((this, now)),
        "thelastmonth" | "thelastbillingmonth" => Ok((last, this)),
        "weektodate" => Ok((UnixMillis(now.0.saturating_sub(DAY.saturating_mul(7))), now)),
        "custom" => {
            let at = |name: &str| {
                let text = text(body, &format!("/timePeriod/{name}"));
                calendar::parse(text)
                    .map_err(|_| refusal("'timePeriod' must have 'from' and 'to', two times."))
            };
            let (from, to) = (at("from")?, at("to")?);
            if from < to { Ok((from, to)) } else { Err(refusal("'timePeriod.from' must be before 'to'.")) }
        }
        _ => Err(refusal("'timeframe' must be MonthToDate, TheLastMonth, WeekToDate or Custom.")),
    }
}
