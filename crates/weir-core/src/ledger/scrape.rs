//! `GET /metrics`: counts of every deployment as Prometheus reads them.
//!
//! Decides names, labels and form; not what is counted ([`super::totals`]) and not who may ask (`control::front`).
//! Names are those of the OpenTelemetry conventions for generative AI where they have one, as Prometheus writes them.
//! Exchanges that never reached a deployment (a wrong key, an unknown name) are not counted. At most
//! [`ACCOUNTS_MAX`] accounts are shown, and [`ROWS_MAX`] deployments of each ledger object; what is left out is
//! counted. A ledger object that does not answer makes the answer 503: a counter must not go backwards.

use super::answer::Answer;
use super::message::{Message, TotalsAsk, TotalsPart};
use super::query::LedgerAsk;
use super::totals::{self, DURATIONS, FIRSTS, Histogram, TOKENS, Totals};
use crate::account::batch::SHARDS;
use crate::id::AccountId;
use crate::object::CallOutcome;
use crate::sorted::SortedMap;
use crate::units::Money;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;

/// Accounts that one answer is about.
const ACCOUNTS_MAX: usize = 64;
/// Rows of totals that are read of each ledger object.
pub(super) const ROWS_MAX: u32 = 2_000;

const USED: &str = "gen_ai_client_token_usage";
const DURATION: &str = "gen_ai_server_request_duration_seconds";
const FIRST: &str = "gen_ai_server_time_to_first_token_seconds";

/// A scrape while its answer is gathered.
#[derive(Debug)]
pub struct ScrapeQuery {
    accounts: Vec<AccountId>,
    left_out: usize,
    asked: bool,
    failed: bool,
    cut: bool,
    /// By account, deployment and model.
    totals: SortedMap<(String, String, String), Totals>,
}

impl ScrapeQuery {
    pub(super) fn new(accounts: &[AccountId]) -> Self {
        Self {
            accounts: accounts.iter().take(ACCOUNTS_MAX).cloned().collect(),
            left_out: accounts.len().saturating_sub(ACCOUNTS_MAX),
            asked: false,
            failed: false,
            cut: false,
            totals: SortedMap::new(),
        }
    }

    pub(super) fn asks(&mut self) -> Vec<LedgerAsk> {
        if core::mem::replace(&mut self.asked, true) {
            return Vec::new();
        }
        let mut all = Vec::new();
        for (at, account) in (0u64..).zip(&self.accounts) {
            for shard in 0..SHARDS {
                let ask = LedgerAsk::new(account, shard, &Message::Totals(TotalsAsk {}));
                all.push(LedgerAsk { shard: at.saturating_mul(SHARDS).saturating_add(shard), ..ask });
            }
        }
        all
    }

    pub(super) fn answered(&mut self, ask: u64, outcome: CallOutcome<'_>) {
        let at = usize::try_from(ask.checked_div(SHARDS).unwrap_or(0)).ok();
        let part = match outcome {
            CallOutcome::Answered(body) => serde_json::from_slice::<TotalsPart>(body).ok(),
            CallOutcome::Lost => None,
        };
        let (Some(part), Some(account)) = (part, at.and_then(|at| self.accounts.get(at))) else {
            self.failed = true;
            return;
        };
        self.cut |= part.more;
        for (key, totals) in part.rows {
            let Some([deployment, model]) = totals::parse_key(&key) else { continue };
            self.totals.entry((account.to_string(), deployment, model)).or_default().add(&totals);
        }
    }

    pub(super) fn answer(&self) -> Answer {
        if self.failed {
            return Answer::unavailable();
        }
        let mut page = Page(String::new());
        let counters: [Counter; 5] = [
            ("weir_requests_total", "Exchanges that a model answered.", |totals| totals.requests),
            ("weir_streams_broken_total", "Answered exchanges whose stream broke off.", |totals| {
                totals.incomplete
            }),
            ("weir_upstream_retries_total", "Upstream calls beyond an exchange's first.", |totals| {
                totals.retries
            }),
            ("weir_input_tokens_cached_total", "Input tokens that the model had cached.", |totals| {
                totals.cached_input
            }),
            ("weir_output_tokens_reasoning_total", "Output tokens of reasoning.", |totals| totals.reasoning),
        ];
        for (name, about, count) in counters {
            page.family(name, "counter", about);
            for (by, totals) in self.answered_rows() {
                page.line(name, &labels(by), &count(totals).to_string());
            }
        }
        self.costs(&mut page);
        self.failures(&mut page);
        self.histograms(&mut page);
        page.family("weir_metrics_accounts_left_out", "gauge", "Accounts that this answer does not show.");
        page.line("weir_metrics_accounts_left_out", "", &self.left_out.to_string());
        page.family(
            "weir_metrics_deployments_left_out",
            "gauge",
            "1 if an account has too many deployments to show.",
        );
        page.line("weir_metrics_deployments_left_out", "", if self.cut { "1" } else { "0" });
        Answer::new(200, "text/plain; version=0.0.4; charset=utf-8", page.0)
    }

