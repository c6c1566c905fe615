//! Rate-limit header values. Decides their text; not when they are sent (`reply`, `exchange`). Stage 4.
//! Source: `azure.md`, B4; `design.md`, section 8, "Reset headers".

use crate::snapshot::Meter;
use crate::time::Millis;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// How a surface writes a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanForm {
    /// Whole seconds, rounded up: Azure's surfaces.
    Seconds,
    /// Go's durations, e.g. `1s`, `17ms`, `6m0s`: `OpenAI`'s.
    Go,
}

/// How a limit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What is counted.
    pub meter: Meter,
    /// The limit: cells per period.
    pub amount: u64,
    /// Cells that could be admitted now, 0 up to the burst.
    pub remaining: u64,
    /// Until the whole burst could be admitted again, if nobody came.
    pub reset: Millis,
}

impl Standing {
    /// How much of the amount is in use, in percent.
    pub fn percent(&self) -> u64 {
        let used = self.amount.saturating_sub(self.remaining);
        used.saturating_mul(100).checked_div(self.amount).unwrap_or(100)
    }

    /// Adds `x-ratelimit-limit-*`, `x-ratelimit-remaining-*` and `x-ratelimit-reset-*`.
    pub fn push_headers(&self, headers: &mut Vec<(&'static str, String)>, form: SpanForm) {
        let [limit, left, reset] = match self.meter {
            Meter::Requests => {
                ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"]
            }
            Meter::Tokens => {
                ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"]
            }
        };
        headers.push((limit, self.amount.to_string()));
        headers.push((left, self.remaining.to_string()));
        headers.push((reset, span(self.reset, form)));
    }
}

/// `retry-after` (whole seconds, rounded up) and `retry-after-ms`.
pub fn retry_after(wait: Millis) -> [(&'static str, String); 2] {
    [("retry-after", wait.seconds_ceil().to_string()), ("retry-after-ms", wait.0.to_string())]
}

/// A span of time as a surface writes it.
pub fn span(span: Millis, form: SpanForm) -> String {
    let seconds = span.0 / 1000;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    match form {
        SpanForm::Seconds => span.seconds_ceil().to_string(),
        SpanForm::Go if span.0 == 0 => "0s".to_string(),
        SpanForm::Go if seconds == 0 => format!("{}ms", span.0),
        SpanForm::Go => {
            let rest = fraction(span.0 % 60_000);
            match (hours, minutes) {
                (0, 0) => format!("{rest}s"),
                (0, _) => format!("{minutes}m{rest}s"),
                (_, _) => format!("{hours}h{minutes}m{rest}s"),
            }
        }
    }
}

/// Milliseconds as seconds with as many places as they need.
fn fraction(millis: u64) -> String {
    let text = format!("{}.{:03}", millis / 1000, millis % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_each_surface_writes_them() {
        let rows = [
            (0, "0", "0s"),
            (17, "1", "17ms"),
            (1000, "1", "1s"),
            (1001, "2", "1.001s"),
            (10_500, "11", "10.5s"),
            (60_000, "60", "1m0s"),
            (361_200, "362", "6m1.2s"),
            (3_600_000, "3600", "1h0m0s"),
            (90_061_000, "90061", "25h1m1s"),
        ];
        for (millis, seconds, go) in rows {
            assert_eq!(span(Millis(millis), SpanForm::Seconds), seconds);
            assert_eq!(span(Millis(millis), SpanForm::Go), go);
        }
    }

    #[test]
    fn headers_name_their_meter() {
        let mut headers = Vec::new();
        let standing = Standing { meter: Meter::Requests, amount: 120, remaining: 19, reset: Millis(500) };
        standing.push_headers(&mut headers, SpanForm::Seconds);
        Standing { meter: Meter::Tokens, ..standing }.push_headers(&mut headers, SpanForm::Go);
        let got: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(
            got,
            [
                ("x-ratelimit-limit-requests", "120"),
                ("x-ratelimit-remaining-requests", "19"),
                ("x-ratelimit-reset-requests", "1"),
                ("x-ratelimit-limit-tokens", "120"),
                ("x-ratelimit-remaining-tokens", "19"),
                ("x-ratelimit-reset-tokens", "500ms"),
            ]
        );
        let [(_, seconds), (_, millis)] = retry_after(Millis(1500));
        assert_eq!((seconds.as_str(), millis.as_str()), ("2", "1500"));
    }
}
