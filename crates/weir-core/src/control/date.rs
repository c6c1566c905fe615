//! Dates as texts of RFC 3339, for the management surfaces.
//!
//! Decides the form of a date that is read or written (UTC, the proleptic Gregorian calendar, years 1970 to
//! 9999); not what it is used for. Day arithmetic: "days from civil" of Howard Hinnant's calendar algorithms,
//! with years that begin in March.

use crate::time::UnixMillis;
use alloc::format;
use alloc::string::String;

const DAY_MILLIS: u64 = 86_400_000;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_DAYS: u64 = 719_468;
/// Days in 400 years.
const ERA_DAYS: u64 = 146_097;

/// `at` as `2026-01-31T12:00:00.000Z`.
pub fn format_rfc3339(at: UnixMillis) -> String {
    let (days, rest) = (at.0 / DAY_MILLIS, at.0 % DAY_MILLIS);
    let (year, month, day) = civil(days);
    let (seconds, millis) = (rest / 1000, rest % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Reads `2026-01-31T12:00:00Z`, with an optional fraction and `Z` or an offset such as `+02:00`.
///
/// `None` when the text is not such a date, names a day that does not exist, or lies before 1970.
pub fn parse_rfc3339(text: &str) -> Option<UnixMillis> {
    let (date, time) = text.split_once(['T', 't'])?;
    let mut parts = date.split('-');
    let (year, month, day) =
        (digits(parts.next()?, 4)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    if parts.next().is_some() || year < 1970 {
        return None;
    }
    let at = time.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = time.split_at_checked(at)?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut parts = clock.split(':');
    let (hour, minute, second) =
        (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days(year, month, day)?;
    if civil(days) != (year, month, day) {
        return None;
    }
    let seconds = hour.checked_mul(3600)?.checked_add(minute.checked_mul(60)?)?.checked_add(second)?;
    let local = days
        .checked_mul(DAY_MILLIS)?
        .checked_add(seconds.checked_mul(1000)?)?
        .checked_add(thousandths(fraction)?)?;
    shift(local, zone).map(UnixMillis)
}

fn shift(local: u64, zone: &str) -> Option<u64> {
    if matches!(zone, "Z" | "z") {
        return Some(local);
    }
    let (sign, offset) = zone.split_at_checked(1)?;
    let (hours, minutes) = offset.split_once(':')?;
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let offset = hours.checked_mul(60)?.checked_add(minutes)?.checked_mul(60_000)?;
    if sign == "+" { local.checked_sub(offset) } else { local.checked_add(offset) }
}

fn digits(text: &str, count: usize) -> Option<u64> {
    let plain = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

/// The first three digits of a fraction, as milliseconds.
fn thousandths(fraction: &str) -> Option<u64> {
    if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let text: String = fraction.chars().chain("00".chars()).take(3).collect();
    text.parse().ok()
}

/// Days since 1970-01-01 of a date from 1970 on.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let of_march = month.checked_add(9)? % 12;
    let of_year =
        of_march.checked_mul(153)?.checked_add(2)?.checked_div(5)?.checked_add(day)?.checked_sub(1)?;
    let leap_days = (of_era / 4).checked_sub(of_era / 100)?;
    let in_era = of_era.checked_mul(365)?.checked_add(leap_days)?.checked_add(of_year)?;
    era.checked_mul(ERA_DAYS)?.checked_add(in_era)?.checked_sub(EPOCH_DAYS)
}

/// Year, month and day of a count of days since 1970-01-01.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days.saturating_add(EPOCH_DAYS);
    let (era, in_era) = (days / ERA_DAYS, days % ERA_DAYS);
    let leap_days = (in_era / 1460).saturating_add(in_era / 146_096);
    let of_era = in_era.saturating_sub(leap_days).saturating_add(in_era / 36_524) / 365;
    let year_start = of_era.saturating_mul(365).saturating_add(of_era / 4).saturating_sub(of_era / 100);
    let of_year = in_era.saturating_sub(year_start);
    let of_march = of_year.saturating_mul(5).saturating_add(2) / 153;
    let day = of_year.saturating_sub(of_march.saturating_mul(153).saturating_add(2) / 5).saturating_add(1);
    let month = if of_march < 10 { of_march.saturating_add(3) } else { of_march.saturating_sub(9) };
    let year = era.saturating_mul(400).saturating_add(of_era);
    (if month <= 2 { year.saturating_add(1) } else { year }, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn dates_are_read_or_refused() {
        let rows = [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T00:00:00Z", Some(951_782_400_000)),
            ("2026-01-31T12:00:00.5Z", Some(1_769_860_800_500)),
            ("2026-01-31T14:00:00+02:00", Some(1_769_860_800_000)),
            ("2026-01-31T10:30:00-01:30", Some(1_769_860_800_000)),
            ("2025-02-29T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-01-31", None),
            ("2026-01-31T12:00:00", None),
            ("2026-01-31T24:00:00Z", None),
            ("1969-12-31T23:59:59Z", None),
            ("1970-01-01T00:00:00+01:00", None),
            ("2026-01-31T12:00:00.Z", None),
            ("é026-01-31T12:00:00Z", None),
        ];
        for (text, expected) in rows {
            assert_eq!(parse_rfc3339(text).map(|at| at.0), expected, "{text}");
        }
        assert_eq!(format_rfc3339(UnixMillis(1_769_860_800_500)), "2026-01-31T12:00:00.500Z".to_string());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(at in 0u64..253_402_300_800_000) {
            prop_assert_eq!(parse_rfc3339(&format_rfc3339(UnixMillis(at))), Some(UnixMillis(at)));
        }
    }
}
