//! Small ordered maps: pairs in a vector, sorted by key.
//!
//! Base. Decides only the order of keys. A tree costs some seven kilobytes of script for each pair of types, because
//! its splits and merges are compiled again for them; this costs some hundred bytes. A look-up is a binary search; a
//! new key moves what stands behind it, and keys that come in their order move nothing. So it is for configuration,
//! queries and answers; what changes with every request stands in a tree or a hash table.

use alloc::vec;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::fmt;
use core::marker::PhantomData;
use core::mem;
use core::ops::{Bound, RangeBounds};
use core::slice;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};

/// A map whose keys are unique and stand in their order.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SortedMap<K, V> {
    pairs: Vec<(K, V)>,
}

impl<K, V> SortedMap<K, V> {
    /// An empty map.
    pub const fn new() -> Self {
        Self { pairs: Vec::new() }
    }

    /// How many pairs there are.
    pub const fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there is no pair.
    pub const fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Forgets all pairs.
    pub fn clear(&mut self) {
        self.pairs.clear();
    }

    /// All pairs, in the order of the keys.
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter(self.pairs.iter())
    }

    /// All pairs, in the order of the keys; the values may be changed.
    pub fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = (&K, &mut V)> {
        self.pairs.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// All keys, in their order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + ExactSizeIterator + Clone {
        self.pairs.iter().map(|(key, _)| key)
    }

    /// All values, in the order of the keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + ExactSizeIterator + Clone {
        self.pairs.iter().map(|(_, value)| value)
    }

    /// All values, in the order of the keys, to be changed.
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut V> {
        self.pairs.iter_mut().map(|(_, value)| value)
    }

    /// All values, in the order of the keys.
    pub fn into_values(self) -> impl DoubleEndedIterator<Item = V> {
        self.pairs.into_iter().map(|(_, value)| value)
    }

    /// All keys, in their order.
    pub fn into_keys(self) -> impl DoubleEndedIterator<Item = K> {
        self.pairs.into_iter().map(|(key, _)| key)
    }

    /// The pair with the least key.
    pub fn first_key_value(&self) -> Option<(&K, &V)> {
        self.pairs.first().map(|(key, value)| (key, value))
    }

    /// The pair with the greatest key.
    pub fn last_key_value(&self) -> Option<(&K, &V)> {
        self.pairs.last().map(|(key, value)| (key, value))
    }

    /// Takes the pair with the least key out.
    pub fn pop_first(&mut self) -> Option<(K, V)> {
        (!self.pairs.is_empty()).then(|| self.pairs.remove(0))
    }

    /// Takes the pair with the greatest key out.
    pub fn pop_last(&mut self) -> Option<(K, V)> {
        self.pairs.pop()
    }

    /// Keeps the pairs that `keep` says.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.pairs.retain_mut(|(key, value)| keep(key, value));
    }
}

impl<K: Ord, V> SortedMap<K, V> {
    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        // Keys mostly come in their order.
        match self.pairs.last() {
            Some((last, _)) if last.borrow() < key => Err(self.pairs.len()),
            Some(_) | None => self.pairs.binary_search_by(|(own, _)| own.borrow().cmp(key)),
        }
    }

    /// The value of `key`.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let at = self.find(key).ok()?;
        self.pairs.get(at).map(|(_, value)| value)
    }

    /// `key` as it stands in the map, and its value.
    pub fn get_key_value<Q: Ord + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        let at = self.find(key).ok()?;
        self.pairs.get(at).map(|(key, value)| (key, value))
    }

    /// The value of `key`, to be changed.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let at = self.find(key).ok()?;
        self.pairs.get_mut(at).map(|(_, value)| value)
    }

    /// Whether `key` is there.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).is_ok()
    }

    /// Puts `value` at `key`. Answers what stood there.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            Ok(at) => self.pairs.get_mut(at).map(|(_, own)| mem::replace(own, value)),
            Err(at) => {
                self.pairs.insert(at, (key, value));
                None
            }
        }
    }

    /// Takes the value of `key` out.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let at = self.find(key).ok()?;
        Some(self.pairs.remove(at).1)
    }

    /// The place of `key`, taken or free.
    pub fn entry(&mut self, key: K) -> Entry<'_, K, V> {
        let found = self.find(&key);
        Entry { pairs: &mut self.pairs, key, found }
    }

    /// The pairs whose keys are in `range`, in their order.
    pub fn range<Q: Ord + ?Sized>(&self, range: impl RangeBounds<Q>) -> Iter<'_, K, V>
    where
        K: Borrow<Q>,
    {
        let from = match range.start_bound() {
            Bound::Unbounded => 0,
            Bound::Included(key) => self.pairs.partition_point(|(own, _)| own.borrow() < key),
            Bound::Excluded(key) => self.pairs.partition_point(|(own, _)| own.borrow() <= key),
        };
        let to = match range.end_bound() {
            Bound::Unbounded => self.pairs.len(),
            Bound::Included(key) => self.pairs.partition_point(|(own, _)| own.borrow() <= key),
            Bound::Excluded(key) => self.pairs.partition_point(|(own, _)| own.borrow() < key),
        };
        Iter(self.pairs.get(from..to).unwrap_or_default().iter())
    }
}

/// The place of a key in a map.
pub struct Entry<'m, K, V> {
    pairs: &'m mut Vec<(K, V)>,
    key: K,
    found: Result<usize, usize>,
}

