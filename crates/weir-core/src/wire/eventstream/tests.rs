//! A verified message, every cut of streams, and damage: it is always found, and never a panic.

use super::{EventStreamDecoder, EventStreamError, MESSAGE_BYTES_MAX, Message, crc32};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};
use proptest::prelude::*;

/// `providers.md` 8.4: made by botocore 1.44.5's own test encoder, read by its decoder.
const VERIFIED: &str = "000000760000005296d5fade0b3a6576656e742d7479706507000c6d65737361676553746172740d\
    3a636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e0d3a6d6573736167\
    652d747970650700056576656e747b22726f6c65223a22617373697374616e74227d6fa8c599";

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().filter_map(|c| u8::try_from(c.to_digit(16)?).ok()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// A message by the layout; `raw` headers are already encoded.
fn framed(raw: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend((16 + raw.len() + payload.len()).to_be_bytes().split_at(4).1);
    out.extend(raw.len().to_be_bytes().split_at(4).1);
    out.extend(crc32(&out).to_be_bytes());
    out.extend(raw);
    out.extend(payload);
    out.extend(crc32(&out).to_be_bytes());
    out
}

fn text_header(name: &str, value: &str) -> Vec<u8> {
    let mut out = vec![u8::try_from(name.len()).unwrap()];
    out.extend(name.as_bytes());
    out.push(7);
    out.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
    out.extend(value.as_bytes());
    out
}

fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Message>, Option<EventStreamError>, bool) {
    let mut decoder = EventStreamDecoder::default();
    let (mut messages, mut error) = (Vec::new(), None);
    for piece in pieces {
        error = decoder.push(piece).err();
        while let Some(message) = decoder.next_message() {
            messages.push(message);
        }
    }
    let inside = decoder.is_inside_message();
    (messages, error, inside)
}

#[test]
fn the_verified_message_is_read() {
    let bytes = bytes_of(VERIFIED);
    assert_eq!(bytes.len(), 118);
    let (messages, error, inside) = decode([bytes.as_slice()]);
    assert_eq!((messages.len(), error, inside), (1, None, false));
    assert_eq!(messages[0].payload, br#"{"role":"assistant"}"#);
    for (name, value) in
        [(":event-type", "messageStart"), (":content-type", "application/json"), (":message-type", "event")]
    {
        assert_eq!(messages[0].header(name), Some(value));
    }
    assert_eq!(messages[0].header(":exception-type"), None);
}

/// The check value of the CRC catalogue's CRC-32/ISO-HDLC.
#[test]
fn the_checksum_is_crc32() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    assert_eq!(crc32(b""), 0);
}

#[test]
fn every_type_of_header_is_passed_over_and_a_wrong_one_is_an_error() {
    let mut raw = Vec::new();
    for (kind, size) in [(0u8, 0usize), (1, 0), (2, 1), (3, 2), (4, 4), (5, 8), (8, 8), (9, 16)] {
        raw.extend([1, b'a', kind]);
        raw.extend(vec![0xff; size]);
    }
    raw.extend([1, b'b', 6, 0, 2, 0xff, 0xff]);
    raw.extend(text_header("c", "é"));
    let (messages, error, _) = decode([framed(&raw, b"x").as_slice()]);
    assert_eq!(error, None);
    assert_eq!(messages[0].headers, [("c".to_string(), "é".to_string())]);
    for wrong in [
        &[0u8, 7, 0, 0][..],
        &[1, b'a', 10],
        &[1, b'a'],
        &[9, b'a', 0],
        &[1, b'a', 7, 0, 9, b'x'],
        &[1, b'a', 7, 0],
        &[1, b'a', 7, 0, 1, 0xff],
        &[1, 0xff, 0],
        &[1, b'a', 4, 0, 0, 0],
    ] {
        let (messages, error, _) = decode([framed(wrong, b"{}").as_slice()]);
        assert_eq!((messages.len(), error), (0, Some(EventStreamError::Headers)), "{wrong:?}");
    }
}

