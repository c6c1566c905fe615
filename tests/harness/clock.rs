//! Clocks that are wrong. True time is counted in microseconds since the world began; what a part of the system
//! reads is its own clock, in whole milliseconds.

use weir_core::time::UnixMillis;

/// The true time at which a world begins.
pub const EPOCH: UnixMillis = UnixMillis(1_800_000_000_000);

/// A point of true time: microseconds since the world began.
pub type Micros = u64;

/// One millisecond of true time.
pub const MILLI: Micros = 1_000;
/// One second of true time.
pub const SECOND: Micros = 1_000_000;

/// How a clock is wrong.
#[derive(Clone, Copy, Debug, Default)]
pub struct Skew {
    /// Ahead of true time by so many milliseconds.
    pub offset: i64,
    /// Fast by so many parts in a million.
    pub drift: i64,
}

impl Skew {
    /// What the clock shows at true time `at`.
    pub fn read(self, at: Micros) -> UnixMillis {
        let at = i64::try_from(at).expect("a world lasts some minutes");
        let drifted = at + at / 1_000_000 * self.drift + at % 1_000_000 * self.drift / 1_000_000;
        let millis = drifted.div_euclid(1_000) + self.offset;
        UnixMillis(EPOCH.0.checked_add_signed(millis).expect("offsets are some hours"))
    }
}
