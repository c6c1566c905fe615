//! Going through an object or an array of a body that was found well formed before: its members or items, raw.
//!
//! Stage 1. Decides nothing: `scan` has said that the text is JSON; a text that is not ends the walk early.

use super::scan::Cursor;

/// The members of an object, or the items of an array, in their order. Borrowed; nothing is allocated.
pub(super) struct Walk<'a> {
    text: &'a str,
    cursor: Cursor<'a>,
    object: bool,
}

impl<'a> Walk<'a> {
    /// Through the object `text`; `None` if it is none.
    pub(super) fn object(text: &'a str) -> Option<Self> {
        Self::new(text, b'{', true)
    }

    /// Through the array `text`; `None` if it is none.
    pub(super) fn array(text: &'a str) -> Option<Self> {
        Self::new(text, b'[', false)
    }

    fn new(text: &'a str, open: u8, object: bool) -> Option<Self> {
        let mut cursor = Cursor::new(text.as_bytes(), 0);
        cursor.expect(open).ok()?;
        Some(Self { text, cursor, object })
    }

    fn slice(&self, from: u32) -> Option<&'a str> {
        self.text.get(usize::try_from(from).ok()?..usize::try_from(self.cursor.at()).ok()?)
    }
}

impl<'a> Iterator for Walk<'a> {
    /// The name with its quotes (empty for an item), and the value.
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        self.cursor.skip_space();
        if self.cursor.peek() == Some(b',') {
            self.cursor.bump();
            self.cursor.skip_space();
        }
        let mut name = "";
        if self.object {
            let from = self.cursor.at();
            self.cursor.string().ok()?;
            name = self.slice(from)?;
            self.cursor.skip_space();
            self.cursor.expect(b':').ok()?;
            self.cursor.skip_space();
        }
        let from = self.cursor.at();
        self.cursor.value(&mut 0).ok()?;
        Some((name, self.slice(from)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn members_and_items_come_in_their_order() {
        let object = "{ \"a\" : 1 ,\"b\":[ 2 , \"]\" ], \"c\" : {\"d\":null}}";
        let members: Vec<_> = Walk::object(object).unwrap().collect();
        assert_eq!(members, [("\"a\"", "1"), ("\"b\"", "[ 2 , \"]\" ]"), ("\"c\"", "{\"d\":null}")]);
        let items: Vec<_> = Walk::array("[ 2 , \"]\" ]").unwrap().collect();
        assert_eq!(items, [("", "2"), ("", "\"]\"")]);
        assert_eq!(Walk::array("[]").unwrap().count() + Walk::object("{ }").unwrap().count(), 0);
        assert!(Walk::object("[]").is_none() && Walk::array("\"[]\"").is_none());
    }
}