    fn answered_rows(&self) -> impl Iterator<Item = (&(String, String, String), &Totals)> {
        self.totals.iter().filter(|(_, totals)| totals.requests > 0)
    }

    fn costs(&self, page: &mut Page) {
        const NAME: &str = "weir_cost_total";
        page.family(NAME, "counter", "What the tokens cost, by the catalog's prices.");
        for (by, totals) in self.answered_rows() {
            for (currency, Money(cost)) in &totals.cost {
                let mut labels = labels(by);
                label(&mut labels, "currency", currency);
                page.line(NAME, &labels, &Money(*cost).to_string());
            }
        }
    }

    fn failures(&self, page: &mut Page) {
        const NAME: &str = "weir_request_failures_total";
        page.family(
            NAME,
            "counter",
            "Exchanges of a deployment without an answer, by the class of the error.",
        );
        for ((account, deployment, _), totals) in &self.totals {
            for (word, many) in &totals.failed {
                let mut labels = String::new();
                label(&mut labels, "account", account);
                label(&mut labels, "deployment", deployment);
                label(&mut labels, "error_type", word);
                page.line(NAME, &labels, &many.to_string());
            }
        }
    }

    fn histograms(&self, page: &mut Page) {
        let seconds = |value: u64| Money(value.saturating_mul(1_000_000_000)).to_string();
        let tokens = |value: u64| value.to_string();
        page.family(USED, "histogram", "Tokens of an exchange.");
        for (by, totals) in self.answered_rows() {
            for (kind, histogram) in [("input", &totals.input), ("output", &totals.output)] {
                let mut labels = labels(by);
                label(&mut labels, "gen_ai_token_type", kind);
                page.histogram(USED, &labels, &TOKENS, histogram, tokens);
            }
        }
        page.family(DURATION, "histogram", "Time from a request to the end of its answer.");
        for (by, totals) in self.answered_rows() {
            page.histogram(DURATION, &labels(by), &DURATIONS, &totals.duration, seconds);
        }
        page.family(FIRST, "histogram", "Time from a request to the beginning of its stream.");
        for (by, totals) in self.answered_rows().filter(|(_, totals)| !totals.first.counts.is_empty()) {
            page.histogram(FIRST, &labels(by), &FIRSTS, &totals.first, seconds);
        }
    }
}

/// Name, meaning, and what it counts.
type Counter = (&'static str, &'static str, fn(&Totals) -> u64);

/// The text of an answer.
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, about: &str) {
        let _written = writeln!(self.0, "# HELP {name} {about}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &str, value: &str) {
        let _written = if labels.is_empty() {
            writeln!(self.0, "{name} {value}")
        } else {
            writeln!(self.0, "{name}{{{labels}}} {value}")
        };
    }

    fn histogram(
        &mut self,
        name: &str,
        labels: &str,
        bounds: &[u64],
        histogram: &Histogram,
        shown: impl Fn(u64) -> String,
    ) {
        let (bucket, mut count) = (format!("{name}_bucket"), 0u64);
        let ends = bounds.iter().map(|bound| shown(*bound)).chain([String::from("+Inf")]);
        for (end, more) in ends.zip(&histogram.counts) {
            count = count.saturating_add(*more);
            let mut labels = String::from(labels);
            label(&mut labels, "le", &end);
            self.line(&bucket, &labels, &count.to_string());
        }
        self.line(&format!("{name}_sum"), labels, &shown(histogram.sum));
        self.line(&format!("{name}_count"), labels, &count.to_string());
    }
}

fn labels((account, deployment, model): &(String, String, String)) -> String {
    let mut labels = String::new();
    label(&mut labels, "account", account);
    label(&mut labels, "deployment", deployment);
    label(&mut labels, "gen_ai_request_model", model);
    labels
}

/// Adds a label; its value escaped as Prometheus wants it.
fn label(labels: &mut String, name: &str, value: &str) {
    if !labels.is_empty() {
        labels.push(',');
    }
    labels.push_str(name);
    labels.push_str("=\"");
    for c in value.chars() {
        match c {
            '\\' => labels.push_str("\\\\"),
            '"' => labels.push_str("\\\""),
            '\n' => labels.push_str("\\n"),
            c => labels.push(c),
        }
    }
    labels.push('"');
}

#[cfg(test)]
#[path = "scrape_tests.rs"]
mod tests;
