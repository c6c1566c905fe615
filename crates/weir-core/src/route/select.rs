//! In which order a deployment's entities are tried: the first by traffic share, the others as fallback.
//!
//! Stage 3. Decides from weights and a given random word; whether a further entity is called at all is
//! `attempt`'s. Source: `databricks.md`, 7.4.

use crate::snapshot::ServedEntity;
use alloc::vec::Vec;

/// Positions in `entities`, the one to call first in front. It is drawn by weight; the others follow in the order
/// of the list, those without weight too. With no weight anywhere the list's order holds.
pub fn order(entities: &[ServedEntity], random: u64) -> Vec<usize> {
    let total: u64 = entities.iter().map(|entity| u64::from(entity.weight)).sum();
    let mut rest = random.checked_rem(total).unwrap_or(0);
    let mut first = 0usize;
    for (at, entity) in entities.iter().enumerate() {
        let weight = u64::from(entity.weight);
        if rest < weight {
            first = at;
            break;
        }
        rest = rest.saturating_sub(weight);
    }
    let others = (0..entities.len()).filter(|at| *at != first);
    entities.get(first).map(|_| first).into_iter().chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::SimulatorConfig;
    use crate::snapshot::Target;
    use alloc::string::String;
    use alloc::vec;

    fn entities(weights: &[u32]) -> Vec<ServedEntity> {
        let entity = |weight: &u32| ServedEntity {
            name: String::from("e"),
            provider: String::from("simulator"),
            upstream_model: String::from("m"),
            weight: *weight,
            target: Target::Simulator(SimulatorConfig::default()),
            price: None,
        };
        weights.iter().map(entity).collect()
    }

    #[test]
    fn the_first_is_drawn_by_weight_and_the_others_follow_in_order() {
        let rows = [
            (vec![], 5, vec![]),
            (vec![100], 7, vec![0]),
            (vec![0, 0], 9, vec![0, 1]),
            (vec![30, 70], 29, vec![0, 1]),
            (vec![30, 70], 30, vec![1, 0]),
            (vec![30, 0, 70], 99, vec![2, 0, 1]),
            (vec![0, 100], 0, vec![1, 0]),
        ];
        for (weights, random, want) in rows {
            assert_eq!(order(&entities(&weights), random), want, "{weights:?} {random}");
        }
    }

    #[test]
    fn shares_are_as_configured() {
        let entities = entities(&[10, 20, 70]);
        let mut counts = [0u32; 3];
        for random in 0..10_000u64 {
            counts[order(&entities, random.wrapping_mul(0x9e37_79b9_7f4a_7c15))[0]] += 1;
        }
        for (count, share) in counts.into_iter().zip([1_000, 2_000, 7_000]) {
            assert!(count.abs_diff(share) < 200, "{counts:?}");
        }
    }
}
