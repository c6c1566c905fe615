//! When a second call is made beside one that is slow to speak, and how often that may be.
//!
//! Stage 5. Decides the delay (a fixed one, or a percentile of the times to the first content that were seen) and keeps
//! the cap: each exchange earns a part of a second call, and of the prompt that it sends again; without a whole one of both
//! none is made. It starts with nothing and saves little, so that over any time the share of second calls, and of what is
//! spent on them, stays below the cap. Who is called is `plan`'s.

use crate::snapshot::routing::Hedge;
use crate::time::Millis;
use alloc::vec::Vec;

/// What one second call costs, in hundredths of one.
const COST: u32 = 100;
/// So many may be saved up.
const SAVED_MAX: u32 = 5 * COST;
/// With fewer times seen than this no percentile is known.
const SEEN_MIN: u32 = 20;
/// With more than this all count half, so that what is new weighs.
const SEEN_MAX: u32 = 1_000;
/// Times are kept by quarters of an octave of milliseconds, up to about two minutes.
const BUCKETS: usize = 68;
/// Prompts of more characters are never asked twice.
const PROMPT_CHARS_MAX: u64 = 64_000;
/// However quick the answers are, so long is waited at least.
const LEAST: Millis = Millis(20);

/// One deployment's second calls.
#[derive(Clone, Debug, Default)]
pub struct Hedging {
    saved: u32,
    /// Characters of prompts that may be sent twice, in hundredths.
    saved_chars: u64,
    seen: Vec<u32>,
    count: u32,
}

impl Hedging {
    /// An exchange begins with a prompt of so many characters. Answers after which time of silence it may make a second
    /// call; nothing if it may not, or if nobody knows yet.
    pub fn begin(&mut self, hedge: &Hedge, prompt_chars: u64) -> Option<Millis> {
        self.saved = self.saved.saturating_add(hedge.max_percent).min(SAVED_MAX);
        let earned = prompt_chars.saturating_mul(u64::from(hedge.max_percent));
        let most = PROMPT_CHARS_MAX.saturating_mul(u64::from(SAVED_MAX));
        self.saved_chars = self.saved_chars.saturating_add(earned).min(most);
        if prompt_chars > PROMPT_CHARS_MAX || self.left(prompt_chars).is_none() {
            return None;
        }
        let delay = match hedge.after_ms {
            Some(ms) => Millis(ms),
            None => self.percentile(hedge.after_percentile)?,
        };
        Some(delay.max(LEAST))
    }

    /// Takes a second call with a prompt of so many characters out; `false` if there is none.
    pub fn withdraw(&mut self, prompt_chars: u64) -> bool {
        let left = self.left(prompt_chars);
        (self.saved, self.saved_chars) = left.unwrap_or((self.saved, self.saved_chars));
        left.is_some()
    }

    /// What is saved after such a call.
    fn left(&self, prompt_chars: u64) -> Option<(u32, u64)> {
        let chars = prompt_chars.saturating_mul(u64::from(COST));
        Some((self.saved.checked_sub(COST)?, self.saved_chars.checked_sub(chars)?))
    }

    /// A call said its first content after so long.
    pub fn saw(&mut self, took: Millis) {
        self.seen.resize(BUCKETS, 0);
        if let Some(bucket) = self.seen.get_mut(bucket_of(took)) {
            *bucket = bucket.saturating_add(1);
            self.count = self.count.saturating_add(1);
        }
        if self.count > SEEN_MAX {
            self.seen.iter_mut().for_each(|bucket| *bucket /= 2);
            self.count = self.seen.iter().sum();
        }
    }

    /// A time that so many of a hundred calls speak within.
    fn percentile(&self, percent: u32) -> Option<Millis> {
        if self.count < SEEN_MIN {
            return None;
        }
        let wanted = u64::from(self.count).saturating_mul(u64::from(percent)).div_ceil(100);
        let mut below = 0u64;
        let at = self.seen.iter().position(|bucket| {
            below = below.saturating_add(u64::from(*bucket));
            below >= wanted
        });
        at.map(end_of)
    }
}

