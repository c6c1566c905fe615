//! What tokens cost: price texts to integer money, and the cost of an exchange.
//!
//! Stage 7. Decides the arithmetic of cost (`design.md` section 8, "Charging"); not which price holds (the
//! snapshot says). All integer, all checked: a cost is exact or it is unknown.

use super::record::Usage;
use crate::snapshot::Price;
use crate::units::Money;

/// The highest price of a million tokens that is accepted, in whole units of the currency.
pub const PER_MILLION_MAX: u64 = 1_000_000;

/// [`Money`] of one token at a price of 1 per million tokens: 10^12 / 10^6.
const PER_TOKEN: u64 = 1_000_000;

/// Decimal places of a price per million tokens that a token's price can hold exactly.
const PLACES: usize = 6;

/// Why a text is not a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPrice {
    /// The text is empty.
    #[error("is empty; write a decimal number such as \"2.50\"")]
    Empty,
    /// Something that is neither a digit nor the one decimal point.
    #[error("is not a decimal number such as \"2.50\" (position {at})")]
    NotDecimal {
        /// Byte offset of the first wrong character.
        at: usize,
    },
    /// More than six decimal places.
    #[error("has more than 6 decimal places")]
    TooPrecise,
    /// Above [`PER_MILLION_MAX`].
    #[error("is above {PER_MILLION_MAX} per million tokens")]
    TooHigh,
}

/// The price of one token from the decimal text of the price of a million, e.g. `"2.50"`.
///
/// # Errors
/// [`InvalidPrice`] with what is wrong. Nothing is rounded.
pub fn parse_per_million(text: &str) -> Result<Money, InvalidPrice> {
    if text.is_empty() {
        return Err(InvalidPrice::Empty);
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let wrong = |offset: usize, part: &str| {
        let at = part.bytes().position(|byte| !byte.is_ascii_digit());
        let at = if part.is_empty() { Some(0) } else { at };
        at.map_or(Ok(()), |at| Err(InvalidPrice::NotDecimal { at: at.saturating_add(offset) }))
    };
    wrong(0, whole)?;
    wrong(whole.len().saturating_add(1), fraction)?;
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > PLACES {
        return Err(InvalidPrice::TooPrecise);
    }
    let whole = digits(whole).filter(|&whole| whole <= PER_MILLION_MAX).ok_or(InvalidPrice::TooHigh)?;
    let scale = u32::try_from(PLACES.saturating_sub(fraction.len())).unwrap_or(0);
    let fraction = digits(fraction).and_then(|fraction| fraction.checked_mul(10u64.checked_pow(scale)?));
    whole
        .checked_mul(PER_TOKEN)
        .zip(fraction)
        .and_then(|(whole, fraction)| whole.checked_add(fraction))
        .filter(|&price| price <= PER_MILLION_MAX.saturating_mul(PER_TOKEN))
        .map(Money)
        .ok_or(InvalidPrice::TooHigh)
}

/// The number that decimal digits write; zero if there are none.
fn digits(text: &str) -> Option<u64> {
    text.bytes().try_fold(0u64, |value, digit| {
        value.checked_mul(10)?.checked_add(u64::from(digit.checked_sub(b'0')?))
    })
}

/// What the input of `usage` costs, cached or not.
pub fn input_cost(price: &Price, usage: &Usage) -> Option<Money> {
    cost(price, &Usage { output: 0, reasoning: 0, ..*usage })
}

/// What `usage` costs: uncached input, cached input and output, each at its price. `None` if the sum is more
/// than [`Money`] holds.
pub fn cost(price: &Price, usage: &Usage) -> Option<Money> {
    let cached = usage.cached_input.min(usage.input);
    let input = usage.input.checked_sub(cached)?.checked_mul(price.input.0)?;
    let cached = cached.checked_mul(price.cached_input.unwrap_or(price.input).0)?;
    let output = usage.output.checked_mul(price.output.0)?;
    Some(Money(input.checked_add(cached)?.checked_add(output)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;

    #[test]
    fn price_texts_become_exact_money_or_a_clear_error() {
        let rows: [(&str, Result<u64, InvalidPrice>); 21] = [
            ("2.50", Ok(2_500_000)),
            ("10.00", Ok(10_000_000)),
            ("0", Ok(0)),
            ("0.0", Ok(0)),
            ("0.000001", Ok(1)),
            ("0.0000010000", Ok(1)),
            ("00012", Ok(12_000_000)),
            ("1000000", Ok(1_000_000_000_000)),
            ("", Err(InvalidPrice::Empty)),
            (".", Err(InvalidPrice::NotDecimal { at: 0 })),
            (".5", Err(InvalidPrice::NotDecimal { at: 0 })),
            ("5.", Err(InvalidPrice::NotDecimal { at: 2 })),
            ("-1", Err(InvalidPrice::NotDecimal { at: 0 })),
            ("+1", Err(InvalidPrice::NotDecimal { at: 0 })),
            ("1e3", Err(InvalidPrice::NotDecimal { at: 1 })),
            ("1.2.3", Err(InvalidPrice::NotDecimal { at: 3 })),
            ("1,5", Err(InvalidPrice::NotDecimal { at: 1 })),
            ("0.0000001", Err(InvalidPrice::TooPrecise)),
            ("1000000.000001", Err(InvalidPrice::TooHigh)),
            ("99999999999999999999999999", Err(InvalidPrice::TooHigh)),
            ("١", Err(InvalidPrice::NotDecimal { at: 0 })),
        ];
        for (text, expected) in rows {
            assert_eq!(parse_per_million(text), expected.map(Money), "{text:?}");
        }
    }

    #[test]
    fn cost_is_the_exact_sum_of_its_parts() {
        let price = Price {
            currency: "USD".to_string(),
            input: parse_per_million("2.50").unwrap(),
            cached_input: Some(parse_per_million("1.25").unwrap()),
            output: parse_per_million("10").unwrap(),
        };
        let usage = Usage { input: 1000, cached_input: 400, output: 100, reasoning: 50, estimated: false };
        // 600 * 2.5e-6 + 400 * 1.25e-6 + 100 * 1e-5
        assert_eq!(format!("{}", cost(&price, &usage).unwrap()), "0.003");
        let uncached = Price { cached_input: None, ..price.clone() };
        assert_eq!(format!("{}", cost(&uncached, &usage).unwrap()), "0.0035");
        let absurd = Usage { input: u64::MAX, output: u64::MAX, ..usage };
        assert_eq!(cost(&price, &absurd), None);
    }
}
