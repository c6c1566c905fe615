//! `GET {resource}/providers/Microsoft.Insights/metrics`, `metricDefinitions`, `metricNamespaces`: what the ledger knows,
//! in Azure Monitor's shape.
//!
//! Decides the series of an answer and their points; the parameters are [`asked`]'s, the metrics [`known`]'s, the sums
//! those of [`super::query`]. A resource is an account, a workspace, or a deployment or endpoint of one. A dimension that
//! the filter names tells series apart, unless `rollupby` names it too. Points without a call are there, with zero where
//! a metric adds up. Calls before an upgrade to this form have no status, stream type or duration; they count.

mod asked;
mod known;

use super::answer::Answer;
use super::calls::{Calls, Of};
use super::message::{Dimension, Interval};
use super::query::UsageQuery;
use super::sums::Sums;
use super::{arm_error, calendar};
use crate::id::AccountId;
use crate::sorted::SortedMap;
use crate::time::{Millis, UnixMillis};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use asked::Asked;
use core::cmp::Reverse;
use known::{Counted, Metric};
use serde_json::{Map, Value, json};

pub(super) use known::{definitions, namespaces};

/// Most points in time of one series.
const POINTS_MAX: u64 = 1500;
/// What is meant when no timespan is given.
const TIMESPAN: Millis = Millis::from_secs(3600);
/// The one region: an installation is at the edge, everywhere.
const REGION: &str = "global";

/// Intervals, with the sums that they are made of and their length in minutes.
const INTERVALS: [(&str, Interval, u64); 8] = [
    ("PT1M", Interval::Minute, 1),
    ("PT5M", Interval::Minute, 5),
    ("PT15M", Interval::Minute, 15),
    ("PT30M", Interval::Minute, 30),
    ("PT1H", Interval::Hour, 60),
    ("PT6H", Interval::Hour, 360),
    ("PT12H", Interval::Hour, 720),
    ("P1D", Interval::Day, 1440),
];

/// By what series can be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dim {
    Deployment,
    Model,
    Version,
    Operation,
    /// The surface.
    Api,
    Region,
    Stream,
    Status,
    Spillover,
    TextType,
    Category,
    Severity,
}

/// All dimensions, in the order of [`Cell`]'s values.
const DIMENSIONS: [(Dim, &str); 12] = [
    (Dim::Deployment, "ModelDeploymentName"),
    (Dim::Model, "ModelName"),
    (Dim::Api, "ApiName"),
    (Dim::Region, "Region"),
    (Dim::Stream, "StreamType"),
    (Dim::Status, "StatusCode"),
    (Dim::Spillover, "IsSpillover"),
    (Dim::TextType, "TextType"),
    (Dim::Category, "Category"),
    (Dim::Severity, "Severity"),
    (Dim::Operation, "OperationName"),
    (Dim::Version, "ModelVersion"),
];

fn name_of(dim: Dim) -> &'static str {
    DIMENSIONS.iter().find(|(known, _)| *known == dim).map_or("", |(_, name)| name)
}

/// What was counted under one value of each dimension; empty where it has none.
struct Cell<'a> {
    values: [&'a str; DIMENSIONS.len()],
    counted: Counted,
}

impl Cell<'_> {
    fn value(&self, dim: Dim) -> &str {
        let mut pairs = DIMENSIONS.iter().zip(&self.values);
        pairs.find(|((known, _), _)| *known == dim).map_or("", |(_, value)| value)
    }
}

/// The points of one series, by their time.
type Series = SortedMap<u64, Counted>;

/// A question about metrics while its answer is gathered.
#[derive(Debug)]
pub struct MetricsQuery {
    pub(super) usage: UsageQuery,
    resource: String,
    /// The deployment that the resource is, folded.
    deployment: Option<String>,
    asked: Asked,
}

/// The type of a resource and the name of the deployment that it is, if it is one.
fn kind_of(resource: &str) -> (String, Option<&str>) {
    let provider = resource.rsplit_once("/providers/").map_or("", |(_, provider)| provider);
    let words: Vec<&str> = provider.split('/').collect();
    let kinds: Vec<&str> = words.iter().take(1).chain(words.iter().skip(1).step_by(2)).copied().collect();
    let named = match words.as_slice() {
        [_, _, _, kind, name]
            if ["deployments", "serverlessendpoints"].contains(&kind.to_ascii_lowercase().as_str()) =>
        {
            Some(*name)
        }
        _ => None,
    };
    (kinds.join("/"), named)
}

