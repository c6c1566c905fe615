//! `GET {resource}/providers/Microsoft.Insights/metrics` and `metricDefinitions`: usage in Azure Monitor's shape.
//!
//! Decides which metrics there are (`azure.md`, C6: counts of requests and tokens, aggregated by Total), the parameters
//! `timespan`, `interval`, `metricnames`, `aggregation`, `$filter`, and the answer; the sums are [`super::query`]'s. A
//! resource is an account, a workspace, or a deployment or endpoint of one. Requests are those whose upstream answered.
//! Points without usage are there with zero, as in Azure.

use super::answer::Answer;
use super::message::{Dimension, Interval};
use super::params::decode;
use super::query::UsageQuery;
use super::sums::Sums;
use super::{arm_error, calendar};
use crate::id::AccountId;
use crate::sorted::SortedMap;
use crate::time::{Millis, UnixMillis};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Value, json};

/// Most points in time of one series.
const POINTS_MAX: u64 = 1500;
/// What is meant when no timespan is given.
const TIMESPAN: Millis = Millis::from_secs(3600);

/// A metric: its name, what it says, and what it counts.
struct Metric {
    name: &'static str,
    about: &'static str,
    count: fn(&Sums) -> u64,
}

const fn total(sums: &Sums) -> u64 {
    sums.input.saturating_add(sums.output)
}

const METRICS: [Metric; 8] = [
    Metric { name: "InputTokens", about: "Input tokens processed", count: |sums| sums.input },
    Metric { name: "OutputTokens", about: "Output tokens generated", count: |sums| sums.output },
    Metric { name: "TotalTokens", about: "Input and output tokens", count: total },
    Metric { name: "ModelRequests", about: "Calls that a model answered", count: |sums| sums.requests },
    Metric { name: "ProcessedPromptTokens", about: "Input tokens processed", count: |sums| sums.input },
    Metric { name: "GeneratedTokens", about: "Output tokens generated", count: |sums| sums.output },
    Metric { name: "TokenTransaction", about: "Input and output tokens", count: total },
    Metric { name: "AzureOpenAIRequests", about: "Calls that a model answered", count: |sums| sums.requests },
];

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

/// Dimensions by which a series can be told apart.
const DIMENSIONS: [(&str, Dimension); 2] =
    [("ModelDeploymentName", Dimension::Deployment), ("ModelName", Dimension::Model)];

/// A question about metrics while its answer is gathered.
#[derive(Debug)]
pub struct MetricsQuery {
    pub(super) usage: UsageQuery,
    resource: String,
    metrics: Vec<usize>,
    interval: &'static str,
    step: u64,
    from: UnixMillis,
    to: UnixMillis,
    /// For each of [`DIMENSIONS`]: not told apart, told apart, or one value only (folded).
    filters: [Filter; 2],
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Filter {
    All,
    Each,
    Only(Vec<String>),
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

/// `metricDefinitions` of a resource.
pub(super) fn definitions(resource: &str) -> Answer {
    let (namespace, _) = kind_of(resource);
    let value: Vec<Value> = METRICS
        .iter()
        .map(|metric| {
            json!({
                "id": format!("{resource}/providers/Microsoft.Insights/metricDefinitions/{}", metric.name),
                "resourceId": resource, "namespace": namespace, "category": "Models",
                "name": named(metric.name), "displayDescription": metric.about, "isDimensionRequired": false,
                "unit": "Count", "primaryAggregationType": "Total", "supportedAggregationTypes": ["Total"],
                "metricAvailabilities": INTERVALS.map(|(grain, _, minutes)| {
                    json!({"timeGrain": grain, "retention": if minutes < 60 { "P7D" } else { "P400D" }})
                }),
                "dimensions": DIMENSIONS.map(|(name, _)| named(name)),
            })
        })
        .collect();
    Answer::json(&json!({"value": value}))
}

fn named(name: &str) -> Value {
    json!({"value": name, "localizedValue": name})
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
        let value = |wanted: &str| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            let found = pairs
                .into_iter()
                .find(|(name, _)| decode(name).is_some_and(|name| name.eq_ignore_ascii_case(wanted)));
            found.and_then(|(_, value)| decode(value)).filter(|value| !value.is_empty())
        };
        let metrics = names(value("metricnames").as_deref())?;
        let wanted = value("interval").unwrap_or_else(|| "PT1M".to_owned());
        let found = INTERVALS.into_iter().find(|(name, ..)| name.eq_ignore_ascii_case(&wanted));
        let Some((interval, sums, minutes)) = found else {
            let known = INTERVALS.map(|(name, ..)| name).join(", ");
            return Err(refusal(&format!("The interval must be one of {known}.")));
        };
        if let Some(other) = value("aggregation").and_then(|text| {
            text.split(',')
                .map(str::trim)
                .find(|word| !word.eq_ignore_ascii_case("Total"))
                .map(ToOwned::to_owned)
        }) {
            return Err(refusal(&format!(
                "The aggregation '{}' is not supported. There is Total.",
                clip(&other)
            )));
        }
        let step = minutes.saturating_mul(60_000);
        let (from, to) = timespan(value("timespan").as_deref(), now)?;
        let into = from.0.checked_rem(step).unwrap_or(0);
        let from = UnixMillis(from.0.saturating_sub(into));
        let points = to.since(from).0.div_ceil(step);
        if points == 0 || points > POINTS_MAX {
            return Err(refusal(&format!(
                "The timespan must have 1 to {POINTS_MAX} intervals; choose a longer one."
            )));
        }
        let mut filters = filters(value("$filter").as_deref().unwrap_or_default())?;
        if let (_, Some(name)) = kind_of(resource)
            && let [deployment, _] = &mut filters
        {
            *deployment = Filter::Only(Vec::from([name.to_ascii_lowercase()]));
        }
        let by = DIMENSIONS.map(|(_, dimension)| dimension);
        let usage = UsageQuery::sums(account, (from, to), sums, &by, now);
        Ok(Self { usage, resource: resource.to_owned(), metrics, interval, step, from, to, filters })
    }

