//! One choice of a stream: its text as the lists read it, and as a classifier is shown it.
//!
//! Above the stages. Decides which part of a text is shown to a classifier next: what is new, once it is long or old
//! enough or the text is over, with some of what came before it, so that a sense that began there is seen. A part goes
//! on when both have judged it.

use crate::exchange::filtering::Filtering;
use crate::policy::{ChoiceParts, Findings, Reading};
use crate::time::{Millis, UnixMillis};
use alloc::borrow::ToOwned;
use alloc::string::String;

/// New characters with which a classifier is asked.
const WINDOW_CHARS: u64 = 200;
/// It is asked about fewer, when they are as old as that and something comes after them.
const WINDOW_AGE: Millis = Millis(1_000);
/// New characters of one question at most.
const NEW_CHARS_MAX: u64 = 8_000;
/// Characters before the new ones that are shown with them.
const CONTEXT_CHARS: u64 = 1_000;

/// The text of one choice.
#[derive(Debug, Default)]
pub(super) struct Choice {
    pub(super) index: u32,
    pub(super) reading: Reading,
    /// Name of the member that the last text was of.
    member: String,
    pub(super) ended: bool,
    /// It was filtered: nothing of it goes on.
    pub(super) dead: bool,
    /// What was told last, and up to which character.
    pub(super) told: Option<Findings>,
    pub(super) told_until: u64,
    /// Its text for a classifier, if one is asked.
    watch: Option<Watch>,
}

/// A text that a classifier is shown part by part. Places are characters from the text's beginning.
#[derive(Debug, Default)]
struct Watch {
    /// The text from `from` on.
    text: String,
    from: u64,
    end: u64,
    asked: u64,
    cleared: u64,
    /// When the first character came that is not asked about.
    since: UnixMillis,
    found: Findings,
}

impl Choice {
    pub(super) fn new(index: u32, watched: bool) -> Self {
        Self { index, watch: watched.then(Watch::default), ..Self::default() }
    }

    /// Reads the texts of its part of an event.
    pub(super) fn read(&mut self, filtering: &Filtering, now: UnixMillis, parts: &ChoiceParts<'_>) {
        for (member, text) in &parts.texts {
            // Texts of different members are no one text.
            if self.member != member.as_ref() {
                if !self.member.is_empty() {
                    self.push(filtering, now, "\n");
                }
                (**member).clone_into(&mut self.member);
            }
            self.push(filtering, now, text);
        }
        if parts.finished {
            self.end(filtering);
        }
    }

    fn push(&mut self, filtering: &Filtering, now: UnixMillis, text: &str) {
        self.reading.push(&filtering.policy, &filtering.lexicon, text);
        if let Some(watch) = &mut self.watch {
            if watch.asked == watch.end {
                watch.since = now;
            }
            watch.text.push_str(text);
            watch.end = self.reading.read();
        }
    }

    /// Its text is over.
    pub(super) fn end(&mut self, filtering: &Filtering) {
        if !self.ended {
            self.ended = true;
            self.reading.end(&filtering.policy, &filtering.lexicon);
        }
    }

    /// What both found so far.
    pub(super) fn found(&self) -> Findings {
        let found = self.reading.found();
        self.watch.as_ref().map_or(found, |watch| found.joined(watch.found))
    }

    pub(super) fn violates(&self, filtering: &Filtering) -> bool {
        !self.dead && filtering.filters(self.found())
    }

    /// Characters in which neither will find anything more.
    pub(super) fn certain(&self, filtering: &Filtering) -> u64 {
        let certain = self.reading.certain(&filtering.policy, &filtering.lexicon);
        self.watch.as_ref().map_or(certain, |watch| certain.min(watch.cleared))
    }

    /// Whether a classifier has yet to judge some of it.
    pub(super) fn pending(&self) -> bool {
        !self.dead && self.watch.as_ref().is_some_and(|watch| watch.cleared < watch.end)
    }

    /// The next part to be shown to a classifier, and up to where it goes. With `all` whatever is left.
    pub(super) fn next(&mut self, now: UnixMillis, all: bool) -> Option<(u64, String)> {
        let all = all || self.ended;
        self.watch.as_mut().filter(|_| !self.dead)?.next(now, all)
    }

    /// A classifier judged it up to `until`.
    pub(super) fn judged(&mut self, until: u64, found: Findings) {
        if let Some(watch) = &mut self.watch {
            watch.cleared = watch.cleared.max(until);
            watch.found = watch.found.joined(found);
        }
    }
}

impl Watch {
    fn next(&mut self, now: UnixMillis, all: bool) -> Option<(u64, String)> {
        let new = self.end.saturating_sub(self.asked);
        let due = all || new >= WINDOW_CHARS || now.since(self.since) >= WINDOW_AGE;
        if new == 0 || !due {
            return None;
        }
        let until = self.asked.saturating_add(new.min(NEW_CHARS_MAX));
        let end = place(&self.text, until.saturating_sub(self.from));
        let part = self.text.get(..end).unwrap_or_default().to_owned();
        self.asked = until;
        self.since = now;
        let from = until.saturating_sub(CONTEXT_CHARS).max(self.from);
        let kept = place(&self.text, from.saturating_sub(self.from));
        self.text.drain(..kept);
        self.from = from;
        Some((until, part))
    }
}

/// The byte at which the character `nth` of a text begins.
fn place(text: &str, nth: u64) -> usize {
    let nth = usize::try_from(nth).unwrap_or(usize::MAX);
    text.char_indices().nth(nth).map_or(text.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// However a text comes, every character is shown to a classifier, in order, with what came before it.
        #[test]
        fn nothing_is_left_out(pieces in proptest::collection::vec("[a-zéü漢]{0,400}", 0..60), gap in 0u64..2_000) {
            let mut watch = Watch::default();
            let (mut now, mut shown, mut whole) = (UnixMillis(1), 0u64, String::new());
            let mut look = |watch: &mut Watch, now, whole: &str, all| {
                while let Some((until, part)) = watch.next(now, all) {
                    let count = u64::try_from(part.chars().count()).unwrap();
                    prop_assert!(until > shown && count >= until - shown && count <= NEW_CHARS_MAX + CONTEXT_CHARS);
                    let from = place(whole, until - count);
                    prop_assert_eq!(&whole[from..place(whole, until)], part.as_str());
                    prop_assert!(until - count <= shown.saturating_sub(CONTEXT_CHARS) || shown < CONTEXT_CHARS || until - count <= shown);
                    shown = until;
                }
                Ok(())
            };
            for piece in &pieces {
                if watch.asked == watch.end {
                    watch.since = now;
                }
                watch.text.push_str(piece);
                whole.push_str(piece);
                watch.end += u64::try_from(piece.chars().count()).unwrap();
                look(&mut watch, now, &whole, false)?;
                prop_assert!(watch.end - watch.asked < WINDOW_CHARS);
                now = now.plus(Millis(gap));
            }
            look(&mut watch, now, &whole, true)?;
            prop_assert_eq!(watch.asked, watch.end);
        }
    }
}