fn named(name: &str) -> Value {
    json!({"value": name, "localizedValue": name})
}

fn refusal(message: &str) -> Answer {
    arm_error(400, "BadRequest", message)
}

impl MetricsQuery {
    /// Understands the part of the address after `?`.
    ///
    /// # Errors
    /// The refusal, in ARM's form.
    pub(super) fn parse(
        account: &AccountId,
        resource: &str,
        query: &str,
        now: UnixMillis,
    ) -> Result<Self, Answer> {
        let (namespace, name) = kind_of(resource);
        let asked = Asked::parse(query, &namespace, now)?;
        let by = [Dimension::Deployment, Dimension::Model];
        let usage = UsageQuery::sums(account, (asked.from, asked.to), asked.sums, &by, now).with_calls();
        let deployment = name.map(str::to_ascii_lowercase);
        Ok(Self { usage, resource: resource.to_owned(), deployment, asked })
    }

    /// The answer, once all sums are there.
    pub(super) fn answer(&self) -> Answer {
        let mut value = Vec::with_capacity(self.asked.metrics.len());
        for metric in &self.asked.metrics {
            match self.series(metric) {
                Ok(series) => value.push(self.shown(metric, &series)),
                Err(answer) => return answer,
            }
        }
        let (namespace, _) = kind_of(&self.resource);
        let (from, to) = (self.asked.from, self.asked.to);
        Answer::json(&json!({
            "cost": 0, "interval": self.asked.interval, "namespace": namespace, "resourceregion": REGION,
            "timespan": format!("{}/{}", calendar::format_rfc3339(from), calendar::format_rfc3339(to)),
            "value": value,
        }))
    }

    /// The series of a metric by the values that tell them apart.
    fn series(&self, metric: &Metric) -> Result<SortedMap<Vec<String>, Series>, Answer> {
        let mut series: SortedMap<Vec<String>, Series> = SortedMap::new();
        let filters = &self.asked.filters;
        if filters.iter().all(|filter| filter.rolled) {
            series.entry(Vec::new()).or_default();
        }
        let found = |dim| matches!(dim, Dim::TextType | Dim::Category | Dim::Severity);
        let divided = filters.iter().any(|filter| found(filter.dim));
        for (start, by, rollup) in self.usage.groups()? {
            let [deployment, model] = by.as_slice() else { continue };
            if self.deployment.as_ref().is_some_and(|own| *own != deployment.to_ascii_lowercase()) {
                continue;
            }
            let (from, step) = (self.asked.from.0, self.asked.step);
            let behind = start.0.saturating_sub(from).checked_div(step).unwrap_or(0);
            let at = from.saturating_add(behind.saturating_mul(step));
            for sums in rollup.0.values() {
                let cells = match metric.harm() {
                    Some(kind) => harms(sums, kind, divided),
                    None => calls(sums),
                };
                for mut cell in cells {
                    let [own, of, _, region, ..] = &mut cell.values;
                    (*own, *of, *region) = (deployment, model, REGION);
                    if !filters.iter().all(|filter| filter.admits(cell.value(filter.dim))) {
                        continue;
                    }
                    let split = filters.iter().filter(|filter| !filter.rolled);
                    let key = split.map(|filter| cell.value(filter.dim).to_string()).collect();
                    series.entry(key).or_default().entry(at).or_default().add(&cell.counted);
                }
            }
        }
        Ok(series)
    }

    fn shown(&self, metric: &Metric, series: &SortedMap<Vec<String>, Series>) -> Value {
        let usual = metric.aggregations().first().copied();
        let mut series: Vec<(&Vec<String>, &Series)> = series.iter().collect();
        let cut = series.len() > self.asked.top;
        if cut || self.asked.order.is_some() {
            let by = self.asked.order.map(|order| order.by);
            let by = by.filter(|by| metric.aggregations().contains(by)).or(usual);
            let worth = |points: &Series| {
                let mut all = Counted::default();
                points.values().for_each(|counted| all.add(counted));
                by.and_then(|by| metric.worth(&all, by)).unwrap_or(0)
            };
            let ascending = self.asked.order.is_some_and(|order| order.ascending);
            series.sort_by_cached_key(|(_, points)| {
                let worth = worth(points);
                if ascending { (worth, Reverse(0)) } else { (0, Reverse(worth)) }
            });
            series.truncate(self.asked.top);
        }
        let timeseries: Vec<Value> =
            series.into_iter().map(|(values, points)| self.one_series(metric, values, points)).collect();
        json!({
            "id": format!("{}/providers/Microsoft.Insights/metrics/{}", self.resource, metric.name),
            "type": "Microsoft.Insights/metrics", "name": named(metric.name),
            "displayDescription": metric.about, "unit": metric.unit, "errorCode": "Success",
            "timeseries": timeseries,
        })
    }

