//! `POST {scope}/providers/Microsoft.CostManagement/query`: cost by meter, deployment, model, offer and day.
//!
//! Decides the part of Azure's query that is understood, and its answer; the sums are [`super::query`]'s. Input and
//! output tokens are meters of their own, `paygo-inference-input-tokens` and `paygo-inference-output-tokens`
//! (`azure.md`, C6). Models whose price is unknown have their quantities, with cost zero and no currency.
//!
//! A subscription's or a group's costs are those of all accounts that stand there. A page is about [`PAGE`] of them, in
//! the order of their names, and `nextLink` asks for the next; grouped by `AccountName` no row of one page adds to a row
//! of another.

use super::answer::Answer;
use super::message::{Dimension, Interval};
use super::query::{LedgerAsk, UsageQuery};
use super::question::Asked;
use super::render::output_cost;
use super::sums::{Rollup, Sums};
use super::{arm_error, calendar};
use crate::account::batch::SHARDS;
use crate::id::AccountId;
use crate::object::CallOutcome;
use crate::sorted::SortedMap;
use crate::time::UnixMillis;
use crate::units::Money;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde_json::{Value, json};

/// A day in milliseconds.
const DAY: u64 = 86_400_000;
/// The api-version of links.
const VERSION: &str = "2023-03-01";
/// Accounts of one page: with their shards as many calls as a Worker may make for one request on every plan.
const PAGE: usize = 8;
/// The meters of an exchange.
const METERS: [&str; 2] = ["paygo-inference-input-tokens", "paygo-inference-output-tokens"];

/// A column that can be grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    Meter,
    Deployment,
    Model,
    Account,
}

/// Names of the columns in queries; the first of each is shown.
const GROUPS: [(Group, [&str; 3]); 4] = [
    (Group::Meter, ["Meter", "MeterName", "meter"]),
    (Group::Deployment, ["DeploymentName", "ResourceId", "Resource"]),
    (Group::Model, ["ModelName", "Product", "Offer"]),
    (Group::Account, ["AccountName", "ResourceName", "Account"]),
];

/// A question about cost while its answer is gathered.
#[derive(Debug)]
pub struct CostQuery {
    /// The accounts of this page.
    usage: Vec<(AccountId, UsageQuery)>,
    /// The address of the next page.
    next: Option<String>,
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
    pub(super) fn parse(asked: &Asked<'_>, scope: &str) -> Result<Self, Answer> {
        let now = asked.now;
        let body: Value =
            crate::json::read(asked.body).map_err(|_| refusal("The body must be a JSON object."))?;
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
                return Err(refusal(
                    "'dataset.grouping' can have Meter, DeploymentName, ModelName and AccountName.",
                ));
            };
            groups.push((*group, name.to_owned()));
        }
        let only = scope.rsplit_once('/').and_then(|(before, name)| {
            let kind = before.rsplit_once('/').map_or("", |(_, kind)| kind).to_ascii_lowercase();
            (kind == "deployments" || kind == "serverlessendpoints").then(|| name.to_ascii_lowercase())
        });
        let by = [Dimension::Deployment, Dimension::Model];
        let skip = skipped(asked.query)?;
        let end = skip.saturating_add(PAGE);
        let page = asked.accounts.iter().skip(skip).take(PAGE);
        let sums = |account: &AccountId| UsageQuery::sums(account, (from, to), Interval::Day, &by, now);
        let usage = page.map(|account| (account.clone(), sums(account))).collect();
        let next = (asked.accounts.len() > end)
            .then(|| format!("{}{}?api-version={VERSION}&%24skiptoken={end}", asked.base, asked.path));
        Ok(Self { usage, next, scope: scope.to_owned(), daily, groups, only })
    }

    /// As [`super::question::Question::asks`]; an ask's number tells account and shard.
    pub(super) fn asks(&mut self) -> Vec<LedgerAsk> {
        let mut all = Vec::new();
        for (at, (_, usage)) in (0u64..).zip(&mut self.usage) {
            let base = at.saturating_mul(SHARDS);
            all.extend(usage.asks().into_iter().map(|ask| {
                let shard = base.saturating_add(ask.shard);
                LedgerAsk { shard, ..ask }
            }));
        }
        all
    }

    pub(super) fn answered(&mut self, ask: u64, outcome: CallOutcome<'_>) {
        let (at, shard) = (ask.checked_div(SHARDS).unwrap_or(0), ask.checked_rem(SHARDS).unwrap_or(0));
        if let Some((_, usage)) = usize::try_from(at).ok().and_then(|at| self.usage.get_mut(at)) {
            usage.answered(shard, outcome);
        }
    }

    /// The answer, once all sums are there.
    pub(super) fn answer(&self) -> Answer {
        let mut shares: SortedMap<(u64, Vec<String>, String), Share> = SortedMap::new();
        for (account, usage) in &self.usage {
            match usage.groups() {
                Ok(groups) => self.add(account, groups, &mut shares),
                Err(answer) => return answer,
            }
        }
        self.shown(&shares)
    }

    fn add<'q>(
        &self,
        account: &AccountId,
        groups: impl Iterator<Item = (UnixMillis, &'q Vec<String>, &'q Rollup)>,
        shares: &mut SortedMap<(u64, Vec<String>, String), Share>,
    ) {
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
                        Group::Account => account.to_string(),
                    };
                    let day = if self.daily { start.0 } else { 0 };
                    let key = (day, self.groups.iter().map(value).collect(), currency.clone());
                    let sum = shares.entry(key).or_default();
                    sum.cost = Money(sum.cost.0.saturating_add(share.cost.0));
                    sum.quantity = sum.quantity.saturating_add(share.quantity);
                }
            }
        }
    }

    fn shown(&self, shares: &SortedMap<(u64, Vec<String>, String), Share>) -> Answer {
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
            "properties": {"nextLink": self.next, "columns": columns, "rows": rows.collect::<Vec<Value>>()},
        }))
    }
}

/// How many accounts the pages before had.
fn skipped(query: &str) -> Result<usize, Answer> {
    let members = query.split('&').filter_map(|member| member.split_once('='));
    let mut token = members.filter(|(name, _)| {
        name.trim_start_matches("%24").trim_start_matches('$').eq_ignore_ascii_case("skiptoken")
    });
    match token.next() {
        None => Ok(0),
        Some((_, text)) => text.parse().map_err(|_| refusal("'$skiptoken' is not one of this list.")),
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
