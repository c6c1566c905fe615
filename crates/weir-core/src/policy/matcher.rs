//! Regular expressions of blocklists: matching them, in one pass and in any pieces.
//!
//! Stage `policy`. Decides whether an expression matches somewhere in a text, by following all its readings at once
//! (Thompson's construction): time is linear in the text, whatever the expression, and memory does not grow with it.
//! The state between two pieces is the set of readings, so a verdict never depends on how a text was cut. A match
//! may be [`MATCH_CHARS_MAX`] characters long: so much of a stream is held back by an expression that could go on.

use super::pattern::{Kind, Node, Place, Set, parse};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Longest match, in characters.
pub(super) const MATCH_CHARS_MAX: u64 = 1_000;
/// Most steps that one expression may have.
const STEPS_MAX: usize = 512;

/// One step of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// A character of this set, then the next step.
    One(u16),
    /// Here and there.
    Both(u16, u16),
    /// There.
    Go(u16),
    /// The next step, if this is such a place.
    At(Place),
    /// The expression matches.
    Match,
}

/// An expression, ready to be matched.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    steps: Vec<Step>,
    sets: Vec<Set>,
    /// ASCII characters that a match may begin with, a bit each; others may always.
    first: u128,
}

/// The readings of one expression between two characters: a step, and where its match began.
#[derive(Clone, Debug, Default)]
pub(super) struct Readings {
    open: Vec<(u16, u64)>,
    pub(super) found: bool,
}

/// A place between two characters.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Between {
    /// The character before it, and after it; none at the ends of the text.
    pub(super) before: Option<char>,
    pub(super) after: Option<char>,
    /// Characters before it.
    pub(super) at: u64,
}

/// The size of an expression: what one character of a text costs at most.
///
/// # Errors
/// What is wrong with it: a sentence without its subject.
pub fn pattern_steps(text: &str) -> Result<usize, String> {
    Pattern::new(text).map(|pattern| pattern.steps.len())
}

impl Between {
    fn is(self, place: Place) -> bool {
        let word = |c: Option<char>| c.is_some_and(|c| Kind::Word.has(c));
        match place {
            Place::Start => self.before.is_none(),
            Place::End => self.after.is_none(),
            Place::Edge => word(self.before) != word(self.after),
            Place::Within => word(self.before) == word(self.after),
        }
    }
}

