//! Calls of one kind in a minute or an hour: how many, what they used, and how long they took.
//!
//! Decides what is kept of calls for metrics, and how two counts become one; not which metrics there are
//! ([`super::metrics`]). Kept as a list of numbers, so that a row stays small; numbers may be added at its end, never
//! moved.

use crate::account::record::UsageRecord;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// A number of such a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// All calls.
    Calls,
    /// Tokens in.
    Input,
    /// Tokens out.
    Output,
    /// Tokens in that the upstream had cached.
    Cached,
    /// Calls that a model answered: those that follow are about them.
    Answered,
    /// Milliseconds to the answer's head.
    First,
    /// The shortest of them.
    FirstLeast,
    /// The longest.
    FirstMost,
    /// Milliseconds to the end.
    Last,
    /// The shortest of them.
    LastLeast,
    /// The longest.
    LastMost,
    /// Tokens out of streams.
    StreamOutput,
    /// Of streams with tokens out, milliseconds from head to end.
    StreamSpan,
    /// Calls under reserved throughput.
    Reserved,
    /// The sum of its percents in use.
    Used,
    /// The lowest of them.
    UsedLeast,
    /// The highest.
    UsedMost,
}

/// How many numbers there are.
const COUNT: usize = 17;
/// The least and the greatest of a list, each with the number of how many there are.
const LEAST: [(Of, Of); 3] =
    [(Of::FirstLeast, Of::Answered), (Of::LastLeast, Of::Answered), (Of::UsedLeast, Of::Reserved)];
const MOST: [Of; 3] = [Of::FirstMost, Of::LastMost, Of::UsedMost];

/// The numbers of calls of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Calls(Vec<u64>);

impl Of {
    const fn place(self) -> usize {
        #[expect(clippy::as_conversions, reason = "the number of a variant")]
        {
            self as usize
        }
    }
}

impl Calls {
    /// One call that a model answered.
    pub(super) fn of(record: &UsageRecord) -> Self {
        let (first, last) = (record.time_to_first_byte.0, record.latency.0);
        let usage = &record.usage;
        let streamed = record.streamed && usage.output > 0;
        let stream = |number: u64| if streamed { number } else { 0 };
        let used = record.utilization.unwrap_or(0);
        Self(Vec::from([
            1,
            usage.input,
            usage.output,
            usage.cached_input,
            1,
            first,
            first,
            first,
            last,
            last,
            last,
            stream(usage.output),
            stream(last.saturating_sub(first)),
            u64::from(record.utilization.is_some()),
            used,
            used,
            used,
        ]))
    }

    /// So many calls that no model answered.
    pub(super) fn failed(many: u64) -> Self {
        Self(Vec::from([many]))
    }

    /// So many calls of which nothing else is known, and their tokens.
    pub(super) fn plain(calls: u64, input: u64, output: u64, cached: u64) -> Self {
        Self(Vec::from([calls, input, output, cached]))
    }

    pub(super) fn get(&self, of: Of) -> u64 {
        self.0.get(of.place()).copied().unwrap_or(0)
    }

    pub(super) fn add(&mut self, other: &Self) {
        let least = LEAST.map(|(least, many)| match (self.get(many), other.get(many)) {
            (0, _) => (least, other.get(least)),
            (_, 0) => (least, self.get(least)),
            _ => (least, self.get(least).min(other.get(least))),
        });
        let most = MOST.map(|most| (most, self.get(most).max(other.get(most))));
        let length = self.0.len().max(other.0.len()).min(COUNT);
        self.0.resize(length, 0);
        for (number, more) in self.0.iter_mut().zip(&other.0) {
            *number = number.saturating_add(*more);
        }
        for (of, value) in least.into_iter().chain(most) {
            if let Some(number) = self.0.get_mut(of.place()) {
                *number = value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::record;
    use super::*;
    use crate::time::Millis;

    #[test]
    fn counts_add_up_and_extremes_stay() {
        let call = |first: u64, last: u64, used: Option<u64>| {
            let mut record = record(1, 1, 1, 10, 5);
            record.streamed = true;
            (record.time_to_first_byte, record.latency, record.utilization) =
                (Millis(first), Millis(last), used);
            Calls::of(&record)
        };
        let mut sum = Calls::failed(2);
        for one in
            [call(30, 90, None), call(10, 200, Some(40)), call(20, 50, Some(90)), Calls::plain(1, 7, 1, 0)]
        {
            sum.add(&one);
        }
        let got = |of| sum.get(of);
        assert_eq!([got(Of::Calls), got(Of::Answered), got(Of::Input), got(Of::Output)], [6, 3, 37, 16]);
        assert_eq!([got(Of::First), got(Of::FirstLeast), got(Of::FirstMost)], [60, 10, 30]);
        assert_eq!([got(Of::Last), got(Of::LastLeast), got(Of::LastMost)], [340, 50, 200]);
        assert_eq!([got(Of::StreamOutput), got(Of::StreamSpan)], [15, 280]);
        assert_eq!(
            [got(Of::Reserved), got(Of::Used), got(Of::UsedLeast), got(Of::UsedMost)],
            [2, 130, 40, 90]
        );
    }
}
