//! Terms as a tree of bytes, and the walk that finds which of them begin at a place.
//!
//! Stage `policy`. Decides whether a term stands at a word's beginning, read through leetspeak, stretched letters
//! and letters set apart; what a word is, is decided in `words`. Written by hand: a general automaton for many
//! patterns costs some 40 KiB of script, and whole words need a look at word starts only.

use super::words::{AGAIN, I_OR_L, LOOSE, SPACE};
use alloc::vec::Vec;

/// What a term means, as bits; see `lexicon` for the built-in lists, `ready` for an account's own.
pub(super) type Marks = u16;

/// All hits of a walk that meets a term with this mark are void: a longer, harmless phrase began at the same place.
pub(super) const HARMLESS: Marks = 1 << 15;

/// Longest text that one walk may read, in bytes. A term has at most [`TERM_BYTES_MAX`], each of which may be
/// followed by one byte of [`AGAIN`] or [`LOOSE`].
const WALK_BYTES_MAX: usize = 2 * TERM_BYTES_MAX;
/// Longest term, in folded bytes.
pub(super) const TERM_BYTES_MAX: usize = 128;
/// Readings of one place that are followed; further ones are dropped. Two letters for `1` and the choices of
/// stretched letters multiply, but a term must exist for each reading, so this is far more than real texts need.
const READINGS_MAX: usize = 64;
/// Steps of one walk over all its readings: with it, a text is read in linear time.
const STEPS_MAX: usize = 1_024;

const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Node {
    child: u32,
    sibling: u32,
    /// What the term that ends here as a whole word means.
    exact: Marks,
    /// What the term means that ends here as the beginning of a word.
    stem: Marks,
    /// One bit for each byte that goes on from here, by its lowest five bits: most looks end with it.
    next: u32,
    byte: u8,
}

/// Many terms.
#[derive(Clone, Debug)]
pub(super) struct Trie {
    /// Nodes of the first byte of each term.
    roots: [u32; 256],
    nodes: Vec<Node>,
}

/// What a walk found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Walked {
    /// All that begins there.
    Found(Marks),
    /// More of the text has to be known first.
    Undecided,
}

impl Default for Trie {
    fn default() -> Self {
        Self { roots: [NONE; 256], nodes: Vec::new() }
    }
}

impl Trie {
    /// Adds a folded term (words parted by single spaces). `stem`: it is found at the beginning of longer words
    /// too. A term that is empty or longer than [`TERM_BYTES_MAX`] is not added: false.
    pub(super) fn add(
        &mut self,
        term: &[u8],
        stem: bool,
        marks: Marks,
        join: fn(Marks, Marks) -> Marks,
    ) -> bool {
        if term.is_empty() || term.len() > TERM_BYTES_MAX {
            return false;
        }
        let mut node = NONE;
        for byte in term {
            node = self.step(node, *byte);
        }
        if let Some(node) = self.node_mut(node) {
            let slot = if stem { &mut node.stem } else { &mut node.exact };
            *slot = join(*slot, marks);
        }
        true
    }

    /// Nodes, for measures of memory.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// What begins at `start` of `text`, whose words are parted by [`SPACE`]. `last`: nothing follows `text`.
    pub(super) fn walk(
        &self,
        text: &[u8],
        start: usize,
        last: bool,
        join: fn(Marks, Marks) -> Marks,
    ) -> Walked {
        let mut hits = 0;
        let mut steps = 0usize;
        // Almost every word ends here: no term begins like it.
        let first = text.get(start).copied().unwrap_or(SPACE);
        if first != I_OR_L && self.child(NONE, first) == NONE {
            return Walked::Found(0);
        }
        let mut readings: Vec<(usize, u32)> = Vec::new();
        let mut current = Some((start, NONE));
        while let Some((mut at, mut node)) = current {
            loop {
                steps = steps.saturating_add(1);
                let far = at.saturating_sub(start) > WALK_BYTES_MAX || steps > STEPS_MAX;
                if far {
                    break;
                }
                let Some(byte) = text.get(at).copied() else {
                    if !last && node != NONE && self.goes_on(node) {
                        return Walked::Undecided;
                    }
                    break;
                };
                hits = self.collect(node, byte, hits, join);
                at = at.saturating_add(1);
                let (main, other) = self.readings(node, byte);
                if let Some(other) = other.filter(|_| readings.len() < READINGS_MAX) {
                    readings.push((at, other));
                }
                match main {
                    Some(next) => node = next,
                    None => break,
                }
            }
            current = readings.pop();
        }
        Walked::Found(if hits & HARMLESS == 0 { hits } else { 0 })
    }

    /// The hits at `node` when `next` follows it.
    fn collect(&self, node: u32, next: u8, hits: Marks, join: fn(Marks, Marks) -> Marks) -> Marks {
        let Some(node) = self.node(node).filter(|node| node.exact | node.stem != 0) else { return hits };
        let hits = join(hits, node.stem);
        if next == SPACE { join(hits, node.exact) } else { hits }
    }

    /// Whether a longer term goes through `node`.
    fn goes_on(&self, node: u32) -> bool {
        self.node(node).is_some_and(|node| node.child != NONE)
    }

    /// Where `byte` leads from `node`: the main reading and a second one.
    fn readings(&self, node: u32, byte: u8) -> (Option<u32>, Option<u32>) {
        let some = |node: u32| Some(node).filter(|node| *node != NONE);
        match byte {
            I_OR_L => (some(self.child(node, b'i')), some(self.child(node, b'l'))),
            AGAIN => {
                let again = self.node(node).map(|node| node.byte);
                (some(node), again.and_then(|again| some(self.child(node, again))))
            }
            LOOSE => (some(node), some(self.child(node, SPACE))),
            byte => (some(self.child(node, byte)), None),
        }
    }

    fn node(&self, at: u32) -> Option<&Node> {
        usize::try_from(at).ok().and_then(|at| self.nodes.get(at))
    }

    fn node_mut(&mut self, at: u32) -> Option<&mut Node> {
        usize::try_from(at).ok().and_then(|at| self.nodes.get_mut(at))
    }

    /// The node that follows `node` by `byte`; [`NONE`] if there is none. [`NONE`] as `node` stands for the root.
    fn child(&self, node: u32, byte: u8) -> u32 {
        if node == NONE {
            return self.roots.get(usize::from(byte)).copied().unwrap_or(NONE);
        }
        let Some(from) = self.node(node).filter(|node| node.next & bit(byte) != 0) else { return NONE };
        let mut at = from.child;
        while let Some(node) = self.node(at) {
            if node.byte == byte {
                return at;
            }
            at = node.sibling;
        }
        NONE
    }

    /// As [`Trie::child`], made if it is not there.
    fn step(&mut self, from: u32, byte: u8) -> u32 {
        let known = self.child(from, byte);
        if known != NONE {
            return known;
        }
        let made = u32::try_from(self.nodes.len()).unwrap_or(NONE);
        let sibling = self.node(from).map_or(NONE, |node| node.child);
        self.nodes.push(Node { child: NONE, sibling, exact: 0, stem: 0, next: 0, byte });
        if let Some(node) = self.node_mut(from) {
            node.child = made;
            node.next |= bit(byte);
        } else if let Some(root) = self.roots.get_mut(usize::from(byte)) {
            *root = made;
        }
        made
    }
}

fn bit(byte: u8) -> u32 {
    1u32.checked_shl(u32::from(byte & 31)).unwrap_or(0)
}
