//! Points in time as people write them: RFC 3339 in UTC, in the calendar that everyone uses.
//!
//! Decides which texts are times (1970 to 9999); no time zones but numeric offsets, no leap seconds. The
//! day count is the usual one (days from 0000-03-01, in eras of 400 years).

use crate::time::UnixMillis;
use alloc::format;
use alloc::string::String;

/// The last point in time that four digits of a year can write.
pub const LAST: UnixMillis = UnixMillis(253_402_300_799_999);

const DAY: u64 = 86_400_000;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH: u64 = 719_468;
const ERA: u64 = 146_097;

/// Why a text is not a point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTime {
    /// Neither RFC 3339 nor digits.
    #[error("is neither an RFC 3339 time such as 2026-07-01T00:00:00Z nor milliseconds since 1970")]
    Form,
    /// The form is right, but there is no such day or time of day.
    #[error("is not a day and time that exist")]
    NoSuchTime,
    /// Before 1970 or after 9999.
    #[error("is before 1970 or after 9999")]
    Range,
}

/// `2026-07-01T12:00:00Z`, with milliseconds where there are any. Later times than [`LAST`] are written as it.
pub fn format_rfc3339(at: UnixMillis) -> String {
    let at = at.0.min(LAST.0);
    let (year, month, day) = civil(at / DAY);
    let (second, millis) = (at % DAY / 1000, at % 1000);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    if millis == 0 {
        return format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
    }
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Milliseconds since 1970 (digits only), a day (`2026-07-01`, its start in UTC), or an RFC 3339 time. A space
/// instead of the `+` of an offset is taken, because that is what a `+` in a query string means. Digits of a
/// fraction after the third are cut off.
///
/// # Errors
/// [`InvalidTime`].
pub fn parse(text: &str) -> Result<UnixMillis, InvalidTime> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let at = text.parse().map_err(|_| InvalidTime::Range)?;
        return if at > LAST.0 { Err(InvalidTime::Range) } else { Ok(UnixMillis(at)) };
    }
    let mut text = Text(text);
    let (year, month, day) = (text.digits(4)?, text.after("-")?.digits(2)?, text.after("-")?.digits(2)?);
    let days = days(year, month, day)?;
    if text.0.is_empty() {
        return Ok(UnixMillis(days.saturating_mul(DAY)));
    }
    let (hour, minute) = (text.after("Tt ")?.digits(2)?, text.after(":")?.digits(2)?);
    let second = text.after(":")?.digits(2)?;
    let millis = text.fraction()?;
    if hour > 23 || minute > 59 || second > 59 {
        return Err(InvalidTime::NoSuchTime);
    }
    let (ahead, offset) = text.offset()?;
    let of_day = hour.saturating_mul(3600).saturating_add(minute.saturating_mul(60)).saturating_add(second);
    let at = days.saturating_mul(DAY).saturating_add(of_day.saturating_mul(1000)).saturating_add(millis);
    let at = if ahead { at.checked_sub(offset) } else { at.checked_add(offset) };
    at.filter(|&at| at <= LAST.0).map(UnixMillis).ok_or(InvalidTime::Range)
}

/// Year, month and day of the day that is `days` after 1970-01-01.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days.saturating_add(EPOCH);
    let (era, of_era) = (days / ERA, days % ERA);
    let leaps = (of_era / 1460).saturating_add(of_era / (ERA - 1));
    let year = of_era.saturating_add(of_era / 36_524).saturating_sub(leaps) / 365;
    let of_year =
        of_era.saturating_sub(year.saturating_mul(365).saturating_add(year / 4).saturating_sub(year / 100));
    let month = of_year.saturating_mul(5).saturating_add(2) / 153;
    let day = of_year.saturating_sub(month.saturating_mul(153).saturating_add(2) / 5).saturating_add(1);
    let month = if month < 10 { month.saturating_add(3) } else { month.saturating_sub(9) };
    let year = era.saturating_mul(400).saturating_add(year).saturating_add(u64::from(month <= 2));
    (year, month, day)
}

/// Days from 1970-01-01 to a day that exists.
fn days(year: u64, month: u64, day: u64) -> Result<u64, InvalidTime> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return Err(InvalidTime::NoSuchTime),
    };
    if day == 0 || day > length {
        return Err(InvalidTime::NoSuchTime);
    }
    if year < 1970 {
        return Err(InvalidTime::Range);
    }
    let (year, month) = if month > 2 {
        (year, month.saturating_sub(3))
    } else {
        (year.saturating_sub(1), month.saturating_add(9))
    };
    let of_year = month.saturating_mul(153).saturating_add(2) / 5;
    let years = year
        .saturating_mul(365)
        .saturating_add(year / 4)
        .saturating_sub(year / 100)
        .saturating_add(year / 400);
    Ok(years.saturating_add(of_year).saturating_add(day).saturating_sub(1).saturating_sub(EPOCH))
}

