//! Sealing: secrets at rest as AES-256-GCM, opened only for the place they were sealed for.
//!
//! Used by `control` (which seals) and `snapshot::index` (which opens). Decides the form of a sealed text and
//! what a seal key may look like; not where secrets come from and not when they are opened. The context of a
//! seal is authenticated data: an upstream's credential is sealed with the upstream's base address, so that it
//! can leave towards that upstream and no other (`design.md`, promise 7).
//!
//! Form: base64 (standard alphabet, padded) of 12 bytes of nonce, then ciphertext, then 16 bytes of tag.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use alloc::string::String;
use alloc::vec::Vec;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use core::fmt;
use sha2::{Digest, Sha256};

/// Bytes of nonce before the ciphertext.
const NONCE_BYTES: usize = 12;

/// Fewest characters of a passphrase that is taken as a seal key.
const PASSPHRASE_CHARS_MIN: usize = 16;

/// The key under which an installation's secrets are sealed (`WEIR_SEAL_KEY`). Shows nothing when printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SealKey([u8; 32]);

/// Why sealing or opening did not work. Says nothing about the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The text offered as a seal key is too short to be one.
    #[error("the seal key is shorter than 16 characters")]
    WeakKey,
    /// The plaintext is longer than the cipher allows; no text of this product is.
    #[error("the secret is too long to be sealed")]
    TooLong,
    /// The sealed text is not base64, or too short.
    #[error("the sealed text is damaged")]
    Damaged,
    /// Another key, another context, or changed bytes.
    #[error("the sealed text does not open with this key for this place")]
    Refused,
}

impl SealKey {
    /// Reads a key: 64 hex digits or the base64 of 32 bytes are taken as the key itself, any other text of at
    /// least 16 characters is hashed with SHA-256. White space around it is ignored.
    ///
    /// # Errors
    /// [`SealError::WeakKey`] when the text is shorter than 16 characters.
    pub fn parse(text: &str) -> Result<Self, SealError> {
        let text = text.trim();
        if text.chars().count() < PASSPHRASE_CHARS_MIN {
            return Err(SealError::WeakKey);
        }
        if let Some(key) = from_hex(text) {
            return Ok(Self(key));
        }
        for engine in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD] {
            if let Ok(Ok(key)) = engine.decode(text).map(<[u8; 32]>::try_from) {
                return Ok(Self(key));
            }
        }
        Ok(Self(digest(text.as_bytes())))
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(..)")
    }
}

/// Seals `plaintext` for `context`. The same `nonce` must never be used twice under one key: it is drawn anew
/// for every call.
///
/// # Errors
/// [`SealError::TooLong`] for texts beyond the cipher's limit (64 GiB).
pub fn seal(key: &SealKey, context: &str, plaintext: &str, nonce: [u8; 12]) -> Result<String, SealError> {
    let cipher = Aes256Gcm::new(&key.0.into());
    let payload = Payload { msg: plaintext.as_bytes(), aad: context.as_bytes() };
    let ciphertext = cipher.encrypt(&Nonce::from(nonce), payload).map_err(|_| SealError::TooLong)?;
    let mut bytes = Vec::from(nonce);
    bytes.extend(ciphertext);
    Ok(STANDARD.encode(bytes))
}

/// Opens what [`seal`] made with the same key and context.
///
/// # Errors
/// [`SealError::Damaged`] when `sealed` has not the form of a sealed text; [`SealError::Refused`] when key or
/// context differ or a byte was changed.
pub fn open(key: &SealKey, context: &str, sealed: &str) -> Result<String, SealError> {
    let bytes = STANDARD.decode(sealed).map_err(|_| SealError::Damaged)?;
    let (nonce, ciphertext) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or(SealError::Damaged)?;
    let cipher = Aes256Gcm::new(&key.0.into());
    let payload = Payload { msg: ciphertext, aad: context.as_bytes() };
    let plaintext = cipher.decrypt(&Nonce::from(*nonce), payload).map_err(|_| SealError::Refused)?;
    String::from_utf8(plaintext).map_err(|_| SealError::Damaged)
}

