//! A JSON object being written, member by member.
//!
//! Stage 1; also used by `reply` and `translate`. Decides punctuation and escapes only: one writer without types, so
//! that it is in the Worker once.

use super::quote::push_json;
use super::raw::Raw;
use alloc::format;
use alloc::string::String;

/// A JSON object being written. Names are not checked for repetition.
#[derive(Clone, Debug)]
pub struct Object(String);

impl Default for Object {
    fn default() -> Self {
        Self::new()
    }
}

impl Object {
    /// Without members.
    pub fn new() -> Self {
        Self(String::from("{"))
    }

    /// Adds a member whose value is JSON already.
    pub fn put(&mut self, name: &str, json: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        push_json(&mut self.0, name);
        self.0.push(':');
        self.0.push_str(json);
    }

    /// As [`Self::put`], if there is a value.
    pub fn put_some(&mut self, name: &str, value: Option<Raw<'_>>) {
        if let Some(value) = value {
            self.put(name, value.as_str());
        }
    }

    /// A member whose value is JSON already.
    #[must_use]
    pub fn raw(mut self, name: &str, json: &str) -> Self {
        self.put(name, json);
        self
    }

    /// A string.
    #[must_use]
    pub fn text(self, name: &str, text: &str) -> Self {
        let value = super::quote::json(text);
        self.raw(name, &value)
    }

    /// A string, or null.
    #[must_use]
    pub fn optional(self, name: &str, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text(name, text),
            None => self.raw(name, "null"),
        }
    }

    /// A whole number.
    #[must_use]
    pub fn number(self, name: &str, number: impl Into<u64>) -> Self {
        let value = format!("{}", number.into());
        self.raw(name, &value)
    }

    /// Whether it has no member yet.
    pub fn is_empty(&self) -> bool {
        self.0.len() == 1
    }

    /// The text.
    #[must_use]
    pub fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// A JSON array being written.
#[derive(Clone, Debug)]
pub struct Array(String);

impl Default for Array {
    fn default() -> Self {
        Self(String::from("["))
    }
}

impl Array {
    /// Adds an item that is JSON already.
    pub fn put(&mut self, json: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push_str(json);
    }

    /// Adds a string.
    pub fn put_text(&mut self, text: &str) {
        let value = super::quote::json(text);
        self.put(&value);
    }

    /// Whether it has no item yet.
    pub fn is_empty(&self) -> bool {
        self.0.len() == 1
    }

    /// The text.
    #[must_use]
    pub fn end(mut self) -> String {
        self.0.push(']');
        self.0
    }
}

/// A JSON string being joined of pieces that are JSON strings themselves: their escapes stay as they were written.
#[derive(Clone, Debug)]
pub struct Text(String);

impl Default for Text {
    fn default() -> Self {
        Self(String::from("\""))
    }
}

impl Text {
    /// Adds a string; anything else is nothing.
    pub fn join(&mut self, piece: Raw<'_>) {
        let inner = piece.as_str().strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        self.0.push_str(inner.unwrap_or_default());
    }

    /// Adds a plain text.
    pub fn push(&mut self, text: &str) {
        let quoted = super::quote::json(text);
        self.join(Raw::trusted(&quoted));
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.0.len() == 1
    }

    /// The text, with its quotes.
    #[must_use]
    pub fn end(mut self) -> String {
        self.0.push('"');
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_arrays_and_texts_are_json() {
        let mut list = Array::default();
        list.put("1");
        list.put_text("a\"");
        let mut text = Text::default();
        text.join(Raw::trusted("\"a\\u00e9\""));
        text.push("\n");
        let object = Object::new().raw("l", &list.end()).optional("n", None).number("c", 3u16);
        assert_eq!(object.raw("t", &text.end()).end(), r#"{"l":[1,"a\""],"n":null,"c":3,"t":"a\u00e9\n"}"#);
        assert_eq!(Object::new().end(), "{}");
    }
}
