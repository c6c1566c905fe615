//! A validating pass over JSON that keeps nothing: where a value ends, and whether it is one.
//!
//! Stage 1. Decides well-formedness by RFC 8259 and the depth bound, in one pass without recursion; the meaning
//! of members is `envelope`'s. Written by hand because `serde_json`'s raw values, which are as fast, have no
//! depth bound, give no offsets, and would need a second pass for the size of the prompt.

use super::bounds::DEPTH_MAX;
use super::error::WireError;

/// Eight copies of the lowest bit of a byte, and of the highest.
const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// A place in a JSON text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    /// Where the text ends in the body.
    end: u32,
}

/// The bytes of `word` that end the plain part of a string (quotes, backslashes, control characters) have their
/// highest bit set in the answer. Above the lowest such byte others may be set in error.
const fn special(word: u64) -> u64 {
    const fn zeros(word: u64) -> u64 {
        word.wrapping_sub(LOW) & !word & HIGH
    }
    let control = word.wrapping_sub(LOW.wrapping_mul(0x20)) & !word & HIGH;
    zeros(word ^ LOW.wrapping_mul(0x22)) | zeros(word ^ LOW.wrapping_mul(0x5c)) | control
}

impl<'a> Cursor<'a> {
    /// At the start of `text`, which begins at offset `base` of the body.
    pub(super) fn new(text: &'a [u8], base: u32) -> Self {
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        Self { rest: text, end: base.saturating_add(length) }
    }

    /// Offset in the body of the next byte.
    pub(super) fn at(&self) -> u32 {
        self.end.saturating_sub(u32::try_from(self.rest.len()).unwrap_or(u32::MAX))
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub(super) fn bump(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or(&[]);
    }

    pub(super) fn fault(&self) -> WireError {
        WireError::NotJson { at: self.at() }
    }

    pub(super) fn skip_space(&mut self) {
        while let Some((b' ' | b'\n' | b'\r' | b'\t', tail)) = self.rest.split_first() {
            self.rest = tail;
        }
    }

    /// Takes `byte`, or fails.
    pub(super) fn expect(&mut self, byte: u8) -> Result<(), WireError> {
        if self.peek() == Some(byte) {
            self.bump();
            Ok(())
        } else {
            Err(self.fault())
        }
    }

    /// Takes a member's name and its colon, from the opening quote on.
    fn name(&mut self) -> Result<(), WireError> {
        self.string()?;
        self.skip_space();
        self.expect(b':')
    }

    /// Takes a string, from its opening to its closing quote.
    pub(super) fn string(&mut self) -> Result<(), WireError> {
        self.expect(b'"')?;
        loop {
            while let Some((word, tail)) = self.rest.split_first_chunk::<8>() {
                let found = special(u64::from_le_bytes(*word));
                if found == 0 {
                    self.rest = tail;
                    continue;
                }
                let plain = usize::try_from(found.trailing_zeros() / 8).unwrap_or(0);
                self.rest = self.rest.get(plain..).unwrap_or(&[]);
                break;
            }
            match self.peek() {
                Some(b'"') => {
                    self.bump();
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(byte) if byte >= 0x20 => self.bump(),
                Some(_) | None => return Err(self.fault()),
            }
        }
    }

    /// Takes an escape, from its backslash on.
    fn escape(&mut self) -> Result<(), WireError> {
        self.bump();
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.bump(),
            Some(b'u') => {
                self.bump();
                for _ in 0..4 {
                    if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return Err(self.fault());
                    }
                    self.bump();
                }
            }
            Some(_) | None => return Err(self.fault()),
        }
        Ok(())
    }

