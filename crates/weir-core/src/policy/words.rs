//! A text becomes folded words, however it is cut into pieces.
//!
//! Stage `policy`. Decides where words begin and end, and undoes three disguises: digits and symbols for letters
//! (`k1ll`, `a$$`), stretched letters (`kiiill`) and letters set apart (`k i l l`, `k.i.l.l`). What is decided at a
//! place depends on the text only, never on how it was cut: a word is given out when it is whole.

use super::fold::{Folded, fold};
use alloc::vec::Vec;

/// Parts words in folded text.
pub(super) const SPACE: u8 = b' ';
/// May be read as `i` or as `l`.
pub(super) const I_OR_L: u8 = 1;
/// The letter before it may stand once more.
pub(super) const AGAIN: u8 = 2;
/// A space may stand here or not: between letters set apart.
pub(super) const LOOSE: u8 = 3;

/// Longest word in folded bytes; a longer one is cut there.
const WORD_BYTES_MAX: usize = 64;
/// So many letters set apart are one word; fewer stand for themselves ("a b test").
const APART_MIN: usize = 3;

/// Reads a text in pieces and gives folded words.
#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    /// Words that are whole: folded bytes, each word followed by [`SPACE`].
    pub(super) folded: Vec<u8>,
    /// Where words begin in `folded`, with the character of the text at which they begin.
    pub(super) starts: Vec<Start>,
    /// The word that is not whole yet.
    word: Vec<u8>,
    word_at: u64,
    /// Single letters in a row, and where they begin.
    apart: Vec<u8>,
    apart_at: u64,
    /// Characters read.
    read: u64,
}

/// A place at which a term may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// In the folded bytes.
    pub(super) folded: usize,
    /// In characters of the text.
    pub(super) text: u64,
}

impl Words {
    /// Takes the next piece.
    pub(super) fn push(&mut self, text: &str) {
        let mut rest = text;
        while !rest.is_empty() {
            // Runs of plain letters are most of most texts.
            let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
            if letters > 0 {
                let (run, after) = rest.split_at_checked(letters).unwrap_or((rest, ""));
                self.letters(run.as_bytes());
                rest = after;
                continue;
            }
            let mut chars = rest.chars();
            match chars.next() {
                Some(' ') => self.end_word(),
                Some(c) => self.other(c),
                None => {}
            }
            self.read = self.read.saturating_add(1);
            rest = chars.as_str();
        }
    }

    /// Takes Latin letters of either case.
    fn letters(&mut self, letters: &[u8]) {
        let mut rest = letters;
        while !rest.is_empty() {
            if self.word.len() >= WORD_BYTES_MAX {
                self.end_word();
            }
            if self.word.is_empty() {
                self.word_at = self.read;
            }
            let room = WORD_BYTES_MAX.saturating_sub(self.word.len());
            let (now, later) = rest.split_at_checked(room).unwrap_or((rest, &[]));
            self.word.extend(now.iter().map(|byte| byte | 0x20));
            self.read = self.read.saturating_add(u64::try_from(now.len()).unwrap_or(0));
            rest = later;
        }
    }

