//! The parameters of a question about metrics.
//!
//! Decides which are understood: `timespan`, `interval`, `metricnames`, `metricnamespace`, `aggregation`, `$filter`,
//! `rollupby`, `top`, `orderby`, `resultType`; not which metrics there are ([`super::known`]) and not the answer.

use super::super::answer::Answer;
use super::super::calendar;
use super::super::message::Interval;
use super::super::params::decode;
use super::known::{Aggregation, METRICS, Metric};
use super::{DIMENSIONS, Dim, INTERVALS, POINTS_MAX, TIMESPAN, refusal};
use crate::time::{Millis, UnixMillis};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Series of one metric, where nothing is said.
const TOP: usize = 10;

/// What is wanted of one dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// This value.
    Is(String),
    /// Any but this.
    IsNot(String),
    /// Any that begins so.
    Begins(String),
    /// Any.
    Any,
}

/// One dimension of the filter, whose values tell series apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) dim: Dim,
    /// The first of each name that is asked for; values are folded. One of them must hold, but each of `IsNot`.
    pub(super) wanted: Vec<Wanted>,
    /// Its values make one series.
    pub(super) rolled: bool,
}

impl Filter {
    /// Whether a value is one of those wanted.
    pub(super) fn admits(&self, value: &str) -> bool {
        let value = value.to_ascii_lowercase();
        let (mut positive, mut met) = (false, false);
        for wanted in &self.wanted {
            match wanted {
                Wanted::IsNot(other) if *other == value => return false,
                Wanted::IsNot(_) => {}
                Wanted::Is(text) => (positive, met) = (true, met || *text == value),
                Wanted::Begins(text) => (positive, met) = (true, met || value.starts_with(text)),
                Wanted::Any => (positive, met) = (true, true),
            }
        }
        met || !positive
    }
}

/// The order of series: by which number, and whether the smallest is first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) by: Aggregation,
    pub(super) ascending: bool,
}

/// All that was asked.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) metrics: Vec<&'static Metric>,
    /// What is asked of all of them; of each the usual, if nothing.
    pub(super) aggregations: Vec<Aggregation>,
    pub(super) interval: &'static str,
    pub(super) sums: Interval,
    /// Milliseconds of one point.
    pub(super) step: u64,
    pub(super) from: UnixMillis,
    pub(super) to: UnixMillis,
    pub(super) filters: Vec<Filter>,
    pub(super) top: usize,
    pub(super) order: Option<Order>,
    /// Only which series there are.
    pub(super) metadata: bool,
}

impl Asked {
    /// Understands the part of the address after `?`.
    ///
    /// # Errors
    /// The refusal, in ARM's form.
    pub(super) fn parse(query: &str, namespace: &str, now: UnixMillis) -> Result<Self, Answer> {
        let value = |wanted: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            let found =
                pairs.find(|(name, _)| decode(name).is_some_and(|name| name.eq_ignore_ascii_case(wanted)));
            found.and_then(|(_, value)| decode(value)).filter(|value| !value.is_empty())
        };
        if let Some(other) = value("metricnamespace").filter(|other| !other.eq_ignore_ascii_case(namespace)) {
            return Err(refusal(&format!("The metric namespace '{}' is not the resource's.", clip(&other))));
        }
        let metrics = metrics(value("metricnames").as_deref())?;
        let aggregations = aggregations(value("aggregation").as_deref(), &metrics)?;
        let (from, to) = timespan(value("timespan").as_deref(), now)?;
        let (interval, sums, step) = interval(value("interval").as_deref(), from, to)?;
        let into = if interval == FULL { 0 } else { from.0.checked_rem(step).unwrap_or(0) };
        let from = UnixMillis(from.0.saturating_sub(into));
        let points = to.since(from).0.div_ceil(step);
        if points == 0 || points > POINTS_MAX {
            return Err(refusal(&format!(
                "The timespan must have 1 to {POINTS_MAX} intervals; choose a longer one."
            )));
        }
        let rolled = value("rollupby").unwrap_or_default();
        let filters = filters(value("$filter").as_deref().unwrap_or_default(), &rolled, &metrics)?;
        let top = value("top").map_or(Ok(TOP), |text| text.parse::<usize>());
        let top = top.ok().filter(|top| *top > 0);
        let top = top.ok_or_else(|| refusal("The parameter 'top' must be a whole number from 1 on."))?;
        let order = value("orderby").as_deref().map(order).transpose()?;
        let metadata = match value("resultType").unwrap_or_default().to_ascii_lowercase().as_str() {
            "" | "data" => false,
            "metadata" => true,
            _ => return Err(refusal("The parameter 'resultType' must be Data or Metadata.")),
        };
        Ok(Self { metrics, aggregations, interval, sums, step, from, to, filters, top, order, metadata })
    }
}

/// The whole timespan as one interval.
const FULL: &str = "FULL";

fn interval(
    text: Option<&str>,
    from: UnixMillis,
    to: UnixMillis,
) -> Result<(&'static str, Interval, u64), Answer> {
    let wanted = text.unwrap_or("PT1M");
    if wanted.eq_ignore_ascii_case(FULL) {
        let span = to.since(from).0;
        let sums = match span {
            0..=7_200_000 => Interval::Minute,
            7_200_001..=864_000_000 => Interval::Hour,
            _ => Interval::Day,
        };
        return Ok((FULL, sums, span.max(1)));
    }
    let found = INTERVALS.into_iter().find(|(name, ..)| name.eq_ignore_ascii_case(wanted));
    let Some((name, sums, minutes)) = found else {
        let known = INTERVALS.map(|(name, ..)| name).join(", ");
        return Err(refusal(&format!("The interval must be one of {known}, {FULL}.")));
    };
    Ok((name, sums, minutes.saturating_mul(60_000)))
}

