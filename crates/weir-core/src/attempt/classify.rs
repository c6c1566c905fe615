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
    /// Another attempt may help.
    Again {
        /// The wait that the upstream asked for.
        after: Option<Millis>,
        /// What the caller is told if there is no other attempt.
        error: AttemptError,
    },
    /// No attempt will help.
    Final(AttemptError),
}

/// The meaning of `outcome`.
pub fn classify(outcome: &Outcome) -> Verdict {
    match *outcome {
        Outcome::Answered { status, retry_after, should_retry } => {
            answered(status, retry_after, should_retry)
        }
        Outcome::Unreachable => Verdict::Again { after: None, error: AttemptError::Unreachable },
        // The prompt may have been worked on for minutes: sending it again doubles the cost and the wait.
        Outcome::TimedOut => Verdict::Final(AttemptError::Timeout),
        Outcome::Malformed => Verdict::Final(AttemptError::Malformed),
    }
}

fn answered(status: u16, retry_after: Option<Millis>, should_retry: Option<bool>) -> Verdict {
    let error = AttemptError::UpstreamStatus { status, retry_after, message: None };
    let passes = matches!(status, 408 | 429 | 500 | 502..=504 | 520..=527 | 529);
    match status {
        200..=299 => Verdict::Good,
        300..=399 => Verdict::Final(AttemptError::Redirect),
        401 | 403 => Verdict::Final(AttemptError::BadCredential),
        400..=599 if should_retry.unwrap_or(passes) => Verdict::Again { after: retry_after, error },
        400..=599 => Verdict::Final(error),
        _ => Verdict::Final(AttemptError::Malformed),
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
            (101, None, "final"),
            (302, None, "final"),
            (400, None, "final"),
            (400, Some(true), "again"),
            (401, Some(true), "final"),
            (404, None, "final"),
            (408, None, "again"),
            (422, None, "final"),
            (429, None, "again"),
            (429, Some(false), "final"),
            (500, None, "again"),
            (501, None, "final"),
            (503, None, "again"),
            (529, None, "again"),
        ];
        for (status, should_retry, want) in rows {
            let outcome = Outcome::Answered { status, retry_after: None, should_retry };
            let got = match classify(&outcome) {
                Verdict::Good => "good",
                Verdict::Again { .. } => "again",
                Verdict::Final(_) => "final",
            };
            assert_eq!(got, want, "{status} {should_retry:?}");
        }
    }
}