/// SHA-256 of `bytes`.
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// `bytes` as lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

/// SHA-256 of a credential's text as 64 lower-case hex digits: the form in which keys are stored
/// (`snapshot::KeyEntry`).
pub fn key_hash(text: &str) -> String {
    hex(&digest(text.as_bytes()))
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits: [u8; 64] = digits?.try_into().ok()?;
    let mut key = [0; 32];
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair.iter().fold(0, |sum, digit| (sum << 4) | digit);
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;
    use proptest::prelude::*;

    fn key(text: &str) -> SealKey {
        SealKey::parse(text).unwrap()
    }

    #[test]
    fn a_seal_key_is_read_from_hex_base64_or_a_passphrase() {
        let bytes = [0xabu8; 32];
        let rows = [
            (hex(&bytes), Ok(SealKey(bytes))),
            (hex(&bytes).to_uppercase(), Ok(SealKey(bytes))),
            (format!(" {}\n", STANDARD.encode(bytes)), Ok(SealKey(bytes))),
            (URL_SAFE_NO_PAD.encode([0xfb; 32]), Ok(SealKey([0xfb; 32]))),
            ("sixteen letters!".to_string(), Ok(SealKey(digest(b"sixteen letters!")))),
            ("fifteen letters".to_string(), Err(SealError::WeakKey)),
            (String::new(), Err(SealError::WeakKey)),
        ];
        for (text, expected) in rows {
            assert_eq!(SealKey::parse(&text), expected, "{text:?}");
        }
        assert_eq!(format!("{:?}", key("a secret passphrase")), "SealKey(..)");
    }

    #[test]
    fn a_sealed_text_opens_only_with_its_key_and_place() {
        let ours = key("a passphrase of ours");
        let sealed = seal(&ours, "https://a.example/v1", "sk-1", [7; 12]).unwrap();
        assert_eq!(open(&ours, "https://a.example/v1", &sealed), Ok("sk-1".to_string()));
        assert_eq!(open(&ours, "https://b.example/v1", &sealed), Err(SealError::Refused));
        assert_eq!(
            open(&key("a passphrase of others"), "https://a.example/v1", &sealed),
            Err(SealError::Refused)
        );
        for damaged in ["", "????", "AAAA", "AAAAAAAAAAAAAAAA"] {
            assert!(open(&ours, "https://a.example/v1", damaged).is_err(), "{damaged:?}");
        }
    }

    /// Test case 13 and 14 of the GCM specification (appendix B): all-zero key and nonce.
    #[test]
    fn the_form_is_nonce_then_ciphertext_then_tag() {
        let sealed = seal(&SealKey([0; 32]), "", "", [0; 12]).unwrap();
        let bytes = STANDARD.decode(sealed).unwrap();
        assert_eq!(hex(&bytes), format!("{}530f8afbc74536b9a963b4f1c4cb738b", "00".repeat(12)));
        let zeros = "\0".repeat(16);
        let bytes = STANDARD.decode(seal(&SealKey([0; 32]), "", &zeros, [0; 12]).unwrap()).unwrap();
        let text = "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919";
        assert_eq!(hex(&bytes[12..]), text);
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_and_no_flipped_bit_does(text in ".{0,80}", place in ".{0,20}", at in 0usize..200) {
            let ours = key("a passphrase of ours");
            let sealed = seal(&ours, &place, &text, [1; 12]).unwrap();
            prop_assert_eq!(open(&ours, &place, &sealed).unwrap(), text);
            let mut bytes = STANDARD.decode(&sealed).unwrap();
            let at = at % bytes.len();
            bytes[at] ^= 1;
            prop_assert!(open(&ours, &place, &STANDARD.encode(bytes)).is_err());
        }
    }
}
