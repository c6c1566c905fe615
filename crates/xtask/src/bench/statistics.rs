//! Medians and quartiles of paired values.

/// Median and quartiles of some values.
#[derive(Clone, Copy)]
pub(super) struct Spread {
    /// The middle value.
    pub(super) median: f64,
    /// A quarter is below.
    pub(super) low: f64,
    /// A quarter is above.
    pub(super) high: f64,
}

impl Spread {
    /// Of any number of values; None without a finite one.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        Some(Self { median: at(&sorted, 2)?, low: at(&sorted, 1)?, high: at(&sorted, 3)? })
    }
}

/// The value at a quarter of sorted ones, between two where none lies there.
fn at(sorted: &[f64], quarter: usize) -> Option<f64> {
    let steps = sorted.len().checked_sub(1)? * quarter;
    let (index, rest) = (steps / 4, steps % 4);
    let here = *sorted.get(index)?;
    let next = sorted.get(index + 1).copied().unwrap_or(here);
    let share = [0.0, 0.25, 0.5, 0.75][rest];
    Some(here + (next - here) * share)
}

#[cfg(test)]
mod tests {
    use super::Spread;

    #[track_caller]
    fn check(values: &[f64], expected: (f64, f64, f64)) {
        let spread = Spread::of(values.iter().copied()).unwrap();
        let got = (spread.low, spread.median, spread.high);
        let near = |one: f64, other: f64| (one - other).abs() < 1e-9;
        assert!(
            near(got.0, expected.0) && near(got.1, expected.1) && near(got.2, expected.2),
            "{values:?}: {got:?}, not {expected:?}"
        );
    }

    #[test]
    fn quartiles_lie_between_values_where_they_must() {
        check(&[7.0], (7.0, 7.0, 7.0));
        check(&[3.0, 1.0], (1.5, 2.0, 2.5));
        check(&[5.0, 1.0, 3.0, 2.0, 4.0], (2.0, 3.0, 4.0));
        check(&[1.0, f64::NAN, 3.0], (1.5, 2.0, 2.5));
        assert!(Spread::of([f64::NAN]).is_none());
    }
}
