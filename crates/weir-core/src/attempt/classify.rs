//! What an outcome means: good, worth another attempt, or final. One table (`providers.md`, 1.4 and 1.5).
//!
//! Stage 5. Decides nothing about time or budget (`AttemptMachine`).

use super::{AttemptError, Outcome};
use crate::time::Millis;

/// The meaning of an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This is the answer.
    Good,
    /// Another attempt may help, at another entity or at this one.
    Again {
        /// The wait that the upstream asked for.
        after: Option<Millis>,
        /// What the caller is told if there is no other attempt.
        error: AttemptError,
    },
    /// Another entity may help; this one will not.
    Elsewhere(AttemptError),
    /// No attempt will help.
    Final(AttemptError),
}

/// The meaning of `outcome`.
pub fn classify(outcome: &Outcome) -> Verdict {
    match *outcome {
        Outcome::Answered { status, retry_after, should_retry } => {
            answered(status, retry_after, should_retry)
        }
        Outcome::Unreachable | Outcome::BrokeOff => {
            Verdict::Again { after: None, error: AttemptError::Unreachable }
        }
        // The prompt may have been worked on for minutes: sending it there again doubles the cost and the wait.
        Outcome::TimedOut => Verdict::Elsewhere(AttemptError::Timeout),
        Outcome::Malformed => Verdict::Elsewhere(AttemptError::Malformed),
    }
}

/// What is the upstream's own trouble (a rate, its failure, its refusal of Weir's credential, no quota left) another
/// entity may not have; what is the caller's (400, 404, 422 …) every entity has (`databricks.md`, 7.4).
fn answered(status: u16, retry_after: Option<Millis>, should_retry: Option<bool>) -> Verdict {
    let error = AttemptError::UpstreamStatus { status, retry_after, message: None };
    let passes = matches!(status, 408 | 429 | 500 | 502..=504 | 520..=527 | 529);
    match status {
        200..=299 => Verdict::Good,
        300..=399 => Verdict::Elsewhere(AttemptError::Redirect),
        401 | 403 => Verdict::Elsewhere(AttemptError::BadCredential),
        400..=599 if should_retry.unwrap_or(passes) => Verdict::Again { after: retry_after, error },
        402 | 408 | 429 | 500..=599 => Verdict::Elsewhere(error),
        400..=499 => Verdict::Final(error),
        _ => Verdict::Elsewhere(AttemptError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_one_meaning() {
        let rows = [
            (200, None, "good"),
            (204, None, "good"),
            (101, None, "elsewhere"),
            (302, None, "elsewhere"),
            (400, None, "final"),
            (400, Some(true), "again"),
            (401, Some(true), "elsewhere"),
            (402, None, "elsewhere"),
            (403, None, "elsewhere"),
            (404, None, "final"),
            (408, None, "again"),
            (422, None, "final"),
            (429, None, "again"),
            (429, Some(false), "elsewhere"),
            (500, None, "again"),
            (501, None, "elsewhere"),
            (503, None, "again"),
            (529, None, "again"),
        ];
        for (status, should_retry, want) in rows {
            let outcome = Outcome::Answered { status, retry_after: None, should_retry };
            let got = match classify(&outcome) {
                Verdict::Good => "good",
                Verdict::Again { .. } => "again",
                Verdict::Elsewhere(_) => "elsewhere",
                Verdict::Final(_) => "final",
            };
            assert_eq!(got, want, "{status} {should_retry:?}");
        }
    }
}
