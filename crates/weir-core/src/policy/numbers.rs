//! Which number a run of digits is: by length, form and check digits.
//!
//! Stage `policy`. Decides about one candidate; where it begins and ends is `pii`'s. Sources: ISO/IEC 7812-1 (Luhn),
//! ISO 13616-1 (IBAN, mod 97), ISO 7064 MOD 11,10 (Steuer-ID, §139b AO), Décret 82-103 (NIR), Orden INT/1202/2011
//! (DNI, NIE: mod 23), D.M. 23.12.1976 (codice fiscale), Receita Federal (CPF), 42 U.S.C. 405 and SSA's
//! randomisation of 2011 (SSN), E.164 (telephone).

use alloc::vec::Vec;

/// Groups of one run that are looked at together.
const GROUPS_MAX: usize = 12;

/// Whether a mail address: a local part, and a domain of two labels or more.
pub(super) fn is_mail(text: &[u8]) -> bool {
    let text = text.strip_suffix(b".").unwrap_or(text);
    let Some(at) = memchr::memchr(b'@', text) else { return false };
    let local = text.get(..at).unwrap_or_default();
    let domain = text.get(at.saturating_add(1)..).unwrap_or_default();
    let mut labels = domain.rsplit(|byte| *byte == b'.');
    let top = labels.next().unwrap_or_default();
    let label = |label: &[u8]| {
        !label.is_empty()
            && !label.starts_with(b"-")
            && label.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
    };
    let legal = local.first().is_some_and(u8::is_ascii_alphanumeric) && local.len() <= 64;
    let mut count = 0u32;
    let rest = labels.all(|part| {
        count = count.saturating_add(1);
        label(part)
    });
    legal && rest && count > 0 && top.len() >= 2 && top.iter().all(u8::is_ascii_alphabetic)
}

/// Whether `run` begins as an IBAN does: two letters and two digits.
pub(super) fn begins_iban(run: &[u8]) -> bool {
    matches!(run, [b'A'..=b'Z', b'A'..=b'Z', b'0'..=b'9', b'0'..=b'9', ..])
}

/// All kinds of numbers in a run: any row of whole groups in it may be one.
pub(super) fn kinds(run: &[u8]) -> u16 {
    let mut found = 0;
    let groups = groups(run);
    for first in 0..groups.len() {
        for last in first..groups.len() {
            let whole = groups.get(first).zip(groups.get(last)).and_then(|(first, last)| {
                let before = first.0.checked_sub(1).and_then(|at| run.get(at)).copied().unwrap_or(b' ');
                Some((before, run.get(first.0..last.1)?))
            });
            if let Some((before, text)) = whole {
                found |= kind(before, text);
            }
        }
    }
    found
}

/// Where numbers stand in a run, the longest first where several begin: from, to, kinds. What opens a number belongs
/// to it.
pub(super) fn spans(run: &[u8]) -> Vec<(usize, usize, u16)> {
    let groups = groups(run);
    let mut spans = Vec::new();
    let mut first = 0usize;
    while let Some((start, _)) = groups.get(first) {
        let before = start.checked_sub(1).and_then(|at| run.get(at)).copied().unwrap_or(b' ');
        let opened = if matches!(before, b'+' | b'(') { start.saturating_sub(1) } else { *start };
        let span = groups.iter().enumerate().skip(first).rev().find_map(|(last, (_, end))| {
            let found = kind(before, run.get(*start..*end)?);
            (found != 0).then_some((last, (opened, *end, found)))
        });
        first = span.as_ref().map_or(first, |(last, _)| *last).saturating_add(1);
        spans.extend(span.map(|(_, span)| span));
    }
    spans
}

fn groups(run: &[u8]) -> Vec<(usize, usize)> {
    let mut groups = Vec::new();
    let mut at = 0usize;
    for group in run.split(|byte| !byte.is_ascii_alphanumeric()) {
        let end = at.saturating_add(group.len());
        if !group.is_empty() && groups.len() < GROUPS_MAX {
            groups.push((at, end));
        }
        at = end.saturating_add(1);
    }
    groups
}

