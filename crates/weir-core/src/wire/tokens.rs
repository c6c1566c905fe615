//! A walk over JSON that is known to be well formed: every value with the name of its member, its depth and place.
//!
//! Stage 1. Decides nothing about meaning; it lets those who look for texts, or for a place to put something in, do
//! so without building a tree. The input must have passed `envelope` or come from `serde_json`'s hands: anything
//! else ends the walk early. No recursion; depth is bounded by what was admitted.

use super::bounds::DEPTH_MAX;
use super::envelope::unquote;
use super::scan::Cursor;
use alloc::borrow::Cow;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A container begins.
    Open,
    /// A container ends; `start` is at its closing brace or bracket.
    Close,
    /// A string.
    Text,
    /// A number or a literal.
    Scalar,
}

/// One step of the walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// What it is.
    pub kind: Kind,
    /// Whether the container is an object; false for values.
    pub object: bool,
    /// Name of the member whose value it is or stands in; elements of a list have the list's name. Empty outside of
    /// objects, and at the end of containers.
    pub key: Cow<'a, str>,
    /// Of a container: its own, the outermost being 1. Of a value: that of the container it stands in; 0 outside.
    pub depth: u32,
    /// Offset of its first byte.
    pub start: u32,
    /// Offset behind its last byte.
    pub end: u32,
    /// As it is written; a single brace or bracket for containers.
    pub raw: &'a str,
}

impl<'a> Token<'a> {
    /// The text of a string, unescaped; `None` if it is none, or holds half a surrogate pair.
    pub fn text(&self) -> Option<Cow<'a, str>> {
        if self.kind == Kind::Text { unquote(self.raw) } else { None }
    }
}

/// The walk.
#[derive(Clone, Debug)]
pub struct Tokens<'a> {
    text: &'a str,
    cursor: Cursor<'a>,
    /// One bit for each open container, the innermost lowest: set for objects.
    open: u128,
    depth: u32,
    key: Cow<'a, str>,
    /// The next string is a member's name.
    name_next: bool,
}

impl<'a> Tokens<'a> {
    /// Walks over `json`.
    pub fn new(json: &'a str) -> Self {
        let cursor = Cursor::new(json.as_bytes(), 0);
        Self { text: json, cursor, open: 0, depth: 0, key: Cow::Borrowed(""), name_next: false }
    }

    const fn in_object(&self) -> bool {
        self.depth > 0 && self.open & 1 == 1
    }

    fn token(&self, kind: Kind, object: bool, start: u32) -> Token<'a> {
        let end = self.cursor.at();
        let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
        let raw = range.and_then(|(start, end)| self.text.get(start..end)).unwrap_or("");
        let key = if kind == Kind::Close { Cow::Borrowed("") } else { self.key.clone() };
        Token { kind, object, key, depth: self.depth, start, end, raw }
    }

    fn opens(&mut self, object: bool) -> Option<Token<'a>> {
        let start = self.cursor.at();
        self.cursor.bump();
        self.depth = self.depth.saturating_add(1);
        if self.depth > DEPTH_MAX {
            return None;
        }
        self.open = (self.open << 1) | u128::from(object);
        self.name_next = object;
        Some(self.token(Kind::Open, object, start))
    }

    fn closes(&mut self) -> Option<Token<'a>> {
        let start = self.cursor.at();
        self.cursor.bump();
        let object = self.in_object();
        let token = self.token(Kind::Close, object, start);
        self.depth = self.depth.checked_sub(1)?;
        self.open >>= 1;
        self.name_next = false;
        Some(token)
    }

    fn scalar(&mut self) -> Option<Token<'a>> {
        let start = self.cursor.at();
        while self.cursor.peek().is_some_and(|byte| !b",}] \t\r\n".contains(&byte)) {
            self.cursor.bump();
        }
        (self.cursor.at() > start).then(|| self.token(Kind::Scalar, false, start))
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            self.cursor.skip_space();
            match self.cursor.peek()? {
                b'{' => return self.opens(true),
                b'[' => return self.opens(false),
                b'}' | b']' => return self.closes(),
                b',' => {
                    self.cursor.bump();
                    self.name_next = self.in_object();
                }
                b':' => self.cursor.bump(),
                b'"' => {
                    let start = self.cursor.at();
                    self.cursor.string().ok()?;
                    let token = self.token(Kind::Text, false, start);
                    if !self.name_next {
                        return Some(token);
                    }
                    self.name_next = false;
                    self.key = unquote(token.raw)?;
                }
                _ => return self.scalar(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;
    use proptest::prelude::*;

    #[test]
    fn every_value_has_its_name_and_place() {
        let json = r#" {"a" : 1,"b":["x",{"c\u0021":null}, true],"d":{}} "#;
        let mut shown = String::new();
        for token in Tokens::new(json) {
            let range = usize::try_from(token.start).unwrap()..usize::try_from(token.end).unwrap();
            assert_eq!(&json[range], token.raw);
            shown.extend([format!("{}{}:", token.depth, token.key).as_str(), token.raw, " "]);
        }
        assert_eq!(shown.trim_end(), r#"1:{ 1a:1 2b:[ 2b:"x" 3b:{ 3c!:null 3:} 2c!:true 2:] 2d:{ 2:} 1:}"#);
    }

    proptest! {
        #[test]
        fn anything_may_be_walked_over(text in "[\\[\\]{},:\"a1\\\\ ]{0,40}") {
            prop_assert!(Tokens::new(&text).count() <= 41);
        }
    }
}