impl Pattern {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with it: a sentence without its subject.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let node = parse(text)?;
        let mut pattern = Self { steps: Vec::new(), sets: Vec::new(), first: 0 };
        pattern.add(&node);
        pattern.push(Step::Match);
        if pattern.steps.len() > STEPS_MAX {
            return Err(format!("is too large: its repetitions make more than {STEPS_MAX} steps"));
        }
        if pattern.matches_nothing() {
            return Err(String::from("matches the empty text, and so every text"));
        }
        pattern.first = pattern.first_chars();
        Ok(pattern)
    }

    fn next_step(&self) -> u16 {
        u16::try_from(self.steps.len()).unwrap_or(u16::MAX)
    }

    /// Beyond the bound nothing is added: it is refused then, and a count of counts must not fill the memory.
    fn push(&mut self, step: Step) {
        if self.steps.len() <= STEPS_MAX {
            self.steps.push(step);
        }
    }

    fn set(&mut self, at: u16, step: Step) {
        if let Some(slot) = self.steps.get_mut(usize::from(at)) {
            *slot = step;
        }
    }

    fn add(&mut self, node: &Node) {
        match node {
            Node::Empty => {}
            Node::One(set) => {
                let known = self.sets.iter().position(|known| known == set);
                let at = known.unwrap_or_else(|| {
                    self.sets.push(set.clone());
                    self.sets.len().saturating_sub(1)
                });
                self.push(Step::One(u16::try_from(at).unwrap_or(u16::MAX)));
            }
            Node::At(place) => self.push(Step::At(*place)),
            Node::All(parts) => parts.iter().for_each(|part| self.add(part)),
            Node::Any(choices) => self.add_any(choices),
            Node::Times(part, least, most) => {
                for _ in 0..*least {
                    self.add(part);
                }
                let Some(most) = most else { return self.add_star(part) };
                let mut forks = Vec::new();
                for _ in *least..*most {
                    forks.push(self.next_step());
                    self.push(Step::Match);
                    self.add(part);
                }
                let end = self.next_step();
                for fork in forks {
                    self.set(fork, Step::Both(fork.saturating_add(1), end));
                }
            }
        }
    }

    fn add_star(&mut self, part: &Node) {
        let fork = self.next_step();
        self.push(Step::Match);
        self.add(part);
        self.push(Step::Go(fork));
        let end = self.next_step();
        self.set(fork, Step::Both(fork.saturating_add(1), end));
    }

    fn add_any(&mut self, choices: &[Node]) {
        let mut ends = Vec::new();
        for (at, choice) in choices.iter().enumerate() {
            if at.saturating_add(1) == choices.len() {
                self.add(choice);
                break;
            }
            let fork = self.next_step();
            self.push(Step::Match);
            self.add(choice);
            ends.push(self.next_step());
            self.push(Step::Match);
            let next = self.next_step();
            self.set(fork, Step::Both(fork.saturating_add(1), next));
        }
        let end = self.next_step();
        for at in ends {
            self.set(at, Step::Go(end));
        }
    }

    /// The characters' steps that can be reached from `from` without one, and whether the end can. Of readings that
    /// meet, the one that began last is kept: if any can be ended in time, it can.
    fn reach(&self, from: &[(u16, u64)], holds: impl Fn(Place) -> bool) -> (Vec<(u16, u64)>, bool) {
        let mut seen = alloc::vec![None::<u64>; self.steps.len()];
        let mut open: Vec<(u16, u64)> = from.to_vec();
        let mut matched = false;
        while let Some((at, start)) = open.pop() {
            let Some(slot) = seen.get_mut(usize::from(at)) else { continue };
            if slot.is_some_and(|known| known >= start) {
                continue;
            }
            *slot = Some(start);
            match self.steps.get(usize::from(at)) {
                Some(Step::Both(one, other)) => open.extend([(*one, start), (*other, start)]),
                Some(Step::Go(to)) => open.push((*to, start)),
                Some(Step::At(place)) if holds(*place) => open.push((at.saturating_add(1), start)),
                Some(Step::Match) => matched = true,
                Some(Step::At(_) | Step::One(_)) | None => {}
            }
        }
        let mut reached = Vec::new();
        for (at, start) in (0u16..).zip(&seen) {
            if let (Some(start), Some(Step::One(_))) = (start, self.steps.get(usize::from(at))) {
                reached.push((at, *start));
            }
        }
        (reached, matched)
    }

    fn matches_nothing(&self) -> bool {
        self.reach(&[(0, 0)], |_| true).1
    }

    fn first_chars(&self) -> u128 {
        let (reached, _) = self.reach(&[(0, 0)], |_| true);
        let mut first = 0u128;
        for c in '\0'..='\u{7f}' {
            if reached.iter().any(|(at, _)| self.takes(*at, c)) {
                first |= 1u128.checked_shl(u32::from(c)).unwrap_or(0);
            }
        }
        first
    }

    fn takes(&self, at: u16, c: char) -> bool {
        let Some(Step::One(set)) = self.steps.get(usize::from(at)) else { return false };
        self.sets.get(usize::from(*set)).is_some_and(|set| set.has(c))
    }
}

impl Readings {
    /// Goes over one character, or over the end of the text if none comes after.
    pub(super) fn step(&mut self, pattern: &Pattern, between: Between) {
        if self.found {
            return;
        }
        let begins = between
            .after
            .is_some_and(|c| !c.is_ascii() || pattern.first.checked_shr(u32::from(c)).unwrap_or(0) & 1 == 1);
        if !begins && self.open.is_empty() {
            return;
        }
        if begins {
            self.open.push((0, between.at));
        }
        self.open.retain(|(_, start)| between.at.saturating_sub(*start) <= MATCH_CHARS_MAX);
        let (reached, matched) = pattern.reach(&self.open, |place| between.is(place));
        self.open.clear();
        if matched {
            self.found = true;
        } else if let Some(c) = between.after {
            let taken = reached.into_iter().filter(|(at, _)| pattern.takes(*at, c));
            self.open.extend(taken.map(|(at, start)| (at.saturating_add(1), start)));
        }
    }