/// What is left of a text that is being read.
struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    /// Exactly `count` digits.
    fn digits(&mut self, count: usize) -> Result<u64, InvalidTime> {
        let (digits, rest) = self.0.split_at_checked(count).ok_or(InvalidTime::Form)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidTime::Form);
        }
        self.0 = rest;
        digits.parse().map_err(|_| InvalidTime::Form)
    }

    /// One of the characters of `any`.
    fn after(&mut self, any: &str) -> Result<&mut Self, InvalidTime> {
        self.0 = self.0.strip_prefix(|first| any.contains(first)).ok_or(InvalidTime::Form)?;
        Ok(self)
    }

    /// Milliseconds of a fraction, if there is one.
    fn fraction(&mut self) -> Result<u64, InvalidTime> {
        let Some(rest) = self.0.strip_prefix('.') else { return Ok(0) };
        let end = rest.find(|digit: char| !digit.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, rest): (&'a str, &'a str) = rest.split_at_checked(end).ok_or(InvalidTime::Form)?;
        if digits.is_empty() {
            return Err(InvalidTime::Form);
        }
        self.0 = rest;
        let digits = digits.bytes().chain(core::iter::repeat(b'0')).take(3);
        let append = |value: u64, digit: u8| {
            value.saturating_mul(10).saturating_add(u64::from(digit.saturating_sub(b'0')))
        };
        Ok(digits.fold(0, append))
    }

    /// Whether local time is ahead of UTC, and by how many milliseconds it differs.
    fn offset(&mut self) -> Result<(bool, u64), InvalidTime> {
        if matches!(self.0, "Z" | "z") {
            return Ok((true, 0));
        }
        let ahead = self.0.starts_with(['+', ' ']);
        let (hours, minutes) = (self.after("+- ")?.digits(2)?, self.after(":")?.digits(2)?);
        if !self.0.is_empty() {
            return Err(InvalidTime::Form);
        }
        if hours > 23 || minutes > 59 {
            return Err(InvalidTime::NoSuchTime);
        }
        Ok((ahead, hours.saturating_mul(60).saturating_add(minutes).saturating_mul(60_000)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_or_refused() {
        use InvalidTime::{Form, NoSuchTime, Range};
        let rows: [(&str, Result<u64, InvalidTime>); 34] = [
            ("0", Ok(0)),
            ("1782864000000", Ok(1_782_864_000_000)),
            ("253402300800000", Err(Range)),
            ("99999999999999999999999", Err(Range)),
            ("1970-01-01T00:00:00Z", Ok(0)),
            ("2026-07-01", Ok(1_782_864_000_000)),
            ("2026-07-01T00:00:00Z", Ok(1_782_864_000_000)),
            ("2026-07-01t00:00:00.5z", Ok(1_782_864_000_500)),
            ("2026-07-01T00:00:00.0019Z", Ok(1_782_864_000_001)),
            ("2026-07-01T02:00:00+02:00", Ok(1_782_864_000_000)),
            ("2026-07-01T02:00:00 02:00", Ok(1_782_864_000_000)),
            ("2026-06-30 18:30:00-05:30", Ok(1_782_864_000_000)),
            ("2000-02-29T00:00:00Z", Ok(951_782_400_000)),
            ("9999-12-31T23:59:59.999Z", Ok(LAST.0)),
            ("9999-12-31T23:59:59-00:01", Err(Range)),
            ("1970-01-01T00:00:00+00:01", Err(Range)),
            ("1969-12-31", Err(Range)),
            ("2100-02-29", Err(NoSuchTime)),
            ("2026-02-29", Err(NoSuchTime)),
            ("2026-13-01", Err(NoSuchTime)),
            ("2026-00-01", Err(NoSuchTime)),
            ("2026-04-31", Err(NoSuchTime)),
            ("2026-04-00", Err(NoSuchTime)),
            ("2026-04-01T24:00:00Z", Err(NoSuchTime)),
            ("2026-04-01T23:60:00Z", Err(NoSuchTime)),
            ("2026-04-01T23:00:60Z", Err(NoSuchTime)),
            ("2026-04-01T23:00:00+24:00", Err(NoSuchTime)),
            ("2026-04-01T23:00:00", Err(Form)),
            ("2026-04-01T23:00Z", Err(Form)),
            ("2026-04-01T23:00:00.Z", Err(Form)),
            ("2026-4-1", Err(Form)),
            ("", Err(Form)),
            ("-1", Err(Form)),
            ("2026-07-0é", Err(Form)),
        ];
        for (text, expected) in rows {
            assert_eq!(parse(text), expected.map(UnixMillis), "{text:?}");
        }
    }

    #[test]
    fn every_day_is_written_as_it_is_read_and_follows_its_yesterday() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for number in 0..=LAST.0 / DAY {
            assert_eq!((civil(number), days(year, month, day)), ((year, month, day), Ok(number)));
            day += 1;
            if days(year, month, day).is_err() {
                (month, day) = (month + 1, 1);
            }
            if month == 13 {
                (year, month) = (year + 1, 1);
            }
        }
        assert_eq!(year, 10_000);
    }

    #[test]
    fn times_are_written_in_utc_with_milliseconds_where_there_are_any() {
        for (at, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_782_864_000_000, "2026-07-01T00:00:00Z"),
            (951_782_400_007, "2000-02-29T00:00:00.007Z"),
            (u64::MAX, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(format_rfc3339(UnixMillis(at)), text);
        }
    }
}