#[test]
fn impossible_lengths_are_refused_before_anything_is_waited_for() {
    for (total, headers) in [
        (0u32, 0u32),
        (15, 0),
        (16, 1),
        (100, 85),
        (MESSAGE_BYTES_MAX + 1, 0),
        (u32::MAX, u32::MAX),
        (400_000, 140_000),
    ] {
        let mut prelude = Vec::new();
        prelude.extend(total.to_be_bytes());
        prelude.extend(headers.to_be_bytes());
        prelude.extend(crc32(&prelude).to_be_bytes());
        let (messages, error, inside) = decode([prelude.as_slice()]);
        assert_eq!(
            (messages.len(), error, inside),
            (0, Some(EventStreamError::Length), false),
            "{total} {headers}"
        );
    }
    let (_, error, _) = decode([b"HTTP/1.1 502 Bad".as_slice()]);
    assert_eq!(error, Some(EventStreamError::Checksum));
}

#[test]
fn what_was_whole_before_an_error_is_given_and_nothing_after_it() {
    let good = framed(&text_header(":event-type", "a"), b"1");
    let mut bytes = good.clone();
    bytes.extend([0u8; 12]);
    bytes.extend(&good);
    let mut decoder = EventStreamDecoder::default();
    assert_eq!(decoder.push(&bytes), Err(EventStreamError::Checksum));
    assert_eq!(decoder.push(&good), Err(EventStreamError::Checksum));
    assert!(decoder.next_message().is_some() && decoder.next_message().is_none());
}

proptest! {
    #[test]
    fn any_cut_of_the_bytes_gives_the_same_messages(
        events in proptest::collection::vec(("[a-z:-]{1,12}", "[^\u{0}]{0,20}", any::<Vec<u8>>()), 0..4),
        cuts in proptest::collection::vec(0usize..400, 0..12),
    ) {
        let mut bytes = Vec::new();
        let mut wanted = Vec::new();
        for (name, value, payload) in events {
            bytes.extend(framed(&text_header(&name, &value), &payload));
            wanted.push(Message { headers: vec![(name, value)], payload });
        }
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.sort_unstable();
        cuts.push(bytes.len());
        let mut from = 0;
        let mut pieces = Vec::new();
        for cut in cuts {
            pieces.push(&bytes[from..cut]);
            from = cut;
        }
        prop_assert_eq!(decode(pieces), (wanted.clone(), None, false));
        prop_assert_eq!(decode(bytes.chunks(1)), (wanted, None, false));
    }

    /// CRC-32 finds every change of up to 32 neighbouring bits.
    #[test]
    fn every_changed_byte_is_found(at in 0usize..118, change in 1u8..=255) {
        let mut bytes = bytes_of(VERIFIED);
        bytes[at] ^= change;
        let (messages, error, _) = decode([bytes.as_slice()]);
        prop_assert!(messages.is_empty() && error.is_some());
    }

    #[test]
    fn a_stream_that_is_cut_is_seen_to_be(at in 0usize..236) {
        let bytes: Vec<u8> = [bytes_of(VERIFIED), bytes_of(VERIFIED)].concat();
        let (messages, error, inside) = decode([&bytes[..at]]);
        prop_assert_eq!((messages.len(), error, inside), (at / 118, None, at % 118 != 0));
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, lengths in (0u32..200, 0u32..200), tail: Vec<u8>) {
        let _ = decode([bytes.as_slice()]);
        let mut framed = Vec::new();
        framed.extend(lengths.0.to_be_bytes());
        framed.extend(lengths.1.to_be_bytes());
        framed.extend(crc32(&framed).to_be_bytes());
        framed.extend(&tail);
        let sum = crc32(&framed);
        framed.extend(sum.to_be_bytes());
        let text: String = format!("{:?}", decode([framed.as_slice()]));
        prop_assert!(!text.is_empty());
    }
}
