//! The simulated model's tokens.
//!
//! Decides where a text is cut into tokens, by one rule: a token is a run of at most 8 letters or digits of any
//! script, together with one space before it if there is one; any other character is a token of its own. So
//! English text has about one token a word. The tokens of a text, joined, are the text; the first tokens of a
//! text are all tokens of what they join to.

/// Most letters or digits in one token.
const WORD_CHARS_MAX: usize = 8;

/// The tokens of `text`, in order.
pub(super) fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    core::iter::from_fn(move || {
        let (token, tail) = rest.split_at_checked(first_token_bytes(rest))?;
        rest = tail;
        (!token.is_empty()).then_some(token)
    })
}

/// How many tokens `text` has.
pub(super) fn count(text: &str) -> u64 {
    u64::try_from(tokens(text).count()).unwrap_or(u64::MAX)
}

/// The first `max` tokens of `text`, how many they are, and whether there would have been more.
pub(super) fn first(text: &str, max: u64) -> (&str, u64, bool) {
    let (mut bytes, mut taken) = (0usize, 0u64);
    for token in tokens(text) {
        if taken == max {
            return (text.get(..bytes).unwrap_or(text), taken, true);
        }
        bytes = bytes.saturating_add(token.len());
        taken = taken.saturating_add(1);
    }
    (text, taken, false)
}

/// `text` in pieces of `size` tokens each; the last may have fewer. With each the number of its tokens.
pub(super) fn pieces(text: &str, size: u32) -> impl Iterator<Item = (&str, u64)> {
    let mut rest = text;
    core::iter::from_fn(move || {
        let (piece, taken, _) = first(rest, u64::from(size.max(1)));
        rest = rest.get(piece.len()..).unwrap_or_default();
        (taken > 0).then_some((piece, taken))
    })
}

fn first_token_bytes(text: &str) -> usize {
    let mut chars = text.chars();
    let Some(first) = chars.next() else { return 0 };
    let (space, word) = match first {
        ' ' => (1usize, chars.as_str()),
        _ => (0, text),
    };
    let word_bytes: usize =
        word.chars().take_while(|c| c.is_alphanumeric()).take(WORD_CHARS_MAX).map(char::len_utf8).sum();
    if word_bytes == 0 { first.len_utf8() } else { word_bytes.saturating_add(space) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[test]
    fn words_punctuation_and_spaces_are_cut_by_the_rule() {
        let rows: [(&str, &[&str]); 6] = [
            ("", &[]),
            ("Hello, world!", &["Hello", ",", " world", "!"]),
            ("internationally", &["internat", "ionally"]),
            ("a  b\n", &["a", " ", " b", "\n"]),
            ("Zürich 東京", &["Zürich", " 東京"]),
            ("{\"a\":1}", &["{", "\"", "a", "\"", ":", "1", "}"]),
        ];
        for (text, wanted) in rows {
            assert_eq!(tokens(text).collect::<Vec<_>>(), wanted, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn tokens_join_to_the_text_and_its_beginning_keeps_them(text in ".{0,60}", max in 0u64..20, size in 1u32..5) {
            prop_assert_eq!(&tokens(&text).collect::<String>(), &text);
            let (head, taken, more) = first(&text, max);
            prop_assert_eq!(count(head), taken);
            prop_assert_eq!(more, count(&text) > max);
            prop_assert_eq!(&pieces(&text, size).map(|(piece, _)| piece).collect::<String>(), &text);
            prop_assert_eq!(pieces(&text, size).map(|(_, taken)| taken).sum::<u64>(), count(&text));
        }
    }
}
