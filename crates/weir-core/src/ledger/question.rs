//! A question that an account's ledger objects answer together, whichever it is.
//!
//! Decides which routes are such questions (`usage` and `requests` below `/api/weir/v1/`, metrics and cost of Azure's
//! resources, metrics of Databricks' endpoints); not their parameters
//! and answers ([`super::query`], [`super::requests`]), and not who may ask.

use super::answer::Answer;
use super::cost::CostQuery;
use super::endpoint::EndpointQuery;
use super::metrics::{self, MetricsQuery};
use super::query::{LedgerAsk, UsageQuery};
use super::requests::{RequestsQuery, View};
use super::scrape::ScrapeQuery;
use crate::id::AccountId;
use crate::object::CallOutcome;
use crate::time::UnixMillis;
use alloc::vec::Vec;

/// What was asked.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Of which accounts; of the first alone, where a question is about one.
    pub accounts: &'a [AccountId],
    /// Scheme and host for links, without a trailing slash.
    pub base: &'a str,
    /// The path of the address.
    pub path: &'a str,
    /// What follows `?`.
    pub query: &'a str,
    /// The body; empty without one.
    pub body: &'a str,
    /// The time.
    pub now: UnixMillis,
}

/// A question while its answer is gathered.
///
/// Send all of [`asks`](Self::asks) at once, hand each outcome to [`answered`](Self::answered), and begin again,
/// until `asks` is empty; then [`answer`](Self::answer).
#[derive(Debug)]
pub enum Question {
    /// `GET /api/weir/v1/usage`.
    Usage(UsageQuery),
    /// `GET /api/weir/v1/requests` and Databricks' tables of requests.
    Requests(RequestsQuery),
    /// `GET {resource}/providers/Microsoft.Insights/metrics`.
    Metrics(MetricsQuery),
    /// `POST {scope}/providers/Microsoft.CostManagement/query`.
    Cost(CostQuery),
    /// `GET /api/2.0/serving-endpoints/{name}/metrics`.
    Endpoint(EndpointQuery),
    /// `GET /metrics`.
    Scrape(ScrapeQuery),
    /// Answered without asking.
    Fixed(Answer),
}

impl Question {
    /// The question of a route. `None` if it is another route, or of no account.
    ///
    /// # Errors
    /// The answer for the caller, with every fault.
    pub fn parse(asked: &Asked<'_>) -> Option<Result<Self, Answer>> {
        let Asked { accounts, path, query, now, .. } = *asked;
        if path == "/metrics" {
            return Some(Ok(Self::Scrape(ScrapeQuery::new(accounts))));
        }
        if let Some((scope, Extension::Cost)) = extension(path) {
            return Some(CostQuery::parse(asked, scope).map(Self::Cost));
        }
        let account = accounts.first()?;
        if path == "/api/weir/v1/usage" {
            return Some(UsageQuery::parse(account, query, now).map(Self::Usage));
        }
        if let Some(name) = endpoint(path) {
            return Some(Ok(Self::Endpoint(EndpointQuery::new(account, name, now))));
        }
        if let Some(id) = path.strip_prefix("/api/weir/v1/requests/") {
            return Some(Ok(Self::Requests(RequestsQuery::one(account, id))));
        }
        let view = match path.strip_prefix("/api/weir/v1/") {
            Some("requests") => Some(View::Requests),
            Some("databricks/endpoint_usage") => Some(View::EndpointUsage),
            Some("databricks/inference_table") => Some(View::InferenceTable),
            Some(_) | None => None,
        };
        if let Some(view) = view {
            return Some(RequestsQuery::parse(account, view, query).map(Self::Requests));
        }
        match extension(path)? {
            (resource, Extension::Metrics) => {
                Some(MetricsQuery::parse(account, resource, query, now).map(Self::Metrics))
            }
            (resource, Extension::Definitions) => Some(Ok(Self::Fixed(metrics::definitions(resource)))),
            (resource, Extension::Namespaces) => Some(Ok(Self::Fixed(metrics::namespaces(resource)))),
            (_, Extension::Cost) => None,
        }
    }

    /// What is to be asked now; nothing when the answer is ready.
    pub fn asks(&mut self) -> Vec<LedgerAsk> {
        match self {
            Self::Usage(question) => question.asks(),
            Self::Requests(question) => question.asks(),
            Self::Metrics(question) => question.usage.asks(),
            Self::Cost(question) => question.asks(),
            Self::Endpoint(question) => question.usage.asks(),
            Self::Scrape(question) => question.asks(),
            Self::Fixed(_) => Vec::new(),
        }
    }

    /// What a ledger object answered to the ask that named `shard`, once for each ask.
    pub fn answered(&mut self, shard: u64, outcome: CallOutcome<'_>) {
        match self {
            Self::Usage(question) => question.answered(shard, outcome),
            Self::Requests(question) => question.answered(shard, outcome),
            Self::Metrics(question) => question.usage.answered(shard, outcome),
            Self::Cost(question) => question.answered(shard, outcome),
            Self::Endpoint(question) => question.usage.answered(shard, outcome),
            Self::Scrape(question) => question.answered(shard, outcome),
            Self::Fixed(_) => {}
        }
    }

    /// The answer, when [`asks`](Self::asks) is empty.
    pub fn answer(&self) -> Answer {
        match self {
            Self::Usage(question) => question.answer(),
            Self::Requests(question) => question.answer(),
            Self::Metrics(question) => question.answer(),
            Self::Cost(question) => question.answer(),
            Self::Endpoint(question) => question.answer(),
            Self::Scrape(question) => question.answer(),
            Self::Fixed(answer) => answer.clone(),
        }
    }
}

/// The serving endpoint whose metrics a path asks for.
fn endpoint(path: &str) -> Option<&str> {
    let rest = path.trim_end_matches('/').strip_prefix("/api/2.0/serving-endpoints/")?;
    rest.strip_suffix("/metrics").filter(|name| !name.contains('/'))
}

/// What can be asked of any resource of Azure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// `GET …/providers/Microsoft.Insights/metrics`.
    Metrics,
    /// `GET …/providers/Microsoft.Insights/metricDefinitions`.
    Definitions,
    /// `GET …/providers/Microsoft.Insights/metricNamespaces`.
    Namespaces,
    /// `POST …/providers/Microsoft.CostManagement/query`.
    Cost,
}

/// The resource before such an extension, and which it is.
pub fn extension(path: &str) -> Option<(&str, Extension)> {
    const ENDS: [(&str, Extension); 4] = [
        ("/providers/microsoft.insights/metrics", Extension::Metrics),
        ("/providers/microsoft.insights/metricdefinitions", Extension::Definitions),
        ("/providers/microsoft.insights/metricnamespaces", Extension::Namespaces),
        ("/providers/microsoft.costmanagement/query", Extension::Cost),
    ];
    let path = path.trim_end_matches('/');
    ENDS.into_iter().find_map(|(end, extension)| {
        let (resource, tail) = path.split_at_checked(path.len().checked_sub(end.len())?)?;
        tail.eq_ignore_ascii_case(end).then_some((resource, extension))
    })
}