/// The kinds of one candidate, which stands behind `before`. A bit each, in the order of `pii::KINDS`.
fn kind(before: u8, text: &[u8]) -> u16 {
    let compact: Vec<u8> =
        text.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_uppercase).collect();
    let digits: Vec<u32> = compact.iter().filter_map(|byte| char::from(*byte).to_digit(10)).collect();
    let only_digits = digits.len() == compact.len();
    let mut found = 0;
    let mut note = |bit: u32, is: bool| found |= u16::from(is).checked_shl(bit).unwrap_or(0);
    if only_digits {
        note(1, is_phone(before, text, &digits));
        note(2, is_card(&digits));
        note(4, is_ssn(text));
        note(5, is_steuer_id(&digits));
        note(6, is_nir(&digits));
        note(9, is_cpf(&digits));
    } else {
        note(3, is_iban(&compact));
        note(7, is_dni(&compact));
        note(8, is_fiscal_code(&compact));
    }
    found
}

/// `+` and 8 to 15 digits; or the ways of North America (`(212) 555-0123`, `212-555-0123`); or a trunk zero, an area
/// and a number set apart (`030 1234567`, `06 12 34 56 78`).
fn is_phone(before: u8, text: &[u8], digits: &[u32]) -> bool {
    let lengths: Vec<usize> =
        text.split(|byte| !byte.is_ascii_digit()).map(<[u8]>::len).filter(|length| *length > 0).collect();
    let mut gaps = text.iter().filter(|byte| !byte.is_ascii_digit());
    let first = gaps.next();
    let one_gap = gaps.all(|gap| Some(gap) == first);
    match (before, lengths.as_slice()) {
        (b'+', _) => (8..=15).contains(&digits.len()),
        (b'(', [3, 3, 4]) => digits.first().is_some_and(|digit| *digit >= 2),
        (_, [3, 3, 4]) => one_gap && digits.first().is_some_and(|digit| *digit >= 2),
        (_, [2, 2, 2, 2, 2]) => one_gap && digits.first() == Some(&0),
        (_, [3..=5, 6..=8]) => digits.first() == Some(&0) && digits.get(1) != Some(&0),
        _ => false,
    }
}

/// Lengths and first digits of the networks in use (ISO/IEC 7812, and the networks' own rules).
fn is_card(digits: &[u32]) -> bool {
    let head = digits.iter().take(4).fold(0u32, |head, digit| head.saturating_mul(10).saturating_add(*digit));
    let issued = match (head, digits.len()) {
        (2221..=2720 | 5100..=5599, 16) | (3400..=3499 | 3700..=3799, 15) => true,
        (4000..=4999, length) => matches!(length, 13 | 16 | 19),
        (3000..=3059 | 3600..=3699 | 3800..=3999, length) => (14..=19).contains(&length),
        (3528..=3589 | 5000..=5099 | 5600..=5899 | 6000..=6999, length) => (16..=19).contains(&length),
        _ => false,
    };
    issued && luhn(digits)
}

fn luhn(digits: &[u32]) -> bool {
    let sum: u32 = digits.iter().rev().enumerate().fold(0, |sum, (place, digit)| {
        let doubled = if place % 2 == 1 { digit.saturating_mul(2) } else { *digit };
        sum.saturating_add(if doubled > 9 { doubled.saturating_sub(9) } else { doubled })
    });
    sum.is_multiple_of(10)
}

/// Letters count as 10 to 35; the number without its first four characters, then those, is 1 modulo 97.
fn is_iban(text: &[u8]) -> bool {
    if !begins_iban(text) || !(15..=34).contains(&text.len()) {
        return false;
    }
    let turned = text.iter().skip(4).chain(text.iter().take(4));
    let rest = turned.fold(0u32, |rest, byte| {
        let value = char::from(*byte).to_digit(36).unwrap_or(0);
        let shift = if value > 9 { 100u32 } else { 10 };
        rest.saturating_mul(shift).saturating_add(value) % 97
    });
    rest == 1
}

/// `AAA-GG-SSSS`: no area 000, 666 or 900 to 999, no group 00, no serial 0000.
fn is_ssn(text: &[u8]) -> bool {
    let mut parts = text.split(|byte| *byte == b'-');
    let (area, group, serial) = (parts.next(), parts.next(), parts.next());
    let (Some(area), Some(group), Some(serial), None) = (area, group, serial, parts.next()) else {
        return false;
    };
    let form = area.len() == 3 && group.len() == 2 && serial.len() == 4;
    form && area != b"000" && area != b"666" && !area.starts_with(b"9") && group != b"00" && serial != b"0000"
}