impl<'m, K, V> Entry<'m, K, V> {
    /// The value there, or what `make` gives, put there.
    pub fn or_insert_with(self, make: impl FnOnce() -> V) -> &'m mut V {
        let at = match self.found {
            Ok(at) => at,
            Err(at) => {
                self.pairs.insert(at, (self.key, make()));
                at
            }
        };
        // The place was found or filled just now.
        #[expect(clippy::indexing_slicing, reason = "`at` is the place of a pair of this vector")]
        let (_, value) = &mut self.pairs[at];
        value
    }

    /// The value there, or `value`, put there.
    pub fn or_insert(self, value: V) -> &'m mut V {
        self.or_insert_with(|| value)
    }

    /// The value there, or the type's own empty one, put there.
    pub fn or_default(self) -> &'m mut V
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }
}

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for SortedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Pairs of a map, in the order of the keys.
pub struct Iter<'m, K, V>(slice::Iter<'m, (K, V)>);

impl<K, V> Clone for Iter<'_, K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<'m, K, V> Iterator for Iter<'m, K, V> {
    type Item = (&'m K, &'m V);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(key, value)| (key, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<K, V> DoubleEndedIterator for Iter<'_, K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.0.next_back().map(|(key, value)| (key, value))
    }
}

impl<K, V> ExactSizeIterator for Iter<'_, K, V> {}

impl<'m, K, V> IntoIterator for &'m SortedMap<K, V> {
    type Item = (&'m K, &'m V);
    type IntoIter = Iter<'m, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<K, V> IntoIterator for SortedMap<K, V> {
    type Item = (K, V);
    type IntoIter = vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.pairs.into_iter()
    }
}

impl<K: Ord, V> Extend<(K, V)> for SortedMap<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, pairs: I) {
        for (key, value) in pairs {
            self.insert(key, value);
        }
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for SortedMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut map = Self::new();
        map.extend(pairs);
        map
    }
}

impl<K: Ord, V, const N: usize> From<[(K, V); N]> for SortedMap<K, V> {
    fn from(pairs: [(K, V); N]) -> Self {
        pairs.into_iter().collect()
    }
}

impl<K: Serialize, V: Serialize> Serialize for SortedMap<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self)
    }
}

impl<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>> Deserialize<'de> for SortedMap<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs<K, V>(PhantomData<(K, V)>);

        impl<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>> Visitor<'de> for Pairs<K, V> {
            type Value = SortedMap<K, V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
                let mut map = SortedMap::new();
                while let Some((key, value)) = access.next_entry()? {
                    map.insert(key, value);
                }
                Ok(map)
            }
        }

        deserializer.deserialize_map(Pairs(PhantomData))
    }
}

/// For tests, which fail where a key is missing.
#[cfg(test)]
impl<K: Ord + Borrow<Q>, V, Q: Ord + ?Sized> core::ops::Index<&Q> for SortedMap<K, V> {
    type Output = V;

    fn index(&self, key: &Q) -> &V {
        self.get(key).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u8, u16),
        Remove(u8),
        Add(u8, u16),
        Keep(u8),
        Extend(Vec<(u8, u16)>),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (any::<u8>(), any::<u16>()).prop_map(|(key, value)| Step::Insert(key, value)),
            any::<u8>().prop_map(Step::Remove),
            (any::<u8>(), any::<u16>()).prop_map(|(key, value)| Step::Add(key, value)),
            any::<u8>().prop_map(Step::Keep),
            proptest::collection::vec((any::<u8>(), any::<u16>()), 0..9).prop_map(Step::Extend),
        ];
        proptest::collection::vec(step, 0..64)
    }

    proptest! {
        #[test]
        fn it_is_a_tree_to_whoever_asks(steps in steps(), from in any::<u8>(), to in any::<u8>()) {
            let (mut own, mut tree) = (SortedMap::new(), BTreeMap::new());
            for step in steps {
                match step {
                    Step::Insert(key, value) => prop_assert_eq!(own.insert(key, value), tree.insert(key, value)),
                    Step::Remove(key) => prop_assert_eq!(own.remove(&key), tree.remove(&key)),
                    Step::Add(key, value) => {
                        for sum in [own.entry(key).or_default(), tree.entry(key).or_default()] {
                            *sum = u16::wrapping_add(*sum, value);
                        }
                    }
                    Step::Keep(below) => {
                        own.retain(|key, _| *key < below);
                        tree.retain(|key, _| *key < below);
                    }
                    Step::Extend(pairs) => {
                        own.extend(pairs.clone());
                        tree.extend(pairs);
                    }
                }
                prop_assert!(own.iter().eq(tree.iter()));
            }
            let (from, to) = (from.min(to), from.max(to));
            prop_assert!(own.range(from..to).eq(tree.range(from..to)));
            prop_assert!(own.range(..=to).rev().eq(tree.range(..=to).rev()));
            let excluded = (Bound::Excluded(from), Bound::Unbounded);
            prop_assert!(own.range(excluded).eq(tree.range(excluded)));
            prop_assert_eq!(own.get(&from), tree.get(&from));
            prop_assert_eq!(own.first_key_value(), tree.first_key_value());
            prop_assert_eq!(own.last_key_value(), tree.last_key_value());
            prop_assert_eq!(own.get_key_value(&from), tree.get_key_value(&from));
            let (mut less, mut less_tree) = (own.clone(), tree.clone());
            prop_assert_eq!(less.pop_first(), less_tree.pop_first());
            prop_assert_eq!(less.pop_last(), less_tree.pop_last());
            prop_assert!(less.iter().eq(less_tree.iter()));
            let text = serde_json::to_string(&own).unwrap();
            prop_assert_eq!(&text, &serde_json::to_string(&tree).unwrap());
            prop_assert_eq!(serde_json::from_str::<SortedMap<u8, u16>>(&text).unwrap(), own);
        }
    }
}
