//! What the host gives: the only place that reads the clock and draws randomness, and the forms in which time and secrets come in.
//!
//! Decides nothing. On the data path the clock is read
//! by JavaScript, where the event is seen, and comes in as a number.
//! Stage: shell.

use sha2::{Digest, Sha256};
use weir_core::seal::SealKey;
use weir_core::time::UnixMillis;

/// `Date.now()` as core's time.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "JavaScript's times are whole and below 2^53; `as` saturates"
)]
pub(crate) fn millis(now: f64) -> UnixMillis {
    UnixMillis(now as u64)
}

/// The time of the event at hand: on this platform the clock stands still between events.
pub(crate) fn now() -> UnixMillis {
    UnixMillis(worker::Date::now().as_millis())
}

/// Fresh random bytes for keys and nonces.
pub(crate) fn entropy() -> worker::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|problem| problem.to_string())?;
    Ok(bytes)
}

/// The first half of 32 random bytes, where 16 are enough.
pub(crate) fn half(bytes: [u8; 32]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&bytes[..16]);
    half
}

/// The administrator's token as core compares it; none, if it is not set.
pub(crate) fn token_hash(token: &str) -> Option<[u8; 32]> {
    (!token.is_empty()).then(|| Sha256::digest(token.as_bytes()).into())
}

/// The sealing key; none, if it is not set or not usable.
pub(crate) fn seal_key(text: &str) -> Option<SealKey> {
    SealKey::parse(text).ok()
}

/// A stream of random words (`SplitMix64`) from a seed of the platform's generator. It names exchanges and
/// spreads waits; keys and nonces come from the platform's generator itself.
pub(crate) struct Random {
    state: u64,
    stream: u64,
}

impl Random {
    /// A generator from at least 16 random bytes.
    pub(crate) fn from_seed(seed: &[u8]) -> Self {
        let mut words = seed
            .chunks_exact(8)
            .map(|chunk| chunk.iter().fold(0u64, |word, byte| word << 8 | u64::from(*byte)));
        let mut next = || words.next().unwrap_or(0x9e37_79b9_7f4a_7c15);
        Self { state: next(), stream: next() | 1 }
    }

    /// The next word.
    pub(crate) fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(self.stream);
        let mut word = self.state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// Two words as one.
    pub(crate) fn wide(&mut self) -> u128 {
        u128::from(self.word()) << 64 | u128::from(self.word())
    }
}
