//! What was found in a text, as a small value that can be joined.
//!
//! Stage `policy`. Decides how findings are packed and joined: for each category the highest severity, for
//! everything else whether it was there. Not what follows from them (`verdict`).

use super::trie::Marks;
use crate::snapshot::content::{Filter, Severity};

/// The four categories with severities, two bits each in [`Marks`].
const CATEGORIES: [Filter; 4] = [Filter::Hate, Filter::Sexual, Filter::Violence, Filter::SelfHarm];
/// The bits of all severities.
const SEVERITIES: Marks = 0xff;
/// The bit of an attack, and of one in a document.
const ATTACK: Marks = 1 << 9;
const INDIRECT: Marks = 1 << 10;
/// The bit of a text about none of the topics that it may be about.
const OFF_TOPIC: Marks = 1 << 11;

/// Whose words a text of a prompt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The person who asks.
    Caller,
    /// A tool's answer.
    Document,
    /// The operator, or the model itself.
    Operator,
}

/// What was found in one text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Severities and flags of the built-in lists.
    pub(super) marks: Marks,
    /// Bit *i*: the policy's blocklist *i*.
    pub(super) lists: u16,
    /// Kinds of personal data, as bits of [`super::pii::KINDS`].
    pub(super) personal: u16,
    /// A classifier that should have judged it did not.
    pub(super) unjudged: bool,
}

/// The marks of a term of a built-in list; nothing for a filter without one.
pub(super) const fn marks(filter: Filter, severity: Severity) -> Marks {
    match filter {
        Filter::Hate => severity.rank(),
        Filter::Sexual => severity.rank() << 2,
        Filter::Violence => severity.rank() << 4,
        Filter::SelfHarm => severity.rank() << 6,
        Filter::Profanity => 1 << 8,
        Filter::Jailbreak => ATTACK,
        Filter::IndirectAttack => INDIRECT,
        Filter::PersonalData => 0,
    }
}

/// The higher severity of each category, and all flags of both.
pub(super) fn join(one: Marks, other: Marks) -> Marks {
    let mut joined = (one | other) & !SEVERITIES;
    for shift in [0u16, 2, 4, 6] {
        let of = |marks: Marks| (marks >> shift) & 3;
        joined |= of(one).max(of(other)) << shift;
    }
    joined
}

/// All that was found about one choice of an answer; each finding stands with the choice that it is about.
pub fn about(found: &[(u32, Findings)], choice: u32) -> Findings {
    let own = found.iter().filter(|(of, _)| *of == choice);
    own.fold(Findings::default(), |joined, (_, found)| joined.joined(*found))
}

impl Findings {
    /// Of a text that a classifier should have judged and did not.
    pub fn unjudged() -> Self {
        Self { unjudged: true, ..Self::default() }
    }

    /// Of a text about something else than it may be about.
    pub(super) fn off_topic() -> Self {
        Self { marks: OFF_TOPIC, ..Self::default() }
    }

    pub(super) const fn is_off_topic(self) -> bool {
        self.marks & OFF_TOPIC != 0
    }

    /// The findings of both texts.
    #[must_use]
    pub fn joined(self, other: Self) -> Self {
        Self {
            marks: join(self.marks, other.marks),
            lists: self.lists | other.lists,
            personal: self.personal | other.personal,
            unjudged: self.unjudged | other.unjudged,
        }
    }

    /// The severity of a category; for the other filters [`Severity::High`] if it was found.
    pub fn severity(self, filter: Filter) -> Severity {
        if let Some(place) = CATEGORIES.iter().position(|category| *category == filter) {
            let shift = u32::try_from(place).unwrap_or(0).saturating_mul(2);
            return Severity::from_rank(self.marks.checked_shr(shift).unwrap_or(0) & 3);
        }
        let found = match filter {
            Filter::PersonalData => self.personal != 0,
            Filter::Hate
            | Filter::Sexual
            | Filter::Violence
            | Filter::SelfHarm
            | Filter::Profanity
            | Filter::Jailbreak
            | Filter::IndirectAttack => self.marks & marks(filter, Severity::High) != 0,
        };
        if found { Severity::High } else { Severity::Safe }
    }

    /// Whether the policy's blocklist `at` was hit.
    pub fn hit_list(self, at: usize) -> bool {
        u32::try_from(at).ok().and_then(|at| self.lists.checked_shr(at)).is_some_and(|bits| bits & 1 == 1)
    }

    /// An attack counts as one of the person who asks, of a document, or of nobody.
    #[must_use]
    pub(super) const fn attributed(self, origin: Origin) -> Self {
        let attack = self.marks & ATTACK;
        let others = self.marks & !(ATTACK | INDIRECT);
        let marks = match origin {
            Origin::Caller => others | attack,
            Origin::Document => others | attack << 1,
            Origin::Operator => others,
        };
        Self { marks, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_higher_severity_wins_and_flags_add_up() {
        let of = |filter, severity| Findings { marks: marks(filter, severity), ..Findings::default() };
        let joined = of(Filter::Hate, Severity::Low)
            .joined(of(Filter::Violence, Severity::High))
            .joined(of(Filter::Hate, Severity::Medium))
            .joined(of(Filter::Profanity, Severity::Low));
        let rows = [
            (Filter::Hate, Severity::Medium),
            (Filter::Sexual, Severity::Safe),
            (Filter::Violence, Severity::High),
            (Filter::SelfHarm, Severity::Safe),
            (Filter::Profanity, Severity::High),
            (Filter::Jailbreak, Severity::Safe),
            (Filter::PersonalData, Severity::Safe),
        ];
        for (filter, severity) in rows {
            assert_eq!(joined.severity(filter), severity, "{filter:?}");
        }
        let lists = Findings { lists: 0b101, ..Findings::default() };
        assert_eq!(
            [lists.hit_list(0), lists.hit_list(1), lists.hit_list(2), lists.hit_list(99)],
            [true, false, true, false]
        );
    }
}