    /// Takes any other character.
    fn other(&mut self, c: char) {
        match fold(c) {
            Folded::Nothing => {}
            Folded::Gap => self.end_word(),
            Folded::One(byte) => self.letter(&[byte]),
            Folded::Two(first, second) => self.letter(&[first, second]),
            Folded::Other(c) => self.letter(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Folded::Whole(c) => {
                self.end_word();
                self.letter(c.encode_utf8(&mut [0; 4]).as_bytes());
                self.end_word();
            }
        }
    }

    /// The text, or a part of it that nothing may reach across, is over.
    pub(super) fn end(&mut self) {
        self.end_word();
        self.end_apart();
    }

    /// Characters read so far.
    pub(super) const fn read(&self) -> u64 {
        self.read
    }

    /// The first character that belongs to a word which is not given out yet; all that was read if there is none.
    pub(super) fn whole_until(&self) -> u64 {
        if !self.apart.is_empty() {
            self.apart_at
        } else if self.word.is_empty() {
            self.read
        } else {
            self.word_at
        }
    }

    /// Forgets the words before `start`, the first of `starts` that is still needed.
    pub(super) fn forget(&mut self, start: usize) {
        let bytes = self.starts.get(start).map_or(self.folded.len(), |start| start.folded);
        self.folded.drain(..bytes);
        self.starts.drain(..start.min(self.starts.len()));
        for start in &mut self.starts {
            start.folded = start.folded.saturating_sub(bytes);
        }
    }

    fn letter(&mut self, bytes: &[u8]) {
        if self.word.len().saturating_add(bytes.len()) > WORD_BYTES_MAX {
            self.end_word();
        }
        if self.word.is_empty() {
            self.word_at = self.read;
        }
        self.word.extend_from_slice(bytes);
    }

    fn end_word(&mut self) {
        if self.word.is_empty() {
            return;
        }
        let mut word = core::mem::take(&mut self.word);
        let single = match word.as_slice() {
            [b'a'..=b'z'] => true,
            [b'0'..=b'9' | b'@' | b'$' | b'!' | b'|'] => !self.apart.is_empty(),
            _ => false,
        };
        if single {
            if self.apart.is_empty() {
                self.apart_at = self.word_at;
            }
            self.apart.append(&mut word);
            if self.apart.len() >= WORD_BYTES_MAX {
                self.end_apart();
            }
        } else {
            self.end_apart();
            self.give(&word, self.word_at);
        }
        word.clear();
        self.word = word;
    }

    /// A row of single letters is over: one word, or as many as there are letters.
    fn end_apart(&mut self) {
        let apart = core::mem::take(&mut self.apart);
        if apart.len() < APART_MIN {
            for letter in &apart {
                self.give(&[*letter], self.apart_at);
            }
            return;
        }
        for letter in apart {
            self.starts.push(Start { folded: self.folded.len(), text: self.apart_at });
            self.folded.extend_from_slice(&[plain(letter), LOOSE]);
        }
        if let Some(last) = self.folded.last_mut() {
            *last = SPACE;
        }
    }

    fn give(&mut self, word: &[u8], text: u64) {
        let is_edge = |byte: &u8| matches!(byte, b'!' | b'|');
        let first = word.iter().position(|byte| !is_edge(byte)).unwrap_or(word.len());
        let last = word.iter().rposition(|byte| !is_edge(byte)).map_or(0, |last| last.saturating_add(1));
        let word = word.get(first..last).unwrap_or_default();
        if word.is_empty() {
            return;
        }
        self.starts.push(Start { folded: self.folded.len(), text });
        let stretched = word.windows(3).any(|three| matches!(three, [a, b, c] if a == b && b == c));
        if !stretched && word.iter().all(u8::is_ascii_lowercase) {
            self.folded.extend_from_slice(word);
            self.folded.push(SPACE);
            return;
        }
        let letters = word.iter().any(|byte| byte.is_ascii_lowercase() || !byte.is_ascii());
        let (mut before, mut times) = (0, 0u32);
        for byte in word {
            let byte = if letters { plain(*byte) } else { *byte };
            times = if byte == before { times.saturating_add(1) } else { 1 };
            before = byte;
            match times {
                3 if byte.is_ascii_lowercase() => {
                    // Two stand there already: one of them, and perhaps one more.
                    if let Some(second) = self.folded.last_mut() {
                        *second = AGAIN;
                    }
                }
                4.. if byte.is_ascii_lowercase() => {}
                _ => self.folded.push(byte),
            }
        }
        self.folded.push(SPACE);
    }
}

/// The letter that a digit or symbol stands for.
const fn plain(byte: u8) -> u8 {
    match byte {
        b'0' => b'o',
        b'1' | b'!' | b'|' => I_OR_L,
        b'3' => b'e',
        b'4' | b'@' => b'a',
        b'5' | b'$' => b's',
        b'7' => b't',
        other => other,
    }
}

/// `term` as the words of a text are folded, for a [`Trie`](super::trie::Trie): without a space at its end, and
/// read in one way only.
pub(super) fn fold_term(term: &str) -> Vec<u8> {
    let mut words = Words::default();
    words.push(term);
    words.end();
    let mut folded = words.folded;
    folded.pop();
    folded.retain(|byte| !matches!(*byte, AGAIN | LOOSE));
    for byte in &mut folded {
        if *byte == I_OR_L {
            *byte = b'i';
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use proptest::prelude::*;

    fn folded(text: &str) -> String {
        let mut words = Words::default();
        words.push(text);
        words.end();
        let shown = words.folded.iter().map(|byte| match *byte {
            I_OR_L => '1',
            AGAIN => '+',
            LOOSE => '~',
            byte => char::from(byte),
        });
        String::from(shown.collect::<String>().trim_end())
    }

    #[test]
    fn disguises_are_undone() {
        let rows = [
            ("Hello, World!", "hello world"),
            ("k1ll a$$ h3ll0 ki!!", "k1ll ass hello ki"),
            ("k!ll", "k1ll"),
            ("2024 1000$ 3.14", "2024 1000$ 3 14"),
            ("kiiiill NOOO aaa", "ki+ll no+ a+"),
            ("k i l l", "k~i~l~l"),
            ("k.i.l.l now", "k~i~l~l now"),
            ("a b test", "a b test"),
            ("I'm o.k. e.g. U.S.A.", "i~m~o~k~e~g~u~s~a"),
            ("1 2 3 4", "1 2 3 4"),
            ("k 1 l l", "k~1~l~l"),
            ("", ""),
            ("!!! |", ""),
        ];
        for (text, expected) in rows {
            assert_eq!(folded(text), expected, "{text}");
        }
    }

    #[test]
    fn a_term_is_folded_as_a_text_is() {
        assert_eq!(fold_term("Ça  c'est l'été!"), b"ca c est l ete");
        assert_eq!(fold_term("c3po b1g"), b"cepo big");
        assert!(fold_term("…").is_empty());
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(text in "[a-cA-C1@!. é\u{200b}漢]{0,40}", cut in 0usize..40) {
            let mut whole = Words::default();
            whole.push(&text);
            let chars: Vec<char> = text.chars().collect();
            let (head, tail) = chars.split_at(cut.min(chars.len()));
            let mut parts = Words::default();
            parts.push(&head.iter().collect::<String>());
            parts.push(&tail.iter().collect::<String>());
            prop_assert_eq!(whole.whole_until(), parts.whole_until());
            whole.end();
            parts.end();
            prop_assert_eq!(whole.folded, parts.folded);
            prop_assert_eq!(whole.starts, parts.starts);
        }
    }
}
