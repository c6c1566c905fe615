//! What an upstream says of the quota that is left (`providers.md`, 1.5): headers as `OpenAI`, Azure and Anthropic send them.
//!
//! Stage 5. Decides how long an entity without quota is to rest; nothing about entities that have some.

use crate::ledger::calendar;
use crate::time::{Millis, UnixMillis};

/// How long an entity rests that has no quota left and does not say for how long.
const UNSAID: Millis = Millis(1_000);

/// What is left, and when it is whole again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemainingQuota {
    /// Requests.
    pub requests: Option<u64>,
    /// Tokens.
    pub tokens: Option<u64>,
    /// Until requests are whole again.
    pub requests_reset: Option<Millis>,
    /// Until tokens are whole again.
    pub tokens_reset: Option<Millis>,
}

impl RemainingQuota {
    /// Reads the four headers; what cannot be read is unknown. Resets are spans, or times (Anthropic's).
    pub fn read(
        now: UnixMillis,
        requests: Option<&str>,
        tokens: Option<&str>,
        requests_reset: Option<&str>,
        tokens_reset: Option<&str>,
    ) -> Self {
        let count = |text: Option<&str>| text.and_then(|text| text.trim().parse().ok());
        let reset = |text: &str| span(text).or_else(|| Some(calendar::parse(text).ok()?.since(now)));
        Self {
            requests: count(requests),
            tokens: count(tokens),
            requests_reset: requests_reset.and_then(reset),
            tokens_reset: tokens_reset.and_then(reset),
        }
    }

    /// How long there is no quota; `None` if there is some, or nobody knows.
    pub fn spent_for(&self) -> Option<Millis> {
        let spent =
            |left: Option<u64>, reset: Option<Millis>| (left == Some(0)).then(|| reset.unwrap_or(UNSAID));
        spent(self.requests, self.requests_reset).max(spent(self.tokens, self.tokens_reset))
    }
}

/// A span in the manner of Go (`1s`, `6m0s`, `17ms`, `1h2m`) or in seconds.
fn span(text: &str) -> Option<Millis> {
    let mut rest = text.trim();
    if rest.is_empty() || rest.len() > 32 {
        return None;
    }
    let mut sum = 0u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at_checked(digits)?;
        let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(letters)?;
        let scale = match unit {
            "ms" => 1,
            "s" | "" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let tenths: u64 = part.get(..1).map_or(Some(0), |digit| digit.parse().ok())?;
        let whole: u64 = whole.parse().ok()?;
        let tenth = scale / 10;
        sum = sum.checked_add(whole.checked_mul(scale)?)?.checked_add(tenths.checked_mul(tenth)?)?;
        rest = after;
    }
    Some(Millis(sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_in_all_their_forms() {
        let rows = [
            ("1s", Some(1_000)),
            ("6m0s", Some(360_000)),
            ("17ms", Some(17)),
            ("1h2m", Some(3_720_000)),
            ("1.5s", Some(1_500)),
            ("30", Some(30_000)),
            ("2026-01-01T00:00:00Z", None),
            ("", None),
            ("soon", None),
            ("99999999999999999999s", None),
        ];
        for (text, want) in rows {
            assert_eq!(span(text), want.map(Millis), "{text}");
        }
    }

    #[test]
    fn only_an_empty_quota_asks_for_rest() {
        let now = calendar::parse("2026-01-01T00:00:00Z").unwrap();
        let rows = [
            ((Some("5"), Some("0"), None, Some("2s")), Some(2_000)),
            ((Some("0"), Some("9"), Some("1m0s"), None), Some(60_000)),
            ((Some("0"), None, None, None), Some(1_000)),
            ((Some("1"), Some("0"), None, Some("2026-01-01T00:00:07Z")), Some(7_000)),
            ((Some("1"), Some("0"), None, Some("2025-12-31T23:59:59Z")), Some(0)),
            ((Some("1"), Some("1"), Some("9s"), Some("9s")), None),
            ((None, None, None, None), None),
            ((Some("-"), None, None, None), None),
        ];
        for ((requests, tokens, requests_reset, tokens_reset), want) in rows {
            let quota = RemainingQuota::read(now, requests, tokens, requests_reset, tokens_reset);
            assert_eq!(quota.spent_for(), want.map(Millis), "{requests:?} {tokens:?}");
        }
    }
}
