//! In which order a deployment's entities are tried.
//!
//! Stage 3. Decides from priorities, shares, what is known of each entity's health, the caller's session and a given
//! random word; whether a further entity is called at all is `attempt`'s. Sources: `databricks.md`, 7.4 (shares; the
//! others in the order of the list), `design.md`, section 5 (`weight`, `priority`).
//!
//! Entities of a lower priority number come first. Within a priority: with shares, the first is drawn by share and
//! the others follow as they are listed; without, two are drawn and the one with less load comes first (power of two
//! choices). Whatever is set aside for its failures comes last, over all priorities.

use crate::snapshot::ServedEntity;
use alloc::vec::Vec;

/// What is known of an entity, as far as the order needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fitness {
    /// How long an answer is expected to take with what is under way there, in any unit; `None` if nobody knows.
    pub load: Option<u64>,
    /// Calls under way.
    pub pending: u32,
    /// It failed lately and is set aside.
    pub out: bool,
    /// It was set aside and somebody must find out whether it is back.
    pub probe: bool,
    /// The part of its traffic that it may take, of 256; it grows after it came back.
    pub ramp: u32,
}

/// Nothing is known.
pub const UNKNOWN: Fitness = Fitness { load: None, pending: 0, out: false, probe: false, ramp: FULL };
/// All of its traffic.
pub const FULL: u32 = 256;
/// How many times the load of the least loaded one an entity may have to be chosen.
const OUTLIER: u64 = 3;
/// The bits of a random word that are compared with [`Fitness::ramp`].
const RAMP_MASK: u64 = 255;

/// Why an entity stands where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// There is no other.
    Only,
    /// Drawn by its share of the traffic.
    Share,
    /// It had less load than another one, or there was none to compare with.
    Load,
    /// The caller's session belongs there.
    Session,
    /// To find out whether it is back.
    Probe,
    /// Stands in for those before it.
    Fallback,
    /// Set aside; there is nobody else.
    Out,
}

impl Why {
    /// A short word for explanations.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Only => "only",
            Self::Share => "share",
            Self::Load => "load",
            Self::Session => "session",
            Self::Probe => "probe",
            Self::Fallback => "fallback",
            Self::Out => "out",
        }
    }
}

/// One place of the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    /// Index into the deployment's entities.
    pub at: usize,
    /// Why it stands here.
    pub why: Why,
}

/// By what an order is made.
#[derive(Clone, Copy)]
pub struct Chance<'a> {
    /// Random word of the exchange.
    pub random: u64,
    /// The caller's session, hashed, if it has one.
    pub session: Option<u64>,
    /// What is known of each entity, by its index.
    pub fitness: &'a dyn Fn(usize) -> Fitness,
}

/// The order, the one to call first in front; each entity once. Those with [`Why::Out`] stand at the end.
pub fn order(entities: &[ServedEntity], chance: Chance<'_>) -> Vec<Pick> {
    if entities.len() == 1 {
        return Vec::from([Pick { at: 0, why: Why::Only }]);
    }
    let known: Vec<Fitness> = (0..entities.len()).map(chance.fitness).collect();
    let mut picks: Vec<Pick> = Vec::with_capacity(entities.len());
    let mut priority = entities.iter().map(|entity| entity.priority).min();
    while let Some(now) = priority {
        let members: Vec<Member> = entities
            .iter()
            .zip(&known)
            .enumerate()
            .filter(|(_, (entity, fitness))| entity.priority == now && !fitness.out)
            .map(|(at, (entity, fitness))| Member { at, weight: entity.weight, fitness: *fitness })
            .collect();
        place(&members, chance, &mut picks);
        priority = entities.iter().map(|entity| entity.priority).filter(|other| *other > now).min();
    }
    for (at, fitness) in known.iter().enumerate() {
        if fitness.out {
            picks.push(Pick { at, why: Why::Out });
        }
    }
    picks
}

/// An entity that can be called, among those of its priority.
#[derive(Clone, Copy)]
struct Member {
    at: usize,
    weight: u32,
    fitness: Fitness,
}

