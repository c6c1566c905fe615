//! One character becomes what it is read as: case, accents, full-width forms, look-alikes and invisible characters
//! are taken away.
//!
//! Stage `policy`. Decides by ranges and two short tables, because the whole of Unicode's tables would cost more
//! script than all term lists together: Latin with its accents, the letters of Cyrillic and Greek that look like
//! Latin ones, and the letter-like symbols that are used to dodge filters. Terms are folded by the same function as
//! texts, so a folding that is too coarse for a language still finds its terms. Source: Unicode 16, code charts.

/// What a character counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Folded {
    /// It is not there: a combining mark, a zero-width or formatting character.
    Nothing,
    /// It parts words.
    Gap,
    /// A Latin letter, a digit, or a symbol that may stand for a letter (`@ $ ! |`).
    One(u8),
    /// Two Latin letters.
    Two(u8, u8),
    /// A letter of another script that parts its words by spaces.
    Other(char),
    /// A character of a script without spaces: a word of its own.
    Whole(char),
}

/// Bases of U+00C0 to U+017F. Digits stand for pairs: see [`pair`].
const LATIN: &[u8; 192] = b"aaaaaa1ceeeeiiiidnooooo ouuuuy23\
aaaaaa1ceeeeiiiidnooooo ouuuuy2y\
aaaaaaccccccccddddeeeeeeeeeegggg\
gggghhhhiiiiiiiiiiiijjkkklllllll\
lllnnnnnnnnnoooooo44rrrrrrssssss\
ssttttttuuuuuuuuuuuuwwyyyzzzzzzs";

/// U+0430 to U+044F: the Latin letter that each looks like, else a full stop.
const CYRILLIC: &[u8; 32] = b"a.b..e....k.mho.pcty.x..........";

/// U+03B1 to U+03C9, likewise.
const GREEK: &[u8; 25] = b"ab..e...ik..v.o.p..tu.x..";

/// What `c` counts as.
pub(super) fn fold(c: char) -> Folded {
    if let Ok(byte) = u8::try_from(c)
        && byte.is_ascii()
    {
        return ascii(byte);
    }
    match u32::from(c) {
        // Soft hyphen, combining marks, joiners, directions, variation selectors, tags.
        0xad
        | 0x300..=0x36f
        | 0x483..=0x489
        | 0x591..=0x5bd
        | 0x61c
        | 0x640
        | 0x64b..=0x65f
        | 0x180b..=0x180e
        | 0x1ab0..=0x1aff
        | 0x1dc0..=0x1dff
        | 0x200b..=0x200f
        | 0x202a..=0x202e
        | 0x2060..=0x206f
        | 0x20d0..=0x20ff
        | 0xfe00..=0xfe0f
        | 0xfe20..=0xfe2f
        | 0xfeff
        | 0xe0000..=0xe01ef => Folded::Nothing,
        code @ 0xc0..=0x17f => latin(code),
        code @ 0x370..=0x45f => look_alike(c, code),
        code @ (0x180..=0x24f | 0x1e00..=0x1eff) => further_latin(c, code),
        code @ (0x24b6..=0x24e9
        | 0xff00..=0xff5e
        | 0x1d400..=0x1d6a3
        | 0x1d7ce..=0x1d7ff
        | 0x1f130..=0x1f189
        | 0x1f1e6..=0x1f1ff) => symbol(code),
        0x80..=0xbf
        | 0x2000..=0x200a
        | 0x2010..=0x2029
        | 0x202f..=0x205f
        | 0x2190..=0x24b5
        | 0x24ea..=0x2bff
        | 0x2e00..=0x2e7f
        | 0x3000..=0x303f
        | 0xe000..=0xf8ff
        | 0xfe10..=0xfe6f
        | 0x1f000..=0x1faff => Folded::Gap,
        0xe00..=0xe7f
        | 0x3040..=0x30ff
        | 0x3400..=0x4dbf
        | 0x4e00..=0x9fff
        | 0xf900..=0xfaff
        | 0xff66..=0xff9d
        | 0x20000..=0x3ffff => Folded::Whole(c),
        _ => Folded::Other(c),
    }
}

const fn ascii(byte: u8) -> Folded {
    match byte {
        b'A'..=b'Z' => Folded::One(byte | 0x20),
        b'a'..=b'z' | b'0'..=b'9' | b'@' | b'$' | b'!' | b'|' => Folded::One(byte),
        _ => Folded::Gap,
    }
}

fn at(table: &[u8], place: u32) -> u8 {
    usize::try_from(place).ok().and_then(|place| table.get(place)).copied().unwrap_or(b'.')
}

fn latin(code: u32) -> Folded {
    match at(LATIN, code.wrapping_sub(0xc0)) {
        b' ' => Folded::Gap,
        b'1' => Folded::Two(b'a', b'e'),
        b'2' => Folded::Two(b't', b'h'),
        b'3' => Folded::Two(b's', b's'),
        b'4' => Folded::Two(b'o', b'e'),
        letter => Folded::One(letter),
    }
}