/// The bucket of a time.
fn bucket_of(took: Millis) -> usize {
    let ms = took.0.max(4);
    let octave = ms.ilog2();
    let quarter = (ms >> octave.saturating_sub(2)) & 3;
    let at = u64::from(octave.saturating_sub(2)).saturating_mul(4).saturating_add(quarter);
    usize::try_from(at).unwrap_or(BUCKETS).min(BUCKETS.saturating_sub(1))
}

/// The end of a bucket, in milliseconds.
fn end_of(bucket: usize) -> Millis {
    let bucket = u64::try_from(bucket).unwrap_or(0);
    let (octave, quarter) = (bucket / 4, bucket % 4);
    Millis(quarter.saturating_add(5) << octave)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hedge(after_ms: Option<u64>, max_percent: u32) -> Hedge {
        Hedge { after_ms, after_percentile: 95, max_percent }
    }

    #[test]
    fn second_calls_stay_below_their_cap_from_the_first_exchange_on() {
        for percent in [0, 1, 2, 5, 10, 50] {
            let (mut hedging, mut made) = (Hedging::default(), 0);
            for exchanges in 1..=5_000u32 {
                if hedging.begin(&hedge(Some(100), percent), 10).is_some() && hedging.withdraw(10) {
                    made += 1;
                }
                assert!(made * 100 <= exchanges * percent, "{made} of {exchanges} at {percent} %");
            }
            assert!(made * 100 + 500 >= 5_000 * percent, "{made} at {percent} %: the cap is used");
        }
    }

    #[test]
    fn what_is_spent_on_second_calls_stays_below_the_cap_as_well() {
        // One exchange of ten has a prompt that is a thousand times as long: it is never asked twice for the others' sake.
        for (percent, long) in [(2, 50_000), (20, 50_000), (20, 20)] {
            let (mut hedging, mut all, mut again, mut calls) = (Hedging::default(), 0, 0, 0);
            for at in 0..5_000u64 {
                let chars = if at % 10 == 0 { long } else { 50 };
                all += chars;
                // Only the long ones are slow.
                if hedging.begin(&hedge(Some(100), percent), chars).is_some() && chars == long {
                    let may = hedging.withdraw(chars);
                    again += if may { chars } else { 0 };
                    calls += u32::from(may);
                }
                assert!(
                    again * 100 <= all * u64::from(percent),
                    "{again} of {all} characters at {percent} %"
                );
            }
            assert!(calls > 0, "{percent} % of {long}: the cap is used");
        }
    }

    #[test]
    fn times_lie_in_their_buckets() {
        for ms in (4..2_000).chain([4_095, 4_096, 9_999, 60_000, 130_000]) {
            let at = bucket_of(Millis(ms));
            assert!(ms < end_of(at).0 && (at == 0 || ms >= end_of(at - 1).0), "{ms}: {at}");
        }
        assert_eq!(bucket_of(Millis(0)), 0);
        assert_eq!(bucket_of(Millis(u64::MAX)), BUCKETS - 1);
    }

    #[test]
    fn the_percentile_follows_what_is_seen() {
        let mut hedging = Hedging::default();
        let wanted = hedge(None, 100);
        for at in 0..100 {
            hedging.saw(Millis(if at % 20 == 0 { 10_000 } else { 300 }));
            if at < 18 {
                assert_eq!(hedging.begin(&wanted, 10), None, "{at}: too little was seen");
            }
        }
        assert_eq!(hedging.begin(&wanted, 10), Some(Millis(320)));
        assert_eq!(hedging.begin(&wanted, PROMPT_CHARS_MAX + 1), None, "a long prompt is asked once");
        for _ in 0..5_000 {
            hedging.saw(Millis(40));
        }
        assert_eq!(hedging.begin(&wanted, 10), Some(Millis(48)));
    }
}
