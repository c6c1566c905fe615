//! The metrics that there are, and what each is worth.
//!
//! Decides names, units, dimensions and aggregations (`azure.md`, C6, with the older names beside the newer), and how a
//! value comes out of counts; not which counts a question is about ([`super`]). Averages of ratios are those of the sums:
//! milliseconds to the first token by all prompt tokens, and so on. Numbers have at most three decimals.

use super::super::calls::{Calls, Of};
use super::{DIMENSIONS, Dim, INTERVALS, kind_of, named};
use crate::ledger::answer::Answer;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Value, json};

/// How samples become one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aggregation {
    Total,
    Average,
    Count,
    Minimum,
    Maximum,
}

impl Aggregation {
    const ALL: [Self; 5] = [Self::Total, Self::Average, Self::Count, Self::Minimum, Self::Maximum];

    /// As the parameter has it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Total => "Total",
            Self::Average => "Average",
            Self::Count => "Count",
            Self::Minimum => "Minimum",
            Self::Maximum => "Maximum",
        }
    }

    /// As a point has it.
    pub(super) fn member(self) -> String {
        self.name().to_ascii_lowercase()
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(text))
    }
}

/// What was counted of one series at one time.
#[derive(Clone, Debug, Default)]
pub(super) struct Counted {
    pub(super) calls: Calls,
    /// Calls answered with a status of 400 to 499, of 429, of 500 and above.
    pub(super) faults: [u64; 3],
    /// Calls that a content policy made this of.
    pub(super) harms: u64,
}

impl Counted {
    pub(super) fn add(&mut self, other: &Self) {
        self.calls.add(&other.calls);
        for (fault, more) in self.faults.iter_mut().zip(other.faults) {
            *fault = fault.saturating_add(more);
        }
        self.harms = self.harms.saturating_add(other.harms);
    }

    fn of(&self, number: Of) -> u64 {
        self.calls.get(number)
    }
}

/// Which number of several spans.
#[derive(Clone, Copy, Debug)]
struct Span {
    many: Of,
    sum: Of,
    least: Of,
    most: Of,
}

const FIRST: Span = Span { many: Of::Answered, sum: Of::First, least: Of::FirstLeast, most: Of::FirstMost };
const LAST: Span = Span { many: Of::Answered, sum: Of::Last, least: Of::LastLeast, most: Of::LastMost };
const USED: Span = Span { many: Of::Reserved, sum: Of::Used, least: Of::UsedLeast, most: Of::UsedMost };

/// What a metric is worth.
#[derive(Clone, Copy, Debug)]
enum Worth {
    /// A number that adds up.
    Sum(fn(&Counted) -> u64),
    /// Numbers of single calls.
    Span(Span),
    /// One sum by another.
    Ratio(fn(&Counted) -> (u64, u64)),
    /// Calls that a content policy made this of.
    Harm(&'static str),
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) unit: &'static str,
    category: &'static str,
    worth: Worth,
}

const fn metric(
    category: &'static str,
    unit: &'static str,
    name: &'static str,
    about: &'static str,
    worth: Worth,
) -> Metric {
    Metric { name, about, unit, category, worth }
}

const COUNT: &str = "Count";
const PERCENT: &str = "Percent";
const MILLIS: &str = "MilliSeconds";
const REQUESTS: &str = "Models - HTTP Requests";
const USAGE: &str = "Models - Usage";
const LATENCY: &str = "Models - Latency";
const SAFETY: &str = "ContentSafety - Risks&Safety";

fn calls(counted: &Counted) -> u64 {
    counted.of(Of::Calls)
}

fn input(counted: &Counted) -> u64 {
    counted.of(Of::Input)
}

fn output(counted: &Counted) -> u64 {
    counted.of(Of::Output)
}

fn total(counted: &Counted) -> u64 {
    input(counted).saturating_add(output(counted))
}

fn active(counted: &Counted) -> u64 {
    total(counted).saturating_sub(counted.of(Of::Cached))
}

fn client_errors(counted: &Counted) -> u64 {
    let [client, ..] = counted.faults;
    client
}

fn throttled(counted: &Counted) -> u64 {
    let [_, throttled, _] = counted.faults;
    throttled
}

fn server_errors(counted: &Counted) -> u64 {
    let [.., server] = counted.faults;
    server
}

fn errors(counted: &Counted) -> u64 {
    client_errors(counted).saturating_add(server_errors(counted))
}

fn successes(counted: &Counted) -> u64 {
    calls(counted).saturating_sub(errors(counted))
}

fn available(counted: &Counted) -> (u64, u64) {
    let good = calls(counted).saturating_sub(server_errors(counted));
    (good.saturating_mul(100), calls(counted))
}

fn success_rate(counted: &Counted) -> (u64, u64) {
    (successes(counted).saturating_mul(100), calls(counted))
}

fn cache_match(counted: &Counted) -> (u64, u64) {
    (counted.of(Of::Cached).saturating_mul(100), input(counted))
}

fn first_by_token(counted: &Counted) -> (u64, u64) {
    (counted.of(Of::First), input(counted))
}