/// Eleven digits; among the first ten one digit two or three times and the others at most once.
fn is_steuer_id(digits: &[u32]) -> bool {
    let Some((check, body)) = digits.split_last().filter(|(_, body)| body.len() == 10) else { return false };
    let often = |digit: u32| body.iter().filter(|other| **other == digit).count();
    let repeated = (0..10).filter(|digit| often(*digit) > 1).count();
    if body.first() == Some(&0) || repeated != 1 || (0..10).any(|digit| often(digit) > 3) {
        return false;
    }
    let product = body.iter().fold(10u32, |product, digit| {
        let sum = product.saturating_add(*digit) % 10;
        let sum = if sum == 0 { 10 } else { sum };
        sum.saturating_mul(2) % 11
    });
    11u32.saturating_sub(product) % 10 == *check
}

/// Sex, year, month (1 to 12 and the special ones), place, order, and a key of two digits: 97 minus the rest by 97.
fn is_nir(digits: &[u32]) -> bool {
    let number = |range: &[u32]| {
        range.iter().fold(0u64, |number, digit| number.saturating_mul(10).saturating_add(u64::from(*digit)))
    };
    let Some((body, key)) = digits.split_at_checked(13).filter(|(_, key)| key.len() == 2) else {
        return false;
    };
    let month = number(body.get(3..5).unwrap_or_default());
    let sex = body.first().is_some_and(|digit| matches!(digit, 1 | 2));
    let dated = (1..=12).contains(&month) || (20..=42).contains(&month) || month >= 50;
    sex && dated && 97u64.saturating_sub(number(body) % 97) == number(key)
}

/// Eight digits, or X, Y, Z and seven, and the letter of their rest by 23.
fn is_dni(text: &[u8]) -> bool {
    const LETTERS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";
    let Some((letter, body)) = text.split_last().filter(|(_, body)| body.len() == 8) else { return false };
    let mut number = 0usize;
    for (place, byte) in body.iter().enumerate() {
        let digit = match byte {
            b'X' if place == 0 => 0,
            b'Y' if place == 0 => 1,
            b'Z' if place == 0 => 2,
            b'0'..=b'9' => usize::from(byte.wrapping_sub(b'0')),
            _ => return false,
        };
        number = number.saturating_mul(10).saturating_add(digit);
    }
    LETTERS.get(number % 23) == Some(letter)
}

/// Six letters, year, month letter, day, municipality and a check letter.
fn is_fiscal_code(text: &[u8]) -> bool {
    const ODD: [u32; 36] = [
        1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12,
        14, 16, 10, 22, 25, 24, 23,
    ];
    const FORM: &[u8; 16] = b"AAAAAA00A00A000A";
    let shaped = text.len() == FORM.len()
        && text.iter().zip(FORM).all(|(byte, form)| {
            if *form == b'A' { byte.is_ascii_uppercase() } else { byte.is_ascii_digit() }
        });
    if !shaped {
        return false;
    }
    let sum = text.iter().take(15).enumerate().fold(0u32, |sum, (place, byte)| {
        let value = char::from(*byte).to_digit(36).unwrap_or(0);
        let even = if value > 9 { value.saturating_sub(10) } else { value };
        let odd = usize::try_from(value).ok().and_then(|value| ODD.get(value)).copied().unwrap_or(0);
        sum.saturating_add(if place % 2 == 0 { odd } else { even })
    });
    let check = text.last().and_then(|byte| char::from(*byte).to_digit(36));
    check == Some((sum % 26).saturating_add(10))
}

/// Eleven digits, not all the same, the last two by weighted sums modulo 11.
fn is_cpf(digits: &[u32]) -> bool {
    if digits.len() != 11 || digits.iter().all(|digit| Some(digit) == digits.first()) {
        return false;
    }
    let check = |count: usize| {
        let weights = (2..=11u32).rev().skip(10usize.saturating_sub(count));
        let sum: u32 =
            digits.iter().take(count).zip(weights).map(|(digit, weight)| digit.saturating_mul(weight)).sum();
        let rest = sum.saturating_mul(10) % 11;
        digits.get(count) == Some(&(if rest == 10 { 0 } else { rest }))
    };
    check(9) && check(10)
}

#[cfg(test)]
mod tests;
