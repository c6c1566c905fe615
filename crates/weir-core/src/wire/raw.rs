//! JSON looked at in place: a value is the text it was written as, and its parts are borrowed from it.
//!
//! Stage 1. Decides nothing about meaning. What a translation copies from one dialect to another keeps its bytes:
//! numbers are not rounded, members keep their order (a schema's order matters to models), unknown ones survive.

use super::bounds::DEPTH_MAX;
use super::envelope::unquote;
use super::scan::Cursor;
use super::walk::Walk;
use alloc::borrow::Cow;

/// The text of one JSON value, without surrounding white space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    /// JSON's null.
    pub const NULL: Self = Self("null");

    /// Takes `text` for JSON; `None` if it is not one value, or nested deeper than [`DEPTH_MAX`].
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut cursor = Cursor::new(text.as_bytes(), 0);
        cursor.skip_space();
        cursor.value(&mut 0).ok()?;
        cursor.skip_space();
        if cursor.peek().is_some() {
            return None;
        }
        Some(Self(text.trim_matches([' ', '\t', '\n', '\r'])))
    }

    /// The value that `text` begins with, whatever comes after it.
    pub fn first(text: &'a str) -> Option<Self> {
        let text = text.trim_start_matches([' ', '\t', '\n', '\r']);
        let mut cursor = Cursor::new(text.as_bytes(), 0);
        cursor.value(&mut 0).ok()?;
        text.get(..usize::try_from(cursor.at()).ok()?).map(Self)
    }

    /// As [`Self::parse`], for bytes that must be UTF-8 and one object.
    pub fn object(bytes: &'a [u8]) -> Option<Self> {
        Self::parse(core::str::from_utf8(bytes).ok()?).filter(Self::is_object)
    }

    /// A value whose text was found well formed before.
    pub const fn trusted(text: &'a str) -> Self {
        Self(text)
    }

    /// The text.
    pub const fn as_str(&self) -> &'a str {
        self.0
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        self.0 == "null"
    }

    /// Whether it is an object.
    pub fn is_object(&self) -> bool {
        self.0.starts_with('{')
    }

    /// Whether it is an array.
    pub fn is_array(&self) -> bool {
        self.0.starts_with('[')
    }

    /// Whether it is a string.
    pub fn is_text(&self) -> bool {
        self.0.starts_with('"')
    }

    /// The member `name` of an object; `None` if it is absent or null, or if this is no object.
    pub fn get(&self, name: &str) -> Option<Self> {
        self.members().find(|(known, value)| known == name && !value.is_null()).map(|(_, value)| value)
    }

    /// The value at a path of member names joined by dots.
    pub fn at(&self, path: &str) -> Option<Self> {
        path.split('.').try_fold(*self, |value, name| value.get(name))
    }

    /// The members of an object, in their order; none if this is no object. A name that is no text is left out.
    pub fn members(&self) -> impl Iterator<Item = (Cow<'a, str>, Self)> + use<'a> {
        Walk::object(self.0)
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((unquote(name)?, Self(value))))
    }

    /// The items of an array, in their order; none if this is no array.
    pub fn items(&self) -> impl Iterator<Item = Self> + use<'a> {
        Walk::array(self.0).into_iter().flatten().map(|(_, value)| Self(value))
    }

    /// A string's text; `None` if it is no string, or holds half a surrogate pair.
    pub fn text(&self) -> Option<Cow<'a, str>> {
        unquote(self.0)
    }

    /// The text of the member `name`.
    pub fn text_at(&self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name)?.text()
    }

    /// Whether this is the string `word`.
    pub fn is(&self, word: &str) -> bool {
        self.text().is_some_and(|text| text == word)
    }

    /// Whether this is `true`.
    pub fn is_true(&self) -> bool {
        self.0 == "true"
    }

    /// A count from a number: `12`, `12.0`, `1.2e1`; a fraction is cut off. `None` if it is none, is negative, or
    /// is above `max`.
    pub fn count(&self, max: u64) -> Option<u64> {
        count(self.0, max)
    }

    /// A number; `None` if it is none.
    pub fn number(&self) -> Option<f64> {
        crate::json::read::<f64>(self.0).ok()
    }
}

fn count(text: &str, max: u64) -> Option<u64> {
    if !text.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let shift = i64::try_from(whole.len()).ok()?.saturating_add(i64::from(exponent));
    let mut value = 0u64;
    let digits = whole.bytes().chain(fraction.bytes()).chain(core::iter::repeat(b'0'));
    for (_, digit) in (0..shift).zip(digits) {
        value = value.checked_mul(10)?.checked_add(u64::from(digit.checked_sub(b'0')?))?;
        if value > max {
            return None;
        }
        if value == 0 && shift > 400 {
            return (whole.bytes().chain(fraction.bytes()).all(|digit| digit == b'0')).then_some(0);
        }
    }
    Some(value)
}

const _: () = assert!(DEPTH_MAX <= 128, "the cursor keeps one bit a level");

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[test]
    fn parts_are_borrowed_as_they_were_written() {
        let raw = Raw::parse(" {\"b\" : 1.50, \"a\":[\"x\\n\", null], \"n\":null} \n").unwrap();
        let names: Vec<_> = raw.members().map(|(name, value)| (name, value.as_str())).collect();
        assert_eq!(names, [("b".into(), "1.50"), ("a".into(), "[\"x\\n\", null]"), ("n".into(), "null")]);
        assert_eq!(raw.get("a").unwrap().items().next().unwrap().text().unwrap(), "x\n");
        assert!(raw.get("n").is_none() && raw.get("z").is_none());
        assert_eq!(Raw::parse("{\"a\":{\"b\":7}}").unwrap().at("a.b").unwrap().count(9), Some(7));
    }

    #[test]
    fn what_is_not_one_value_is_none() {
        for text in ["", "{", "{}{}", "nul", "{\"a\":}", "[1,]", "\"\u{1}\""] {
            assert!(Raw::parse(text).is_none(), "{text}");
        }
        assert!(Raw::parse(&"[".repeat(500)).is_none());
        assert!(Raw::first("[1} ").is_none() && Raw::first("").is_none());
        assert_eq!(Raw::first(" {\"a\":1},x").unwrap().as_str(), "{\"a\":1}");
        assert!(Raw::object(b"[]").is_none() && Raw::object(b"\xff").is_none());
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[\\[\\]{}:,\"\\\\ae01.\\- tu]{0,40}") {
            if let Some(raw) = Raw::parse(&text) {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok() || text.contains("\\u"));
                let _ = (raw.members().count(), raw.items().count(), raw.count(9), raw.number(), raw.text());
            }
        }
    }
}