    fn one_series(&self, metric: &Metric, values: &[String], points: &Series) -> Value {
        let split = self.asked.filters.iter().filter(|filter| !filter.rolled);
        let metadata: Vec<Value> = split
            .zip(values)
            .map(|(filter, value)| {
                json!({"name": named(&name_of(filter.dim).to_ascii_lowercase()), "value": value})
            })
            .collect();
        if self.asked.metadata {
            return json!({"metadatavalues": metadata});
        }
        let asked = &self.asked.aggregations;
        let usual = metric.aggregations().get(..1).unwrap_or_default();
        let aggregations = if asked.is_empty() { usual } else { asked.as_slice() };
        let nothing = Counted::default();
        let count = self.asked.to.since(self.asked.from).0.div_ceil(self.asked.step);
        let point = |at: u64| {
            let start = self.asked.from.0.saturating_add(at.saturating_mul(self.asked.step));
            let counted = points.get(&start).unwrap_or(&nothing);
            let mut point = Map::new();
            point.insert("timeStamp".to_owned(), calendar::format_rfc3339(UnixMillis(start)).into());
            for aggregation in aggregations {
                if let Some(worth) = metric.worth(counted, *aggregation) {
                    point.insert(aggregation.member(), known::number(worth));
                }
            }
            Value::Object(point)
        };
        json!({"metadatavalues": metadata, "data": (0..count).map(point).collect::<Vec<Value>>()})
    }
}

/// The calls of some sums, told apart; beside them those that were counted before calls were.
fn calls(sums: &Sums) -> Vec<Cell<'_>> {
    let mut left = [sums.requests, sums.input, sums.output, sums.cached_input];
    let mut cells = Vec::with_capacity(sums.calls.len().saturating_add(1));
    for (key, calls) in &sums.calls {
        let mut parts = key.splitn(6, '|');
        let mut next = || parts.next().unwrap_or_default();
        let (api, stream, status, spilled, operation, version) =
            (next(), next(), next(), next(), next(), next());
        let of = [Of::Answered, Of::Input, Of::Output, Of::Cached];
        left.iter_mut().zip(of).for_each(|(left, of)| *left = left.saturating_sub(calls.get(of)));
        let many = calls.get(Of::Calls);
        let fault = |is: bool| if is { many } else { 0 };
        let class = |first: char| status.len() == 3 && status.starts_with(first);
        let faults = [fault(class('4')), fault(status == "429"), fault(class('5'))];
        let stream = if stream == "1" { "Streaming" } else { "Non-Streaming" };
        let spilled = if spilled == "1" { "True" } else { "False" };
        let values = ["", "", api, "", stream, status, spilled, "", "", "", operation, version];
        cells.push(Cell { values, counted: Counted { calls: calls.clone(), faults, harms: 0 } });
    }
    let [requests, input, output, cached] = left;
    if requests > 0 {
        let plain = Calls::plain(requests, input, output, cached);
        let counted = Counted { calls: plain, ..Counted::default() };
        cells.push(Cell { values: Default::default(), counted });
    }
    cells
}

/// The calls of some sums of which a content policy made `kind`: each once, or once for each finding if these are told
/// apart.
fn harms<'a>(sums: &'a Sums, kind: &str, divided: bool) -> Vec<Cell<'a>> {
    let cell = |(key, many): (&'a String, &u64)| {
        let mut parts = key.split('|');
        let mut next = || parts.next().unwrap_or_default();
        let (api, word, text, category, severity) = (next(), next(), next(), next(), next());
        let whole = text.is_empty() && category.is_empty();
        let values = ["", "", api, "", "", "", "", text, category, severity, "", ""];
        let counted = Counted { harms: *many, ..Counted::default() };
        (word == kind && whole != divided).then_some(Cell { values, counted })
    };
    sums.harms.iter().filter_map(cell).collect()
}

#[cfg(test)]
mod tests;
