//! The built-in lists, ready to be looked up; and an account's own.
//!
//! Stage `policy`. Decides how written terms become a tree: placeholders are replaced by each word of their group,
//! a star at the end makes a stem. The terms themselves are in `terms`. Building takes about a millisecond, so it is
//! done once for an isolate, when the first policy needs it.

use super::findings::{self, join};
use super::terms::{self, Table};
use super::trie::{HARMLESS, Marks, TERM_BYTES_MAX, Trie};
use super::words::fold_term;
use crate::snapshot::content::Blocklist;
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

/// The built-in lists.
#[derive(Clone, Debug)]
pub struct Lexicon {
    pub(super) terms: Trie,
}

impl Lexicon {
    /// All built-in terms.
    pub fn built_in() -> Self {
        let mut terms = Trie::default();
        for table in terms::TABLES {
            let Table { filter, severity, lines } = table;
            let marks = severity.map_or(HARMLESS, |severity| findings::marks(*filter, severity));
            for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
                for term in expanded(line) {
                    add(&mut terms, &term, marks);
                }
            }
        }
        Self { terms }
    }
}

/// Whether an item of a blocklist can be found: it has a letter or a digit, and is not too long.
pub fn is_term(item: &str) -> bool {
    (1..=TERM_BYTES_MAX).contains(&fold_term(item).len())
}

/// An account's blocklists, each with its bit.
pub(super) fn of_lists<'a>(lists: impl Iterator<Item = &'a Blocklist>) -> Trie {
    let mut terms = Trie::default();
    for (list, bit) in lists.zip(0u32..16) {
        for item in &list.items {
            terms.add(&fold_term(item), false, 1u16.checked_shl(bit).unwrap_or(0), |one, other| one | other);
        }
    }
    terms
}

fn add(terms: &mut Trie, term: &str, marks: Marks) {
    let (text, stem) = term.strip_suffix('*').map_or((term, false), |text| (text, true));
    terms.add(&fold_term(text), stem, marks, join);
}

/// `line` with each placeholder replaced by each of its words.
fn expanded(line: &str) -> Vec<String> {
    let mut done = Vec::new();
    let mut open = Vec::from([line.to_owned()]);
    while let Some(term) = open.pop() {
        let named = term.split_once('<').and_then(|(before, rest)| {
            let (name, after) = rest.split_once('>')?;
            Some((before, terms::group(name), after))
        });
        match named {
            None => done.push(term),
            Some((before, words, after)) => {
                open.extend(words.split('|').map(|word| [before, word, after].concat()));
            }
        }
    }
    done
}
