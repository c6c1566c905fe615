//! A text that arrives in pieces, read by a policy: what was found so far, and how much of it may be released.
//!
//! Stage `policy`. Decides nothing beyond [`ReadyPolicy`] and `scan`; it is their form for streams.

use super::findings::Findings;
use super::lexicon::Lexicon;
use super::ready::{ReadyPolicy, Side};
use super::scan::Scan;

/// One text of a stream, e.g. the answer of one choice.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    scan: Scan,
}

impl Reading {
    /// Takes the next piece of an answer.
    pub fn push(&mut self, policy: &ReadyPolicy, lexicon: &Lexicon, text: &str) {
        self.scan.push(&policy.looked_up(lexicon, Side::Completion), text);
    }

    /// The answer is over.
    pub fn end(&mut self, policy: &ReadyPolicy, lexicon: &Lexicon) {
        self.scan.end(&policy.looked_up(lexicon, Side::Completion));
    }

    /// What was found in the part that is certain.
    pub fn found(&self) -> Findings {
        self.scan.found()
    }

    /// Characters read.
    pub const fn read(&self) -> u64 {
        self.scan.read()
    }

    /// Characters, from the first on, in which nothing more can be found, whatever follows.
    pub fn certain(&self, policy: &ReadyPolicy, lexicon: &Lexicon) -> u64 {
        self.scan.certain(&policy.looked_up(lexicon, Side::Completion))
    }
}