    /// Takes one or more digits.
    fn digits(&mut self) -> Result<(), WireError> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return Err(self.fault());
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.bump();
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), WireError> {
        if self.peek() == Some(b'-') {
            self.bump();
        }
        if self.peek() == Some(b'0') {
            self.bump();
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.bump();
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.bump();
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.bump();
            }
            self.digits()?;
        }
        Ok(())
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), WireError> {
        match self.rest.strip_prefix(word) {
            Some(tail) => {
                self.rest = tail;
                Ok(())
            }
            None => Err(self.fault()),
        }
    }

    /// Takes a string, a number or a literal. Adds to `chars` what a prompt with it would weigh: a string its
    /// bytes, unless it is a `data:` URL (images are not charged as text); a number four, as it stands for one
    /// token.
    fn scalar(&mut self, chars: &mut u64) -> Result<(), WireError> {
        match self.peek() {
            Some(b'"') => {
                let inline = self.rest.starts_with(b"\"data:");
                let from = self.at();
                self.string()?;
                if !inline {
                    let length = self.at().saturating_sub(from).saturating_sub(2);
                    *chars = chars.saturating_add(u64::from(length));
                }
                Ok(())
            }
            Some(b'-' | b'0'..=b'9') => {
                *chars = chars.saturating_add(4);
                self.number()
            }
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            Some(_) | None => Err(self.fault()),
        }
    }

    /// Takes one value inside the body's object, and weighs it into `chars`. Open containers are bits of one
    /// word: one for an object, zero for an array.
    pub(super) fn value(&mut self, chars: &mut u64) -> Result<(), WireError> {
        let mut open: u128 = 0;
        let mut depth: u32 = 1;
        loop {
            self.skip_space();
            match self.peek() {
                Some(brace @ (b'{' | b'[')) => {
                    if depth >= DEPTH_MAX {
                        return Err(WireError::TooDeep { max: DEPTH_MAX });
                    }
                    self.bump();
                    self.skip_space();
                    let object = brace == b'{';
                    let end = if object { b'}' } else { b']' };
                    if self.peek() == Some(end) {
                        self.bump();
                    } else {
                        depth = depth.saturating_add(1);
                        open = (open << 1) | u128::from(object);
                        if object {
                            self.name()?;
                        }
                        continue;
                    }
                }
                _ => self.scalar(chars)?,
            }
            if self.closes(&mut open, &mut depth)? {
                return Ok(());
            }
        }
    }

    /// After a value: takes what closes, and the comma before the next value. True when nothing is open.
    fn closes(&mut self, open: &mut u128, depth: &mut u32) -> Result<bool, WireError> {
        loop {
            if *depth == 1 {
                return Ok(true);
            }
            self.skip_space();
            let object = *open & 1 == 1;
            match self.peek() {
                Some(b',') => {
                    self.bump();
                    if object {
                        self.skip_space();
                        self.name()?;
                    }
                    return Ok(false);
                }
                Some(b'}') if object => {}
                Some(b']') if !object => {}
                Some(_) | None => return Err(self.fault()),
            }
            self.bump();
            *open >>= 1;
            *depth = depth.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    /// What this scanner says of a text that should be one value.
    fn accepts(text: &str) -> bool {
        let mut cursor = Cursor::new(text.as_bytes(), 0);
        let mut chars = 0;
        cursor.value(&mut chars).is_ok_and(|()| {
            cursor.skip_space();
            cursor.peek().is_none()
        })
    }

    #[test]
    fn it_agrees_with_serde_json_on_a_table() {
        let rows = [
            "1",
            "-1",
            "-",
            "01",
            "1.",
            "1.5",
            ".5",
            "1e5",
            "1E+5",
            "1e",
            "1e400",
            "true",
            "tru",
            "null",
            "nul",
            "\"\"",
            "\"",
            "\"a",
            "\"\\n\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u00e9\"",
            "\"\t\"",
            "\"\u{7f}\"",
            "[]",
            "[",
            "]",
            "[1]",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{}",
            "{",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1}",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\":1]",
            "[1}",
            "{\"a\":{\"b\":[1,{\"c\":\"d\"}]}}",
            " [ 1 , 2 ] ",
            "\"abcdefgh\"",
            "\"abcdefghi\\\\jklmnopq\"",
            "\"éééééééé\"",
            "NaN",
            "Infinity",
            "1 1",
            "",
        ];
        for text in rows {
            assert_eq!(accepts(text), serde_json::from_str::<&RawValue>(text.trim()).is_ok(), "{text}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nest = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert!(accepts(&nest(127)));
        let deep: String = nest(128);
        let mut chars = 0;
        assert_eq!(
            Cursor::new(deep.as_bytes(), 0).value(&mut chars),
            Err(WireError::TooDeep { max: DEPTH_MAX })
        );
        assert!(!accepts(&"[".repeat(1_000_000)));
    }

    proptest! {
        #[test]
        fn it_agrees_with_serde_json(text in "[\\[\\]{}:,\"\\\\ae01.\\- tu\u{1}é]{0,24}") {
            let text = text.trim();
            prop_assert_eq!(accepts(text), serde_json::from_str::<&RawValue>(text).is_ok(), "{}", text);
        }
    }
}