pub(super) fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}

/// The metrics of a list of names; the first of all, if none is named.
fn metrics(text: Option<&str>) -> Result<Vec<&'static Metric>, Answer> {
    let Some(text) = text else { return Ok(METRICS.iter().take(1).collect()) };
    let of = |name: &str| {
        METRICS.iter().find(|metric| metric.name.eq_ignore_ascii_case(name)).ok_or_else(|| {
            let known = METRICS.iter().map(|metric| metric.name).collect::<Vec<_>>().join(",");
            refusal(&format!(
                "Failed to find metric configuration for '{}'. Valid metrics: {known}",
                clip(name)
            ))
        })
    };
    text.split(',').map(str::trim).map(of).collect()
}

/// What each metric has.
fn aggregations(text: Option<&str>, metrics: &[&'static Metric]) -> Result<Vec<Aggregation>, Answer> {
    let mut aggregations = Vec::new();
    for word in text.into_iter().flat_map(|text| text.split(',')).map(str::trim) {
        let found = Aggregation::parse(word);
        let lacking =
            metrics.iter().find(|metric| found.is_none_or(|one| !metric.aggregations().contains(&one)));
        match (found, lacking) {
            (Some(one), None) => aggregations.push(one),
            (_, lacking) => {
                let known = lacking.map(|metric| metric.aggregations()).unwrap_or_default();
                let known = known.iter().map(|one| one.name()).collect::<Vec<_>>().join(", ");
                return Err(refusal(&format!(
                    "The aggregation '{}' is not supported by metric '{}'. It has {known}.",
                    clip(word),
                    lacking.map_or("", |metric| metric.name)
                )));
            }
        }
    }
    Ok(aggregations)
}

/// `sum desc` and the like.
fn order(text: &str) -> Result<Order, Answer> {
    let mut words = text.split_whitespace();
    let by = match words.next().unwrap_or_default().to_ascii_lowercase().as_str() {
        "sum" | "total" => Some(Aggregation::Total),
        "avg" => Some(Aggregation::Average),
        "min" => Some(Aggregation::Minimum),
        "max" => Some(Aggregation::Maximum),
        other => Aggregation::parse(other),
    };
    let ascending = match words.next().unwrap_or("desc").to_ascii_lowercase().as_str() {
        "asc" => Some(true),
        "desc" => Some(false),
        _ => None,
    };
    match (by, ascending, words.next()) {
        (Some(by), Some(ascending), None) => Ok(Order { by, ascending }),
        _ => Err(refusal("The parameter 'orderby' must be an aggregation, then asc or desc: 'sum desc'.")),
    }
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

/// `ModelDeploymentName eq 'x' and ModelName eq '*'`; several values of one dimension with `or`. `ne` and `sw` as well.
fn filters(text: &str, rolled: &str, metrics: &[&'static Metric]) -> Result<Vec<Filter>, Answer> {
    let known = |name: &str| DIMENSIONS.iter().find(|(_, known)| known.eq_ignore_ascii_case(name.trim()));
    let lacks = |name: &str| {
        let all = |dim: Dim| metrics.iter().all(|metric| metric.has(dim));
        let names: Vec<&str> =
            DIMENSIONS.iter().filter(|(dim, _)| all(*dim)).map(|(_, name)| *name).collect();
        let (name, names) = (clip(name), names.join(", "));
        refusal(&format!("'{name}' is no dimension of what is asked for, or is not kept. There are {names}."))
    };
    let find = |name: &str| match known(name) {
        Some((dim, _)) if metrics.iter().all(|metric| metric.has(*dim)) => Ok(*dim),
        _ => Err(lacks(name)),
    };
    let mut filters: Vec<Filter> = Vec::new();
    let text = text.replace(" or ", " and ");
    let terms = text.split(" and ").map(|term| term.trim().trim_matches(['(', ')']));
    for term in terms.filter(|term| !term.is_empty()) {
        let split = |word: &str| term.split_once(word);
        let value = |value: &str| value.trim().trim_matches('\'').to_ascii_lowercase();
        let (name, wanted) = match (split(" eq "), split(" ne "), split(" sw ")) {
            (Some((name, text)), ..) if value(text) == "*" => (name, Wanted::Any),
            (Some((name, text)), ..) => (name, Wanted::Is(value(text))),
            (_, Some((name, text)), _) => (name, Wanted::IsNot(value(text))),
            (_, _, Some((name, text))) => (name, Wanted::Begins(value(text))),
            (None, None, None) => {
                return Err(refusal("The filter must be of the form: ModelDeploymentName eq 'name' or '*'."));
            }
        };
        let dim = find(name)?;
        match filters.iter_mut().find(|filter| filter.dim == dim) {
            Some(filter) => filter.wanted.push(wanted),
            None => filters.push(Filter { dim, wanted: Vec::from([wanted]), rolled: false }),
        }
    }
    for name in rolled.split(',').filter(|name| !name.trim().is_empty()) {
        let dim = find(name)?;
        filters.iter_mut().filter(|filter| filter.dim == dim).for_each(|filter| filter.rolled = true);
    }
    Ok(filters)
}
