//! How much load retries may add. Decides whether one more attempt is affordable; not whether it makes sense.
//!
//! Stage 5. A maximum count per exchange alone multiplies the load of a struggling upstream by that count. The
//! budget bounds the *added* load: every first attempt earns a part of a retry (a fifth by default), so over time
//! at most that part is added, beside a small reserve that lets a quiet deployment retry at all.

/// Retries that may still be made against one deployment, in hundredths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    hundredths: u32,
}

/// What a retry costs.
const RETRY_COST: u32 = 100;
/// Ten retries at most are saved up.
const SAVED_MAX: u32 = 1_000;

impl Default for RetryBudget {
    fn default() -> Self {
        Self { hundredths: SAVED_MAX }
    }
}

impl RetryBudget {
    /// A first attempt is made, and earns `percent` hundredths of a retry.
    pub fn deposit(&mut self, percent: u32) {
        self.hundredths = self.hundredths.saturating_add(percent).min(SAVED_MAX);
    }

    /// Takes one retry out; `false` if there is none.
    pub fn withdraw(&mut self) -> bool {
        match self.hundredths.checked_sub(RETRY_COST) {
            Some(left) => {
                self.hundredths = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_upstream_gets_at_most_a_fifth_more_load_and_the_reserve() {
        for (percent, low, high) in [(20, 200, 210), (0, 10, 10), (100, 1000, 1010)] {
            let mut budget = RetryBudget::default();
            let mut retries = 0;
            for _ in 0..1000 {
                budget.deposit(percent);
                while budget.withdraw() {
                    retries += 1;
                }
            }
            assert!((low..=high).contains(&retries), "{percent} %: {retries}");
        }
    }
}
