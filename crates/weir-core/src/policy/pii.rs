//! Personal data in a text: addresses and numbers that identify a person or an account.
//!
//! Stage `policy`. Decides where a candidate begins and ends, however the text is cut into pieces; which candidates
//! are what, is decided in `numbers`. Numbers without a check digit are recognised by their usual writing only.

use super::numbers;
use alloc::vec::Vec;

/// Kinds of personal data, in the order of their bits, with the names that answers show.
pub(super) const KINDS: [&str; 10] = [
    "Email",
    "PhoneNumber",
    "CreditCardNumber",
    "InternationalBankingAccountNumber",
    "USSocialSecurityNumber",
    "DETaxIdentificationNumber",
    "FRSocialSecurityNumber",
    "ESDNI",
    "ITFiscalCode",
    "BRCPFNumber",
];

/// Longest mail address (RFC 5321, 4.5.3.1: 254).
const MAIL_BYTES_MAX: usize = 254;
/// Longest run of number groups that is looked at as one: an IBAN has at most 34 digits and 8 spaces.
const RUN_BYTES_MAX: usize = 64;

/// Reads a text in pieces and finds personal data in it.
#[derive(Clone, Debug, Default)]
pub(super) struct Personal {
    /// Kinds found, as bits.
    pub(super) found: u16,
    /// Characters read.
    read: u64,
    /// A possible mail address, and where it begins.
    mail: Vec<u8>,
    mail_at: u64,
    /// Groups of digits and capitals with single separators between them, and where they begin.
    run: Vec<u8>,
    run_at: u64,
    /// Where something was found: first character, the one behind the last, kinds; if that is wanted.
    pub(super) spans: Option<Vec<(u64, u64, u16)>>,
}

impl Personal {
    /// One that notes where it found something.
    pub(super) fn collecting() -> Self {
        Self { spans: Some(Vec::new()), ..Self::default() }
    }

    /// Takes the next piece.
    pub(super) fn push(&mut self, text: &str) {
        for c in text.chars() {
            let byte = u8::try_from(c).ok().filter(u8::is_ascii);
            self.mail(byte);
            self.run(byte);
            self.read = self.read.saturating_add(1);
        }
    }

    /// The text is over.
    pub(super) fn end(&mut self) {
        self.end_mail();
        self.end_run();
    }

    /// The first character of what may still become something; all that was read if there is none.
    pub(super) fn whole_until(&self) -> u64 {
        let mail = if self.mail.is_empty() { self.read } else { self.mail_at };
        let run = if self.run.is_empty() { self.read } else { self.run_at };
        mail.min(run)
    }

    fn mail(&mut self, byte: Option<u8>) {
        let part = |byte: &u8| byte.is_ascii_alphanumeric() || b"._%+-@".contains(byte);
        match byte.filter(part) {
            Some(byte) if self.mail.len() < MAIL_BYTES_MAX => {
                if self.mail.is_empty() {
                    self.mail_at = self.read;
                }
                self.mail.push(byte);
            }
            _ => self.end_mail(),
        }
    }

    fn end_mail(&mut self) {
        if numbers::is_mail(&self.mail) {
            self.found |= 1;
            if let Some(spans) = &mut self.spans {
                let text = self.mail.strip_suffix(b".").unwrap_or(&self.mail);
                let length = u64::try_from(text.len()).unwrap_or(0);
                spans.push((self.mail_at, self.mail_at.saturating_add(length), 1));
            }
        }
        self.mail.clear();
    }

    fn run(&mut self, byte: Option<u8>) {
        let Some(byte) = byte else { return self.end_run() };
        let inside = match byte {
            b'0'..=b'9' | b'A'..=b'Z' => true,
            // Lower-case letters stand in no such number but a DNI's or a fiscal code's.
            b'a'..=b'z' => self.run.last().is_some_and(u8::is_ascii_alphanumeric) || self.run.is_empty(),
            b'+' | b'(' => {
                let opens = self.run.last().is_none_or(|last| *last == b' ');
                if !opens {
                    self.end_run();
                }
                true
            }
            b' ' | b'-' | b'.' | b'/' | b')' => {
                let follows = |last: &u8| last.is_ascii_alphanumeric() || (*last == b')' && byte != b')');
                self.run.last().is_some_and(follows)
            }
            _ => false,
        };
        if !inside || self.run.len() >= RUN_BYTES_MAX {
            self.end_run();
        }
        let opens = byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'(');
        if (inside && !self.run.is_empty()) || opens {
            if byte == b' ' && !self.may_go_on() {
                return self.end_run();
            }
            if self.run.is_empty() {
                self.run_at = self.read;
            }
            self.run.push(byte);
        }
    }

    /// Whether the run, whose last group is over, can be part of a number: without it, every sentence would be one
    /// long candidate. A group of capitals belongs to an IBAN that began.
    fn may_go_on(&self) -> bool {
        let group = self.run.rsplit(|byte| !byte.is_ascii_alphanumeric()).next().unwrap_or_default();
        let iban = numbers::begins_iban(&self.run) && group.len() <= 4;
        group.is_empty() || iban || group.iter().all(u8::is_ascii_digit)
    }

    fn end_run(&mut self) {
        if self.run.len() > 7 && self.run.iter().any(u8::is_ascii_digit) {
            self.found |= numbers::kinds(&self.run);
            if let Some(spans) = &mut self.spans {
                let place = |at: usize| self.run_at.saturating_add(u64::try_from(at).unwrap_or(0));
                let found = numbers::spans(&self.run).into_iter();
                spans.extend(found.map(|(start, end, kinds)| (place(start), place(end), kinds)));
            }
        }
        self.run.clear();
    }
}
