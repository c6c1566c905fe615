//! Random values of one command, all drawn from the 32 random bytes that came with its message.
//!
//! Decides how nonces, identifiers and key texts are derived; not where the bytes come from (the shell). Each
//! value is SHA-256 over the bytes and a counter, so values of one command are independent and a replay with the
//! same bytes gives the same values.

use crate::seal::{digest, hex};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Characters of a key's secret part: 43 of 62 symbols are 256 bits.
const SECRET_CHARS: usize = 43;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The random values of one command.
pub struct Entropy {
    seed: [u8; 32],
    drawn: u64,
}

impl Entropy {
    /// Values that follow from `seed`, 32 fresh random bytes.
    pub const fn new(seed: [u8; 32]) -> Self {
        Self { seed, drawn: 0 }
    }

    fn draw(&mut self) -> [u8; 32] {
        self.drawn = self.drawn.saturating_add(1);
        let mut bytes = Vec::from(self.seed);
        bytes.extend(self.drawn.to_be_bytes());
        digest(&bytes)
    }

    /// A nonce for one call of `seal::seal`.
    pub fn nonce(&mut self) -> [u8; 12] {
        *self.draw().first_chunk::<12>().unwrap_or(&[0; 12])
    }

    /// An identifier of 32 lower-case hex digits.
    pub fn identifier(&mut self) -> String {
        hex(self.draw().first_chunk::<16>().unwrap_or(&[0; 16]))
    }

    /// 128 random bits, for a request id.
    pub fn word(&mut self) -> u128 {
        u128::from_be_bytes(*self.draw().first_chunk::<16>().unwrap_or(&[0; 16]))
    }

    /// The text of a new key of `account`: `wk_<account>_<43 letters and digits>`. The account in it lets an
    /// isolate find the right snapshot without an index of all keys.
    pub fn key_text(&mut self, account: &str) -> String {
        let mut secret = String::new();
        while secret.len() < SECRET_CHARS {
            // Bytes from 248 on would favour the first symbols: 248 is the largest multiple of 62 in a byte.
            let usable = self.draw().into_iter().filter(|byte| *byte < 248);
            let symbols = usable.filter_map(|byte| ALPHABET.get(usize::from(byte % 62)).copied());
            secret.extend(symbols.map(char::from).take(SECRET_CHARS.saturating_sub(secret.len())));
        }
        format!("wk_{account}_{secret}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_texts_name_their_account_and_differ() {
        let mut entropy = Entropy::new([9; 32]);
        let (a, b) = (entropy.key_text("team_a"), entropy.key_text("team_a"));
        assert_ne!(a, b);
        let (account, secret) = a.strip_prefix("wk_").unwrap().rsplit_once('_').unwrap();
        assert_eq!((account, secret.len()), ("team_a", 43));
        assert!(secret.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_eq!(entropy.identifier().len(), 32);
    }
}