    /// The answer, once all sums are there.
    pub(super) fn answer(&self) -> Answer {
        let groups = match self.usage.groups() {
            Ok(groups) => groups,
            Err(answer) => return answer,
        };
        let mut series: SortedMap<Vec<&str>, SortedMap<u64, Sums>> = SortedMap::new();
        if self.filters.iter().all(|filter| *filter != Filter::Each) {
            series.entry(Vec::new()).or_default();
        }
        for (start, by, rollup) in groups {
            let pairs = self.filters.iter().zip(by);
            let wanted = pairs.clone().all(|(filter, value)| match filter {
                Filter::Only(values) => values.contains(&value.to_ascii_lowercase()),
                Filter::All | Filter::Each => true,
            });
            if !wanted {
                continue;
            }
            let split = pairs.filter(|(filter, _)| **filter == Filter::Each).map(|(_, value)| value.as_str());
            let at = start.0.saturating_sub(start.0.checked_rem(self.step).unwrap_or(0));
            let sum = series.entry(split.collect()).or_default().entry(at).or_default();
            rollup.0.values().for_each(|sums| sum.add(sums));
        }
        let (namespace, _) = kind_of(&self.resource);
        let metrics = self.metrics.iter().filter_map(|at| METRICS.get(*at));
        let value: Vec<Value> = metrics.map(|metric| self.metric(metric, &series)).collect();
        Answer::json(&json!({
            "cost": 0, "interval": self.interval, "namespace": namespace, "resourceregion": "global",
            "timespan": format!("{}/{}", calendar::format_rfc3339(self.from), calendar::format_rfc3339(self.to)),
            "value": value,
        }))
    }

    fn metric(&self, metric: &Metric, series: &SortedMap<Vec<&str>, SortedMap<u64, Sums>>) -> Value {
        let split = DIMENSIONS.iter().zip(&self.filters).filter(|(_, filter)| **filter == Filter::Each);
        let split: Vec<String> = split.map(|((name, _), _)| name.to_ascii_lowercase()).collect();
        let points = self.to.since(self.from).0.div_ceil(self.step);
        let timeseries = series.iter().map(|(values, sums)| {
            let metadata: Vec<Value> = split
                .iter()
                .zip(values)
                .map(|(name, value)| json!({"name": named(name), "value": value}))
                .collect();
            let data = (0..points).map(|at| {
                let start = self.from.0.saturating_add(at.saturating_mul(self.step));
                let total = sums.get(&start).map_or(0, metric.count);
                json!({"timeStamp": calendar::format_rfc3339(UnixMillis(start)), "total": total})
            });
            json!({"metadatavalues": metadata, "data": data.collect::<Vec<Value>>()})
        });
        json!({
            "id": format!("{}/providers/Microsoft.Insights/metrics/{}", self.resource, metric.name),
            "type": "Microsoft.Insights/metrics", "name": named(metric.name),
            "displayDescription": metric.about, "unit": "Count", "errorCode": "Success",
            "timeseries": timeseries.collect::<Vec<Value>>(),
        })
    }
}

