//! One text, read in any pieces: what is in it, and up to where that is certain.
//!
//! Stage `policy`. Decides which parts of a text are judged; verdicts are `verdict`'s. A place is judged when no
//! further text can change what begins there, so the findings never depend on how a text was cut, and text may be
//! released up to [`Scan::certain`] without delay. One pass, linear in the text: each word start is walked once,
//! and only the first undecided one is walked again when more text came, over at most 256 bytes.

use super::findings::{Findings, join};
use super::lexicon::Lexicon;
use super::matcher::{Between, Pattern, Readings};
use super::pii::Personal;
use super::trie::{Trie, Walked};
use super::words::Words;
use alloc::vec::Vec;

/// Bytes of folded text that are kept before what is judged is forgotten.
const FORGET_AFTER: usize = 4_096;
/// Bytes of a text that are folded at once, so that a long text is not held twice.
const PIECE_BYTES: usize = 16 * 1_024;

/// What a text is looked up in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lists<'a> {
    pub(super) lexicon: &'a Lexicon,
    /// The account's own, one bit each.
    pub(super) own: Option<&'a Trie>,
    /// The account's regular expressions, with the same bits.
    pub(super) patterns: &'a [(u16, Pattern)],
    /// Whether to look for personal data.
    pub(super) personal: bool,
}

/// A text being read.
#[derive(Clone, Debug, Default)]
pub(super) struct Scan {
    words: Words,
    personal: Personal,
    /// The first of the words' starts that is not judged.
    next: usize,
    found: Findings,
    /// How far each of the expressions is, and where.
    matches: Vec<Readings>,
    between: Between,
}

impl Scan {
    /// Takes the next piece of the text.
    pub(super) fn push(&mut self, lists: &Lists<'_>, text: &str) {
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.floor_char_boundary(PIECE_BYTES);
            let (piece, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            self.words.push(piece);
            if lists.personal {
                self.personal.push(piece);
            }
            if !lists.patterns.is_empty() {
                self.match_all(lists, piece);
            }
            self.judge(lists, false);
            rest = after;
        }
    }

    /// The text is over, or a part of it that nothing may reach across.
    pub(super) fn end(&mut self, lists: &Lists<'_>) {
        self.words.end();
        if lists.personal {
            self.personal.end();
        }
        self.between.after = None;
        self.step_all(lists);
        self.judge(lists, true);
    }

    fn match_all(&mut self, lists: &Lists<'_>, piece: &str) {
        self.matches.resize_with(lists.patterns.len(), Readings::default);
        for c in piece.chars() {
            self.between.after = Some(c);
            self.step_all(lists);
            let at = self.between.at.saturating_add(1);
            self.between = Between { before: Some(c), after: None, at };
        }
    }

    fn step_all(&mut self, lists: &Lists<'_>) {
        for (matched, (bit, pattern)) in self.matches.iter_mut().zip(lists.patterns) {
            matched.step(pattern, self.between);
            if matched.found {
                self.found.lists |= bit;
            }
        }
    }

    /// What was found so far.
    pub(super) fn found(&self) -> Findings {
        Findings { personal: self.personal.found, ..self.found }
    }

    /// Characters read.
    pub(super) const fn read(&self) -> u64 {
        self.words.read()
    }

    /// The first character that may still belong to something unfound; all that was read if there is none.
    pub(super) fn certain(&self, lists: &Lists<'_>) -> u64 {
        let begun = self.words.starts.get(self.next).map_or(u64::MAX, |start| start.text);
        let personal = if lists.personal { self.personal.whole_until() } else { u64::MAX };
        let matching = self.matches.iter().filter_map(Readings::begun).min().unwrap_or(u64::MAX);
        begun.min(self.words.whole_until()).min(personal).min(matching)
    }

    fn judge(&mut self, lists: &Lists<'_>, last: bool) {
        while let Some(start) = self.words.starts.get(self.next) {
            let text = &self.words.folded;
            let built_in = lists.lexicon.terms.walk(text, start.folded, last, join);
            let own = lists
                .own
                .map_or(Walked::Found(0), |own| own.walk(text, start.folded, last, |one, other| one | other));
            let (Walked::Found(marks), Walked::Found(lists)) = (built_in, own) else { break };
            self.found = self.found.joined(Findings { marks, lists, ..Findings::default() });
            self.next = self.next.saturating_add(1);
        }
        if last || self.words.folded.len() > FORGET_AFTER {
            self.words.forget(self.next);
            self.next = 0;
        }
    }
}
