//! How long to wait before trying the same entity again. Decides a span from the number of attempts made and a
//! given random word; draws nothing itself.
//!
//! Stage 5. "Equal jitter": half of the span is certain, so that an upstream gets air; half is random, so that
//! exchanges that failed together do not return together.

use crate::ledger::calendar;
use crate::time::{Millis, UnixMillis};
use alloc::format;

/// First wait's upper end.
const BASE_MS: u64 = 200;
/// No wait is longer.
const MAX_MS: u64 = 2_000;

/// The wait after `made` attempts (at least 1): within 100–200 ms after the first, doubling up to 1–2 s.
pub fn delay(made: u32, random: u64) -> Millis {
    let doublings = made.saturating_sub(1).min(8);
    let span = BASE_MS.saturating_mul(1u64 << doublings).min(MAX_MS);
    let half = span / 2;
    let jitter = random.checked_rem(half.saturating_add(1)).unwrap_or(0);
    Millis(half.saturating_add(jitter))
}

/// `Retry-After` and its kin as a span, at most `max`: `ms` is `retry-after-ms`, `after` is `retry-after` in
/// seconds (decimals allowed) or the date of HTTP (`providers.md`, 1.5).
pub fn retry_after(now: UnixMillis, ms: Option<&str>, after: Option<&str>, max: Millis) -> Option<Millis> {
    let from_ms = ms.and_then(|text| decimal_millis(text, 0));
    let from_after =
        || after.and_then(|text| decimal_millis(text, 3).or_else(|| Some(http_date(text)?.since(now))));
    Some(from_ms.or_else(from_after)?.min(max))
}

/// `Wed, 21 Oct 2026 07:28:00 GMT` (RFC 9110, 5.6.7, the form that is still written).
fn http_date(text: &str) -> Option<UnixMillis> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let mut words = text.split_once(", ")?.1.split_ascii_whitespace();
    let (day, month, year, time) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let place = MONTHS.find(month).filter(|place| month.len() == 3 && place.is_multiple_of(3))?;
    let month = (place / 3).saturating_add(1);
    calendar::parse(&format!("{year}-{month:02}-{day}T{time}Z")).ok()
}

/// A non-negative decimal number as milliseconds, after shifting it by `places` decimal places.
fn decimal_millis(text: &str, places: u32) -> Option<Millis> {
    let (whole, part) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    if whole.len() > 12 || part.len() > 12 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let scale = 10u64.checked_pow(places)?;
    let mut millis = whole.parse::<u64>().ok()?.checked_mul(scale)?;
    let mut unit = scale;
    for byte in part.bytes() {
        unit /= 10;
        let digit = u64::from(byte.checked_sub(b'0')?);
        millis = millis.checked_add(unit.checked_mul(digit)?)?;
    }
    Some(Millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_within_their_bounds() {
        for (made, low, high) in
            [(1, 100, 200), (2, 200, 400), (3, 400, 800), (5, 1000, 2000), (60, 1000, 2000)]
        {
            for random in [0, 1, 77, u64::MAX] {
                let Millis(wait) = delay(made, random);
                assert!((low..=high).contains(&wait), "{made} attempts, {random}: {wait}");
            }
        }
    }

    #[test]
    fn retry_after_is_read_in_all_its_forms() {
        let now = calendar::parse("2026-10-21T07:28:00Z").unwrap();
        let rows = [
            (None, Some("2"), Some(2000)),
            (None, Some("0.25"), Some(250)),
            (Some("17"), Some("9"), Some(17)),
            (Some("junk"), Some("1"), Some(1000)),
            (None, Some("86400"), Some(60_000)),
            (None, Some("-1"), None),
            (None, Some("Wed, 21 Oct 2026 07:28:09 GMT"), Some(9_000)),
            (None, Some("Wed, 21 Oct 2026 07:27:00 GMT"), Some(0)),
            (None, Some("Thu, 22 Oct 2026 07:28:00 GMT"), Some(60_000)),
            (None, Some("Wed, 21 anF 2026 07:28:00 GMT"), None),
            (None, Some("Wed, 32 Oct 2026 07:28:00 GMT"), None),
            (None, Some("soon, very soon"), None),
            (None, Some("99999999999999999999"), None),
            (None, None, None),
        ];
        for (ms, after, want) in rows {
            let got = retry_after(now, ms, after, Millis(60_000));
            assert_eq!(got, want.map(Millis), "{ms:?} {after:?}");
        }
    }
}
