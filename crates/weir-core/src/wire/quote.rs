//! Text as a JSON string. Decides escapes only.
//!
//! Stage 1; also used by `reply`. Source: RFC 8259, section 7.

use alloc::string::String;

/// Appends `text` to `out` as a JSON string with its quotes. Control characters, also those of C1, and the line
/// separators of JavaScript are escaped; everything else stays as it is.
pub fn push_json(out: &mut String, text: &str) {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                out.push_str("\\u");
                let code = u32::from(c);
                for shift in [12u32, 8, 4, 0] {
                    let digit = code.wrapping_shr(shift) & 0xf;
                    let at = usize::try_from(digit).unwrap_or(0);
                    out.push(HEX.get(at).copied().unwrap_or('0'));
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// `text` as a JSON string with its quotes.
pub fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(2));
    push_json(&mut out, text);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn controls_are_escaped() {
        assert_eq!(json("a\"\\\n\u{0}\u{7f}\u{2028}é"), "\"a\\\"\\\\\\n\\u0000\\u007f\\u2028é\"");
    }

    proptest! {
        #[test]
        fn every_text_survives(text in any::<String>()) {
            prop_assert_eq!(serde_json::from_str::<String>(&json(&text)).ok(), Some(text));
        }
    }
}