    /// Where the first open reading began.
    pub(super) fn begun(&self) -> Option<u64> {
        self.open.iter().map(|(_, start)| *start).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Whether the expression matches, and up to where the text was certain before its end, read in these pieces.
    fn read(pattern: &Pattern, pieces: &[&str]) -> bool {
        let mut readings = Readings::default();
        let mut between = Between { before: None, after: None, at: 0 };
        for c in pieces.iter().flat_map(|piece| piece.chars()) {
            between.after = Some(c);
            readings.step(pattern, between);
            between = Between { before: Some(c), after: None, at: between.at + 1 };
        }
        readings.step(pattern, between);
        readings.found
    }

    #[test]
    fn expressions_match_what_they_say() {
        for (pattern, matching, other) in [
            ("abc", &["abc", "xABCx", "aabc"][..], &["ab c", "", "acb"][..]),
            ("a.c", &["abc", "a-c", "aéc"], &["ac", "a\nc"]),
            ("^abc$", &["abc"], &["xabc", "abcx"]),
            ("ab*c", &["ac", "abbbc"], &["adc"]),
            ("ab+c", &["abc", "abbc"], &["ac"]),
            ("ab?c", &["ac", "abc"], &["abbc"]),
            ("ab+?c", &["abc"], &["ac"]),
            ("a{2}b", &["aab", "aaab"], &["ab", "aacb"]),
            ("xa{2,}y", &["xaay", "xaaaaay"], &["xay"]),
            ("xa{1,3}y", &["xay", "xaaay"], &["xaaaay", "xy"]),
            ("x(a{1,2}){2}y", &["xaay", "xaaaay"], &["xay", "xaaaaay"]),
            ("cat|dog", &["a cat", "DOG"], &["cow"]),
            ("(?:cat|dog|)s!", &["cats!", "s!"], &["cat!"]),
            ("x(a|bc)*y", &["xy", "xabcay"], &["xaby"]),
            (r"\bcat\b", &["cat", "a cat.", "-cat-"], &["cats", "scat", "cat_"]),
            (r"\Bcat", &["scat"], &["cat", "a cat"]),
            (r"\d{3}-\d{4}", &["call 555-1234"], &["555-123"]),
            (r"[A-Fx-z_]+7", &["dy7", "_7"], &["g7", "7"]),
            (r"[^a-c]d", &["xd", "Dd"], &["ad", "Bd", "d"]),
            (r"[]x-]q", &["]q", "-q", "xq"], &["aq"]),
            (r"[\d\s]z", &["1z", " z"], &["az"]),
            (r"\w+@\w+\.com", &["mail jane@example.com"], &["jane@example.org"]),
            (r"a\.b\\c\/", &[r"a.b\c/"], &[r"axb\c/"]),
            (r"\x41\u00e9", &["aé", "AÉ"], &["ae"]),
            ("größe", &["GRÖSSE größe", "GRÖßE"], &["GRÖSSE"]),
            ("приказ", &["ПРИКАЗ"], &["приговор"]),
            ("机密.{0,3}文件", &["机密的文件"], &["机密的的的的文件"]),
            ("(a*)*b", &["aaab", "b"], &["aaa"]),
        ] {
            let ready = Pattern::new(pattern).unwrap();
            for text in matching {
                assert!(read(&ready, &[text]), "{pattern} in {text}");
            }
            for text in other {
                assert!(!read(&ready, &[text]), "{pattern} not in {text}");
            }
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_place() {
        for (pattern, said) in [
            ("a(?=b)", "character 2 begins a group"),
            ("(?<name>b)", "character 1 begins a group"),
            (r"(a)\1", "character 5 is no escape"),
            (r"\p{L}", "character 2 is no escape"),
            ("a)", "character 2 closes a group"),
            ("(a", "character 3 should close a group"),
            ("[a", "character 1 begins a class"),
            ("[z-a]", "a range that is none"),
            ("*a", "character 1 repeats nothing"),
            ("a**", "character 3 repeats a repetition"),
            ("a{x}", "character 2 begins no repetition"),
            ("a{3,1}", "character 2 begins no repetition"),
            ("a{999}", "character 2 begins no repetition"),
            ("(a{200}){200}", "is too large"),
            ("((((((((((((((((((a))))))))))))))))))", "nested too deep"),
            ("a*", "matches the empty text"),
            ("^", "matches the empty text"),
            ("", "matches the empty text"),
            ("a|", "matches the empty text"),
            ("\\", "character 2 is no escape"),
        ] {
            let fault = Pattern::new(pattern).map(|_| ()).unwrap_err();
            assert!(fault.contains(said), "{pattern}: {fault}");
        }
    }

    #[test]
    fn a_match_is_bounded() {
        let pattern = Pattern::new("x.*y").unwrap();
        let text = |gap: usize| alloc::format!("x{}y", "-".repeat(gap));
        assert!(read(&pattern, &[&text(900)]));
        assert!(!read(&pattern, &[&text(1_100)]));
        assert!(read(&pattern, &[&text(1_100), "x", &text(10)]));
    }

    proptest! {
        /// Any expression ends, in time that the text's length and its own size bound.
        #[test]
        fn any_expression_is_read_or_refused(pattern in "[a-c.*+?|()\\[\\]{}0-2,^$\\\\bdw-]{0,24}", text in "[a-c0-2 \n]{0,200}") {
            if let Ok(pattern) = Pattern::new(&pattern) {
                let whole = read(&pattern, &[&text]);
                let letters: Vec<&str> = text.split_inclusive(|_| true).collect();
                prop_assert_eq!(whole, read(&pattern, &letters));
                prop_assert!(pattern.steps.len() <= STEPS_MAX);
            }
        }

        /// A literal is found where the text has it.
        #[test]
        fn literals_are_found(needle in "[a-c]{1,4}", text in "[a-d]{0,40}") {
            prop_assert_eq!(read(&Pattern::new(&needle).unwrap(), &[&text]), text.contains(&needle));
        }
    }
}