/// Romanian and Vietnamese; the rest of these blocks is left alone.
const fn further_latin(c: char, code: u32) -> Folded {
    Folded::One(match code {
        0x1a0 | 0x1a1 | 0x1ecc..=0x1ee3 => b'o',
        0x1af | 0x1b0 | 0x1ee4..=0x1ef1 => b'u',
        0x218 | 0x219 => b's',
        0x21a | 0x21b => b't',
        0x1ea0..=0x1eb7 => b'a',
        0x1eb8..=0x1ec7 => b'e',
        0x1ec8..=0x1ecb => b'i',
        0x1ef2..=0x1ef9 => b'y',
        0x1e9e => return Folded::Two(b's', b's'),
        _ => return Folded::Other(c),
    })
}

/// Cyrillic and Greek in lower case; letters that look Latin are read as Latin.
fn look_alike(c: char, code: u32) -> Folded {
    let lower = match code {
        0x391..=0x3a9 | 0x410..=0x42f => code.wrapping_add(0x20),
        0x400..=0x40f => code.wrapping_add(0x50),
        0x386 | 0x3ac => 0x3b1,
        0x388 | 0x3ad => 0x3b5,
        0x389 | 0x3ae => 0x3b7,
        0x38a | 0x3af => 0x3b9,
        0x38c | 0x3cc => 0x3bf,
        0x38e | 0x3cd => 0x3c5,
        0x38f | 0x3ce => 0x3c9,
        other => other,
    };
    let read = match lower {
        0x3b1..=0x3c9 => at(GREEK, lower.wrapping_sub(0x3b1)),
        0x430..=0x44f => at(CYRILLIC, lower.wrapping_sub(0x430)),
        0x450 | 0x451 => b'e',
        0x455 => b's',
        0x456 | 0x457 => b'i',
        0x458 => b'j',
        _ => b'.',
    };
    let lower = char::from_u32(lower).unwrap_or(c);
    if read == b'.' { Folded::Other(lower) } else { Folded::One(read) }
}

/// Full-width, circled, squared and mathematical letters and digits.
fn symbol(code: u32) -> Folded {
    let letter = |place: u32| {
        let place = u8::try_from(place % 26).unwrap_or(0);
        Folded::One(b'a'.wrapping_add(place))
    };
    match code {
        0x24b6..=0x24e9 => letter(code.wrapping_sub(0x24b6)),
        0xff01..=0xff5e => u8::try_from(code.wrapping_sub(0xfee0)).map_or(Folded::Gap, ascii),
        0x1d400..=0x1d6a3 => letter(code.wrapping_sub(0x1d400)),
        0x1d7ce..=0x1d7ff => {
            let digit = u8::try_from(code.wrapping_sub(0x1d7ce) % 10).unwrap_or(0);
            Folded::One(b'0'.wrapping_add(digit))
        }
        0x1f130..=0x1f149 => letter(code.wrapping_sub(0x1f130)),
        0x1f150..=0x1f169 => letter(code.wrapping_sub(0x1f150)),
        0x1f170..=0x1f189 => letter(code.wrapping_sub(0x1f170)),
        0x1f1e6..=0x1f1ff => letter(code.wrapping_sub(0x1f1e6)),
        _ => Folded::Gap,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    /// `text` as it is read, gaps as spaces.
    fn read(text: &str) -> String {
        let mut out = String::new();
        for c in text.chars() {
            match fold(c) {
                Folded::Nothing => {}
                Folded::Gap => out.push(' '),
                Folded::One(byte) => out.push(char::from(byte)),
                Folded::Two(first, second) => out.extend([char::from(first), char::from(second)]),
                Folded::Other(c) | Folded::Whole(c) => out.push(c),
            }
        }
        out
    }

    #[test]
    fn a_text_is_read_without_its_dress() {
        let rows = [
            ("ÀÉÎÕÜ ÇÑ ŠŽŁĐ", "aeiou cn szld"),
            ("Straße Æsir Œuvre þing", "strasse aesir oeuvre thing"),
            ("e\u{301}ta\u{200b}t so\u{ad}ft", "etat soft"),
            ("ｋｉｌｌ！", "kill!"),
            ("𝓱𝓮𝓵𝓵𝓸 𝟛 ⓐⓑ 🅷🅸", "hello 3 ab hi"),
            ("кill сору", "kill copy"),
            ("Ελλάδα", "eλλaδa"),
            ("tiếng Việt", "tieng viet"),
            ("țară ştiinţă", "tara stiinta"),
            ("漢字", "漢字"),
            ("“a—b” 1,2", " a b  1 2"),
        ];
        for (text, expected) in rows {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn every_character_is_read_as_something() {
        for code in 0..=0x10_ffff {
            if let Some(c) = char::from_u32(code) {
                let one = match fold(c) {
                    Folded::One(byte) => byte.is_ascii_graphic(),
                    Folded::Two(first, second) => first.is_ascii_lowercase() && second.is_ascii_lowercase(),
                    Folded::Nothing | Folded::Gap => true,
                    Folded::Other(c) | Folded::Whole(c) => !c.is_ascii(),
                };
                assert!(one, "U+{code:04X}");
            }
        }
    }
}
