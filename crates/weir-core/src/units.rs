//! Counted things with their unit in the type. Decides how they add; not what they cost.
//!
//! Base file, used by all stages. All arithmetic is integer and checked or saturating.

use core::fmt;
use serde::{Deserialize, Serialize};

/// Model tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tokens(pub u64);

/// Tokens by length of text alone, in characters: `(length + 1) / 4` (`databricks.md`, 7.6).
pub const fn tokens_of(chars: u64) -> u64 {
    chars.saturating_add(1) / 4
}

impl Tokens {
    /// Sum; stays at the maximum instead of wrapping.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// An amount of money in millionths of a millionth of the currency's unit (1 USD = 10^12), so that the price of
/// one token is exact. Up to 18 million units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Money(pub u64);

impl Money {
    /// Sum; `None` on overflow.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }
}

/// A decimal number with up to 12 places and no trailing zeros, as in `0.0000125`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNIT: u64 = 1_000_000_000_000;
        let (whole, mut rest) = (self.0 / UNIT, self.0 % UNIT);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        let mut places = 12usize;
        while rest % 10 == 0 {
            rest /= 10;
            places = places.saturating_sub(1);
        }
        write!(f, "{whole}.{rest:0places$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn money_prints_as_a_plain_decimal() {
        for (amount, text) in
            [(0, "0"), (2_500_000, "0.0000025"), (1_500_000_000_000, "1.5"), (7_000_000_000_000, "7")]
        {
            assert_eq!(format!("{}", Money(amount)), text);
        }
    }
}