fn between_tokens(counted: &Counted) -> (u64, u64) {
    (counted.of(Of::StreamSpan), counted.of(Of::StreamOutput))
}

fn tokens_per_second(counted: &Counted) -> (u64, u64) {
    (counted.of(Of::StreamOutput).saturating_mul(1_000), counted.of(Of::StreamSpan))
}

use Worth::{Harm, Ratio, Sum};

const IN: &str = "Input tokens processed";
const OUT: &str = "Output tokens generated";
const BOTH: &str = "Input and output tokens";
const ASKED: &str = "Calls of a deployment, whatever became of them";
const AVAILABLE: &str = "Calls less those answered with 5xx, of all calls";
const TO_HEAD: &str = "Time from a request to the beginning of its answer";
const TO_END: &str = "Time from a request to the end of its answer";
const HEAD_BY_TOKEN: &str = "Time to the beginning of the answer, by the prompt's tokens";
const BETWEEN: &str = "Time from one token of a stream to the next";
const PER_SECOND: &str = "Tokens of streams by the seconds in which they came";
const RESERVED: &str = "Reserved throughput in use when a call was answered";

/// All of them.
pub(super) const METRICS: [Metric; 35] = [
    metric(USAGE, COUNT, "InputTokens", IN, Sum(input)),
    metric(USAGE, COUNT, "OutputTokens", OUT, Sum(output)),
    metric(USAGE, COUNT, "TotalTokens", BOTH, Sum(total)),
    metric(REQUESTS, COUNT, "ModelRequests", ASKED, Sum(calls)),
    metric(REQUESTS, PERCENT, "ModelAvailabilityRate", AVAILABLE, Ratio(available)),
    metric(LATENCY, MILLIS, "TimeToResponse", TO_HEAD, Worth::Span(FIRST)),
    metric(LATENCY, MILLIS, "TimeToLastByte", TO_END, Worth::Span(LAST)),
    metric(LATENCY, MILLIS, "NormalizedTimeToFirstToken", HEAD_BY_TOKEN, Ratio(first_by_token)),
    metric(LATENCY, MILLIS, "NormalizedTimeBetweenTokens", BETWEEN, Ratio(between_tokens)),
    metric(LATENCY, COUNT, "TokensPerSecond", PER_SECOND, Ratio(tokens_per_second)),
    metric(USAGE, PERCENT, "ProvisionedUtilization", RESERVED, Worth::Span(USED)),
    metric(USAGE, COUNT, "ProcessedPromptTokens", IN, Sum(input)),
    metric(USAGE, COUNT, "GeneratedTokens", OUT, Sum(output)),
    metric(USAGE, COUNT, "TokenTransaction", BOTH, Sum(total)),
    metric(USAGE, COUNT, "ActiveTokens", "Tokens less those that the upstream had cached", Sum(active)),
    metric(
        USAGE,
        PERCENT,
        "AzureOpenAIContextTokensCacheMatchRate",
        "Input tokens that were cached",
        Ratio(cache_match),
    ),
    metric(REQUESTS, COUNT, "AzureOpenAIRequests", ASKED, Sum(calls)),
    metric(REQUESTS, PERCENT, "AzureOpenAIAvailabilityRate", AVAILABLE, Ratio(available)),
    metric(LATENCY, MILLIS, "AzureOpenAITimeToResponse", TO_HEAD, Worth::Span(FIRST)),
    metric(LATENCY, MILLIS, "AzureOpenAITTLTInMS", TO_END, Worth::Span(LAST)),
    metric(LATENCY, MILLIS, "AzureOpenAINormalizedTTFTInMS", HEAD_BY_TOKEN, Ratio(first_by_token)),
    metric(LATENCY, MILLIS, "AzureOpenAINormalizedTBTInMS", BETWEEN, Ratio(between_tokens)),
    metric(LATENCY, COUNT, "AzureOpenAITokenPerSecond", PER_SECOND, Ratio(tokens_per_second)),
    metric(USAGE, PERCENT, "AzureOpenAIProvisionedManagedUtilizationV2", RESERVED, Worth::Span(USED)),
    metric(REQUESTS, COUNT, "TotalCalls", ASKED, Sum(calls)),
    metric(REQUESTS, COUNT, "SuccessfulCalls", "Calls without an error", Sum(successes)),
    metric(REQUESTS, COUNT, "TotalErrors", "Calls answered with 4xx or 5xx", Sum(errors)),
    metric(REQUESTS, COUNT, "ClientErrors", "Calls answered with 4xx", Sum(client_errors)),
    metric(REQUESTS, COUNT, "ServerErrors", "Calls answered with 5xx", Sum(server_errors)),
    metric(REQUESTS, COUNT, "BlockedCalls", "Calls above a limit, answered with 429", Sum(throttled)),
    metric(REQUESTS, PERCENT, "SuccessRate", "Calls without an error, of all calls", Ratio(success_rate)),
    metric(REQUESTS, MILLIS, "Latency", TO_END, Worth::Span(LAST)),
    metric(SAFETY, COUNT, "RAITotalRequests", "Calls that a content filter judged", Harm("judged")),
    metric(SAFETY, COUNT, "RAIHarmfulRequests", "Calls in which it found something", Harm("harmful")),
    metric(SAFETY, COUNT, "RAIRejectedRequests", "Calls in which it filtered something", Harm("rejected")),
];