fn refusal(message: &str) -> Answer {
    arm_error(400, "BadRequest", message)
}

fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}

/// The metrics of a list of names; the first of all, if none is named.
fn names(text: Option<&str>) -> Result<Vec<usize>, Answer> {
    let Some(text) = text else { return Ok(Vec::from([0])) };
    let of = |name: &str| {
        let at = METRICS.iter().position(|metric| metric.name.eq_ignore_ascii_case(name));
        at.ok_or_else(|| {
            let known = METRICS.iter().map(|metric| metric.name).collect::<Vec<_>>().join(",");
            refusal(&format!(
                "Failed to find metric configuration for '{}'. Valid metrics: {known}",
                clip(name)
            ))
        })
    };
    text.split(',').map(str::trim).map(of).collect()
}

/// `{start}/{end}`, or a duration up to now.
fn timespan(text: Option<&str>, now: UnixMillis) -> Result<(UnixMillis, UnixMillis), Answer> {
    let Some(text) = text else { return Ok((now.minus(TIMESPAN), now)) };
    let wrong =
        || refusal("The timespan must be two times with a slash between them, or a duration such as PT1H.");
    if let Some((from, to)) = text.split_once('/') {
        let at = |text: &str| calendar::parse(text).map_err(|_| wrong());
        return match (at(from)?, at(to)?) {
            (from, to) if from < to => Ok((from, to)),
            _ => Err(wrong()),
        };
    }
    let duration = text.strip_prefix('P').ok_or_else(wrong)?;
    let (days, time) = duration.split_once('T').unwrap_or((duration, ""));
    let mut millis = 0u64;
    for (part, units) in
        [(days, [('D', 86_400_000), ('W', 604_800_000)]), (time, [('H', 3_600_000), ('M', 60_000)])]
    {
        let mut rest = part;
        while let Some(end) = rest.find(|c: char| !c.is_ascii_digit()) {
            let (number, tail) = rest.split_at_checked(end).ok_or_else(wrong)?;
            let unit = units.iter().find(|(unit, _)| tail.starts_with(*unit)).ok_or_else(wrong)?;
            let number: u64 = number.parse().map_err(|_| wrong())?;
            millis = millis.saturating_add(number.saturating_mul(unit.1));
            rest = tail.get(1..).unwrap_or_default();
        }
        if !rest.is_empty() {
            return Err(wrong());
        }
    }
    Ok((now.minus(Millis(millis)), now))
}

/// `ModelDeploymentName eq 'x' and ModelName eq '*'`; several values of one dimension with `or`.
fn filters(text: &str) -> Result<[Filter; 2], Answer> {
    let mut filters = [Filter::All, Filter::All];
    let text = text.replace(" or ", " and ");
    for term in
        text.split(" and ").map(|term| term.trim().trim_matches(['(', ')'])).filter(|term| !term.is_empty())
    {
        let parsed = term.split_once(" eq ").and_then(|(name, value)| {
            let at = DIMENSIONS.iter().position(|(known, _)| known.eq_ignore_ascii_case(name.trim()))?;
            Some((at, value.trim().trim_matches('\'').to_ascii_lowercase()))
        });
        let Some((filter, value)) = parsed.and_then(|(at, value)| Some((filters.get_mut(at)?, value))) else {
            let known = DIMENSIONS.map(|(name, _)| name).join(", ");
            return Err(refusal(&format!(
                "The filter is not supported: use {known} with eq and a value or '*'."
            )));
        };
        match filter {
            _ if value == "*" => *filter = Filter::Each,
            Filter::Only(values) => values.push(value),
            Filter::All | Filter::Each => *filter = Filter::Only(Vec::from([value])),
        }
    }
    Ok(filters)
}
