//! Numbers with and without their check digits. All are published examples or made up; none is a person's.

use super::*;
use crate::policy::pii::{KINDS, Personal};

fn found(text: &str) -> Vec<&'static str> {
    let mut personal = Personal::default();
    personal.push(text);
    personal.end();
    KINDS
        .iter()
        .enumerate()
        .filter(|(bit, _)| personal.found >> bit & 1 == 1)
        .map(|(_, kind)| *kind)
        .collect()
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    assert_eq!(found(text), expected, "{text}");
}

#[test]
fn personal_data_is_recognised_in_sentences() {
    for (text, kind) in [
        ("write to jane.doe+news@mail.example.co.uk.", "Email"),
        ("<a@b.io>", "Email"),
        ("call +49 30 901820 now", "PhoneNumber"),
        ("or +1 (212) 555-0123", "PhoneNumber"),
        ("(212) 555-0123", "PhoneNumber"),
        ("212-555-0123", "PhoneNumber"),
        ("030/90182000", "PhoneNumber"),
        ("06 12 34 56 78", "PhoneNumber"),
        ("card 4111 1111 1111 1111 please", "CreditCardNumber"),
        ("5500005555555559", "CreditCardNumber"),
        ("3782-822463-10005", "CreditCardNumber"),
        ("IBAN DE89 3704 0044 0532 0130 00", "InternationalBankingAccountNumber"),
        ("GB82WEST12345698765432", "InternationalBankingAccountNumber"),
        ("GB29 NWBK 6016 1331 9268 19.", "InternationalBankingAccountNumber"),
        ("SSN 219-09-9999", "USSocialSecurityNumber"),
        ("Steuer-ID 86 095 742 719", "DETaxIdentificationNumber"),
        ("NIR 2 55 08 14 168 025 38", "FRSocialSecurityNumber"),
        ("DNI 12345678Z", "ESDNI"),
        ("NIE X1234567L", "ESDNI"),
        ("CF RSSMRA85T10A562S", "ITFiscalCode"),
        ("CPF 529.982.247-25", "BRCPFNumber"),
    ] {
        check(text, &[kind]);
    }
}

#[test]
fn other_numbers_are_not() {
    for text in [
        "",
        "version 10.2.3 of 2024-08-06",
        "order 1234567890",
        "4111 1111 1111 1112",
        "0000 0000 0000 0000",
        "DE89 3704 0044 0532 0130 01",
        "000-12-3456 and 666-12-3456 and 900-12-3456",
        "86095742718",
        "DNI 12345678A",
        "RSSMRA85T10A562T",
        "529.982.247-24 11111111111",
        "a@b, @someone, user@localhost",
        "0x1F600 and 3.14159265358979",
        "192.168.100.200 127.0.0.1",
        "1,000,000 people in 2019/2020",
        "ISBN 978-3-16-148410-0",
        "12:30:45.123 on 24/12/2024",
    ] {
        check(text, &[]);
    }
}

#[test]
fn how_a_text_is_cut_changes_nothing() {
    let text = "a DE89 3704 0044 0532 0130 00, j@x.example (212) 555-0123 4111 1111 1111 1111 b";
    let whole = found(text);
    assert_eq!(whole.len(), 4);
    for cut in 0..text.len() {
        let mut personal = Personal::default();
        personal.push(&text[..cut]);
        personal.push(&text[cut..]);
        personal.end();
        assert_eq!(personal.found.count_ones(), 4, "{cut}");
    }
}
