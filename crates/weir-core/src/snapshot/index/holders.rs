//! Who holds which rights where, ready to be looked up.
//!
//! Base. A scope is known by 64 bits of its SHA-256, so that a question costs one look-up for each step from the
//! installation down to the deployment (five or six), whatever and however much a principal was given. Two scopes with the same
//! 64 bits would have to be searched for on purpose among 2^64, by somebody who may already choose scopes of roles.

use super::super::access::{Given, PrincipalEntry};
use super::{folded_hash, get};
use crate::seal::digest;
use alloc::string::String;
use alloc::vec::Vec;
use hashbrown::HashTable;

/// A scope, in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScopeMark(u64);

impl ScopeMark {
    /// The mark of a scope in lower case, without a slash at its end.
    pub fn of(scope: &str) -> Self {
        Self(digest(scope.as_bytes()).first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes)))
    }

    /// The marks of a scope and of all above it, up to the whole installation.
    pub fn ladder(scope: &str) -> Vec<Self> {
        let steps = scope.match_indices('/').map(|(at, _)| scope.get(..at).unwrap_or_default());
        steps.chain([scope]).map(Self::of).collect()
    }
}

/// What one principal was given: rights as bits, by scope, in order of the marks.
#[derive(Debug)]
pub struct Holder {
    id: String,
    given: Vec<(ScopeMark, u32)>,
    name: String,
    groups: Vec<String>,
}

impl Holder {
    /// Whether it is called so, without regard to case.
    pub fn is_called(&self, name: &str) -> bool {
        !name.is_empty() && self.name.eq_ignore_ascii_case(name)
    }

    /// Whether it is in the group with this id or name, without regard to case.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|known| known.eq_ignore_ascii_case(group))
    }

    /// By what it is known beside its id: its name, ids and names of its groups.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        core::iter::once(self.name.as_str()).chain(self.groups.iter().map(String::as_str))
    }

    /// Whether it holds the right of this bit at one of these scopes.
    pub fn holds(&self, bit: u32, mut scopes: impl Iterator<Item = ScopeMark>) -> bool {
        scopes.any(|scope| {
            let at = self.given.binary_search_by_key(&scope, |(mark, _)| *mark);
            at.ok().and_then(|at| self.given.get(at)).is_some_and(|(_, rights)| rights & bit != 0)
        })
    }
}

/// All who were given something.
#[derive(Debug)]
pub(super) struct Holders {
    holders: Vec<Holder>,
    by_id: HashTable<u32>,
}

impl Holders {
    pub(super) fn new(entries: Vec<PrincipalEntry>) -> Self {
        let marked = |Given { scope, rights }: Given| (ScopeMark::of(&scope), rights);
        let holders: Vec<Holder> = entries
            .into_iter()
            .map(|entry| {
                let mut given: Vec<_> = entry.given.into_iter().map(marked).collect();
                given.sort_unstable_by_key(|(mark, _)| *mark);
                Holder { id: entry.id, given, name: entry.name, groups: entry.groups }
            })
            .collect();
        let mut by_id = HashTable::with_capacity(holders.len());
        let hash = |at: &u32| get(&holders, *at).map_or(0, |holder| folded_hash(&holder.id));
        for at in (0u32..).take(holders.len()) {
            by_id.insert_unique(hash(&at), at, hash);
        }
        Self { holders, by_id }
    }

    pub(super) fn find(&self, id: &str) -> Option<&Holder> {
        let same = |at: &u32| get(&self.holders, *at).is_some_and(|holder| holder.id == id);
        get(&self.holders, *self.by_id.find(folded_hash(id), same)?)
    }
}
