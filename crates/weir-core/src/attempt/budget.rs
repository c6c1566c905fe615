//! How much load retries may add. Decides whether one more attempt is affordable; not whether it makes sense.
//!
//! Stage 5. A maximum count per exchange alone multiplies the load of a struggling upstream by that count. The
//! budget bounds the *added* load: every first attempt earns a fifth of a retry, so over time at most 20 % is
//! added, beside a small reserve that lets a quiet deployment retry at all.

/// Retries that may still be made against one deployment, in fifths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    fifths: u32,
}

/// What a retry costs: five first attempts earn it.
const RETRY_COST: u32 = 5;
/// Ten retries at most are saved up.
const SAVED_MAX: u32 = 50;

impl Default for RetryBudget {
    fn default() -> Self {
        Self { fifths: SAVED_MAX }
    }
}

impl RetryBudget {
    /// A first attempt is made.
    pub fn deposit(&mut self) {
        self.fifths = self.fifths.saturating_add(1).min(SAVED_MAX);
    }

    /// Takes one retry out; `false` if there is none.
    pub fn withdraw(&mut self) -> bool {
        match self.fifths.checked_sub(RETRY_COST) {
            Some(left) => {
                self.fifths = left;
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
        let mut budget = RetryBudget::default();
        let mut retries = 0;
        for _ in 0..1000 {
            budget.deposit();
            while budget.withdraw() {
                retries += 1;
            }
        }
        assert!((200..=210).contains(&retries), "{retries}");
    }
}