impl Metric {
    /// By what its series can be told apart.
    pub(super) const fn has(&self, dimension: Dim) -> bool {
        let harm = matches!(self.worth, Harm(_));
        match dimension {
            Dim::Deployment | Dim::Model | Dim::Api | Dim::Region => true,
            Dim::Stream | Dim::Status | Dim::Spillover | Dim::Operation | Dim::Version => !harm,
            // What was judged is judged as a whole.
            Dim::TextType | Dim::Category | Dim::Severity => {
                matches!(self.worth, Harm(kind) if !kind.eq_ignore_ascii_case("judged"))
            }
        }
    }

    /// The kind of finding that it counts.
    pub(super) const fn harm(&self) -> Option<&'static str> {
        match self.worth {
            Harm(kind) => Some(kind),
            Sum(_) | Worth::Span(_) | Ratio(_) => None,
        }
    }

    /// What can be asked of it, the usual one first.
    pub(super) const fn aggregations(&self) -> &'static [Aggregation] {
        match self.worth {
            Sum(_) => &[Aggregation::Total, Aggregation::Average, Aggregation::Count],
            Worth::Span(_) => {
                &[Aggregation::Average, Aggregation::Minimum, Aggregation::Maximum, Aggregation::Count]
            }
            Ratio(_) => &[Aggregation::Average],
            Harm(_) => &[Aggregation::Total],
        }
    }

    /// Its value in thousandths; `None` where there is nothing that it could be of.
    pub(super) fn worth(&self, counted: &Counted, aggregation: Aggregation) -> Option<u64> {
        let by = |sum: u64, many: u64| sum.saturating_mul(1_000).checked_div(many);
        let whole = |number: u64| Some(number.saturating_mul(1_000));
        match (self.worth, aggregation) {
            (Sum(of), Aggregation::Total) => whole(of(counted)),
            (Sum(of), Aggregation::Average) => by(of(counted), counted.of(Of::Calls)),
            (Sum(_), Aggregation::Count) => whole(counted.of(Of::Calls)),
            (Harm(_), Aggregation::Total) => whole(counted.harms),
            (Ratio(of), Aggregation::Average) => {
                let (sum, many) = of(counted);
                by(sum, many)
            }
            (Worth::Span(span), aggregation) => {
                let many = counted.of(span.many);
                let some = |of| if many == 0 { None } else { whole(counted.of(of)) };
                match aggregation {
                    Aggregation::Average => by(counted.of(span.sum), many),
                    Aggregation::Minimum => some(span.least),
                    Aggregation::Maximum => some(span.most),
                    Aggregation::Count => whole(many),
                    Aggregation::Total => None,
                }
            }
            (Sum(_) | Harm(_) | Ratio(_), _) => None,
        }
    }
}

/// Thousandths as a number: whole if they are, as Azure's counts are.
pub(super) fn number(thousandths: u64) -> Value {
    let (whole, rest) = (thousandths / 1_000, thousandths % 1_000);
    if rest == 0 {
        return whole.into();
    }
    // The decimal text is a JSON number.
    crate::json::read(&format!("{whole}.{rest:03}")).unwrap_or_default()
}

/// `metricDefinitions` of a resource.
pub(in crate::ledger) fn definitions(resource: &str) -> Answer {
    let (namespace, _) = kind_of(resource);
    let of = |metric: &Metric| {
        let dimensions: Vec<Value> =
            DIMENSIONS.iter().filter(|(dim, _)| metric.has(*dim)).map(|(_, name)| named(name)).collect();
        let aggregations = metric.aggregations();
        json!({
            "id": format!("{resource}/providers/Microsoft.Insights/metricDefinitions/{}", metric.name),
            "resourceId": resource, "namespace": namespace, "category": metric.category,
            "name": named(metric.name), "displayDescription": metric.about, "isDimensionRequired": false,
            "unit": metric.unit,
            "primaryAggregationType": aggregations.first().map(|usual| usual.name()),
            "supportedAggregationTypes": aggregations.iter().map(|one| one.name()).collect::<Vec<_>>(),
            "metricAvailabilities": INTERVALS.map(|(grain, _, minutes)| {
                json!({"timeGrain": grain, "retention": if minutes < 60 { "P7D" } else { "P400D" }})
            }),
            "dimensions": dimensions,
        })
    };
    Answer::json(&json!({"value": METRICS.iter().map(of).collect::<Vec<Value>>()}))
}

/// `metricNamespaces` of a resource: the one of its type.
pub(in crate::ledger) fn namespaces(resource: &str) -> Answer {
    let (namespace, _) = kind_of(resource);
    let id = format!("{resource}/providers/Microsoft.Insights/metricNamespaces/{namespace}");
    Answer::json(&json!({"value": [{
        "id": id, "name": namespace, "type": "Microsoft.Insights/metricNamespaces", "classification": "Platform",
        "properties": {"metricNamespaceName": namespace},
    }]}))
}