/// Adds the members of one priority in their order.
fn place(members: &[Member], chance: Chance<'_>, picks: &mut Vec<Pick>) {
    let shared = members.iter().any(|member| member.weight > 0);
    let first = if let Some(member) = members.iter().find(|member| member.fitness.probe && !shared) {
        Some((member.at, Why::Probe))
    } else if shared {
        drawn(members, chance)
    } else {
        lighter(members, chance)
    };
    let Some((first, why)) = first else { return };
    let why = if picks.is_empty() { why } else { Why::Fallback };
    picks.push(Pick { at: first, why });
    let mut others: Vec<&Member> = members.iter().filter(|member| member.at != first).collect();
    if !shared {
        // Stable: what is equal stays as it is listed.
        others.sort_by_key(|member| (member.fitness.ramp < FULL, member.fitness.load.unwrap_or(u64::MAX)));
    }
    picks.extend(others.into_iter().map(|member| Pick { at: member.at, why: Why::Fallback }));
}

/// The member that the random word, or the session, falls on by shares. One that just came back gives a part of its
/// shares to the others.
fn drawn(members: &[Member], chance: Chance<'_>) -> Option<(usize, Why)> {
    let (word, why) = match chance.session {
        Some(session) => (session, Why::Session),
        None => (chance.random, Why::Share),
    };
    let at = by_weight(members.iter(), word)?;
    let ramp = members.iter().find(|member| member.at == at).map_or(FULL, |member| member.fitness.ramp);
    if mix(chance.random) & RAMP_MASK < u64::from(ramp) {
        return Some((at, why));
    }
    let others = members.iter().filter(|member| member.at != at && member.weight > 0);
    Some((by_weight(others, mix(word)).unwrap_or(at), why))
}

fn by_weight<'a>(members: impl Iterator<Item = &'a Member> + Clone, word: u64) -> Option<usize> {
    let total: u64 = members.clone().map(|member| u64::from(member.weight)).sum();
    let mut rest = word.checked_rem(total)?;
    for member in members {
        let weight = u64::from(member.weight);
        if rest < weight {
            return Some(member.at);
        }
        rest = rest.saturating_sub(weight);
    }
    None
}

/// The better of two that are drawn; where the session belongs, if the caller has one (rendezvous hashing: an entity
/// that goes takes no other entity's sessions with it).
fn lighter(members: &[Member], chance: Chance<'_>) -> Option<(usize, Why)> {
    if let Some(session) = chance.session {
        let score = |member: &&Member| mix(session ^ mix(u64::try_from(member.at).unwrap_or(0)));
        return members.iter().max_by_key(score).map(|member| (member.at, Why::Session));
    }
    let apt = apt(members);
    let count = u64::try_from(apt.len()).unwrap_or(u64::MAX);
    let word = mix(chance.random);
    let pick = |word: u64, of: u64| usize::try_from(word.checked_rem(of).unwrap_or(0)).unwrap_or(0);
    let first = pick(word, count);
    let second = pick(mix(word), count.saturating_sub(1));
    let second = if second >= first { second.saturating_add(1) } else { second };
    let (one, other) = (apt.get(first)?, apt.get(second).or_else(|| apt.get(first))?);
    let better = if less_loaded(other, one) { other } else { one };
    let ramp = better.fitness.ramp;
    let instead =
        members.iter().filter(|member| member.fitness.ramp > ramp).min_by_key(|member| member.fitness.load);
    let held_back = mix(word ^ 1) & RAMP_MASK >= u64::from(ramp);
    let chosen = instead.filter(|_| held_back).unwrap_or(better);
    Some((chosen.at, Why::Load))
}

/// Those that come into question: with [`OUTLIER`] times the load of the least loaded one an entity is left out, and one
/// that is not known while it is being found out about. Two choices among many bad ones would often be both bad.
fn apt(members: &[Member]) -> Vec<&Member> {
    let least = members.iter().filter_map(|member| member.fitness.load).min();
    let apt = |member: &&Member| match (member.fitness.load, least) {
        (Some(load), Some(least)) => load <= least.saturating_mul(OUTLIER),
        (None, Some(_)) => member.fitness.pending == 0,
        (_, None) => true,
    };
    members.iter().filter(apt).collect()
}

/// Whether `one` has less load than `other`. Of two of which one is not known yet, the less busy one is taken, so that
/// it becomes known by one call at a time.
fn less_loaded(one: &Member, other: &Member) -> bool {
    let (a, b) = (one.fitness, other.fitness);
    match (a.load, b.load) {
        (Some(a), Some(b)) => a < b,
        (None, Some(_)) => a.pending <= b.pending,
        (Some(_) | None, None) => a.pending < b.pending,
    }
}

/// A word that tells nothing of the one it was made from (the finalizer of `SplitMix64`).
pub const fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
#[path = "select_tests.rs"]
mod tests;
