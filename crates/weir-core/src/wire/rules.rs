//! What a value of a request may be, as data; and the first value that is not.
//!
//! Stage 1. Decides types, words and ranges by a given rule; which rule holds for which member is `inference`'s.
//! Works on text that was found well formed before, and allocates only for an error.

use super::envelope::unquote;
use super::error::{WireError, echo};
use super::walk::Walk;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};

/// What a value may be.
#[derive(Debug)]
pub(super) enum Rule {
    /// Anything.
    Any,
    /// A string.
    Text,
    /// One of these strings.
    Word(&'static [&'static str]),
    /// A string of 1 to 64 letters, digits, `_` and `-`.
    Name,
    /// A whole number of at most 64 bits with its sign.
    Integer,
    /// A whole number, 1 or more.
    Count,
    /// A number within these bounds, both included.
    Number(i8, i8),
    /// A boolean.
    Boolean,
    /// An object, whatever is in it.
    Map,
    /// An array of at least one value.
    List(&'static Rule),
    /// An object with these members. Others are not looked at.
    Object(&'static [Part]),
    /// An object whose first member of this name is a word that says what the other members may be.
    Kind(&'static str, &'static [(&'static str, &'static [Part])]),
    /// A string by the first rule, or anything else by the second.
    Either(&'static Rule, &'static Rule),
}

/// A member of an object.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: &'static str,
    /// Whether it must be there, and not null.
    pub(super) required: bool,
    pub(super) rule: &'static Rule,
}

/// A member that must be there.
pub(super) const fn must(name: &'static str, rule: &'static Rule) -> Part {
    Part { name, required: true, rule }
}

/// A member that may be there, or be null.
pub(super) const fn may(name: &'static str, rule: &'static Rule) -> Part {
    Part { name, required: false, rule }
}

/// Where in a body a value is, from the inside out.
#[derive(Clone, Copy)]
pub(super) struct Path<'p> {
    pub(super) outer: Option<&'p Path<'p>>,
    pub(super) name: &'p str,
    /// Place in an array; `name` is empty then.
    pub(super) index: usize,
}

impl<'p> Path<'p> {
    /// A top-level member.
    pub(super) const fn top(name: &'p str) -> Self {
        Self { outer: None, name, index: 0 }
    }

    fn member(&'p self, name: &'p str) -> Self {
        Self { outer: Some(self), name, index: 0 }
    }

    fn item(&'p self, index: usize) -> Self {
        Self { outer: Some(self), name: "", index }
    }

    /// Names and indices joined by dots, e.g. `messages.0.role`.
    fn text(&self) -> String {
        let own = if self.name.is_empty() { self.index.to_string() } else { self.name.to_owned() };
        match self.outer {
            Some(outer) => format!("{}.{own}", outer.text()),
            None => own,
        }
    }

    fn refuse(&self, rule: &Rule, got: Option<&str>) -> WireError {
        WireError::NotSupported { member: self.text(), expected: rule.words(), got: got.map(echo) }
    }
}

impl Rule {
    /// Whether `raw` is what the rule says.
    ///
    /// # Errors
    /// [`WireError::NotSupported`] for the first value, in the order of the text, that is not.
    pub(super) fn check(&self, raw: &str, at: &Path<'_>) -> Result<(), WireError> {
        let good = match self {
            Self::Any => true,
            Self::Text => raw.starts_with('"'),
            Self::Word(words) => unquote(raw).is_some_and(|text| words.contains(&text.as_ref())),
            Self::Name => unquote(raw).is_some_and(|text| is_name(&text)),
            Self::Integer => crate::json::read::<i64>(raw).is_ok(),
            Self::Count => crate::json::read::<u64>(raw).is_ok_and(|count| count > 0),
            Self::Number(min, max) => crate::json::read::<f64>(raw)
                .is_ok_and(|number| (f64::from(*min)..=f64::from(*max)).contains(&number)),
            Self::Boolean => matches!(raw, "true" | "false"),
            Self::Map => raw.starts_with('{'),
            Self::List(rule) => return self.list(rule, raw, at),
            Self::Object(parts) => return self.object(parts, raw, at),
            Self::Kind(tag, kinds) => return self.kind(tag, kinds, raw, at),
            Self::Either(text, other) => {
                let rule = if raw.starts_with('"') { text } else { other };
                return rule.check(raw, at);
            }
        };
        if good { Ok(()) } else { Err(at.refuse(self, Some(raw))) }
    }

    fn list(&self, rule: &Self, raw: &str, at: &Path<'_>) -> Result<(), WireError> {
        let mut items = Walk::array(raw).ok_or_else(|| at.refuse(self, Some(raw)))?.enumerate().peekable();
        if items.peek().is_none() {
            return Err(at.refuse(self, Some(raw)));
        }
        items.try_for_each(|(index, (_, item))| rule.check(item, &at.item(index)))
    }

    fn object(&self, parts: &[Part], raw: &str, at: &Path<'_>) -> Result<(), WireError> {
        let members = Walk::object(raw).ok_or_else(|| at.refuse(self, Some(raw)))?;
        let mut seen: u32 = 0;
        for (name, value) in members {
            let Some(name) = unquote(name) else { continue };
            let Some((bit, part)) = (0u32..).zip(parts).find(|(_, part)| part.name == name) else { continue };
            if value == "null" && !part.required {
                continue;
            }
            part.rule.check(value, &at.member(part.name))?;
            seen |= 1u32.wrapping_shl(bit);
        }
        let missing = (0u32..).zip(parts).find(|(bit, part)| part.required && (seen >> bit) & 1 == 0);
        missing.map_or(Ok(()), |(_, part)| Err(at.member(part.name).refuse(part.rule, None)))
    }

    fn kind(
        &self,
        tag: &'static str,
        kinds: &[(&'static str, &'static [Part])],
        raw: &str,
        at: &Path<'_>,
    ) -> Result<(), WireError> {
        let mut members = Walk::object(raw).ok_or_else(|| at.refuse(self, Some(raw)))?;
        let value =
            members.find(|(name, _)| unquote(name).is_some_and(|name| name == tag)).map(|pair| pair.1);
        let word = value.and_then(unquote);
        let kind = kinds.iter().find(|(known, _)| word.as_deref() == Some(*known));
        let Some((_, parts)) = kind else {
            let words = kinds.iter().map(|(known, _)| *known);
            let expected = one_of(words);
            let (member, got) = (at.member(tag).text(), value.map(echo));
            return Err(WireError::NotSupported { member, expected, got });
        };
        self.object(parts, raw, at)
    }

    /// What it asks for, in words.
    fn words(&self) -> String {
        let text = match self {
            Self::Any => "any value",
            Self::Text => "a string",
            Self::Word(words) => return one_of(words.iter().copied()),
            Self::Name => "a name of 1 to 64 letters, digits, '_' and '-'",
            Self::Integer => "an integer of 64 bits",
            Self::Count => "an integer, 1 or more",
            Self::Number(min, max) => return format!("a number from {min} to {max}"),
            Self::Boolean => "a boolean",
            Self::Map | Self::Object(_) | Self::Kind(..) => "an object",
            Self::List(_) => "an array of at least one item",
            Self::Either(text, other) => return format!("{} or {}", text.words(), other.words()),
        };
        text.to_owned()
    }
}

fn one_of<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let mut text = String::from("one of ");
    for (at, word) in words.enumerate() {
        if at > 0 {
            text.push_str(", ");
        }
        text.push_str(word);
    }
    text
}

fn is_name(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=64).contains(&text.len()) && text.bytes().all(legal)
}
